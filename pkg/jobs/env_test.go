// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

package jobs_test

import (
	"encoding/json"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

	"karo.io/karo/pkg/apis/karo"
	"karo.io/karo/pkg/jobs"
)

// environmentOf returns the values of the variables of the container that an action becomes, by name.
func environmentOf(t *testing.T, e *karo.Execution, env ...karo.EnvVar) map[string]string {
	t.Helper()
	values := map[string]string{}
	for _, v := range build(t, e, &karo.AlertReactionSpec{}, &karo.Action{Name: "a", Env: env}).Spec.Template.Spec.Containers[0].Env {
		if _, twice := values[v.Name]; twice {
			t.Errorf("variable %s is there twice", v.Name)
		}
		values[v.Name] = v.Value
	}
	return values
}

// Linux takes 128 KiB for a variable with its name, so that the alert is split above 100 KiB. The parts are whole
// characters each, and together the alert.
func TestALargeAlertIsSplit(t *testing.T) {
	const limit = 100 << 10
	size := func(e *karo.Execution) int {
		whole, err := jobs.Field(&e.Spec.Alert, ".")
		if err != nil {
			t.Fatal(err)
		}
		return len(whole)
	}
	with := func(text string) *karo.Execution {
		e := execution()
		e.Spec.Alert.Annotations = map[string]string{"text": text}
		return e
	}
	room := limit - size(with(""))
	for name, tc := range map[string]struct {
		text  string
		parts int // 0: it is not split.
	}{
		"small":                             {"x", 0},
		"as large as may be":                {strings.Repeat("x", room), 0},
		"one more":                          {strings.Repeat("x", room+1), 2},
		"two parts to the brim":             {strings.Repeat("x", room+limit), 2},
		"three":                             {strings.Repeat("x", room+limit+1), 3},
		"as large as an alert may be":       {strings.Repeat("x", 512<<10), 6},
		"characters of two bytes":           {strings.Repeat("ü", room), 2},
		"characters of two bytes, off by 1": {"x" + strings.Repeat("ü", room), 2},
		"characters of four bytes":          {strings.Repeat("🔥", room), 4},
		"dollars":                           {strings.Repeat("$", 2*room), 2},
		"what no variable can hold":         {strings.Repeat("\x00", room/2), 3},
	} {
		t.Run(name, func(t *testing.T) {
			e := with(tc.text)
			whole, err := jobs.Field(&e.Spec.Alert, ".")
			if err != nil {
				t.Fatal(err)
			}
			values := environmentOf(t, e)
			var joined strings.Builder
			for i := range tc.parts {
				name := "KARO_ALERT_" + strconv.Itoa(i)
				part := expandAsTheKubelet(values[name], anyVariable)
				if part == "" || len(part) > limit || !utf8.ValidString(part) {
					t.Errorf("%s has %d bytes, valid %t", name, len(part), utf8.ValidString(part))
				}
				joined.WriteString(part)
			}
			if tc.parts == 0 {
				joined.WriteString(expandAsTheKubelet(values["KARO_ALERT"], anyVariable))
			} else if _, both := values["KARO_ALERT"]; both {
				t.Error("there is KARO_ALERT beside its parts")
			}
			if _, more := values["KARO_ALERT_"+strconv.Itoa(tc.parts)]; more {
				t.Errorf("there are more parts than %d", tc.parts)
			}
			if joined.String() != whole {
				t.Errorf("joined, the %d parts are not the alert of %d bytes", tc.parts, len(whole))
			}
		})
	}
}

// What the author declares counts, and stands once.
func TestDeclaredVariablesHideThoseOfKaro(t *testing.T) {
	got := environmentOf(t, execution(), karo.EnvVar{Name: "KARO_ALERT", Literal: "mine"}, karo.EnvVar{Name: "KARO_STATUS", Expression: "labels.pod"})
	want := map[string]string{
		"KARO_ALERT": "mine", "KARO_STATUS": "web-1",
		"KARO_ALERT_NAME": "KubePodCrashLooping", "KARO_REACTION": "restart", "KARO_EXECUTION": "restart-abc",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// A variable may name those before it, and those of Karo are before all others.
func TestVariablesOfKaroComeFirst(t *testing.T) {
	env := build(t, execution(), &karo.AlertReactionSpec{}, &karo.Action{Name: "a", Env: []karo.EnvVar{{Name: "A"}, {Name: "B"}}}).
		Spec.Template.Spec.Containers[0].Env
	names := make([]string, 0, len(env))
	for _, v := range env {
		names = append(names, v.Name)
	}
	want := []string{"KARO_ALERT", "KARO_ALERT_NAME", "KARO_STATUS", "KARO_REACTION", "KARO_EXECUTION", "A", "B"}
	if diff := cmp.Diff(want, names); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// v1alpha1 takes a value beside a source, and several sources: the value counts, and else the first of them.
func TestWhatCountsOfAVariable(t *testing.T) {
	secret := &corev1.SecretKeySelector{Key: "k"}
	configMap := &corev1.ConfigMapKeySelector{Key: "k"}
	for name, tc := range map[string]struct {
		in   karo.EnvVar
		want corev1.EnvVar
	}{
		"a literal beside a source": {
			karo.EnvVar{Literal: "text", ValueFrom: &karo.EnvVarSource{SecretKeyRef: secret}}, corev1.EnvVar{Value: "text"},
		},
		"the alert before a Secret": {
			karo.EnvVar{ValueFrom: &karo.EnvVarSource{SecretKeyRef: secret, AlertRef: &karo.AlertFieldSelector{FieldPath: "status"}}},
			corev1.EnvVar{Value: "firing"},
		},
		"a ConfigMap before a Secret": {
			karo.EnvVar{ValueFrom: &karo.EnvVarSource{SecretKeyRef: secret, ConfigMapKeyRef: configMap}},
			corev1.EnvVar{ValueFrom: &corev1.EnvVarSource{ConfigMapKeyRef: configMap}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			tc.in.Name, tc.want.Name = "V", "V"
			job := build(t, execution(), &karo.AlertReactionSpec{}, &karo.Action{Name: "a", Env: []karo.EnvVar{tc.in}})
			if diff := cmp.Diff(append(ofTheAlert(), tc.want), job.Spec.Template.Spec.Containers[0].Env); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestField(t *testing.T) {
	alert := execution().Spec.Alert
	all, err := jobs.Field(&alert, ".")
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		"":                  all, // An empty path is what v1alpha1 has always taken for the whole alert.
		"labels":            `{"alertname":"KubePodCrashLooping","größe":"groß","pod":"web-1"}`,
		"annotations":       `{"summary":"web-1 crashes"}`,
		"labels.größe":      "groß",
		"labels.missing":    "",
		"annotations.pod":   "",
		"status":            "firing",
		"endsAt":            "",
		"labels.labels.pod": "",
	} {
		if got, err := jobs.Field(&alert, path); err != nil || got != want {
			t.Errorf("%q: got %q and error %v, want %q", path, got, err, want)
		}
	}
	// A program that reads JSON need not ask whether there is an object.
	for path, want := range map[string]string{
		"labels": "{}", "annotations": "{}", ".": `{"status":"","labels":{},"annotations":{}}`, "startsAt": "", "generatorURL": "",
	} {
		if got, err := jobs.Field(&karo.AlertOccurrence{}, path); err != nil || got != want {
			t.Errorf("%q of nothing: got %q and error %v, want %q", path, got, err, want)
		}
	}
}

func FuzzField(f *testing.F) {
	for _, path := range []string{
		".", "", "status", "startsAt", "endsAt", "generatorURL", "fingerprint", "labels", "annotations", "labels.a", "annotations.a",
		"labels.", "annotations.", "labels..", "labels.größe", "label.a", "\x00", "labels.\xff", "$(S)",
	} {
		f.Add(path, "text")
		f.Add(path, "\xff\x00$(S)")
	}
	f.Fuzz(func(t *testing.T, path, text string) {
		label, isLabel := strings.CutPrefix(path, "labels.")
		alert := &karo.AlertOccurrence{Status: karo.AlertFiring, Labels: map[string]string{label: text}, Annotations: map[string]string{path: text}}
		got, err := jobs.Field(alert, path)
		// Whether a path is one does not hang on the alert: what validation takes has to render for every alert.
		if _, ofNothing := jobs.Field(&karo.AlertOccurrence{}, path); (err == nil) != (ofNothing == nil) {
			t.Fatalf("%q: error %v of an alert, and %v of nothing", path, err, ofNothing)
		}
		switch {
		case err != nil && got != "":
			t.Errorf("%q: got %q beside the error %v", path, got, err)
		case isLabel && label != "" && got != text:
			t.Errorf("%q: got %q, want %q", path, got, text)
		case (path == "" || path == "." || path == "labels" || path == "annotations") && !json.Valid([]byte(got)):
			t.Errorf("%q: got %q, which is no JSON", path, got)
		}
	})
}

// FuzzEnv gives alerts any texts: the program in the container is given exactly these, whatever the variables of the
// container are.
func FuzzEnv(f *testing.F) {
	for _, text := range []string{"", "$", "$$", "$(S)", "$$(S)", "$$$(S)", "$(", "$()", "a\x00b", "\xff$(S)", "größe 🔥", "$(KARO_ALERT)", strings.Repeat("$", 101)} {
		f.Add(text, "S")
	}
	f.Add("$(labels.a)", "labels.a")
	f.Fuzz(func(t *testing.T, text, secret string) {
		e := execution()
		e.Spec.Alert.Labels = map[string]string{"text": text}
		e.Spec.Alert.Name = text
		want := strings.ReplaceAll(strings.ToValidUTF8(text, "\ufffd"), "\x00", "\ufffd")
		lookUp := func(name string) (string, bool) { return "SECRET", name == secret || name == "KARO_ALERT" }
		values := environmentOf(t, e, karo.EnvVar{Name: "TEXT", Expression: "labels.text"})
		for _, name := range []string{"TEXT", "KARO_ALERT_NAME"} {
			if got := expandAsTheKubelet(values[name], lookUp); got != want {
				t.Errorf("%s: %q is %q, which the program sees as %q, want %q", name, text, values[name], got, want)
			}
		}
	})
}

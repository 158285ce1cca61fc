// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1 "karo.io/karo/pkg/apis/karo/v1"
)

// What is no notification is refused with the place and the reason, and harms nothing.
func TestMalformedNotifications(t *testing.T) {
	namespace := newNamespace(t)
	newReaction(t, namespace, "r", "A", "busybox")
	s := newSender(t, namespace)
	for name, test := range map[string]struct {
		body   string
		status int
		says   string
	}{
		"no body":        {"", 400, "the body is empty"},
		"malformed":      {`{"alerts":[{"labels":{"alertname":"A"}},}`, 400, "at byte 40: invalid character '}'"},
		"truncated":      {`{"alerts":[{"labels":{"alertname":"A"}}`, 400, "the body ends in the middle"},
		"array":          {`[{"labels":{"alertname":"A"}}]`, 400, "must be a JSON object"},
		"no alerts":      {`{"version":"4"}`, 400, `the field \"alerts\" is missing`},
		"alerts no list": {`{"alerts":{}}`, 400, "alerts: must be an array"},
		"garbage behind": {`{"alerts":[]}{}`, 400, "unexpected data after the notification"},
		"empty alerts":   {`{"alerts":[]}`, 200, `"alerts":[]`},
		"unknown field":  {`{"alerts":[],"new":{"a":1}}`, 200, `"alerts":[]`},
	} {
		t.Run(name, func(t *testing.T) {
			status, answer := s.post(t, triggerPath(namespace), strings.NewReader(test.body))
			if status != test.status || !strings.Contains(string(answer), test.says) {
				t.Errorf("%d %s\nwant %d %s", status, answer, test.status, test.says)
			}
		})
	}
	if items, err := executions(t.Context(), namespace); err != nil || len(items) > 0 {
		t.Errorf("executions: %v, %v", items, err)
	}
}

// A body over the limit is refused without being read to its end.
func TestBodyOverTheLimit(t *testing.T) {
	namespace := newNamespace(t)
	s := newSender(t, namespace)
	const limit = 64 << 20
	body := io.MultiReader(strings.NewReader(`{"alerts":[],"filler":"`), io.LimitReader(fill{}, limit+1), strings.NewReader(`"}`))
	status, answer := s.post(t, triggerPath(namespace), body)
	if status != http.StatusRequestEntityTooLarge || !strings.Contains(string(answer), fmt.Sprintf("at most %d bytes", limit)) {
		t.Errorf("%d %s", status, answer)
	}
}

// fill is an endless text.
type fill struct{}

func (fill) Read(p []byte) (int, error) {
	return copy(p, bytes.Repeat([]byte("x"), len(p))), nil
}

// An alert that can never be stored is refused by itself, with the path of what is wrong; its siblings run.
func TestBadAlertsBesideGoodOnes(t *testing.T) {
	namespace := newNamespace(t)
	newReaction(t, namespace, "r", "A", "busybox")
	s := newSender(t, namespace)
	huge := fmt.Sprintf(`{"labels":{"alertname":"A","huge":%q}}`, strings.Repeat("x", 600<<10))
	body := `{"alerts":[` + strings.Join([]string{
		`{"labels":{"alertname":"A","n":"1"}}`,
		huge,
		`{"labels":{}}`,
		`{"labels":{"alertname":7}}`,
		`{"labels":{"alertname":"A"},"startsAt":"yesterday"}`,
		`{"labels":{"alertname":"A"},"status":"burning"}`,
		`{"labels":{"alertname":"A"},"startsAt":"9999-12-31T23:59:59-01:00"}`,
		`{"labels":{"alertname":"A"},"fingerprint":"` + strings.Repeat("<", 500<<10) + `"}`,
		`{"labels":{"alertname":"A","n":"2"}}`,
	}, ",") + `]}`
	result := s.acknowledged(t, triggerPath(namespace), []byte(body))
	expectCounts(t, result, 2, 0, 0, 7)
	for i, says := range map[int]string{
		1: "alerts[1]: Too long",
		2: "alerts[2].labels: Required value",
		3: "alerts[3].labels",
		4: `alerts[4].startsAt: Invalid value: "yesterday" is not an RFC 3339 timestamp`,
		5: `alerts[5].status: Unsupported value: "burning"`,
		6: `alerts[6].startsAt: Invalid value: "9999-12-31T23:59:59-01:00" is not within the years`,
		7: "alerts[7]: Too long",
	} {
		if got := result.Alerts[i]; got.Outcome != v1.AlertRefused || !strings.Contains(got.Message, says) {
			t.Errorf("alert %d: %s %q, want %q", i, got.Outcome, got.Message, says)
		}
	}
	waitFinished(t, namespace, 2, v1.PhaseSucceeded)
	eventually(t, "an event that says so", func(ctx context.Context) error {
		out, err := cluster.Kubectl(ctx, "", "get", "events", "-n", namespace, "--field-selector=involvedObject.kind=Namespace,reason=AlertsRefused")
		if err == nil && !strings.Contains(out, "Refused 7 alert(s) of the receiver") {
			err = errors.New(out)
		}
		return err
	})
}

// Whatever the labels of an alert hold, the Job is valid and gets them as they are, for the kubelet to expand nothing.
func TestHostileLabels(t *testing.T) {
	namespace := newNamespace(t)
	createReaction(t, namespace, &v1.AlertReaction{
		ObjectMeta: metav1.ObjectMeta{Name: "r"},
		Spec: v1.AlertReactionSpec{AlertName: "A", Actions: []v1.Action{{
			Name: "act", Image: "busybox",
			Env: []v1.EnvVar{
				{Name: "VALUE", Value: "labels.value"},
				{Name: "UTF8", Value: "labels.größe/k8s.pod"},
				{Name: "MISSING", Value: "labels.missing"},
				{Name: "STATUS", Value: "status"},
				{Name: "LITERAL", Value: `\labels.value`},
				{Name: "ALERT", ValueFrom: &v1.EnvVarSource{AlertRef: &v1.AlertFieldSelector{FieldPath: "."}}},
			},
		}}},
	})
	s := newSender(t, namespace)
	values := map[string]string{
		"10-kb":      strings.Repeat("0123456789", 1<<10),
		"quotes":     `"it's" ` + "`x`",
		"newlines":   "a\nb\r\n\x1b[31mc",
		"nul":        "a\x00b",
		"expand":     "$(VALUE)",
		"expand-two": "$$(VALUE) $$$(VALUE) $",
		"emoji":      "🔥 \u200frtl",
		"empty":      "",
	}
	var alerts []v1.NotificationAlert
	for name, value := range values {
		alerts = append(alerts, firing("A", time.Now(), "name", name, "value", value, "größe/k8s.pod", "ok"))
	}
	expectCounts(t, s.trigger(t, namespace, alerts...), int32(len(values)), 0, 0, 0)
	items := waitFinished(t, namespace, len(values), v1.PhaseSucceeded)
	for i := range items {
		e := &items[i]
		name := e.Spec.Alert.Labels["name"]
		if e.Spec.Alert.Labels["value"] != values[name] {
			t.Errorf("%s: the execution holds %q", name, e.Spec.Alert.Labels["value"])
		}
		job, err := cluster.Client.BatchV1().Jobs(namespace).Get(t.Context(), e.Status.Actions[0].JobName, metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		env := map[string]string{}
		for _, v := range job.Spec.Template.Spec.Containers[0].Env {
			env[v.Name] = v.Value
		}
		want := map[string]string{
			"VALUE": strings.NewReplacer("$", "$$", "\x00", "\uFFFD").Replace(values[name]),
			"UTF8":  "ok", "MISSING": "", "STATUS": "firing", "LITERAL": "labels.value",
		}
		for variable, value := range want {
			if env[variable] != value {
				t.Errorf("%s: %s is %q, not %q", name, variable, env[variable], value)
			}
		}
		var whole v1.NotificationAlert
		if err := json.Unmarshal([]byte(strings.ReplaceAll(env["ALERT"], "$$", "$")), &whole); err != nil || whole.Labels["value"] != values[name] {
			t.Errorf("%s: ALERT is %q, %v", name, env["ALERT"], err)
		}
	}
}

// A reaction that could not run is refused with the path of every field that is wrong.
func TestBadReactions(t *testing.T) {
	namespace := newNamespace(t)
	for name, test := range map[string]struct {
		spec string
		says []string
	}{
		"regex":     {`{alertName: A, matchers: [{name: a, operator: "=~", value: "("}], actions: [{name: a, image: b}]}`, []string{"spec.matchers[0].value", "not a regular expression"}},
		"operator":  {`{alertName: A, matchers: [{name: a, operator: "~", value: b}], actions: [{name: a, image: b}]}`, []string{"spec.matchers[0].operator", `supported values: "=", "!=", "=~", "!~"`}},
		"duplicate": {`{alertName: A, actions: [{name: a, image: b}, {name: a, image: c}]}`, []string{"spec.actions[1].name: Duplicate value"}},
		"mount":     {`{alertName: A, actions: [{name: a, image: b, volumeMounts: [{name: v, mountPath: /v}]}]}`, []string{"spec.actions[0].volumeMounts[0].name: Not found"}},
		"several":   {`{matchers: [{name: a, value: ""}], actions: [{name: A_, image: ""}]}`, []string{"spec.matchers", "spec.actions[0].name", "spec.actions[0].image: Required"}},
		"nothing":   {`{actions: []}`, []string{"spec.alertName: Required", "spec.actions: Required"}},
		"unknown":   {`{alertName: A, actions: [{name: a, image: b, imagee: c}]}`, []string{`unknown field "spec.actions[0].imagee"`}},
	} {
		t.Run(name, func(t *testing.T) {
			manifest := "apiVersion: karo.io/v1\nkind: AlertReaction\nmetadata: {name: bad}\nspec: " + test.spec
			out, err := cluster.Kubectl(t.Context(), manifest, "create", "-n", namespace, "-f", "-")
			if err == nil {
				t.Fatalf("it is accepted: %s", out)
			}
			for _, says := range test.says {
				if !strings.Contains(out, says) {
					t.Errorf("it does not say %q: %s", says, out)
				}
			}
		})
	}
}

// A namespace that is not there is told so; one that is going takes nothing more, and says so in the answer.
func TestMissingAndTerminatingNamespace(t *testing.T) {
	admin := newHTTP(t, cluster.Config)
	body := `{"alerts":[{"labels":{"alertname":"A"}}]}`
	if status, answer := admin.post(t, triggerPath("no-such-namespace"), strings.NewReader(body)); status != http.StatusNotFound {
		t.Errorf("%d %s", status, answer)
	}
	namespace := newNamespace(t)
	newReaction(t, namespace, "r", "A", "busybox")
	// A finalizer keeps the namespace in its last phase.
	held := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "held", Finalizers: []string{"test.karo.io/hold"}}}
	if _, err := cluster.Client.CoreV1().ConfigMaps(namespace).Create(t.Context(), held, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	kubectl(t, "", "delete", "namespace", namespace, "--wait=false")
	t.Cleanup(func() {
		_, _ = cluster.Kubectl(context.Background(), "", "patch", "configmap", "held", "-n", namespace, "--type=json", "-p", `[{"op":"remove","path":"/metadata/finalizers"}]`)
	})
	eventually(t, "the notification to be refused", func(context.Context) error {
		status, answer := admin.post(t, triggerPath(namespace), strings.NewReader(body))
		if status != http.StatusOK || !strings.Contains(string(answer), "is being terminated") {
			return fmt.Errorf("%d %s", status, answer)
		}
		return nil
	})
}

// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

package jobs_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"

	"karo.io/karo/pkg/apis/karo"
	"karo.io/karo/pkg/jobs"
)

// ofPod declares the variable POD, whose value whoever writes the alert chooses, and FIXED, whose value the author does.
func ofPod(command, args []string) *karo.Action {
	return &karo.Action{Name: "a", Image: "i", Command: command, Args: args, Env: []karo.EnvVar{
		{Name: "POD", Expression: "labels.pod"},
		{Name: "REFERENCE", ValueFrom: &karo.EnvVarSource{AlertRef: &karo.AlertFieldSelector{FieldPath: "labels.pod"}}},
		{Name: "FIXED", Literal: "web"},
		{Name: "IP", ValueFrom: &karo.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{FieldPath: "status.podIP"}}},
		{Name: "größe", Expression: "labels.größe"},
	}}
}

func TestArguments(t *testing.T) {
	for name, tc := range map[string]struct{ command, args, wantCommand, wantArgs []string }{
		"nothing": {},
		"a whole argument": {
			args: []string{"$POD", "${POD}"}, wantArgs: []string{"$(POD)", "$(POD)"},
		},
		"in the command as well": {
			command: []string{"kubectl", "delete", "pod", "$POD"}, wantCommand: []string{"kubectl", "delete", "pod", "$(POD)"},
		},
		"every variable of the container": {
			args:     []string{"$FIXED", "$IP", "${REFERENCE}", "$größe", "$KARO_ALERT_NAME", "${KARO_STATUS}"},
			wantArgs: []string{"$(FIXED)", "$(IP)", "$(REFERENCE)", "$(größe)", "$(KARO_ALERT_NAME)", "$(KARO_STATUS)"},
		},
		"what is no variable stays": {
			args: []string{"$OTHER", "${OTHER}", "$HOME", "$KARO_OTHER"}, wantArgs: []string{"$OTHER", "${OTHER}", "$HOME", "$KARO_OTHER"},
		},
		"a part of an argument stays": {
			args:     []string{"--pod=$POD", "$POD-1", " $POD", "$POD ", "$POD$POD", "${POD}x", "x${POD}"},
			wantArgs: []string{"--pod=$POD", "$POD-1", " $POD", "$POD ", "$POD$POD", "${POD}x", "x${POD}"},
		},
		"every other dollar stays": {
			args:     []string{"$", "$$", "$$POD", "$(POD)", "$$(POD)", "${}", "${POD", "$POD}", "$()", "$(", "{POD}", "${POD:-x}", "${{POD}}"},
			wantArgs: []string{"$", "$$", "$$POD", "$(POD)", "$$(POD)", "${}", "${POD", "$POD}", "$()", "$(", "{POD}", "${POD:-x}", "${{POD}}"},
		},
		"a script is for the shell": {
			command: []string{"sh", "-c", "$POD"}, wantCommand: []string{"sh", "-c", "$POD"},
		},
		"a script in the args": {
			command: []string{"/bin/bash", "-ec"}, args: []string{"${POD}", "$POD"},
			wantCommand: []string{"/bin/bash", "-ec"}, wantArgs: []string{"${POD}", "$(POD)"},
		},
		"the shell in the args": {
			args: []string{"busybox", "ash", "-c", "$POD"}, wantArgs: []string{"busybox", "ash", "-c", "$POD"},
		},
		"every shell": {
			args:     []string{"dash", "-c", "$POD", "ksh", "-xc", "$POD", "/usr/bin/zsh", "-c", "$POD"},
			wantArgs: []string{"dash", "-c", "$POD", "ksh", "-xc", "$POD", "/usr/bin/zsh", "-c", "$POD"},
		},
		"an option of another program is no script": {
			command: []string{"grep", "-c", "$POD"}, wantCommand: []string{"grep", "-c", "$(POD)"},
		},
		"another option of a shell is no script": {
			command: []string{"sh", "-x", "$POD"}, wantCommand: []string{"sh", "-x", "$(POD)"},
		},
		"the first word is no script": {
			command: []string{"$POD"}, wantCommand: []string{"$(POD)"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			action := ofPod(tc.command, tc.args)
			before := action.DeepCopy()
			container := build(t, execution(), &karo.AlertReactionSpec{}, action).Spec.Template.Spec.Containers[0]
			if diff := cmp.Diff(tc.wantCommand, container.Command); diff != "" {
				t.Errorf("command (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tc.wantArgs, container.Args); diff != "" {
				t.Errorf("args (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(before, action); diff != "" {
				t.Errorf("the action was changed:\n%s", diff)
			}
		})
	}
}

// A value that is given as an argument is one argument, whatever is in it, and what is in it is not expanded again: the
// kubelet expands the arguments once, with the values that it has expanded before.
func TestAnArgumentIsTheValue(t *testing.T) {
	for _, text := range []string{"", "two words", "$(FIXED)", "$$(FIXED)", "$", "a\nb", `";rm -rf /`, "--all"} {
		e := execution()
		e.Spec.Alert.Labels["pod"] = text
		container := build(t, e, &karo.AlertReactionSpec{}, ofPod(nil, []string{"--", "$POD"})).Spec.Template.Spec.Containers[0]
		values := map[string]string{}
		lookUp := func(name string) (string, bool) {
			value, ok := values[name]
			return value, ok
		}
		for _, v := range container.Env {
			values[v.Name] = expandAsTheKubelet(v.Value, lookUp)
		}
		if got := expandAsTheKubelet(container.Args[1], lookUp); got != text {
			t.Errorf("%q reaches the program as %q", text, got)
		}
	}
}

func TestUnguardedArguments(t *testing.T) {
	at := func(field string, index int, variable string) jobs.Unguarded {
		return jobs.Unguarded{Field: fmt.Sprintf("%s[%d]", field, index), Variable: variable}
	}
	for name, tc := range map[string]struct {
		command, args []string
		want          []jobs.Unguarded
	}{
		"nothing":                {},
		"text of the alert":      {command: []string{"kubectl", "delete", "pod"}, args: []string{"$POD"}, want: []jobs.Unguarded{at("args", 0, "POD")}},
		"in braces":              {command: []string{"rm", "${POD}"}, want: []jobs.Unguarded{at("command", 1, "POD")}},
		"by a reference":         {args: []string{"rm", "$REFERENCE"}, want: []jobs.Unguarded{at("args", 1, "REFERENCE")}},
		"Karo's own":             {args: []string{"$KARO_ALERT_NAME", "$KARO_ALERT"}, want: []jobs.Unguarded{at("args", 0, "KARO_ALERT_NAME"), at("args", 1, "KARO_ALERT")}},
		"each of them":           {command: []string{"rm", "$POD"}, args: []string{"$POD"}, want: []jobs.Unguarded{at("command", 1, "POD"), at("args", 0, "POD")}},
		"behind --":              {command: []string{"rm", "--", "$POD"}, args: []string{"$POD"}},
		"behind -- in the args":  {command: []string{"rm"}, args: []string{"-f", "--", "$POD"}},
		"before --":              {command: []string{"rm", "$POD", "--", "$POD"}, want: []jobs.Unguarded{at("command", 1, "POD")}},
		"a text of the author":   {args: []string{"$FIXED", "$IP", "text"}},
		"what Karo chooses":      {args: []string{"$KARO_STATUS", "$KARO_REACTION", "$KARO_EXECUTION"}},
		"a part of an argument":  {args: []string{"--pod=$POD", "x$POD"}},
		"a script":               {command: []string{"sh", "-c", "$POD"}},
		"what a script is given": {command: []string{"sh", "-c", `rm "$0"`, "$POD"}, want: []jobs.Unguarded{at("command", 3, "POD")}},
		"no variable":            {args: []string{"$OTHER"}},
		"as the kubelet has it":  {args: []string{"$(POD)", "$(FIXED)", "x$(POD)"}, want: []jobs.Unguarded{at("args", 0, "POD")}},
	} {
		t.Run(name, func(t *testing.T) {
			if got := jobs.UnguardedArguments(ofPod(tc.command, tc.args)); !slices.Equal(got, tc.want) {
				t.Errorf("got %v, want %v", got, tc.want)
			}
		})
	}
	// A variable that the author declares hides the one that Karo has.
	action := ofPod(nil, []string{"$KARO_ALERT"})
	action.Env = append(action.Env, karo.EnvVar{Name: "KARO_ALERT", Literal: "mine"})
	if got := jobs.UnguardedArguments(action); got != nil {
		t.Errorf("got %v, want nothing said of a text of the author", got)
	}
	// In a template it is the kubelet's references that count.
	template := &karo.Action{JobTemplate: &batchv1.JobTemplateSpec{}}
	template.JobTemplate.Spec.Template.Spec.Containers = []corev1.Container{
		{Args: []string{"$(KARO_ALERT_NAME)"}, Env: []corev1.EnvVar{{Name: "KARO_ALERT_NAME", Value: "mine"}}},
		{Command: []string{"rm", "$(KARO_ALERT_NAME)"}, Args: []string{"$(OTHER)", "--", "$(KARO_ALERT)"}},
	}
	want := []jobs.Unguarded{{Field: "jobTemplate.spec.template.spec.containers[1].command[1]", Variable: "KARO_ALERT_NAME"}}
	if got := jobs.UnguardedArguments(template); !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// The containers of a template do not share what they are told, however long it is.
func TestContainersOfATemplateAreApart(t *testing.T) {
	template := &karo.Action{Name: "job", JobTemplate: &batchv1.JobTemplateSpec{}}
	template.JobTemplate.Spec.Template.Spec.Containers = []corev1.Container{
		{Name: "one", Env: []corev1.EnvVar{{Name: "TOKEN", Value: "of one"}, {Name: "KARO_ALERT_NAME", Value: "mine"}}},
		{Name: "two", Env: []corev1.EnvVar{{Name: "OTHER", Value: "of two"}}},
	}
	for _, length := range []int{0, 150 << 10, 250 << 10, 350 << 10} {
		e := execution()
		e.Spec.Alert.Annotations = map[string]string{"long": strings.Repeat("x", length)}
		containers := build(t, e, &karo.AlertReactionSpec{}, template).Spec.Template.Spec.Containers
		for i, want := range [][]string{{"TOKEN=of one", "KARO_ALERT_NAME=mine"}, {"OTHER=of two"}} {
			var got []string
			for _, v := range containers[i].Env[len(containers[i].Env)-len(want):] {
				got = append(got, v.Name+"="+v.Value)
			}
			if !slices.Equal(got, want) {
				t.Errorf("%d bytes: container %d ends with %q, want %q", length, i, got, want)
			}
		}
		named := slices.IndexFunc(containers[1].Env, func(v corev1.EnvVar) bool { return v.Name == "KARO_ALERT_NAME" })
		if named < 0 || containers[1].Env[named].Value != e.Spec.Alert.Name {
			t.Errorf("%d bytes: the second container has the variables of the first", length)
		}
	}
}

// What no program can be given is said when the Job is built, and not by a container that does not start.
func TestAValueThatIsTooLong(t *testing.T) {
	for length, fits := range map[int]bool{127 << 10: true, 127<<10 + 1: false} {
		e := execution()
		e.Spec.Alert.Labels["pod"] = strings.Repeat("$", length)
		e.Spec.Alert.Name = strings.Repeat("x", 200<<10)
		job, err := jobs.Build(e, &karo.AlertReactionSpec{}, ofPod(nil, nil))
		if fits != (err == nil) {
			t.Errorf("%d bytes: %v", length, err)
		}
		if err != nil {
			continue
		}
		for _, v := range job.Spec.Template.Spec.Containers[0].Env {
			if value := strings.ReplaceAll(v.Value, "$$", "$"); len(value) > 127<<10 {
				t.Errorf("%s has %d bytes", v.Name, len(value))
			}
		}
	}
}

// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

package jobs_test

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"karo.io/karo/pkg/apis/karo"
	"karo.io/karo/pkg/jobs"
)

// A Job says all of its Execution: what it says of the alert tells, after a loss, that the same alert has run.
func TestExecutionOfItsJob(t *testing.T) {
	actions := func(env ...karo.EnvVar) *karo.AlertReactionSpec {
		return &karo.AlertReactionSpec{Actions: []karo.Action{{Name: "first", Image: "i", Env: env}, {Name: "second", Image: "i"}}}
	}
	for name, tc := range map[string]struct {
		change func(*karo.Execution)
		spec   *karo.AlertReactionSpec
	}{
		"of an alert": {func(*karo.Execution) {}, actions()},
		"with everything": {func(e *karo.Execution) {
			e.Spec.Trigger, e.Spec.TriggeredBy = karo.TriggerNotification, "system:serviceaccount:monitoring:alertmanager"
			e.Spec.After, e.Spec.ReceivedAt, e.Spec.Follows = "before", instant(3, 4), instant(5, 6)
			e.Spec.Alert.Status, e.Spec.Alert.EndsAt = karo.AlertResolved, instant(7, 8)
		}, actions()},
		"by hand":              {func(e *karo.Execution) { e.Spec.Trigger, e.Spec.Alert.StartsAt = karo.TriggerManual, nil }, actions()},
		"text that is escaped": {func(e *karo.Execution) { e.Spec.Alert.Annotations["a"] = "$$(A) $ \x00 \" \\u0000 ${B}$$$ ü" }, actions()},
		"a large alert": {func(e *karo.Execution) {
			e.Spec.Alert.Annotations["a"] = strings.Repeat("$ü", 100<<10)
		}, actions()},
		"a variable that the author took": {func(*karo.Execution) {}, &karo.AlertReactionSpec{JobTemplate: &batchv1.JobTemplateSpec{
			Spec: batchv1.JobSpec{Template: corev1.PodTemplateSpec{Spec: corev1.PodSpec{
				InitContainers: []corev1.Container{{Name: "a", Env: []corev1.EnvVar{{Name: "KARO_ALERT", Value: `{"labels":{"alertname":"Other"}}`}}}},
				Containers:     []corev1.Container{{Name: "b"}},
			}}},
		}}},
	} {
		t.Run(name, func(t *testing.T) {
			want := execution()
			tc.change(want)
			all, err := jobs.All(want, tc.spec)
			if err != nil {
				t.Fatal(err)
			}
			want.Generation, want.Labels = 1, map[string]string{"karo.io/reaction": "restart"}
			want.Status.Phase = karo.PhasePending
			for _, action := range jobs.Actions(tc.spec) {
				want.Status.Actions = append(want.Status.Actions, karo.ActionStatus{Name: action.Name, Phase: karo.PhasePending})
			}
			for i := range all {
				if diff := cmp.Diff(want, jobs.Execution(&all[i])); diff != "" {
					t.Errorf("(-want +got):\n%s", diff)
				}
			}
		})
	}
}

// Of a Job that does not say what it belongs to there is enough for its owner to be there.
func TestExecutionOfAJobThatSaysLittle(t *testing.T) {
	e := execution()
	e.Name = "restart-abcdefghijklmnopqrstuvwxyz"
	job := build(t, e, &karo.AlertReactionSpec{}, &karo.Action{Name: "a", Image: "i", Env: []karo.EnvVar{{Name: "KARO_ALERT", Literal: "x"}}})
	delete(job.Annotations, "karo.io/run")
	want := &karo.Execution{
		ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: e.Name, UID: e.UID, Generation: 1, Labels: map[string]string{"karo.io/reaction": "restart"}},
		Spec: karo.ExecutionSpec{
			Reaction: karo.ReactionReference{Name: "restart"}, Trigger: karo.TriggerNotification,
			Alert: karo.AlertOccurrence{
				Name: "KubePodCrashLooping", Status: karo.AlertFiring, Labels: map[string]string{"alertname": "KubePodCrashLooping"},
				Fingerprint: "0123456789abcdef",
			},
		},
		Status: karo.ExecutionStatus{Phase: karo.PhasePending, Actions: []karo.ActionStatus{{Name: "a", Phase: karo.PhasePending}}},
	}
	if diff := cmp.Diff(want, jobs.Execution(job)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// Only a Job whose controller is an Execution is Karo's.
func TestOwner(t *testing.T) {
	for name, tc := range map[string]struct {
		change func(*metav1.OwnerReference)
		owned  bool
	}{
		"an Execution":    {func(*metav1.OwnerReference) {}, true},
		"no controller":   {func(r *metav1.OwnerReference) { r.Controller = nil }, false},
		"another kind":    {func(r *metav1.OwnerReference) { r.Kind = "AlertReaction" }, false},
		"another group":   {func(r *metav1.OwnerReference) { r.APIVersion = "example.com/v1" }, false},
		"another version": {func(r *metav1.OwnerReference) { r.APIVersion = "karo.io/v1alpha1" }, false},
	} {
		job := build(t, execution(), &karo.AlertReactionSpec{}, &karo.Action{Name: "a", Image: "i"})
		tc.change(&job.OwnerReferences[0])
		if got := jobs.Owner(job) != nil; got != tc.owned {
			t.Errorf("%s: got %t", name, got)
		}
	}
}

// Whoever may create Jobs may write anything into the annotation. What Karo cannot have written counts as nothing.
func TestExecutionOfAJobThatSaysTooMuch(t *testing.T) {
	many := make([]string, 101)
	for i := range many {
		many[i] = strconv.Itoa(i)
	}
	for name, tc := range map[string]struct {
		actions []string
		want    []string
		empty   bool
	}{
		"as many as may be": {append([]string{"a"}, many[:99]...), append([]string{"a"}, many[:99]...), false},
		"too many":          {many, []string{"a"}, true},
		"a long name":       {[]string{"a", strings.Repeat("x", 254)}, []string{"a"}, true},
		"the same again":    {append([]string{"a"}, slices.Repeat([]string{"b"}, 1000)...), []string{"a", "b"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			job := build(t, execution(), &karo.AlertReactionSpec{}, &karo.Action{Name: "a", Image: "i"})
			text, err := json.Marshal(map[string]any{
				"spec": map[string]any{"reaction": map[string]any{"name": "restart"}, "receiver": "told"}, "actions": tc.actions,
			})
			if err != nil {
				t.Fatal(err)
			}
			job.Annotations["karo.io/run"] = string(text)
			e := jobs.Execution(job)
			var got []string
			for _, action := range e.Status.Actions {
				got = append(got, action.Name)
			}
			if !slices.Equal(got, tc.want) || (e.Spec.Receiver == "") != tc.empty {
				t.Errorf("got actions %q, receiver %q", got, e.Spec.Receiver)
			}
		})
	}
}

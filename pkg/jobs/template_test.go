// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

package jobs_test

import (
	"maps"
	"testing"

	"github.com/google/go-cmp/cmp"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"karo.io/karo/pkg/apis/karo"
	"karo.io/karo/pkg/jobs"
	"karo.io/karo/pkg/names"
)

func TestActions(t *testing.T) {
	template := &batchv1.JobTemplateSpec{}
	spec := &karo.AlertReactionSpec{Actions: []karo.Action{{Name: "a"}, {Name: "b"}}}
	if diff := cmp.Diff(spec.Actions, jobs.Actions(spec)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	spec = &karo.AlertReactionSpec{JobTemplate: template}
	if diff := cmp.Diff([]karo.Action{{Name: "job", JobTemplate: template}}, jobs.Actions(spec)); diff != "" {
		t.Errorf("of a Job template as a whole (-want +got):\n%s", diff)
	}
}

// Nothing of a whole Job is changed but what the comment of the field says.
func TestBuildOfATemplate(t *testing.T) {
	e := execution()
	template := &batchv1.JobTemplateSpec{
		ObjectMeta: metav1.ObjectMeta{
			Name:        "its own name does not count",
			Labels:      map[string]string{"team": "shop", "karo/owner": "forged"},
			Annotations: map[string]string{"note": "kept", "karo.io/fingerprint": "forged"},
		},
		Spec: batchv1.JobSpec{
			Parallelism: new(int32(2)), BackoffLimit: new(int32(6)), ActiveDeadlineSeconds: new(int64(5)), TTLSecondsAfterFinished: new(int32(7)),
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"pod": "label"}},
				Spec: corev1.PodSpec{
					InitContainers: []corev1.Container{{Name: "init", Image: "i"}},
					Containers: []corev1.Container{
						{Name: "main", Image: "i", Args: []string{"$KARO_ALERT"}, Env: []corev1.EnvVar{{Name: "KARO_STATUS", Value: "mine"}, {Name: "A", Value: "$(KARO_STATUS)"}}},
						{Name: "side", Image: "j", TerminationMessagePolicy: corev1.TerminationMessageReadFile},
					},
				},
			},
		},
	}
	action := &karo.Action{Name: "whole", JobTemplate: template}
	spec := &karo.AlertReactionSpec{ServiceAccountName: "remediation", Actions: []karo.Action{*action}, Volumes: []corev1.Volume{{Name: "v"}}}
	before := template.DeepCopy()
	got := build(t, e, spec, action)
	if diff := cmp.Diff(before, template); diff != "" {
		t.Errorf("the template was changed:\n%s", diff)
	}

	own := map[string]string{
		"app.kubernetes.io/name": "karo-job", "app.kubernetes.io/managed-by": "karo", "karo/alert-name": "KubePodCrashLooping",
		"karo/action-name": "whole", "karo/owner": "restart", "karo.io/execution": "restart-abc", "karo.io/reaction": "restart",
	}
	notes := map[string]string{
		"karo.io/alert-name": "KubePodCrashLooping", "karo.io/action-name": "whole", "karo.io/reaction": "restart",
		"karo.io/fingerprint": "0123456789abcdef", "karo.io/starts-at": "2026-03-01T12:00:00.123456789Z", "karo.io/receiver": "team/a",
	}
	both := func(a, b map[string]string) map[string]string {
		merged := maps.Clone(a)
		maps.Copy(merged, b)
		return merged
	}
	alert := ofTheAlert()
	fallback := corev1.TerminationMessageFallbackToLogsOnError
	want := &batchv1.Job{
		TypeMeta: metav1.TypeMeta{APIVersion: "batch/v1", Kind: "Job"},
		ObjectMeta: metav1.ObjectMeta{
			Name: names.Job(e, "whole"), Namespace: "ns",
			Labels: both(own, map[string]string{"team": "shop"}), Annotations: withRun(both(notes, map[string]string{"note": "kept"}), `"whole"`),
			OwnerReferences: []metav1.OwnerReference{{
				APIVersion: "karo.io/v1", Kind: "Execution", Name: "restart-abc", UID: "execution-uid", Controller: new(true),
			}},
		},
		Spec: batchv1.JobSpec{
			Parallelism: new(int32(2)), BackoffLimit: new(int32(6)), ActiveDeadlineSeconds: new(int64(5)),
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: both(own, map[string]string{"pod": "label"}), Annotations: notes},
				Spec: corev1.PodSpec{
					RestartPolicy: corev1.RestartPolicyNever, ServiceAccountName: "remediation",
					InitContainers: []corev1.Container{{Name: "init", Image: "i", Env: alert, TerminationMessagePolicy: fallback}},
					Containers: []corev1.Container{
						{
							Name: "main", Image: "i", Args: []string{"$KARO_ALERT"}, TerminationMessagePolicy: fallback,
							Env: []corev1.EnvVar{alert[0], alert[1], alert[3], alert[4], {Name: "KARO_STATUS", Value: "mine"}, {Name: "A", Value: "$(KARO_STATUS)"}},
						},
						{Name: "side", Image: "j", Env: alert, TerminationMessagePolicy: corev1.TerminationMessageReadFile},
					},
				},
			},
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// What a template says of its pod stays, and only what it does not say is filled in.
func TestPodOfATemplate(t *testing.T) {
	for name, tc := range map[string]struct{ given, want corev1.PodSpec }{
		"nothing":                        {corev1.PodSpec{}, corev1.PodSpec{RestartPolicy: "Never", ServiceAccountName: "ofReaction"}},
		"restartPolicy":                  {corev1.PodSpec{RestartPolicy: "OnFailure"}, corev1.PodSpec{RestartPolicy: "OnFailure", ServiceAccountName: "ofReaction"}},
		"serviceAccountName":             {corev1.PodSpec{ServiceAccountName: "own"}, corev1.PodSpec{RestartPolicy: "Never", ServiceAccountName: "own"}},
		"the old name of serviceAccount": {corev1.PodSpec{DeprecatedServiceAccount: "own"}, corev1.PodSpec{RestartPolicy: "Never", DeprecatedServiceAccount: "own"}},
	} {
		spec := &karo.AlertReactionSpec{ServiceAccountName: "ofReaction", JobTemplate: &batchv1.JobTemplateSpec{}}
		spec.JobTemplate.Spec.Template.Spec = tc.given
		all, err := jobs.All(execution(), spec)
		if err != nil || len(all) != 1 {
			t.Fatalf("%s: got %v and error %v, want one Job", name, all, err)
		}
		if diff := cmp.Diff(tc.want, all[0].Spec.Template.Spec); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestServiceAccountName(t *testing.T) {
	template := func(pod corev1.PodSpec) *batchv1.JobTemplateSpec {
		return &batchv1.JobTemplateSpec{Spec: batchv1.JobSpec{Template: corev1.PodTemplateSpec{Spec: pod}}}
	}
	for name, tc := range map[string]struct {
		reaction string
		action   karo.Action
		want     string
	}{
		"none":                         {"", karo.Action{}, ""},
		"that of the reaction":         {"reaction", karo.Action{}, "reaction"},
		"that of the action":           {"reaction", karo.Action{ServiceAccount: "action"}, "action"},
		"that of the action, by name":  {"reaction", karo.Action{ServiceAccountName: "action"}, "action"},
		"that of the template":         {"reaction", karo.Action{JobTemplate: template(corev1.PodSpec{ServiceAccountName: "template"})}, "template"},
		"that of the template, as old": {"reaction", karo.Action{JobTemplate: template(corev1.PodSpec{DeprecatedServiceAccount: "template"})}, "template"},
		"a template without one":       {"reaction", karo.Action{JobTemplate: template(corev1.PodSpec{})}, "reaction"},
	} {
		if got := jobs.ServiceAccountName(&karo.AlertReactionSpec{ServiceAccountName: tc.reaction}, &tc.action); got != tc.want {
			t.Errorf("%s: got %q, want %q", name, got, tc.want)
		}
	}
}

// What an action says of its container is passed on as it is.
func TestContainerOfAnAction(t *testing.T) {
	action := &karo.Action{
		Name: "a", Image: "i", ImagePullPolicy: corev1.PullAlways, ServiceAccountName: "own",
		EnvFrom: []corev1.EnvFromSource{{
			Prefix: "P_", SecretRef: &corev1.SecretEnvSource{LocalObjectReference: corev1.LocalObjectReference{Name: "s"}},
		}},
		SecurityContext: &corev1.SecurityContext{RunAsNonRoot: new(true)},
	}
	pod := build(t, execution(), &karo.AlertReactionSpec{ServiceAccountName: "reaction"}, action).Spec.Template.Spec
	want := corev1.PodSpec{
		RestartPolicy: corev1.RestartPolicyNever, ServiceAccountName: "own",
		Containers: []corev1.Container{{
			Name: "action", Image: "i", ImagePullPolicy: corev1.PullAlways, Env: ofTheAlert(), EnvFrom: action.EnvFrom,
			SecurityContext: action.SecurityContext, TerminationMessagePolicy: corev1.TerminationMessageFallbackToLogsOnError,
		}},
	}
	if diff := cmp.Diff(want, pod); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestTTL(t *testing.T) {
	for name, tc := range map[string]struct {
		action karo.Action
		want   int32
	}{
		"none":                  {karo.Action{}, 3600},
		"of the action":         {karo.Action{TTLSecondsAfterFinished: new(int32(0))}, 0},
		"of the template":       {karo.Action{JobTemplate: &batchv1.JobTemplateSpec{Spec: batchv1.JobSpec{TTLSecondsAfterFinished: new(int32(5))}}}, 5},
		"a template, with none": {karo.Action{JobTemplate: &batchv1.JobTemplateSpec{}}, 3600},
	} {
		if got := jobs.TTL(&tc.action); got != tc.want {
			t.Errorf("%s: got %d, want %d", name, got, tc.want)
		}
	}
}

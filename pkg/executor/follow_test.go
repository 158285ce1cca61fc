// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

package executor

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"karo.io/karo/pkg/apis/karo"
)

func waits(reason, message string) corev1.ContainerStatus {
	return corev1.ContainerStatus{State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: message}}}
}

func exited(code int32, message string) corev1.ContainerStatus {
	return corev1.ContainerStatus{State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: code, Message: message}}}
}

func pod(status corev1.PodStatus) *corev1.Pod { return &corev1.Pod{Status: status} }

func TestWaitingFor(t *testing.T) {
	scheduled := func(status corev1.ConditionStatus) []corev1.PodCondition {
		return []corev1.PodCondition{{Type: corev1.PodScheduled, Status: status, Reason: "Unschedulable", Message: "0/1 nodes"}}
	}
	for name, tc := range map[string]struct {
		pod             *corev1.Pod
		reason, message string
	}{
		"no pod":                    {},
		"nothing is known of it":    {pod: pod(corev1.PodStatus{})},
		"it is about to start":      {pod: pod(corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{waits("ContainerCreating", "m")}})},
		"others are to start first": {pod: pod(corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{waits("PodInitializing", "m")}})},
		"no reason":                 {pod: pod(corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{waits("", "m")}})},
		"the image":                 {pod(corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{waits("ImagePullBackOff", "back-off")}}), "ImagePullBackOff", "back-off"},
		"of one that comes first": {
			pod(corev1.PodStatus{
				InitContainerStatuses: []corev1.ContainerStatus{exited(0, ""), waits("ErrImagePull", "no such image")},
				ContainerStatuses:     []corev1.ContainerStatus{waits("PodInitializing", "")},
			}), "ErrImagePull", "no such image",
		},
		"the second container": {
			pod(corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{{State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}}, waits("CrashLoopBackOff", "m")}}),
			"CrashLoopBackOff", "m",
		},
		"a node":       {pod(corev1.PodStatus{Conditions: scheduled(corev1.ConditionFalse)}), "Unschedulable", "0/1 nodes"},
		"it has a one": {pod: pod(corev1.PodStatus{Conditions: scheduled(corev1.ConditionTrue)})},
		"it runs":      {pod: pod(corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{{State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}}}})},
	} {
		if reason, message := waitingFor(tc.pod); reason != tc.reason || message != tc.message {
			t.Errorf("%s: got %q, %q, want %q, %q", name, reason, message, tc.reason, tc.message)
		}
	}
}

func TestOutcomeOf(t *testing.T) {
	for name, tc := range map[string]struct {
		status  corev1.PodStatus
		code    *int32
		message string
	}{
		"nothing":         {},
		"evicted":         {corev1.PodStatus{Message: "the node was low on memory"}, nil, "the node was low on memory"},
		"succeeded":       {corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{exited(0, "done")}}, new(int32(0)), "done"},
		"failed":          {corev1.PodStatus{Message: "of the pod", ContainerStatuses: []corev1.ContainerStatus{exited(3, "last lines")}}, new(int32(3)), "last lines"},
		"the first fails": {corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{exited(1, "one"), exited(2, "two")}}, new(int32(1)), "one"},
		"the second fails": {
			corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{exited(0, "one"), exited(2, "two"), exited(0, "three")}}, new(int32(2)), "two",
		},
		"one that comes first fails": {
			corev1.PodStatus{InitContainerStatuses: []corev1.ContainerStatus{exited(4, "init")}, ContainerStatuses: []corev1.ContainerStatus{waits("PodInitializing", "")}},
			new(int32(4)), "init",
		},
		"one beside it is stopped at the end": {
			corev1.PodStatus{InitContainerStatuses: []corev1.ContainerStatus{exited(143, "")}, ContainerStatuses: []corev1.ContainerStatus{exited(0, "done")}},
			new(int32(0)), "done",
		},
		"one beside it is stopped when it fails": {
			corev1.PodStatus{InitContainerStatuses: []corev1.ContainerStatus{exited(143, "")}, ContainerStatuses: []corev1.ContainerStatus{exited(3, "why")}},
			new(int32(3)), "why",
		},
		"what runs says nothing": {
			corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{exited(0, "one"), {State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}}}}, new(int32(0)), "one",
		},
	} {
		got := outcomeOf(pod(tc.status))
		if diff := cmp.Diff(tc.code, got.exitCode); diff != "" || got.message != tc.message {
			t.Errorf("%s: got the message %q, want %q (-want +got):\n%s", name, got.message, tc.message, diff)
		}
	}
}

// Of several pods that which ended as the Job did says why, and of those the last.
func TestLatest(t *testing.T) {
	job := &batchv1.Job{ObjectMeta: metav1.ObjectMeta{Name: "j", UID: "u"}}
	owner := []metav1.OwnerReference{*metav1.NewControllerRef(job, batchv1.SchemeGroupVersion.WithKind("Job"))}
	of := func(name string, created int64, phase corev1.PodPhase) *corev1.Pod {
		return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name, CreationTimestamp: *at(created), OwnerReferences: owner}, Status: corev1.PodStatus{Phase: phase}}
	}
	foreign := of("foreign", 9, corev1.PodFailed)
	foreign.OwnerReferences = nil
	pods := []*corev1.Pod{of("b", 1, corev1.PodFailed), of("a", 1, corev1.PodFailed), of("c", 2, corev1.PodSucceeded), of("d", 1, corev1.PodSucceeded), foreign}
	for phase, want := range map[corev1.PodPhase]string{corev1.PodFailed: "b", corev1.PodSucceeded: "c", "": "c", corev1.PodPending: "c"} {
		for range pods {
			pods = append(pods[1:], pods[0])
			if got := latest(job, pods, phase); got.Name != want {
				t.Errorf("%q: got %s, want %s", phase, got.Name, want)
			}
		}
	}
	if got := latest(job, []*corev1.Pod{foreign}, ""); got != nil {
		t.Errorf("got %s, which is of another", got.Name)
	}
}

// All pods of Karo are kept in memory, but not what a storm of them would fill it with.
func TestStatusOnly(t *testing.T) {
	given := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Name: "p", Namespace: "ns", Labels: map[string]string{"a": "b"}, Annotations: map[string]string{"karo.io/receiver": "r"},
			OwnerReferences: []metav1.OwnerReference{{Name: "j"}}, ManagedFields: []metav1.ManagedFieldsEntry{{Manager: "m"}},
		},
		Spec:   corev1.PodSpec{Containers: []corev1.Container{{Env: []corev1.EnvVar{{Name: "KARO_ALERT", Value: "{}"}}}}},
		Status: corev1.PodStatus{Phase: corev1.PodRunning},
	}
	want := given.DeepCopy()
	want.Annotations, want.ManagedFields, want.Spec = nil, nil, corev1.PodSpec{}
	got, err := statusOnly(given)
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("got error %v (-want +got):\n%s", err, diff)
	}
	other := &karo.Execution{}
	if got, err := statusOnly(other); err != nil || got != any(other) {
		t.Errorf("got %v and error %v, want what is no pod as it is", got, err)
	}
}

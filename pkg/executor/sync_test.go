// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

package executor

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"karo.io/karo/pkg/apis/karo"
	"karo.io/karo/pkg/apis/karo/validation"
)

// actions returns actions a, b, c… in these phases. What runs has a Job.
func actions(phases ...karo.Phase) []karo.ActionStatus {
	var all []karo.ActionStatus
	for i, phase := range phases {
		action := karo.ActionStatus{Name: string(rune('a' + i)), Phase: phase}
		if phase == running {
			action.JobUID = types.UID("job-" + action.Name)
		}
		all = append(all, action)
	}
	return all
}

const (
	pending   = karo.PhasePending
	running   = karo.PhaseRunning
	succeeded = karo.PhaseSucceeded
	failed    = karo.PhaseFailed
	cancelled = karo.PhaseCancelled
	skipped   = karo.PhaseSkipped
)

func TestPhaseOf(t *testing.T) {
	for _, tc := range []struct {
		actions []karo.ActionStatus
		want    karo.Phase
	}{
		{actions(pending), pending},
		{actions(running), running},
		{actions(succeeded), succeeded},
		{actions(failed), failed},
		{actions(succeeded, succeeded), succeeded},
		// It is not over while anything has not ended, whatever has failed.
		{actions(failed, running), running},
		{actions(running, failed), running},
		{actions(failed, pending), running},
		{actions(pending, failed), running},
		{actions(succeeded, pending, running), running},
		{actions(running, pending), running},
		{actions(succeeded, running, succeeded), running},
		{actions(cancelled, running), running},
		{actions(cancelled, pending), running},
		{actions(succeeded, failed), failed},
		{actions(failed, succeeded), failed},
		{actions(failed, failed), failed},
		// What did not run because of one that failed says nothing of its own.
		{actions(failed, skipped), failed},
		{actions(succeeded, failed, skipped), failed},
		// Who stops a run has to see that it was stopped.
		{actions(cancelled), cancelled},
		{actions(failed, cancelled), cancelled},
		{actions(cancelled, failed, skipped), cancelled},
		{actions(succeeded, cancelled), cancelled},
		// Nothing has started, whether or not it is known yet what is to.
		{nil, pending},
		{actions(pending, pending), pending},
		{actions(""), pending},
	} {
		if got := phaseOf(tc.actions); got != tc.want {
			t.Errorf("%v: got %s, want %s", tc.actions, got, tc.want)
		}
	}
}

func TestIsFinished(t *testing.T) {
	for phase, want := range map[karo.Phase]bool{"": false, pending: false, running: false, succeeded: true, failed: true, cancelled: true, skipped: true} {
		if got := isFinished(phase); got != want {
			t.Errorf("%s: got %t, want %t", phase, got, want)
		}
	}
}

func at(seconds int64) *metav1.Time {
	t := metav1.Unix(seconds, 0)
	return &t
}

func TestSummarize(t *testing.T) {
	ended := func(condition, reason, message string) []metav1.Condition {
		return []metav1.Condition{
			{Type: condition, Status: metav1.ConditionTrue, Reason: reason, Message: message, ObservedGeneration: 7},
			{Type: "Finished", Status: metav1.ConditionTrue, Reason: reason, Message: message, ObservedGeneration: 7},
		}
	}
	started := func(actions []karo.ActionStatus, seconds ...int64) []karo.ActionStatus {
		for i, s := range seconds {
			if s > 0 {
				actions[i].StartTime = at(s)
			}
		}
		return actions
	}
	for name, tc := range map[string]struct {
		given, want karo.ExecutionStatus
		over        bool
	}{
		"pending": {
			given: karo.ExecutionStatus{Phase: pending, Actions: actions(pending)},
			want:  karo.ExecutionStatus{Phase: pending, Actions: actions(pending)},
		},
		"running, since the first Job": {
			given: karo.ExecutionStatus{Phase: pending, Actions: started(actions(running, succeeded, running), 30, 10, 20)},
			want:  karo.ExecutionStatus{Phase: running, StartTime: at(10), Actions: started(actions(running, succeeded, running), 30, 10, 20)},
		},
		"a start that is known stays": {
			given: karo.ExecutionStatus{Phase: running, StartTime: at(5), Actions: started(actions(running), 10)},
			want:  karo.ExecutionStatus{Phase: running, StartTime: at(5), Actions: started(actions(running), 10)},
		},
		"one has started, one waits": {
			given: karo.ExecutionStatus{Phase: pending, Actions: started(actions(running, pending), 10)},
			want:  karo.ExecutionStatus{Phase: running, StartTime: at(10), Actions: started(actions(running, pending), 10)},
		},
		"succeeded": {
			given: karo.ExecutionStatus{Phase: running, Actions: actions(succeeded, succeeded)},
			want: karo.ExecutionStatus{
				Phase: succeeded, Actions: actions(succeeded, succeeded),
				Conditions: ended("Complete", "Succeeded", "every job completed"),
			},
			over: true,
		},
		"failed": {
			given: karo.ExecutionStatus{Phase: running, Actions: actions(failed, succeeded, failed)},
			want: karo.ExecutionStatus{
				Phase: failed, Actions: actions(failed, succeeded, failed),
				Conditions: ended("Failed", "ActionFailed", "failed actions: a, c"),
			},
			over: true,
		},
		"cancelled": {
			given: karo.ExecutionStatus{Phase: running, Actions: actions(succeeded, failed, cancelled)},
			want: karo.ExecutionStatus{
				Phase: cancelled, Actions: actions(succeeded, failed, cancelled),
				Conditions: ended("Cancelled", "Cancelled", "cancelled on request"),
			},
			over: true,
		},
		"cancelled before there were actions": {
			given: karo.ExecutionStatus{Phase: cancelled},
			want:  karo.ExecutionStatus{Phase: cancelled, Conditions: ended("Cancelled", "Cancelled", "cancelled on request")},
			over:  true,
		},
		"what comes after one that failed is skipped": {
			given: karo.ExecutionStatus{Phase: running, Actions: actions(succeeded, failed, skipped)},
			want: karo.ExecutionStatus{
				Phase: failed, Actions: actions(succeeded, failed, skipped),
				Conditions: ended("Failed", "ActionFailed", "failed actions: b"),
			},
			over: true,
		},
		"one has failed, one runs": {
			given: karo.ExecutionStatus{Phase: running, Actions: actions(failed, running)},
			want:  karo.ExecutionStatus{Phase: running, Actions: actions(failed, running)},
		},
		"the revision is gone": {
			given: karo.ExecutionStatus{Phase: failed, Reason: reasonRevisionGone},
			want: karo.ExecutionStatus{
				Phase: failed, Reason: reasonRevisionGone,
				Conditions: ended("Failed", "RevisionGone", "the revision of the reaction that was to run is gone"),
			},
			over: true,
		},
		"the revision is gone while a Job runs": {
			given: karo.ExecutionStatus{Phase: failed, Reason: reasonRevisionGone, Actions: actions(running)},
			want: karo.ExecutionStatus{
				Phase: failed, Reason: reasonRevisionGone, Actions: actions(running),
				Conditions: ended("Failed", "RevisionGone", "the revision of the reaction that was to run is gone"),
			},
			over: true,
		},
	} {
		t.Run(name, func(t *testing.T) {
			e := &karo.Execution{ObjectMeta: metav1.ObjectMeta{Generation: 7}, Status: tc.given}
			before := time.Now()
			summarize(e)
			diff := cmp.Diff(tc.want, e.Status,
				cmpopts.IgnoreFields(karo.ExecutionStatus{}, "CompletionTime"),
				cmpopts.IgnoreFields(metav1.Condition{}, "LastTransitionTime"))
			if diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if over := e.Status.CompletionTime != nil; over != tc.over {
				t.Fatalf("it is over: got %t, want %t", over, tc.over)
			}
			if tc.over && e.Status.CompletionTime.Time.Before(before) {
				t.Errorf("it ended at %s, before %s", e.Status.CompletionTime, before)
			}
			// What the executor writes has to pass the validation, or it would write for ever.
			e.Namespace, e.Name, e.ResourceVersion = "ns", "e", "1"
			if errs := validation.ExecutionStatusUpdate(e, e); len(errs) > 0 {
				t.Errorf("the status cannot be stored: %v", errs)
			}
			if !tc.over {
				return
			}
			for _, condition := range []string{"Finished", map[karo.Phase]string{succeeded: "Complete", failed: "Failed", cancelled: "Cancelled"}[tc.want.Phase]} {
				if !meta.IsStatusConditionTrue(e.Status.Conditions, condition) {
					t.Errorf("the condition %s is not true", condition)
				}
			}
		})
	}
}

func TestIsPermanent(t *testing.T) {
	jobs := schema.GroupResource{Group: "batch", Resource: "jobs"}
	terminating := apierrors.NewForbidden(jobs, "j", errors.New("namespace ns is being terminated"))
	terminating.ErrStatus.Details.Causes = append(terminating.ErrStatus.Details.Causes, metav1.StatusCause{Type: corev1.NamespaceTerminatingCause})
	for name, tc := range map[string]struct {
		err  error
		want bool
	}{
		"invalid": {
			apierrors.NewInvalid(schema.GroupKind{Group: "batch", Kind: "Job"}, "j", field.ErrorList{field.Required(field.NewPath("spec"), "")}), true,
		},
		"bad request":          {apierrors.NewBadRequest("unknown field"), true},
		"too large":            {apierrors.NewRequestEntityTooLargeError("limit is 3145728"), true},
		"forbidden by webhook": {apierrors.NewForbidden(jobs, "j", errors.New(`admission webhook "w" denied the request: no`)), true},
		"namespace is going":   {terminating, true},
		"wrapped":              {fmt.Errorf("creating: %w", apierrors.NewBadRequest("unknown field")), true},

		"quota":               {apierrors.NewForbidden(jobs, "j", errors.New("exceeded quota: q, requested: count/jobs.batch=1, used: 1, limited: 1")), false},
		"forbidden by RBAC":   {apierrors.NewForbidden(jobs, "j", errors.New(`User "karo" cannot create resource "jobs"`)), false},
		"admission starting":  {apierrors.NewForbidden(jobs, "j", errors.New("not yet ready to handle request")), false},
		"too many requests":   {apierrors.NewTooManyRequests("slow down", 1), false},
		"timeout":             {apierrors.NewTimeoutError("too slow", 1), false},
		"server timeout":      {apierrors.NewServerTimeout(jobs, "create", 1), false},
		"internal":            {apierrors.NewInternalError(errors.New("webhook failed")), false},
		"unavailable":         {apierrors.NewServiceUnavailable("starting"), false},
		"unauthorized":        {apierrors.NewUnauthorized("token expired"), false},
		"conflict":            {apierrors.NewConflict(jobs, "j", errors.New("quota was changed")), false},
		"not found":           {apierrors.NewNotFound(jobs, "j"), false},
		"network":             {errors.New("connection refused"), false},
		"deadline":            {context.DeadlineExceeded, false},
		"nothing went wrong?": {errors.New(""), false},
	} {
		if got := isPermanent(tc.err); got != tc.want {
			t.Errorf("%s (%v): got %t, want %t", name, tc.err, got, tc.want)
		}
	}
}

func TestJobEnd(t *testing.T) {
	condition := func(of batchv1.JobConditionType, status corev1.ConditionStatus) batchv1.JobCondition {
		return batchv1.JobCondition{Type: of, Status: status}
	}
	for name, tc := range map[string]struct {
		conditions []batchv1.JobCondition
		want       batchv1.JobConditionType
	}{
		"none":                 {nil, ""},
		"complete":             {[]batchv1.JobCondition{condition(batchv1.JobComplete, corev1.ConditionTrue)}, batchv1.JobComplete},
		"failed":               {[]batchv1.JobCondition{condition(batchv1.JobFailed, corev1.ConditionTrue)}, batchv1.JobFailed},
		"not complete":         {[]batchv1.JobCondition{condition(batchv1.JobComplete, corev1.ConditionFalse)}, ""},
		"unknown":              {[]batchv1.JobCondition{condition(batchv1.JobFailed, corev1.ConditionUnknown)}, ""},
		"suspended":            {[]batchv1.JobCondition{condition(batchv1.JobSuspended, corev1.ConditionTrue)}, ""},
		"its pods are to fail": {[]batchv1.JobCondition{condition(batchv1.JobFailureTarget, corev1.ConditionTrue)}, ""},
		"its pods have done":   {[]batchv1.JobCondition{condition(batchv1.JobSuccessCriteriaMet, corev1.ConditionTrue)}, ""},
		"its pods have failed": {[]batchv1.JobCondition{
			condition(batchv1.JobFailureTarget, corev1.ConditionTrue), condition(batchv1.JobFailed, corev1.ConditionTrue),
		}, batchv1.JobFailed},
	} {
		var got batchv1.JobConditionType
		if ended := jobEnd(&batchv1.Job{Status: batchv1.JobStatus{Conditions: tc.conditions}}); ended != nil {
			got = ended.Type
		}
		if got != tc.want {
			t.Errorf("%s: got %q, want %q", name, got, tc.want)
		}
	}
}

func TestTTL(t *testing.T) {
	actions := []karo.Action{
		{Name: "zero", TTLSecondsAfterFinished: new(int32(0))},
		{Name: "minute", TTLSecondsAfterFinished: new(int32(60))},
		{Name: "none"},
		{Name: "template", JobTemplate: &batchv1.JobTemplateSpec{Spec: batchv1.JobSpec{TTLSecondsAfterFinished: new(int32(90))}}},
		{Name: "template, none", JobTemplate: &batchv1.JobTemplateSpec{}},
	}
	// An action that there is no more is one of a revision that is gone; its Job must go all the same.
	for action, want := range map[string]int32{"zero": 0, "minute": 60, "none": 3600, "template": 90, "template, none": 3600, "gone": 3600} {
		if got := ttl(actions, action); got != want {
			t.Errorf("%s: got %d, want %d", action, got, want)
		}
	}
	if got := ttl(nil, "any"); got != 3600 {
		t.Errorf("without actions: got %d, want 3600", got)
	}
}

func TestActionStatus(t *testing.T) {
	status := &karo.ExecutionStatus{Actions: actions(succeeded)}
	if got := actionStatus(status, "a"); got != &status.Actions[0] {
		t.Errorf("got %+v, want the status that is there", got)
	}
	added := actionStatus(status, "b")
	if diff := cmp.Diff([]karo.ActionStatus{{Name: "a", Phase: succeeded}, {Name: "b", Phase: pending}}, status.Actions); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	added.JobName = "job"
	if status.Actions[1].JobName != "job" {
		t.Error("what is added is a copy")
	}
}

func TestFail(t *testing.T) {
	status := &karo.ActionStatus{Name: "a", Phase: pending, JobName: "job"}
	before := time.Now()
	fail(status, reasonRefused, "no")
	want := karo.ActionStatus{Name: "a", Phase: failed, JobName: "job", Reason: "JobRefused", Message: "no"}
	if diff := cmp.Diff(want, *status, cmpopts.IgnoreFields(karo.ActionStatus{}, "CompletionTime")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if status.CompletionTime == nil || status.CompletionTime.Time.Before(before) {
		t.Errorf("it ended at %s, before %s", status.CompletionTime, before)
	}
}

// Of an Execution that may still need a Job nothing is dropped, and of any nothing that a status, or the memory, needs.
func TestWithoutPast(t *testing.T) {
	full := func(change func(*karo.Execution)) *karo.Execution {
		e := run("e", func(e *karo.Execution) {
			e.Labels = map[string]string{"l": "v"}
			e.Spec.Alert.Annotations, e.Spec.Alert.GeneratorURL = map[string]string{"a": "v"}, "http://g"
		})
		change(e)
		return e
	}
	for name, tc := range map[string]struct {
		change func(*karo.Execution)
		drops  bool
	}{
		"new": {change: func(*karo.Execution) {}},
		"a Job is missing": {change: func(e *karo.Execution) {
			e.Status.Phase = running
			e.Status.Actions = []karo.ActionStatus{{Name: "a", JobUID: "u", Phase: running}, {Name: "b", Phase: pending}}
		}},
		"all Jobs are there": {drops: true, change: func(e *karo.Execution) {
			e.Status.Phase = running
			e.Status.Actions = []karo.ActionStatus{{Name: "a", JobUID: "u", Phase: running}, {Name: "b", Phase: failed}}
		}},
		"it has ended": {drops: true, change: func(e *karo.Execution) { e.Status.Phase = cancelled }},
	} {
		t.Run(name, func(t *testing.T) {
			want := full(tc.change)
			if tc.drops {
				want.Spec.Alert.Annotations, want.Spec.Alert.GeneratorURL = nil, ""
			}
			got, err := WithoutPast(full(tc.change))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

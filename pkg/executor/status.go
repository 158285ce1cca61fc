// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

package executor

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"karo.io/karo/pkg/apis/karo"
	v1 "karo.io/karo/pkg/apis/karo/v1"
	"karo.io/karo/pkg/events"
	"karo.io/karo/pkg/jobs"
)

const firingNotRun = "the run for the firing alert ended before anything of it ran"

// ttl returns for how many seconds the Job of an action is kept. That of a revision that is gone goes all the same.
func ttl(actions []karo.Action, action string) int32 {
	for i := range actions {
		if actions[i].Name == action {
			return jobs.TTL(&actions[i])
		}
	}
	return jobs.DefaultTTLSecondsAfterFinished
}

func fail(status *karo.ActionStatus, reason, message string) {
	end(status, karo.PhaseFailed, reason, message)
}

func end(status *karo.ActionStatus, phase karo.Phase, reason, message string) {
	now := metav1.Now()
	status.Phase, status.Reason, status.Message, status.CompletionTime = phase, reason, message, &now
}

func isFinished(p karo.Phase) bool {
	return p == karo.PhaseSucceeded || p == karo.PhaseFailed || p == karo.PhaseCancelled || p == karo.PhaseSkipped
}

func actionStatus(status *karo.ExecutionStatus, action string) *karo.ActionStatus {
	for i := range status.Actions {
		if status.Actions[i].Name == action {
			return &status.Actions[i]
		}
	}
	status.Actions = append(status.Actions, karo.ActionStatus{Name: action, Phase: karo.PhasePending})
	return &status.Actions[len(status.Actions)-1]
}

// summarize says of the Execution as a whole what its actions say.
func summarize(e *karo.Execution) {
	status := &e.Status
	if !isFinished(status.Phase) {
		status.Phase = phaseOf(status.Actions)
	}
	for i := range status.Actions {
		if started := status.Actions[i].StartTime; started != nil && (status.StartTime == nil || started.Before(status.StartTime)) {
			status.StartTime = started
		}
	}
	if !isFinished(status.Phase) {
		return
	}
	now := metav1.Now()
	status.CompletionTime = &now
	ended, reason, message := v1.ConditionComplete, "Succeeded", "every job completed"
	switch status.Phase {
	case karo.PhaseFailed:
		ended, reason, message = v1.ConditionFailed, "ActionFailed", failures(status)
		if status.Reason != "" {
			reason = status.Reason
		}
	case karo.PhaseCancelled:
		ended, reason, message = v1.ConditionCancelled, reasonCancelled, "cancelled on request"
		if status.Reason == v1.ReasonFiringNotRun {
			reason, message = status.Reason, firingNotRun
		}
	}
	for _, condition := range []string{ended, v1.ConditionFinished} {
		meta.SetStatusCondition(&status.Conditions, metav1.Condition{
			Type: condition, Status: metav1.ConditionTrue, Reason: reason, Message: message, ObservedGeneration: e.Generation,
		})
	}
}

// phaseOf returns the phase of actions as a whole. It is not over while anything has not ended, whatever has failed.
func phaseOf(actions []karo.ActionStatus) karo.Phase {
	if len(actions) == 0 {
		return karo.PhasePending
	}
	count := map[karo.Phase]int{}
	started := false
	for i := range actions {
		count[actions[i].Phase]++
		started = started || actions[i].JobUID != "" || isFinished(actions[i].Phase)
	}
	waiting := count[karo.PhasePending] + count[""]
	switch {
	case waiting > 0 && !started:
		return karo.PhasePending
	case waiting+count[karo.PhaseRunning] > 0:
		return karo.PhaseRunning
	case count[karo.PhaseCancelled] > 0:
		return karo.PhaseCancelled
	case count[karo.PhaseFailed] > 0:
		return karo.PhaseFailed
	}
	return karo.PhaseSucceeded
}

func failures(status *karo.ExecutionStatus) string {
	switch status.Reason {
	case reasonRevisionGone:
		return revisionGone
	case reasonUndecodable:
		return revisionUndecodable
	}
	const maxLength = 4 << 10 // A condition may have 32768 characters, and is there twice.
	message, more := "failed actions: ", 0
	separator := ""
	for i := range status.Actions {
		switch name := status.Actions[i].Name; {
		case status.Actions[i].Phase != karo.PhaseFailed:
		case more > 0 || len(message)+len(name) > maxLength:
			more++
		default:
			message += separator + name
			separator = ", "
		}
	}
	if more > 0 {
		message += fmt.Sprintf("%sand %d more", separator, more)
	}
	return message
}

// tell records in events what has changed. The messages of containers stay in the status: they may hold anything.
func (x *term) tell(before, after *karo.Execution) {
	for i := range after.Status.Actions {
		action := &after.Status.Actions[i]
		if action.Reason == "" || isFinished(action.Phase) || i < len(before.Status.Actions) && before.Status.Actions[i].Reason == action.Reason {
			continue
		}
		x.events.Execution(after, corev1.EventTypeWarning, action.Reason, "Action %s waits: %s", action.Name, events.Quote(action.Message))
	}
	if before.Status.Phase == after.Status.Phase {
		return
	}
	if before.Status.StartTime == nil && after.Status.StartTime != nil {
		if after.Spec.Trigger == karo.TriggerManual {
			x.events.Execution(after, corev1.EventTypeNormal, "Started", "Runs by hand, on request of %s", events.Quote(after.Spec.TriggeredBy))
		} else {
			x.events.Execution(after, corev1.EventTypeNormal, "Started", "Runs for the alert %s, %s", events.Quote(after.Spec.Alert.Name), after.Spec.Alert.Status)
		}
	}
	switch after.Status.Phase {
	case karo.PhaseSucceeded:
		x.events.Execution(after, corev1.EventTypeNormal, "Succeeded", "Every job completed")
	case karo.PhaseFailed:
		x.events.Execution(after, corev1.EventTypeWarning, "Failed", "%s", explain(&after.Status))
	case karo.PhaseCancelled:
		if after.Status.Reason == v1.ReasonFiringNotRun {
			x.events.Execution(after, corev1.EventTypeNormal, after.Status.Reason, "Does not run: %s", firingNotRun)
			return
		}
		x.events.Execution(after, corev1.EventTypeNormal, "Cancelled", "Stopped on request of %s", events.Quote(ptr.Deref(after.Status.Cancellation, karo.Cancellation{}).User))
	}
}

// explain says which actions failed and why, without the words of their containers: they may hold anything.
func explain(status *karo.ExecutionStatus) string {
	parts := []string{failures(status)}
	for i := range status.Actions {
		if action := &status.Actions[i]; action.Phase == karo.PhaseFailed && action.Reason != "" {
			part := action.Name + ": " + action.Reason
			if action.JobUID == "" && action.Message != "" {
				part += " " + events.Quote(action.Message)
			}
			parts = append(parts, part)
		}
	}
	return strings.Join(parts, "; ")
}

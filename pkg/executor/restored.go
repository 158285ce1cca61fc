// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

package executor

import (
	batchv1 "k8s.io/api/batch/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"karo.io/karo/pkg/apis/karo"
	"karo.io/karo/pkg/jobs"
	"karo.io/karo/pkg/names"
)

// ReasonStoreRestored is the reason of what ended with a store that has gone back in time.
const ReasonStoreRestored = "StoreRestored"

const (
	mayHaveRun = "the store was restored: it cannot be told whether this ran after what is restored was saved, so it does not run again"
	endUnknown = "the store was restored: this ran, and its job is gone, so it cannot be told how it ended"
)

// Adopt records the Jobs that there are of an Execution as those of its actions, so that they are followed.
func Adopt(e *karo.Execution, made []batchv1.Job) {
	for i := range e.Status.Actions {
		status := &e.Status.Actions[i]
		if job := jobOf(e, status.Name, made); job != nil && status.JobUID == "" && !isFinished(status.Phase) {
			status.JobName = job.Name
			begin(status, job)
		}
	}
	summarize(e)
}

// Restored decides about an Execution that has not ended, of a store that has gone back in time, by the Jobs that there
// are: they are followed, and what may have run without leaving one ends as failed. It reports whether anything is decided,
// and whether a Job still runs. An Execution that waits for another one to end has surely not begun while that one runs.
func Restored(e *karo.Execution, spec *karo.AlertReactionSpec, made []batchv1.Job, waits bool) (decided, runs bool) {
	if isOver(e) || e.Status.Cancellation != nil || waits && len(made) == 0 && len(e.Status.Actions) == 0 {
		return false, false
	}
	before := e.Status.DeepCopy()
	if e.Status.Reason == reasonWaiting {
		e.Status.Reason = ""
	}
	actions := jobs.Actions(spec)
	for i := range actions {
		actionStatus(&e.Status, actions[i].Name)
	}
	Adopt(e, made)
	for i := range e.Status.Actions {
		status := &e.Status.Actions[i]
		job := jobOf(e, status.Name, made)
		running := job != nil && jobEnd(job) == nil
		runs = runs || running
		if running && spec.Order == karo.OrderSequential {
			break // What comes behind it has surely not begun.
		}
		switch {
		case isFinished(status.Phase) || job != nil:
		case status.JobUID != "":
			fail(status, ReasonStoreRestored, endUnknown)
		default:
			fail(status, ReasonStoreRestored, mayHaveRun)
		}
	}
	summarize(e)
	return !apiequality.Semantic.DeepEqual(before, &e.Status), runs
}

// jobOf returns the Job of an action that belongs to an Execution, or nil.
func jobOf(e *karo.Execution, action string, made []batchv1.Job) *batchv1.Job {
	name := names.Job(e, action)
	for i := range made {
		if made[i].Name == name && metav1.IsControlledBy(&made[i], e) {
			return &made[i]
		}
	}
	return nil
}

// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

package executor

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	"karo.io/karo/pkg/apis/karo"
	"karo.io/karo/pkg/jobs"
	"karo.io/karo/pkg/names"
)

// patienceToStop is how long the pods of a Job may take to be stopped before the Job is deleted all the same.
const patienceToStop = 30 * time.Second

// cancel stops what still runs of an Execution, and reports whether something still does. An action has been stopped
// once its Job, and with it the pods, are gone.
func (x *term) cancel(ctx context.Context, e *karo.Execution) (waiting bool, err error) {
	if e.Status.Reason == reasonWaiting {
		e.Status.Reason = ""
	}
	if len(e.Status.Actions) == 0 {
		// The Jobs may have been created all the same, by one that could not store that any more.
		actions, err := x.actionsOf(ctx, e)
		if err != nil {
			return false, err
		}
		for i := range actions {
			actionStatus(&e.Status, actions[i].Name)
		}
		if len(actions) == 0 {
			e.Status.Phase = karo.PhaseCancelled
		}
	}
	var errs []error
	for i := range e.Status.Actions {
		if status := &e.Status.Actions[i]; !isFinished(status.Phase) {
			errs = append(errs, x.cancelAction(ctx, e, status))
			waiting = waiting || !isFinished(status.Phase)
		}
	}
	return waiting, errors.Join(errs...)
}

func (x *term) cancelAction(ctx context.Context, e *karo.Execution, status *karo.ActionStatus) error {
	name := names.Job(e, status.Name)
	client := x.client.BatchV1().Jobs(e.Namespace)
	job, err := client.Get(ctx, name, metav1.GetOptions{})
	if err := ignoreNotFound(err); err != nil {
		return fmt.Errorf("reading job %s: %w", name, err)
	}
	// What a status says a Job is counts for nothing here: only one that belongs to the Execution is stopped.
	if apierrors.IsNotFound(err) || !metav1.IsControlledBy(job, e) {
		end(status, karo.PhaseCancelled, reasonCancelled, "")
		return nil
	}
	status.JobName, status.JobUID = job.Name, job.UID
	if status.StartTime == nil {
		status.StartTime = job.CreationTimestamp.DeepCopy()
	}
	if jobEnd(job) != nil {
		return x.followJob(ctx, e, status)
	}
	status.Phase = karo.PhaseRunning
	overdue := time.Since(e.Status.Cancellation.Time.Time) > patienceToStop
	switch {
	case job.DeletionTimestamp != nil:
		return nil
	case !ptr.Deref(job.Spec.Suspend, false) && !overdue:
		// A Job that is suspended has its pods stopped at once; those of one that is deleted wait for the garbage collector.
		patch := fmt.Sprintf(`{"metadata":{"uid":%q},"spec":{"suspend":true}}`, job.UID)
		_, err = client.Patch(ctx, name, types.MergePatchType, []byte(patch), metav1.PatchOptions{})
	case isSuspended(job) || overdue:
		// In the foreground the Job stays until its pods are gone.
		err = client.Delete(ctx, name, metav1.DeleteOptions{
			Preconditions: &metav1.Preconditions{UID: &job.UID}, PropagationPolicy: new(metav1.DeletePropagationForeground),
		})
	}
	if err := ignoreNotFound(err); err != nil {
		return fmt.Errorf("stopping job %s: %w", name, err)
	}
	return nil
}

func isSuspended(job *batchv1.Job) bool {
	return slices.ContainsFunc(job.Status.Conditions, func(c batchv1.JobCondition) bool {
		return c.Type == batchv1.JobSuspended && c.Status == corev1.ConditionTrue
	})
}

// actionsOf returns the actions that an Execution runs; none if its revision is gone.
func (x *term) actionsOf(ctx context.Context, e *karo.Execution) ([]karo.Action, error) {
	revision, err := x.revision(ctx, e)
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return jobs.Actions(&revision.Spec), nil
}

// revision returns what an Execution runs. It never changes, and many Executions run the same.
func (x *term) revision(ctx context.Context, e *karo.Execution) (*karo.ReactionRevision, error) {
	key := types.NamespacedName{Namespace: e.Namespace, Name: e.Spec.Reaction.Revision}
	if known, ok := x.revisions.Get(key); ok {
		return known.(*karo.ReactionRevision), nil
	}
	revision, err := x.store.GetRevision(ctx, key.Namespace, key.Name)
	if err != nil {
		return nil, fmt.Errorf("reading revision %s: %w", key.Name, err)
	}
	if karo.Undecodable(revision) == "" {
		x.revisions.Add(key, revision)
	}
	return revision, nil
}

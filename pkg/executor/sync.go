// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

package executor

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"karo.io/karo/pkg/apis/karo"
	v1 "karo.io/karo/pkg/apis/karo/v1"
	"karo.io/karo/pkg/jobs"
	"karo.io/karo/pkg/metrics"
)

// giveUp is how long an Execution may wait for its Jobs to be created, while somebody tries.
const giveUp = time.Hour

// The reasons of actions that have no Job to give one.
const (
	reasonRevisionGone = "RevisionGone"
	reasonNotBuilt     = "JobNotBuilt"
	reasonRefused      = "JobRefused"
	reasonNotCreated   = "JobNotCreated"
	reasonNameTaken    = "JobNameTaken"
	reasonJobGone      = "JobGone"
)

const revisionGone = "the revision of the reaction that was to run is gone"

// errWaiting is returned when an action waits for something that no event tells of, so that it is tried again later.
var errWaiting = errors.New("waiting for the jobs to be created")

// sync brings one Execution a step further. What it learns is stored before it acts on it again.
func (x *term) sync(ctx context.Context, key types.NamespacedName) error {
	start := time.Now()
	defer func() { metrics.ObserveReconcile(time.Since(start)) }()
	obj, exists, err := x.executions.GetStore().GetByKey(key.String())
	if err != nil || !exists {
		return err
	}
	stored := obj.(*karo.Execution)
	if err := x.expireJobs(ctx, stored); err != nil {
		return err
	}
	if isFinished(stored.Status.Phase) || stored.DeletionTimestamp != nil {
		return nil
	}

	if lacksJobs(stored) {
		// The cache may be behind what another replica, or this one before it was stopped for a while, has stored. A
		// Job that has run, and gone, must not be created again.
		if stored, err = x.store.GetExecution(ctx, key.Namespace, key.Name); err != nil {
			return ignoreNotFound(err)
		}
		if isFinished(stored.Status.Phase) || stored.DeletionTimestamp != nil {
			return nil
		}
	}

	e := stored.DeepCopy()
	waiting, advanceErr := x.advance(ctx, e)
	summarize(e)
	// What was learned of one action is stored also when another could not be asked after.
	if !apiequality.Semantic.DeepEqual(e.Status, stored.Status) {
		if err := x.store.UpdateExecutionStatus(ctx, e); err != nil {
			return ignoreNotFound(err)
		}
	}
	if advanceErr == nil && waiting {
		return errWaiting
	}
	return advanceErr
}

func ignoreNotFound(err error) error {
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}

// lacksJobs reports whether an action may still need its Job.
func lacksJobs(e *karo.Execution) bool {
	return len(e.Status.Actions) == 0 || slices.ContainsFunc(e.Status.Actions, func(a karo.ActionStatus) bool {
		return a.JobUID == "" && !isFinished(a.Phase)
	})
}

// advance creates the Jobs that are missing and takes over what has become of the others. It reports whether a Job
// waits to be created.
func (x *term) advance(ctx context.Context, e *karo.Execution) (waiting bool, err error) {
	if lacksJobs(e) {
		if waiting, err = x.createJobs(ctx, e); err != nil {
			return false, err
		}
	}
	var errs []error
	for i := range e.Status.Actions {
		if status := &e.Status.Actions[i]; status.JobUID != "" && !isFinished(status.Phase) {
			errs = append(errs, x.followJob(ctx, e, status))
		}
	}
	return waiting, errors.Join(errs...)
}

// createJobs creates the Jobs that are missing.
func (x *term) createJobs(ctx context.Context, e *karo.Execution) (waiting bool, err error) {
	revision, err := x.store.GetRevision(ctx, e.Namespace, e.Spec.Reaction.Revision)
	if apierrors.IsNotFound(err) {
		if len(e.Status.Actions) == 0 {
			e.Status.Phase, e.Status.Reason = karo.PhaseFailed, reasonRevisionGone
		}
		for i := range e.Status.Actions {
			if status := &e.Status.Actions[i]; status.JobUID == "" && !isFinished(status.Phase) {
				fail(status, reasonRevisionGone, revisionGone)
			}
		}
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("reading revision %s: %w", e.Spec.Reaction.Revision, err)
	}
	// All actions are there before the first Job is, so that nothing is taken for the end while one is missing.
	for i := range revision.Spec.Actions {
		actionStatus(&e.Status, revision.Spec.Actions[i].Name)
	}
	var errs []error
	for i := range revision.Spec.Actions {
		action := &revision.Spec.Actions[i]
		status := actionStatus(&e.Status, action.Name)
		if status.JobUID != "" || isFinished(status.Phase) {
			continue
		}
		errs = append(errs, x.createJob(ctx, e, &revision.Spec, action, status))
		waiting = waiting || status.Phase == karo.PhasePending
	}
	return waiting, errors.Join(errs...)
}

// createJob creates the Job of an action, or finds it created before. Only what says nothing about the action is
// returned as an error.
func (x *term) createJob(ctx context.Context, e *karo.Execution, spec *karo.AlertReactionSpec, action *karo.Action, status *karo.ActionStatus) error {
	wanted, err := jobs.Build(e, spec, action)
	if err != nil {
		fail(status, reasonNotBuilt, err.Error())
		return nil
	}
	status.JobName = wanted.Name
	client := x.client.BatchV1().Jobs(e.Namespace)
	job, err := client.Create(ctx, wanted, metav1.CreateOptions{})
	switch {
	case err == nil:
		metrics.JobCreated()
	case apierrors.IsAlreadyExists(err):
		job, err = client.Get(ctx, wanted.Name, metav1.GetOptions{})
		if err != nil {
			return fmt.Errorf("reading job %s: %w", wanted.Name, err)
		}
		if !metav1.IsControlledBy(job, e) {
			fail(status, reasonNameTaken, fmt.Sprintf("job %s exists and does not belong to this execution", job.Name))
			return nil
		}
	case ctx.Err() != nil:
		return err
	case isPermanent(err):
		fail(status, reasonRefused, err.Error())
		return nil
	case time.Since(e.CreationTimestamp.Time) > giveUp && time.Since(x.began) > giveUp:
		fail(status, reasonNotCreated, fmt.Sprintf("gave up after %s: %v", giveUp, err))
		return nil
	default:
		// The message is that of the first refusal: the next may differ in a number only, and storing it would have
		// the Execution tried again at once.
		if status.Reason != reasonNotCreated {
			status.Phase, status.Reason, status.Message = karo.PhasePending, reasonNotCreated, err.Error()
		}
		return nil
	}
	status.JobUID = job.UID
	status.StartTime = job.CreationTimestamp.DeepCopy()
	status.Phase, status.Reason, status.Message = karo.PhaseRunning, "", ""
	return nil
}

// isPermanent reports whether the cluster would refuse the same Job again, however often it is asked.
func isPermanent(err error) bool {
	switch {
	case apierrors.IsInvalid(err), apierrors.IsBadRequest(err), apierrors.IsRequestEntityTooLargeError(err):
		return true
	case apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause):
		return true
	case apierrors.IsForbidden(err):
		// A quota may have room later, and a kube-apiserver that starts forbids everything. The only no for ever is
		// that of a webhook, for which the cluster has no other word than its message.
		return strings.Contains(err.Error(), "denied the request")
	}
	return false
}

// followJob takes over how the Job of an action ended, if it has.
func (x *term) followJob(ctx context.Context, e *karo.Execution, status *karo.ActionStatus) error {
	job, err := x.job(ctx, e, status)
	if err != nil {
		return err
	}
	if job == nil {
		fail(status, reasonJobGone, fmt.Sprintf("job %s was deleted before its end was stored", status.JobName))
		return nil
	}
	ended := jobEnd(job)
	if ended == nil {
		return nil
	}
	outcome, err := x.outcome(ctx, job)
	if err != nil {
		return err
	}
	status.CompletionTime = ended.LastTransitionTime.DeepCopy()
	status.ExitCode = outcome.exitCode
	if ended.Type == batchv1.JobComplete {
		status.Phase = karo.PhaseSucceeded
		return nil
	}
	status.Phase, status.Reason, status.Message = karo.PhaseFailed, ended.Reason, outcome.message
	if status.Message == "" {
		status.Message = ended.Message
	}
	return nil
}

// job returns the Job of an action, or nil when it is gone for certain. A Job of that name that is not the one that
// was recorded, or does not belong to the Execution, is not it.
func (x *term) job(ctx context.Context, e *karo.Execution, status *karo.ActionStatus) (*batchv1.Job, error) {
	job, err := x.jobs.Jobs(e.Namespace).Get(status.JobName)
	if err == nil && job.UID == status.JobUID && metav1.IsControlledBy(job, e) {
		return job, nil
	}
	// The informer may be behind.
	job, err = x.client.BatchV1().Jobs(e.Namespace).Get(ctx, status.JobName, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading job %s: %w", status.JobName, err)
	}
	if job.UID != status.JobUID || !metav1.IsControlledBy(job, e) {
		return nil, nil
	}
	return job, nil
}

// jobEnd returns the condition that says that a Job has ended, or nil.
func jobEnd(job *batchv1.Job) *batchv1.JobCondition {
	for i := range job.Status.Conditions {
		c := &job.Status.Conditions[i]
		if c.Status == corev1.ConditionTrue && (c.Type == batchv1.JobComplete || c.Type == batchv1.JobFailed) {
			return c
		}
	}
	return nil
}

type outcome struct {
	exitCode *int32
	message  string
}

// outcome reads from the last pod of a Job how its container ended. The kubelet puts the last log lines of a
// container that failed into its termination message.
func (x *term) outcome(ctx context.Context, job *batchv1.Job) (outcome, error) {
	pods, err := x.client.CoreV1().Pods(job.Namespace).List(ctx, metav1.ListOptions{
		LabelSelector: batchv1.ControllerUidLabel + "=" + string(job.UID),
	})
	if err != nil {
		return outcome{}, fmt.Errorf("listing the pods of job %s: %w", job.Name, err)
	}
	var last *corev1.Pod
	for i := range pods.Items {
		pod := &pods.Items[i]
		if metav1.IsControlledBy(pod, job) && (last == nil || last.CreationTimestamp.Before(&pod.CreationTimestamp)) {
			last = pod
		}
	}
	if last == nil {
		return outcome{}, nil
	}
	for i := range last.Status.ContainerStatuses {
		c := &last.Status.ContainerStatuses[i]
		if c.Name == jobs.ContainerName && c.State.Terminated != nil {
			return outcome{exitCode: &c.State.Terminated.ExitCode, message: c.State.Terminated.Message}, nil
		}
	}
	return outcome{message: last.Status.Message}, nil
}

// expireJobs lets the Jobs go whose end the stored Execution holds. With a time to live from the start, an outage
// longer than it would let a Job vanish unseen and run again.
func (x *term) expireJobs(ctx context.Context, e *karo.Execution) error {
	var spec *karo.AlertReactionSpec
	for i := range e.Status.Actions {
		status := &e.Status.Actions[i]
		if !isFinished(status.Phase) || status.JobUID == "" {
			continue
		}
		job, err := x.jobs.Jobs(e.Namespace).Get(status.JobName)
		if err != nil || job.UID != status.JobUID || job.Spec.TTLSecondsAfterFinished != nil || !metav1.IsControlledBy(job, e) || jobEnd(job) == nil {
			continue
		}
		if spec == nil {
			if spec, err = x.specOf(ctx, e); err != nil {
				return err
			}
		}
		patch := fmt.Sprintf(`{"metadata":{"uid":%q},"spec":{"ttlSecondsAfterFinished":%d}}`, job.UID, ttl(spec, status.Name))
		_, err = x.client.BatchV1().Jobs(e.Namespace).Patch(ctx, job.Name, types.MergePatchType, []byte(patch), metav1.PatchOptions{})
		if err != nil && !apierrors.IsNotFound(err) {
			return fmt.Errorf("setting the time to live of job %s: %w", job.Name, err)
		}
	}
	return nil
}

// specOf returns the spec that an Execution runs; an empty one if its revision is gone.
func (x *term) specOf(ctx context.Context, e *karo.Execution) (*karo.AlertReactionSpec, error) {
	revision, err := x.store.GetRevision(ctx, e.Namespace, e.Spec.Reaction.Revision)
	if apierrors.IsNotFound(err) {
		return &karo.AlertReactionSpec{}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading revision %s: %w", e.Spec.Reaction.Revision, err)
	}
	return &revision.Spec, nil
}

func ttl(spec *karo.AlertReactionSpec, action string) int32 {
	for i := range spec.Actions {
		if spec.Actions[i].Name == action && spec.Actions[i].TTLSecondsAfterFinished != nil {
			return *spec.Actions[i].TTLSecondsAfterFinished
		}
	}
	return v1.DefaultTTLSecondsAfterFinished
}

func fail(status *karo.ActionStatus, reason, message string) {
	now := metav1.Now()
	status.Phase, status.Reason, status.Message, status.CompletionTime = karo.PhaseFailed, reason, message, &now
}

func isFinished(p karo.Phase) bool {
	return p == karo.PhaseSucceeded || p == karo.PhaseFailed || p == karo.PhaseSkipped
}

// actionStatus returns the status of an action, a new one if need be.
func actionStatus(status *karo.ExecutionStatus, action string) *karo.ActionStatus {
	for i := range status.Actions {
		if status.Actions[i].Name == action {
			return &status.Actions[i]
		}
	}
	status.Actions = append(status.Actions, karo.ActionStatus{Name: action, Phase: karo.PhasePending})
	return &status.Actions[len(status.Actions)-1]
}

// summarize derives the status of an Execution from that of its actions.
func summarize(e *karo.Execution) {
	status := &e.Status
	if status.Phase != karo.PhaseFailed {
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
	if status.Phase == karo.PhaseFailed {
		ended, reason, message = v1.ConditionFailed, "ActionFailed", failures(status)
		if status.Reason != "" {
			reason = status.Reason
		}
	}
	for _, condition := range []string{ended, v1.ConditionFinished} {
		meta.SetStatusCondition(&status.Conditions, metav1.Condition{
			Type: condition, Status: metav1.ConditionTrue, Reason: reason, Message: message, ObservedGeneration: e.Generation,
		})
	}
}

func phaseOf(actions []karo.ActionStatus) karo.Phase {
	phase := karo.PhaseSucceeded
	for i := range actions {
		switch actions[i].Phase {
		case karo.PhasePending, "":
			return karo.PhasePending
		case karo.PhaseRunning:
			phase = karo.PhaseRunning
		case karo.PhaseFailed:
			if phase != karo.PhaseRunning {
				phase = karo.PhaseFailed
			}
		}
	}
	return phase
}

func failures(status *karo.ExecutionStatus) string {
	if status.Reason == reasonRevisionGone {
		return revisionGone
	}
	var failed []string
	for i := range status.Actions {
		if status.Actions[i].Phase == karo.PhaseFailed {
			failed = append(failed, status.Actions[i].Name)
		}
	}
	return "failed actions: " + strings.Join(failed, ", ")
}

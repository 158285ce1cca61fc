// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

package executor

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/resourceversion"
	"k8s.io/klog/v2"

	"karo.io/karo/pkg/apis/karo"
	v1 "karo.io/karo/pkg/apis/karo/v1"
	"karo.io/karo/pkg/jobs"
	"karo.io/karo/pkg/metrics"
	"karo.io/karo/pkg/names"
	"karo.io/karo/pkg/retryqueue"
)

// giveUp is how long an Execution may wait for its Jobs to be created, while somebody tries.
const giveUp = time.Hour

// The reasons of actions that have no Job to give one.
const (
	reasonRevisionGone = "RevisionGone"
	reasonNotBuilt     = "JobNotBuilt"
	reasonRefused      = "JobRefused"
	reasonNotCreated   = "JobNotCreated"
	reasonQuota        = "QuotaExceeded"
	reasonNameTaken    = "JobNameTaken"
	reasonJobGone      = "JobGone"
	reasonNoAccount    = "ServiceAccountNotFound"
	reasonNotReached   = "PreviousActionFailed"
	reasonCancelled    = "Cancelled"
	reasonUndecodable  = "RevisionUndecodable"
)

const (
	revisionGone        = "the revision of the reaction that was to run is gone"
	revisionUndecodable = "the revision of the reaction that was to run is stored and cannot be read"
)

// reasonPanicked is the reason of an Execution that is not got on with because of a mistake in Karo.
const reasonPanicked = "InternalError"

// reasonWaiting is the reason of an Execution that has to start after another one.
const reasonWaiting = "WaitingForFiring"

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
	stored := x.newest(obj.(*karo.Execution))
	// A Job that cannot be let go is in nobody's way: it is tried again, and told of, by itself.
	expireErr := x.expireJobs(ctx, stored)
	if expireErr != nil && ctx.Err() == nil {
		klog.FromContext(ctx).Error(expireErr, "A Job stays longer than it should", "execution", key)
	}
	if err := x.step(ctx, stored); err != nil || expireErr == nil {
		return err
	}
	return errWaiting
}

// step brings an Execution that has not ended a step further.
func (x *term) step(ctx context.Context, stored *karo.Execution) (err error) {
	if isOver(stored) {
		return x.noteGivenUp(ctx, stored)
	}
	if stored.Status.Cancellation == nil && x.mustWait(stored) {
		return x.noteWait(ctx, stored)
	}

	e := stored.DeepCopy()
	if e.Status.Reason == reasonPanicked {
		e.Status.Reason = "" // If it panics again, this is not stored.
	}
	step := x.advance
	if e.Status.Cancellation != nil {
		step = x.cancel
	}
	waiting, advanceErr := step(ctx, e)
	summarize(e)
	// What was learned of one action is stored also when another could not be asked after.
	if !apiequality.Semantic.DeepEqual(e.Status, stored.Status) {
		if err := x.storeStatus(ctx, e); err != nil {
			return ignoreNotFound(err)
		}
		x.tell(stored, e)
	}
	if advanceErr == nil && waiting {
		return errWaiting
	}
	return advanceErr
}

// storeStatus stores the status of an Execution.
func (x *term) storeStatus(ctx context.Context, e *karo.Execution) error {
	stored, err := x.store.UpdateExecutionStatus(ctx, e)
	if err != nil && !apierrors.IsConflict(err) && !apierrors.IsNotFound(err) && !apierrors.IsInvalid(err) {
		x.outage.Store(new(time.Now()))
	}
	if err != nil {
		return err
	}
	x.outage.Store(nil)
	if isFinished(stored.Status.Phase) || !lacksJobs(stored) {
		x.begun.Delete(e.UID)
	}
	x.own.Store(e.UID, stored)
	// The informer may have been faster, and then tells no more of it.
	seen, exists, err := x.executions.GetStore().GetByKey(e.Namespace + "/" + e.Name)
	if err == nil && (!exists || !isNewer(stored, seen.(*karo.Execution))) {
		x.own.CompareAndDelete(e.UID, stored)
	}
	return err
}

// newest returns an Execution from the informer as this replica has stored it since. The informer had all that was stored
// before the term began, and during the term no other replica runs anything, so that no Job is unknown that was recorded:
// one that has run, and gone, must not be created again.
func (x *term) newest(e *karo.Execution) *karo.Execution {
	own, ok := x.own.Load(e.UID)
	if ok && isNewer(own.(*karo.Execution), e) {
		return own.(*karo.Execution)
	}
	return e
}

// isNewer reports whether one state of an Execution was stored after another.
func isNewer(a, b *karo.Execution) bool {
	order, err := resourceversion.CompareResourceVersion(a.ResourceVersion, b.ResourceVersion)
	return err == nil && order > 0
}

// isOver reports whether there is nothing more to do for an Execution. One that is being deleted takes its Jobs along once
// it is gone; until then it can still be stopped.
func isOver(e *karo.Execution) bool {
	return isFinished(e.Status.Phase) || e.DeletionTimestamp != nil && e.Status.Cancellation == nil
}

func ignoreNotFound(err error) error {
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}

// mustWait reports whether an Execution has not started and another one has to end before.
func (x *term) mustWait(e *karo.Execution) bool {
	if e.Spec.After == "" || len(e.Status.Actions) > 0 {
		return false
	}
	before := x.predecessor(e)
	if before != nil && karo.Undecodable(before) != "" {
		return true // Whether it has ended, or run at all, is not known.
	}
	if before == nil || isFinished(before.Status.Phase) {
		return false
	}
	_, given := x.givenUp.Load(before.UID)
	return !given // One that is being deleted, and has begun something, runs until it is gone.
}

// noteGivenUp notes that an Execution is being deleted before anything of it ran, and has those that wait for it look
// again. No one works on it at the same time, so that whatever was begun can be seen.
func (x *term) noteGivenUp(ctx context.Context, e *karo.Execution) error {
	if _, noted := x.givenUp.Load(e.UID); noted || e.DeletionTimestamp == nil || isFinished(e.Status.Phase) || hasRun(e) {
		return nil
	}
	made, err := x.hasJobs(ctx, e)
	if err != nil || made {
		return err
	}
	x.givenUp.Store(e.UID, true)
	x.ended(e)
	return nil
}

// hasJobs reports whether there are Jobs of an Execution, also such that no status names.
func (x *term) hasJobs(ctx context.Context, e *karo.Execution) (bool, error) {
	made, err := x.client.BatchV1().Jobs(e.Namespace).List(ctx, metav1.ListOptions{LabelSelector: karo.LabelExecution + "=" + names.LabelValue(e.Name)})
	if err != nil {
		return false, fmt.Errorf("listing the jobs of execution %s: %w", e.Name, err)
	}
	return slices.ContainsFunc(made.Items, func(job batchv1.Job) bool { return metav1.IsControlledBy(&job, e) }), nil
}

// hasRun reports whether a Job of an Execution was created.
func hasRun(e *karo.Execution) bool {
	return slices.ContainsFunc(e.Status.Actions, func(a karo.ActionStatus) bool { return a.JobUID != "" })
}

// predecessor returns the Execution that has to end before another one starts, or nil when there is none any more: it was
// stored before the other one, and the informer keeps the order.
func (x *term) predecessor(e *karo.Execution) *karo.Execution {
	obj, exists, err := x.executions.GetStore().GetByKey(e.Namespace + "/" + e.Spec.After)
	if err != nil || !exists {
		return nil
	}
	return obj.(*karo.Execution)
}

// isInVain reports whether an Execution for a resolved alert would undo what was not done: the run for the firing alert
// ended before a Job of it was created.
func (x *term) isInVain(ctx context.Context, e *karo.Execution, spec *karo.AlertReactionSpec) (bool, error) {
	if e.Spec.After == "" || len(e.Status.Actions) > 0 || !slices.Contains(spec.When, karo.WhenFiring) {
		return false, nil
	}
	before := x.predecessor(e)
	if before == nil || hasRun(before) {
		return false, nil
	}
	made, err := x.hasJobs(ctx, before)
	return err == nil && !made, err
}

// noteWait says in the status what an Execution waits for. When that has come, the informer tells.
func (x *term) noteWait(ctx context.Context, stored *karo.Execution) error {
	if stored.Status.Reason == reasonWaiting {
		return nil
	}
	e := stored.DeepCopy()
	e.Status.Reason = reasonWaiting
	if err := x.storeStatus(ctx, e); err != nil {
		return ignoreNotFound(err)
	}
	x.events.Execution(e, corev1.EventTypeNormal, reasonWaiting, "Waits for the execution %s to end", e.Spec.After)
	return nil
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
	if e.Status.Reason == reasonWaiting {
		e.Status.Reason = ""
	}
	revision, err := x.revision(ctx, e)
	if apierrors.IsNotFound(err) {
		failAll(e, reasonRevisionGone, revisionGone)
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if karo.Undecodable(revision) != "" {
		failAll(e, reasonUndecodable, revisionUndecodable)
		return false, nil
	}
	if inVain, err := x.isInVain(ctx, e, &revision.Spec); err != nil {
		return false, err
	} else if inVain {
		e.Status.Phase, e.Status.Reason = karo.PhaseCancelled, v1.ReasonFiringNotRun
		return false, nil
	}
	// All actions are there before the first Job is, so that nothing is taken for the end while one is missing.
	undecided := e.IsUndecided()
	actions := jobs.Actions(&revision.Spec)
	for i := range actions {
		actionStatus(&e.Status, actions[i].Name)
	}
	if undecided {
		return false, nil // What is stored now brings us back.
	}
	var errs []error
	for i := range actions {
		status := actionStatus(&e.Status, actions[i].Name)
		if status.JobUID != "" || isFinished(status.Phase) {
			continue
		}
		if revision.Spec.Order == karo.OrderSequential && i > 0 {
			before := actionStatus(&e.Status, actions[i-1].Name)
			if !isFinished(before.Phase) {
				break // Its Job tells when it has ended.
			}
			if before.Phase != karo.PhaseSucceeded {
				end(status, karo.PhaseSkipped, reasonNotReached, fmt.Sprintf("action %s did not succeed", before.Name))
				continue
			}
		}
		errs = append(errs, x.createJob(ctx, e, &revision.Spec, &actions[i], status))
		waiting = waiting || status.Phase == karo.PhasePending
	}
	return waiting, errors.Join(errs...)
}

// failAll fails what has no Job yet of an Execution.
func failAll(e *karo.Execution, reason, message string) {
	if len(e.Status.Actions) == 0 {
		e.Status.Phase, e.Status.Reason = karo.PhaseFailed, reason
	}
	for i := range e.Status.Actions {
		if status := &e.Status.Actions[i]; status.JobUID == "" && !isFinished(status.Phase) {
			fail(status, reason, message)
		}
	}
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
	if job := x.begunOf(e, status); job != nil {
		begin(status, job) // That is not stored yet, but the Job may have run, and may be gone.
		return nil
	}
	if failed := x.outage.Load(); failed != nil && time.Since(*failed) < outagePause {
		return errNotStored
	}
	client := x.client.BatchV1().Jobs(e.Namespace)
	var job *batchv1.Job
	account := wanted.Spec.Template.Spec.ServiceAccountName
	refused := x.accounts.check(ctx, e.Namespace, account)
	if refused == nil {
		// Another replica may have run it meanwhile, and its Job may be gone.
		if err := x.mayCreate(ctx); err != nil {
			return err
		}
		job, refused = client.Create(ctx, wanted, metav1.CreateOptions{})
	}
	if refused == nil {
		metrics.JobCreated()
		x.keepMade(job)
		x.began(e, status, job)
		return nil
	}
	if ctx.Err() != nil || errors.Is(refused, ErrNotLeading) {
		return refused
	}
	// Whatever the cluster says, the Job may be there, from before the status that names it could be stored. It may even
	// be what fills the quota: the cluster finds that a name is taken last.
	job, err = client.Get(ctx, wanted.Name, metav1.GetOptions{})
	switch {
	case err == nil && metav1.IsControlledBy(job, e):
		x.began(e, status, job)
	case err == nil:
		fail(status, reasonNameTaken, fmt.Sprintf("job %s exists and does not belong to this execution", job.Name))
	case !apierrors.IsNotFound(err):
		// Nothing is given up of which it cannot be told whether it runs.
		x.waitingOf(e, status).say(status, refused)
	case isPermanent(refused):
		fail(status, reasonRefused, refused.Error())
	case time.Since(x.waitingOf(e, status).began) > giveUp:
		fail(status, reasonOf(refused), fmt.Sprintf("gave up after %s: %s", giveUp, refused))
	default:
		x.waitingOf(e, status).say(status, refused)
	}
	return nil
}

// madeFor is for how long the informer may lack a Job that was created before the cluster is asked after it.
const madeFor = 10 * time.Second

// madeJob is a Job as it was created.
type madeJob struct {
	*batchv1.Job
	at time.Time
}

// keepMade keeps a Job that was created until the informer has it: the status that names it comes back sooner, and the
// cluster need not be asked after what it has just said.
func (x *term) keepMade(job *batchv1.Job) {
	x.made.Store(job.UID, &madeJob{job, time.Now()})
	if seen, err := x.jobs.Jobs(job.Namespace).Get(job.Name); err == nil && seen.UID == job.UID {
		x.made.Delete(job.UID) // The informer was faster, and then tells no more of it.
	}
}

// outagePause is how long no Job is created after a status could not be stored: what cannot be recorded should not begin.
const outagePause = 5 * time.Second

// errNotStored is returned for an action that waits for the store.
var errNotStored = errors.New("waiting for the store to take what has begun")

// began says of an action that its Job is there, and keeps that until it is stored.
func (x *term) began(e *karo.Execution, status *karo.ActionStatus, job *batchv1.Job) {
	actions, _ := x.begun.LoadOrStore(e.UID, &sync.Map{})
	actions.(*sync.Map).Store(status.Name, job)
	begin(status, job)
}

// begunOf returns the Job of an action that is known to have begun, though no stored status names it, or nil.
func (x *term) begunOf(e *karo.Execution, status *karo.ActionStatus) *batchv1.Job {
	actions, ok := x.begun.Load(e.UID)
	if !ok {
		return nil
	}
	job, ok := actions.(*sync.Map).Load(status.Name)
	if !ok {
		return nil
	}
	return job.(*batchv1.Job)
}

// begin says of an action that its Job is there.
func begin(status *karo.ActionStatus, job *batchv1.Job) {
	status.JobUID = job.UID
	status.StartTime = job.CreationTimestamp.DeepCopy()
	status.Phase, status.Reason, status.Message = karo.PhaseRunning, "", ""
}

// waiting is what is known of an action that cannot be started.
type waiting struct {
	began, said time.Time
}

func (x *term) waitingOf(e *karo.Execution, status *karo.ActionStatus) *waiting {
	actions, _ := x.waiting.LoadOrStore(e.UID, &sync.Map{})
	w, _ := actions.(*sync.Map).LoadOrStore(status.Name, &waiting{began: time.Now()})
	return w.(*waiting)
}

// say says what an action waits for. What is stored has the Execution tried again at once, so that the same in other words,
// which may differ in a number only, is not said again, and another reason not before its turn.
func (w *waiting) say(status *karo.ActionStatus, refused error) {
	reason := reasonOf(refused)
	if status.Reason == reason || time.Since(w.said) < retryqueue.Max {
		return
	}
	w.said = time.Now()
	status.Phase, status.Reason, status.Message = karo.PhasePending, reason, refused.Error()
}

// reasonOf says in a word why the cluster does not take a Job now.
func reasonOf(err error) string {
	reason := string(apierrors.ReasonForError(err))
	switch {
	case errors.Is(err, errNoAccount):
		return reasonNoAccount
	case apierrors.IsForbidden(err) && strings.Contains(err.Error(), "exceeded quota"):
		return reasonQuota
	case reason == "":
		return reasonNotCreated
	}
	return reason
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
		// that of a webhook or a policy, for which the cluster has no other word than its message.
		return strings.Contains(err.Error(), "denied the request") || strings.Contains(err.Error(), "denied request")
	}
	return false
}

// expireJobs lets the Jobs go whose end the stored Execution holds. With a time to live from the start, an outage
// longer than it would let a Job vanish unseen and run again. For the same reason none goes within MinLife of its end.
func (x *term) expireJobs(ctx context.Context, e *karo.Execution) error {
	var actions []karo.Action
	for i := range e.Status.Actions {
		status := &e.Status.Actions[i]
		if !isFinished(status.Phase) {
			continue
		}
		job, err := x.jobs.Jobs(e.Namespace).Get(names.Job(e, status.Name))
		if err != nil || job.Spec.TTLSecondsAfterFinished != nil || !metav1.IsControlledBy(job, e) {
			continue
		}
		if status.JobUID == "" && e.Status.Phase == karo.PhaseCancelled && jobEnd(job) == nil {
			// A request for it was still on its way when there was nothing to stop.
			if err := x.stopLate(ctx, job); err != nil {
				return err
			}
			continue
		}
		if jobEnd(job) == nil || status.JobUID != "" && job.UID != status.JobUID {
			continue
		}
		if actions == nil {
			if actions, err = x.actionsOf(ctx, e); err != nil {
				return err
			}
		}
		ttl := max(ttl(actions, status.Name), int32(jobs.MinLife/time.Second))
		patch := fmt.Sprintf(`{"metadata":{"uid":%q},"spec":{"ttlSecondsAfterFinished":%d}}`, job.UID, ttl)
		_, err = x.client.BatchV1().Jobs(e.Namespace).Patch(ctx, job.Name, types.MergePatchType, []byte(patch), metav1.PatchOptions{})
		if err != nil && !apierrors.IsNotFound(err) {
			return fmt.Errorf("setting the time to live of job %s: %w", job.Name, err)
		}
	}
	return nil
}

// stopLate deletes a Job that came after its Execution was cancelled.
func (x *term) stopLate(ctx context.Context, job *batchv1.Job) error {
	err := x.client.BatchV1().Jobs(job.Namespace).Delete(ctx, job.Name, metav1.DeleteOptions{
		Preconditions: &metav1.Preconditions{UID: &job.UID}, PropagationPolicy: new(metav1.DeletePropagationBackground),
	})
	if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
		return fmt.Errorf("stopping job %s, which came after the execution was cancelled: %w", job.Name, err)
	}
	return nil
}

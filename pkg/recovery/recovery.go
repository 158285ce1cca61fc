// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

// Package recovery brings a store that has gone back in time, or was lost, in line with the Jobs that there are in the
// cluster.
//
// The Jobs of an Execution that the store has not would be deleted by the garbage collector of the cluster as soon as that
// reads the Executions. And an Execution of the store whose Job is gone may have run.
package recovery

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/pager"
	"k8s.io/klog/v2"

	"karo.io/karo/pkg/apis/karo"
	v1 "karo.io/karo/pkg/apis/karo/v1"
	"karo.io/karo/pkg/apis/karo/validation"
	"karo.io/karo/pkg/apis/nanotime"
	"karo.io/karo/pkg/events"
	"karo.io/karo/pkg/executor"
	"karo.io/karo/pkg/jobs"
	"karo.io/karo/pkg/names"
	"karo.io/karo/pkg/records"
	"karo.io/karo/pkg/runs"
)

// Store is what has gone back in time.
type Store interface {
	// EachExecution calls a function for every Execution in storage.
	EachExecution(ctx context.Context, do func(*karo.Execution)) error
	// RestoreExecution stores an Execution as it was. It reports false if there is one of the name.
	RestoreExecution(ctx context.Context, e *karo.Execution) (bool, error)
	// UpdateExecutionStatus stores a status; a conflict means that the Execution has changed since it was read.
	UpdateExecutionStatus(ctx context.Context, e *karo.Execution) (*karo.Execution, error)
	// GetReaction reads a reaction.
	GetReaction(ctx context.Context, namespace, name string) (*karo.AlertReaction, error)
	// GetRevision reads a ReactionRevision.
	GetRevision(ctx context.Context, namespace, name string) (*karo.ReactionRevision, error)
}

// Events tells the users of a reaction what becomes of its runs.
type Events interface {
	// Execution records an event about an Execution, and about its reaction. The type is Normal or Warning.
	Execution(e *karo.Execution, eventType, reason, format string, args ...any)
}

// Recovery recovers a store.
type Recovery struct {
	Store  Store
	Client kubernetes.Interface
	Events Events
}

// owner is what a Job says of the Execution that it belongs to.
type owner struct {
	namespace, name string
	uid             types.UID
}

func ownerOf(e *karo.Execution) owner { return owner{e.Namespace, e.Name, e.UID} }

// lost returns the Jobs of each Execution that is gone from the store.
func (r *Recovery) lost(ctx context.Context) ([][]batchv1.Job, error) {
	stored := sets.New[owner]()
	if err := r.Store.EachExecution(ctx, func(e *karo.Execution) { stored.Insert(ownerOf(e)) }); err != nil {
		return nil, err
	}
	lost, err := r.jobs(ctx, func(o owner) bool { return !stored.Has(o) })
	if err != nil {
		return nil, err
	}
	return order(lost), nil
}

// order drops the Jobs that are not what they say they are, and has those that are older come first: whoever forges one
// later cannot stand in the way of the real one, nor say otherwise.
func order(found map[owner][]batchv1.Job) [][]batchv1.Job {
	var ordered [][]batchv1.Job
	for _, made := range found {
		made = slices.DeleteFunc(made, func(job batchv1.Job) bool { return !isNamed(&job) })
		if len(made) > 0 {
			slices.SortFunc(made, older)
			ordered = append(ordered, made)
		}
	}
	slices.SortFunc(ordered, func(a, b []batchv1.Job) int { return older(a[0], b[0]) })
	return ordered
}

func older(a, b batchv1.Job) int {
	return cmp.Or(a.CreationTimestamp.Compare(b.CreationTimestamp.Time), cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
}

// isNamed reports whether a Job has the name of that of an action of the Execution that it says it belongs to.
func isNamed(job *batchv1.Job) bool {
	e := jobs.Execution(job)
	return slices.ContainsFunc(e.Status.Actions, func(a karo.ActionStatus) bool { return names.Job(e, a.Name) == job.Name })
}

// WriteBack stores the Executions that are gone from the store and have Jobs in the cluster, and returns how many. It
// must be done before the API is served, or the garbage collector may be faster.
func (r *Recovery) WriteBack(ctx context.Context) (int, error) {
	lost, err := r.lost(ctx)
	if err != nil {
		return 0, err
	}
	written := 0
	for _, made := range lost {
		e, err := r.execution(ctx, made)
		created := false
		if err == nil {
			created, err = r.Store.RestoreExecution(ctx, e)
		}
		logger := klog.FromContext(ctx).WithValues("execution", quote(made), "job", klog.KObj(&made[0]))
		switch {
		case records.IsPermanent(err):
			// Whoever may create Jobs can have one say that it belongs to anything.
			logger.Error(nil, "A Job says that it belongs to an Execution that cannot be", "err", events.Quote(err.Error()))
		case err != nil:
			return written, fmt.Errorf("storing execution %s again: %w", quote(made), err)
		case created:
			written++
		default:
			logger.Info("A Job says that it belongs to an Execution whose name is taken by another one")
		}
	}
	return written, nil
}

// Lost reports whether WriteBack would store anything.
func (r *Recovery) Lost(ctx context.Context) (bool, error) {
	lost, err := r.lost(ctx)
	if err != nil {
		return false, err
	}
	for _, made := range lost {
		e, err := r.execution(ctx, made)
		if err != nil && !records.IsPermanent(err) {
			return false, err
		}
		if err == nil && len(validation.Execution(e)) == 0 {
			return true, nil
		}
	}
	return false, nil
}

// quote returns the name of the Execution that some Jobs belong to as it can be logged: nobody has validated it.
func quote(made []batchv1.Job) string {
	return events.Quote(made[0].Namespace + "/" + jobs.Owner(&made[0]).Name)
}

// execution returns the Execution that some Jobs belong to, as they tell.
func (r *Recovery) execution(ctx context.Context, made []batchv1.Job) (*karo.Execution, error) {
	e := jobs.Execution(&made[0])
	known := sets.New[string]()
	for i := range e.Status.Actions {
		known.Insert(e.Status.Actions[i].Name)
	}
	for i := range made[1:] {
		for _, action := range jobs.Execution(&made[1:][i]).Status.Actions {
			if len(known) < jobs.MaxActions && !known.Has(action.Name) {
				known.Insert(action.Name)
				e.Status.Actions = append(e.Status.Actions, action)
			}
		}
	}
	distrust(e)
	executor.Adopt(e, made)
	reaction, err := r.Store.GetReaction(ctx, e.Namespace, e.Spec.Reaction.Name)
	if isNone(err) {
		return e, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading reaction %s/%s: %w", e.Namespace, events.Quote(e.Spec.Reaction.Name), err)
	}
	// With an owner that is not there, the garbage collector would delete it and its Jobs.
	if reaction.UID == e.Spec.Reaction.UID {
		runs.Own(e, reaction)
	}
	return e, nil
}

// distrust keeps an Execution that a Job tells of from being remembered for what it cannot be: whoever may create Jobs may
// have one say that it runs for any alert, or that it came at a time to come, before which no alert would run any more.
// The start of its alert is part of what it is known by, and counts only once it has passed.
func distrust(e *karo.Execution) {
	if e.Spec.Trigger == karo.TriggerNotification && e.Name != names.Execution(e.Spec.Reaction.Name, names.OccurrenceOf(e)) {
		e.Spec.Trigger = karo.TriggerManual // Which nothing remembers. It is there for its Jobs to stay.
	}
	latest := e.CreationTimestamp.Add(time.Second) // It is cut to the second.
	if at := e.Spec.ReceivedAt; at != nil && at.After(latest) && !e.CreationTimestamp.IsZero() {
		e.Spec.ReceivedAt = new(nanotime.New(e.CreationTimestamp.Time))
	}
}

// Settle decides about the Executions that have not ended: what may have run since the state that the store is in now
// does not run again. It returns how many it has changed, or a conflict if somebody else changes them at the same time.
// Nothing is written unless still returns nil once all that was read is read.
func (r *Recovery) Settle(ctx context.Context, still func(context.Context) error) (int, error) {
	open := map[owner]*karo.Execution{}
	if err := r.Store.EachExecution(ctx, func(e *karo.Execution) {
		if e.Status.CompletionTime == nil && e.DeletionTimestamp == nil && e.Status.Cancellation == nil && karo.Undecodable(e) == "" {
			open[ownerOf(e)] = e.DeepCopy()
		}
	}); err != nil {
		return 0, err
	}
	made, err := r.jobs(ctx, func(o owner) bool { return open[o] != nil })
	if err != nil {
		return 0, err
	}
	if err := still(ctx); err != nil {
		return 0, err
	}
	settled, running := 0, sets.New[types.NamespacedName]()
	// First those that others wait for.
	for _, waits := range []bool{false, true} {
		for o, e := range open {
			if waits != (e.Spec.After != "") {
				continue
			}
			changed, runs, err := r.settle(ctx, e, made[o], waits && running.Has(types.NamespacedName{Namespace: e.Namespace, Name: e.Spec.After}))
			if err != nil {
				return settled, err
			}
			if changed {
				settled++
			}
			if runs {
				running.Insert(types.NamespacedName{Namespace: e.Namespace, Name: e.Name})
			}
		}
	}
	return settled, nil
}

func (r *Recovery) settle(ctx context.Context, e *karo.Execution, made []batchv1.Job, waits bool) (changed, runs bool, err error) {
	spec := &karo.AlertReactionSpec{} // Of a revision that is gone: what can run is what has a Job.
	revision, err := r.Store.GetRevision(ctx, e.Namespace, e.Spec.Reaction.Revision)
	if err == nil {
		spec = &revision.Spec
	} else if !isNone(err) && !records.IsPermanent(err) {
		return false, false, fmt.Errorf("reading revision %s/%s: %w", e.Namespace, events.Quote(e.Spec.Reaction.Revision), err)
	}
	changed, runs = executor.Restored(e, spec, made, waits)
	if !changed {
		return false, runs, nil
	}
	_, err = r.Store.UpdateExecutionStatus(ctx, e)
	if records.IsPermanent(err) {
		logger := klog.FromContext(ctx).WithValues("execution", events.Quote(e.Namespace+"/"+e.Name))
		logger.Error(nil, "An Execution cannot be stored as it is; it ends with a short status", "err", events.Quote(err.Error()))
		abandon(e)
		runs = false
		if _, err = r.Store.UpdateExecutionStatus(ctx, e); records.IsPermanent(err) {
			logger.Error(nil, "An Execution cannot be ended", "err", events.Quote(err.Error()))
			return false, false, nil
		}
	}
	if apierrors.IsNotFound(err) {
		return false, false, nil
	}
	if err != nil {
		return false, false, err
	}
	if e.Status.CompletionTime != nil {
		r.Events.Execution(e, corev1.EventTypeWarning, executor.ReasonStoreRestored, "Failed: the store was restored, and it cannot be told what ran")
	}
	return true, runs, nil
}

// abandon ends an Execution with a status that is as short as can be, so that it does not run.
func abandon(e *karo.Execution) {
	now := metav1.Now()
	e.Status = karo.ExecutionStatus{Phase: karo.PhaseFailed, Reason: executor.ReasonStoreRestored, CompletionTime: &now}
	for _, condition := range []string{v1.ConditionFailed, v1.ConditionFinished} {
		e.Status.Conditions = append(e.Status.Conditions, metav1.Condition{
			Type: condition, Status: metav1.ConditionTrue, Reason: executor.ReasonStoreRestored, LastTransitionTime: now,
			Message: "the store was restored, and what is known of the run cannot be stored",
		})
	}
}

// isNone reports whether there is nothing of a name, or can be nothing: a Job may give any.
func isNone(err error) bool { return apierrors.IsNotFound(err) || apierrors.IsBadRequest(err) }

// jobs returns the Jobs in the cluster that stay, of the Executions that are wanted.
func (r *Recovery) jobs(ctx context.Context, wanted func(owner) bool) (map[owner][]batchv1.Job, error) {
	found := map[owner][]batchv1.Job{}
	p := pager.New(func(ctx context.Context, options metav1.ListOptions) (runtime.Object, error) {
		return r.Client.BatchV1().Jobs(metav1.NamespaceAll).List(ctx, options)
	})
	err := p.EachListItem(ctx, metav1.ListOptions{LabelSelector: executor.JobSelector}, func(obj runtime.Object) error {
		job := obj.(*batchv1.Job)
		ref := jobs.Owner(job)
		if ref == nil || job.DeletionTimestamp != nil {
			return nil
		}
		if o := (owner{job.Namespace, ref.Name, ref.UID}); wanted(o) {
			found[o] = append(found[o], *job)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("listing the jobs of the cluster: %w", err)
	}
	return found, nil
}

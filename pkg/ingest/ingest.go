// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

// Package ingest turns notifications into stored Executions.
package ingest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/singleflight"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/klog/v2"

	"karo.io/karo/pkg/apis/karo"
	v1 "karo.io/karo/pkg/apis/karo/v1"
	"karo.io/karo/pkg/apis/nanotime"
	"karo.io/karo/pkg/matching"
	"karo.io/karo/pkg/memory"
	"karo.io/karo/pkg/metrics"
	"karo.io/karo/pkg/names"
	"karo.io/karo/pkg/notification"
	"karo.io/karo/pkg/storecache"
)

const (
	// freshFor is how long a proof that the caches are fresh holds. With the time that a proof may take it stays
	// below the 10 s that the memory of alerts allows for.
	freshFor = 4 * time.Second
	// freshTimeout is how long a proof may take before the sender is told to try again.
	freshTimeout = 5 * time.Second
	// storeConcurrency is how many alerts of one notification are stored at a time. etcd commits concurrent writes
	// together, so one at a time would wait for the disk once an alert.
	storeConcurrency = 64
)

// Store keeps what Ingest creates.
type Store interface {
	// CreateExecution stores an Execution, durably once it returns. Errors are those of the API.
	CreateExecution(ctx context.Context, e *karo.Execution) (*karo.Execution, error)
	// GetExecution reads an Execution from storage.
	GetExecution(ctx context.Context, namespace, name string) (*karo.Execution, error)
	// EnsureRevision stores a ReactionRevision unless it exists.
	EnsureRevision(ctx context.Context, r *karo.ReactionRevision) error
}

// Namespaces knows the namespaces of the cluster.
type Namespaces interface {
	// Get returns a namespace, asking the cluster before it says that there is none, or that it is going.
	Get(ctx context.Context, name string) (*corev1.Namespace, error)
}

// RenderJobs returns the Jobs that an Execution of a spec becomes.
type RenderJobs func(e *karo.Execution, spec *karo.AlertReactionSpec) ([]batchv1.Job, error)

// Ingest handles notifications.
type Ingest struct {
	Index      *matching.Index
	Memory     *memory.Memory
	Caches     []*storecache.Informer
	Store      Store
	Namespaces Namespaces
	RenderJobs RenderJobs

	proof   singleflight.Group
	freshAt atomic.Pointer[time.Time]
}

// Trigger stores an Execution for every alert of a notification that a reaction answers, in one namespace or, if that
// is "", in all. Every Execution is stored when it returns without an error. An error is one of the API; the sender
// may repeat the whole notification after it.
func (i *Ingest) Trigger(ctx context.Context, namespace string, n *notification.Notification) (*karo.AlertNotificationResult, error) {
	result, err := i.handle(ctx, namespace, n, i.trigger)
	if err != nil {
		return nil, err
	}
	count(result)
	logger := klog.FromContext(ctx)
	if result.Refused > 0 {
		logger.Info("Refused what can never be stored; the answer says why", "namespace", namespace, "receiver", n.Receiver, "refused", result.Refused)
	}
	if n.TruncatedAlerts > 0 {
		logger.Info("Alertmanager left alerts out because of its max_alerts; they are lost", "namespace", namespace, "receiver", n.Receiver, "alerts", n.TruncatedAlerts)
	}
	return result, nil
}

// Simulate answers as Trigger would, with the reason of every matcher and the Jobs, and stores nothing.
func (i *Ingest) Simulate(ctx context.Context, namespace string, n *notification.Notification) (*karo.AlertNotificationResult, error) {
	return i.handle(ctx, namespace, n, i.simulate)
}

type alertFunc func(ctx context.Context, namespace string, n *notification.Notification, alert *karo.AlertOccurrence, result *karo.AlertResult) error

func (i *Ingest) handle(ctx context.Context, namespace string, n *notification.Notification, each alertFunc) (*karo.AlertNotificationResult, error) {
	if namespace != "" {
		ns, err := i.Namespaces.Get(ctx, namespace)
		if apierrors.IsNotFound(err) {
			return nil, err
		}
		if err != nil {
			return nil, unavailable("reading the namespace", err)
		}
		if ns.DeletionTimestamp != nil {
			return refuseAll(n, terminating(namespace)), nil
		}
	}
	if err := i.fresh(ctx); err != nil {
		return nil, unavailable("waiting for the caches", err)
	}

	result := &karo.AlertNotificationResult{Alerts: make([]karo.AlertResult, len(n.Alerts))}
	group, groupCtx := errgroup.WithContext(ctx)
	group.SetLimit(storeConcurrency)
	for index := range n.Alerts {
		alert, out := &n.Alerts[index], &result.Alerts[index]
		describe(alert, out)
		if alert.Err != nil {
			continue
		}
		group.Go(func() error { return each(groupCtx, namespace, n, &alert.AlertOccurrence, out) })
	}
	if err := group.Wait(); err != nil {
		return nil, unavailable("storing", err)
	}
	total(result)
	return result, nil
}

// unavailable makes an error one that Alertmanager tries again: it does so for no status below 500.
func unavailable(doing string, err error) error {
	return apierrors.NewServiceUnavailable(fmt.Sprintf("%s failed, try again: %v", doing, err))
}

// fresh returns once the caches hold everything that any replica stored some seconds ago, or an error. Notifications
// that come at once share one proof.
func (i *Ingest) fresh(ctx context.Context) error {
	if at := i.freshAt.Load(); at != nil && time.Since(*at) < freshFor {
		return nil
	}
	proof := i.proof.DoChan("", func() (any, error) {
		// The first to ask may go away while others still wait.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), freshTimeout)
		defer cancel()
		asked := time.Now()
		group, ctx := errgroup.WithContext(ctx)
		for _, c := range i.Caches {
			group.Go(func() error { return c.Fresh(ctx) })
		}
		if err := group.Wait(); err != nil {
			return nil, err
		}
		i.freshAt.Store(&asked)
		return nil, nil
	})
	select {
	case result := <-proof:
		return result.Err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (i *Ingest) trigger(ctx context.Context, namespace string, n *notification.Notification, alert *karo.AlertOccurrence, out *karo.AlertResult) error {
	// A large notification may take longer than a proof holds.
	if err := i.fresh(ctx); err != nil {
		return err
	}
	received := nanotime.New(time.Now())
	for in, reactions := range byNamespace(i.Index.Match(namespace, alert)) {
		results, err := i.triggerIn(ctx, in, n, alert, reactions, received)
		if err != nil {
			return err
		}
		out.Reactions = append(out.Reactions, results...)
	}
	settle(alert, out)
	return nil
}

// triggerIn runs the reactions of one namespace for an alert. The record of the alert is locked meanwhile, so that
// two notifications at once decide one after the other.
func (i *Ingest) triggerIn(ctx context.Context, namespace string, n *notification.Notification, alert *karo.AlertOccurrence, reactions []*karo.AlertReaction, received nanotime.Time) ([]karo.ReactionResult, error) {
	key := memory.KeyOf(namespace, alert)
	record := i.Memory.Acquire(key)
	defer record.Release()
	results := make([]karo.ReactionResult, 0, len(reactions))
	for _, reaction := range reactions {
		e, result, err := i.plan(ctx, record, n, alert, reaction, received)
		if err != nil {
			return nil, err
		}
		if e != nil {
			if err := i.store(ctx, record, reaction, e, &result); err != nil {
				return nil, err
			}
		}
		results = append(results, result)
	}
	// Of an alert that nothing ran for, nothing needs to be remembered.
	if slices.ContainsFunc(results, answered) || i.Memory.Known(key) {
		record.Seen(alert, received.Time)
	}
	return results, nil
}

// plan decides what a reaction that matches does about an alert. It returns the Execution to store, if any.
func (i *Ingest) plan(ctx context.Context, record *memory.Record, n *notification.Notification, alert *karo.AlertOccurrence, reaction *karo.AlertReaction, received nanotime.Time) (*karo.Execution, karo.ReactionResult, error) {
	result := karo.ReactionResult{Namespace: reaction.Namespace, Name: reaction.Name}
	namespace, err := i.Namespaces.Get(ctx, reaction.Namespace)
	gone := apierrors.IsNotFound(err)
	if err != nil && !gone {
		return nil, result, err
	}
	if gone || namespace.DeletionTimestamp != nil {
		result.Outcome = karo.RunRefused
		result.Message = terminating(reaction.Namespace)
		return nil, result, nil
	}
	if alert.Status == karo.AlertResolved {
		result.Outcome = karo.RunUnmatched
		result.Message = "the reaction answers firing alerts only"
		return nil, result, nil
	}
	last := record.Last(reaction.UID, alert.Status, received)
	run, follows := memory.Decide(last, alert.StartsAt, received)
	if !run {
		result.Outcome, result.Execution = karo.RunKnown, last.Execution
		return nil, result, nil
	}
	e := newExecution(n, alert, reaction, received, follows)
	result.Outcome = karo.RunCreated
	if reaction.Spec.Suspend {
		result.Outcome, result.Reason = karo.RunSkipped, v1.ReasonSuspended
		e.Finalizers = nil
		e.Status = skippedStatus(v1.ReasonSuspended, received.Time)
	}
	e.Name = names.Execution(reaction.Name, names.OccurrenceOf(e))
	result.Execution = e.Name
	return e, result, nil
}

func terminating(namespace string) string {
	return fmt.Sprintf("namespace %s is being terminated", namespace)
}

// store makes the plan durable. Only an error that may pass is returned.
func (i *Ingest) store(ctx context.Context, record *memory.Record, reaction *karo.AlertReaction, e *karo.Execution, result *karo.ReactionResult) error {
	if result.Outcome == karo.RunSkipped {
		record.Skipped(reaction.UID, reaction.Name, karo.SkipMemory{Reason: result.Reason, Time: metav1.Now()})
	}
	if err := i.ensureRevision(ctx, reaction); err != nil {
		return permanent(err, result)
	}
	stored, err := i.Store.CreateExecution(ctx, e)
	if apierrors.IsAlreadyExists(err) {
		stored, err = i.Store.GetExecution(ctx, e.Namespace, e.Name)
		if apierrors.IsNotFound(err) {
			return fmt.Errorf("execution %s/%s went away while it was created", e.Namespace, e.Name)
		}
		if err == nil && !sameOccurrence(stored, e) {
			result.Outcome = karo.RunRefused
			result.Message = fmt.Sprintf("execution %s exists and is of another occurrence", e.Name)
			return nil
		}
		if result.Outcome == karo.RunCreated {
			result.Outcome = karo.RunKnown
		}
	}
	if err != nil {
		return permanent(err, result)
	}
	if result.Outcome == karo.RunSkipped {
		return nil
	}
	return record.Ran(stored)
}

// permanent turns an error that would come again into a refusal of this one run, and passes on any other.
func permanent(err error, result *karo.ReactionResult) error {
	if !apierrors.IsInvalid(err) && !apierrors.IsBadRequest(err) && !errors.Is(err, rpctypes.ErrRequestTooLarge) {
		return err
	}
	result.Outcome, result.Execution, result.Message = karo.RunRefused, "", err.Error()
	return nil
}

func (i *Ingest) ensureRevision(ctx context.Context, reaction *karo.AlertReaction) error {
	ref := referenceTo(reaction)
	err := i.Store.EnsureRevision(ctx, &karo.ReactionRevision{
		ObjectMeta: metav1.ObjectMeta{
			Name:            ref.Revision,
			Namespace:       reaction.Namespace,
			OwnerReferences: []metav1.OwnerReference{ownerReference(reaction)},
		},
		Reaction: ref,
		Spec:     *reaction.Spec.DeepCopy(),
	})
	if err != nil {
		return fmt.Errorf("storing revision %s: %w", ref.Revision, err)
	}
	return nil
}

func (i *Ingest) simulate(ctx context.Context, namespace string, n *notification.Notification, alert *karo.AlertOccurrence, out *karo.AlertResult) error {
	received := nanotime.New(time.Now())
	for _, reaction := range i.Index.All(namespace) {
		rules := i.Index.Rules(reaction)
		if rules == nil || reaction.DeletionTimestamp != nil {
			continue
		}
		result := karo.ReactionResult{Namespace: reaction.Namespace, Name: reaction.Name, Outcome: karo.RunUnmatched}
		if rules.Match(alert) {
			var e *karo.Execution
			var err error
			if e, result, err = i.planOnly(ctx, n, alert, reaction, received); err != nil {
				return err
			}
			if result.Outcome == karo.RunCreated {
				jobs, err := i.RenderJobs(e, &reaction.Spec)
				if err != nil {
					result.Message = err.Error()
				}
				result.Jobs = jobs
			}
		}
		result.Matchers = rules.Explain(alert)
		out.Reactions = append(out.Reactions, result)
	}
	settle(alert, out)
	return nil
}

func (i *Ingest) planOnly(ctx context.Context, n *notification.Notification, alert *karo.AlertOccurrence, reaction *karo.AlertReaction, received nanotime.Time) (*karo.Execution, karo.ReactionResult, error) {
	record := i.Memory.Acquire(memory.KeyOf(reaction.Namespace, alert))
	defer record.Release()
	return i.plan(ctx, record, n, alert, reaction, received)
}

func newExecution(n *notification.Notification, alert *karo.AlertOccurrence, reaction *karo.AlertReaction, received nanotime.Time, follows *nanotime.Time) *karo.Execution {
	e := &karo.Execution{
		ObjectMeta: metav1.ObjectMeta{
			Namespace:       reaction.Namespace,
			Labels:          map[string]string{karo.LabelReaction: names.LabelValue(reaction.Name)},
			OwnerReferences: []metav1.OwnerReference{ownerReference(reaction)},
			Finalizers:      []string{memory.Finalizer},
		},
		Spec: karo.ExecutionSpec{
			Reaction:   referenceTo(reaction),
			Alert:      *alert,
			Receiver:   n.Receiver,
			ReceivedAt: new(received),
		},
		Status: karo.ExecutionStatus{Phase: karo.PhasePending},
	}
	if alert.StartsAt == nil {
		e.Spec.Follows = follows
	}
	return e
}

func referenceTo(reaction *karo.AlertReaction) karo.ReactionReference {
	return karo.ReactionReference{
		Name:       reaction.Name,
		UID:        reaction.UID,
		Generation: reaction.Generation,
		Revision:   names.Revision(reaction.Name, reaction.UID, reaction.Generation),
	}
}

func ownerReference(reaction *karo.AlertReaction) metav1.OwnerReference {
	return metav1.OwnerReference{
		APIVersion: v1.SchemeGroupVersion.String(),
		Kind:       "AlertReaction",
		Name:       reaction.Name,
		UID:        reaction.UID,
		Controller: new(true),
	}
}

func skippedStatus(reason string, now time.Time) karo.ExecutionStatus {
	at := metav1.NewTime(now)
	return karo.ExecutionStatus{
		Phase:          karo.PhaseSkipped,
		Reason:         reason,
		CompletionTime: &at,
		Conditions: []metav1.Condition{{
			Type: v1.ConditionFinished, Status: metav1.ConditionTrue, Reason: reason,
			Message: "the reaction was suspended", LastTransitionTime: at,
		}},
	}
}

// sameOccurrence reports whether a stored Execution is the one that was to be created.
func sameOccurrence(stored, wanted *karo.Execution) bool {
	return apiequality.Semantic.DeepEqual(names.OccurrenceOf(stored), names.OccurrenceOf(wanted))
}

func byNamespace(reactions []*karo.AlertReaction) map[string][]*karo.AlertReaction {
	namespaces := map[string][]*karo.AlertReaction{}
	for _, reaction := range reactions {
		namespaces[reaction.Namespace] = append(namespaces[reaction.Namespace], reaction)
	}
	return namespaces
}

func describe(alert *notification.Alert, out *karo.AlertResult) {
	out.Name, out.Fingerprint, out.Status = alert.Name, alert.Fingerprint, alert.Status
	if alert.Err != nil {
		out.Outcome, out.Message = karo.AlertRefused, alert.Err.Error()
	}
}

// settle says of an alert whether any reaction answered it.
func settle(alert *karo.AlertOccurrence, out *karo.AlertResult) {
	slices.SortFunc(out.Reactions, func(a, b karo.ReactionResult) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	})
	if slices.ContainsFunc(out.Reactions, answered) {
		out.Outcome = karo.AlertMatched
		return
	}
	out.Outcome = karo.AlertUnmatched
	out.Message = "no reaction matches this alert"
	if alert.Status == karo.AlertResolved {
		out.Message = "no reaction answers this alert once it is resolved"
	}
}

func answered(r karo.ReactionResult) bool { return r.Outcome != karo.RunUnmatched }

func refuseAll(n *notification.Notification, message string) *karo.AlertNotificationResult {
	result := &karo.AlertNotificationResult{Alerts: make([]karo.AlertResult, len(n.Alerts))}
	for i := range n.Alerts {
		describe(&n.Alerts[i], &result.Alerts[i])
		result.Alerts[i].Outcome, result.Alerts[i].Message = karo.AlertRefused, message
	}
	total(result)
	return result
}

// total counts the outcomes in the answer.
func total(result *karo.AlertNotificationResult) {
	for i := range result.Alerts {
		alert := &result.Alerts[i]
		switch alert.Outcome {
		case karo.AlertUnmatched:
			result.Unmatched++
		case karo.AlertRefused:
			result.Refused++
		}
		for j := range alert.Reactions {
			switch alert.Reactions[j].Outcome {
			case karo.RunCreated:
				result.Created++
			case karo.RunKnown:
				result.Known++
			case karo.RunSkipped:
				result.Skipped++
			case karo.RunRefused:
				result.Refused++
			}
		}
	}
}

// count counts the outcomes in the metrics.
func count(result *karo.AlertNotificationResult) {
	for i := range result.Alerts {
		metrics.AlertReceived(string(result.Alerts[i].Outcome))
		for j := range result.Alerts[i].Reactions {
			if reaction := &result.Alerts[i].Reactions[j]; answered(*reaction) {
				metrics.Run(string(reaction.Outcome))
			}
		}
	}
}

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
	"strconv"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/singleflight"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/klog/v2"
	"k8s.io/utils/ptr"

	"karo.io/karo/pkg/apis/karo"
	v1 "karo.io/karo/pkg/apis/karo/v1"
	"karo.io/karo/pkg/apis/nanotime"
	"karo.io/karo/pkg/caps"
	"karo.io/karo/pkg/events"
	"karo.io/karo/pkg/matching"
	"karo.io/karo/pkg/memory"
	"karo.io/karo/pkg/metrics"
	"karo.io/karo/pkg/names"
	"karo.io/karo/pkg/notification"
	"karo.io/karo/pkg/panics"
	"karo.io/karo/pkg/precedence"
	"karo.io/karo/pkg/records"
	"karo.io/karo/pkg/runs"
	"karo.io/karo/pkg/storecache"
)

const (
	// freshFor is how long a proof that the caches are fresh holds. With the time that a proof may take it stays
	// below the 10 s that the memory of alerts allows for.
	freshFor = 4 * time.Second
	// freshTimeout is how long a proof may take before the sender is told to try again.
	freshTimeout = 5 * time.Second
	// storeConcurrency is how many alerts of one notification are stored at a time. etcd commits concurrent writes
	// together, so that as many wait for the disk once. The 32 notifications that a replica handles at a time stay with it
	// below the 5,000 proposals above which etcd refuses more; of several replicas, what it refuses is answered 503.
	storeConcurrency = 128
)

// Store keeps what Ingest creates.
type Store interface {
	// CreateExecution stores an Execution, durably once it returns. Errors are those of the API.
	CreateExecution(ctx context.Context, e *karo.Execution) (*karo.Execution, error)
	// GetExecution reads an Execution from storage.
	GetExecution(ctx context.Context, namespace, name string) (*karo.Execution, error)
	runs.RevisionStore
}

// Namespaces knows the namespaces of the cluster.
type Namespaces interface {
	// Get returns a namespace, asking the cluster before it says that there is none, or that it is going.
	Get(ctx context.Context, name string) (*corev1.Namespace, error)
}

// Notes takes note of what alerts did to a reaction, for its status.
type Notes interface {
	// Matched notes that a notification held an alert that the reaction answers.
	Matched(reaction *karo.AlertReaction, at time.Time)
	// Skipped notes that the reaction did not run for such an alert, and why.
	Skipped(reaction *karo.AlertReaction, skip karo.SkipMemory)
}

// Events tells users what happened. The type of an event is Normal or Warning.
type Events interface {
	// Reaction records an event about a reaction.
	Reaction(reaction *karo.AlertReaction, eventType, reason, format string, args ...any)
	// Execution records an event about an Execution, and about its reaction.
	Execution(e *karo.Execution, eventType, reason, format string, args ...any)
	// Namespace records an event about a namespace.
	Namespace(namespace, eventType, reason, format string, args ...any)
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
	Notes      Notes
	Events     Events
	// Storing is the lane of the notifications that are being stored.
	Storing *precedence.Lane
	// Cap bounds the Executions of a namespace. The Store keeps to it; a simulation asks it.
	Cap *caps.Cap
	// OwnNamespace is where it is told what was refused of the alerts of the whole cluster.
	OwnNamespace string

	proof   singleflight.Group
	freshAt atomic.Pointer[time.Time]
}

// Trigger stores an Execution for every alert of a notification that a reaction answers, in one namespace or, if that
// is "", in all. Every Execution is stored when it returns without an error. An error is one of the API; the sender
// may repeat the whole notification after it.
func (i *Ingest) Trigger(ctx context.Context, namespace string, n *notification.Notification) (*karo.AlertNotificationResult, error) {
	defer i.Storing.Enter()()
	result, err := i.handle(ctx, namespace, n, i.trigger)
	if err != nil {
		return nil, err
	}
	count(result)
	logger := klog.FromContext(ctx)
	i.tellRefused(ctx, namespace, n, result)
	if result.Refused > 0 {
		logger.Info("Refused what cannot be stored; the answer says why", "namespace", namespace, "receiver", n.Receiver, "refused", result.Refused)
	}
	if n.TruncatedAlerts > 0 {
		logger.Info("Alertmanager left alerts out because of its max_alerts; they are lost", "namespace", namespace, "receiver", n.Receiver, "alerts", n.TruncatedAlerts)
	}
	return result, nil
}

// tellRefused tells of the alerts that can never be stored, for which there is no reaction to tell it of.
func (i *Ingest) tellRefused(ctx context.Context, namespace string, n *notification.Notification, result *karo.AlertNotificationResult) {
	var first *karo.AlertResult
	refused := 0
	for j := range result.Alerts {
		if result.Alerts[j].Outcome == karo.AlertRefused {
			if refused++; first == nil {
				first = &result.Alerts[j]
			}
		}
	}
	if first == nil {
		return
	}
	// A namespace that is going takes no Event any more.
	if namespace == "" || i.isGoing(ctx, namespace) {
		namespace = i.OwnNamespace
	}
	i.Events.Namespace(namespace, corev1.EventTypeWarning, "AlertsRefused", "Refused %d alert(s) of the receiver %s; the first, %s: %s",
		refused, events.Quote(n.Receiver), events.Quote(first.Name), events.Quote(first.Message))
}

func (i *Ingest) isGoing(ctx context.Context, namespace string) bool {
	ns, err := i.Namespaces.Get(ctx, namespace)
	return apierrors.IsNotFound(err) || err == nil && ns.DeletionTimestamp != nil
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
	since := time.Now()
	if !slices.ContainsFunc(n.Alerts, func(a notification.Alert) bool { return a.Status == karo.AlertResolved }) {
		since = since.Add(-freshFor)
	}
	// Whether something runs for a resolved alert depends on a run for the firing one. That may have been acknowledged by
	// another replica a moment ago, and no name arbitrates about what does not run.
	if err := i.freshSince(ctx, since); err != nil {
		return nil, unavailable("waiting for the caches", err)
	}

	result := &karo.AlertNotificationResult{Alerts: make([]karo.AlertResult, len(n.Alerts))}
	for index := range n.Alerts {
		describe(&n.Alerts[index], &result.Alerts[index])
	}
	group, groupCtx := errgroup.WithContext(ctx)
	group.SetLimit(storeConcurrency)
	for _, same := range byFingerprint(n) {
		group.Go(func() error {
			for _, index := range same {
				out := &result.Alerts[index]
				err := panics.Catch("ingest", func() error { return each(groupCtx, namespace, n, &n.Alerts[index].AlertOccurrence, out) })
				// It would panic again, so that this alert is refused, and the others are not.
				if caught, ok := errors.AsType[*panics.Error](err); ok {
					out.Outcome, out.Message = karo.AlertRefused, caught.Error()
				} else if err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return nil, unavailable("storing", err)
	}
	total(result)
	return result, nil
}

// byFingerprint returns the alerts of a notification that can be stored, those of one label set in their order: one that
// fires and one that is resolved may come together.
func byFingerprint(n *notification.Notification) [][]int {
	order := make([][]int, 0, len(n.Alerts))
	groups := make(map[string]int, len(n.Alerts))
	for index := range n.Alerts {
		if n.Alerts[index].Err != nil {
			continue
		}
		group, known := groups[n.Alerts[index].Fingerprint]
		if !known {
			group = len(order)
			groups[n.Alerts[index].Fingerprint], order = group, append(order, nil)
		}
		order[group] = append(order[group], index)
	}
	return order
}

// unavailable makes an error one that Alertmanager tries again: it does so for no status below 500.
func unavailable(doing string, err error) error {
	metrics.Unavailable(doing)
	return apierrors.NewServiceUnavailable(fmt.Sprintf("%s failed, try again: %v", doing, err))
}

// fresh returns once the caches hold everything that this process stored, and that any replica stored some seconds ago, or
// an error.
func (i *Ingest) fresh(ctx context.Context) error {
	return i.freshSince(ctx, time.Now().Add(-freshFor))
}

// freshSince returns once the caches hold everything that this process stored, and that any replica stored before a
// time, or an error. Notifications that come at once share one proof.
func (i *Ingest) freshSince(ctx context.Context, since time.Time) error {
	for {
		owed := uint64(0)
		for _, c := range i.Caches {
			owed = max(owed, c.Owes())
		}
		if at := i.freshAt.Load(); owed == 0 && at != nil && !at.Before(since) {
			return nil
		}
		// A proof that is under way is of a moment before what was stored since.
		proof := i.proof.DoChan(strconv.FormatUint(owed, 10), func() (any, error) {
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
			return asked, nil
		})
		select {
		case result := <-proof:
			if result.Err != nil {
				return result.Err
			}
			if asked := result.Val.(time.Time); !asked.Before(since) {
				return nil
			}
			// It had been under way before; the next one is not.
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (i *Ingest) trigger(ctx context.Context, namespace string, n *notification.Notification, alert *karo.AlertOccurrence, out *karo.AlertResult) error {
	// A large notification may take longer than a proof holds.
	if err := i.fresh(ctx); err != nil {
		return err
	}
	received := nanotime.New(time.Now())
	matched, withheld := i.Index.Match(namespace, alert)
	for in, reactions := range byNamespace(matched) {
		results, err := i.triggerIn(ctx, namespace, in, n, alert, reactions, received)
		if err != nil {
			return err
		}
		out.Reactions = append(out.Reactions, results...)
	}
	// Only the sender is told: to a reaction, that there was such an alert would say what others' alerts are.
	out.WrongScope = int32(withheld) //nolint:gosec // There are not that many reactions.
	settle(alert, out, len(matched) > 0)
	return nil
}

// triggerIn runs the reactions of one namespace for an alert that was sent to a namespace or, if that is "", to all. The
// record of the alert is locked meanwhile, so that two notifications at once decide one after the other.
func (i *Ingest) triggerIn(ctx context.Context, sentTo, namespace string, n *notification.Notification, alert *karo.AlertOccurrence, reactions []*karo.AlertReaction, received nanotime.Time) ([]karo.ReactionResult, error) {
	key := memory.KeyOf(namespace, alert)
	record := i.Memory.Acquire(key)
	defer record.Release()
	results := make([]karo.ReactionResult, 0, len(reactions))
	for _, reaction := range reactions {
		// Waiting for the record, and storing for the reaction before, may have taken longer than a proof holds.
		if err := i.fresh(ctx); err != nil {
			return nil, err
		}
		if reaction = i.Index.Still(sentTo, alert, reaction); reaction == nil {
			continue
		}
		e, result, err := i.plan(ctx, record, n, alert, reaction, received)
		if err != nil {
			return nil, err
		}
		if e != nil {
			if e, err = i.store(ctx, record, reaction, e, &result); err != nil {
				return nil, err
			}
		}
		if answered(result) {
			i.Notes.Matched(reaction, received.Time)
		}
		if result.Outcome == karo.RunSkipped {
			skip := karo.SkipMemory{Reason: result.Reason, Time: metav1.NewTime(received.Time), Status: alert.Status, StartsAt: alert.StartsAt}
			record.Skipped(reaction.UID, reaction.Name, skip)
			i.Notes.Skipped(reaction, skip)
			i.tellSkipped(reaction, e, alert, &result)
		}
		if result.Outcome == karo.RunRefused {
			i.Events.Reaction(reaction, corev1.EventTypeWarning, "Refused", "Cannot run for the alert %s: %s", events.Quote(alert.Name), events.Quote(result.Message))
		}
		results = append(results, result)
	}
	// Of an alert that nothing ran for, nothing needs to be remembered.
	if slices.ContainsFunc(results, answered) || i.Memory.Known(key) {
		record.Seen(alert, received.Time)
	}
	return results, nil
}

// tellSkipped tells that a reaction did not run, and of the Execution that says so, if there is one.
func (i *Ingest) tellSkipped(reaction *karo.AlertReaction, e *karo.Execution, alert *karo.AlertOccurrence, result *karo.ReactionResult) {
	const format = "Did not run for the alert %s: %s"
	if e != nil {
		i.Events.Execution(e, corev1.EventTypeNormal, result.Reason, format, events.Quote(alert.Name), result.Message)
		return
	}
	i.Events.Reaction(reaction, corev1.EventTypeNormal, result.Reason, format, events.Quote(alert.Name), result.Message)
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
	if !slices.Contains(reaction.Spec.When, whenOf[alert.Status]) {
		result.Outcome = karo.RunUnmatched
		result.Message = fmt.Sprintf("the reaction does not run for %s alerts; see spec.when", alert.Status)
		return nil, result, nil
	}
	if why := record.Undecodable(); why != "" {
		result.Outcome = karo.RunRefused
		result.Message = fmt.Sprintf("it may have run before: alert %s, which remembers that, cannot be read: %s; to forget what ran, and have it run, delete that: kubectl delete alerts.karo.io -n %s %s",
			record.Name(), why, reaction.Namespace, record.Name())
		return nil, result, nil
	}
	last := record.Last(reaction.UID, alert.Status, received)
	run, follows := memory.Decide(last, alert.StartsAt, received)
	if !run {
		result.Outcome, result.Execution = karo.RunKnown, last.Execution
		return nil, result, nil
	}
	e := newExecution(ctx, n, alert, reaction, received, follows)
	result.Outcome = karo.RunCreated
	switch {
	case ptr.Deref(reaction.Spec.Suspend, false):
		result.Outcome, result.Reason, result.Message = karo.RunSkipped, v1.ReasonSuspended, "the reaction is suspended"
		// What is sent again is not stored again, also when the Execution that said it has been pruned.
		if said := record.LastSkip(reaction.UID); said != nil && said.Reason == result.Reason && said.Status == alert.Status &&
			alert.StartsAt != nil && ptr.Equal(said.StartsAt, alert.StartsAt) {
			return nil, result, nil
		}
		e.Finalizers = nil
		e.Status = skippedStatus(result.Reason, result.Message, received.Time)
	case alert.Status == karo.AlertResolved:
		e.Spec.After = firingRun(record, alert, reaction, received)
		if e.Spec.After == "" && slices.Contains(reaction.Spec.When, karo.WhenFiring) {
			result.Outcome, result.Reason, result.Message = karo.RunSkipped, v1.ReasonFiringNotRun, "the reaction has no run for the firing alert that began before the alert ended"
			return nil, result, nil
		}
	}
	e.Name = names.Execution(reaction.Name, names.OccurrenceOf(e))
	result.Execution = e.Name
	return e, result, nil
}

var whenOf = map[karo.AlertStatus]karo.When{karo.AlertFiring: karo.WhenFiring, karo.AlertResolved: karo.WhenResolved}

// firingRun returns the name of the Execution with which a reaction answered a resolved alert while it fired, or "".
// Alertmanager may give the resolved alert another start than the firing one had, so it is the latest that began before
// the alert ended.
func firingRun(record *memory.Record, alert *karo.AlertOccurrence, reaction *karo.AlertReaction, received nanotime.Time) string {
	firing := record.Last(reaction.UID, karo.AlertFiring, received)
	ended := received
	if alert.EndsAt != nil {
		ended = *alert.EndsAt
	}
	if firing == nil || !memory.Start(firing, received).Before(ended.Time) {
		return ""
	}
	return firing.Execution
}

func terminating(namespace string) string {
	return fmt.Sprintf("namespace %s is being terminated", namespace)
}

// store makes the plan durable, and returns what is stored. Only an error that may pass is returned.
func (i *Ingest) store(ctx context.Context, record *memory.Record, reaction *karo.AlertReaction, e *karo.Execution, result *karo.ReactionResult) (*karo.Execution, error) {
	if err := runs.EnsureRevision(ctx, i.Store, reaction); err != nil {
		return nil, permanent(err, result)
	}
	stored, err := i.Store.CreateExecution(ctx, e)
	if apierrors.IsAlreadyExists(err) {
		stored, err = i.Store.GetExecution(ctx, e.Namespace, e.Name)
		if apierrors.IsNotFound(err) {
			return nil, fmt.Errorf("execution %s/%s went away while it was created", e.Namespace, e.Name)
		}
		if err == nil && karo.Undecodable(stored) != "" {
			result.Outcome = karo.RunRefused
			result.Message = fmt.Sprintf("execution %s, which is of this occurrence, cannot be read: %s", e.Name, karo.Undecodable(stored))
			return nil, nil
		}
		if err == nil && !sameOccurrence(stored, e) {
			result.Outcome = karo.RunRefused
			result.Message = fmt.Sprintf("execution %s exists and is of another occurrence", e.Name)
			return nil, nil
		}
		if result.Outcome == karo.RunCreated {
			result.Outcome = karo.RunKnown
		}
	}
	if err != nil {
		return nil, permanent(err, result)
	}
	if result.Outcome == karo.RunSkipped {
		return stored, nil
	}
	return stored, record.Ran(stored)
}

// permanent turns an error that would come again into a refusal of this one run, and passes on any other.
func permanent(err error, result *karo.ReactionResult) error {
	if caps.IsExceeded(err) {
		result.Reason = v1.ReasonTooManyExecutions
	} else if !records.IsPermanent(err) {
		return err
	}
	result.Outcome, result.Execution, result.Message = karo.RunRefused, "", err.Error()
	return nil
}

func (i *Ingest) simulate(ctx context.Context, namespace string, n *notification.Notification, alert *karo.AlertOccurrence, out *karo.AlertResult) error {
	received := nanotime.New(time.Now())
	matched := false
	for _, reaction := range i.Index.All(namespace) {
		rules := i.Index.Rules(reaction)
		if rules == nil || reaction.DeletionTimestamp != nil {
			continue
		}
		result := karo.ReactionResult{Namespace: reaction.Namespace, Name: reaction.Name, Outcome: karo.RunUnmatched}
		matches, within := rules.Match(alert), matching.WithinScope(namespace, alert, reaction)
		matched = matched || matches && within
		switch {
		case matches && !within:
			result.Reason = v1.ReasonWrongScope
			result.Message = "the label \"namespace\" of the alert is not the namespace of the reaction, whose alertScope is Namespace"
			out.WrongScope++
		case matches:
			var e *karo.Execution
			var err error
			if e, result, err = i.planOnly(ctx, n, alert, reaction, received); err != nil {
				return err
			}
			if result.Outcome == karo.RunCreated {
				if err := i.preview(e, reaction, &result); err != nil {
					return err
				}
			}
		}
		result.Matchers = rules.Explain(alert)
		out.Reactions = append(out.Reactions, result)
	}
	settle(alert, out, matched)
	return nil
}

// preview says what would become of an Execution.
func (i *Ingest) preview(e *karo.Execution, reaction *karo.AlertReaction, result *karo.ReactionResult) error {
	if err := i.Cap.Check(e.Namespace, e.Name); err != nil {
		return permanent(err, result)
	}
	jobs, err := i.RenderJobs(e, &reaction.Spec)
	if err != nil {
		result.Message = err.Error()
	}
	result.Jobs = jobs
	return nil
}

func (i *Ingest) planOnly(ctx context.Context, n *notification.Notification, alert *karo.AlertOccurrence, reaction *karo.AlertReaction, received nanotime.Time) (*karo.Execution, karo.ReactionResult, error) {
	record := i.Memory.Acquire(memory.KeyOf(reaction.Namespace, alert))
	defer record.Release()
	return i.plan(ctx, record, n, alert, reaction, received)
}

func newExecution(ctx context.Context, n *notification.Notification, alert *karo.AlertOccurrence, reaction *karo.AlertReaction, received nanotime.Time, follows *nanotime.Time) *karo.Execution {
	e := &karo.Execution{Spec: karo.ExecutionSpec{
		Alert:      *alert,
		Trigger:    karo.TriggerNotification,
		Receiver:   n.Receiver,
		ReceivedAt: new(received),
	}}
	if alert.StartsAt == nil {
		e.Spec.Follows = follows
	}
	runs.Adopt(ctx, e, reaction)
	return e
}

func skippedStatus(reason, message string, now time.Time) karo.ExecutionStatus {
	at := metav1.NewTime(now)
	return karo.ExecutionStatus{
		Phase:          karo.PhaseSkipped,
		Reason:         reason,
		CompletionTime: &at,
		Conditions: []metav1.Condition{{
			Type: v1.ConditionFinished, Status: metav1.ConditionTrue, Reason: reason,
			Message: message, LastTransitionTime: at,
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

// settle says of an alert whether any reaction answered it, and, if not, whether any matched.
func settle(alert *karo.AlertOccurrence, out *karo.AlertResult, matched bool) {
	slices.SortFunc(out.Reactions, func(a, b karo.ReactionResult) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	})
	if slices.ContainsFunc(out.Reactions, answered) {
		out.Outcome = karo.AlertMatched
		return
	}
	out.Outcome = karo.AlertUnmatched
	out.Message = "no reaction matches this alert"
	switch {
	case matched:
		out.Message = fmt.Sprintf("no reaction that matches this alert runs for %s alerts", alert.Status)
	case out.WrongScope > 0:
		out.Message = "reactions match this alert, but its label \"namespace\" is not their namespace, and their alertScope is Namespace"
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

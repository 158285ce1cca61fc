// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

package bookkeeping

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/klog/v2"
	"k8s.io/utils/ptr"

	"karo.io/karo/pkg/apis/karo"
	v1 "karo.io/karo/pkg/apis/karo/v1"
	"karo.io/karo/pkg/memory"
	"karo.io/karo/pkg/panics"
	"karo.io/karo/pkg/retryqueue"
	"karo.io/karo/pkg/storecache"
)

const (
	// coalesce is how long what happens to the Executions of a reaction is gathered before its status is written.
	coalesce = 500 * time.Millisecond
	// maxSettling bounds the Executions that are settled by one write, whose UIDs the status then holds.
	maxSettling = 200
	// staleAfter is how old what is known of the Executions may be when a status is written: less than it takes another
	// replica to take over.
	staleAfter = 4 * time.Second
	// provenFor is how long a proof that the informer is fresh holds, for all reactions together.
	provenFor = time.Second
	// workers bounds the concurrent writes of statuses, and releasers those of the Executions of one reaction:
	// notifications have priority.
	workers   = 2
	releasers = 4
)

const byReaction = "reaction"

// ExecutionIndexers are the indexes that a Bookkeeper needs on the informer of the Executions.
func ExecutionIndexers() cache.Indexers {
	return cache.Indexers{byReaction: func(obj any) ([]string, error) {
		return []string{string(obj.(*karo.Execution).Spec.Reaction.UID)}, nil
	}}
}

// Store keeps what the Bookkeeper writes.
type Store interface {
	StatusWriter
	// ReleaseExecution removes Karo's finalizer from an Execution. One that is gone is released.
	ReleaseExecution(ctx context.Context, e *karo.Execution) error
	// DeleteExecution deletes an Execution unless it has changed since it was read.
	DeleteExecution(ctx context.Context, e *karo.Execution) error
	// GetRevision reads a ReactionRevision.
	GetRevision(ctx context.Context, namespace, name string) (*karo.ReactionRevision, error)
	// ListRevisions returns all ReactionRevisions, from a cache.
	ListRevisions(ctx context.Context) ([]karo.ReactionRevision, error)
	// DeleteRevision deletes a ReactionRevision.
	DeleteRevision(ctx context.Context, r *karo.ReactionRevision) error
}

// Bookkeeper writes what runs do to the status of their reactions, and prunes what need not be kept. One replica at a
// time does.
type Bookkeeper struct {
	reactions, executions *storecache.Informer
	fresh                 func(context.Context) error // returns once the informer of the Executions has what was stored before
	store                 Store
	full                  func() error
	queue                 workqueue.TypedRateLimitingInterface[reactionKey]

	proving sync.Mutex
	proven  time.Time // when fresh was last asked, and answered

	lock  sync.Mutex
	ready map[reactionKey]map[types.UID]bool // which Executions may lose the finalizer once they are counted

	unreferenced map[types.UID]time.Time // since when a ReactionRevision has not been needed
}

// NewBookkeeper returns a Bookkeeper over informers of the reactions and of the Executions; the latter has
// ExecutionIndexers. While full returns an error, the store has no room for history.
func NewBookkeeper(reactions, executions *storecache.Informer, store Store, full func() error) *Bookkeeper {
	return &Bookkeeper{
		reactions: reactions, executions: executions, fresh: executions.Fresh, store: store, full: full,
		queue:        retryqueue.New[reactionKey](),
		ready:        map[reactionKey]map[types.UID]bool{},
		unreferenced: map[types.UID]time.Time{},
	}
}

// Run keeps the books until ctx ends. It can be run once.
func (b *Bookkeeper) Run(ctx context.Context) error {
	// What another replica settled before must be known, or it would be settled again.
	if err := b.fresh(ctx); err != nil {
		return err
	}
	for informer, changed := range map[*storecache.Informer]func(any){b.reactions: b.reactionChanged, b.executions: b.executionChanged} {
		changed = panics.Handler("bookkeeper", changed)
		registration, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
			AddFunc:    changed,
			UpdateFunc: func(_, obj any) { changed(obj) },
			DeleteFunc: changed,
		})
		if err != nil {
			return fmt.Errorf("watching for the status of reactions: %w", err)
		}
		defer func() { _ = informer.RemoveEventHandler(registration) }()
	}
	var running sync.WaitGroup
	for range workers {
		running.Go(func() {
			for b.next(ctx) {
			}
		})
	}
	running.Go(func() { b.pruneRevisionsUntil(ctx) })
	running.Go(func() { wait.UntilWithContext(ctx, b.pruneIfFull, lookEvery) })
	<-ctx.Done()
	b.queue.ShutDown()
	running.Wait()
	return nil
}

func (b *Bookkeeper) reactionChanged(obj any) {
	if reaction, ok := obj.(*karo.AlertReaction); ok {
		b.queue.AddAfter(keyOf(reaction), coalesce)
	}
}

func (b *Bookkeeper) executionChanged(obj any) {
	if tombstone, ok := obj.(cache.DeletedFinalStateUnknown); ok {
		obj = tombstone.Obj
	}
	if e, ok := obj.(*karo.Execution); ok {
		b.queue.AddAfter(reactionOf(e), coalesce)
	}
}

func reactionOf(e *karo.Execution) reactionKey {
	return reactionKey{e.Namespace, e.Spec.Reaction.Name, e.Spec.Reaction.UID}
}

// Settle has the finalizer of an Execution removed once its reaction counts it for good.
func (b *Bookkeeper) Settle(e *karo.Execution) {
	key := reactionOf(e)
	b.lock.Lock()
	defer b.lock.Unlock()
	if b.ready[key] == nil {
		b.ready[key] = map[types.UID]bool{}
	}
	b.ready[key][e.UID] = true
	b.queue.AddAfter(key, coalesce)
}

func (b *Bookkeeper) next(ctx context.Context) bool {
	key, shutdown := b.queue.Get()
	if shutdown {
		return false
	}
	defer b.queue.Done(key)
	if err := panics.Catch("bookkeeper", func() error { return b.sync(ctx, key) }); err != nil {
		if ctx.Err() == nil {
			klog.FromContext(ctx).Error(err, "Keeping the books of a reaction failed; it will be tried again", "reaction", klog.KRef(key.namespace, key.name))
		}
		b.queue.AddRateLimited(key)
		return true
	}
	b.queue.Forget(key)
	return true
}

func (b *Bookkeeper) sync(ctx context.Context, key reactionKey) error {
	reaction := b.reaction(key)
	if reaction == nil {
		return b.pruneOrphans(ctx, key)
	}
	if karo.Undecodable(reaction) != "" {
		return nil // Its status is not known, and nothing that it has to count may go.
	}
	ready, looked := b.readyOf(key), time.Now()
	if len(ready) > 0 {
		// Another replica may have settled meanwhile what is ready here, if this one was stopped for a while.
		var err error
		if looked, err = b.prove(ctx); err != nil {
			return err
		}
	}
	executions, err := b.executionsOf(key)
	if err != nil {
		return err
	}
	if err := b.writeStatus(ctx, key, reaction, executions, ready, looked); err != nil {
		return err
	}
	after, err := b.prune(ctx, executions, time.Now(), false)
	if err != nil {
		return err
	}
	if after > 0 {
		b.queue.AddAfter(key, after)
	}
	return nil
}

// pruneOrphans keeps the history of a reaction that is gone short. Nothing of it counts any more, and most goes with it.
func (b *Bookkeeper) pruneOrphans(ctx context.Context, key reactionKey) error {
	b.lock.Lock()
	delete(b.ready, key)
	b.lock.Unlock()
	executions, err := b.executionsOf(key)
	if err != nil {
		return err
	}
	orphans := slices.DeleteFunc(executions, func(e *karo.Execution) bool { return metav1.GetControllerOf(e) != nil })
	after, err := b.prune(ctx, orphans, time.Now(), true)
	if err == nil && after > 0 {
		b.queue.AddAfter(key, after)
	}
	return err
}

// readyOf returns the Executions of a reaction that may be counted for good.
func (b *Bookkeeper) readyOf(key reactionKey) []types.UID {
	b.lock.Lock()
	defer b.lock.Unlock()
	return slices.Collect(maps.Keys(b.ready[key]))
}

// prove returns a moment, not long ago, of which the informer of the Executions has everything that was stored.
func (b *Bookkeeper) prove(ctx context.Context) (time.Time, error) {
	b.proving.Lock()
	defer b.proving.Unlock()
	if time.Since(b.proven) < provenFor {
		return b.proven, nil
	}
	ctx, cancel := context.WithTimeout(ctx, staleAfter)
	defer cancel()
	asked := time.Now()
	if err := b.fresh(ctx); err != nil {
		return time.Time{}, err
	}
	b.proven = asked
	return asked, nil
}

func (b *Bookkeeper) reaction(key reactionKey) *karo.AlertReaction {
	obj, exists, err := b.reactions.GetStore().GetByKey(key.namespace + "/" + key.name)
	if err != nil || !exists {
		return nil
	}
	if reaction := obj.(*karo.AlertReaction); reaction.UID == key.uid && reaction.DeletionTimestamp == nil {
		return reaction
	}
	return nil
}

func (b *Bookkeeper) executionsOf(key reactionKey) ([]*karo.Execution, error) {
	objs, err := b.executions.GetIndexer().ByIndex(byReaction, string(key.uid))
	if err != nil {
		return nil, err
	}
	executions := make([]*karo.Execution, 0, len(objs))
	for _, obj := range objs {
		executions = append(executions, obj.(*karo.Execution))
	}
	return executions, nil
}

// writeStatus brings the status of a reaction up to its Executions, as they were when they were looked at, settles those
// that are ready, and releases them.
func (b *Bookkeeper) writeStatus(ctx context.Context, key reactionKey, reaction *karo.AlertReaction, executions []*karo.Execution, ready []types.UID, looked time.Time) error {
	unsettled := map[types.UID]*karo.Execution{}
	for _, e := range executions {
		if memory.HasFinalizer(e) && !e.IsInVain() && !e.IsUndecided() {
			unsettled[e.UID] = e
		}
	}
	var settling []types.UID
	stale := false
	err := b.store.UpdateReactionStatus(ctx, key.namespace, key.name, key.uid, func(status *karo.AlertReactionStatus) bool {
		// Another replica may keep the books by now, and have settled what is ready here.
		if settling, stale = nil, time.Since(looked) > staleAfter; stale {
			return false
		}
		before := status.DeepCopy()
		settling = settle(status, unsettled, ready)
		summarize(status, reaction, executions)
		return !apiequality.Semantic.DeepEqual(before, status)
	})
	if err != nil {
		return fmt.Errorf("writing the status: %w", err)
	}
	if stale {
		return fmt.Errorf("writing the status took longer than %s", staleAfter)
	}
	group, groupCtx := errgroup.WithContext(ctx)
	group.SetLimit(releasers)
	for _, uid := range settling {
		group.Go(func() error { return b.store.ReleaseExecution(groupCtx, unsettled[uid]) })
	}
	if err := group.Wait(); err != nil {
		return fmt.Errorf("releasing executions: %w", err)
	}
	b.lock.Lock()
	defer b.lock.Unlock()
	for _, uid := range ready {
		if unsettled[uid] == nil || slices.Contains(settling, uid) {
			delete(b.ready[key], uid)
		}
	}
	if len(b.ready[key]) > 0 {
		b.queue.AddAfter(key, coalesce)
	} else {
		delete(b.ready, key)
	}
	return nil
}

// settle counts Executions for good, and the others as they are. It returns those that are counted for good and still
// have the finalizer.
func settle(status *karo.AlertReactionStatus, unsettled map[types.UID]*karo.Execution, ready []types.UID) []types.UID {
	settlement := karo.Settlement{}
	if status.Settlement != nil {
		settlement.Count = status.Settlement.Count
		for _, uid := range status.Settlement.Executions {
			if unsettled[uid] != nil {
				settlement.Executions = append(settlement.Executions, uid)
			}
		}
	}
	for _, uid := range ready {
		if len(settlement.Executions) < maxSettling && unsettled[uid] != nil && !slices.Contains(settlement.Executions, uid) {
			settlement.Executions = append(settlement.Executions, uid)
			settlement.Count++
		}
	}
	status.TriggerCount = settlement.Count + int64(len(unsettled)-len(settlement.Executions))
	status.Settlement = nil
	if settlement.Count > 0 {
		status.Settlement = &settlement
	}
	return settlement.Executions
}

// summarize says of the latest runs what they did. What is not known any more stays as it was written.
func summarize(status *karo.AlertReactionStatus, reaction *karo.AlertReaction, executions []*karo.Execution) {
	ready := metav1.Condition{
		Type: v1.ConditionReady, Status: metav1.ConditionTrue, Reason: "AlertReactionReady",
		Message: "the reaction runs when an alert matches", ObservedGeneration: reaction.Generation,
	}
	if ptr.Deref(reaction.Spec.Suspend, false) {
		ready.Status, ready.Reason, ready.Message = metav1.ConditionFalse, v1.ReasonSuspended, "the reaction is suspended"
	}
	meta.SetStatusCondition(&status.Conditions, ready)

	var started, ended, made *karo.Execution
	for _, e := range executions {
		if e.IsInVain() && (status.LastSkipped == nil || status.LastSkipped.Time.Before(e.Status.CompletionTime)) {
			status.LastSkipped = &karo.SkipMemory{
				Reason: v1.ReasonFiringNotRun, Time: *e.Status.CompletionTime, Status: e.Spec.Alert.Status, StartsAt: e.Spec.Alert.StartsAt,
			}
		}
		if e.Status.Phase == karo.PhaseSkipped || e.IsInVain() || e.IsUndecided() {
			continue
		}
		if at := lastStart(e); at != nil && (made == nil || later(at, lastStart(made), e.Name > made.Name)) {
			made = e
		}
		if started == nil || later(&e.CreationTimestamp, &started.CreationTimestamp, e.Name > started.Name) {
			started = e
		}
		if at := e.Status.CompletionTime; at != nil && (ended == nil || later(at, ended.Status.CompletionTime, e.Name > ended.Name)) {
			ended = e
		}
	}
	// What the process that took a notification could not note any more is told by its Executions.
	if started != nil && started.Spec.Trigger == karo.TriggerNotification &&
		(status.LastMatched == nil || status.LastMatched.Before(&started.CreationTimestamp)) {
		status.LastMatched = started.CreationTimestamp.DeepCopy()
	}
	if started != nil && !started.CreationTimestamp.Before(status.LastTriggered) {
		status.LastTriggered = started.CreationTimestamp.DeepCopy()
	}
	// A run that had to wait may create its Jobs after those of a later one.
	if made != nil && !slices.ContainsFunc(status.LastJobsCreated, func(j karo.JobReference) bool { return lastStart(made).Before(j.CreatedAt) }) {
		status.LastJobsCreated = jobsOf(made)
	}
	if ended == nil {
		return
	}
	known := meta.FindStatusCondition(status.Conditions, v1.ConditionLastExecutionSucceeded)
	if known != nil && ended.Status.CompletionTime.Before(&known.LastTransitionTime) {
		return // The run that the condition is of has been pruned; those that are left are older.
	}
	meta.SetStatusCondition(&status.Conditions, metav1.Condition{
		Type: v1.ConditionLastExecutionSucceeded, Status: conditionOf(ended), Reason: string(ended.Status.Phase),
		Message: "execution " + ended.Name, ObservedGeneration: ended.Spec.Reaction.Generation,
		LastTransitionTime: *ended.Status.CompletionTime,
	})
}

func conditionOf(e *karo.Execution) metav1.ConditionStatus {
	if e.Status.Phase == karo.PhaseSucceeded {
		return metav1.ConditionTrue
	}
	return metav1.ConditionFalse
}

// later orders by time, to the second, and where that is the same by something else that does not change.
func later(a, b *metav1.Time, otherwise bool) bool {
	return b.Before(a) || a.Equal(b) && otherwise
}

// lastStart returns when the latest Job of an Execution was created, or nil when there is none yet.
func lastStart(e *karo.Execution) *metav1.Time {
	var last *metav1.Time
	for i := range e.Status.Actions {
		if action := &e.Status.Actions[i]; action.JobUID != "" && action.StartTime != nil && (last == nil || last.Before(action.StartTime)) {
			last = action.StartTime
		}
	}
	return last
}

func jobsOf(e *karo.Execution) []karo.JobReference {
	var jobs []karo.JobReference
	for i := range e.Status.Actions {
		if action := &e.Status.Actions[i]; action.JobUID != "" {
			jobs = append(jobs, karo.JobReference{
				Name: action.JobName, Namespace: e.Namespace, ActionName: action.Name, CreatedAt: action.StartTime,
			})
		}
	}
	return jobs
}

// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

package bookkeeping

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/klog/v2"

	"karo.io/karo/pkg/apis/karo"
	"karo.io/karo/pkg/jobs"
	"karo.io/karo/pkg/memory"
	"karo.io/karo/pkg/panics"
)

const (
	// maxHistory is how many Executions that have ended are kept of one reaction.
	maxHistory = 100
	// fullHistory is how many while the store is full, and lookEvery how often it is asked whether it is.
	fullHistory = 10
	lookEvery   = 10 * time.Second
	// maxAge is how long they are kept. Those that failed are kept while there is room: they are what is looked for.
	maxAge = 7 * 24 * time.Hour
	// again is how long an Execution that has to stay a little longer waits before it is looked at again.
	again = time.Minute
	// revisionAge is how long a ReactionRevision that nothing names any more is kept: longer than any replica may still
	// take it for the one that stands.
	revisionAge = 10 * time.Minute
)

// prune deletes the Executions of a reaction that need not be kept, and returns after what time to look again, 0 for
// never. Each takes its Jobs along. Of a reaction that is gone nothing has still to be counted or remembered.
func (b *Bookkeeper) prune(ctx context.Context, executions []*karo.Execution, now time.Time, gone bool) (time.Duration, error) {
	var ended []*karo.Execution
	for _, e := range executions {
		if e.Status.CompletionTime != nil && e.DeletionTimestamp == nil {
			ended = append(ended, e)
		}
	}
	// First goes what is least worth keeping.
	slices.SortFunc(ended, func(a, b *karo.Execution) int {
		return cmp.Or(cmp.Compare(rank(a), rank(b)), a.Status.CompletionTime.Compare(b.Status.CompletionTime.Time), cmp.Compare(a.Name, b.Name))
	})
	excess := len(ended) - b.history()
	ttls := map[string]time.Duration{}
	after := time.Duration(0)
	for _, e := range ended {
		age := now.Sub(e.Status.CompletionTime.Time)
		old := rank(e) == 0 && age > maxAge
		if excess <= 0 && !old {
			if after == 0 && rank(e) == 0 {
				after = max(maxAge-age, again)
			}
			break
		}
		excess-- // Also for one that has to stay a little longer: nothing better goes in its place.
		if memory.HasFinalizer(e) && !gone {
			after = again
			continue
		}
		left, err := b.mustStay(ctx, e, age, ttls)
		if err != nil {
			return 0, err
		}
		if left > 0 {
			if next := max(min(left, again), time.Second); after == 0 || next < after {
				after = next
			}
			continue
		}
		if err := b.store.DeleteExecution(ctx, e); err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
			return 0, fmt.Errorf("pruning execution %s: %w", e.Name, err)
		}
	}
	return after, nil
}

// history returns how many Executions that have ended are kept of one reaction.
func (b *Bookkeeper) history() int {
	if b.full() != nil {
		return fullHistory
	}
	return maxHistory
}

// pruneIfFull looks at all reactions again if the store is full.
func (b *Bookkeeper) pruneIfFull(context.Context) {
	if b.full() == nil {
		return
	}
	for _, obj := range b.executions.GetStore().List() {
		b.queue.Add(reactionOf(obj.(*karo.Execution)))
	}
}

func rank(e *karo.Execution) int {
	if e.Status.Phase == karo.PhaseFailed {
		return 1
	}
	return 0
}

// mustStay returns for how long the Jobs of an Execution are still to be seen. It notes for how long those of a revision
// are.
func (b *Bookkeeper) mustStay(ctx context.Context, e *karo.Execution, age time.Duration, ttls map[string]time.Duration) (time.Duration, error) {
	if len(e.Status.Actions) == 0 {
		return 0, nil
	}
	ttl, known := ttls[e.Spec.Reaction.Revision]
	if !known {
		var err error
		if ttl, err = b.ttlOf(ctx, e); err != nil {
			return 0, err
		}
		ttls[e.Spec.Reaction.Revision] = ttl
	}
	return max(ttl, jobs.MinLife) - age, nil
}

// ttlOf returns for how long the longest kept Job of an Execution is.
func (b *Bookkeeper) ttlOf(ctx context.Context, e *karo.Execution) (time.Duration, error) {
	revision, err := b.store.GetRevision(ctx, e.Namespace, e.Spec.Reaction.Revision)
	if apierrors.IsNotFound(err) {
		return time.Duration(jobs.DefaultTTLSecondsAfterFinished) * time.Second, nil
	}
	if err != nil {
		return 0, fmt.Errorf("reading revision %s: %w", e.Spec.Reaction.Revision, err)
	}
	longest := int32(0)
	actions := jobs.Actions(&revision.Spec)
	for i := range actions {
		longest = max(longest, jobs.TTL(&actions[i]))
	}
	return time.Duration(longest) * time.Second, nil
}

func (b *Bookkeeper) pruneRevisionsUntil(ctx context.Context) {
	wait.UntilWithContext(ctx, func(ctx context.Context) {
		err := panics.Catch("bookkeeper", func() error { return b.pruneRevisions(ctx, time.Now()) })
		if err != nil && ctx.Err() == nil {
			klog.FromContext(ctx).Error(err, "Pruning the revisions of reactions failed; it will be tried again")
		}
	}, again)
}

// pruneRevisions deletes the ReactionRevisions that neither a reaction as it stands nor an Execution has needed for long:
// also those of reactions that are gone.
func (b *Bookkeeper) pruneRevisions(ctx context.Context, now time.Time) error {
	revisions, err := b.store.ListRevisions(ctx)
	if err != nil {
		return fmt.Errorf("listing revisions: %w", err)
	}
	needed := sets.New[types.NamespacedName]()
	kept := sets.New[types.UID]() // of the reactions of Executions that cannot be read
	for _, obj := range b.executions.GetStore().List() {
		e := obj.(*karo.Execution)
		if karo.Undecodable(e) != "" {
			kept.Insert(e.Spec.Reaction.UID) // It does not say which of them.
			continue
		}
		needed.Insert(types.NamespacedName{Namespace: e.Namespace, Name: e.Spec.Reaction.Revision})
	}
	unreferenced := map[types.UID]time.Time{}
	for i := range revisions {
		r := &revisions[i]
		reaction := b.reaction(reactionKey{r.Namespace, r.Reaction.Name, r.Reaction.UID})
		stands := reaction != nil && reaction.Generation <= r.Reaction.Generation
		if stands || kept.Has(r.Reaction.UID) || karo.Undecodable(r) != "" || needed.Has(types.NamespacedName{Namespace: r.Namespace, Name: r.Name}) {
			continue
		}
		since, known := b.unreferenced[r.UID]
		if !known {
			since = now
		}
		unreferenced[r.UID] = since
		if now.Sub(since) < revisionAge {
			continue
		}
		if err := b.store.DeleteRevision(ctx, r); err != nil && !apierrors.IsNotFound(err) {
			return fmt.Errorf("deleting revision %s/%s: %w", r.Namespace, r.Name, err)
		}
	}
	b.unreferenced = unreferenced
	return nil
}

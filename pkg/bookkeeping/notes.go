// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

package bookkeeping

import (
	"context"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/klog/v2"

	"karo.io/karo/pkg/apis/karo"
	"karo.io/karo/pkg/panics"
	"karo.io/karo/pkg/retryqueue"
)

const (
	// gather is how long news of a reaction are gathered before its status is written.
	gather = time.Second
	// rarely is how far lastMatched and lastSkipped may fall behind: an alert is sent again and again while it fires.
	rarely = time.Minute
)

// reactionKey names a reaction; one that is deleted and created again is another one.
type reactionKey struct {
	namespace, name string
	uid             types.UID
}

func keyOf(reaction *karo.AlertReaction) reactionKey {
	return reactionKey{reaction.Namespace, reaction.Name, reaction.UID}
}

// StatusWriter writes the status of reactions.
type StatusWriter interface {
	// UpdateReactionStatus stores what change makes of the stored status. When change returns false, or the reaction is
	// gone or another one of the same name, nothing is written.
	UpdateReactionStatus(ctx context.Context, namespace, name string, uid types.UID, change func(*karo.AlertReactionStatus) bool) error
}

// Notes gathers what the notifications that this process handles do to reactions, and writes it into their status.
type Notes struct {
	writer StatusWriter
	queue  workqueue.TypedRateLimitingInterface[reactionKey]

	lock sync.Mutex
	news map[reactionKey]news
}

type news struct {
	matched time.Time
	skipped *karo.SkipMemory
}

// NewNotes returns Notes that are written once they run.
func NewNotes(writer StatusWriter) *Notes {
	return &Notes{
		writer: writer,
		queue:  retryqueue.New[reactionKey](),
		news:   map[reactionKey]news{},
	}
}

// Matched notes that a notification held an alert that a reaction answers.
func (n *Notes) Matched(reaction *karo.AlertReaction, at time.Time) {
	n.note(reaction, func(news *news) { news.matched = at })
}

// Skipped notes that a reaction did not run for such an alert, and why.
func (n *Notes) Skipped(reaction *karo.AlertReaction, skip karo.SkipMemory) {
	n.note(reaction, func(news *news) { news.skipped = &skip })
}

func (n *Notes) note(reaction *karo.AlertReaction, change func(*news)) {
	key := keyOf(reaction)
	n.lock.Lock()
	defer n.lock.Unlock()
	noted, waiting := n.news[key]
	change(&noted)
	n.news[key] = noted
	if !waiting {
		n.queue.AddAfter(key, gather)
	}
}

// Run writes until ctx ends.
func (n *Notes) Run(ctx context.Context) {
	var worker sync.WaitGroup
	worker.Go(func() {
		for n.writeNext(ctx) {
		}
	})
	<-ctx.Done()
	n.queue.ShutDown()
	worker.Wait()
}

func (n *Notes) writeNext(ctx context.Context) bool {
	key, shutdown := n.queue.Get()
	if shutdown {
		return false
	}
	defer n.queue.Done(key)
	n.lock.Lock()
	noted := n.news[key]
	delete(n.news, key)
	n.lock.Unlock()
	err := panics.Catch("notes", func() error {
		return n.writer.UpdateReactionStatus(ctx, key.namespace, key.name, key.uid, noted.merge)
	})
	if err == nil || ctx.Err() != nil {
		n.queue.Forget(key)
		return true
	}
	klog.FromContext(ctx).Error(err, "Writing the status of a reaction failed; it will be tried again", "reaction", klog.KRef(key.namespace, key.name))
	n.lock.Lock()
	defer n.lock.Unlock()
	newer := n.news[key]
	if newer.matched.IsZero() {
		newer.matched = noted.matched
	}
	if newer.skipped == nil {
		newer.skipped = noted.skipped
	}
	n.news[key] = newer
	n.queue.AddRateLimited(key)
	return true
}

// merge adds news to a status and reports whether that is worth a write.
func (n news) merge(status *karo.AlertReactionStatus) bool {
	changed := false
	if !n.matched.IsZero() && (status.LastMatched == nil || n.matched.Sub(status.LastMatched.Time) > rarely) {
		status.LastMatched = new(metav1.NewTime(n.matched))
		changed = true
	}
	if skip := n.skipped; skip != nil {
		last := status.LastSkipped
		if last == nil || last.Reason != skip.Reason && last.Time.Before(&skip.Time) || skip.Time.Sub(last.Time.Time) > rarely {
			status.LastSkipped = skip
			changed = true
		}
	}
	return changed
}

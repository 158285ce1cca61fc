// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

package bookkeeping

import (
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"karo.io/karo/pkg/apis/karo"
	"karo.io/karo/pkg/memory"
)

var unreadable = map[string]string{karo.AnnotationUndecodable: "why"}

// An Execution that cannot be read counts as one of its reaction, stays, and keeps what it may still run.
func TestUndecodableExecution(t *testing.T) {
	store := newFakeStore()
	b := newBookkeeper(t, store)
	put(t, b.reactions, reaction())
	e := execution("e", karo.PhaseSkipped, 0)
	e.Annotations, e.Finalizers, e.Status.CompletionTime = unreadable, []string{memory.Finalizer}, nil
	e.Spec.Reaction.Revision, e.Spec.Reaction.Generation = "", 0
	put(t, b.executions, e)
	if err := b.sync(t.Context(), keyOf(reaction())); err != nil {
		t.Fatal(err)
	}
	if store.status.TriggerCount != 1 || store.status.LastTriggered != nil {
		t.Errorf("the status is %+v", store.status)
	}
	for name, r := range map[string]*karo.ReactionRevision{
		"of-the-reaction": {Reaction: karo.ReactionReference{Name: "r", UID: "reaction", Generation: 1}},
		"unreadable":      {ObjectMeta: metav1.ObjectMeta{Annotations: unreadable}},
		"of-another":      {Reaction: karo.ReactionReference{Name: "r", UID: "gone", Generation: 1}},
	} {
		r.Namespace, r.Name = "ns", name
		store.revisions[name] = r
	}
	for _, now := range []time.Duration{0, time.Hour} {
		if err := b.pruneRevisions(t.Context(), epoch.Add(now)); err != nil {
			t.Fatal(err)
		}
	}
	if len(store.deleted) != 1 || store.deleted[0] != "of-another" {
		t.Errorf("deleted %q", store.deleted)
	}
}

// Of a reaction that cannot be read nothing is written, and nothing that it has to count is let go.
func TestUndecodableReaction(t *testing.T) {
	store := newFakeStore()
	store.fails = func(write string) error { t.Errorf("wrote %s", write); return nil }
	b := newBookkeeper(t, store)
	r := reaction()
	r.Annotations = unreadable
	put(t, b.reactions, r)
	e := execution("e", karo.PhaseSucceeded, 0)
	e.Finalizers = []string{memory.Finalizer}
	put(t, b.executions, e)
	b.Settle(e)
	if err := b.sync(t.Context(), keyOf(r)); err != nil {
		t.Fatal(err)
	}
}

// What panics for one reaction is tried again, and does not end the process.
func TestBookkeepingPanics(t *testing.T) {
	store := newFakeStore()
	store.fails = func(string) error { panic("bad") }
	b := newBookkeeper(t, store)
	put(t, b.reactions, reaction())
	b.queue.Add(keyOf(reaction()))
	if !b.next(t.Context()) || b.queue.NumRequeues(keyOf(reaction())) != 1 {
		t.Error("it is not tried again")
	}

	notes := NewNotes(store)
	t.Cleanup(notes.queue.ShutDown)
	notes.Matched(reaction(), epoch)
	notes.queue.Add(keyOf(reaction()))
	if !notes.writeNext(t.Context()) || notes.news[keyOf(reaction())].matched != epoch {
		t.Error("the news are lost")
	}
}

// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

package bookkeeping

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"karo.io/karo/pkg/apis/karo"
)

// An alert is sent again and again while it fires, and an etcd write a time would be most of the load.
func TestMerge(t *testing.T) {
	skip := func(reason string, d time.Duration) *karo.SkipMemory {
		return &karo.SkipMemory{Reason: reason, Time: *at(d)}
	}
	for name, tc := range map[string]struct {
		news          news
		before, after karo.AlertReactionStatus
		want          bool
	}{
		"nothing": {},
		"the first match": {
			news: news{matched: epoch}, after: karo.AlertReactionStatus{LastMatched: at(0)}, want: true,
		},
		"a match soon after": {
			news:   news{matched: epoch.Add(time.Minute)},
			before: karo.AlertReactionStatus{LastMatched: at(0)}, after: karo.AlertReactionStatus{LastMatched: at(0)},
		},
		"a match later": {
			news:   news{matched: epoch.Add(time.Minute + 1)},
			before: karo.AlertReactionStatus{LastMatched: at(0)}, after: karo.AlertReactionStatus{LastMatched: at(time.Minute + 1)}, want: true,
		},
		"a match that another replica has seen before": {
			news:   news{matched: epoch},
			before: karo.AlertReactionStatus{LastMatched: at(time.Hour)}, after: karo.AlertReactionStatus{LastMatched: at(time.Hour)},
		},
		"the first skip": {
			news: news{skipped: skip("Suspended", 0)}, after: karo.AlertReactionStatus{LastSkipped: skip("Suspended", 0)}, want: true,
		},
		"the same skip soon after": {
			news:   news{skipped: skip("Suspended", time.Minute)},
			before: karo.AlertReactionStatus{LastSkipped: skip("Suspended", 0)}, after: karo.AlertReactionStatus{LastSkipped: skip("Suspended", 0)},
		},
		"the same skip later": {
			news:   news{skipped: skip("Suspended", time.Hour)},
			before: karo.AlertReactionStatus{LastSkipped: skip("Suspended", 0)}, after: karo.AlertReactionStatus{LastSkipped: skip("Suspended", time.Hour)}, want: true,
		},
		"for another reason": {
			news:   news{skipped: skip("WrongScope", time.Second)},
			before: karo.AlertReactionStatus{LastSkipped: skip("Suspended", 0)}, after: karo.AlertReactionStatus{LastSkipped: skip("WrongScope", time.Second)}, want: true,
		},
		"for another reason, before": {
			news:   news{skipped: skip("WrongScope", 0)},
			before: karo.AlertReactionStatus{LastSkipped: skip("Suspended", time.Second)}, after: karo.AlertReactionStatus{LastSkipped: skip("Suspended", time.Second)},
		},
		"both": {
			news:  news{matched: epoch, skipped: skip("Suspended", 0)},
			after: karo.AlertReactionStatus{LastMatched: at(0), LastSkipped: skip("Suspended", 0)}, want: true,
		},
	} {
		t.Run(name, func(t *testing.T) {
			if got := tc.news.merge(&tc.before); got != tc.want {
				t.Errorf("it is worth a write: got %t, want %t", got, tc.want)
			}
			if diff := cmp.Diff(tc.after, tc.before); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// What could not be written is written the next time, unless there is something newer.
func TestNotesThatCouldNotBeWritten(t *testing.T) {
	store := newFakeStore()
	notes := NewNotes(store)
	t.Cleanup(notes.queue.ShutDown)
	write := func() {
		t.Helper()
		notes.queue.Add(keyOf(reaction())) // Without waiting for the news to gather.
		if !notes.writeNext(t.Context()) {
			t.Fatal("the queue is shut down")
		}
	}
	store.fails = func(string) error { return errCrash }
	notes.Matched(reaction(), epoch)
	notes.Skipped(reaction(), karo.SkipMemory{Reason: "Suspended", Time: *at(0)})
	write()
	if diff := cmp.Diff(karo.AlertReactionStatus{}, store.status); diff != "" {
		t.Fatalf("it was written:\n%s", diff)
	}
	store.fails = func(string) error { return nil }
	write()
	want := karo.AlertReactionStatus{LastMatched: at(0), LastSkipped: &karo.SkipMemory{Reason: "Suspended", Time: metav1.NewTime(epoch)}}
	if diff := cmp.Diff(want, store.status); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

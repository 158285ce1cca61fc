// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

package memory

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"karo.io/karo/pkg/apis/karo"
	"karo.io/karo/pkg/apis/nanotime"
)

// living are the reactions that exist, by UID.
type living []types.UID

func (l living) ReactionLives(_, _ string, uid types.UID) bool { return slices.Contains(l, uid) }
func (living) NamespaceLives(string) bool                      { return true }

// newMemory returns a Memory that can merge, and nothing else.
func newMemory(live ...types.UID) *Memory { return New(nil, nil, nil, living(live)) }

// seenAt is that a notification held an alert so long after the epoch.
func seenAt(d time.Duration, status karo.AlertStatus, startsAt *nanotime.Time) *seen {
	return &seen{at: epoch.Add(d), occurrence: karo.AlertOccurrence{
		Name: "A", Fingerprint: "f", Status: status, Labels: map[string]string{"alertname": "A"}, StartsAt: startsAt,
	}}
}

// alertSeen is the Alert that a notification at the epoch has left.
func alertSeen(reactions ...karo.ReactionMemory) *karo.Alert {
	return &karo.Alert{
		ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "a"},
		Spec:       karo.AlertSpec{Name: "A", Fingerprint: "f", Labels: map[string]string{"alertname": "A"}},
		Status: karo.AlertMemory{
			Status: karo.AlertFiring, StartsAt: after(0), LastSeen: new(metav1.NewTime(epoch)), Reactions: reactions,
		},
	}
}

func TestMergeOfWhatWasSeen(t *testing.T) {
	for name, tc := range map[string]struct {
		stored  *karo.Alert
		seen    *seen
		written bool
		want    func(*karo.Alert) // What becomes of the Alert of the epoch.
	}{
		"never before": {
			stored: &karo.Alert{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "a"}},
			seen:   seenAt(0, karo.AlertFiring, after(0)), written: true,
		},
		"sent again at once":              {seen: seenAt(0, karo.AlertFiring, after(0))},
		"sent again, not rarely":          {seen: seenAt(rarely, karo.AlertFiring, after(0))},
		"sent again, by another instance": {seen: seenAt(rarely, karo.AlertFiring, new(nanotime.New(epoch.In(time.FixedZone("", 3600)))))},
		"sent again, before":              {seen: seenAt(-time.Hour, karo.AlertFiring, after(0))},
		"sent again, rarely": {
			seen: seenAt(rarely+1, karo.AlertFiring, after(0)), written: true,
			want: func(a *karo.Alert) { a.Status.LastSeen = new(metav1.NewTime(epoch.Add(rarely + 1))) },
		},
		"resolved": {
			seen: seenAt(1, karo.AlertResolved, after(0)), written: true,
			want: func(a *karo.Alert) {
				a.Status.Status, a.Status.LastSeen = karo.AlertResolved, new(metav1.NewTime(epoch.Add(1)))
			},
		},
		"began again": {
			seen: seenAt(1, karo.AlertFiring, after(1)), written: true,
			want: func(a *karo.Alert) {
				a.Status.StartsAt, a.Status.LastSeen = after(1), new(metav1.NewTime(epoch.Add(1)))
			},
		},
		"says no start any more": {
			seen: seenAt(1, karo.AlertFiring, nil), written: true,
			want: func(a *karo.Alert) { a.Status.StartsAt, a.Status.LastSeen = nil, new(metav1.NewTime(epoch.Add(1))) },
		},
	} {
		t.Run(name, func(t *testing.T) {
			if tc.stored == nil {
				tc.stored = alertSeen()
			}
			want := alertSeen()
			if tc.want != nil {
				tc.want(want)
			}
			if got := newMemory().merge(&news{seen: tc.seen}, tc.stored); got != tc.written {
				t.Errorf("it is worth a write: got %t, want %t", got, tc.written)
			}
			if diff := cmp.Diff(want, tc.stored); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// What is remembered of a reaction goes with it, unless the reaction is so young that this process may not know it yet.
func TestMergeDropsReactionsThatAreGone(t *testing.T) {
	lives := karo.ReactionMemory{UID: "lives", Name: "lives", Firing: ran(0, after(0))}
	gone := karo.ReactionMemory{UID: "gone", Name: "gone", Firing: ran(0, after(0)), Resolved: ran(1, after(0))}
	skipped := karo.ReactionMemory{UID: "skipped", Name: "skipped", Skipped: &karo.SkipMemory{Reason: "Suspended"}}
	justNow := &karo.RunMemory{StartsAt: after(0), ReceivedAt: nanotime.New(time.Now()), Execution: "execution"}
	young := karo.ReactionMemory{UID: "young", Name: "young", Firing: justNow}
	youngest := karo.ReactionMemory{UID: "youngest", Name: "youngest", Resolved: justNow}
	m := newMemory("lives")

	a := alertSeen(gone, lives, young, skipped, youngest)
	if !m.merge(&news{}, a) {
		t.Error("that reactions are gone is worth a write")
	}
	if diff := cmp.Diff(alertSeen(lives, young, youngest), a); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if m.merge(&news{}, a) {
		t.Error("now nothing has changed")
	}
	// Nor is what such a one did added.
	if m.merge(&news{runs: []ownRun{{uid: "gone", name: "gone", status: karo.AlertFiring, run: *ran(5, after(5))}}}, a) {
		t.Error("a run of a reaction that is gone is worth a write")
	}
	if diff := cmp.Diff(alertSeen(lives, young, youngest), a); diff != "" {
		t.Errorf("after a run of a reaction that is gone (-want +got):\n%s", diff)
	}
}

func TestMergeOfRuns(t *testing.T) {
	stored := func() *karo.Alert {
		return alertSeen(karo.ReactionMemory{UID: "r", Name: "r", Firing: ran(time.Minute, after(0))})
	}
	for name, tc := range map[string]struct {
		uid    types.UID
		status karo.AlertStatus
		run    *karo.RunMemory
		want   func(*karo.Alert) // nil: nothing changes.
	}{
		"later": {"r", karo.AlertFiring, ran(2*time.Minute, after(1)), func(a *karo.Alert) {
			a.Status.Reactions[0].Firing = ran(2*time.Minute, after(1))
		}},
		"the same":     {"r", karo.AlertFiring, ran(time.Minute, after(0)), nil},
		"earlier":      {"r", karo.AlertFiring, ran(2*time.Minute, after(-1)), nil},
		"when it ends": {"r", karo.AlertResolved, ran(time.Minute, after(0)), func(a *karo.Alert) { a.Status.Reactions[0].Resolved = ran(time.Minute, after(0)) }},
		"of another reaction": {"s", karo.AlertFiring, ran(0, after(0)), func(a *karo.Alert) {
			a.Status.Reactions = append(a.Status.Reactions, karo.ReactionMemory{UID: "s", Name: "name", Firing: ran(0, after(0))})
		}},
	} {
		t.Run(name, func(t *testing.T) {
			a, want := stored(), stored()
			if tc.want != nil {
				tc.want(want)
			}
			unwritten := &news{runs: []ownRun{{uid: tc.uid, name: "name", status: tc.status, run: *tc.run}}}
			if got := newMemory("r", "s").merge(unwritten, a); got != (tc.want != nil) {
				t.Errorf("it is worth a write: got %t, want %t", got, tc.want != nil)
			}
			if diff := cmp.Diff(want, a); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// A reaction that does not run is noted as rarely as an alert that is sent again.
func TestMergeOfSkips(t *testing.T) {
	skip := func(d time.Duration, reason string, status karo.AlertStatus, startsAt *nanotime.Time) *karo.SkipMemory {
		return &karo.SkipMemory{Reason: reason, Status: status, StartsAt: startsAt, Time: metav1.NewTime(epoch.Add(d))}
	}
	for name, tc := range map[string]struct {
		skip    *karo.SkipMemory
		written bool
	}{
		"again":             {skip(rarely, "Suspended", karo.AlertFiring, after(0)), false},
		"again, rarely":     {skip(rarely+1, "Suspended", karo.AlertFiring, after(0)), true},
		"another reason":    {skip(1, "Other", karo.AlertFiring, after(0)), true},
		"another status":    {skip(1, "Suspended", karo.AlertResolved, after(0)), true},
		"another beginning": {skip(1, "Suspended", karo.AlertFiring, after(1)), true},
	} {
		t.Run(name, func(t *testing.T) {
			first := skip(0, "Suspended", karo.AlertFiring, after(0))
			a, want := alertSeen(karo.ReactionMemory{UID: "r", Name: "r", Skipped: first}), first
			if tc.written {
				want = tc.skip
			}
			unwritten := &news{skips: map[types.UID]karo.ReactionMemory{"r": {UID: "r", Name: "r", Skipped: tc.skip}}}
			if got := newMemory("r").merge(unwritten, a); got != tc.written {
				t.Errorf("it is worth a write: got %t, want %t", got, tc.written)
			}
			if diff := cmp.Diff(alertSeen(karo.ReactionMemory{UID: "r", Name: "r", Skipped: want}), a); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// An Alert that somebody deleted is not made again by what was still to be written, but by the next notification.
func TestMergeIntoWhatWasDeleted(t *testing.T) {
	m := newMemory("r")
	empty := func() *karo.Alert { return &karo.Alert{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "a"}} }
	unwritten := &news{
		runs:  []ownRun{{uid: "r", name: "r", status: karo.AlertFiring, run: *ran(0, after(0))}},
		skips: map[types.UID]karo.ReactionMemory{"r": {UID: "r", Name: "r", Skipped: &karo.SkipMemory{Reason: "Suspended"}}},
	}
	a := empty()
	if m.merge(unwritten, a) {
		t.Error("an Alert that was deleted meanwhile would be made again")
	}
	if diff := cmp.Diff(empty(), a); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	unwritten.seen = seenAt(0, karo.AlertFiring, after(0))
	if !m.merge(unwritten, a) {
		t.Error("an Alert that was seen since has to be written")
	}
	want := alertSeen(karo.ReactionMemory{UID: "r", Name: "r", Firing: ran(0, after(0)), Skipped: &karo.SkipMemory{Reason: "Suspended"}})
	if diff := cmp.Diff(want, a); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

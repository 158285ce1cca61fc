// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

package memory

import (
	"testing"
	"time"

	"karo.io/karo/pkg/apis/karo"
	"karo.io/karo/pkg/apis/nanotime"
)

// epoch is an hour before now, in the tables below.
var epoch = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// after returns the instant so long after the epoch.
func after(d time.Duration) *nanotime.Time {
	t := nanotime.New(epoch.Add(d))
	return &t
}

// ran is a run that was received, of an alert that began, so long after the epoch.
func ran(received time.Duration, startsAt *nanotime.Time) *karo.RunMemory {
	return &karo.RunMemory{StartsAt: startsAt, ReceivedAt: *after(received), Execution: "execution"}
}

func TestDecide(t *testing.T) {
	const now = time.Hour
	for name, tc := range map[string]struct {
		last     *karo.RunMemory
		startsAt *nanotime.Time
		now      time.Duration // Default: an hour after the epoch.
		run      bool
		follows  *nanotime.Time
	}{
		"no entry":                        {startsAt: after(0), run: true},
		"no entry, it began long ago":     {startsAt: after(-1000 * time.Hour), run: true},
		"no entry, it begins later":       {startsAt: after(2 * now), run: true},
		"no entry, it says no start":      {startsAt: nil, run: true},
		"equal is sent again":             {last: ran(time.Second, after(0)), startsAt: after(0)},
		"equal is sent again, much later": {last: ran(time.Second, after(0)), startsAt: after(0), now: 10000 * time.Hour},
		"earlier is a late report":        {last: ran(time.Second, after(0)), startsAt: after(-1)},
		"earlier by much is merged":       {last: ran(time.Second, after(0)), startsAt: after(-now)},
		"later runs":                      {last: ran(time.Second, after(0)), startsAt: after(time.Minute), run: true},
		"later by a nanosecond runs":      {last: ran(time.Second, after(0)), startsAt: after(1), run: true},
		"later than the start, not than the arrival, runs": {
			last: ran(time.Minute, after(0)), startsAt: after(time.Second), run: true,
		},
		"as late as now is not in the future": {last: ran(0, after(0)), startsAt: after(now), run: true},

		"no start, as before, at once": {last: ran(now, nil), startsAt: nil},
		"no start, as before, under five minutes": {
			last: ran(now-5*time.Minute+1, nil), startsAt: nil,
		},
		"no start, as before, five minutes": {
			last: ran(now-5*time.Minute, nil), startsAt: nil, run: true, follows: after(now - 5*time.Minute),
		},
		"no start, as before, over five minutes": {
			last: ran(0, nil), startsAt: nil, run: true, follows: after(0),
		},
		"no start, after one with a start": {
			last: ran(now-time.Second, after(0)), startsAt: nil, run: true, follows: after(0),
		},
		"no start, after one that began this instant": {
			last: ran(now, after(now)), startsAt: nil,
		},
		"no start, after one that has yet to begin": {
			last: ran(0, after(2*now)), startsAt: nil, run: true, follows: after(2 * now),
		},
		"a start, after one without": {
			last: ran(0, nil), startsAt: after(1), run: true,
		},
		"a start before the arrival of one without": {
			last: ran(0, nil), startsAt: after(-1),
		},
		"a start at the arrival of one without": {
			last: ran(0, nil), startsAt: after(0),
		},

		"in the future, orders as its arrival": {
			last: ran(0, after(0)), startsAt: after(2 * now), run: true,
		},
		"in the future, of what began this instant": {
			last: ran(now, after(now)), startsAt: after(2 * now),
		},
		"in the future, equal is sent again": {
			last: ran(0, after(2*now)), startsAt: after(2 * now),
		},
		"in the future, another one runs": {
			last: ran(0, after(3*now)), startsAt: after(2 * now), run: true,
		},
		"was in the future, equal is sent again after it has passed": {
			last: ran(0, after(2*now)), startsAt: after(2 * now), now: 3 * now,
		},
		"was in the future, equal is sent again as it passes": {
			last: ran(0, after(2*now)), startsAt: after(2 * now), now: 2 * now,
		},
		"has yet to begin, one that began after its arrival runs": {
			last: ran(0, after(2*now)), startsAt: after(1), run: true,
		},
		"has yet to begin, one that began before its arrival is late": {
			last: ran(0, after(2*now)), startsAt: after(-1),
		},
		"was in the future, a later one runs after it has passed": {
			last: ran(0, after(2*now)), startsAt: after(2*now + 1), now: 3 * now, run: true,
		},
	} {
		t.Run(name, func(t *testing.T) {
			if tc.now == 0 {
				tc.now = now
			}
			run, follows := Decide(tc.last, tc.startsAt, *after(tc.now))
			if run != tc.run {
				t.Errorf("it runs: got %t, want %t", run, tc.run)
			}
			if run && !equal(follows, tc.follows) {
				t.Errorf("it follows: got %s, want %s", text(follows), text(tc.follows))
			}
		})
	}
}

func equal(a, b *nanotime.Time) bool {
	if a == nil || b == nil {
		return a == b
	}
	return *a == *b
}

func text(t *nanotime.Time) string {
	if t == nil {
		return "nothing"
	}
	return t.String()
}

// A decision changes neither what it was asked about nor what it was asked with.
func TestDecideIsPure(t *testing.T) {
	last, startsAt := ran(0, after(0)), after(2*time.Hour)
	Decide(last, startsAt, *after(time.Hour))
	if *last.StartsAt != *after(0) || last.ReceivedAt != *after(0) || *startsAt != *after(2 * time.Hour) {
		t.Errorf("got last %+v and startsAt %s", last, startsAt)
	}
}

// Replicas ask at different times. What a run without a start follows, and so its name, must not depend on when.
func TestWhatIsFollowedDoesNotDependOnNow(t *testing.T) {
	for name, last := range map[string]*karo.RunMemory{
		"no start":         ran(0, nil),
		"a start":          ran(0, after(-time.Hour)),
		"yet to begin":     ran(0, after(2*time.Hour)),
		"begins in a blip": ran(0, after(time.Hour+1)),
	} {
		_, one := Decide(last, nil, *after(time.Hour))
		_, two := Decide(last, nil, *after(3 * time.Hour))
		if !equal(one, two) {
			t.Errorf("%s: one replica says that it follows %s, another %s", name, text(one), text(two))
		}
	}
}

func TestLater(t *testing.T) {
	now := after(time.Hour)
	for name, tc := range map[string]struct {
		a, b *karo.RunMemory
		want bool
	}{
		"any is later than none":                   {ran(0, nil), nil, true},
		"none is not later than one":               {nil, ran(0, nil), false},
		"by the start":                             {ran(0, after(2)), ran(time.Minute, after(1)), true},
		"by the start, earlier":                    {ran(time.Minute, after(1)), ran(0, after(2)), false},
		"the same start":                           {ran(time.Minute, after(1)), ran(0, after(1)), false},
		"without a start, by the arrival":          {ran(2, nil), ran(1, nil), true},
		"without a start, earlier":                 {ran(1, nil), ran(2, nil), false},
		"an arrival after a start":                 {ran(2, nil), ran(5, after(1)), true},
		"a start after an arrival":                 {ran(5, after(3)), ran(2, nil), true},
		"yet to begin, by the arrival":             {ran(1, after(2*time.Hour)), ran(5, after(2)), false},
		"yet to begin, both, by the arrival":       {ran(2, after(2*time.Hour)), ran(1, after(3*time.Hour)), true},
		"a start after the arrival of such a one":  {ran(5, after(2)), ran(1, after(2*time.Hour)), true},
		"a start before the arrival of such a one": {ran(5, after(0)), ran(1, after(2*time.Hour)), false},
	} {
		if got := Later(tc.a, tc.b, *now); got != tc.want {
			t.Errorf("%s: got %t, want %t", name, got, tc.want)
		}
	}
	// Once it has begun, its start counts.
	if !Later(ran(1, after(2*time.Hour)), ran(5, after(2)), *after(3 * time.Hour)) {
		t.Error("a start that has passed must count")
	}
}

// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

package memory

import (
	"time"

	"karo.io/karo/pkg/apis/karo"
	"karo.io/karo/pkg/apis/nanotime"
)

// missingStartRepeat is how long an alert that is sent without startsAt counts as sent again.
const missingStartRepeat = 5 * time.Minute

// Decide says whether an alert runs, given the last run that the memory holds for its label set, reaction and status
// (nil: none), and, for an alert without startsAt, which run it follows.
//
// It runs when it began later than the last run. The same start is the alert being sent again, an earlier one a late or
// merged report. A start that is missing, or lies in the future, counts as the arrival.
func Decide(last *karo.RunMemory, startsAt *nanotime.Time, now nanotime.Time) (run bool, follows *nanotime.Time) {
	if last == nil {
		return true, nil
	}
	if startsAt == nil {
		if last.StartsAt == nil && now.Sub(last.ReceivedAt.Time) < missingStartRepeat {
			return false, nil
		}
		return now.After(Start(last, now).Time), identity(last)
	}
	if last.StartsAt != nil && startsAt.Equal(last.StartsAt.Time) {
		return false, nil
	}
	if startsAt.After(now.Time) {
		startsAt = &now
	}
	return startsAt.After(Start(last, now).Time), nil
}

// Later reports whether run a counts as later than run b; any run is later than none.
func Later(a, b *karo.RunMemory, now nanotime.Time) bool {
	return b == nil || a != nil && Start(a, now).After(Start(b, now).Time)
}

// Start is the instant by which a run is ordered.
func Start(r *karo.RunMemory, now nanotime.Time) nanotime.Time {
	if r.StartsAt == nil || r.StartsAt.After(now.Time) {
		return r.ReceivedAt
	}
	return *r.StartsAt
}

// identity is what the memory holds of a run's start, the same on every replica.
func identity(r *karo.RunMemory) *nanotime.Time {
	if r.StartsAt != nil {
		return r.StartsAt
	}
	return &r.ReceivedAt
}

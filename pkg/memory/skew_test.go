// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

package memory

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"karo.io/karo/pkg/apis/karo"
)

// Replicas whose clocks differ share what they remember. Whichever of them takes a notification, in whatever order, each
// occurrence of an alert runs at most once; and once the clock that is behind has come to its start, it has run.
func TestClocksOfReplicasDiffer(t *testing.T) {
	for seed := range uint64(2000) {
		random := rand.New(rand.NewPCG(seed, 0))
		// How far the clocks of the replicas are from the time that it is. The sender's is right.
		skews := []time.Duration{0, time.Duration(random.Int64N(int64(10 * time.Minute))), -time.Duration(random.Int64N(int64(10 * time.Minute)))}
		runs := map[time.Duration]int{} // by the start of the occurrence
		var last *karo.RunMemory
		send := func(startsAt, at time.Duration) {
			now := after(at + skews[random.IntN(len(skews))])
			if run, _ := Decide(last, after(startsAt), *now); !run {
				return
			}
			runs[startsAt]++
			// The name of the Execution is that of the occurrence, so that what ran before would be found; here that is a fault.
			entry := &karo.RunMemory{StartsAt: after(startsAt), ReceivedAt: *now}
			if !Later(entry, last, *now) {
				t.Errorf("seed %d: an occurrence runs and is not remembered", seed)
			}
			last = entry
		}
		at := time.Duration(0)
		for range 10 {
			at += time.Duration(1 + random.Int64N(int64(30*time.Minute)))
			startsAt := at
			for range 1 + random.IntN(5) { // It is sent again and again, before the next one begins.
				at += time.Duration(random.Int64N(int64(5 * time.Minute)))
				send(startsAt, at)
			}
			at += 10 * time.Minute // All clocks are past the start.
			send(startsAt, at)
			if runs[startsAt] != 1 {
				t.Fatalf("seed %d, skews %s: the occurrence of %s ran %d times: %s", seed, skews, startsAt, runs[startsAt], fmt.Sprint(runs))
			}
		}
	}
}

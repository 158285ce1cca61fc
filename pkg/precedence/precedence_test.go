// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

package precedence_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"karo.io/karo/pkg/precedence"
)

func TestGiveWay(t *testing.T) {
	for name, tc := range map[string]struct {
		users []time.Duration // How long each is in the lane.
		ends  time.Duration   // When the context does; 0: never.
		want  time.Duration
	}{
		"an empty lane":         {want: 0},
		"the last to leave":     {users: []time.Duration{time.Second, 3 * time.Second, 2 * time.Second}, want: 3 * time.Second},
		"one who stays long":    {users: []time.Duration{time.Hour}, want: 10 * time.Second},
		"nobody waits any more": {users: []time.Duration{time.Hour}, ends: 2 * time.Second, want: 2 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var lane precedence.Lane
				for _, stay := range tc.users {
					leave := lane.Enter()
					time.AfterFunc(stay, leave)
				}
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				if tc.ends > 0 {
					time.AfterFunc(tc.ends, cancel)
				}
				begin := time.Now()
				lane.GiveWay(ctx, 10*time.Second)
				if got := time.Since(begin); got != tc.want {
					t.Errorf("gave way for %s, want %s", got, tc.want)
				}
			})
		})
	}
}

func TestLaneIsUsedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var lane precedence.Lane
		for range 2 {
			leave := lane.Enter()
			leave()
			leave() // Once more does nothing.
			time.AfterFunc(time.Second, lane.Enter())
			begin := time.Now()
			lane.GiveWay(t.Context(), time.Minute)
			if got := time.Since(begin); got != time.Second {
				t.Errorf("gave way for %s", got)
			}
		}
	})
}

// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

// Package precedence has work that can wait give way to work that cannot: Jobs wait for notifications that are being
// stored, and the books for both.
package precedence

import (
	"context"
	"sync"
	"time"
)

// Lane knows whether work that others give way to is under way. The zero value is an empty one.
type Lane struct {
	lock  sync.Mutex
	users int
	empty chan struct{} // Closed once there are no users.
}

// Enter begins such work, and returns what ends it.
func (l *Lane) Enter() (leave func()) {
	l.lock.Lock()
	defer l.lock.Unlock()
	if l.users == 0 {
		l.empty = make(chan struct{})
	}
	l.users++
	return sync.OnceFunc(func() {
		l.lock.Lock()
		defer l.lock.Unlock()
		if l.users--; l.users == 0 {
			close(l.empty)
		}
	})
}

// GiveWay waits until nobody is in the lane, or ctx ends, but not longer than patience: what never ends must not keep
// others from their work for ever.
func (l *Lane) GiveWay(ctx context.Context, patience time.Duration) {
	l.lock.Lock()
	users, empty := l.users, l.empty
	l.lock.Unlock()
	if users == 0 {
		return
	}
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-empty:
	case <-timer.C:
	case <-ctx.Done():
	}
}

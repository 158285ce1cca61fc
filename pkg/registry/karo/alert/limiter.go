// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

package alert

import (
	"context"
	"net/http"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	genericapirequest "k8s.io/apiserver/pkg/endpoints/request"
)

const (
	// maxBytes bounds the bodies that are in memory at a time, of all senders. What they are decoded to is some times as
	// large.
	maxBytes = 2 * MaxBodyBytes
	// maxSenderBytes bounds those of one sender, so that it cannot starve the others.
	maxSenderBytes = MaxBodyBytes
	// minBytes is what a body counts at least, so that of the notifications of one sender no more than 16 are stored at a
	// time, and of all senders 32: more would not be faster, and the last would wait for all.
	minBytes = maxSenderBytes / 16
	// maxSenderRequests bounds the notifications of one sender that are handled or wait for their turn, so that they leave
	// others a place among the requests that the server takes at a time.
	maxSenderRequests = 128
	// These are the same of notifications to simulate, of which each may have an answer of many times its size.
	maxSimulated, maxSenderSimulated, maxSenderSimulations = 32 * maxSimulateBytes, 8 * maxSimulateBytes, 16
	// patience is how long a notification waits for its turn before its sender is told to try again.
	patience = 3 * time.Second
)

// Limiter bounds the notifications that are handled at a time, by the size of their bodies.
type Limiter struct {
	senderBytes    int64
	senderRequests int

	all     *semaphore.Weighted
	lock    sync.Mutex
	senders map[string]*sender
}

var errTooManyOfSender = apierrors.NewServiceUnavailable("too many notifications of this sender at once, try again")

type sender struct {
	*semaphore.Weighted
	users int
}

// NewLimiter returns a Limiter for all notifications of this process.
func NewLimiter() *Limiter { return newLimiter(maxBytes, maxSenderBytes, maxSenderRequests) }

// NewSimulationLimiter returns a Limiter for all notifications to simulate.
func NewSimulationLimiter() *Limiter {
	return newLimiter(maxSimulated, maxSenderSimulated, maxSenderSimulations)
}

func newLimiter(bytes, senderBytes int64, senderRequests int) *Limiter {
	return &Limiter{senderBytes: senderBytes, senderRequests: senderRequests, all: semaphore.NewWeighted(bytes), senders: map[string]*sender{}}
}

// acquire waits for the turn of a request whose body has at most limit bytes. The error, when there is none in time, makes
// the sender try again.
func (l *Limiter) acquire(ctx context.Context, req *http.Request, limit int64) (release func(), err error) {
	size := min(max(req.ContentLength, minBytes), limit)
	if req.ContentLength < 0 {
		size = limit
	}
	name := ""
	if user, ok := genericapirequest.UserFrom(ctx); ok {
		name = user.GetName()
	}
	from := l.enter(name)
	if from == nil {
		return nil, errTooManyOfSender
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	// The sender's own share comes first: while one waits for it, no one else waits for it.
	if err := from.Acquire(ctx, size); err != nil {
		l.leave(name)
		return nil, errTooManyOfSender
	}
	if err := l.all.Acquire(ctx, size); err != nil {
		from.Release(size)
		l.leave(name)
		return nil, apierrors.NewServiceUnavailable("too many notifications at once, try again")
	}
	return func() {
		l.all.Release(size)
		from.Release(size)
		l.leave(name)
	}, nil
}

// enter returns the sender of one more notification, or nil when there are too many of it.
func (l *Limiter) enter(name string) *sender {
	l.lock.Lock()
	defer l.lock.Unlock()
	s := l.senders[name]
	if s == nil {
		s = &sender{Weighted: semaphore.NewWeighted(l.senderBytes)}
		l.senders[name] = s
	}
	if s.users == l.senderRequests {
		return nil
	}
	s.users++
	return s
}

func (l *Limiter) leave(name string) {
	l.lock.Lock()
	defer l.lock.Unlock()
	if s := l.senders[name]; s != nil {
		if s.users--; s.users == 0 {
			delete(l.senders, name)
		}
	}
}

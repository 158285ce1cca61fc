// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

package alert

import (
	"context"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apiserver/pkg/authentication/user"
	genericapirequest "k8s.io/apiserver/pkg/endpoints/request"
)

const (
	// large is the size of a body, two of which are the share of one sender.
	large = maxSenderBytes / 2

	tooManyOfSender = "too many notifications of this sender at once, try again"
	tooMany         = "too many notifications at once, try again"
)

func from(ctx context.Context, sender string) context.Context {
	return genericapirequest.WithUser(ctx, &user.DefaultInfo{Name: sender})
}

func body(size int64) *http.Request { return &http.Request{ContentLength: size} }

// mustAcquire takes a turn that there has to be at once.
func mustAcquire(ctx context.Context, t *testing.T, l *Limiter, size int64) (release func()) {
	t.Helper()
	began := time.Now()
	release, err := l.acquire(ctx, body(size), MaxBodyBytes)
	if err != nil {
		t.Fatalf("there is room, but: %v", err)
	}
	if waited := time.Since(began); waited > 0 {
		t.Errorf("there is room, but it waited %s", waited)
	}
	return release
}

// expectRefused fails unless a turn is refused so that the sender tries again, after it was waited for so long.
func expectRefused(ctx context.Context, t *testing.T, l *Limiter, size int64, message string, after time.Duration) {
	t.Helper()
	began := time.Now()
	release, err := l.acquire(ctx, body(size), MaxBodyBytes)
	if err == nil {
		release()
		t.Error("got a turn, want none")
		return
	}
	// Alertmanager sends nothing again that was answered with 429.
	if !apierrors.IsServiceUnavailable(err) || err.Error() != message {
		t.Errorf("got error %v, want 503: %s", err, message)
	}
	if waited := time.Since(began); waited != after {
		t.Errorf("it was refused after %s, want %s", waited, after)
	}
}

func expectEmpty(t *testing.T, l *Limiter) {
	t.Helper()
	if len(l.senders) != 0 {
		t.Errorf("%d senders are still known, of whom nothing is handled", len(l.senders))
	}
	if !l.all.TryAcquire(maxBytes) {
		t.Error("nothing is handled, but there is not all the room")
	} else {
		l.all.Release(maxBytes)
	}
}

func TestASenderDoesNotStopAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := NewLimiter()
		a, b := from(t.Context(), "a"), from(t.Context(), "b")
		one, two := mustAcquire(a, t, l, large), mustAcquire(a, t, l, large)
		// Many more of the same sender wait, and take nothing from the others meanwhile.
		done := make(chan struct{})
		for range 10 {
			go func() {
				expectRefused(a, t, l, large, tooManyOfSender, patience)
				done <- struct{}{}
			}()
		}
		synctest.Wait()
		three, four := mustAcquire(b, t, l, large), mustAcquire(b, t, l, large)
		for range 10 {
			<-done
		}
		for _, release := range []func(){one, two, three, four} {
			release()
		}
		expectEmpty(t, l)
	})
}

func TestWhoWaitsForASenderIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := NewLimiter()
		a, b := from(t.Context(), "a"), from(t.Context(), "b")
		releases := []func(){mustAcquire(a, t, l, maxSenderBytes)}
		var waiting sync.WaitGroup
		for range maxSenderRequests - 1 {
			waiting.Go(func() { expectRefused(a, t, l, large, tooManyOfSender, patience) })
		}
		synctest.Wait()
		expectRefused(a, t, l, large, tooManyOfSender, 0)
		releases = append(releases, mustAcquire(b, t, l, large))
		waiting.Wait()
		expectRefused(a, t, l, large, tooManyOfSender, patience)
		for _, release := range releases {
			release()
		}
		expectEmpty(t, l)
	})
}

func TestAllSendersTogetherAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := NewLimiter()
		// The one that is held keeps the share of the sender, of which what is refused must give back its part.
		releases := []func(){mustAcquire(from(t.Context(), "d"), t, l, 1)}
		for _, sender := range []string{"a", "a", "b"} {
			releases = append(releases, mustAcquire(from(t.Context(), sender), t, l, large))
		}
		for range 3 {
			expectRefused(from(t.Context(), "d"), t, l, large, tooMany, patience)
		}
		releases[1]()
		releases[1] = mustAcquire(from(t.Context(), "d"), t, l, large)
		for _, release := range releases {
			release()
		}
		expectEmpty(t, l)
	})
}

func TestATurnComesWhenRoomIsMade(t *testing.T) {
	for name, waiting := range map[string]string{"of the sender": "a", "of all": "c"} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := NewLimiter()
				first := mustAcquire(from(t.Context(), "a"), t, l, large)
				var rest []func()
				for _, sender := range []string{"a", "b", "b"} {
					rest = append(rest, mustAcquire(from(t.Context(), sender), t, l, large))
				}
				got := make(chan func())
				go func() {
					release, err := l.acquire(from(t.Context(), waiting), body(large), MaxBodyBytes)
					if err != nil {
						t.Errorf("room was made at once, but: %v", err)
						release = func() {}
					}
					got <- release
				}()
				synctest.Wait()
				select {
				case <-got:
					t.Error("it got a turn that there was no room for")
				default:
				}
				first()
				(<-got)()
				for _, release := range rest {
					release()
				}
				expectEmpty(t, l)
			})
		})
	}
}

func TestWaitingEndsWithTheRequest(t *testing.T) {
	for name, end := range map[string]func(context.Context) (context.Context, context.CancelFunc){
		"canceled": func(ctx context.Context) (context.Context, context.CancelFunc) {
			ctx, cancel := context.WithCancel(ctx)
			time.AfterFunc(time.Second, cancel)
			return ctx, cancel
		},
		"deadline": func(ctx context.Context) (context.Context, context.CancelFunc) {
			return context.WithTimeout(ctx, time.Second)
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := NewLimiter()
				one, two := mustAcquire(from(t.Context(), "a"), t, l, large), mustAcquire(from(t.Context(), "a"), t, l, large)
				ctx, cancel := end(from(t.Context(), "a"))
				defer cancel()
				expectRefused(ctx, t, l, large, tooManyOfSender, time.Second)
				three, four := mustAcquire(from(t.Context(), "b"), t, l, large), mustAcquire(from(t.Context(), "b"), t, l, large)
				ctx, cancel = end(from(t.Context(), "c"))
				defer cancel()
				expectRefused(ctx, t, l, large, tooMany, time.Second)
				for _, release := range []func(){one, two, three, four} {
					release()
				}
				expectEmpty(t, l)
			})
		})
	}
}

// What a body counts is what it may need in memory.
func TestSizes(t *testing.T) {
	for name, tc := range map[string]struct {
		size int64
		fit  int
	}{
		"not known":     {-1, 1},
		"empty":         {0, maxSenderBytes / minBytes},
		"small":         {1, maxSenderBytes / minBytes},
		"a little":      {2 * minBytes, maxSenderBytes / minBytes / 2},
		"half":          {MaxBodyBytes / 2, 2},
		"the largest":   {MaxBodyBytes, 1},
		"over the size": {100 * MaxBodyBytes, 1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := NewLimiter()
				var releases []func()
				for range tc.fit {
					releases = append(releases, mustAcquire(from(t.Context(), "a"), t, l, tc.size))
				}
				expectRefused(from(t.Context(), "a"), t, l, tc.size, tooManyOfSender, patience)
				for _, release := range releases {
					release()
				}
				expectEmpty(t, l)
			})
		})
	}
}

// A request that nobody is known to have sent shares with the others of its kind.
func TestSenderThatIsNotKnown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := NewLimiter()
		one, two := mustAcquire(t.Context(), t, l, large), mustAcquire(t.Context(), t, l, large)
		expectRefused(t.Context(), t, l, large, tooManyOfSender, patience)
		three := mustAcquire(from(t.Context(), "a"), t, l, large)
		for _, release := range []func(){one, two, three} {
			release()
		}
		expectEmpty(t, l)
	})
}

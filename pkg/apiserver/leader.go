// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

package apiserver

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
	"k8s.io/klog/v2"

	"karo.io/karo/pkg/executor"
	"karo.io/karo/pkg/storecache"
)

const (
	// leaseName is the name of the lease that the executing replica holds.
	leaseName = "karo-executor"
	// leaseDuration is how long the others wait after they saw the lease renewed.
	leaseDuration = 15 * time.Second
	// renewDeadline is for how long a replica goes on without a renewal. Then it gives the lease back, and what it has begun
	// may still arrive: no Job goes before jobs.MinLife has passed, so that none is created a second time by that.
	renewDeadline = 10 * time.Second
	// retryPeriod is how often a replica renews the lease, and the others look whether it is free.
	retryPeriod = 2 * time.Second
	// takeOverWithin is how long a replica that was elected may take to learn what its predecessor did last. One that
	// cannot read the store must not keep the lease from one that can.
	takeOverWithin = 15 * time.Second
	// restAfterFailure is how long a replica whose work failed leaves the lease to the others.
	restAfterFailure = 3 * retryPeriod
)

// leader runs what only one replica may run.
type leader struct {
	client    kubernetes.Interface
	namespace string
	identity  string
	run       []func(context.Context) error
	// may returns once this replica may stand for election, and take once it may begin to work.
	may, take func(context.Context) error

	caches       []*storecache.Informer
	stopWork     context.CancelFunc
	stopElection context.CancelFunc
	work         context.Context
	done         chan struct{}
	working      sync.Mutex
	renewed      atomic.Pointer[time.Time]
}

// holds returns an error unless this replica is sure to hold the lease. A process that was stopped for a while, together
// with its timers, has not noticed yet that it no longer leads.
func (l *leader) holds() error {
	at := l.renewed.Load()
	if at == nil {
		return fmt.Errorf("%w: the lease %s is not held", executor.ErrNotLeading, leaseName)
	}
	if age := age(*at); age > renewDeadline {
		return fmt.Errorf("%w: the lease %s was last renewed %s ago", executor.ErrNotLeading, leaseName, age.Round(time.Millisecond))
	}
	return nil
}

// age returns how long ago something was, at least. The monotonic clock stands still in a virtual machine that is
// suspended, and the wall clock may be set back.
func age(at time.Time) time.Duration {
	now := time.Now()
	return max(now.Sub(at), now.Round(0).Sub(at.Round(0)))
}

// fence keeps a replica that is not sure to lead from creating a Job. It is asked for each try of a request, of which a
// client makes more when the cluster is busy.
type fence struct {
	http.RoundTripper
	holds func() error
}

// RoundTrip implements http.RoundTripper.
func (f *fence) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.Method == http.MethodPost && strings.HasSuffix(req.URL.Path, "/jobs") {
		if err := f.holds(); err != nil {
			if req.Body != nil {
				_ = req.Body.Close()
			}
			return nil, err
		}
	}
	return f.RoundTripper.RoundTrip(req)
}

// WrappedRoundTripper lets client-go find the transport.
func (f *fence) WrappedRoundTripper() http.RoundTripper { return f.RoundTripper }

// lock is the lease. It notes when it was last renewed for certain: the time before it was asked for. One that may have
// lapsed is not renewed: another replica may have held it, and given it back, so that what is known here is not what is.
type lock struct {
	resourcelock.Interface
	renewed *atomic.Pointer[time.Time]
}

// Create implements resourcelock.Interface.
func (l *lock) Create(ctx context.Context, record resourcelock.LeaderElectionRecord) error {
	return l.note(record, func() error { return l.Interface.Create(ctx, record) })
}

// Update implements resourcelock.Interface.
func (l *lock) Update(ctx context.Context, record resourcelock.LeaderElectionRecord) error {
	return l.note(record, func() error { return l.Interface.Update(ctx, record) })
}

func (l *lock) note(record resourcelock.LeaderElectionRecord, write func() error) error {
	asked, last := time.Now(), l.renewed.Load()
	release := record.HolderIdentity != l.Identity()
	if release {
		l.renewed.Store(nil)
	}
	if release && last == nil || last != nil && age(*last) >= leaseDuration {
		return fmt.Errorf("the lease %s was not renewed in time, and may be another's", leaseName)
	}
	if release {
		return write()
	}
	if err := write(); err != nil {
		return err
	}
	l.renewed.Store(&asked)
	return nil
}

// start stands for election until stop.
func (l *leader) start(ctx context.Context, caches []*storecache.Informer) {
	l.work, l.stopWork = context.WithCancel(ctx)
	var election context.Context
	election, l.stopElection = context.WithCancel(ctx)
	l.done = make(chan struct{})
	l.caches = caches
	go func() {
		defer close(l.done)
		for _, c := range caches {
			if !cache.WaitForCacheSync(election.Done(), c.HasSynced) {
				return
			}
		}
		for l.may(election) == nil {
			if l.stand(election) == nil {
				continue
			}
			select {
			case <-election.Done():
			case <-time.After(restAfterFailure):
			}
		}
	}()
}

// stop ends the work, waits for it, and gives the lease back.
func (l *leader) stop() {
	l.stopWork()
	l.working.Lock() // Held while there is work.
	l.stopElection()
	l.working.Unlock()
	<-l.done
}

// stand takes part in one election, and leads until the lease is lost, the work fails, or election ends. An error means
// that the work cannot go on here.
func (l *leader) stand(election context.Context) error {
	round, giveUp := context.WithCancel(election)
	defer giveUp()
	l.renewed.Store(nil)
	var failed error // Held under working.
	leaderelection.RunOrDie(round, leaderelection.LeaderElectionConfig{
		Name: leaseName,
		Lock: &lock{renewed: &l.renewed, Interface: &resourcelock.LeaseLock{
			LeaseMeta:  metav1.ObjectMeta{Namespace: l.namespace, Name: leaseName},
			Client:     l.client.CoordinationV1(),
			LockConfig: resourcelock.ResourceLockConfig{Identity: l.identity},
		}},
		LeaseDuration:   leaseDuration,
		RenewDeadline:   renewDeadline,
		RetryPeriod:     retryPeriod,
		ReleaseOnCancel: true,
		Callbacks: leaderelection.LeaderCallbacks{
			OnStartedLeading: func(leading context.Context) {
				l.working.Lock()
				defer l.working.Unlock()
				if failed = l.lead(leading); failed != nil {
					klog.FromContext(leading).Error(failed, "Executing failed; giving the lease back")
					giveUp()
				}
			},
			OnStoppedLeading: func() {},
		},
	})
	// The election ends before the work that it began does, which must not go on under the next lease. Work that has not
	// begun yet finds that its time is over.
	l.working.Lock()
	defer l.working.Unlock()
	return failed
}

// lead works until the lease is lost or the work is stopped. An error means that the work cannot go on here.
func (l *leader) lead(leading context.Context) error {
	ctx, cancel := context.WithCancel(leading)
	defer cancel()
	defer context.AfterFunc(l.work, cancel)()
	logger := klog.FromContext(ctx)
	logger.Info("This replica executes now")
	defer logger.Info("This replica no longer executes")
	err := l.takeOver(ctx)
	if err == nil {
		group, ctx := errgroup.WithContext(ctx)
		for _, run := range l.run {
			group.Go(func() error { return run(ctx) })
		}
		err = group.Wait()
	}
	if leading.Err() != nil || l.work.Err() != nil {
		return nil
	}
	return err
}

// takeOver returns once what the predecessor did last is known, before which nothing may be done.
func (l *leader) takeOver(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, takeOverWithin)
	defer cancel()
	for _, c := range l.caches {
		if err := c.Fresh(ctx); err != nil {
			return fmt.Errorf("taking over: %w", err)
		}
	}
	if err := l.take(ctx); err != nil {
		return fmt.Errorf("taking over: %w", err)
	}
	return nil
}

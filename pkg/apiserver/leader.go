// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

package apiserver

import (
	"context"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
	"k8s.io/klog/v2"

	"karo.io/karo/pkg/storecache"
)

// leaseName is the name of the lease that the executing replica holds.
const leaseName = "karo-executor"

// leader runs what only one replica may run.
type leader struct {
	client    kubernetes.Interface
	namespace string
	identity  string
	run       []func(context.Context) error

	caches       []*storecache.Informer
	stopWork     context.CancelFunc
	stopElection context.CancelFunc
	work         context.Context
	done         chan struct{}
	working      sync.Mutex
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
		for election.Err() == nil {
			l.stand(election)
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

// stand takes part in one election, and leads until the lease is lost or election ends.
func (l *leader) stand(election context.Context) {
	round, giveUp := context.WithCancel(election)
	defer giveUp()
	leaderelection.RunOrDie(round, leaderelection.LeaderElectionConfig{
		Name: leaseName,
		Lock: &resourcelock.LeaseLock{
			LeaseMeta:  metav1.ObjectMeta{Namespace: l.namespace, Name: leaseName},
			Client:     l.client.CoordinationV1(),
			LockConfig: resourcelock.ResourceLockConfig{Identity: l.identity},
		},
		LeaseDuration:   15 * time.Second,
		RenewDeadline:   10 * time.Second,
		RetryPeriod:     2 * time.Second,
		ReleaseOnCancel: true,
		Callbacks: leaderelection.LeaderCallbacks{
			OnStartedLeading: func(leading context.Context) {
				if err := l.lead(leading); err != nil {
					klog.FromContext(leading).Error(err, "Executing failed; giving the lease back")
					giveUp()
				}
			},
			OnStoppedLeading: func() {},
		},
	})
}

// lead works until the lease is lost or the work is stopped. An error means that the work cannot go on here.
func (l *leader) lead(leading context.Context) error {
	l.working.Lock()
	defer l.working.Unlock()
	ctx, cancel := context.WithCancel(leading)
	defer cancel()
	defer context.AfterFunc(l.work, cancel)()
	logger := klog.FromContext(ctx)
	logger.Info("This replica executes now")
	defer logger.Info("This replica no longer executes")
	for _, c := range l.caches {
		// What the predecessor did last must be known before anything is done.
		if err := c.Fresh(ctx); err != nil {
			return fmt.Errorf("taking over: %w", err)
		}
	}
	group, ctx := errgroup.WithContext(ctx)
	for _, run := range l.run {
		group.Go(func() error { return run(ctx) })
	}
	err := group.Wait()
	if leading.Err() != nil || l.work.Err() != nil {
		return nil
	}
	return err
}

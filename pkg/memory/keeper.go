// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

package memory

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/klog/v2"

	"karo.io/karo/pkg/apis/karo"
	"karo.io/karo/pkg/apis/nanotime"
	"karo.io/karo/pkg/panics"
	"karo.io/karo/pkg/retryqueue"
	"karo.io/karo/pkg/storecache"
)

const (
	// settle is how long the memory of an Execution must have been stored before the Execution may go: three times
	// what the cache of any replica may lag.
	settle = 30 * time.Second
	// recheck is how long the Keeper waits for something that no event tells.
	recheck = time.Second
)

// HasFinalizer reports whether an Execution still carries the memory of its own run.
func HasFinalizer(e *karo.Execution) bool {
	return slices.Contains(e.Finalizers, Finalizer)
}

// Keeper lets go of Executions once their Alert remembers them. One replica runs it.
type Keeper struct {
	memory  *Memory
	release func(ctx context.Context, e *karo.Execution) error
	settle  func(e *karo.Execution)
	queue   workqueue.TypedRateLimitingInterface[string]
	// covered holds, by the key of an Execution, since when the stored Alert has been seen to remember it.
	covered map[string]coverage
}

type coverage struct {
	uid   types.UID
	since time.Time
}

// NewKeeper returns a Keeper that calls release to remove the finalizer of an Execution.
func NewKeeper(m *Memory, release func(ctx context.Context, e *karo.Execution) error, settle func(e *karo.Execution)) *Keeper {
	return &Keeper{memory: m, release: release, settle: settle}
}

// Run works until ctx ends.
func (k *Keeper) Run(ctx context.Context) error {
	k.queue = retryqueue.New[string]()
	k.covered = map[string]coverage{}
	enqueue := panics.Handler("keeper", func(obj any) {
		if key, err := cache.DeletionHandlingMetaNamespaceKeyFunc(obj); err == nil {
			k.queue.Add(key)
		}
	})
	remembered := panics.Handler("keeper", func(obj any) {
		if name, err := cache.DeletionHandlingObjectToName(obj); err == nil {
			for _, e := range k.memory.executionsOf(name.AsNamespacedName()) {
				enqueue(e)
			}
		}
	})
	for informer, changed := range map[*storecache.Informer]func(any){k.memory.executions: enqueue, k.memory.alerts: remembered} {
		registration, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
			AddFunc:    changed,
			UpdateFunc: func(_, obj any) { changed(obj) },
			DeleteFunc: changed,
		})
		if err != nil {
			return fmt.Errorf("watching executions and alerts: %w", err)
		}
		defer func() { _ = informer.RemoveEventHandler(registration) }()
	}

	var worker sync.WaitGroup
	worker.Go(func() {
		for k.next(ctx) {
		}
	})
	<-ctx.Done()
	k.queue.ShutDown()
	worker.Wait()
	return nil
}

func (k *Keeper) next(ctx context.Context) bool {
	key, shutdown := k.queue.Get()
	if shutdown {
		return false
	}
	defer k.queue.Done(key)
	if err := panics.Catch("keeper", func() error { return k.sync(ctx, key) }); err != nil {
		klog.FromContext(ctx).Error(err, "Releasing an execution failed; it will be tried again", "execution", key)
		k.queue.AddRateLimited(key)
		return true
	}
	k.queue.Forget(key)
	return true
}

func (k *Keeper) sync(ctx context.Context, key string) error {
	obj, exists, err := k.memory.executions.GetStore().GetByKey(key)
	if err != nil {
		return err
	}
	if !exists || !HasFinalizer(obj.(*karo.Execution)) {
		delete(k.covered, key)
		return nil
	}
	e := obj.(*karo.Execution)
	if karo.Undecodable(e) != "" {
		// What it remembers is not known, so that no Alert can take it over. Who deletes it has it forgotten.
		if e.DeletionTimestamp == nil {
			return nil
		}
		return k.release(ctx, e)
	}
	live := k.memory.live
	if !live.NamespaceLives(e.Namespace) || !live.ReactionLives(e.Namespace, e.Spec.Reaction.Name, e.Spec.Reaction.UID) {
		// With the reaction its memory goes; nothing will ask for it again.
		if e.DeletionTimestamp == nil {
			k.queue.AddAfter(key, settle)
			return nil
		}
		return k.release(ctx, e)
	}
	if e.Spec.Trigger == karo.TriggerManual {
		k.settle(e) // A run by hand is not remembered.
		return nil
	}
	covered := k.covered[key]
	if covered.uid != e.UID {
		alertKey := KeyOf(e.Namespace, &e.Spec.Alert)
		alert := k.memory.stored(alertKey)
		if alert != nil && karo.Undecodable(alert) != "" {
			k.wait(key, e, settle) // It may be deleted, or read by a newer Karo.
			return nil
		}
		if !remembers(alert, e) {
			k.memory.queue.AddAfter(alertKey, coalesce)
			k.wait(key, e, settle) // The informer of the Alerts tells.
			return nil
		}
		covered = coverage{uid: e.UID, since: time.Now()}
		k.covered[key] = covered
	}
	if left := settle - time.Since(covered.since); left > 0 {
		k.wait(key, e, left)
		return nil
	}
	switch {
	case e.IsInVain(), e.IsUndecided() && e.DeletionTimestamp != nil:
		return k.release(ctx, e) // It never counted.
	case !e.IsUndecided():
		k.settle(e)
	}
	return nil
}

// wait looks at an Execution again later. While it is being deleted its reaction, or the namespace, may go at any time.
func (k *Keeper) wait(key string, e *karo.Execution, d time.Duration) {
	if e.DeletionTimestamp != nil {
		d = min(d, recheck)
	}
	k.queue.AddAfter(key, d)
}

// remembers reports whether an Alert holds the run of an Execution, or a later one.
func remembers(alert *karo.Alert, e *karo.Execution) bool {
	if alert == nil {
		return false
	}
	for i := range alert.Status.Reactions {
		if alert.Status.Reactions[i].UID == e.Spec.Reaction.UID {
			last := *slot(&alert.Status.Reactions[i], e.Spec.Alert.Status)
			return last != nil && !Later(RunOf(e), last, nanotime.New(time.Now()))
		}
	}
	return false
}

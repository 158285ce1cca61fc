// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

// Package executor turns stored Executions into Jobs and follows them to their end. One replica runs it at a time.
//
// Nothing it does depends on having done it once: names are derived, so a step that is repeated after a crash meets
// what it made before.
package executor

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	batchlisters "k8s.io/client-go/listers/batch/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/klog/v2"

	"karo.io/karo/pkg/apis/karo"
	v1 "karo.io/karo/pkg/apis/karo/v1"
)

// JobSelector selects the Jobs that Karo created.
const JobSelector = karo.LabelManagedBy + "=" + karo.ManagedBy

const (
	// stuck is how long Executions may wait, with not one being worked off, before the executor counts as dead.
	stuck    = 5 * time.Minute
	minRetry = 100 * time.Millisecond
	maxRetry = 30 * time.Second
	// coalesce is how long the triggers of a reaction are gathered before its status is written.
	coalesce = 500 * time.Millisecond
)

// Store keeps what the executor observes.
type Store interface {
	// GetExecution reads an Execution from storage.
	GetExecution(ctx context.Context, namespace, name string) (*karo.Execution, error)
	// UpdateExecutionStatus stores a status; a conflict means that the Execution has changed since it was read.
	UpdateExecutionStatus(ctx context.Context, e *karo.Execution) error
	// GetRevision reads a ReactionRevision.
	GetRevision(ctx context.Context, namespace, name string) (*karo.ReactionRevision, error)
	// SetLastTriggered records when a reaction last started a run.
	SetLastTriggered(ctx context.Context, namespace, name string, uid types.UID, at metav1.Time) error
}

// Executor runs Executions.
type Executor struct {
	executions cache.SharedIndexInformer
	store      Store
	client     kubernetes.Interface
	workers    int

	progress atomic.Pointer[progress] // nil while this replica does not execute
}

// term is the time for which this replica executes.
type term struct {
	*Executor
	began     time.Time
	jobs      batchlisters.JobLister
	queue     workqueue.TypedRateLimitingInterface[types.NamespacedName]
	triggered workqueue.TypedRateLimitingInterface[reactionKey]
	lock      sync.Mutex
	latest    map[reactionKey]metav1.Time // when a reaction was triggered and its status may not say so yet
}

// progress is how the liveness of the executor is told.
type progress struct {
	waiting func() bool
	last    atomic.Int64 // Unix time of the last step
}

type reactionKey struct {
	namespace, name string
	uid             types.UID
}

// New returns an Executor over an informer of internal Executions.
func New(executions cache.SharedIndexInformer, store Store, client kubernetes.Interface, workers int) *Executor {
	return &Executor{executions: executions, store: store, client: client, workers: workers}
}

// Run works until ctx ends, and returns once every worker is done.
func (x *Executor) Run(ctx context.Context) error {
	return (&term{Executor: x, began: time.Now()}).run(ctx)
}

func (x *term) run(ctx context.Context) error {
	retries := workqueue.NewTypedItemExponentialFailureRateLimiter[types.NamespacedName](minRetry, maxRetry)
	x.queue = workqueue.NewTypedRateLimitingQueue(retries)
	x.triggered = workqueue.NewTypedRateLimitingQueue(workqueue.DefaultTypedControllerRateLimiter[reactionKey]())
	x.latest = map[reactionKey]metav1.Time{}

	factory := informers.NewSharedInformerFactoryWithOptions(x.client, 0, informers.WithTweakListOptions(func(o *metav1.ListOptions) {
		o.LabelSelector = JobSelector
	}))
	jobs := factory.Batch().V1().Jobs()
	x.jobs = jobs.Lister()
	if _, err := jobs.Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    x.jobChanged,
		UpdateFunc: func(_, obj any) { x.jobChanged(obj) },
		DeleteFunc: x.jobChanged,
	}); err != nil {
		return fmt.Errorf("watching jobs: %w", err)
	}
	factory.Start(ctx.Done())
	defer factory.Shutdown()
	p := &progress{waiting: func() bool { return x.queue.Len() > 0 || !jobs.Informer().HasSynced() }}
	p.last.Store(time.Now().Unix())
	x.progress.Store(p)
	defer x.progress.Store(nil)
	if !cache.WaitForCacheSync(ctx.Done(), jobs.Informer().HasSynced) {
		return ctx.Err()
	}

	// From here on the informer replays every Execution, so that what a predecessor left is taken up.
	registration, err := x.executions.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    x.executionChanged,
		UpdateFunc: func(_, obj any) { x.executionChanged(obj) },
	})
	if err != nil {
		return fmt.Errorf("watching executions: %w", err)
	}
	defer func() { _ = x.executions.RemoveEventHandler(registration) }()

	var workers sync.WaitGroup
	for range x.workers {
		workers.Go(func() {
			process(ctx, x.queue, "execution", func(ctx context.Context, key types.NamespacedName) error {
				defer func() { p.last.Store(time.Now().Unix()) }()
				return x.sync(ctx, key)
			})
		})
	}
	workers.Go(func() { process(ctx, x.triggered, "reaction", x.syncReaction) })
	<-ctx.Done()
	x.queue.ShutDown()
	x.triggered.ShutDown()
	workers.Wait()
	return nil
}

// Alive returns an error when Executions wait and none has been worked off for long. A replica that does not execute is
// alive.
func (x *Executor) Alive(*http.Request) error {
	p := x.progress.Load()
	if p == nil {
		return nil
	}
	if !p.waiting() {
		p.last.Store(time.Now().Unix())
		return nil
	}
	if idle := time.Since(time.Unix(p.last.Load(), 0)); idle > stuck {
		return fmt.Errorf("executions wait, or the jobs cannot be read, and none was worked off for %s", idle.Round(time.Second))
	}
	return nil
}

// process works off a queue until it is shut down.
func process[T comparable](ctx context.Context, queue workqueue.TypedRateLimitingInterface[T], kind string, sync func(context.Context, T) error) {
	for {
		key, shutdown := queue.Get()
		if shutdown {
			return
		}
		switch err := sync(ctx, key); {
		case err == nil:
			queue.Forget(key)
		case errors.Is(err, errWaiting), apierrors.IsConflict(err), ctx.Err() != nil:
			queue.AddRateLimited(key)
		default:
			klog.FromContext(ctx).Error(err, "Will be tried again", kind, key)
			queue.AddRateLimited(key)
		}
		queue.Done(key)
	}
}

func (x *term) executionChanged(obj any) {
	e, ok := obj.(*karo.Execution)
	if !ok {
		return
	}
	x.queue.Add(types.NamespacedName{Namespace: e.Namespace, Name: e.Name})
	if e.Status.Phase != karo.PhaseSkipped {
		x.noteTrigger(e)
	}
}

func (x *term) jobChanged(obj any) {
	if tombstone, ok := obj.(cache.DeletedFinalStateUnknown); ok {
		obj = tombstone.Obj
	}
	job, ok := obj.(*batchv1.Job)
	if !ok {
		return
	}
	if owner := metav1.GetControllerOf(job); owner != nil && owner.Kind == "Execution" && owner.APIVersion == v1.SchemeGroupVersion.String() {
		x.queue.Add(types.NamespacedName{Namespace: job.Namespace, Name: owner.Name})
	}
}

// noteTrigger has the status of a reaction say when it was last triggered.
func (x *term) noteTrigger(e *karo.Execution) {
	key := reactionKey{e.Namespace, e.Spec.Reaction.Name, e.Spec.Reaction.UID}
	at := e.CreationTimestamp
	x.lock.Lock()
	defer x.lock.Unlock()
	if known, ok := x.latest[key]; ok && !known.Before(&at) {
		return
	}
	x.latest[key] = at
	x.triggered.AddAfter(key, coalesce)
}

func (x *term) syncReaction(ctx context.Context, key reactionKey) error {
	x.lock.Lock()
	at := x.latest[key]
	x.lock.Unlock()
	if err := x.store.SetLastTriggered(ctx, key.namespace, key.name, key.uid, at); err != nil {
		return err
	}
	x.lock.Lock()
	defer x.lock.Unlock()
	if x.latest[key] == at {
		delete(x.latest, key)
	}
	return nil
}

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
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	batchlisters "k8s.io/client-go/listers/batch/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/klog/v2"
	"k8s.io/utils/lru"

	"karo.io/karo/pkg/apis/karo"
	v1 "karo.io/karo/pkg/apis/karo/v1"
	"karo.io/karo/pkg/panics"
	"karo.io/karo/pkg/precedence"
	"karo.io/karo/pkg/retryqueue"
)

// JobSelector selects the Jobs that Karo created.
const JobSelector = karo.LabelManagedBy + "=" + karo.ManagedBy

const (
	// stuck is how long Executions may wait, with not one being worked off, before the executor counts as dead.
	stuck = 5 * time.Minute
	// maxRevisions is how many ReactionRevisions are kept in memory. One may have 256 KiB.
	maxRevisions = 128
)

// Store keeps what the executor observes.
type Store interface {
	// UpdateExecutionStatus stores a status, and returns what is stored then; a conflict means that the Execution has
	// changed since it was read.
	UpdateExecutionStatus(ctx context.Context, e *karo.Execution) (*karo.Execution, error)
	// GetRevision reads a ReactionRevision.
	GetRevision(ctx context.Context, namespace, name string) (*karo.ReactionRevision, error)
}

// Events tells the users of a reaction what becomes of its runs.
type Events interface {
	// Execution records an event about an Execution, and about its reaction. The type is Normal or Warning.
	Execution(e *karo.Execution, eventType, reason, format string, args ...any)
}

// ErrNotLeading is the error, of a check or of a client, that a Job is not created since this replica is not sure to be
// the one that executes.
var ErrNotLeading = errors.New("this replica does not execute")

const byPredecessor = "predecessor"

// ExecutionIndexers are the indexes that an Executor needs on the informer of the Executions.
func ExecutionIndexers() cache.Indexers {
	return cache.Indexers{byPredecessor: func(obj any) ([]string, error) {
		e := obj.(*karo.Execution)
		if e.Spec.After == "" {
			return nil, nil
		}
		return []string{e.Namespace + "/" + e.Spec.After}, nil
	}}
}

// WithoutPast is a transform for the informer of the Executions. What an Execution needs to create its Jobs, which is most
// of it, is not kept once it has all of them: thousands may be there that have ended. So what the informer has is not what is
// stored, and must never be written over it.
func WithoutPast(obj any) (any, error) {
	if e, ok := obj.(*karo.Execution); ok && (isFinished(e.Status.Phase) || !lacksJobs(e)) {
		e.Spec.Alert.Annotations, e.Spec.Alert.GeneratorURL = nil, ""
	}
	return obj, nil
}

// Executor runs Executions.
type Executor struct {
	executions cache.SharedIndexInformer
	store      Store
	client     kubernetes.Interface
	events     Events
	workers    int
	busy       *precedence.Lane
	mayCreate  func(ctx context.Context) error

	begun    sync.Map                 // of the UID of an Execution to a *sync.Map of the name of an action to its Job, until a status names it; whoever leads
	progress atomic.Pointer[progress] // nil while this replica does not execute
}

// term is the time for which this replica executes.
type term struct {
	*Executor
	waiting   sync.Map                  // of the UID of an Execution to a *sync.Map of the name of an action to its *waiting
	givenUp   sync.Map                  // of the UIDs of Executions that are being deleted before anything of them ran
	own       sync.Map                  // of the UID of an Execution to it as this replica stored it, until the informer has that too
	made      sync.Map                  // of the UID of a Job that this replica created to a *madeJob, until the informer has it
	outage    atomic.Pointer[time.Time] // when a status could last not be stored, if none has been since
	revisions *lru.Cache
	jobs      batchlisters.JobLister
	pods      cache.Indexer
	accounts  accounts
	refusals  refusals
	queue     workqueue.TypedRateLimitingInterface[types.NamespacedName]
}

// progress is how the liveness of the executor is told.
type progress struct {
	waiting func() bool
	last    atomic.Int64 // Unix time of the last step
}

// New returns an Executor over an informer of internal Executions, which has ExecutionIndexers. It is in the lane busy
// while it works. Whenever it is about to create a Job it asks mayCreate, which returns an error unless this replica is
// still the one that executes.
func New(executions cache.SharedIndexInformer, store Store, client kubernetes.Interface, events Events, workers int, busy *precedence.Lane, mayCreate func(ctx context.Context) error) *Executor {
	return &Executor{executions: executions, store: store, client: client, events: events, workers: workers, busy: busy, mayCreate: mayCreate}
}

// Run works until ctx ends, and returns once every worker is done.
func (x *Executor) Run(ctx context.Context) error {
	return (&term{Executor: x, accounts: accounts{client: x.client}, revisions: lru.New(maxRevisions)}).run(ctx)
}

func (x *term) run(ctx context.Context) error {
	x.queue = retryqueue.New[types.NamespacedName]()

	factory := informers.NewSharedInformerFactoryWithOptions(x.client, 0, informers.WithTweakListOptions(func(o *metav1.ListOptions) {
		o.LabelSelector = JobSelector
	}))
	jobs, pods := factory.Batch().V1().Jobs(), factory.Core().V1().Pods()
	x.jobs, x.pods = jobs.Lister(), pods.Informer().GetIndexer()
	if err := pods.Informer().AddIndexers(podIndexers()); err != nil {
		return fmt.Errorf("indexing pods: %w", err)
	}
	for _, informer := range []cache.SharedIndexInformer{jobs.Informer(), pods.Informer()} {
		if err := informer.SetTransform(statusOnly); err != nil {
			return fmt.Errorf("watching jobs and pods: %w", err)
		}
	}
	for informer, changed := range map[cache.SharedIndexInformer]func(any){jobs.Informer(): x.jobChanged, pods.Informer(): x.podChanged} {
		changed = panics.Handler("executor", changed)
		if _, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
			AddFunc:    changed,
			UpdateFunc: func(_, obj any) { changed(obj) },
			DeleteFunc: changed,
		}); err != nil {
			return fmt.Errorf("watching jobs and pods: %w", err)
		}
	}
	factory.Start(ctx.Done())
	defer factory.Shutdown()
	synced := func() bool { return jobs.Informer().HasSynced() && pods.Informer().HasSynced() }
	p := &progress{waiting: func() bool { return x.queue.Len() > 0 || !synced() }}
	p.last.Store(time.Now().Unix())
	x.progress.Store(p)
	defer x.progress.Store(nil)
	if !cache.WaitForCacheSync(ctx.Done(), synced) {
		return ctx.Err()
	}

	// From here on the informer replays every Execution, so that what a predecessor left is taken up.
	changed, gone := panics.Handler("executor", x.executionChanged), panics.Handler("executor", x.executionGone)
	registration, err := x.executions.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    changed,
		UpdateFunc: func(_, obj any) { changed(obj) },
		DeleteFunc: gone,
	})
	if err != nil {
		return fmt.Errorf("watching executions: %w", err)
	}
	defer func() { _ = x.executions.RemoveEventHandler(registration) }()

	x.forgetBegun()
	var workers sync.WaitGroup
	for range x.workers {
		workers.Go(func() {
			for x.next(ctx) {
				p.last.Store(time.Now().Unix())
			}
		})
	}
	<-ctx.Done()
	x.queue.ShutDown()
	workers.Wait()
	return nil
}

// forgetBegun forgets of what has begun in an earlier term what another replica has recorded since, or what is gone.
func (x *term) forgetBegun() {
	lacking := sets.New[types.UID]()
	for _, obj := range x.executions.GetStore().List() {
		if e := obj.(*karo.Execution); !isFinished(e.Status.Phase) && lacksJobs(e) {
			lacking.Insert(e.UID)
		}
	}
	for uid := range x.begun.Range {
		if !lacking.Has(uid.(types.UID)) {
			x.begun.Delete(uid)
		}
	}
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

// next brings the next Execution a step further. It returns false once there is nothing more to come.
func (x *term) next(ctx context.Context) bool {
	key, shutdown := x.queue.Get()
	if shutdown {
		return false
	}
	defer x.queue.Done(key)
	defer x.busy.Enter()()
	err := panics.Catch("executor", func() error { return x.sync(ctx, key) })
	if caught, ok := errors.AsType[*panics.Error](err); ok {
		_ = panics.Catch("executor", func() error { return x.notePanic(ctx, key, caught) })
	}
	if err == nil {
		x.queue.Forget(key)
		return true
	}
	if !errors.Is(err, errWaiting) && !apierrors.IsConflict(err) && ctx.Err() == nil {
		klog.FromContext(ctx).Error(err, "Will be tried again", "execution", key)
	}
	x.queue.AddRateLimited(key)
	return true
}

// notePanic says in the status of an Execution that it is not got on with. It is tried again, since a newer Karo, or a change
// in the cluster, may mend that.
func (x *term) notePanic(ctx context.Context, key types.NamespacedName, caught *panics.Error) error {
	obj, exists, err := x.executions.GetStore().GetByKey(key.String())
	if err != nil || !exists {
		return err
	}
	stored := x.newest(obj.(*karo.Execution))
	if isOver(stored) || stored.Status.Reason == reasonPanicked {
		return nil
	}
	e := stored.DeepCopy()
	e.Status.Reason = reasonPanicked
	if err := x.storeStatus(ctx, e); err != nil {
		return err
	}
	x.events.Execution(e, corev1.EventTypeWarning, reasonPanicked, "Will be tried again: %s", caught)
	return nil
}

func (x *term) executionChanged(obj any) {
	e, ok := obj.(*karo.Execution)
	if !ok {
		return
	}
	if own, ok := x.own.Load(e.UID); ok && !isNewer(own.(*karo.Execution), e) {
		x.own.CompareAndDelete(e.UID, own)
	}
	x.queue.Add(types.NamespacedName{Namespace: e.Namespace, Name: e.Name})
	if isFinished(e.Status.Phase) {
		x.ended(e)
	}
}

func (x *term) executionGone(obj any) {
	if tombstone, ok := obj.(cache.DeletedFinalStateUnknown); ok {
		obj = tombstone.Obj
	}
	if e, ok := obj.(*karo.Execution); ok {
		x.givenUp.Delete(e.UID)
		x.own.Delete(e.UID)
		x.begun.Delete(e.UID)
		x.ended(e)
	}
}

// ended has those that wait for an Execution look again.
func (x *term) ended(e *karo.Execution) {
	x.waiting.Delete(e.UID)
	waiting, err := x.executions.GetIndexer().ByIndex(byPredecessor, e.Namespace+"/"+e.Name)
	if err != nil {
		return // Only an index that does not exist is an error.
	}
	for _, obj := range waiting {
		x.queue.Add(types.NamespacedName{Namespace: e.Namespace, Name: obj.(*karo.Execution).Name})
	}
}

func (x *term) jobChanged(obj any) {
	if tombstone, ok := obj.(cache.DeletedFinalStateUnknown); ok {
		obj = tombstone.Obj
	}
	if job, ok := obj.(*batchv1.Job); ok {
		x.made.Delete(job.UID)
		x.enqueueOwner(job)
	}
}

func (x *term) podChanged(obj any) {
	if tombstone, ok := obj.(cache.DeletedFinalStateUnknown); ok {
		obj = tombstone.Obj
	}
	pod, ok := obj.(*corev1.Pod)
	if !ok {
		return
	}
	if owner := metav1.GetControllerOf(pod); owner != nil && owner.Kind == "Job" {
		if job, err := x.jobs.Jobs(pod.Namespace).Get(owner.Name); err == nil {
			x.enqueueOwner(job)
		}
	}
}

func (x *term) enqueueOwner(job *batchv1.Job) {
	if owner := metav1.GetControllerOf(job); owner != nil && owner.Kind == "Execution" && owner.APIVersion == v1.SchemeGroupVersion.String() {
		x.queue.Add(types.NamespacedName{Namespace: job.Namespace, Name: owner.Name})
	}
}

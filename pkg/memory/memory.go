// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

// Package memory knows which reactions ran for which alert.
//
// The memory is what keeps an alert from running twice: Alertmanager sends an alert again and again while it fires.
// It lives in two places. An Execution is proof of its own run and is stored before a notification is acknowledged.
// The Alert of the label set takes that over some time later and outlives the Execution; until it has, a finalizer
// keeps the Execution.
package memory

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/klog/v2"
	"k8s.io/utils/ptr"

	"karo.io/karo/pkg/apis/karo"
	"karo.io/karo/pkg/apis/nanotime"
	"karo.io/karo/pkg/matching"
	"karo.io/karo/pkg/names"
	"karo.io/karo/pkg/panics"
	"karo.io/karo/pkg/retryqueue"
	"karo.io/karo/pkg/storecache"
)

// Finalizer keeps an Execution until the Alert holds the memory of it.
const Finalizer = "karo.io/memory"

const (
	// coalesce is how long what happened to an Alert is gathered before it is written.
	coalesce = time.Second
	// rarely is how far lastSeen may fall behind when nothing else changes.
	rarely = 5 * time.Minute
	// writeTimeout is how long one write may take before it is tried again.
	writeTimeout = 5 * time.Second
	// writers bounds the concurrent writes of Alerts: notifications have priority.
	writers = 4
)

const byAlert = "alert"

// ExecutionIndexers are the indexes that a Memory needs on the informer of the Executions.
func ExecutionIndexers() cache.Indexers {
	return cache.Indexers{byAlert: func(obj any) ([]string, error) {
		e := obj.(*karo.Execution)
		if e.Status.Phase == karo.PhaseSkipped || e.Spec.Trigger == karo.TriggerManual {
			return nil, nil
		}
		return []string{KeyOf(e.Namespace, &e.Spec.Alert).String()}, nil
	}}
}

// AlertIndexers are the indexes that a Memory needs on the informer of the Alerts.
func AlertIndexers() cache.Indexers {
	return cache.Indexers{cache.NamespaceIndex: cache.MetaNamespaceIndexFunc}
}

// KeyOf returns the name of the Alert that remembers an alert.
func KeyOf(namespace string, alert *karo.AlertOccurrence) types.NamespacedName {
	return types.NamespacedName{Namespace: namespace, Name: names.Alert(alert.Name, alert.Labels)}
}

// AlertWriter stores Alerts.
type AlertWriter interface {
	// Merge stores what merge makes of the stored Alert, or of an empty one if there is none, as is likely when isNew.
	// When merge returns false nothing is written.
	Merge(ctx context.Context, key types.NamespacedName, isNew bool, merge func(*karo.Alert) bool) error
}

// Liveness knows what still exists.
type Liveness interface {
	// ReactionLives reports whether a reaction exists and is not being deleted.
	ReactionLives(namespace, name string, uid types.UID) bool
	// NamespaceLives reports whether a namespace is not known to be going.
	NamespaceLives(namespace string) bool
}

// Memory answers what ran for an alert, and writes the Alerts behind the Executions.
type Memory struct {
	alerts     *storecache.Informer
	executions *storecache.Informer
	writer     AlertWriter
	live       Liveness
	queue      workqueue.TypedRateLimitingInterface[types.NamespacedName]

	lock    sync.Mutex
	records map[types.NamespacedName]*Record
}

// New returns a Memory over informers of Alerts and of Executions; the latter has ExecutionIndexers.
func New(alerts, executions *storecache.Informer, writer AlertWriter, live Liveness) *Memory {
	return &Memory{
		alerts:     alerts,
		executions: executions,
		writer:     writer,
		live:       live,
		queue:      retryqueue.New[types.NamespacedName](),
		records:    map[types.NamespacedName]*Record{},
	}
}

// Run writes Alerts until ctx ends. Before each it calls giveWay, which returns once nothing more urgent is under way, or
// after a while.
func (m *Memory) Run(ctx context.Context, giveWay func(ctx context.Context)) {
	var workers sync.WaitGroup
	for range writers {
		workers.Go(func() {
			for m.writeNext(ctx, giveWay) {
			}
		})
	}
	<-ctx.Done()
	m.queue.ShutDown()
	workers.Wait()
}

// Record is what this process did about one alert and the caches may not show yet. It is locked while one
// notification deals with the alert, so that a second one waits for the outcome.
type Record struct {
	memory *Memory
	key    types.NamespacedName
	users  int // guarded by memory.lock

	lock sync.Mutex
	news
}

// news is what the stored Alert may not hold yet.
type news struct {
	runs  []ownRun
	seen  *seen
	skips map[types.UID]karo.ReactionMemory
}

func (n *news) empty() bool {
	return len(n.runs) == 0 && n.seen == nil && len(n.skips) == 0
}

type ownRun struct {
	uid             types.UID
	name            string
	status          karo.AlertStatus
	run             karo.RunMemory
	resourceVersion uint64
}

type seen struct {
	occurrence karo.AlertOccurrence
	at         time.Time
}

// Acquire returns the locked record of an alert. The caller releases it.
func (m *Memory) Acquire(key types.NamespacedName) *Record {
	m.lock.Lock()
	r := m.records[key]
	if r == nil {
		r = &Record{memory: m, key: key}
		m.records[key] = r
	}
	r.users++
	m.lock.Unlock()
	r.lock.Lock()
	return r
}

// Release unlocks the record.
func (r *Record) Release() {
	m := r.memory
	m.lock.Lock()
	defer m.lock.Unlock()
	r.users--
	// Before the record is unlocked: whoever waits for it records something next.
	forget := r.users == 0 && r.empty()
	r.lock.Unlock()
	if forget {
		delete(m.records, r.key)
	}
}

// Last returns the latest run of a reaction for the alert in a status, or nil.
func (r *Record) Last(uid types.UID, status karo.AlertStatus, now nanotime.Time) *karo.RunMemory {
	var last *karo.RunMemory
	consider := func(run *karo.RunMemory) {
		if run != nil && Later(run, last, now) {
			last = run
		}
	}
	if alert := r.memory.stored(r.key); alert != nil {
		for i := range alert.Status.Reactions {
			if alert.Status.Reactions[i].UID == uid {
				consider(*slot(&alert.Status.Reactions[i], status))
			}
		}
	}
	for _, e := range r.memory.executionsOf(r.key) {
		if e.Spec.Reaction.UID == uid && e.Spec.Alert.Status == status {
			consider(RunOf(e))
		}
	}
	for i := range r.runs {
		if r.runs[i].uid == uid && r.runs[i].status == status {
			consider(&r.runs[i].run)
		}
	}
	return last
}

// Name returns the name of the Alert that remembers the alert.
func (r *Record) Name() string { return r.key.Name }

// Undecodable returns why the Alert that remembers what ran cannot be read, or "". Nothing may run then for the alert: it
// may have run before.
func (r *Record) Undecodable() string {
	if alert := r.memory.stored(r.key); alert != nil {
		return karo.Undecodable(alert)
	}
	return ""
}

// Ran records an Execution that this process stored.
func (r *Record) Ran(e *karo.Execution) error {
	resourceVersion, err := strconv.ParseUint(e.ResourceVersion, 10, 64)
	if err != nil {
		return fmt.Errorf("resource version of execution %s/%s: %w", e.Namespace, e.Name, err)
	}
	r.runs = append(r.runs, ownRun{
		uid: e.Spec.Reaction.UID, name: e.Spec.Reaction.Name, status: e.Spec.Alert.Status,
		run: *RunOf(e), resourceVersion: resourceVersion,
	})
	return nil
}

// Skipped records that a reaction did not run.
func (r *Record) Skipped(uid types.UID, name string, skip karo.SkipMemory) {
	if r.skips == nil {
		r.skips = map[types.UID]karo.ReactionMemory{}
	}
	r.skips[uid] = karo.ReactionMemory{UID: uid, Name: name, Skipped: &skip}
}

// LastSkip returns why a reaction last did not run for the alert, or nil.
func (r *Record) LastSkip(uid types.UID) *karo.SkipMemory {
	if own, ok := r.skips[uid]; ok {
		return own.Skipped
	}
	if alert := r.memory.stored(r.key); alert != nil {
		for i := range alert.Status.Reactions {
			if alert.Status.Reactions[i].UID == uid {
				return alert.Status.Reactions[i].Skipped
			}
		}
	}
	return nil
}

// Seen records that a notification held the alert, and has all of it written soon.
func (r *Record) Seen(alert *karo.AlertOccurrence, now time.Time) {
	r.seen = &seen{occurrence: *alert, at: now}
	r.memory.queue.AddAfter(r.key, coalesce)
}

// Known reports whether the memory holds anything of an alert.
func (m *Memory) Known(key types.NamespacedName) bool {
	return m.stored(key) != nil || len(m.executionsOf(key)) > 0
}

// Firing returns how many of the alerts that are known to fire in the namespace of a reaction it would answer. Annotations
// are not known of them. Those of other namespaces that were sent for the whole cluster count only for a reaction that
// answers all: what others' alerts are is not for its author to learn. That one was sent to the namespace itself is told
// by a reaction there that answered it and answers no others, which answersOwn reports, or that had the same name.
func (m *Memory) Firing(reaction *karo.AlertReaction, rules *matching.Rules, answersOwn func(namespace, name string) bool) int {
	count := 0
	objs, err := m.alerts.GetIndexer().ByIndex(cache.NamespaceIndex, reaction.Namespace)
	if err != nil {
		return 0 // Only an index that does not exist is an error.
	}
	for _, obj := range objs {
		alert := obj.(*karo.Alert)
		of, named := alert.Spec.Labels["namespace"]
		theirs := named && of != reaction.Namespace && reaction.Spec.AlertScope != karo.ScopeCluster &&
			!slices.ContainsFunc(alert.Status.Reactions, func(r karo.ReactionMemory) bool {
				return r.Name == reaction.Name || answersOwn(alert.Namespace, r.Name)
			})
		if alert.Status.Status == karo.AlertFiring && rules != nil && !theirs &&
			rules.Match(&karo.AlertOccurrence{Labels: alert.Spec.Labels}) {
			count++
		}
	}
	return count
}

// RunOf returns what is remembered of an Execution.
func RunOf(e *karo.Execution) *karo.RunMemory {
	run := &karo.RunMemory{StartsAt: e.Spec.Alert.StartsAt, Execution: e.Name}
	if e.Spec.ReceivedAt != nil {
		run.ReceivedAt = *e.Spec.ReceivedAt
	} else {
		run.ReceivedAt = nanotime.New(e.CreationTimestamp.Time)
	}
	return run
}

func (m *Memory) stored(key types.NamespacedName) *karo.Alert {
	obj, exists, err := m.alerts.GetStore().GetByKey(key.String())
	if err != nil || !exists {
		return nil
	}
	return obj.(*karo.Alert)
}

func (m *Memory) executionsOf(key types.NamespacedName) []*karo.Execution {
	objs, err := m.executions.GetIndexer().ByIndex(byAlert, key.String())
	if err != nil {
		return nil // Only an index that does not exist is an error.
	}
	executions := make([]*karo.Execution, 0, len(objs))
	for _, obj := range objs {
		executions = append(executions, obj.(*karo.Execution))
	}
	return executions
}

func (m *Memory) writeNext(ctx context.Context, giveWay func(ctx context.Context)) bool {
	key, shutdown := m.queue.Get()
	if shutdown {
		return false
	}
	defer m.queue.Done(key)
	giveWay(ctx) // Not later: a notification may need the record that is locked then.
	if ctx.Err() != nil {
		return true // What is not written now is found again in the Executions.
	}
	if err := panics.Catch("memory", func() error { return m.write(ctx, key) }); err != nil {
		klog.FromContext(ctx).Error(err, "Writing the memory of an alert failed; it will be tried again", "alert", key)
		m.queue.AddRateLimited(key)
		return true
	}
	m.queue.Forget(key)
	return true
}

// write brings the stored Alert up to what is known. What it could not write stays in the record.
func (m *Memory) write(ctx context.Context, key types.NamespacedName) error {
	// A notification may wait for the record meanwhile.
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	r := m.Acquire(key)
	defer r.Release()
	if !m.live.NamespaceLives(key.Namespace) {
		r.news = news{}
		return nil
	}
	unwritten := r.news
	for _, e := range m.executionsOf(key) {
		// One without the finalizer has been remembered before. If the Alert lacks it now, somebody had it forgotten.
		if HasFinalizer(e) {
			unwritten.runs = append(slices.Clip(unwritten.runs), ownRun{
				uid: e.Spec.Reaction.UID, name: e.Spec.Reaction.Name, status: e.Spec.Alert.Status, run: *RunOf(e),
			})
			if unwritten.seen == nil && m.stored(key) == nil {
				unwritten.seen = &seen{occurrence: e.Spec.Alert, at: e.CreationTimestamp.Time}
			}
		}
	}
	if unwritten.empty() {
		return nil
	}
	// Of an Alert that cannot be read, what is stored stays. The Executions keep their memory meanwhile.
	if r.Undecodable() == "" {
		if err := m.writer.Merge(ctx, key, m.stored(key) == nil, func(alert *karo.Alert) bool { return m.merge(&unwritten, alert) }); err != nil {
			return err
		}
	}
	r.seen, r.skips = nil, nil
	// A run stays until the informer of the Executions shows it: the Alert may be deleted at any time.
	pending := r.runs[:0]
	for _, own := range r.runs {
		if !m.executions.Reached(own.resourceVersion) {
			pending = append(pending, own)
		}
	}
	r.runs = pending
	if len(pending) > 0 {
		m.queue.AddAfter(key, coalesce)
	}
	return nil
}

// merge adds news to an Alert and reports whether that is worth a write.
func (m *Memory) merge(unwritten *news, alert *karo.Alert) bool {
	now := nanotime.New(time.Now())
	changed := false
	if s := unwritten.seen; s != nil {
		if alert.Spec.Labels == nil {
			alert.Spec = karo.AlertSpec{Name: s.occurrence.Name, Fingerprint: s.occurrence.Fingerprint, Labels: s.occurrence.Labels}
		}
		status := &alert.Status
		moved := status.Status != s.occurrence.Status || !ptr.Equal(status.StartsAt, s.occurrence.StartsAt)
		if status.LastSeen == nil || moved || s.at.Sub(status.LastSeen.Time) > rarely {
			status.Status, status.StartsAt = s.occurrence.Status, s.occurrence.StartsAt
			status.LastSeen = new(metav1.NewTime(s.at))
			changed = true
		}
	}
	if alert.Spec.Labels == nil {
		return false // Deleted meanwhile, and not seen since.
	}
	kept := alert.Status.Reactions[:0]
	for _, reaction := range alert.Status.Reactions {
		if m.live.ReactionLives(alert.Namespace, reaction.Name, reaction.UID) || recent(&reaction, now) {
			kept = append(kept, reaction)
		}
	}
	changed = changed || len(kept) != len(alert.Status.Reactions)
	alert.Status.Reactions = kept
	for i := range unwritten.runs {
		own := &unwritten.runs[i]
		if !m.live.ReactionLives(alert.Namespace, own.name, own.uid) {
			continue
		}
		last := slot(entry(&alert.Status, own.uid, own.name), own.status)
		if Later(&own.run, *last, now) {
			*last = &own.run
			changed = true
		}
	}
	for uid, skip := range unwritten.skips {
		e := entry(&alert.Status, uid, skip.Name)
		if last := e.Skipped; last == nil || last.Reason != skip.Skipped.Reason || last.Status != skip.Skipped.Status ||
			!ptr.Equal(last.StartsAt, skip.Skipped.StartsAt) || skip.Skipped.Time.Sub(last.Time.Time) > rarely {
			e.Skipped = skip.Skipped
			changed = true
		}
	}
	return changed
}

// entry returns the part of the memory that belongs to a reaction.
func entry(status *karo.AlertMemory, uid types.UID, name string) *karo.ReactionMemory {
	for i := range status.Reactions {
		if status.Reactions[i].UID == uid {
			return &status.Reactions[i]
		}
	}
	status.Reactions = append(status.Reactions, karo.ReactionMemory{UID: uid, Name: name})
	return &status.Reactions[len(status.Reactions)-1]
}

// recent reports whether a run is so young that another replica may know a reaction which this one does not yet.
func recent(reaction *karo.ReactionMemory, now nanotime.Time) bool {
	for _, run := range []*karo.RunMemory{reaction.Firing, reaction.Resolved} {
		if run != nil && now.Sub(run.ReceivedAt.Time) < settle {
			return true
		}
	}
	return false
}

// slot returns where the last run for a status is kept.
func slot(reaction *karo.ReactionMemory, status karo.AlertStatus) **karo.RunMemory {
	if status == karo.AlertResolved {
		return &reaction.Resolved
	}
	return &reaction.Firing
}

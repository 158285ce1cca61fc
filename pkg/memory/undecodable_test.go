// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

package memory

import (
	"context"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/cache"

	"karo.io/karo/pkg/apis/karo"
	"karo.io/karo/pkg/retryqueue"
	"karo.io/karo/pkg/storecache"
)

var unreadable = map[string]string{karo.AnnotationUndecodable: "why"}

type live struct{}

func (live) ReactionLives(string, string, types.UID) bool { return true }
func (live) NamespaceLives(string) bool                   { return true }

type writer func() error

func (w writer) Merge(context.Context, types.NamespacedName, bool, func(*karo.Alert) bool) error {
	return w()
}

func memoryOf(t *testing.T, w AlertWriter, objs ...metav1.Object) *Memory {
	t.Helper()
	alerts := &storecache.Informer{SharedIndexInformer: cache.NewSharedIndexInformer(&cache.ListWatch{}, &karo.Alert{}, 0, AlertIndexers())}
	executions := &storecache.Informer{SharedIndexInformer: cache.NewSharedIndexInformer(&cache.ListWatch{}, &karo.Execution{}, 0, ExecutionIndexers())}
	for _, obj := range objs {
		indexer := executions.GetIndexer()
		if _, ok := obj.(*karo.Alert); ok {
			indexer = alerts.GetIndexer()
		}
		if err := indexer.Add(obj); err != nil {
			t.Fatal(err)
		}
	}
	m := New(alerts, executions, w, live{})
	t.Cleanup(m.queue.ShutDown)
	return m
}

// An Execution that cannot be read keeps its finalizer until somebody deletes it: what it remembers, no Alert does.
func TestKeeperOfUndecodable(t *testing.T) {
	e := &karo.Execution{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "e", Finalizers: []string{Finalizer}, Annotations: unreadable}}
	released := 0
	k := NewKeeper(memoryOf(t, nil, e), func(context.Context, *karo.Execution) error { released++; return nil }, func(*karo.Execution) { t.Error("it is settled") })
	k.queue, k.covered = retryqueue.New[string](), map[string]coverage{}
	defer k.queue.ShutDown()
	if err := k.sync(t.Context(), "ns/e"); err != nil || released != 0 {
		t.Errorf("it is let go: %v", err)
	}
	e.DeletionTimestamp = new(metav1.Now())
	if err := k.sync(t.Context(), "ns/e"); err != nil || released != 1 {
		t.Errorf("it is not let go: %v", err)
	}
}

// An Alert that cannot be read is said to be one, and is not written.
func TestUndecodableAlert(t *testing.T) {
	key := types.NamespacedName{Namespace: "ns", Name: "a"}
	m := memoryOf(t, writer(func() error { t.Error("it is written"); return nil }),
		&karo.Alert{ObjectMeta: metav1.ObjectMeta{Namespace: key.Namespace, Name: key.Name, Annotations: unreadable}})
	r := m.Acquire(key)
	if r.Undecodable() != "why" {
		t.Error("it passes for one that can be read")
	}
	r.Seen(&karo.AlertOccurrence{Labels: map[string]string{"a": "b"}}, epoch)
	r.Release()
	if err := m.write(t.Context(), key); err != nil {
		t.Fatal(err)
	}
}

// What panics for one Alert is tried again, and does not end the process.
func TestWritingPanics(t *testing.T) {
	key := types.NamespacedName{Namespace: "ns", Name: "a"}
	m := memoryOf(t, writer(func() error { panic("bad") }))
	r := m.Acquire(key)
	r.Seen(&karo.AlertOccurrence{Labels: map[string]string{"a": "b"}}, epoch)
	r.Release()
	for i := range 2 {
		m.queue.Add(key)
		if !m.writeNext(t.Context(), func(context.Context) {}) || m.queue.NumRequeues(key) != i+1 {
			t.Fatalf("it is put off %d times", m.queue.NumRequeues(key))
		}
	}
}

// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

package memory_test

import (
	"context"
	"errors"
	"maps"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/registry/generic"
	"k8s.io/client-go/tools/cache"

	"karo.io/karo/pkg/apis/karo"
	"karo.io/karo/pkg/memory"
	"karo.io/karo/pkg/records"
	"karo.io/karo/pkg/registry/karo/alert"
	"karo.io/karo/pkg/registry/karo/registrytest"
	"karo.io/karo/pkg/storecache"
)

// An Alert goes once it was not seen for long. One that was seen after it was read stays, since storage says that it has
// changed.
func TestSweep(t *testing.T) {
	store, err := alert.NewStore(registrytest.Scheme, registrytest.NewOptions(t, generic.UndecoratedStorage))
	if err != nil {
		t.Fatal(err)
	}
	registrytest.Close(t, store)
	stored := records.Records{Alerts: store}
	now := time.Date(2026, 3, 31, 12, 0, 0, 0, time.UTC)
	// The cache holds what was stored first, and is told of nothing that happens after.
	read := &storecache.Informer{SharedIndexInformer: cache.NewSharedIndexInformer(&cache.ListWatch{}, &karo.Alert{}, 0, memory.AlertIndexers())}
	cases := map[string]struct {
		seen      time.Duration // How long ago; 0: never.
		meanwhile func(*karo.Alert)
		stays     bool
	}{
		"seen-719h-ago": {seen: 719 * time.Hour, stays: true},
		"seen-720h-ago": {seen: 720 * time.Hour},
		"seen-721h-ago": {seen: 721 * time.Hour},
		"never-seen":    {stays: true},
		"seen-meanwhile": {seen: 721 * time.Hour, stays: true, meanwhile: func(a *karo.Alert) {
			registrytest.Update(t, store, a, func(a *karo.Alert) { a.Status.LastSeen = new(metav1.NewTime(now)) })
		}},
		"gone-meanwhile": {seen: 721 * time.Hour, meanwhile: func(a *karo.Alert) {
			if err := stored.DeleteAlert(t.Context(), a); err != nil {
				t.Fatal(err)
			}
		}},
	}
	for name, tc := range cases {
		a := &karo.Alert{
			ObjectMeta: metav1.ObjectMeta{Namespace: registrytest.Namespace, Name: name},
			Spec:       karo.AlertSpec{Labels: map[string]string{"alertname": name}},
		}
		if tc.seen != 0 {
			a.Status.LastSeen = new(metav1.NewTime(now.Add(-tc.seen)))
		}
		a = registrytest.Create(t, store, a)
		if err := read.GetIndexer().Add(a); err != nil {
			t.Fatal(err)
		}
		if tc.meanwhile != nil {
			tc.meanwhile(a)
		}
	}

	memory.Sweep(memory.NewSweeper(memory.New(read, nil, nil, nil), stored.DeleteAlert, 720*time.Hour), t.Context(), now)
	for name, tc := range cases {
		_, err := store.Get(registrytest.Context(t), name, &metav1.GetOptions{})
		if stays := err == nil; stays != tc.stays || err != nil && !apierrors.IsNotFound(err) {
			t.Errorf("%s: it stays: got %t (%v), want %t", name, stays, err, tc.stays)
		}
	}
}

// What fails for one Alert does not keep the others.
func TestSweepGoesOn(t *testing.T) {
	now := time.Date(2026, 3, 31, 12, 0, 0, 0, time.UTC)
	read := &storecache.Informer{SharedIndexInformer: cache.NewSharedIndexInformer(&cache.ListWatch{}, &karo.Alert{}, 0, memory.AlertIndexers())}
	for _, name := range []string{"a", "b", "c"} {
		a := &karo.Alert{ObjectMeta: metav1.ObjectMeta{Namespace: registrytest.Namespace, Name: name}}
		a.Status.LastSeen = new(metav1.NewTime(now.Add(-721 * time.Hour)))
		if err := read.GetIndexer().Add(a); err != nil {
			t.Fatal(err)
		}
	}
	asked := map[string]int{}
	remove := func(_ context.Context, a *karo.Alert) error {
		if asked[a.Name]++; a.Name == "b" {
			panic("a mistake")
		}
		return errors.New("storage is away")
	}
	memory.Sweep(memory.NewSweeper(memory.New(read, nil, nil, nil), remove, 720*time.Hour), t.Context(), now)
	if want := map[string]int{"a": 1, "b": 1, "c": 1}; !maps.Equal(asked, want) {
		t.Errorf("it was asked to remove %v, want each once", asked)
	}
}

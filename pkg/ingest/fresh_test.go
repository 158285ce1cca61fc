// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

package ingest_test

import (
	"sync"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/registry/generic"
	genericregistry "k8s.io/apiserver/pkg/registry/generic/registry"
	"k8s.io/client-go/tools/cache"

	"karo.io/karo/pkg/apis/karo"
	"karo.io/karo/pkg/ingest"
	"karo.io/karo/pkg/jobs"
	"karo.io/karo/pkg/matching"
	"karo.io/karo/pkg/memory"
	"karo.io/karo/pkg/precedence"
	"karo.io/karo/pkg/registry/karo/registrytest"
	karorest "karo.io/karo/pkg/registry/karo/rest"
	"karo.io/karo/pkg/storecache"
)

// What one replica acknowledged of a firing alert, another one knows when the alert is resolved, however short its proof
// of being fresh is ago: else it would acknowledge, and leave out, what runs for the resolved alert.
func TestResolvedRightAfterFiringElsewhere(t *testing.T) {
	options := registrytest.NewOptions(t, generic.UndecoratedStorage)
	stores, err := karorest.NewStores(registrytest.Scheme, options, nil, karorest.Caps{})
	if err != nil {
		t.Fatal(err)
	}
	var gate sync.RWMutex // Held to keep what is stored from the second replica.
	replica := func(transform cache.TransformFunc) *world {
		newCache := func(store *genericregistry.Store, indexers cache.Indexers) *storecache.Informer {
			informer, err := storecache.New(options, store, indexers)
			if err != nil {
				t.Fatal(err)
			}
			if err := informer.SetTransform(transform); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(informer.Close)
			return informer
		}
		reactions := newCache(stores.AlertReactions.Store, matching.Indexers())
		executions := newCache(stores.Executions.Store, memory.ExecutionIndexers())
		alerts := newCache(stores.Alerts, memory.AlertIndexers())
		index, err := matching.NewIndex(reactions)
		if err != nil {
			t.Fatal(err)
		}
		f := &fakes{matched: map[string]int{}, skipped: map[string][]string{}}
		records := stores.Records()
		caches := []*storecache.Informer{reactions, executions, alerts}
		for _, c := range caches {
			go c.RunWithContext(t.Context())
			cache.WaitForCacheSync(t.Context().Done(), c.HasSynced)
		}
		return &world{fakes: f, t: t, Ingest: &ingest.Ingest{
			Index: index, Memory: memory.New(alerts, executions, records, f), Caches: caches, Store: records, Namespaces: f,
			RenderJobs: jobs.All, Notes: f, Events: f, Storing: &precedence.Lane{},
		}}
	}
	stored := reaction(registrytest.Namespace, "r", when(karo.WhenFiring, karo.WhenResolved))
	stored.ObjectMeta = metav1.ObjectMeta{Namespace: stored.Namespace, Name: stored.Name} // The rest is the store's.
	registrytest.Create(t, stores.AlertReactions.Store, stored)
	first := replica(func(obj any) (any, error) { return obj, nil })
	second := replica(func(obj any) (any, error) {
		gate.RLock()
		defer gate.RUnlock()
		return obj, nil
	})

	other := firing(at(0))
	other.Labels = map[string]string{"alertname": "Unrelated"}
	second.send(registrytest.Namespace, other) // It proves to be fresh.
	gate.Lock()
	first.expect("firing", first.send(registrytest.Namespace, firing(at(0))), registrytest.Namespace+"/r Created")
	time.AfterFunc(300*time.Millisecond, gate.Unlock)
	second.expect("resolved", second.send(registrytest.Namespace, resolved(at(0), at(time.Hour))), registrytest.Namespace+"/r Created")
}

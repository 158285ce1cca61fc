// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

package ingest_test

import (
	"context"
	"fmt"
	"maps"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/registry/generic"
	genericregistry "k8s.io/apiserver/pkg/registry/generic/registry"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/apiserver/pkg/storage"
	"k8s.io/apiserver/pkg/storage/storagebackend"
	"k8s.io/apiserver/pkg/storage/storagebackend/factory"
	"k8s.io/client-go/tools/cache"

	"karo.io/karo/pkg/apis/karo"
	"karo.io/karo/pkg/embeddedetcd"
	"karo.io/karo/pkg/executor"
	"karo.io/karo/pkg/ingest"
	"karo.io/karo/pkg/matching"
	"karo.io/karo/pkg/memory"
	"karo.io/karo/pkg/notification"
	"karo.io/karo/pkg/precedence"
	"karo.io/karo/pkg/registry/karo/registrytest"
	karorest "karo.io/karo/pkg/registry/karo/rest"
	"karo.io/karo/pkg/storecache"
)

// BenchmarkTrigger stores alerts as the server does, in notifications of 50, eight at a time.
func BenchmarkTrigger(b *testing.B) {
	dir, err := os.MkdirTemp("", "karo-")
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	etcd, err := embeddedetcd.Start(b.Context(), dir, 1<<30)
	if err != nil {
		b.Fatal(err)
	}
	defer etcd.Close()
	options := registrytest.OptionsOf(etcd.Endpoint, asServed)
	stores, err := karorest.NewStores(registrytest.Scheme, options, nil, karorest.Caps{})
	if err != nil {
		b.Fatal(err)
	}
	registrytest.WaitUntilReady(b, stores.Revisions)
	registrytest.WaitUntilReady(b, stores.AlertReactions.Store)
	newCache := func(store *genericregistry.Store, indexers cache.Indexers) *storecache.Informer {
		informer, err := storecache.New(options, store, indexers)
		if err != nil {
			b.Fatal(err)
		}
		return informer
	}
	indexers := memory.ExecutionIndexers()
	maps.Copy(indexers, executor.ExecutionIndexers())
	reactions := newCache(stores.AlertReactions.Store, matching.Indexers())
	executions := newCache(stores.Executions.Store, indexers)
	alerts := newCache(stores.Alerts, memory.AlertIndexers())
	index, err := matching.NewIndex(reactions)
	if err != nil {
		b.Fatal(err)
	}
	f := &fakes{matched: map[string]int{}}
	records := stores.Records()
	m := memory.New(alerts, executions, records, f)
	caches := []*storecache.Informer{reactions, executions, alerts}
	handler := &ingest.Ingest{
		Index: index, Memory: m, Caches: caches, Store: records, Namespaces: f, Notes: f, Events: f, Storing: &precedence.Lane{},
		RenderJobs: func(*karo.Execution, *karo.AlertReactionSpec) ([]batchv1.Job, error) { return nil, nil },
	}
	ctx, cancel := context.WithCancel(b.Context())
	defer cancel()
	for _, c := range caches {
		go c.RunWithContext(ctx)
		cache.WaitForCacheSync(ctx.Done(), c.HasSynced)
	}
	if os.Getenv("WITH_MEMORY") != "" {
		go m.Run(ctx, func(context.Context) {})
	}
	reaction := &karo.AlertReaction{ObjectMeta: metav1.ObjectMeta{Namespace: registrytest.Namespace, Name: "react"}, Spec: karo.AlertReactionSpec{
		AlertName: "A", When: []karo.When{karo.WhenFiring}, Order: karo.OrderParallel, AlertScope: karo.ScopeNamespace, Actions: []karo.Action{{Name: "act", Image: "i"}},
	}}
	if _, err := stores.AlertReactions.Store.Create(registrytest.Context(b), reaction, rest.ValidateAllObjectFunc, &metav1.CreateOptions{}); err != nil {
		b.Fatal(err)
	}
	for _, c := range caches {
		if err := c.Fresh(ctx); err != nil {
			b.Fatal(err)
		}
	}
	var number, created atomic.Int64
	b.ResetTimer()
	var wg sync.WaitGroup
	per := (b.N + 399) / 400
	for range 8 {
		wg.Go(func() {
			for range per {
				n, err := notification.Decode(strings.NewReader(body(int(number.Add(50)), 50)))
				if err != nil {
					b.Error(err)
					return
				}
				result, err := handler.Trigger(registrytest.Context(b), registrytest.Namespace, n)
				if err != nil {
					b.Error(err)
					return
				}
				created.Add(int64(result.Created))
			}
		})
	}
	wg.Wait()
	b.StopTimer()
	if created.Load() != int64(per*400) {
		b.Errorf("created %d of %d", created.Load(), per*400)
	}
	b.ReportMetric(float64(created.Load())/b.Elapsed().Seconds(), "alerts/s")
}

// asServed has a watch cache where the server has one.
func asServed(config *storagebackend.ConfigForResource, prefix string, key func(runtime.Object) (string, error), newFunc, newListFunc func() runtime.Object,
	attrs storage.AttrFunc, trigger storage.IndexerFuncs, indexers *cache.Indexers) (storage.Interface, factory.DestroyFunc, error) {
	decorator := genericregistry.StorageWithCacher()
	if r := config.GroupResource.Resource; r == "executions" || r == "alerts" {
		decorator = generic.UndecoratedStorage
	}
	return decorator(config, prefix, key, newFunc, newListFunc, attrs, trigger, indexers)
}

func body(first, n int) string {
	var out strings.Builder
	out.WriteString(`{"version":"4","status":"firing","receiver":"r","alerts":[`)
	for i := range n {
		if i > 0 {
			out.WriteString(",")
		}
		fmt.Fprintf(&out, `{"status":"firing","startsAt":%q,"endsAt":"0001-01-01T00:00:00Z","generatorURL":"http://prometheus.monitoring.svc:9090/graph?g0.expr=up","fingerprint":"%016x","labels":{"alertname":"A","pod":"cart-%d","container":"app","namespace":"shop","severity":"warning","job":"kube-state-metrics","instance":"10.0.0.7:8080","uid":"0c1e5f7a-0000-4000-8000-%012d"},"annotations":{"summary":"Pod is crash looping.","description":%q,"runbook_url":"https://runbooks.prometheus-operator.dev/runbooks/kubernetes/kubepodcrashlooping"}}`,
			time.Now().UTC().Format(time.RFC3339Nano), first+i, first+i, first+i, strings.Repeat("What to look at is in the runbook. ", 10))
	}
	out.WriteString("]}")
	return out.String()
}

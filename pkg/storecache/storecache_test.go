// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

package storecache_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	genericapirequest "k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/generic"
	"k8s.io/apiserver/pkg/registry/generic/registry"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/client-go/tools/cache"

	"karo.io/karo/pkg/apis/karo"
	"karo.io/karo/pkg/embeddedetcd"
	"karo.io/karo/pkg/registry/karo/alert"
	"karo.io/karo/pkg/registry/karo/reactionrevision"
	"karo.io/karo/pkg/registry/karo/registrytest"
	"karo.io/karo/pkg/storecache"
)

// soon bounds what has to happen at all, on a slow machine too.
const soon = 30 * time.Second

// newStore opens a store of Alerts with clients of its own.
func newStore(t *testing.T, options generic.RESTOptionsGetter) *registry.Store {
	t.Helper()
	store, err := alert.NewStore(registrytest.Scheme, options)
	if err != nil {
		t.Fatal(err)
	}
	registrytest.Close(t, store)
	return store
}

// newInformer returns an informer that has not been started.
func newInformer(t *testing.T, options generic.RESTOptionsGetter) *storecache.Informer {
	t.Helper()
	informer, err := storecache.New(options, newStore(t, options), cache.Indexers{cache.NamespaceIndex: cache.MetaNamespaceIndexFunc})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(informer.Close)
	return informer
}

// start runs an informer until the test ends, and returns once it is loaded.
func start(t *testing.T, informer *storecache.Informer) {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { informer.RunWithContext(ctx) })
	t.Cleanup(func() {
		stop()
		running.Wait()
	})
	loading, cancel := context.WithTimeout(t.Context(), soon)
	defer cancel()
	if !cache.WaitForCacheSync(loading.Done(), informer.HasSynced) {
		t.Fatal("the informer was not loaded")
	}
}

func mustBeFresh(t *testing.T, informer *storecache.Informer) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), soon)
	defer cancel()
	if err := informer.Fresh(ctx); err != nil {
		t.Fatalf("waiting for the cache: %v", err)
	}
}

func newAlert(name string) *karo.Alert {
	return &karo.Alert{
		ObjectMeta: metav1.ObjectMeta{Namespace: registrytest.Namespace, Name: name},
		Spec:       karo.AlertSpec{Labels: map[string]string{"alertname": name}},
	}
}

// get returns what the informer holds of an Alert, or nil.
func get(t *testing.T, informer *storecache.Informer, name string) *karo.Alert {
	t.Helper()
	obj, exists, err := informer.GetStore().GetByKey(registrytest.Namespace + "/" + name)
	if err != nil {
		t.Fatal(err)
	}
	if !exists {
		return nil
	}
	return obj.(*karo.Alert)
}

// A cache that is held back proves that the answer is no accident of timing.
func TestFreshWaitsForWhatWasStoredBefore(t *testing.T) {
	options := registrytest.NewOptions(t, generic.UndecoratedStorage)
	informer, writer := newInformer(t, options), newStore(t, options)
	gate := make(chan struct{})
	if err := informer.SetTransform(func(obj any) (any, error) { <-gate; return obj, nil }); err != nil {
		t.Fatal(err)
	}
	start(t, informer)
	mustBeFresh(t, informer)

	if informer.Wrote(""); informer.Owes() != 0 {
		t.Error("nothing was written, and the cache says that it is behind")
	}
	stored := registrytest.Create(t, writer, newAlert("a"))
	informer.Wrote(stored.ResourceVersion)
	informer.Wrote("1") // Two writers may tell of what they wrote in any order.
	if informer.Owes() != revision(t, stored) {
		t.Error("the cache does not say that it is behind what this process wrote")
	}
	brief, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	err := informer.Fresh(brief)
	want := fmt.Sprintf("cache of alerts.karo.io is behind revision %s: context deadline exceeded", stored.ResourceVersion)
	if !errors.Is(err, context.DeadlineExceeded) || err.Error() != want {
		t.Errorf("got error %v, want %s", err, want)
	}
	if informer.Reached(revision(t, stored)) || get(t, informer, "a") != nil {
		t.Fatal("the cache was not held back, so that this test tests nothing")
	}

	close(gate)
	mustBeFresh(t, informer)
	if got := get(t, informer, "a"); got == nil || got.ResourceVersion != stored.ResourceVersion {
		t.Errorf("the cache is fresh and holds %v, want what was stored as %s", got, stored.ResourceVersion)
	}
	if !informer.Reached(revision(t, stored)) {
		t.Error("the cache is fresh and says that it is behind")
	}
	if informer.Owes() != 0 {
		t.Error("the cache still says that it is behind what this process wrote")
	}
	if informer.Reached(revision(t, stored) + 1) {
		t.Error("the cache says that it has reached what has yet to be stored")
	}
}

func revision(t *testing.T, a *karo.Alert) uint64 {
	t.Helper()
	revision, err := strconv.ParseUint(a.ResourceVersion, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return revision
}

// Another replica writes with a client of its own, and what it writes is seen whatever it is.
func TestFreshAfterEveryWrite(t *testing.T) {
	options := registrytest.NewOptions(t, generic.UndecoratedStorage)
	writer := newStore(t, options)
	before := registrytest.Create(t, writer, newAlert("before"))
	informer := newInformer(t, options)
	start(t, informer)
	mustBeFresh(t, informer)
	if got := get(t, informer, "before"); got == nil || got.UID != before.UID {
		t.Fatalf("got %v, want what was there before", got)
	}

	for i := range 20 {
		name := fmt.Sprint("alert-", i)
		stored := registrytest.Create(t, writer, newAlert(name))
		mustBeFresh(t, informer)
		if got := get(t, informer, name); got == nil || got.ResourceVersion != stored.ResourceVersion {
			t.Fatalf("%s was created as %s, and the cache holds %v", name, stored.ResourceVersion, got)
		}
		stored = registrytest.Update(t, writer, stored, func(a *karo.Alert) { a.Status.Status = karo.AlertResolved })
		mustBeFresh(t, informer)
		if got := get(t, informer, name); got == nil || got.ResourceVersion != stored.ResourceVersion || got.Status.Status != karo.AlertResolved {
			t.Fatalf("%s was updated as %s, and the cache holds %v", name, stored.ResourceVersion, got)
		}
		if _, _, err := writer.Delete(registrytest.Context(t), name, rest.ValidateAllObjectFunc, &metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		mustBeFresh(t, informer)
		if got := get(t, informer, name); got != nil {
			t.Fatalf("%s was deleted, and the cache holds %v", name, got)
		}
	}
}

// The revision of etcd is one for all, and moves with what the cache is not told of.
func TestFreshWhenOnlyOthersChange(t *testing.T) {
	options := registrytest.NewOptions(t, generic.UndecoratedStorage)
	informer := newInformer(t, options)
	start(t, informer)
	others, err := reactionrevision.NewStore(registrytest.Scheme, options)
	if err != nil {
		t.Fatal(err)
	}
	registrytest.Close(t, others)
	for i := range 3 {
		created := registrytest.Create(t, others, &karo.ReactionRevision{
			ObjectMeta: metav1.ObjectMeta{Namespace: registrytest.Namespace, Name: fmt.Sprint("r-", i)},
			Reaction:   karo.ReactionReference{Name: "r", UID: "uid"},
		})
		mustBeFresh(t, informer)
		if want, err := strconv.ParseUint(created.ResourceVersion, 10, 64); err != nil || !informer.Reached(want) {
			t.Errorf("the cache is fresh and behind revision %s", created.ResourceVersion)
		}
	}
}

func TestInformerHoldsAllNamespaces(t *testing.T) {
	options := registrytest.NewOptions(t, generic.UndecoratedStorage)
	informer, writer := newInformer(t, options), newStore(t, options)
	start(t, informer)
	for _, namespace := range []string{"a", "a-b", "b"} {
		a := newAlert("alert")
		a.Namespace = namespace
		if _, err := writer.Create(genericapirequest.WithNamespace(t.Context(), namespace), a, rest.ValidateAllObjectFunc, &metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	mustBeFresh(t, informer)
	if got := len(informer.GetStore().List()); got != 3 {
		t.Errorf("got %d alerts, want 3", got)
	}
	if got, err := informer.GetIndexer().ByIndex(cache.NamespaceIndex, "a"); err != nil || len(got) != 1 {
		t.Errorf("got %v and error %v, want the one of namespace a", got, err)
	}
}

func TestNothingIsReachedBeforeTheStart(t *testing.T) {
	informer := newInformer(t, registrytest.NewOptions(t, generic.UndecoratedStorage))
	if informer.Reached(0) || informer.Reached(1) {
		t.Error("a cache that holds nothing has reached something")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if err := informer.Fresh(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got error %v, want that the time was over", err)
	}
}

// Without etcd nothing can be proven: the answer is an error, and it comes when the request ends.
func TestFreshWhileEtcdIsStopped(t *testing.T) {
	dir, err := os.MkdirTemp("", "karo-") // The name of the test would make the path of the socket too long for some systems.
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	etcd, err := embeddedetcd.Start(t.Context(), dir, 1<<30)
	if err != nil {
		t.Fatal(err)
	}
	stop := sync.OnceFunc(etcd.Close)
	t.Cleanup(stop)
	options := registrytest.OptionsOf(etcd.Endpoint, generic.UndecoratedStorage)
	informer := newInformer(t, options)
	start(t, informer)
	mustBeFresh(t, informer)

	stop()
	for name, end := range map[string]func() (context.Context, context.CancelFunc){
		"deadline": func() (context.Context, context.CancelFunc) {
			return context.WithTimeout(t.Context(), 200*time.Millisecond)
		},
		"canceled": func() (context.Context, context.CancelFunc) {
			ctx, cancel := context.WithCancel(t.Context())
			time.AfterFunc(200*time.Millisecond, cancel)
			return ctx, cancel
		},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := end()
			defer cancel()
			err := informer.Fresh(ctx)
			if err == nil || !strings.HasPrefix(err.Error(), "asking etcd for its revision: ") {
				t.Errorf("got error %v, want that etcd does not answer", err)
			}
		})
	}
}

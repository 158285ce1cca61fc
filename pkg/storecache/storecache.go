// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

// Package storecache keeps informers that are fed by storage itself instead of by requests to the API, and that know
// how fresh they are.
//
// Whether an alert has run before must not be answered from a cache that may be arbitrarily old. A watch through the
// API gives no bound: its bookmarks come once a minute. A watch on etcd can be asked for its progress at any time.
package storecache

import (
	"context"
	"fmt"
	"maps"
	"strconv"
	"sync/atomic"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/apiserver/pkg/registry/generic"
	"k8s.io/apiserver/pkg/registry/generic/registry"
	"k8s.io/apiserver/pkg/storage"
	"k8s.io/client-go/tools/cache"

	"karo.io/karo/pkg/apis/karo"
)

// Informer is a shared informer over all objects of one resource, in the internal version. Objects from it are shared
// and must not be changed.
type Informer struct {
	cache.SharedIndexInformer
	own      atomic.Uint64 // the latest resource version that this process is known to have stored
	raw      storage.Interface
	destroy  func()
	resource string
}

// undecodable is the index of the objects that are stored and cannot be read.
const undecodable = "undecodable"

// New returns an informer over the objects of a store. It does nothing until it is run.
func New(optsGetter generic.RESTOptionsGetter, store *registry.Store, indexers cache.Indexers) (*Informer, error) {
	resource := store.DefaultQualifiedResource
	opts, err := optsGetter.GetRESTOptions(resource, store.NewFunc())
	if err != nil {
		return nil, fmt.Errorf("storage options of %s: %w", resource, err)
	}
	raw, destroy, err := generic.NewRawStorage(opts.StorageConfig, store.NewFunc, store.NewListFunc, "/"+opts.ResourcePrefix)
	if err != nil {
		return nil, fmt.Errorf("storage of %s: %w", resource, err)
	}
	root := store.KeyRootFunc(context.Background())
	everything := storage.ListOptions{Predicate: storage.Everything, Recursive: true}
	lw := directListWatch{&cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, _ metav1.ListOptions) (runtime.Object, error) {
			list := store.NewListFunc()
			return list, raw.GetList(ctx, root, everything, list)
		},
		WatchFuncWithContext: func(ctx context.Context, options metav1.ListOptions) (watch.Interface, error) {
			opts := everything
			opts.ResourceVersion = options.ResourceVersion
			opts.ProgressNotify = true
			return raw.Watch(ctx, root, opts)
		},
	}}
	all := cache.Indexers{undecodable: func(obj any) ([]string, error) {
		if m, err := meta.Accessor(obj); err != nil || karo.Undecodable(m) == "" {
			return nil, err
		}
		return []string{undecodable}, nil
	}}
	maps.Copy(all, indexers)
	return &Informer{
		SharedIndexInformer: cache.NewSharedIndexInformer(lw, store.NewFunc(), 0, all),
		raw:                 raw,
		destroy:             destroy,
		resource:            resource.String(),
	}, nil
}

// directListWatch tells the reflector to list and then watch: etcd streams no initial events.
type directListWatch struct{ *cache.ListWatch }

// IsWatchListSemanticsUnSupported is the name under which client-go asks.
func (directListWatch) IsWatchListSemanticsUnSupported() bool { return true }

// Close releases the connection to etcd, after the informer has stopped.
func (i *Informer) Close() { i.destroy() }

// Resource returns the name of the resource.
func (i *Informer) Resource() string { return i.resource }

// Undecodable returns how many of the objects are stored and cannot be read.
func (i *Informer) Undecodable() int {
	keys, err := i.GetIndexer().IndexKeys(undecodable, undecodable)
	if err != nil {
		return 0 // Only an index that does not exist is an error.
	}
	return len(keys)
}

// Fresh returns once the informer has applied everything that was stored before the call, or an error when ctx ends
// first.
func (i *Informer) Fresh(ctx context.Context) error {
	want, err := i.raw.GetCurrentResourceVersion(ctx)
	if err != nil {
		return fmt.Errorf("asking etcd for its revision: %w", err)
	}
	// The answer takes less than a millisecond, unless much comes before it.
	backoff := wait.Backoff{Duration: time.Millisecond, Factor: 2, Steps: 6, Cap: 20 * time.Millisecond}
	err = backoff.DelayFunc().Until(ctx, true, true, func(ctx context.Context) (bool, error) {
		if i.Reached(want) {
			return true, nil
		}
		// The answer arrives in the watch itself, behind every event it stands for.
		return false, i.raw.RequestWatchProgress(ctx)
	})
	if err != nil {
		return fmt.Errorf("cache of %s is behind revision %d: %w", i.resource, want, err)
	}
	return nil
}

// Wrote notes that this process has stored something, at a resource version. One that is no number, as that of a dry run,
// says nothing.
func (i *Informer) Wrote(resourceVersion string) {
	wrote, err := strconv.ParseUint(resourceVersion, 10, 64)
	for own := i.own.Load(); err == nil && wrote > own && !i.own.CompareAndSwap(own, wrote); own = i.own.Load() {
	}
}

// Owes returns the latest resource version that this process has stored if the informer has still to apply it, and else 0.
func (i *Informer) Owes() uint64 {
	if own := i.own.Load(); own > 0 && !i.Reached(own) {
		return own
	}
	return 0
}

// Reached reports whether the informer has applied everything up to a resource version.
func (i *Informer) Reached(resourceVersion uint64) bool {
	have, err := strconv.ParseUint(i.GetStore().LastStoreSyncResourceVersion(), 10, 64)
	return err == nil && have >= resourceVersion
}

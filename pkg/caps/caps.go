// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

// Package caps bounds how many objects of a kind a namespace may have, so that no tenant fills the store for all.
package caps

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	genericapirequest "k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/generic/registry"
	"k8s.io/apiserver/pkg/util/dryrun"
	"k8s.io/client-go/tools/cache"
)

// forgetAfter is how long an object that was created, and that the informer does not show, still counts. It may have been
// deleted while the informer did not watch.
const forgetAfter = time.Minute

// Cap bounds the objects of one resource. It counts those that an informer shows, whose event handler it is, and those
// that it has let pass and the informer does not show yet. What other replicas create meanwhile may come on top of it.
type Cap struct {
	resource schema.GroupResource
	limit    int
	advice   string

	lock       sync.Mutex
	namespaces map[string]*count
}

type count struct {
	shown  int
	coming map[string]time.Time // by name, since when
}

var _ cache.ResourceEventHandler = (*Cap)(nil)

// New returns a Cap of a resource. Who exceeds the limit, of which 0 is none, is given the advice.
func New(resource schema.GroupResource, limit int, advice string) *Cap {
	return &Cap{resource: resource, limit: limit, advice: advice, namespaces: map[string]*count{}}
}

// exceeded is the answer to a request that would exceed a cap.
type exceeded struct {
	*apierrors.StatusError
}

// IsExceeded reports whether an error says that a cap would be exceeded.
func IsExceeded(err error) bool {
	var e exceeded
	return errors.As(err, &e)
}

// Check returns an error if a namespace has no room for another object of a name. A Cap that is nil has no limit.
func (c *Cap) Check(namespace, name string) error {
	if c == nil {
		return nil
	}
	c.lock.Lock()
	defer c.lock.Unlock()
	return c.check(namespace, name)
}

func (c *Cap) check(namespace, name string) error {
	n := c.namespaces[namespace]
	if c.limit == 0 || n == nil || n.total() < c.limit {
		return nil
	}
	for other, since := range n.coming {
		if time.Since(since) > forgetAfter {
			delete(n.coming, other)
		}
	}
	total := n.total()
	if total < c.limit {
		return nil
	}
	return exceeded{apierrors.NewForbidden(c.resource, name,
		fmt.Errorf("exceeded quota: namespace %s has %d %s, and may have %d; %s", namespace, total, c.resource.Resource, c.limit, c.advice))}
}

func (n *count) total() int { return n.shown + len(n.coming) }

// Begin is the hook of a store by which a create that would exceed the cap is refused.
func (c *Cap) Begin(ctx context.Context, obj runtime.Object, options *metav1.CreateOptions) (registry.FinishFunc, error) {
	nothing := func(context.Context, bool) {}
	if c == nil || c.limit == 0 {
		return nothing, nil
	}
	accessor, err := meta.Accessor(obj)
	if err != nil {
		return nil, err
	}
	namespace, name := genericapirequest.NamespaceValue(ctx), accessor.GetName()
	c.lock.Lock()
	defer c.lock.Unlock()
	if err := c.check(namespace, name); err != nil {
		return nil, err
	}
	if dryrun.IsDryRun(options.DryRun) {
		return nothing, nil
	}
	c.of(namespace).coming[name] = time.Now()
	return func(_ context.Context, created bool) {
		if !created {
			c.change(namespace, name, 0)
		}
	}, nil
}

func (c *Cap) of(namespace string) *count {
	n := c.namespaces[namespace]
	if n == nil {
		n = &count{coming: map[string]time.Time{}}
		c.namespaces[namespace] = n
	}
	return n
}

// change counts what an informer shows more, or less, of an object that need not be waited for any more.
func (c *Cap) change(namespace, name string, by int) {
	c.lock.Lock()
	defer c.lock.Unlock()
	n := c.of(namespace)
	n.shown += by
	delete(n.coming, name)
	if n.total() == 0 {
		delete(c.namespaces, namespace)
	}
}

// OnAdd implements cache.ResourceEventHandler.
func (c *Cap) OnAdd(obj any, _ bool) { c.seen(obj, 1) }

// OnUpdate implements cache.ResourceEventHandler.
func (*Cap) OnUpdate(any, any) {}

// OnDelete implements cache.ResourceEventHandler.
func (c *Cap) OnDelete(obj any) { c.seen(obj, -1) }

func (c *Cap) seen(obj any, by int) {
	if name, err := cache.DeletionHandlingObjectToName(obj); err == nil {
		c.change(name.Namespace, name.Name, by)
	}
}

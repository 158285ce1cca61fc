// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

package apiserver

import (
	"context"
	"errors"
	"net/http"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/apiserver/pkg/endpoints/handlers/responsewriters"
	"k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/generic"
	"k8s.io/apiserver/pkg/server/healthz"
	"k8s.io/apiserver/pkg/storage"
	"k8s.io/apiserver/pkg/storage/storagebackend"
	"k8s.io/apiserver/pkg/storage/storagebackend/factory"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"

	"karo.io/karo/pkg/apis/karo"
	"karo.io/karo/pkg/registry/karo/alert"
)

// keepReserve takes no notifications while the store is full. What room is left is for runs to end in, and to be deleted:
// the rest of the API goes on.
func keepReserve(handler http.Handler, full func() error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		info, ok := request.RequestInfoFrom(req.Context())
		if ok && info.APIGroup == karo.GroupName && triggers(info) {
			if err := full(); err != nil {
				responsewriters.ErrorNegotiated(apierrors.NewServiceUnavailable("no notifications are taken, try again: "+err.Error()),
					Codecs, schema.GroupVersion{Group: karo.GroupName}, w, req)
				return
			}
		}
		handler.ServeHTTP(w, req)
	})
}

// triggers reports whether a request is a notification that is to be stored.
func triggers(info *request.RequestInfo) bool {
	return info.Verb == "create" && (info.Resource == "alerts" || info.Resource == "clusteralerts") && info.Name == alert.Trigger
}

// aliveWhile has a health check pass while something takes its time.
func aliveWhile(busy func() bool, check healthz.HealthChecker) healthz.HealthChecker {
	return healthz.NamedCheck(check.Name(), func(req *http.Request) error {
		if busy() {
			return nil
		}
		return check.Check(req)
	})
}

// tellFull tells that the store is full, or has room again.
func (s *Server) tellFull(ctx context.Context, full error) {
	logger := klog.FromContext(ctx)
	if full != nil {
		logger.Error(full, "No notifications are taken")
		s.events.Namespace(s.namespace, corev1.EventTypeWarning, "StoreFull", "No notifications are taken: %v", full)
		return
	}
	logger.Info("The store has room again; notifications are taken")
	s.events.Namespace(s.namespace, corev1.EventTypeNormal, "StoreHasRoom", "The store has room again; notifications are taken")
}

// decorated has watches without a watch cache tell how far they are, and writes that etcd has no room for answered so that
// they may be tried again, and that it can be understood.
type decorated struct {
	generic.RESTOptionsGetter
}

// GetRESTOptions implements generic.RESTOptionsGetter.
func (g decorated) GetRESTOptions(resource schema.GroupResource, example runtime.Object) (generic.RESTOptions, error) {
	opts, err := g.RESTOptionsGetter.GetRESTOptions(resource, example)
	if err != nil {
		return opts, err
	}
	decorator := opts.Decorator
	opts.Decorator = func(config *storagebackend.ConfigForResource, prefix string, key func(runtime.Object) (string, error), newObject, newList func() runtime.Object,
		attrs storage.AttrFunc, trigger storage.IndexerFuncs, indexers *cache.Indexers) (storage.Interface, factory.DestroyFunc, error) {
		store, destroy, err := decorator(config, prefix, key, newObject, newList, attrs, trigger, indexers)
		return decoratedStore{store}, destroy, err
	}
	return opts, nil
}

type decoratedStore struct {
	storage.Interface
}

// Create implements storage.Interface.
func (s decoratedStore) Create(ctx context.Context, key string, obj, out runtime.Object, ttl uint64) error {
	return explainFull(s.Interface.Create(ctx, key, obj, out, ttl))
}

// GuaranteedUpdate implements storage.Interface.
func (s decoratedStore) GuaranteedUpdate(ctx context.Context, key string, destination runtime.Object, ignoreNotFound bool,
	preconditions *storage.Preconditions, tryUpdate storage.UpdateFunc, cached runtime.Object) error {
	return explainFull(s.Interface.GuaranteedUpdate(ctx, key, destination, ignoreNotFound, preconditions, tryUpdate, cached))
}

// Watch implements storage.Interface. Whoever allows bookmarks gets them, also where there is no watch cache: a watch of what
// seldom changes would else, once it ends, have to go on from a revision that has been compacted, and everything be listed.
func (s decoratedStore) Watch(ctx context.Context, key string, opts storage.ListOptions) (watch.Interface, error) {
	opts.ProgressNotify = opts.ProgressNotify || opts.Predicate.AllowWatchBookmarks
	return s.Interface.Watch(ctx, key, opts)
}

func explainFull(err error) error {
	if !errors.Is(err, rpctypes.ErrNoSpace) {
		return err
	}
	return apierrors.NewServiceUnavailable("the store is full (etcd: " + rpctypes.ErrNoSpace.Error() + "), try again once objects have been deleted, or its quota is higher")
}

// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

// Package readonly serves resources that clients may read and delete, and that only Karo writes.
package readonly

import (
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/registry/generic/registry"
	"k8s.io/apiserver/pkg/registry/rest"
)

// REST serves the objects of a store to be read and deleted.
type REST struct {
	rest.Getter
	rest.Lister
	rest.Watcher
	rest.GracefulDeleter
	rest.CollectionDeleter
	store *registry.Store
}

// New returns the REST of a store.
func New(store *registry.Store) *REST {
	return &REST{store, store, store, store, store, store}
}

var _ interface {
	rest.Lister
	rest.Getter
	rest.Watcher
	rest.GracefulDeleter
	rest.CollectionDeleter
	rest.Scoper
	rest.CategoriesProvider
	rest.SingularNameProvider
} = (*REST)(nil)

// New implements rest.Storage.
func (r *REST) New() runtime.Object { return r.store.New() }

// Destroy implements rest.Storage.
func (r *REST) Destroy() { r.store.Destroy() }

// NamespaceScoped implements rest.Scoper.
func (r *REST) NamespaceScoped() bool { return r.store.NamespaceScoped() }

// GetSingularName implements rest.SingularNameProvider.
func (r *REST) GetSingularName() string { return r.store.GetSingularName() }

// Categories implements rest.CategoriesProvider.
func (*REST) Categories() []string { return []string{"karo"} }

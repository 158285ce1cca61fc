// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

package execution

import (
	"context"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/registry/generic"
	"k8s.io/apiserver/pkg/registry/generic/registry"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/apiserver/pkg/storage/names"

	"karo.io/karo/pkg/apis/karo"
	"karo.io/karo/pkg/registry/karo/readonly"
	"karo.io/karo/pkg/registry/karo/status"
)

// Storage holds Executions and their subresources.
type Storage struct {
	Execution *REST
	Status    *status.REST
	// Store is what Karo itself creates Executions in.
	Store *registry.Store
}

// NewStorage returns the storage of Executions.
func NewStorage(typer runtime.ObjectTyper, optsGetter generic.RESTOptionsGetter) (*Storage, error) {
	s := strategy{ObjectTyper: typer, NameGenerator: names.SimpleNameGenerator}
	store := &registry.Store{
		NewFunc:                   func() runtime.Object { return &karo.Execution{} },
		NewListFunc:               func() runtime.Object { return &karo.ExecutionList{} },
		PredicateFunc:             match,
		DefaultQualifiedResource:  karo.Resource("executions"),
		SingularQualifiedResource: karo.Resource("execution"),

		CreateStrategy:      s,
		UpdateStrategy:      s,
		DeleteStrategy:      s,
		ResetFieldsStrategy: s,
		TableConvertor:      tableConvertor,
	}
	if err := store.CompleteWithOptions(&generic.StoreOptions{RESTOptions: optsGetter, AttrFunc: getAttrs}); err != nil {
		return nil, fmt.Errorf("storage of executions: %w", err)
	}
	return &Storage{Execution: newREST(store), Status: status.New(store, statusStrategy{s}), Store: store}, nil
}

// REST serves Executions. It has no rest.Creater: an Execution comes from a notification.
type REST struct {
	*readonly.REST
	rest.ResetFieldsStrategy
	store *registry.Store
}

func newREST(store *registry.Store) *REST {
	return &REST{REST: readonly.New(store), ResetFieldsStrategy: store, store: store}
}

var _ interface {
	rest.Lister
	rest.Patcher
	rest.Watcher
	rest.GracefulDeleter
	rest.CollectionDeleter
	rest.ShortNamesProvider
	rest.CategoriesProvider
	rest.ResetFieldsStrategy
} = (*REST)(nil)

// ShortNames implements rest.ShortNamesProvider.
func (*REST) ShortNames() []string { return []string{"ex"} }

// Update implements rest.Updater. Server-side apply, which may create by an update, may not here.
func (r *REST) Update(ctx context.Context, name string, objInfo rest.UpdatedObjectInfo, createValidation rest.ValidateObjectFunc, updateValidation rest.ValidateObjectUpdateFunc, _ bool, options *metav1.UpdateOptions) (runtime.Object, bool, error) {
	return r.store.Update(ctx, name, objInfo, createValidation, updateValidation, false, options)
}

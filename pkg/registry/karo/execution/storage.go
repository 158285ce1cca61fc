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
	storagenames "k8s.io/apiserver/pkg/storage/names"

	"karo.io/karo/pkg/apis/karo"
	"karo.io/karo/pkg/names"
	"karo.io/karo/pkg/registry/karo/status"
)

// Storage holds Executions and their subresources.
type Storage struct {
	Execution *REST
	Status    *status.REST
	// Store is what Karo itself creates Executions in, and OwnStatus where it writes their status.
	Store     *registry.Store
	OwnStatus *status.REST
}

// NewStorage returns the storage of Executions. What clients create is run by hand.
func NewStorage(typer runtime.ObjectTyper, optsGetter generic.RESTOptionsGetter, hand *Hand) (*Storage, error) {
	s := strategy{ObjectTyper: typer, NameGenerator: storagenames.SimpleNameGenerator}
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
	// What clients create is completed, and checked, on its way in.
	byHand := *store
	byHand.BeginCreate = hand.begin
	byHand.UpdateStrategy = clientStrategy{s}
	return &Storage{
		Execution: &REST{&byHand}, Status: status.New(store, clientStatusStrategy{statusStrategy{s}}),
		Store: store, OwnStatus: status.New(store, statusStrategy{s}),
	}, nil
}

// REST serves Executions.
type REST struct {
	*registry.Store
}

var _ interface {
	rest.StandardStorage
	rest.ShortNamesProvider
	rest.CategoriesProvider
	rest.SingularNameProvider
	rest.TableConvertor
	rest.ResetFieldsStrategy
} = (*REST)(nil)

// ShortNames implements rest.ShortNamesProvider.
func (*REST) ShortNames() []string { return []string{"ex"} }

// Categories implements rest.CategoriesProvider.
func (*REST) Categories() []string { return []string{"karo"} }

// Create implements rest.Creater. An Execution without a name gets one that says what runs.
func (r *REST) Create(ctx context.Context, obj runtime.Object, createValidation rest.ValidateObjectFunc, options *metav1.CreateOptions) (runtime.Object, error) {
	if e, ok := obj.(*karo.Execution); ok && e.Name == "" && e.GenerateName == "" {
		e.GenerateName = names.GenerateName(e.Spec.Reaction.Name)
	}
	return r.Store.Create(ctx, obj, createValidation, options)
}

// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

package alertreaction

import (
	"fmt"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/registry/generic"
	"k8s.io/apiserver/pkg/registry/generic/registry"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/apiserver/pkg/storage/names"

	"karo.io/karo/pkg/apis/karo"
	"karo.io/karo/pkg/registry/karo/status"
)

// Storage holds AlertReactions and their subresources.
type Storage struct {
	AlertReaction *REST
	Status        *status.REST
}

// NewStorage returns the storage of AlertReactions.
func NewStorage(typer runtime.ObjectTyper, optsGetter generic.RESTOptionsGetter) (*Storage, error) {
	s := strategy{ObjectTyper: typer, NameGenerator: names.SimpleNameGenerator}
	store := &registry.Store{
		NewFunc:                   func() runtime.Object { return &karo.AlertReaction{} },
		NewListFunc:               func() runtime.Object { return &karo.AlertReactionList{} },
		PredicateFunc:             match,
		DefaultQualifiedResource:  karo.Resource("alertreactions"),
		SingularQualifiedResource: karo.Resource("alertreaction"),

		CreateStrategy:      s,
		UpdateStrategy:      s,
		DeleteStrategy:      s,
		ResetFieldsStrategy: s,
		TableConvertor:      tableConvertor,
	}
	if err := store.CompleteWithOptions(&generic.StoreOptions{RESTOptions: optsGetter, AttrFunc: getAttrs}); err != nil {
		return nil, fmt.Errorf("storage of alertreactions: %w", err)
	}
	return &Storage{AlertReaction: &REST{store}, Status: status.New(store, statusStrategy{s})}, nil
}

// REST serves AlertReactions.
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
func (*REST) ShortNames() []string { return []string{"ar"} }

// Categories implements rest.CategoriesProvider.
func (*REST) Categories() []string { return []string{"karo"} }

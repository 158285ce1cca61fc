// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

package readonly

import (
	"context"
	"fmt"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/registry/generic"
	"k8s.io/apiserver/pkg/registry/generic/registry"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/apiserver/pkg/storage"
	"k8s.io/apiserver/pkg/storage/names"
)

// Resource describes a resource that only Karo writes.
type Resource struct {
	New, NewList     func() runtime.Object
	Plural, Singular schema.GroupResource
	Table            rest.TableConvertor
	// Validate is called before an object is created, ValidateUpdate before it is changed.
	Validate       func(obj runtime.Object) field.ErrorList
	ValidateUpdate func(obj, old runtime.Object) field.ErrorList
}

// NewStore returns the store in which Karo itself keeps the objects of a namespaced resource.
func NewStore(r Resource, typer runtime.ObjectTyper, optsGetter generic.RESTOptionsGetter) (*registry.Store, error) {
	s := strategy{ObjectTyper: typer, NameGenerator: names.SimpleNameGenerator, resource: r}
	store := &registry.Store{
		NewFunc:                   r.New,
		NewListFunc:               r.NewList,
		PredicateFunc:             match,
		DefaultQualifiedResource:  r.Plural,
		SingularQualifiedResource: r.Singular,

		CreateStrategy: s,
		UpdateStrategy: s,
		DeleteStrategy: s,
		TableConvertor: r.Table,
	}
	if err := store.CompleteWithOptions(&generic.StoreOptions{RESTOptions: optsGetter, AttrFunc: getAttrs}); err != nil {
		return nil, fmt.Errorf("storage of %s: %w", r.Plural, err)
	}
	// The garbage collector could not take away again the finalizers that it has set for foreground deletion: nobody
	// writes these objects. They own nothing.
	store.EnableGarbageCollection = false
	return store, nil
}

type strategy struct {
	runtime.ObjectTyper
	names.NameGenerator
	resource Resource
}

var _ interface {
	rest.RESTCreateStrategy
	rest.RESTUpdateStrategy
	rest.RESTDeleteStrategy
} = strategy{}

func (strategy) NamespaceScoped() bool { return true }

func (strategy) PrepareForCreate(_ context.Context, obj runtime.Object) {
	if accessor, err := meta.Accessor(obj); err == nil {
		accessor.SetGeneration(1)
	}
}

func (strategy) PrepareForUpdate(context.Context, runtime.Object, runtime.Object) {}

func (s strategy) Validate(_ context.Context, obj runtime.Object) field.ErrorList {
	return s.resource.Validate(obj)
}

func (s strategy) ValidateUpdate(_ context.Context, obj, old runtime.Object) field.ErrorList {
	return s.resource.ValidateUpdate(obj, old)
}

func (strategy) WarningsOnCreate(context.Context, runtime.Object) []string { return nil }
func (strategy) WarningsOnUpdate(context.Context, runtime.Object, runtime.Object) []string {
	return nil
}
func (strategy) AllowCreateOnUpdate(context.Context) bool      { return false }
func (strategy) AllowUnconditionalUpdate(context.Context) bool { return true }
func (strategy) Canonicalize(runtime.Object)                   {}

func getAttrs(obj runtime.Object) (labels.Set, fields.Set, error) {
	accessor, err := meta.Accessor(obj)
	if err != nil {
		return nil, nil, err
	}
	return accessor.GetLabels(), generic.ObjectMetaFieldsSet(&metav1.ObjectMeta{
		Name: accessor.GetName(), Namespace: accessor.GetNamespace(),
	}, true), nil
}

func match(label labels.Selector, field fields.Selector) storage.SelectionPredicate {
	return storage.SelectionPredicate{Label: label, Field: field, GetAttrs: getAttrs}
}

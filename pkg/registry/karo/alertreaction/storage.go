// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

package alertreaction

import (
	"context"
	"fmt"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/registry/generic"
	"k8s.io/apiserver/pkg/registry/generic/registry"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/apiserver/pkg/storage/names"
	"k8s.io/apiserver/pkg/util/dryrun"
	"k8s.io/apiserver/pkg/warning"
	"k8s.io/utils/ptr"

	"karo.io/karo/pkg/apis/karo"
	"karo.io/karo/pkg/registry/karo/status"
)

// Storage holds AlertReactions and their subresources.
type Storage struct {
	Store  *registry.Store
	Status *status.REST
	// OwnStatus is where Karo itself writes their status.
	OwnStatus *status.REST
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
	return &Storage{Store: store, Status: status.New(store, clientStatusStrategy{statusStrategy{s}}), OwnStatus: status.New(store, statusStrategy{s})}, nil
}

// CountFiring returns how many of the alerts that are known to fire in its namespace a reaction answers.
type CountFiring func(reaction *karo.AlertReaction) int

// REST serves AlertReactions.
type REST struct {
	*registry.Store
	firing CountFiring
	wrote  func(resourceVersion string)
}

// NewREST returns the REST of a store. Of whatever is written by it, wrote is told the resource version.
func NewREST(store *registry.Store, firing CountFiring, wrote func(resourceVersion string)) *REST {
	served := *store
	// The answer to a deletion does not say at which resource version it was.
	served.AfterDelete = func(obj runtime.Object, _ *metav1.DeleteOptions) { wrote(obj.(*karo.AlertReaction).ResourceVersion) }
	return &REST{Store: &served, firing: firing, wrote: wrote}
}

var _ interface {
	rest.StandardStorage
	rest.ShortNamesProvider
	rest.CategoriesProvider
	rest.SingularNameProvider
	rest.TableConvertor
	rest.ResetFieldsStrategy
} = (*REST)(nil)

// Create implements rest.Creater.
func (r *REST) Create(ctx context.Context, obj runtime.Object, createValidation rest.ValidateObjectFunc, options *metav1.CreateOptions) (runtime.Object, error) {
	created, err := r.Store.Create(ctx, obj, createValidation, options)
	if err != nil {
		return nil, err
	}
	r.written(ctx, created, true, options.DryRun)
	return created, nil
}

// Update implements rest.Updater, by which server-side apply creates.
func (r *REST) Update(ctx context.Context, name string, objInfo rest.UpdatedObjectInfo, createValidation rest.ValidateObjectFunc, updateValidation rest.ValidateObjectUpdateFunc, forceAllowCreate bool, options *metav1.UpdateOptions) (runtime.Object, bool, error) {
	updated, created, err := r.Store.Update(ctx, name, objInfo, createValidation, updateValidation, forceAllowCreate, options)
	if err != nil {
		return nil, false, err
	}
	r.written(ctx, updated, created, options.DryRun)
	return updated, created, nil
}

// written tells of what was created or changed.
func (r *REST) written(ctx context.Context, obj runtime.Object, created bool, dryRun []string) {
	reaction := obj.(*karo.AlertReaction)
	r.wrote(reaction.ResourceVersion)
	if created && !dryrun.IsDryRun(dryRun) {
		r.warn(ctx, reaction)
	}
}

// Delete implements rest.GracefulDeleter. One that has finalizers is only marked, which is a write too.
func (r *REST) Delete(ctx context.Context, name string, deleteValidation rest.ValidateObjectFunc, options *metav1.DeleteOptions) (runtime.Object, bool, error) {
	obj, deleted, err := r.Store.Delete(ctx, name, deleteValidation, options)
	if reaction, ok := obj.(*karo.AlertReaction); ok && err == nil {
		r.wrote(reaction.ResourceVersion)
	}
	return obj, deleted, err
}

// warn tells who creates a reaction while its alerts fire, perhaps again, that it will run for them. A dry run is not told:
// it would be a way to try out what the alerts are.
func (r *REST) warn(ctx context.Context, reaction *karo.AlertReaction) {
	if ptr.Deref(reaction.Spec.Suspend, false) || !slices.Contains(reaction.Spec.When, karo.WhenFiring) {
		return
	}
	if n := r.firing(reaction); n > 0 {
		warning.AddWarning(ctx, "", fmt.Sprintf("%d alert(s) that the reaction answers fire now; it runs for each at the next notification of it", n))
	}
}

// ShortNames implements rest.ShortNamesProvider.
func (*REST) ShortNames() []string { return []string{"ar"} }

// Categories implements rest.CategoriesProvider.
func (*REST) Categories() []string { return []string{"karo"} }

// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

// Package alertreaction is the registry of AlertReactions.
package alertreaction

import (
	"context"
	"fmt"
	"strconv"

	apiequality "k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/registry/generic"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/apiserver/pkg/storage"
	"k8s.io/apiserver/pkg/storage/names"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	"karo.io/karo/pkg/apis/karo"
	v1 "karo.io/karo/pkg/apis/karo/v1"
	"karo.io/karo/pkg/apis/karo/validation"
)

type strategy struct {
	runtime.ObjectTyper
	names.NameGenerator
}

var _ interface {
	rest.RESTCreateStrategy
	rest.RESTUpdateStrategy
	rest.RESTDeleteStrategy
	rest.ResetFieldsStrategy
} = strategy{}

func (strategy) NamespaceScoped() bool { return true }

func (strategy) GetResetFields() map[fieldpath.APIVersion]*fieldpath.Set {
	return map[fieldpath.APIVersion]*fieldpath.Set{
		fieldpath.APIVersion(v1.SchemeGroupVersion.String()): fieldpath.NewSet(fieldpath.MakePathOrDie("status")),
	}
}

func (strategy) PrepareForCreate(_ context.Context, obj runtime.Object) {
	reaction := obj.(*karo.AlertReaction)
	reaction.Status = karo.AlertReactionStatus{}
	reaction.Generation = 1
}

func (strategy) PrepareForUpdate(_ context.Context, obj, old runtime.Object) {
	reaction, stored := obj.(*karo.AlertReaction), old.(*karo.AlertReaction)
	reaction.Status = stored.Status
	if !apiequality.Semantic.DeepEqual(reaction.Spec, stored.Spec) {
		reaction.Generation = stored.Generation + 1
	}
}

func (strategy) Validate(_ context.Context, obj runtime.Object) field.ErrorList {
	return validation.AlertReaction(obj.(*karo.AlertReaction))
}

func (strategy) ValidateUpdate(_ context.Context, obj, old runtime.Object) field.ErrorList {
	return validation.AlertReactionUpdate(obj.(*karo.AlertReaction), old.(*karo.AlertReaction))
}

func (strategy) WarningsOnCreate(context.Context, runtime.Object) []string { return nil }
func (strategy) WarningsOnUpdate(context.Context, runtime.Object, runtime.Object) []string {
	return nil
}
func (strategy) AllowCreateOnUpdate(context.Context) bool      { return false }
func (strategy) AllowUnconditionalUpdate(context.Context) bool { return true }
func (strategy) Canonicalize(runtime.Object)                   {}

type statusStrategy struct {
	strategy
}

func (statusStrategy) GetResetFields() map[fieldpath.APIVersion]*fieldpath.Set {
	return map[fieldpath.APIVersion]*fieldpath.Set{
		fieldpath.APIVersion(v1.SchemeGroupVersion.String()): fieldpath.NewSet(
			fieldpath.MakePathOrDie("spec"),
			fieldpath.MakePathOrDie("metadata", "labels"),
			fieldpath.MakePathOrDie("metadata", "annotations"),
			fieldpath.MakePathOrDie("metadata", "finalizers"),
			fieldpath.MakePathOrDie("metadata", "ownerReferences"),
		),
	}
}

func (statusStrategy) PrepareForUpdate(_ context.Context, obj, old runtime.Object) {
	reaction, stored := obj.(*karo.AlertReaction), old.(*karo.AlertReaction)
	reaction.Spec = stored.Spec
	metav1.ResetObjectMetaForStatus(reaction, stored)
}

// ValidateUpdate looks at no spec: one that was stored under other rules still has a status.
func (statusStrategy) ValidateUpdate(_ context.Context, obj, old runtime.Object) field.ErrorList {
	return validation.AlertReactionStatusUpdate(obj.(*karo.AlertReaction), old.(*karo.AlertReaction))
}

// toSelectableFields returns the fields that a field selector may name; v1.SelectableFields lists them.
func toSelectableFields(reaction *karo.AlertReaction) fields.Set {
	return generic.AddObjectMetaFieldsSet(fields.Set{
		v1.FieldAlertName: reaction.Spec.AlertName,
		v1.FieldSuspend:   strconv.FormatBool(reaction.Spec.Suspend),
	}, &reaction.ObjectMeta, true)
}

func getAttrs(obj runtime.Object) (labels.Set, fields.Set, error) {
	reaction, ok := obj.(*karo.AlertReaction)
	if !ok {
		return nil, nil, fmt.Errorf("%T is no AlertReaction", obj)
	}
	return reaction.Labels, toSelectableFields(reaction), nil
}

func match(label labels.Selector, field fields.Selector) storage.SelectionPredicate {
	return storage.SelectionPredicate{Label: label, Field: field, GetAttrs: getAttrs}
}

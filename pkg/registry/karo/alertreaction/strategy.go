// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

// Package alertreaction is the registry of AlertReactions.
package alertreaction

import (
	"context"
	"fmt"
	"slices"
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
	"k8s.io/utils/ptr"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	"karo.io/karo/pkg/apis/karo"
	v1 "karo.io/karo/pkg/apis/karo/v1"
	"karo.io/karo/pkg/apis/karo/v1alpha1"
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
	return inAllVersions(fieldpath.NewSet(fieldpath.MakePathOrDie("status")))
}

func inAllVersions(set *fieldpath.Set) map[fieldpath.APIVersion]*fieldpath.Set {
	return map[fieldpath.APIVersion]*fieldpath.Set{
		fieldpath.APIVersion(v1.SchemeGroupVersion.String()):       set,
		fieldpath.APIVersion(v1alpha1.SchemeGroupVersion.String()): set,
	}
}

func (strategy) PrepareForCreate(ctx context.Context, obj runtime.Object) {
	reaction := obj.(*karo.AlertReaction)
	reaction.Status = karo.AlertReactionStatus{}
	reaction.Generation = 1
	if isV1alpha1(ctx) {
		nameUniquely(ctx, reaction.Spec.Actions)
		setDefaults(reaction)
	} else {
		showLimits(reaction.Spec.Actions, nil)
	}
}

func (strategy) PrepareForUpdate(ctx context.Context, obj, old runtime.Object) {
	reaction, stored := obj.(*karo.AlertReaction), old.(*karo.AlertReaction)
	reaction.Status = stored.Status
	if isV1alpha1(ctx) {
		nameUniquely(ctx, reaction.Spec.Actions)
		spec := stored.Spec.DeepCopy()
		if isUpdate(ctx) {
			keepStored(&reaction.Spec, spec)
		}
		keepStoredOfActions(ctx, reaction.Spec.Actions, spec.Actions, isUpdate(ctx))
		setDefaults(reaction)
	} else {
		showLimits(reaction.Spec.Actions, stored.Spec.Actions)
	}
	if !apiequality.Semantic.DeepEqual(reaction.Spec, stored.Spec) {
		reaction.Generation = stored.Generation + 1
	}
}

func (strategy) Validate(ctx context.Context, obj runtime.Object) field.ErrorList {
	return validation.AlertReaction(obj.(*karo.AlertReaction), validation.Options{Lenient: isV1alpha1(ctx)})
}

func (strategy) ValidateUpdate(ctx context.Context, obj, old runtime.Object) field.ErrorList {
	return validation.AlertReactionUpdate(obj.(*karo.AlertReaction), old.(*karo.AlertReaction), validation.Options{Lenient: isV1alpha1(ctx)})
}

func (strategy) WarningsOnCreate(ctx context.Context, obj runtime.Object) []string {
	spec := &obj.(*karo.AlertReaction).Spec
	if isV1alpha1(ctx) {
		return append(argumentWarnings(spec), matcherWarnings(spec)...)
	}
	return slices.Concat(argumentWarnings(spec), valueWarnings(spec), matcherNameWarnings(spec))
}

func (s strategy) WarningsOnUpdate(ctx context.Context, obj, old runtime.Object) []string {
	if apiequality.Semantic.DeepEqual(obj.(*karo.AlertReaction).Spec, old.(*karo.AlertReaction).Spec) {
		return nil
	}
	return s.WarningsOnCreate(ctx, obj)
}

func (strategy) AllowCreateOnUpdate(context.Context) bool      { return false }
func (strategy) AllowUnconditionalUpdate(context.Context) bool { return true }
func (strategy) Canonicalize(runtime.Object)                   {}

// statusStrategy is for what Karo writes.
type statusStrategy struct {
	strategy
}

func (statusStrategy) GetResetFields() map[fieldpath.APIVersion]*fieldpath.Set {
	return inAllVersions(notStatus())
}

func notStatus() *fieldpath.Set {
	return fieldpath.NewSet(
		fieldpath.MakePathOrDie("spec"),
		fieldpath.MakePathOrDie("metadata", "labels"),
		fieldpath.MakePathOrDie("metadata", "annotations"),
		fieldpath.MakePathOrDie("metadata", "finalizers"),
		fieldpath.MakePathOrDie("metadata", "ownerReferences"),
	)
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

// clientStatusStrategy is for what others write. By the settlement Karo tells which Executions have been counted, and need
// not be kept any more; whoever may write a status must not have them let go. Nor is the count theirs to say.
type clientStatusStrategy struct {
	statusStrategy
}

func (clientStatusStrategy) GetResetFields() map[fieldpath.APIVersion]*fieldpath.Set {
	set := notStatus()
	set.Insert(fieldpath.MakePathOrDie("status", "settlement"))
	set.Insert(fieldpath.MakePathOrDie("status", "triggerCount"))
	return inAllVersions(set)
}

func (s clientStatusStrategy) PrepareForUpdate(ctx context.Context, obj, old runtime.Object) {
	s.statusStrategy.PrepareForUpdate(ctx, obj, old)
	status, stored := &obj.(*karo.AlertReaction).Status, &old.(*karo.AlertReaction).Status
	status.Settlement, status.TriggerCount = stored.Settlement.DeepCopy(), stored.TriggerCount
}

// toSelectableFields returns the fields that a field selector may name; karo.SelectableFields lists them.
func toSelectableFields(reaction *karo.AlertReaction) fields.Set {
	return generic.AddObjectMetaFieldsSet(fields.Set{
		karo.FieldAlertName: reaction.Spec.AlertName,
		karo.FieldSuspend:   strconv.FormatBool(ptr.Deref(reaction.Spec.Suspend, false)),
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

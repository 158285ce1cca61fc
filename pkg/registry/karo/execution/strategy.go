// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

// Package execution is the registry of Executions.
package execution

import (
	"context"
	"fmt"
	"slices"

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
	"karo.io/karo/pkg/memory"
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

// PrepareForCreate leaves the status alone: one that a client gives is replaced before, and an Execution that is skipped
// is stored with its end.
func (strategy) PrepareForCreate(_ context.Context, obj runtime.Object) {
	obj.(*karo.Execution).Generation = 1
}

func (strategy) PrepareForUpdate(_ context.Context, obj, old runtime.Object) {
	obj.(*karo.Execution).Status = old.(*karo.Execution).Status
}

func (strategy) Validate(_ context.Context, obj runtime.Object) field.ErrorList {
	return validation.Execution(obj.(*karo.Execution))
}

func (strategy) ValidateUpdate(_ context.Context, obj, old runtime.Object) field.ErrorList {
	return validation.ExecutionUpdate(obj.(*karo.Execution), old.(*karo.Execution))
}

func (strategy) WarningsOnCreate(context.Context, runtime.Object) []string { return nil }
func (strategy) WarningsOnUpdate(context.Context, runtime.Object, runtime.Object) []string {
	return nil
}
func (strategy) AllowCreateOnUpdate(context.Context) bool      { return false }
func (strategy) AllowUnconditionalUpdate(context.Context) bool { return true }
func (strategy) Canonicalize(runtime.Object)                   {}

// clientStrategy is for what clients change. Karo's finalizer is not theirs: by it Karo tells what it has still to
// remember and to count.
type clientStrategy struct {
	strategy
}

func (s clientStrategy) PrepareForUpdate(ctx context.Context, obj, old runtime.Object) {
	s.strategy.PrepareForUpdate(ctx, obj, old)
	e, stored := obj.(*karo.Execution), old.(*karo.Execution)
	switch has := memory.HasFinalizer(stored); {
	case has && !memory.HasFinalizer(e):
		e.Finalizers = append(e.Finalizers, memory.Finalizer)
	case !has:
		e.Finalizers = slices.DeleteFunc(e.Finalizers, func(f string) bool { return f == memory.Finalizer })
	}
}

// statusStrategy is for what Karo writes.
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
	execution, stored := obj.(*karo.Execution), old.(*karo.Execution)
	execution.Spec = stored.Spec
	metav1.ResetObjectMetaForStatus(execution, stored)
}

func (statusStrategy) ValidateUpdate(_ context.Context, obj, old runtime.Object) field.ErrorList {
	return validation.ExecutionStatusUpdate(obj.(*karo.Execution), old.(*karo.Execution))
}

// clientStatusStrategy is for what others write. By the phase, the actions and their Jobs, and the times, Karo tells what
// has run, what it may stop, and what it need not keep. Whoever may write a status must not have anything run again by it,
// nor stopped or deleted, so that only what it says to people is theirs.
type clientStatusStrategy struct {
	statusStrategy
}

func (s clientStatusStrategy) GetResetFields() map[fieldpath.APIVersion]*fieldpath.Set {
	reset := s.statusStrategy.GetResetFields()
	for _, set := range reset {
		for _, ours := range []string{"phase", "actions", "startTime", "completionTime", "cancellation"} {
			set.Insert(fieldpath.MakePathOrDie("status", ours))
		}
	}
	return reset
}

func (s clientStatusStrategy) PrepareForUpdate(ctx context.Context, obj, old runtime.Object) {
	s.statusStrategy.PrepareForUpdate(ctx, obj, old)
	e := obj.(*karo.Execution)
	reason, conditions := e.Status.Reason, e.Status.Conditions
	e.Status = *old.(*karo.Execution).Status.DeepCopy()
	e.Status.Reason, e.Status.Conditions = reason, conditions
}

// toSelectableFields returns the fields that a field selector may name; karo.SelectableFields lists them.
func toSelectableFields(e *karo.Execution) fields.Set {
	return generic.AddObjectMetaFieldsSet(fields.Set{
		karo.FieldReactionName:       e.Spec.Reaction.Name,
		karo.FieldExecutionAlertName: e.Spec.Alert.Name,
		karo.FieldFingerprint:        e.Spec.Alert.Fingerprint,
		karo.FieldPhase:              string(e.Status.Phase),
	}, &e.ObjectMeta, true)
}

func getAttrs(obj runtime.Object) (labels.Set, fields.Set, error) {
	e, ok := obj.(*karo.Execution)
	if !ok {
		return nil, nil, fmt.Errorf("%T is no Execution", obj)
	}
	return e.Labels, toSelectableFields(e), nil
}

func match(label labels.Selector, field fields.Selector) storage.SelectionPredicate {
	return storage.SelectionPredicate{Label: label, Field: field, GetAttrs: getAttrs}
}

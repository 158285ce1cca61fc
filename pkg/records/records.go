// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

// Package records is how Karo itself reads and writes its own objects: straight in the stores of the registries, so
// with their validation, and without a request to the API.
package records

import (
	"context"
	"fmt"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metainternalversion "k8s.io/apimachinery/pkg/apis/meta/internalversion"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	genericapirequest "k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/generic/registry"
	"k8s.io/apiserver/pkg/registry/rest"

	"karo.io/karo/pkg/apis/karo"
	"karo.io/karo/pkg/memory"
)

// Records holds the stores.
type Records struct {
	Executions      *registry.Store
	ExecutionStatus rest.Updater
	Reactions       rest.Getter
	ReactionStatus  rest.Updater
	Alerts          *registry.Store
	Revisions       *registry.Store
}

// CreateExecution stores an Execution, durably once it returns.
func (r *Records) CreateExecution(ctx context.Context, e *karo.Execution) (*karo.Execution, error) {
	obj, err := create(ctx, r.Executions, e.Namespace, e)
	if err != nil {
		return nil, err
	}
	return obj.(*karo.Execution), nil
}

// GetExecution reads an Execution from storage.
func (r *Records) GetExecution(ctx context.Context, namespace, name string) (*karo.Execution, error) {
	obj, err := r.Executions.Get(in(ctx, namespace), name, &metav1.GetOptions{})
	if err != nil {
		return nil, err
	}
	return obj.(*karo.Execution), nil
}

// UpdateExecutionStatus stores the status of an Execution, and returns what is stored then. It is a conflict if the
// Execution has changed since it was read.
func (r *Records) UpdateExecutionStatus(ctx context.Context, e *karo.Execution) (*karo.Execution, error) {
	obj, _, err := r.ExecutionStatus.Update(in(ctx, e.Namespace), e.Name, rest.DefaultUpdatedObjectInfo(e),
		rest.ValidateAllObjectFunc, rest.ValidateAllObjectUpdateFunc, false, &metav1.UpdateOptions{})
	if err != nil {
		return nil, err
	}
	return obj.(*karo.Execution), nil
}

// ReleaseExecution removes the finalizer that keeps an Execution. One that is gone is released.
func (r *Records) ReleaseExecution(ctx context.Context, e *karo.Execution) error {
	err := update(ctx, r.Executions, e.Namespace, e.Name, func(stored *karo.Execution) bool {
		if stored.UID != e.UID {
			return false
		}
		stored.Finalizers = slices.DeleteFunc(stored.Finalizers, func(f string) bool { return f == memory.Finalizer })
		return true
	})
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}

// EnsureRevision stores a ReactionRevision unless it exists; its name says what it holds.
func (r *Records) EnsureRevision(ctx context.Context, revision *karo.ReactionRevision) error {
	// The watch cache is enough to save the write: it learns at once of what is deleted.
	obj, err := r.Revisions.Get(in(ctx, revision.Namespace), revision.Name, &metav1.GetOptions{ResourceVersion: "0"})
	if err == nil && obj.(*karo.ReactionRevision).DeletionTimestamp == nil {
		return nil
	}
	_, err = create(ctx, r.Revisions, revision.Namespace, revision)
	if apierrors.IsAlreadyExists(err) {
		return nil
	}
	return err
}

// GetRevision reads a ReactionRevision from storage.
func (r *Records) GetRevision(ctx context.Context, namespace, name string) (*karo.ReactionRevision, error) {
	obj, err := r.Revisions.Get(in(ctx, namespace), name, &metav1.GetOptions{})
	if err != nil {
		return nil, err
	}
	return obj.(*karo.ReactionRevision), nil
}

// Merge stores what merge makes of the stored Alert, or of an empty one if there is none, which is tried first when isNew.
// When merge returns false nothing is written.
func (r *Records) Merge(ctx context.Context, key types.NamespacedName, isNew bool, merge func(*karo.Alert) bool) error {
	alert := &karo.Alert{ObjectMeta: metav1.ObjectMeta{Namespace: key.Namespace, Name: key.Name}}
	if isNew && merge(alert) {
		if _, err := create(ctx, r.Alerts, key.Namespace, alert); !apierrors.IsAlreadyExists(err) {
			return err
		}
	}
	err := update(ctx, r.Alerts, key.Namespace, key.Name, merge)
	if !apierrors.IsNotFound(err) {
		return err
	}
	alert = &karo.Alert{ObjectMeta: metav1.ObjectMeta{Namespace: key.Namespace, Name: key.Name}}
	if !merge(alert) {
		return nil
	}
	_, err = create(ctx, r.Alerts, key.Namespace, alert)
	return err
}

// DeleteAlert deletes an Alert unless it has changed since it was read.
func (r *Records) DeleteAlert(ctx context.Context, alert *karo.Alert) error {
	_, _, err := r.Alerts.Delete(in(ctx, alert.Namespace), alert.Name, rest.ValidateAllObjectFunc, unchanged(&alert.ObjectMeta))
	return err
}

// UpdateReactionStatus stores what change makes of the stored status of a reaction. When change returns false, or the
// reaction is gone, another one of the same name, or cannot be read, nothing is written.
func (r *Records) UpdateReactionStatus(ctx context.Context, namespace, name string, uid types.UID, mutate func(*karo.AlertReactionStatus) bool) error {
	undecodable := false
	info := rest.DefaultUpdatedObjectInfo(nil, change(func(reaction *karo.AlertReaction) bool {
		undecodable = karo.Undecodable(reaction) != ""
		return !undecodable && reaction.UID == uid && mutate(&reaction.Status)
	}))
	_, _, err := r.ReactionStatus.Update(in(ctx, namespace), name, info,
		rest.ValidateAllObjectFunc, rest.ValidateAllObjectUpdateFunc, false, &metav1.UpdateOptions{})
	if apierrors.IsNotFound(err) || undecodable {
		return nil
	}
	return err
}

// DeleteExecution deletes an Execution unless it has changed since it was read.
func (r *Records) DeleteExecution(ctx context.Context, e *karo.Execution) error {
	_, _, err := r.Executions.Delete(in(ctx, e.Namespace), e.Name, rest.ValidateAllObjectFunc, unchanged(&e.ObjectMeta))
	return err
}

// ListRevisions returns all ReactionRevisions, from the watch cache.
func (r *Records) ListRevisions(ctx context.Context) ([]karo.ReactionRevision, error) {
	obj, err := r.Revisions.List(in(ctx, metav1.NamespaceAll), &metainternalversion.ListOptions{ResourceVersion: "0"})
	if err != nil {
		return nil, err
	}
	return obj.(*karo.ReactionRevisionList).Items, nil
}

// DeleteRevision deletes a ReactionRevision.
func (r *Records) DeleteRevision(ctx context.Context, revision *karo.ReactionRevision) error {
	_, _, err := r.Revisions.Delete(in(ctx, revision.Namespace), revision.Name, rest.ValidateAllObjectFunc, unchanged(&revision.ObjectMeta))
	return err
}

func unchanged(meta *metav1.ObjectMeta) *metav1.DeleteOptions {
	return &metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &meta.UID, ResourceVersion: &meta.ResourceVersion}}
}

func in(ctx context.Context, namespace string) context.Context {
	return genericapirequest.WithNamespace(ctx, namespace)
}

func create(ctx context.Context, store *registry.Store, namespace string, obj runtime.Object) (runtime.Object, error) {
	return store.Create(in(ctx, namespace), obj, rest.ValidateAllObjectFunc, &metav1.CreateOptions{})
}

// update changes a stored object. Storage does not write an object that is as it was.
func update[T runtime.Object](ctx context.Context, store *registry.Store, namespace, name string, mutate func(T) bool) error {
	_, _, err := store.Update(in(ctx, namespace), name, rest.DefaultUpdatedObjectInfo(nil, change(mutate)),
		rest.ValidateAllObjectFunc, rest.ValidateAllObjectUpdateFunc, false, &metav1.UpdateOptions{})
	return err
}

// change applies mutate to a copy of the stored object, and leaves the object as it was when that returns false.
func change[T runtime.Object](mutate func(T) bool) rest.TransformFunc {
	return func(_ context.Context, _, stored runtime.Object) (runtime.Object, error) {
		changed, ok := stored.DeepCopyObject().(T)
		if !ok {
			return nil, fmt.Errorf("stored object is a %T", stored)
		}
		if !mutate(changed) {
			return stored.DeepCopyObject(), nil
		}
		return changed, nil
	}
}

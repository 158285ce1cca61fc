// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

package execution

import (
	"context"
	"errors"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	genericapirequest "k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/rest"

	"karo.io/karo/pkg/apis/karo"
)

// CancelREST stops Executions.
type CancelREST struct {
	status rest.Updater
}

// NewCancelREST returns the subresource cancel of the Executions whose status is given.
func NewCancelREST(status rest.Updater) *CancelREST { return &CancelREST{status} }

var _ interface {
	rest.NamedCreater
} = (*CancelREST)(nil)

// New implements rest.Storage.
func (*CancelREST) New() runtime.Object { return &karo.ExecutionCancellation{} }

// Destroy implements rest.Storage.
func (*CancelREST) Destroy() {}

// Create notes that an Execution is to be stopped, for the executor to see. To ask again changes nothing.
func (r *CancelREST) Create(ctx context.Context, name string, obj runtime.Object, createValidation rest.ValidateObjectFunc, options *metav1.CreateOptions) (runtime.Object, error) {
	if createValidation != nil {
		if err := createValidation(ctx, obj.DeepCopyObject()); err != nil {
			return nil, err
		}
	}
	by := ""
	if user, ok := genericapirequest.UserFrom(ctx); ok {
		by = user.GetName()
	}
	info := rest.DefaultUpdatedObjectInfo(nil, func(_ context.Context, _, stored runtime.Object) (runtime.Object, error) {
		e := stored.DeepCopyObject().(*karo.Execution)
		if e.Status.CompletionTime != nil {
			return nil, apierrors.NewConflict(karo.Resource("executions"), name, errors.New("it has ended: "+string(e.Status.Phase)))
		}
		if e.Status.Cancellation == nil {
			e.Status.Cancellation = &karo.Cancellation{Time: metav1.Now(), User: by}
		}
		return e, nil
	})
	cancelled, _, err := r.status.Update(ctx, name, info, rest.ValidateAllObjectFunc, rest.ValidateAllObjectUpdateFunc, false,
		&metav1.UpdateOptions{DryRun: options.DryRun})
	return cancelled, err
}

// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

package records

import (
	"context"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metainternalversion "k8s.io/apimachinery/pkg/apis/meta/internalversion"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/storage"

	"karo.io/karo/pkg/apis/karo"
	"karo.io/karo/pkg/apis/karo/validation"
)

// pageSize is how many Executions are read at once: one may have half a megabyte.
const pageSize = 500

// EachExecution calls do for every Execution in storage.
func (r *Records) EachExecution(ctx context.Context, do func(*karo.Execution)) error {
	options := &metainternalversion.ListOptions{Limit: pageSize}
	for {
		obj, err := r.Executions.List(in(ctx, metav1.NamespaceAll), options)
		if err != nil {
			return fmt.Errorf("listing executions: %w", err)
		}
		list := obj.(*karo.ExecutionList)
		for i := range list.Items {
			do(&list.Items[i])
		}
		if options.Continue = list.Continue; options.Continue == "" {
			return nil
		}
	}
}

// RestoreExecution stores an Execution as it was, with its UID, past the registry, which would give it another one. It
// reports false if there is one of the name.
func (r *Records) RestoreExecution(ctx context.Context, e *karo.Execution) (bool, error) {
	if errs := validation.Execution(e); len(errs) > 0 {
		return false, apierrors.NewInvalid(karo.Kind("Execution"), e.Name, errs)
	}
	key, err := r.Executions.KeyFunc(in(ctx, e.Namespace), e.Name)
	if err != nil {
		return false, err
	}
	err = r.Executions.Storage.Create(ctx, key, e, &karo.Execution{}, 0, false)
	if storage.IsExist(err) {
		return false, nil
	}
	return err == nil, err
}

// GetReaction reads a reaction from storage.
func (r *Records) GetReaction(ctx context.Context, namespace, name string) (*karo.AlertReaction, error) {
	obj, err := r.Reactions.Get(in(ctx, namespace), name, &metav1.GetOptions{})
	if err != nil {
		return nil, err
	}
	return obj.(*karo.AlertReaction), nil
}

// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

package execution

import (
	"context"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metainternalversion "k8s.io/apimachinery/pkg/apis/meta/internalversion"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/registry/rest"

	"karo.io/karo/pkg/apis/karo"
	v1 "karo.io/karo/pkg/apis/karo/v1"
)

// OfReactionREST is the subresource executions of AlertReactions: GET lists the Executions of one reaction, POST runs it
// by hand. Who may do that needs no right to the executions of others.
type OfReactionREST struct {
	executions *REST
	reactions  rest.Getter
	rest.TableConvertor
}

// NewOfReactionREST returns the subresource for these Executions and reactions.
func NewOfReactionREST(executions *REST, reactions rest.Getter) *OfReactionREST {
	return &OfReactionREST{executions: executions, reactions: reactions, TableConvertor: tableConvertor}
}

var _ interface {
	rest.Getter
	rest.NamedCreater
	rest.StorageMetadata
	rest.TableConvertor
} = (*OfReactionREST)(nil)

// New implements rest.Storage.
func (*OfReactionREST) New() runtime.Object { return &karo.ExecutionRequest{} }

// Destroy implements rest.Storage.
func (*OfReactionREST) Destroy() {}

// ProducesMIMETypes implements rest.StorageMetadata.
func (*OfReactionREST) ProducesMIMETypes(string) []string { return nil }

// ProducesObject implements rest.StorageMetadata.
func (*OfReactionREST) ProducesObject(verb string) any {
	if verb == "GET" {
		return v1.ExecutionList{}
	}
	return v1.Execution{}
}

// Get returns the Executions of a reaction.
func (r *OfReactionREST) Get(ctx context.Context, name string, options *metav1.GetOptions) (runtime.Object, error) {
	if _, err := r.reactions.Get(ctx, name, &metav1.GetOptions{}); err != nil {
		return nil, err
	}
	return r.executions.List(ctx, &metainternalversion.ListOptions{
		FieldSelector:   fields.OneTermEqualSelector(karo.FieldReactionName, name),
		ResourceVersion: options.ResourceVersion,
	})
}

// Create runs a reaction by hand.
func (r *OfReactionREST) Create(ctx context.Context, name string, obj runtime.Object, createValidation rest.ValidateObjectFunc, options *metav1.CreateOptions) (runtime.Object, error) {
	request, ok := obj.(*karo.ExecutionRequest)
	if !ok {
		return nil, apierrors.NewBadRequest(fmt.Sprintf("%T is no ExecutionRequest", obj))
	}
	if _, err := r.reactions.Get(ctx, name, &metav1.GetOptions{}); err != nil {
		return nil, err
	}
	if createValidation != nil {
		if err := createValidation(ctx, obj.DeepCopyObject()); err != nil {
			return nil, err
		}
	}
	return r.executions.Create(ctx, &karo.Execution{Spec: karo.ExecutionSpec{
		Reaction: karo.ReactionReference{Name: name},
		Alert: karo.AlertOccurrence{
			Status: request.Status, Labels: request.Labels, Annotations: request.Annotations,
			StartsAt: request.StartsAt, EndsAt: request.EndsAt, GeneratorURL: request.GeneratorURL,
		},
	}}, rest.ValidateAllObjectFunc, options)
}

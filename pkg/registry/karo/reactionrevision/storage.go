// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

// Package reactionrevision is the registry of ReactionRevisions.
package reactionrevision

import (
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/registry/generic"
	"k8s.io/apiserver/pkg/registry/generic/registry"

	"karo.io/karo/pkg/apis/karo"
	"karo.io/karo/pkg/apis/karo/validation"
	"karo.io/karo/pkg/registry/karo/readonly"
	"karo.io/karo/pkg/registry/karo/table"
)

// NewStore returns the store in which Karo itself keeps ReactionRevisions.
func NewStore(typer runtime.ObjectTyper, optsGetter generic.RESTOptionsGetter) (*registry.Store, error) {
	return readonly.NewStore(readonly.Resource{
		New:      func() runtime.Object { return &karo.ReactionRevision{} },
		NewList:  func() runtime.Object { return &karo.ReactionRevisionList{} },
		Plural:   karo.Resource("reactionrevisions"),
		Singular: karo.Resource("reactionrevision"),
		Table: table.New(func(r *karo.ReactionRevision) []any {
			return []any{r.Reaction.Name, r.Reaction.Generation}
		},
			table.Column{Name: "Reaction", Type: "string", Description: "Name of the reaction."},
			table.Column{Name: "Generation", Type: "integer", Description: "Generation of the reaction that the revision holds."},
		),
		Validate: func(obj runtime.Object) field.ErrorList {
			return validation.ReactionRevision(obj.(*karo.ReactionRevision))
		},
		ValidateUpdate: func(obj, old runtime.Object) field.ErrorList {
			return validation.ReactionRevisionUpdate(obj.(*karo.ReactionRevision), old.(*karo.ReactionRevision))
		},
	}, typer, optsGetter)
}

// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

// Package runs makes Executions those of a reaction as it stands, whoever asks for them.
package runs

import (
	"context"
	"fmt"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	genericapirequest "k8s.io/apiserver/pkg/endpoints/request"

	"karo.io/karo/pkg/apis/karo"
	v1 "karo.io/karo/pkg/apis/karo/v1"
	"karo.io/karo/pkg/memory"
	"karo.io/karo/pkg/names"
)

// RevisionStore keeps ReactionRevisions.
type RevisionStore interface {
	// EnsureRevision stores a ReactionRevision unless it exists.
	EnsureRevision(ctx context.Context, r *karo.ReactionRevision) error
}

// Adopt makes an Execution one of a reaction, as that is now, which the user of the request asked for and which has
// still to run.
func Adopt(ctx context.Context, e *karo.Execution, reaction *karo.AlertReaction) {
	e.Namespace = reaction.Namespace
	Own(e, reaction)
	e.Spec.Reaction = referenceTo(reaction)
	if user, ok := genericapirequest.UserFrom(ctx); ok {
		e.Spec.TriggeredBy = user.GetName()
	}
	e.Status = karo.ExecutionStatus{Phase: karo.PhasePending}
}

// Own makes an Execution one that goes with a reaction, and that stays until it is remembered and counted.
func Own(e *karo.Execution, reaction *karo.AlertReaction) {
	if e.Labels == nil {
		e.Labels = map[string]string{}
	}
	e.Labels[karo.LabelReaction] = names.LabelValue(reaction.Name)
	e.OwnerReferences = []metav1.OwnerReference{ownerReference(reaction)}
	if !slices.Contains(e.Finalizers, memory.Finalizer) {
		e.Finalizers = append(e.Finalizers, memory.Finalizer)
	}
}

// EnsureRevision stores what the Executions of a reaction, as that is now, need to run. A revision has no owner: Executions
// that are orphaned still need it, and the garbage collector, which has to write what it orphans, could not write it.
func EnsureRevision(ctx context.Context, store RevisionStore, reaction *karo.AlertReaction) error {
	ref := referenceTo(reaction)
	err := store.EnsureRevision(ctx, &karo.ReactionRevision{
		ObjectMeta: metav1.ObjectMeta{
			Name:      ref.Revision,
			Namespace: reaction.Namespace,
		},
		Reaction: ref,
		Spec:     *reaction.Spec.DeepCopy(),
	})
	if err != nil {
		return fmt.Errorf("storing revision %s: %w", ref.Revision, err)
	}
	return nil
}

func referenceTo(reaction *karo.AlertReaction) karo.ReactionReference {
	return karo.ReactionReference{
		Name:       reaction.Name,
		UID:        reaction.UID,
		Generation: reaction.Generation,
		Revision:   names.Revision(reaction.Name, reaction.UID, reaction.Generation),
	}
}

func ownerReference(reaction *karo.AlertReaction) metav1.OwnerReference {
	return metav1.OwnerReference{
		APIVersion: v1.SchemeGroupVersion.String(),
		Kind:       "AlertReaction",
		Name:       reaction.Name,
		UID:        reaction.UID,
		Controller: new(true),
	}
}

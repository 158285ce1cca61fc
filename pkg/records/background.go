// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

package records

import (
	"context"

	"k8s.io/apimachinery/pkg/types"

	"karo.io/karo/pkg/apis/karo"
)

// Background are the Records of work that can wait: before each write that nobody waits for it gives way.
type Background struct {
	*Records
	// GiveWay returns once nothing more urgent is under way, or after a while.
	GiveWay func(ctx context.Context)
}

// ReleaseExecution removes the finalizer that keeps an Execution.
func (b *Background) ReleaseExecution(ctx context.Context, e *karo.Execution) error {
	b.GiveWay(ctx)
	return b.Records.ReleaseExecution(ctx, e)
}

// DeleteAlert deletes an Alert unless it has changed since it was read.
func (b *Background) DeleteAlert(ctx context.Context, alert *karo.Alert) error {
	b.GiveWay(ctx)
	return b.Records.DeleteAlert(ctx, alert)
}

// UpdateReactionStatus stores what mutate makes of the stored status of a reaction.
func (b *Background) UpdateReactionStatus(ctx context.Context, namespace, name string, uid types.UID, mutate func(*karo.AlertReactionStatus) bool) error {
	b.GiveWay(ctx)
	return b.Records.UpdateReactionStatus(ctx, namespace, name, uid, mutate)
}

// DeleteExecution deletes an Execution unless it has changed since it was read.
func (b *Background) DeleteExecution(ctx context.Context, e *karo.Execution) error {
	b.GiveWay(ctx)
	return b.Records.DeleteExecution(ctx, e)
}

// DeleteRevision deletes a ReactionRevision.
func (b *Background) DeleteRevision(ctx context.Context, revision *karo.ReactionRevision) error {
	b.GiveWay(ctx)
	return b.Records.DeleteRevision(ctx, revision)
}

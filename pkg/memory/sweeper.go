// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

package memory

import (
	"context"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/klog/v2"

	"karo.io/karo/pkg/apis/karo"
	"karo.io/karo/pkg/panics"
)

// sweepInterval is how often the Sweeper looks for Alerts that may go.
const sweepInterval = 10 * time.Minute

// Sweeper forgets Alerts that have not been seen for long. One replica runs it.
type Sweeper struct {
	memory   *Memory
	remove   func(context.Context, *karo.Alert) error
	lifetime time.Duration
}

// NewSweeper returns a Sweeper that calls remove for an Alert that was not seen for lifetime.
func NewSweeper(m *Memory, remove func(context.Context, *karo.Alert) error, lifetime time.Duration) *Sweeper {
	return &Sweeper{memory: m, remove: remove, lifetime: lifetime}
}

// Run works until ctx ends.
func (s *Sweeper) Run(ctx context.Context) error {
	ticker := time.NewTicker(sweepInterval)
	defer ticker.Stop()
	for {
		s.sweep(ctx, time.Now())
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

func (s *Sweeper) sweep(ctx context.Context, now time.Time) {
	for _, obj := range s.memory.alerts.GetStore().List() {
		alert := obj.(*karo.Alert)
		if ctx.Err() != nil {
			return
		}
		if alert.Status.LastSeen == nil || now.Sub(alert.Status.LastSeen.Time) < s.lifetime {
			continue
		}
		// One that was seen meanwhile has changed, and stays.
		err := panics.Catch("sweeper", func() error { return s.remove(ctx, alert) })
		if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
			klog.FromContext(ctx).Error(err, "Forgetting an alert failed; it will be tried again", "alert", klog.KObj(alert))
		}
	}
}

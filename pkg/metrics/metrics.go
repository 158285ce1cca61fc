// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

// Package metrics holds the metrics of Karo beside those of every API server. No label carries text of an alert.
package metrics

import (
	"sync"
	"time"

	"k8s.io/component-base/metrics"
	"k8s.io/component-base/metrics/legacyregistry"
)

var (
	alertsReceived = metrics.NewCounterVec(&metrics.CounterOpts{
		Name:           "alertreaction_alerts_received_total",
		Help:           "Alerts in the notifications that were answered, by outcome: Matched, Unmatched or Refused.",
		StabilityLevel: metrics.ALPHA,
	}, []string{"outcome"})
	jobsCreated = metrics.NewCounter(&metrics.CounterOpts{
		Name:           "alertreaction_jobs_created_total",
		Help:           "Jobs that were created.",
		StabilityLevel: metrics.ALPHA,
	})
	reconcileDuration = metrics.NewHistogram(&metrics.HistogramOpts{
		Name:           "alertreaction_reconcile_duration_seconds",
		Help:           "Time to bring one Execution a step further.",
		Buckets:        metrics.ExponentialBuckets(0.001, 2, 14),
		StabilityLevel: metrics.ALPHA,
	})
	runs = metrics.NewCounterVec(&metrics.CounterOpts{
		Name:           "karo_runs_total",
		Help:           "What reactions did about the alerts they matched, by outcome: Created, Known, Skipped or Refused.",
		StabilityLevel: metrics.ALPHA,
	}, []string{"outcome"})
)

// Register has the metrics served.
var Register = sync.OnceFunc(func() {
	legacyregistry.MustRegister(alertsReceived, jobsCreated, reconcileDuration, runs)
})

// AlertReceived counts an alert of a notification.
func AlertReceived(outcome string) { alertsReceived.WithLabelValues(outcome).Inc() }

// Run counts what a reaction did about an alert.
func Run(outcome string) { runs.WithLabelValues(outcome).Inc() }

// JobCreated counts a Job.
func JobCreated() { jobsCreated.Inc() }

// ObserveReconcile records how long a step took.
func ObserveReconcile(d time.Duration) { reconcileDuration.Observe(d.Seconds()) }

// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

// Package metrics holds the metrics of Karo beside those of every API server. No label carries text of an alert.
package metrics

import (
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus/collectors/version"
	"k8s.io/component-base/metrics"
	"k8s.io/component-base/metrics/legacyregistry"
)

// objects counts the objects that cannot be read when it is asked, in the caches that have them.
type objects struct {
	metrics.BaseStableCollector
	counts sync.Map // of resources to func() int
}

// DescribeWithStability implements metrics.StableCollector.
func (o *objects) DescribeWithStability(ch chan<- *metrics.Desc) { ch <- undecodableDesc }

// CollectWithStability implements metrics.StableCollector.
func (o *objects) CollectWithStability(ch chan<- metrics.Metric) {
	for resource, count := range o.counts.Range {
		ch <- metrics.NewLazyConstMetric(undecodableDesc, metrics.GaugeValue, float64(count.(func() int)()), resource.(string))
	}
}

var (
	undecodable     objects
	undecodableDesc = metrics.NewDesc("karo_undecodable_objects",
		"Objects that are stored and cannot be read, by resource. They have the annotation karo.io/undecodable, which says why.",
		[]string{"resource"}, nil, metrics.ALPHA, "")
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
	paused = metrics.NewGauge(&metrics.GaugeOpts{
		Name:           "karo_paused",
		Help:           "1 while nothing runs and notifications are refused, since the store is not the one that the cluster knows; else 0.",
		StabilityLevel: metrics.ALPHA,
	})
	servingCertificate atomic.Pointer[func() time.Time]
	certificateEnds    = metrics.NewGaugeFunc(&metrics.GaugeOpts{
		Name:           "karo_serving_certificate_not_after_seconds",
		Help:           "When the certificate that is served ends, in seconds since 1970.",
		StabilityLevel: metrics.ALPHA,
	}, func() float64 { return float64((*servingCertificate.Load())().Unix()) })
	etcdSize      = etcdGauge("karo_etcd_size_bytes", "Size of the file of the embedded etcd, which its quota is for.")
	etcdInUse     = etcdGauge("karo_etcd_in_use_bytes", "What is in use of the file of the embedded etcd.")
	etcdQuota     = etcdGauge("karo_etcd_quota_bytes", "Size at which the embedded etcd refuses to grow.")
	etcdFull      = etcdGauge("karo_etcd_full", "Whether the embedded etcd, or its disk, is too full for notifications to be taken: 1 or 0.")
	notifications = metrics.NewCounterVec(&metrics.CounterOpts{
		Name:           "karo_notifications_total",
		Help:           "Notifications that were answered, by the status of the answer. Alertmanager repeats those of 500 and above only.",
		StabilityLevel: metrics.ALPHA,
	}, []string{"code"})
	unavailable = metrics.NewCounterVec(&metrics.CounterOpts{
		Name: "karo_notifications_unavailable_total",
		Help: "Notifications, also such to simulate, that were answered 503, by what failed: starting, waiting for its turn, " +
			"reading the notification, reading the namespace, waiting for the caches, storing.",
		StabilityLevel: metrics.ALPHA,
	}, []string{"doing"})
	panicked = metrics.NewCounterVec(&metrics.CounterOpts{
		Name:           "karo_panics_total",
		Help:           "Mistakes in Karo that ended what was being done for one object or alert, by what that was. Each is logged.",
		StabilityLevel: metrics.ALPHA,
	}, []string{"where"})
)

func etcdGauge(name, help string) *metrics.Gauge {
	return metrics.NewGauge(&metrics.GaugeOpts{Name: name, Help: help, StabilityLevel: metrics.ALPHA})
}

// ServingCertificate has it served when the certificate ends.
func ServingCertificate(ends func() time.Time) {
	if servingCertificate.Swap(&ends) == nil {
		legacyregistry.RawMustRegister(certificateEnds)
	}
}

// Register has the metrics served.
var Register = sync.OnceFunc(func() {
	legacyregistry.MustRegister(alertsReceived, jobsCreated, reconcileDuration, runs, notifications, unavailable, panicked, paused)
	legacyregistry.CustomMustRegister(&undecodable)
	legacyregistry.RawMustRegister(version.NewCollector("karo"))
})

// RegisterEtcd has the metrics of an embedded etcd served.
var RegisterEtcd = sync.OnceFunc(func() {
	legacyregistry.MustRegister(etcdSize, etcdInUse, etcdQuota, etcdFull)
})

// Etcd sets the metrics of an embedded etcd.
func Etcd(size, inUse, quota int64, full bool) {
	etcdSize.Set(float64(size))
	etcdInUse.Set(float64(inUse))
	etcdQuota.Set(float64(quota))
	etcdFull.Set(0)
	if full {
		etcdFull.Set(1)
	}
}

// AlertReceived counts an alert of a notification.
func AlertReceived(outcome string) { alertsReceived.WithLabelValues(outcome).Inc() }

// NotificationAnswered counts a notification by the status of its answer.
func NotificationAnswered(status int) { notifications.WithLabelValues(strconv.Itoa(status)).Inc() }

// Unavailable counts a notification that has to be sent again, by what failed.
func Unavailable(doing string) { unavailable.WithLabelValues(doing).Inc() }

// Run counts what a reaction did about an alert.
func Run(outcome string) { runs.WithLabelValues(outcome).Inc() }

// JobCreated counts a Job.
func JobCreated() { jobsCreated.Inc() }

// ObserveReconcile records how long a step took.
func ObserveReconcile(d time.Duration) { reconcileDuration.Observe(d.Seconds()) }

// Panicked counts a panic that was caught.
func Panicked(where string) { panicked.WithLabelValues(where).Inc() }

// Undecodable has it served how many objects of a resource cannot be read.
func Undecodable(resource string, count func() int) { undecodable.counts.Store(resource, count) }

// Paused says whether this replica is paused.
func Paused(is bool) {
	value := 0.0
	if is {
		value = 1
	}
	paused.Set(value)
}

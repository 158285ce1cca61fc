// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

// Package retryqueue makes the queues of work that is tried until it succeeds.
package retryqueue

import (
	"time"

	"k8s.io/client-go/util/workqueue"
)

const (
	// Min is how long an item waits after it has failed for the first time. After each further time it waits twice as long.
	Min = 100 * time.Millisecond
	// Max is how long an item waits at most: after an outage of any length everything is tried again within this time.
	Max = 30 * time.Second
)

// New returns an empty queue. Unlike the default one of controllers it has no limit for all items together, at which
// 10,000 that have failed in an outage would take a quarter of an hour to be tried again.
func New[T comparable]() workqueue.TypedRateLimitingInterface[T] {
	return workqueue.NewTypedRateLimitingQueue(workqueue.NewTypedItemExponentialFailureRateLimiter[T](Min, Max))
}

// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

package retryqueue

import (
	"testing"
	"testing/synctest"
	"time"
)

// What has failed in an outage is all tried again within Max, however much it is and however long it took.
func TestEverythingIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		queue := New[int]()
		defer queue.ShutDown()
		const items = 1000
		for range 50 {
			for i := range items {
				queue.AddRateLimited(i)
			}
			time.Sleep(Max)
			synctest.Wait()
			if queue.Len() != items {
				t.Fatalf("%d of %d are tried again", queue.Len(), items)
			}
			for range items {
				i, _ := queue.Get()
				queue.Done(i)
			}
		}
		queue.Forget(0)
		queue.AddRateLimited(0)
		time.Sleep(Min - 1)
		synctest.Wait()
		if queue.Len() != 0 {
			t.Error("it is tried again at once")
		}
	})
}

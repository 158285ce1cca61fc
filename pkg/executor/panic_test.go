// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

package executor

import (
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	clienttesting "k8s.io/client-go/testing"
	"k8s.io/client-go/util/workqueue"

	"karo.io/karo/pkg/apis/karo"
	"karo.io/karo/pkg/names"
)

// An Execution that Karo's own code cannot cope with says so, and is tried again; others go on.
func TestPanic(t *testing.T) {
	f := newRun(t, karo.OrderParallel, "a")
	f.queue.ShutDown()
	f.queue = workqueue.NewTypedRateLimitingQueue(workqueue.NewTypedItemExponentialFailureRateLimiter[types.NamespacedName](time.Hour, time.Hour))
	t.Cleanup(f.queue.ShutDown)
	f.stored["other"] = run("other", nil)
	panicking := true
	f.client.PrependReactor("create", "jobs", func(action clienttesting.Action) (bool, runtime.Object, error) {
		job := action.(clienttesting.CreateAction).GetObject().(metav1.Object)
		if panicking && job.GetName() == names.Job(f.stored["e"], "a") {
			panic("\x1b[31mtext of an alert")
		}
		return false, nil, nil
	})
	work := func() {
		t.Helper()
		for _, name := range []string{"e", "other"} {
			f.see()
			f.queue.Add(types.NamespacedName{Namespace: "ns", Name: name})
			if !f.next(t.Context()) {
				t.Fatal("the worker ends")
			}
		}
	}
	for range 3 {
		work()
	}
	if got := f.stored["e"].Status; got.Reason != reasonPanicked || got.Phase != pending {
		t.Errorf("the status is %+v", got)
	}
	if f.stored["other"].Status.Phase != running {
		t.Errorf("the other one is %+v", f.stored["other"].Status)
	}
	told := slices.DeleteFunc(slices.Clone(f.events), func(e string) bool { return !strings.Contains(e, reasonPanicked) })
	if len(told) != 1 || !strings.Contains(told[0], `\x1b[31mtext of an alert`) {
		t.Errorf("told: %q", told)
	}
	if got := f.queue.NumRequeues(types.NamespacedName{Namespace: "ns", Name: "e"}); got != 3 {
		t.Errorf("it was put off %d times", got)
	}

	panicking = false
	work()
	if got := f.stored["e"].Status; got.Reason != "" || got.Phase != running {
		t.Errorf("once it works, the status is %+v", got)
	}
}

var unreadable = map[string]string{karo.AnnotationUndecodable: "why"}

// Nothing is known of a revision that cannot be read, so that nothing is run of it.
func TestUndecodableRevision(t *testing.T) {
	f := newRun(t, karo.OrderParallel)
	f.revision.Annotations = unreadable
	if err := f.step(); err != nil {
		t.Fatal(err)
	}
	e := f.stored["e"]
	if e.Status.Phase != failed || e.Status.Reason != reasonUndecodable || len(e.Status.Actions) != 0 || e.Status.Conditions[0].Message != revisionUndecodable {
		t.Errorf("the status is %+v", e.Status)
	}
}

// Whether an Execution that cannot be read has ended, or has begun, is not known, so that what comes after it waits.
func TestUndecodablePredecessor(t *testing.T) {
	f := newRun(t, karo.OrderParallel, "a")
	f.stored["e"].Spec.After = "before"
	f.stored["before"] = run("before", func(e *karo.Execution) {
		e.Annotations, e.Status.Phase = unreadable, karo.PhaseSkipped
	})
	for range 2 {
		if err := f.step(); err != nil {
			t.Fatal(err)
		}
	}
	if got := f.stored["e"].Status; got.Reason != reasonWaiting || f.job("a") != nil {
		t.Errorf("the status is %+v", got)
	}
}

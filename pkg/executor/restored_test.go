// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

package executor

import (
	"fmt"
	"strings"
	"testing"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"karo.io/karo/pkg/apis/karo"
	"karo.io/karo/pkg/jobs"
)

// What the store says of actions a, b and c, and what there are of their Jobs, decides what becomes of them.
func TestRestored(t *testing.T) {
	const (
		none = iota
		runs
		over
		foreign
	)
	for name, tc := range map[string]struct {
		order   karo.ActionOrder
		change  func(*karo.Execution)
		jobs    [3]int
		waits   bool
		want    string // the phase, and for each action its phase, whether its Job is known, and the reason
		decided bool
		runs    bool
	}{
		"nothing is there":                           {want: "Failed Failed-StoreRestored Failed-StoreRestored Failed-StoreRestored", decided: true},
		"all are there":                              {jobs: [3]int{runs, over, runs}, want: "Running Running+ Running+ Running+", decided: true, runs: true},
		"some are there":                             {jobs: [3]int{runs, none, over}, want: "Running Running+ Failed-StoreRestored Running+", decided: true, runs: true},
		"they belong to others":                      {jobs: [3]int{foreign, foreign, foreign}, want: "Failed Failed-StoreRestored Failed-StoreRestored Failed-StoreRestored", decided: true},
		"in order, the first runs":                   {order: karo.OrderSequential, jobs: [3]int{runs}, want: "Running Running+ Pending Pending", decided: true, runs: true},
		"in order, the first is over":                {order: karo.OrderSequential, jobs: [3]int{over}, want: "Running Running+ Failed-StoreRestored Failed-StoreRestored", decided: true},
		"in order, the second runs":                  {order: karo.OrderSequential, jobs: [3]int{none, runs}, want: "Running Failed-StoreRestored Running+ Pending", decided: true, runs: true},
		"it is known already":                        {change: recorded(running, running, running), jobs: [3]int{runs, over, runs}, want: "Running Running+ Running+ Running+", runs: true},
		"it was known, and is gone":                  {change: recorded(running, running, succeeded), jobs: [3]int{none, over, none}, want: "Running Failed+StoreRestored Running+ Succeeded+", decided: true},
		"it has ended":                               {change: func(e *karo.Execution) { e.Status.Phase = succeeded }, want: "Succeeded"},
		"it is to be stopped":                        {change: func(e *karo.Execution) { e.Status.Cancellation = &karo.Cancellation{} }, want: "Pending"},
		"it is being deleted":                        {change: func(e *karo.Execution) { e.DeletionTimestamp = at(1) }, want: "Pending"},
		"it waits for what runs":                     {waits: true, want: "Pending"},
		"it waited for what is over, as far as said": {change: func(e *karo.Execution) { e.Status.Reason = reasonWaiting }, jobs: [3]int{runs}, want: "Running Running+ Failed-StoreRestored Failed-StoreRestored", decided: true, runs: true},
		"it waits for what runs, and has begun":      {waits: true, jobs: [3]int{runs, runs, runs}, want: "Running Running+ Running+ Running+", decided: true, runs: true},
	} {
		t.Run(name, func(t *testing.T) {
			spec := &karo.AlertReactionSpec{Order: tc.order, Actions: []karo.Action{{Name: "a", Image: "i"}, {Name: "b", Image: "i"}, {Name: "c", Image: "i"}}}
			e := run("e", tc.change)
			made, err := jobs.All(e, spec)
			if err != nil {
				t.Fatal(err)
			}
			var there []batchv1.Job
			for i := range made {
				made[i].UID = types.UID(fmt.Sprintf("uid-%d", i))
				switch tc.jobs[i] {
				case none:
					continue
				case over:
					made[i].Status.Conditions = []batchv1.JobCondition{{Type: batchv1.JobComplete, Status: corev1.ConditionTrue}}
				case foreign:
					made[i].OwnerReferences[0].UID = "another"
				}
				there = append(there, made[i])
			}
			decided, running := Restored(e, spec, there, tc.waits)
			got := []string{string(e.Status.Phase)}
			for _, a := range e.Status.Actions {
				known := "-"
				if a.JobUID != "" {
					known = "+"
				}
				got = append(got, strings.TrimRight(string(a.Phase)+known+a.Reason, "-"))
			}
			if text := strings.Join(got, " "); text != tc.want || decided != tc.decided || running != tc.runs {
				t.Errorf("got %s, decided %t, runs %t; want %s, %t, %t", text, decided, running, tc.want, tc.decided, tc.runs)
			}
			if e.Status.Reason == reasonWaiting {
				t.Error("it still says that it waits")
			}
			if again, _ := Restored(e, spec, there, tc.waits); again {
				t.Error("it is decided twice")
			}
		})
	}
}

// recorded has an Execution know its Jobs, with these phases.
func recorded(phases ...karo.Phase) func(*karo.Execution) {
	return func(e *karo.Execution) {
		e.Status.Phase = running
		for i, phase := range phases {
			e.Status.Actions = append(e.Status.Actions, karo.ActionStatus{
				Name: string(rune('a' + i)), JobName: "j", JobUID: types.UID(fmt.Sprintf("uid-%d", i)), Phase: phase,
			})
		}
	}
}

// What is decided is carried on: a Job that is there is followed, and none is created in the place of one that may have run.
func TestRestoredIsCarriedOn(t *testing.T) {
	f := newRun(t, karo.OrderParallel, "a", "b")
	f.expect("both begin", running, running, running)
	restored := run("e", nil) // As it was before.
	if err := f.client.BatchV1().Jobs("ns").Delete(t.Context(), f.job("b").Name, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	if decided, _ := Restored(restored, &f.revision.Spec, []batchv1.Job{*f.job("a")}, false); !decided {
		t.Fatal("nothing is decided")
	}
	f.stored["e"] = restored
	f.own.Clear() // The process that begins now knows nothing of it.
	f.made.Clear()
	f.expect("a is followed", running, running, failed)
	f.end("a", batchv1.JobComplete)
	f.expect("a has ended", failed, succeeded, failed)
	if f.job("b") != nil {
		t.Error("b ran again")
	}
}

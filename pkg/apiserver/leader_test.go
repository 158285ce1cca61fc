// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

package apiserver

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"k8s.io/client-go/tools/leaderelection/resourcelock"
)

// fakeLease takes every record, or none.
type fakeLease struct {
	resourcelock.Interface
	err error
}

func (f *fakeLease) Identity() string { return "me" }
func (f *fakeLease) Create(context.Context, resourcelock.LeaderElectionRecord) error {
	return f.err
}

func (f *fakeLease) Update(context.Context, resourcelock.LeaderElectionRecord) error {
	time.Sleep(time.Second) // In the time of the test: the cluster takes a while.
	return f.err
}

func TestHolds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, lease := &leader{}, &fakeLease{}
		lock := &lock{Interface: lease, renewed: &l.renewed}
		expect := func(what string, holds bool) {
			t.Helper()
			if err := l.holds(); (err == nil) != holds {
				t.Errorf("%s: got error %v", what, err)
			}
		}
		mine := resourcelock.LeaderElectionRecord{HolderIdentity: "me"}
		expect("before the election", false)
		lease.err = errors.New("taken")
		_ = lock.Create(t.Context(), mine)
		expect("lost the election", false)
		lease.err = nil
		if err := lock.Create(t.Context(), mine); err != nil {
			t.Fatal(err)
		}
		expect("elected", true)
		time.Sleep(renewDeadline)
		expect("still", true)
		time.Sleep(time.Millisecond)
		expect("not renewed in time", false)
		if err := lock.Update(t.Context(), mine); err != nil {
			t.Fatal(err)
		}
		time.Sleep(renewDeadline - time.Second)
		expect("renewed, as of when it was asked for", true)
		time.Sleep(time.Millisecond)
		expect("that is over", false)
		if err := lock.Update(t.Context(), mine); err != nil {
			t.Fatal(err)
		}
		lease.err = errors.New("cluster away")
		_ = lock.Update(t.Context(), mine)
		expect("a failed renewal ends nothing", true)
		lease.err = nil
		if err := lock.Update(t.Context(), resourcelock.LeaderElectionRecord{}); err != nil {
			t.Fatal(err)
		}
		expect("given back", false)
		if err := lock.Update(t.Context(), mine); err != nil {
			t.Fatal(err)
		}
		expect("elected again", true)
		time.Sleep(leaseDuration)
		if err := lock.Update(t.Context(), mine); err == nil {
			t.Error("a lease that another replica may have held is renewed as if none had")
		}
		expect("not elected", false)
	})
}

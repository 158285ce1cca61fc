// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

package apiserver

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/leaderelection/resourcelock"

	"karo.io/karo/pkg/storeid"
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
		for range 2 {
			if err := lock.Update(t.Context(), resourcelock.LeaderElectionRecord{}); err == nil {
				t.Error("a lease that may be another's is given back")
			}
		}
	})
}

// A replica that is elected and cannot read the store, or whose work fails, leaves the lease to one that can work, and stands
// for election again later.
func TestLeaseGoesToWhoCanWork(t *testing.T) {
	ready := func(ctx context.Context) error { return ctx.Err() }
	hangs := func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
	fails := func(context.Context) error { return errors.New("the store is away") }
	for name, tc := range map[string]struct {
		take   func(context.Context) error
		run    []func(context.Context) error
		within time.Duration // so long it takes until the other one works
	}{
		"it cannot read the store": {take: hangs, within: takeOverWithin + restAfterFailure},
		"its work fails":           {take: ready, run: []func(context.Context) error{fails, hangs}, within: restAfterFailure},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				client := fake.NewClientset()
				var took atomic.Int32
				works := make(chan bool, 1)
				broken := &leader{client: client, namespace: "ns", identity: "broken", may: ready, run: tc.run, take: func(ctx context.Context) error {
					took.Add(1)
					return tc.take(ctx)
				}}
				sound := &leader{client: client, namespace: "ns", identity: "sound", may: ready, take: ready, run: []func(context.Context) error{
					func(ctx context.Context) error {
						works <- true
						return hangs(ctx)
					},
				}}
				broken.start(t.Context(), nil)
				synctest.Wait()
				if took.Load() != 1 {
					t.Fatal("the replica that cannot work was not elected, so that this test tests nothing")
				}
				sound.start(t.Context(), nil)
				select {
				case <-works:
				case <-time.After(tc.within):
					t.Error("the other one does not work")
				}
				time.Sleep(time.Minute)
				if took.Load() != 1 {
					t.Errorf("it was elected %d times", took.Load())
				}
				sound.stop()
				time.Sleep(leaseDuration)
				if took.Load() < 2 {
					t.Error("it stands for election no more")
				}
				broken.stop()
			})
		})
	}
}

// Whoever leads gives the lease back when it has not reached the store for long, or when it is another store, and not before.
func TestWhoCannotAskTheStoreGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const takes = 5 * time.Millisecond
		hangs := func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
		fails := func(context.Context) error { time.Sleep(takes); return errors.New("etcd is away") }
		other := func(context.Context) error { time.Sleep(takes); return fmt.Errorf("reading: %w", &storeid.Mismatch{}) }
		for name, test := range map[string]struct {
			ask   func(context.Context) error
			fine  func(asked int) bool // The store answers then.
			after time.Duration        // 0 is never.
		}{
			"it does not answer":      {hangs, func(int) bool { return false }, (maxUnanswered + 1) * identityInterval},
			"it fails":                {fails, func(int) bool { return false }, maxUnanswered*identityInterval + takes},
			"it is another one":       {other, func(int) bool { return false }, identityInterval + takes},
			"it is away now and then": {fails, func(asked int) bool { return asked%maxUnanswered == 0 }, 0},
			"it is lost later":        {fails, func(asked int) bool { return asked <= 6 }, (6+maxUnanswered)*identityInterval + takes},
		} {
			begin, asked := time.Now(), 0
			ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
			err := keepAsking(ctx, maxUnanswered, func(ctx context.Context) error {
				if asked++; test.fine(asked) {
					time.Sleep(takes)
					return nil
				}
				return test.ask(ctx)
			})
			cancel()
			switch took := time.Since(begin); {
			case test.after == 0 && (err != nil || took < time.Hour):
				t.Errorf("%s: gave up after %s: %v", name, took, err)
			case test.after > 0 && (err == nil || took != test.after):
				t.Errorf("%s: got error %v after %s, want one after %s", name, err, took, test.after)
			}
		}
	})
}

// A client tries a request again when the cluster is busy. The lease may be lost in between.
func TestFence(t *testing.T) {
	tries, lost := map[string]int{}, errors.New("lost")
	var holds error
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		tries[req.Method]++
		if req.Method == http.MethodPost {
			holds = lost
			w.Header().Set("Retry-After", "0")
			w.WriteHeader(http.StatusTooManyRequests)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(`{"kind":"Job","apiVersion":"batch/v1","metadata":{"name":"j"}}`))
	}))
	defer server.Close()
	config := &rest.Config{Host: server.URL}
	config.Wrap(func(rt http.RoundTripper) http.RoundTripper {
		return &fence{RoundTripper: rt, holds: func() error { return holds }}
	})
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	jobs := client.BatchV1().Jobs("ns")
	if _, err := jobs.Create(t.Context(), &batchv1.Job{}, metav1.CreateOptions{}); !errors.Is(err, lost) || tries[http.MethodPost] != 1 {
		t.Errorf("got error %v after %d tries, want that the second is not made", err, tries[http.MethodPost])
	}
	if _, err := jobs.Get(t.Context(), "j", metav1.GetOptions{}); err != nil {
		t.Errorf("reading: %v", err)
	}
}

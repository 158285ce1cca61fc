// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

package chaos

import (
	"context"
	"errors"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// within returns the answers to attempts that began and ended between two times.
func (l *load) within(from, to time.Time) []answer {
	l.lock.Lock()
	defer l.lock.Unlock()
	var found []answer
	for _, a := range l.answers {
		if a.began.After(from) && a.ended.Before(to) {
			found = append(found, a)
		}
	}
	return found
}

func count2xx(answers []answer) (n int) {
	for _, a := range answers {
		if a.code/100 == 2 {
			n++
		}
	}
	return n
}

// What is sent while the kube-apiserver is away, to the replicas themselves, or while etcd is away, is acknowledged only
// once it is stored; and all of it runs once.
func TestOutages(t *testing.T) {
	for _, test := range []struct {
		name   string
		away   func() []*program
		direct bool // past the kube-apiserver, while it is away
	}{
		{"kube-apiserver", func() []*program { return []*program{kubeAPIServer} }, true},
		{"etcd", func() []*program { return members }, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			random := rand.New(rand.NewPCG(*seed, 2))
			outage, alerts := pick(12*time.Second, time.Minute), pick(60, 1000)
			l := newLoad(t, "without-"+test.name, 2)
			l.disturbed = test.direct
			var away atomic.Bool
			usual := l.ways
			l.ways = func() []string {
				switch {
				case !away.Load():
					return usual()
				case test.direct:
					return []string{karos[0].Name, karos[1].Name, karos[2].Name}
				}
				return []string{viaCluster}
			}
			groups := plan(random, l.namespaces, slices.Sorted(maps.Keys(firingJobs)), alerts, outage+pick(4*time.Second, 20*time.Second))
			var sending sync.WaitGroup
			sending.Go(func() { l.send(t.Context(), groups) })
			sleep(t.Context(), pick(2*time.Second, 10*time.Second))
			away.Store(true)
			began := time.Now()
			took := inflict(t.Context(), t, killed, outage, test.away()...)
			away.Store(false)
			sending.Wait()
			acknowledged := time.Since(began) - outage

			// What was under way when it began is left out.
			during := l.within(began.Add(time.Second), began.Add(outage))
			if len(during) == 0 {
				t.Error("nothing was sent meanwhile")
			}
			stored := count2xx(during)
			if !test.direct && stored > 0 {
				t.Errorf("without etcd, %d notifications are acknowledged", stored)
			}
			settled := l.settle()
			result := l.check()
			t.Logf("during %s without %s, %d of %d attempts were acknowledged (in all: %s); ready again after %s, the last acknowledgement after %s, "+
				"and the last run ended %s later; %d jobs of %d, %d lost, %d doubled", outage, test.name, stored, len(during), l.codes(),
				took.Round(time.Millisecond), acknowledged.Round(time.Millisecond), settled.Round(time.Millisecond),
				result.created, result.wanted, result.lost, result.doubled)
		})
	}
}

// leaseDuration is after how long another replica executes in the place of one that has vanished.
const leaseDuration = 15 * time.Second

// While the replicas are restarted one after the other, a sender gets no other answer than that it is stored, or to try
// again; and what is stored runs no later than another replica takes over.
func TestRollingRestart(t *testing.T) {
	random := rand.New(rand.NewPCG(*seed, 3))
	l := newLoad(t, "rolling", 1)
	l.ways = func() []string { return []string{viaCluster} }
	// An alert every 200 ms, of kinds that run in one step, so that no Job waits for another one.
	var groups []group
	for at := time.Duration(0); at < pick(15*time.Second, 3*time.Minute); at += 200 * time.Millisecond {
		kind := []string{"One", "Parallel", "Short"}[random.IntN(3)]
		groups = append(groups, group{namespace: l.namespaces[0], alertName: kind, first: len(groups), size: 1, at: at, rounds: courses[0], seed: random.Uint64()})
	}
	var sending sync.WaitGroup
	sending.Go(func() { l.send(t.Context(), groups) })
	sleep(t.Context(), 2*time.Second)
	for range pick(1, 6) {
		for _, p := range karos {
			took := inflict(t.Context(), t, stopped, 0, p)
			t.Logf("%s was ready again after %s", p.Name, took.Round(time.Millisecond))
		}
	}
	sending.Wait()
	for _, a := range l.answers {
		if a.code != 200 && a.code != 503 {
			t.Errorf("after %s, an attempt is answered with %d", a.ended.Sub(a.began), a.code)
		}
	}
	l.settle()
	result := l.check()
	if allowed := leaseDuration + 5*time.Second; result.slowest > allowed {
		t.Errorf("a job is created %s after it was acknowledged, more than %s: %+v", result.slowest, allowed, result.slowestJob)
	}
	t.Logf("answers: %s; the longest from acknowledgement to job took %s; %d jobs of %d, %d lost, %d doubled",
		l.codes(), result.slowest.Round(time.Millisecond), result.created, result.wanted, result.lost, result.doubled)
}

// A replica that is suspended right before it creates Jobs, for so long that another one has created them, and, in full
// length, that they have run and gone, creates none of them again when it goes on.
func TestPausePastTheLease(t *testing.T) {
	random := rand.New(rand.NewPCG(*seed, 4))
	l := newLoad(t, "paused", 1)
	// Past the lease, but before the replica takes its connections to etcd for dead; and past the life of the Jobs.
	shorter, longer := 28*time.Second, 80*time.Second
	for i, pause := range pick([]time.Duration{shorter}, []time.Duration{shorter, longer, shorter, longer}) {
		groups := plan(random, l.namespaces, []string{"Short"}, pick(150, 400), time.Second)
		first := 1000 * i
		for i := range groups {
			groups[i].first += first
			groups[i].rounds = courses[0]
		}
		before := jobs.count(l.namespaces...)
		var sending sync.WaitGroup
		sending.Go(func() { l.send(t.Context(), groups) })
		l.until("jobs to be created", func(context.Context) error {
			if jobs.count(l.namespaces...) < before+20 {
				return errors.New("there are few")
			}
			return nil
		})
		p := executing()
		if p == nil {
			t.Fatal("no replica says that it executes")
		}
		// When etcd goes on, it answers that there is no Job yet; when the replica does, it reads that.
		var waiting sync.WaitGroup
		waiting.Go(func() { inflict(t.Context(), t, paused, time.Second, members...) })
		sleep(t.Context(), 500*time.Millisecond)
		made := jobs.count(l.namespaces...) - before
		inflict(t.Context(), t, paused, pause, p)
		waiting.Wait()
		t.Logf("%s was suspended when there were %d jobs", p.Name, made)
		sending.Wait()
		l.settle()
	}
	result := l.check()
	t.Logf("%d jobs of %d, %d lost, %d doubled", result.created, result.wanted, result.lost, result.doubled)
}

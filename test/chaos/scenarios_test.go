// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

package chaos

import (
	"context"
	"errors"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
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

// answered is after how long each notification is answered: Karo takes 3 s for its turn and 10 s to store it.
const answered = 15 * time.Second

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
			outage, alerts := pick(20*time.Second, time.Minute), pick(60, 1000)
			l := newLoad(t, "without-"+test.name, 2)
			l.disturbed = test.direct
			l.patience = 25 * time.Second // More than Karo's own, so that an answer is never cut off.
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
			over := outage + pick(4*time.Second, 20*time.Second)
			groups := plan(random, l.namespaces, slices.Sorted(maps.Keys(firingJobs)), alerts, over)
			ctx := deadline(t, over)
			var sending sync.WaitGroup
			sending.Go(func() { l.send(ctx, groups) })
			sleep(ctx, pick(2*time.Second, 10*time.Second))
			away.Store(true)
			began := time.Now()
			took := inflict(ctx, t, killed, outage, test.away()...)
			away.Store(false)
			sending.Wait()
			acknowledged(ctx, t)
			last := time.Since(began) - outage

			// What was under way when it began is left out. What is answered only after it may be stored.
			during := l.within(began.Add(time.Second), began.Add(outage))
			stored, refused, unknown := count2xx(during), 0, 0
			for _, a := range l.within(began.Add(time.Second), began.Add(outage+l.patience+time.Second)) {
				if a.began.After(began.Add(outage)) || a.code == skipped || a.through == viaCluster && test.direct {
					continue
				}
				took := a.ended.Sub(a.began)
				if took > answered {
					t.Errorf("%s answers after %s, with %d", a.through, took, a.code)
				}
				ended := a.ended.Before(began.Add(outage))
				switch {
				case a.code == 503:
					refused++
				case a.code/100 == 2 && (test.direct || !ended):
				case a.code == 0 && !test.direct:
				case a.code == 500 && test.direct && strings.Contains(a.said, "subjectaccessreviews"):
					// Of the library of the API server: nobody says whether the sender may. It is tried again like 503.
					unknown++
				default:
					t.Errorf("without %s, %s answers %d after %s: %s", test.name, a.through, a.code, took, a.said)
				}
			}
			if len(during) == 0 {
				t.Error("nothing was sent meanwhile")
			}
			if !test.direct && refused == 0 {
				t.Error("without etcd, no sender is told to try again")
			}
			// Everything is to run once, so also what was acknowledged meanwhile.
			settled := l.settle()
			result := l.check()
			t.Logf("during %s without %s, %d of %d attempts were acknowledged, %d told to try again, and %d that it is not known whether they may (in all: %s); ready again after %s, the last acknowledgement after %s, "+
				"and the last run ended %s later; %d jobs of %d, %d lost, %d doubled", outage, test.name, stored, len(during), refused, unknown, l.codes(),
				took.Round(time.Millisecond), last.Round(time.Millisecond), settled.Round(time.Millisecond),
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
	ctx := deadline(t, pick(time.Minute, 10*time.Minute))
	// An alert every 200 ms until the last restart is done, of kinds that run in one step, so that no Job waits for another.
	var done atomic.Bool
	var sending sync.WaitGroup
	sending.Go(func() {
		for i := 0; !done.Load() && ctx.Err() == nil; i++ {
			kind := []string{"One", "Parallel", "Short"}[random.IntN(3)]
			g := group{namespace: l.namespaces[0], alertName: kind, first: i, size: 1, rounds: courses[0], seed: random.Uint64()}
			sending.Go(func() { l.send(ctx, []group{g}) })
			sleep(ctx, 200*time.Millisecond)
		}
	})
	sleep(ctx, 2*time.Second)
	for range pick(1, 6) {
		for _, p := range karos {
			began := time.Now()
			took := inflict(ctx, t, stopped, 0, p)
			tried := len(l.within(began, time.Now()))
			t.Logf("%s was ready again after %s; meanwhile there were %d attempts", p.Name, took.Round(time.Millisecond), tried)
			if tried == 0 {
				t.Errorf("nothing was sent while %s was restarted", p.Name)
			}
		}
	}
	done.Store(true)
	sending.Wait()
	acknowledged(ctx, t)
	for _, a := range l.answers {
		if a.code != 200 && a.code != 503 {
			t.Errorf("after %s, an attempt is answered with %d", a.ended.Sub(a.began), a.code)
		}
	}
	l.settle()
	result := l.check()
	if result.slowest > leaseDuration {
		t.Errorf("a job is created %s after it was acknowledged, more than %s: %+v", result.slowest, leaseDuration, result.slowestJob)
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
	tries := 0
	for _, pause := range pick([]time.Duration{shorter}, []time.Duration{shorter, longer, shorter, longer}) {
		// Whether the suspension hits is a matter of luck.
		hit := false
		for try := 0; try < 3 && !hit; try++ {
			hit = suspend(t, l, random, 1000*tries, pause)
			tries++
		}
		if !hit {
			t.Fatal("no suspension hit a replica that had jobs left to create")
		}
	}
	result := l.check()
	t.Logf("%d jobs of %d, %d lost, %d doubled", result.created, result.wanted, result.lost, result.doubled)
}

// suspend suspends the replica that executes while it creates the Jobs of alerts, whose numbers begin with first. It
// reports whether there were some left, and another replica created Jobs meanwhile.
func suspend(t *testing.T, l *load, random *rand.Rand, first int, pause time.Duration) bool {
	t.Helper()
	groups := plan(random, l.namespaces, []string{"Short"}, pick(150, 400), time.Second)
	wanted := 0
	for i := range groups {
		groups[i].first += first
		groups[i].rounds = courses[0]
		wanted += len(groups[i].jobs(courses[0][0]))
	}
	before := jobs.count(l.namespaces...)
	made := func() int { return jobs.count(l.namespaces...) - before }
	ctx := deadline(t, pause)
	var sending sync.WaitGroup
	sending.Go(func() { l.send(ctx, groups) })
	l.until("jobs to be created", func(context.Context) error {
		if made() < 20 {
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
	waiting.Go(func() { inflict(ctx, t, paused, time.Second, members...) })
	sleep(ctx, 500*time.Millisecond)
	var then, later int
	var successor *program
	waiting.Go(func() {
		// What the replica had asked for is there by then, and its lease still holds.
		sleep(ctx, leaseDuration/3)
		then = made()
		sleep(ctx, pause-leaseDuration/3-2*time.Second)
		later, successor = made(), executing()
	})
	inflict(ctx, t, paused, pause, p)
	waiting.Wait()
	sending.Wait()
	acknowledged(ctx, t)
	l.settle()
	t.Logf("%s was suspended when there were %d jobs of %d; when it went on there were %d", p.Name, then, wanted, later)
	return then < wanted && later > then && successor != nil && successor != p
}

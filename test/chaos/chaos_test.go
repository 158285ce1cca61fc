// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

package chaos

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"text/tabwriter"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// kind is a kind of fault.
type kind struct {
	name string
	hurt hurt
	// down is how long it lasts, at least and at most.
	least, most time.Duration
	// victims are whom it hits. The numbers are random, for where one of several is hit.
	victims func(ctx context.Context, which []int) []*program
}

// one returns a victim among several: the one that matters, if there is one now, or else any.
func one(among func() []*program, special func(context.Context) *program) func(context.Context, []int) []*program {
	return func(ctx context.Context, which []int) []*program {
		if p := special(ctx); p != nil {
			return []*program{p}
		}
		return []*program{among()[which[0]]}
	}
}

var (
	nobody     = func(context.Context) *program { return nil }
	anyReplica = func() []*program { return karos }
	anyMember  = func() []*program { return members }
)

const second = time.Second

// kinds are all faults but one. A replica that executes loses its lease after 15 s.
var kinds = []kind{
	{"kill the replica that executes", killed, 0, 4 * second, one(anyReplica, func(context.Context) *program { return executing() })},
	{"kill a replica", killed, 0, 4 * second, one(anyReplica, nobody)},
	{"kill two replicas", killed, 0, 4 * second, func(_ context.Context, which []int) []*program {
		return []*program{karos[which[0]], karos[(which[0]+1+which[1]%2)%replicas]}
	}},
	{"kill all replicas", killed, 0, 3 * second, func(context.Context, []int) []*program { return karos }},
	{"stop the replica that executes", stopped, 0, 3 * second, one(anyReplica, func(context.Context) *program { return executing() })},
	{"stop a replica", stopped, 0, 3 * second, one(anyReplica, nobody)},
	{"pause the replica that executes, past its lease", paused, 16 * second, 22 * second, one(anyReplica, func(context.Context) *program { return executing() })},
	{"pause a replica", paused, second, 8 * second, one(anyReplica, nobody)},
	{"kill the leader of etcd", killed, 0, 6 * second, one(anyMember, leading)},
	{"pause the leader of etcd", paused, 2 * second, 8 * second, one(anyMember, leading)},
	{"kill a member of etcd", killed, 0, 6 * second, one(anyMember, nobody)},
	{"kill all of etcd", killed, 2 * second, 8 * second, func(context.Context, []int) []*program { return members }},
	{"kill the kube-apiserver", killed, 0, 8 * second, func(context.Context, []int) []*program { return []*program{kubeAPIServer} }},
	{"pause the kube-apiserver", paused, second, 8 * second, func(context.Context, []int) []*program { return []*program{kubeAPIServer} }},
	{"kill the kube-controller-manager", killed, 0, 4 * second, func(context.Context, []int) []*program { return []*program{controllerManager} }},
	{"compact etcd", hurt{}, 0, 0, nil},
}

// longPause is a fault for which only the full length has the time: meanwhile Jobs run and go, which are there for a minute
// at least.
var longPause = kind{"pause the replica that executes, past the life of its jobs", paused, 65 * second, 85 * second, one(anyReplica, func(context.Context) *program { return executing() })}

// fault is one that is to come.
type fault struct {
	kind
	at, down time.Duration
	which    []int
}

// faults plans faults for a time: every kind in turn, each turn in another order. They may overlap.
func faults(random *rand.Rand, over, apart time.Duration) []fault {
	var planned []fault
	var turn []kind
	for at := time.Duration(0); ; {
		at += apart/2 + time.Duration(random.Int64N(int64(apart)))
		if at > over {
			return planned
		}
		if len(turn) == 0 {
			turn = slices.Concat(kinds, pick(nil, []kind{longPause}))
			random.Shuffle(len(turn), func(i, j int) { turn[i], turn[j] = turn[j], turn[i] })
		}
		f := fault{kind: turn[0], at: at, which: []int{random.IntN(replicas), random.IntN(replicas)}}
		f.down = f.least + time.Duration(random.Int64N(int64(f.most-f.least)+1))
		planned, turn = append(planned, f), turn[1:]
	}
}

// compact removes what is not current from etcd.
func compact(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	var urls []string
	for _, m := range members {
		urls = append(urls, m.url)
	}
	etcd, err := clientv3.New(clientv3.Config{Endpoints: urls, Context: ctx})
	if err != nil {
		return err
	}
	defer etcd.Close()
	now, err := etcd.Get(ctx, "none")
	if err != nil {
		return err
	}
	_, err = etcd.Compact(ctx, now.Header.Revision)
	return err
}

// record is what became of the faults.
type record struct {
	t     *testing.T
	began time.Time

	lock     sync.Mutex
	happened map[string]int
	kills    int
	slowest  time.Duration // until a program was ready again
}

// run lets a fault happen, and returns once it is healed.
func (r *record) run(ctx context.Context, f fault) {
	r.t.Helper()
	at := func() string { return time.Since(r.began).Round(100 * time.Millisecond).String() }
	var victims []*program
	var took time.Duration
	if f.victims == nil {
		r.t.Logf("%8s  %s", at(), f.name)
		if err := compact(ctx); err != nil {
			r.t.Logf("compacting, which may fail while other faults last: %v", err)
		}
	} else {
		victims = f.victims(ctx, f.which)
		var names []string
		for _, p := range victims {
			names = append(names, p.Name)
		}
		r.t.Logf("%8s  %s for %s: %s", at(), f.name, f.down.Round(100*time.Millisecond), strings.Join(names, ", "))
		took = inflict(ctx, r.t, f.hurt, f.down, victims...)
	}
	r.lock.Lock()
	defer r.lock.Unlock()
	r.happened[f.name]++
	r.slowest = max(r.slowest, took)
	if strings.HasPrefix(f.name, "kill") {
		r.kills += len(victims)
	}
}

// TestChaos sends alerts while everything that Karo stands on fails, in turn and at once.
func TestChaos(t *testing.T) {
	random := rand.New(rand.NewPCG(*seed, 1))
	alerts := pick(200, int(10000*duration.Minutes()/30))
	l := newLoad(t, "chaos", 3)
	l.disturbed = true
	groups := plan(random, l.namespaces, slices.Sorted(maps.Keys(firingJobs)), alerts, *duration)
	planned := faults(random, *duration, pick(3500*time.Millisecond, 12*time.Second))

	ctx := deadline(t, *duration)
	r := &record{t: t, began: time.Now(), happened: map[string]int{}}
	var sending, failing sync.WaitGroup
	sending.Go(func() { l.send(ctx, groups) })
	for _, f := range planned {
		sleep(ctx, time.Until(r.began.Add(f.at)))
		failing.Go(func() { r.run(ctx, f) })
	}
	failing.Wait()
	healed := time.Now()
	t.Logf("%8s  everything is healed", time.Since(r.began).Round(100*time.Millisecond))
	sending.Wait()
	acknowledged(ctx, t)
	last := time.Since(healed)
	l.settle()
	settled := time.Since(healed)
	again := deadline(t, 0)
	l.repeat(again)
	acknowledged(again, t)
	l.settle()
	result := l.check()
	if *duration >= 30*time.Minute && (l.alerts < 10000 || r.kills < 20) {
		t.Errorf("only %d alerts were sent, and %d programs killed", l.alerts, r.kills)
	}

	var table strings.Builder
	w := tabwriter.NewWriter(&table, 0, 0, 2, ' ', 0)
	row := func(name, format string, args ...any) {
		fmt.Fprintf(w, "%s\t%s\n", name, fmt.Sprintf(format, args...))
	}
	row("seed", "%d", *seed)
	row("alerts", "%d, each by two senders", l.alerts)
	row("notifications acknowledged", "%d, after %d attempts (%s)", l.sends, len(l.answers), l.codes())
	for _, name := range slices.Sorted(maps.Keys(r.happened)) {
		row("fault: "+name, "%d", r.happened[name])
	}
	row("programs killed", "%d", r.kills)
	for _, p := range programs() {
		if n := p.byItself.Load(); n > 0 {
			row(p.Name+" ended by itself", "%d", n)
		}
	}
	row("jobs", "%d created of %d", result.created, result.wanted)
	row("lost", "%d", result.lost)
	row("doubled", "%d", result.doubled)
	row("jobs of which the cluster started a second pod", "%d", result.restarted)
	row("longest from acknowledgement to job", "%s", result.slowest.Round(10*time.Millisecond))
	row("longest until a program was ready again", "%s", r.slowest.Round(10*time.Millisecond))
	row("last acknowledgement after the last fault", "%s", last.Round(10*time.Millisecond))
	row("last run ended after the last fault", "%s", settled.Round(10*time.Millisecond))
	_ = w.Flush()
	t.Logf("\n%s", table.String())
}

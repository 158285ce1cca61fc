// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

package chaos

import (
	"math/rand/v2"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// An etcd of its own is restored from a snapshot that is older than the last runs. All replicas are paused, until one is
// told to go on with it; then everything that is sent again is known, and nothing that ran runs again.
func TestRestoredEtcd(t *testing.T) {
	random := rand.New(rand.NewPCG(*seed, 5))
	l := newLoad(t, "restored", 1)
	ctx := deadline(t, time.Minute)
	// Of these kinds the Jobs stay: what is lost with its Jobs would run again.
	kinds := []string{"Fails", "One", "Parallel", "Sequential"}
	send := func(first int) {
		groups := plan(random, l.namespaces, kinds, pick(40, 400), 2*time.Second)
		for i := range groups {
			groups[i].first += first
		}
		l.send(ctx, groups)
		acknowledged(ctx, t)
		l.settle()
	}
	send(0)
	file := filepath.Join(t.TempDir(), "snapshot")
	if err := etcd.Members[0].Save(ctx, file); err != nil {
		t.Fatal(err)
	}
	send(1000)

	inflict(ctx, t, hurt{
		killed.begin,
		func(p *program) error {
			if i := slices.Index(members, p); i >= 0 {
				if err := etcd.Members[i].Restore(file); err != nil {
					return err
				}
			}
			return p.restart()
		},
	}, 0, slices.Concat(karos, members)...)
	accept := ""
	for _, p := range karos {
		code, said := l.post(ctx, p.Name, "/apis/karo.io/v1/clusteralerts/trigger", []byte(`{"alerts": []}`))
		flag := regexp.MustCompile("--accept-store=[0-9a-f]+").FindString(string(said))
		if code != 503 || flag == "" || accept != "" && flag != accept {
			t.Fatalf("%s answers %d: %s", p.Name, code, said)
		}
		accept = flag
	}
	inflict(ctx, t, hurt{stopped.begin, func(p *program) error {
		servers[0].AddFlags(accept) // It may stay, and fits no other loss.
		return p.restart()
	}}, 0, karos[0])
	began := time.Now()
	l.repeat(ctx)
	acknowledged(ctx, t)
	l.settle()
	for _, a := range l.within(began, time.Now()) {
		if a.code != 200 && a.code != 503 && a.code != 0 {
			t.Errorf("%s answers %d", a.through, a.code)
		}
	}
	if err := jobs.current(ctx); err != nil {
		t.Fatal(err)
	}
	jobs.lock.Lock()
	defer jobs.lock.Unlock()
	for j := range l.wanted {
		if made := jobs.jobs[j]; len(made) != 1 {
			t.Errorf("%+v has %d jobs: %s", j, len(made), made)
		}
	}
	if len(l.wrong) > 0 {
		t.Error(strings.Join(l.wrong, "\n"))
	}
	t.Logf("%d jobs, each created once", len(l.wanted))
}

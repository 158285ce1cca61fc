// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

package chaos

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"k8s.io/client-go/rest"

	"karo.io/karo/hack/localcluster"
)

// healing bounds how long a program may take until it works again.
const healing = 2 * time.Minute

// program is a program that faults hit, and that is started again whenever it ends, as a kubelet would.
type program struct {
	*localcluster.Process
	url    string
	config *rest.Config
	ready  func(context.Context) error

	// busy is held by whoever ends the program or starts it.
	busy sync.Mutex
	// log is where the output of the latest run begins.
	log int64
	// down is whether the program was started and has not been seen ready since.
	down atomic.Bool
	// byItself is how often the program has ended without a fault.
	byItself int
}

// programs returns all of them, in the order in which a fault that hits several takes hold of them.
func programs() []*program {
	return slices.Concat(karos, members, []*program{kubeAPIServer, controllerManager})
}

// supervise starts the program again when it has ended by itself, as a karo-apiserver does that starts while the
// kube-apiserver is away.
func (p *program) supervise(ctx context.Context) {
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		if p.down.Load() {
			_ = p.look(ctx)
		}
		if !p.busy.TryLock() {
			continue
		}
		select {
		case <-p.Exited():
			p.byItself++
			if err := p.restart(); err != nil {
				fmt.Fprintln(os.Stderr, err)
			}
		default:
		}
		p.busy.Unlock()
	}
}

// look returns nil when the program is ready, and notes it.
func (p *program) look(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	err := p.ready(ctx)
	if err == nil {
		p.down.Store(false)
	}
	return err
}

// restart starts the program, of which the caller has hold.
func (p *program) restart() error {
	p.down.Store(true)
	if info, err := os.Stat(p.LogFile); err == nil {
		p.log = info.Size()
	}
	return p.Restart()
}

// executing returns the replica that turns Executions into Jobs, by what the replicas say, or nil. One that is paused, or
// was, may hold itself for it as well; the one that said so last counts.
func executing() *program {
	var found *program
	var since string
	for _, p := range karos {
		file, err := os.Open(p.LogFile)
		if err != nil {
			continue
		}
		_, _ = file.Seek(p.log, io.SeekStart)
		said, _ := io.ReadAll(file)
		file.Close()
		begun := bytes.LastIndex(said, []byte("This replica executes now"))
		if begun < 0 || bytes.LastIndex(said, []byte("This replica no longer executes")) > begun {
			continue
		}
		// A line begins with its level, date and time.
		line := said[bytes.LastIndexByte(said[:begun], '\n')+1:]
		if at := string(line[1:min(len(line), 21)]); at > since {
			found, since = p, at
		}
	}
	return found
}

// leading returns the member of etcd that leads, or nil.
func leading(ctx context.Context) *program {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	for _, m := range members {
		etcd, err := clientv3.New(clientv3.Config{Endpoints: []string{m.url}, Context: ctx})
		if err != nil {
			continue
		}
		status, err := etcd.Status(ctx, m.url)
		_ = etcd.Close()
		if err == nil && status.Header.MemberId == status.Leader {
			return m
		}
	}
	return nil
}

// hurt is what a fault does to a program, and how that is healed.
type hurt struct{ begin, end func(*program) error }

var (
	killed = hurt{
		func(p *program) error { p.Kill(); return nil },
		(*program).restart,
	}
	stopped = hurt{
		func(p *program) error {
			starting := p.down.Load()
			if err := p.Stop(); !starting {
				return err
			}
			return nil // It may not have been ready for being asked yet.
		},
		(*program).restart,
	}
	paused = hurt{
		func(p *program) error { return p.Signal(syscall.SIGSTOP) },
		func(p *program) error { return p.Signal(syscall.SIGCONT) },
	}
)

// inflict hurts some programs at once, heals them after a while, and returns how long they then took to be ready.
func inflict(ctx context.Context, t *testing.T, h hurt, down time.Duration, victims ...*program) time.Duration {
	t.Helper()
	// In the same order everywhere, so that two faults do not wait for one another.
	var held []*program
	for _, p := range programs() {
		if slices.Contains(victims, p) {
			p.busy.Lock()
			held = append(held, p)
		}
	}
	each := func(what func(*program) error) {
		var all sync.WaitGroup
		for _, p := range held {
			all.Go(func() {
				if err := what(p); err != nil {
					t.Errorf("%s: %v", p.Name, err)
				}
			})
		}
		all.Wait()
	}
	each(h.begin)
	sleep(ctx, down)
	each(h.end)
	healed := time.Now()
	for _, p := range held {
		p.busy.Unlock()
	}
	for _, p := range held {
		awaitReady(t, p)
	}
	return time.Since(healed)
}

// awaitReady waits until a program works, which may end and be started again meanwhile.
func awaitReady(t *testing.T, p *program) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), healing)
	defer cancel()
	if err := cluster.Until(ctx, p.Name+" to be ready", p.look); err != nil {
		t.Error(err)
	}
}

// sleep lets some time pass, which is all that a fault waits for.
func sleep(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

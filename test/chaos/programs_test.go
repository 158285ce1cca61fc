// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

package chaos

import (
	"bytes"
	"context"
	"errors"
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
	log atomic.Int64
	// read is up to where blame has read the output.
	read int64
	// faults is how many faults hit it now, healed when the last one was over, in nanoseconds.
	faults atomic.Int32
	healed atomic.Int64
	// down is whether the program was started and has not been seen ready since.
	down atomic.Bool
	// byItself is how often the program has ended without a fault.
	byItself atomic.Int64
}

// accidents are replicas that ended for no reason, until a test is blamed for them.
var accidents struct {
	sync.Mutex
	found []string
}

// calm reports whether the program works, and has for some seconds, in which others notice it.
func (p *program) calm() bool {
	return p.faults.Load() == 0 && !p.down.Load() && time.Since(time.Unix(0, p.healed.Load())) > 5*time.Second
}

// unprovoked reports whether the program, which has ended by itself, is a replica that was ready and had all that it needs.
func (p *program) unprovoked() bool {
	if !slices.Contains(karos, p) || p.down.Load() {
		return false
	}
	for _, needed := range append([]*program{kubeAPIServer}, members...) {
		if !needed.calm() {
			return false
		}
	}
	return true
}

// blame fails a test during which a replica panicked, or ended for no reason.
func blame(t *testing.T) {
	t.Helper()
	for _, p := range karos {
		said, err := p.said(p.read)
		if err != nil {
			t.Error(err)
			continue
		}
		p.read += int64(len(said))
		for line := range bytes.Lines(said) {
			for _, sign := range []string{"panic:", "fatal error:", "Panicked"} {
				if bytes.Contains(line, []byte(sign)) {
					t.Errorf("%s says: %s", p.Name, bytes.TrimSpace(line))
				}
			}
		}
	}
	accidents.Lock()
	defer accidents.Unlock()
	for _, accident := range accidents.found {
		t.Error(accident)
	}
	accidents.found = nil
}

// said returns what the program has printed from an offset on.
func (p *program) said(from int64) ([]byte, error) {
	file, err := os.Open(p.LogFile)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	if _, err := file.Seek(from, io.SeekStart); err != nil {
		return nil, err
	}
	return io.ReadAll(file)
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
			p.byItself.Add(1)
			if p.unprovoked() {
				accidents.Lock()
				accidents.found = append(accidents.found, p.Name+" ended by itself, while etcd and the kube-apiserver were up")
				accidents.Unlock()
			}
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
		p.log.Store(info.Size())
	}
	return p.Restart()
}

// executing returns the replica that turns Executions into Jobs, by what the replicas say, or nil. One that is paused, or
// was, may hold itself for it as well; the one that said so last counts.
func executing() *program {
	var found *program
	var since string
	for _, p := range karos {
		said, err := p.said(p.log.Load())
		if err != nil {
			continue
		}
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
			select {
			case <-p.Exited():
				return nil // By itself, just now.
			default:
			}
			starting := p.down.Load()
			if err := p.Stop(); !starting {
				return err
			}
			return nil // It may not have been ready for being asked yet.
		},
		(*program).restart,
	}
	paused = hurt{
		func(p *program) error { return signalled(p.Signal(syscall.SIGSTOP)) },
		func(p *program) error { return signalled(p.Signal(syscall.SIGCONT)) },
	}
)

// signalled returns the error of a signal, unless it is that the program has just ended by itself.
func signalled(err error) error {
	if errors.Is(err, os.ErrProcessDone) {
		return nil
	}
	return err
}

// inflict hurts some programs at once, heals them after a while, and returns how long they then took to be ready.
func inflict(ctx context.Context, t *testing.T, h hurt, down time.Duration, victims ...*program) time.Duration {
	t.Helper()
	// In the same order everywhere, so that two faults do not wait for one another.
	var held []*program
	for _, p := range programs() {
		if slices.Contains(victims, p) {
			p.busy.Lock()
			p.faults.Add(1)
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
		p.healed.Store(time.Now().UnixNano())
		p.faults.Add(-1)
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

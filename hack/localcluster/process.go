// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

package localcluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

// patience is how long a process may take to stop before it is killed. A kube-apiserver would take a minute.
const patience = 20 * time.Second

// Process is a program that runs, or that has ended and can be started again.
type Process struct {
	Name string
	// LogFile holds what the program prints.
	LogFile string

	program string
	path    string
	args    []string
	env     []string // beside that of this process

	lock sync.Mutex
	last *run
}

// run is one run of a program.
type run struct {
	cmd  *exec.Cmd
	done chan struct{}
	err  error // how it ended; set before done is closed
}

// spawn starts programs from one thread that lives as long as this process: the kernel kills a child together with the
// thread that made it, and so no child survives us, however we end.
var spawn = sync.OnceValue(func() chan<- func() {
	work := make(chan func())
	go func() {
		lockThread()
		for f := range work {
			f()
		}
	}()
	return work
})

// start runs a program, with its output in a file of the same name.
func start(dir, name, path string, args ...string) (*Process, error) {
	p := &Process{Name: name, LogFile: filepath.Join(dir, name+".log"), path: path, args: args}
	return p, p.launch()
}

// launch starts the program, whose output follows that of its earlier runs.
func (p *Process) launch() error {
	log, err := os.OpenFile(p.LogFile, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	r := &run{cmd: exec.Command(p.path, p.args...), done: make(chan struct{})}
	r.cmd.Stdout, r.cmd.Stderr = log, log
	r.cmd.Env = append(os.Environ(), p.env...)
	r.cmd.SysProcAttr = childAttributes()
	started := make(chan error)
	spawn() <- func() { started <- r.cmd.Start() }
	if err := <-started; err != nil {
		log.Close()
		return fmt.Errorf("starting %s: %w", p.Name, err)
	}
	p.lock.Lock()
	p.last = r
	p.lock.Unlock()
	go func() {
		r.err = r.cmd.Wait()
		log.Close()
		close(r.done)
	}()
	return nil
}

// current returns the run that was started last.
func (p *Process) current() *run {
	p.lock.Lock()
	defer p.lock.Unlock()
	return p.last
}

// Restart starts the program again, with the same arguments, after it was killed or stopped. It waits for nothing.
func (p *Process) Restart() error {
	select {
	case <-p.Exited():
		return p.launch()
	default:
		return fmt.Errorf("starting %s: it runs already", p.Name)
	}
}

// Exited is closed once the program has ended.
func (p *Process) Exited() <-chan struct{} { return p.current().done }

// Signal sends a signal to the program.
func (p *Process) Signal(s syscall.Signal) error { return p.current().cmd.Process.Signal(s) }

// PID returns the number of the process.
func (p *Process) PID() int { return p.current().cmd.Process.Pid }

// Kill ends the program at once, as a crash would.
func (p *Process) Kill() {
	_ = p.Signal(syscall.SIGKILL)
	<-p.Exited()
}

// Stop ends the program, orderly if it does so in time. The error is how it ended, nil for an exit code of 0.
func (p *Process) Stop() error {
	r := p.current()
	_ = p.Signal(syscall.SIGTERM)
	_ = p.Signal(syscall.SIGCONT) // One that is suspended would not notice.
	select {
	case <-r.done:
		return r.err
	case <-time.After(patience):
		p.Kill()
		return fmt.Errorf("%s did not stop within %s", p.Name, patience)
	}
}

// await calls check until it succeeds. It fails when the program ends first, or ctx does.
func (p *Process) await(ctx context.Context, check func(context.Context) error) error {
	r := p.current()
	var last error
	ticker := time.NewTicker(100 * time.Millisecond)
	defer ticker.Stop()
	for {
		if last = check(ctx); last == nil {
			return nil
		}
		select {
		case <-r.done:
			return fmt.Errorf("%s ended: %w\n%s", p.Name, errors.Join(r.err, last), p.tail())
		case <-ctx.Done():
			return fmt.Errorf("%s is not ready: %w\n%s", p.Name, last, p.tail())
		case <-ticker.C:
		}
	}
}

// tail returns the last lines of the output.
func (p *Process) tail() string {
	file, err := os.Open(p.LogFile)
	if err != nil {
		return err.Error()
	}
	defer file.Close()
	if info, err := file.Stat(); err == nil && info.Size() > 4000 {
		_, _ = file.Seek(-4000, io.SeekEnd)
	}
	content, _ := io.ReadAll(file)
	return "last output in " + p.LogFile + ":\n" + strings.TrimSpace(string(content))
}

// freePorts returns different ports of loopback that nobody listens on. They are below those that Linux gives to
// connections: while a program is down, a client that tries to reach it could get its port, and keep it from coming back.
func freePorts(n int) ([]int, error) {
	const first, last, tries = 10000, 32000, 1000
	ports := make([]int, 0, n)
	var err error
	for range tries {
		if len(ports) == n {
			return ports, nil
		}
		port := first + rand.IntN(last-first)
		var listener net.Listener
		if listener, err = net.Listen("tcp", loopback(port)); err != nil {
			continue
		}
		defer listener.Close() // Only at the end, so that no port is found twice.
		ports = append(ports, port)
	}
	return nil, fmt.Errorf("finding free ports: %w", err)
}

func freePort() (int, error) {
	ports, err := freePorts(1)
	if err != nil {
		return 0, err
	}
	return ports[0], nil
}

// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

package localcluster

import (
	"syscall"
	"testing"
	"time"
)

// A program can be started again once it has ended, and not before, and can be stopped while it is suspended.
func TestRestart(t *testing.T) {
	p, err := start(t.TempDir(), "sleeper", "/bin/sleep", "1000")
	if err != nil {
		t.Fatal(err)
	}
	defer p.Kill()
	if err := p.Restart(); err == nil {
		t.Error("it is started a second time while it runs")
	}
	p.Kill()
	ended := p.Exited()
	if err := p.Restart(); err != nil {
		t.Fatal(err)
	}
	<-ended
	select {
	case <-p.Exited():
		t.Fatal("it does not run again")
	default:
	}
	if err := p.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	if err := p.Stop(); err == nil || time.Since(began) > patience/2 {
		t.Errorf("asked to stop while it is suspended, it ends after %s with %v", time.Since(began), err)
	}
}

// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

package localcluster

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"sync/atomic"
	"testing"
	"time"
)

// greeter is a server that says its name to whoever connects, and then repeats what it is told.
func greeter(t *testing.T, name string) (b *backend, up *atomic.Bool) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				_, _ = io.WriteString(conn, name+"\n")
				_, _ = io.Copy(conn, conn)
			}()
		}
	}()
	up = &atomic.Bool{}
	return &backend{address: listener.Addr().String(), check: func(context.Context) error {
		if !up.Load() {
			return errors.New("down")
		}
		return nil
	}}, up
}

// Connections go to the servers that are ready, in turn, stay with the one they have, and end while none is ready.
func TestBalancer(t *testing.T) {
	a, aUp := greeter(t, "a")
	b, bUp := greeter(t, "b")
	aUp.Store(true)
	bUp.Store(true)
	balancer, err := newBalancer("127.0.0.1:0", []*backend{a, b})
	if err != nil {
		t.Fatal(err)
	}
	defer balancer.close()
	connect := func() (net.Conn, *bufio.Reader, string) {
		t.Helper()
		conn, err := net.Dial("tcp", balancer.listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
		r := bufio.NewReader(conn)
		name, _ := r.ReadString('\n')
		return conn, r, name
	}
	until := func(what string, holds func() bool) {
		t.Helper()
		for deadline := time.Now().Add(10 * time.Second); !holds(); {
			if time.Now().After(deadline) {
				t.Fatal(what)
			}
		}
	}

	first, r, one := connect()
	_, _, other := connect()
	if one+other != "a\nb\n" && one+other != "b\na\n" {
		t.Fatalf("two connections are led to %q and %q", one, other)
	}
	aUp.Store(false)
	until("a server that is not ready keeps getting connections", func() bool { return !a.ready.Load() })
	for range 3 {
		if _, _, name := connect(); name != "b\n" {
			t.Errorf("a connection is led to %q", name)
		}
	}
	bUp.Store(false)
	until("a server that is not ready keeps getting connections", func() bool { return !b.ready.Load() })
	if _, _, name := connect(); name != "" {
		t.Errorf("while none is ready, a connection is led to %q", name)
	}
	_, _ = io.WriteString(first, "still there\n")
	if said, err := r.ReadString('\n'); said != "still there\n" {
		t.Errorf("a connection from before says %q, %v", said, err)
	}
	aUp.Store(true)
	until("a server that is ready again gets no connections", func() bool { _, _, name := connect(); return name == "a\n" })
}

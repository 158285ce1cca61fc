// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

package localcluster

import (
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// probeInterval is how often a replica is asked whether it is ready, and how long it may take to answer.
	probeInterval = 300 * time.Millisecond
	probeTimeout  = time.Second
)

// StartReplicas starts n karo-apiservers that share an etcd, and registers the one address behind which those are that
// are ready. It returns once the API is served.
func (c *Cluster) StartReplicas(ctx context.Context, etcd *Etcd, n int, flags ...string) ([]*Karo, error) {
	flags = append([]string{"--etcd-servers=" + strings.Join(etcd.URLs(), ",")}, flags...)
	var replicas []*Karo
	var backends []*backend
	for i := range n {
		k, err := c.NewKaro(ctx, fmt.Sprintf("karo-%d", i), flags...)
		if err != nil {
			return nil, err
		}
		if err := k.Launch(); err != nil {
			return nil, err
		}
		replicas = append(replicas, k)
		backends = append(backends, &backend{address: loopback(k.port), check: k.ready})
	}
	for _, k := range replicas {
		if err := k.Ready(ctx); err != nil {
			return nil, err
		}
	}
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	b, err := newBalancer(loopback(port), backends)
	if err != nil {
		return nil, err
	}
	c.lock.Lock()
	c.balancers = append(c.balancers, b)
	c.lock.Unlock()
	if err := c.register(ctx, port); err != nil {
		return nil, err
	}
	return replicas, replicas[0].Available(ctx)
}

// balancer plays the Service in front of several servers, with the kubelet that probes them and the kube-proxy that
// leads connections to them: a new connection goes to one that is ready, in turn, and stays with it whatever becomes of
// it. While none is ready, connections are ended.
type balancer struct {
	listener net.Listener
	backends []*backend
	next     atomic.Uint32
	stop     context.CancelFunc
	probes   sync.WaitGroup
}

// backend is a server behind a balancer.
type backend struct {
	address string
	check   func(context.Context) error
	ready   atomic.Bool
}

func newBalancer(address string, backends []*backend) (*balancer, error) {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("balancing: %w", err)
	}
	ctx, stop := context.WithCancel(context.Background())
	b := &balancer{listener: listener, backends: backends, stop: stop}
	for _, backend := range backends {
		backend.probe(ctx)
		b.probes.Go(func() {
			ticker := time.NewTicker(probeInterval)
			defer ticker.Stop()
			for {
				select {
				case <-ctx.Done():
					return
				case <-ticker.C:
					backend.probe(ctx)
				}
			}
		})
	}
	go b.serve()
	return b, nil
}

func (b *backend) probe(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	b.ready.Store(b.check(ctx) == nil)
}

// close ends the probes and takes no new connections. Those that there are end with the servers.
func (b *balancer) close() {
	b.stop()
	_ = b.listener.Close()
	b.probes.Wait()
}

func (b *balancer) serve() {
	for {
		conn, err := b.listener.Accept()
		if err != nil {
			return // It was closed.
		}
		go b.lead(conn)
	}
}

// lead copies what is said on a connection until one side ends it.
func (b *balancer) lead(conn net.Conn) {
	defer conn.Close()
	backend := b.pick()
	if backend == nil {
		return
	}
	server, err := net.DialTimeout("tcp", backend.address, probeTimeout)
	if err != nil {
		return
	}
	defer server.Close()
	ended := make(chan struct{}, 2)
	for _, way := range [][2]net.Conn{{conn, server}, {server, conn}} {
		go func() {
			_, _ = io.Copy(way[0], way[1])
			ended <- struct{}{}
		}()
	}
	<-ended
}

// pick returns the next server that is ready, or nil if none is.
func (b *balancer) pick() *backend {
	first := b.next.Add(1)
	for i := range b.backends {
		if backend := b.backends[(int(first)+i)%len(b.backends)]; backend.ready.Load() {
			return backend
		}
	}
	return nil
}

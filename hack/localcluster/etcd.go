// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

package localcluster

import (
	"context"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
)

// Etcd is an etcd cluster of Karo's own.
type Etcd struct {
	Members []*Member
}

// Member is a member of an etcd cluster. It keeps its data when it is killed, since the kernel has what it wrote; that it
// would have on the disk, which all members share, is left out.
type Member struct {
	*Process
	// URL is the address for clients.
	URL string
}

// StartEtcd starts an etcd cluster of n members for Karo, and returns once all of them are healthy.
func (c *Cluster) StartEtcd(ctx context.Context, n int) (*Etcd, error) {
	ports, err := freePorts(2 * n)
	if err != nil {
		return nil, err
	}
	name := func(i int) string { return fmt.Sprintf("karo-etcd-%d", i) }
	peerURL := func(i int) string { return "http://" + loopback(ports[n+i]) }
	var peers []string
	for i := range n {
		peers = append(peers, name(i)+"="+peerURL(i))
	}
	e := &Etcd{}
	for i := range n {
		m := &Member{URL: "http://" + loopback(ports[i])}
		if m.Process, err = c.start(name(i), "etcd",
			"--name="+name(i), "--data-dir="+filepath.Join(c.Dir, name(i)),
			"--listen-client-urls="+m.URL, "--advertise-client-urls="+m.URL,
			"--listen-peer-urls="+peerURL(i), "--initial-advertise-peer-urls="+peerURL(i),
			"--initial-cluster="+strings.Join(peers, ","), "--unsafe-no-fsync", "--log-level=warn"); err != nil {
			return nil, err
		}
		e.Members = append(e.Members, m)
	}
	for _, m := range e.Members {
		if err := m.Healthy(ctx); err != nil {
			return nil, err
		}
	}
	return e, nil
}

// Healthy returns once the member, which runs, is healthy: one without a leader is not.
func (m *Member) Healthy(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	return m.await(ctx, func(ctx context.Context) error { return answers(ctx, http.DefaultClient, m.URL+"/health") })
}

// URLs returns the addresses of all members.
func (e *Etcd) URLs() []string {
	var urls []string
	for _, m := range e.Members {
		urls = append(urls, m.URL)
	}
	return urls
}

// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

package localcluster

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/etcdutl/v3/snapshot"
	"go.uber.org/zap"
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

	peerURL, initialCluster, dir string
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
		m := &Member{URL: "http://" + loopback(ports[i]), peerURL: peerURL(i), initialCluster: strings.Join(peers, ","), dir: filepath.Join(c.Dir, name(i))}
		if m.Process, err = c.start(name(i), "etcd",
			"--name="+name(i), "--data-dir="+m.dir,
			"--listen-client-urls="+m.URL, "--advertise-client-urls="+m.URL,
			"--listen-peer-urls="+m.peerURL, "--initial-advertise-peer-urls="+m.peerURL,
			"--initial-cluster="+m.initialCluster, "--unsafe-no-fsync", "--log-level=warn"); err != nil {
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

// Save saves a snapshot, as "etcdctl snapshot save" does.
func (m *Member) Save(ctx context.Context, file string) error {
	_, err := snapshot.NewV3(zap.NewNop()).Save(ctx, clientv3.Config{Endpoints: []string{m.URL}}, file)
	return err
}

// Restore has the member, which must not run, start on a snapshot the next time, as "etcdutl snapshot restore" does with
// the flags that docs/backup.md gives.
func (m *Member) Restore(file string) error {
	if err := os.RemoveAll(m.dir); err != nil {
		return err
	}
	return snapshot.NewV3(zap.NewNop()).Restore(snapshot.RestoreConfig{
		SnapshotPath: file, Name: m.Name, OutputDataDir: m.dir, PeerURLs: []string{m.peerURL},
		InitialCluster: m.initialCluster, InitialClusterToken: "etcd-cluster", RevisionBump: 1_000_000_000, MarkCompacted: true,
	})
}

// URLs returns the addresses of all members.
func (e *Etcd) URLs() []string {
	var urls []string
	for _, m := range e.Members {
		urls = append(urls, m.URL)
	}
	return urls
}

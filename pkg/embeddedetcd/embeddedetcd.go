// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

// Package embeddedetcd runs an etcd of one member inside the process, for installations of one replica.
//
// It listens on a unix socket in its own data directory only, which nobody but the user of the process may enter.
package embeddedetcd

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"go.etcd.io/etcd/client/pkg/v3/logutil"
	"go.etcd.io/etcd/server/v3/embed"
	"go.uber.org/zap"
)

const (
	// maxSocketPath is what fits the address of a unix socket on every system.
	maxSocketPath = 100
	// startTimeout bounds the replay of the log of a large store.
	startTimeout = 5 * time.Minute
	// dataName is the name, in the data directory, of that of etcd.
	dataName = "etcd"
)

// Server is a running etcd.
type Server struct {
	etcd      *embed.Etcd
	lock      *os.File
	dir       string
	quota     int64
	level     zap.AtomicLevel // of its log
	condition condition
	// Endpoint is what a client of the etcd connects to.
	Endpoint string
}

// Start runs an etcd on the data in dir, which it creates, until it is closed. quotaBytes is the size of the store at
// which etcd refuses to grow. The call returns once the etcd answers, and fails when another process has the data.
func Start(ctx context.Context, dir string, quotaBytes int64) (*Server, error) {
	socket, err := socketIn(dir)
	if err != nil {
		return nil, err
	}
	dir = filepath.Dir(socket)
	lock, err := claim(dir)
	if err != nil {
		return nil, err
	}
	// Without, etcd would end the process, in words that do not tell.
	if free, err := freeDisk(dir); err == nil && free < minDisk {
		err = fmt.Errorf("the disk of the data directory %s is full: %s are free, and etcd needs %s to start", dir, mebibytes(free), mebibytes(minDisk))
		return nil, errors.Join(err, lock.Close())
	}

	client := url.URL{Scheme: "unix", Path: socket}
	cfg := embed.NewConfig()
	cfg.Dir = filepath.Join(dir, dataName)
	cfg.Name = memberName
	cfg.InitialCluster = cfg.InitialClusterFromName(cfg.Name)
	cfg.ListenClientUrls = []url.URL{client}
	cfg.AdvertiseClientUrls = []url.URL{client}
	cfg.ListenPeerUrls = nil // There are no peers.
	cfg.QuotaBackendBytes = quotaBytes
	// The log is kept in memory up to the latest snapshot, and there is no follower that would have to catch up.
	cfg.SnapshotCount = 1000
	cfg.SnapshotCatchUpEntries = 1
	// Whoever watches something that seldom changes learns how far the store is, before that is compacted.
	cfg.WatchProgressNotifyInterval = time.Minute
	cfg.EnableGRPCGateway = false
	level := zap.NewAtomicLevelAt(zap.WarnLevel)
	log := logutil.DefaultZapLoggerConfig
	log.Level = level
	logger, err := log.Build()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("log of etcd: %w", err), lock.Close())
	}
	cfg.ZapLoggerBuilder = embed.NewZapLoggerBuilder(logger)

	etcd, err := embed.StartEtcd(cfg)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("starting etcd on %s: %w", dir, err), lock.Close())
	}
	s := &Server{etcd: etcd, lock: lock, dir: dir, quota: quotaBytes, level: level, Endpoint: client.String()}
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	select {
	case <-etcd.Server.ReadyNotify():
		(&maintainer{Server: s}).makeRoom(ctx)
		return s, nil
	case err = <-etcd.Err():
	case <-ctx.Done():
		err = ctx.Err()
	}
	s.Close()
	return nil, fmt.Errorf("starting etcd on %s: %w", dir, err)
}

// socketIn returns the path of the socket in a data directory.
func socketIn(dir string) (string, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", fmt.Errorf("data directory: %w", err)
	}
	socket := filepath.Join(dir, "etcd.sock")
	if len(socket) >= maxSocketPath {
		return "", fmt.Errorf("data directory %s: the path of the socket in it has %d bytes, of %d that a socket may have", dir, len(socket), maxSocketPath-1)
	}
	return socket, nil
}

// claim makes a data directory, which it creates, that of this process, until the file is closed. It fails when another
// process has it.
func claim(dir string) (*os.File, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("data directory: %w", err)
	}
	if err := os.Chmod(dir, 0o700); err != nil { //nolint:gosec // A directory needs its x bit.
		return nil, fmt.Errorf("data directory: %w", err)
	}
	// etcd takes the socket over before it finds its data in use, and then waits for the data without end.
	lock, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600) //nolint:gosec // The operator names the directory.
	if err != nil {
		return nil, fmt.Errorf("data directory: %w", err)
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, errors.Join(fmt.Errorf("data directory %s is in use by another process: %w", dir, err), lock.Close())
	}
	return lock, nil
}

// Wait returns an error once the etcd has failed, or nil when ctx ends first.
func (s *Server) Wait(ctx context.Context) error {
	select {
	case err := <-s.etcd.Err():
		return fmt.Errorf("etcd failed: %w", err)
	case <-s.etcd.Server.StopNotify():
		return errors.New("etcd stopped")
	case <-ctx.Done():
		return nil
	}
}

// Close stops the etcd after its last write, and gives its data free.
func (s *Server) Close() {
	s.level.SetLevel(zap.FatalLevel) // It takes the end that it is told to come to for an error.
	s.etcd.Close()
	_ = s.lock.Close()
}

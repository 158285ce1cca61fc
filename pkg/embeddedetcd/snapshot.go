// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

package embeddedetcd

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/etcdutl/v3/snapshot"
	"go.etcd.io/etcd/server/v3/embed"
	"go.uber.org/zap"
)

const (
	// memberName is the name of the one member.
	memberName = "karo"
	// revisionBump is added to the revision of a store that is restored: more than it can have been written to since
	// the snapshot. So no client takes what it knows of the store that was lost for newer than what is restored.
	revisionBump = 1_000_000_000
)

// Status is what a snapshot holds.
type Status = snapshot.Status

// Save writes a snapshot of the etcd that runs on the data in dir to a file, and checks it. The server goes on meanwhile.
func Save(ctx context.Context, dir, file string) (Status, error) {
	socket, err := socketIn(dir)
	if err != nil {
		return Status{}, err
	}
	conn, err := (&net.Dialer{}).DialContext(ctx, "unix", socket)
	if err != nil {
		return Status{}, fmt.Errorf("data directory %s: no server answers: %w", dir, err)
	}
	_ = conn.Close()
	log := zap.NewNop()
	manager := snapshot.NewV3(log)
	if _, err := manager.Save(ctx, clientv3.Config{Endpoints: []string{"unix://" + socket}}, file); err != nil {
		return Status{}, fmt.Errorf("saving to %s: %w", file, err)
	}
	if err := checkSum(file); err != nil {
		return Status{}, fmt.Errorf("snapshot %s: %w", file, err)
	}
	status, err := manager.Status(file)
	if err != nil {
		return Status{}, fmt.Errorf("snapshot %s: %w", file, err)
	}
	return status, nil
}

// checkSum fails unless a file ends with the hash of what is before it.
func checkSum(file string) error {
	f, err := os.Open(file) //nolint:gosec // The operator names the file.
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	hash, want := sha256.New(), make([]byte, sha256.Size)
	if _, err := io.CopyN(hash, f, info.Size()-sha256.Size); err != nil {
		return err
	}
	if _, err := io.ReadFull(f, want); err != nil {
		return err
	}
	if !bytes.Equal(hash.Sum(nil), want) {
		return errors.New("the file is damaged: it has not the hash that it says")
	}
	return nil
}

// Restore makes the data in dir, which has none, what a snapshot holds. Whoever watched the store that was lost finds
// everything they know compacted, and reads all again.
func Restore(file, dir string) error {
	socket, err := socketIn(dir)
	if err != nil {
		return err
	}
	dir = filepath.Dir(socket)
	data := filepath.Join(dir, dataName)
	switch _, err := os.Stat(data); {
	case err == nil:
		return fmt.Errorf("data directory %s holds data; move %s away to restore in its place", dir, data)
	case !errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("data directory: %w", err)
	}
	lock, err := claim(dir)
	if err != nil {
		return err
	}
	defer func() { _ = lock.Close() }()

	// What is not restored as a whole must not be taken for data.
	part := data + ".part"
	if err := os.RemoveAll(part); err != nil {
		return fmt.Errorf("data directory: %w", err)
	}
	defer func() { _ = os.RemoveAll(part) }()
	cfg := embed.NewConfig()
	cfg.Name = memberName
	peers := make([]string, 0, len(cfg.AdvertisePeerUrls))
	for i := range cfg.AdvertisePeerUrls {
		peers = append(peers, cfg.AdvertisePeerUrls[i].String())
	}
	if err := snapshot.NewV3(zap.NewNop()).Restore(snapshot.RestoreConfig{
		SnapshotPath: file, Name: cfg.Name, OutputDataDir: part,
		PeerURLs: peers, InitialCluster: cfg.InitialClusterFromName(cfg.Name), InitialClusterToken: cfg.InitialClusterToken,
		RevisionBump: revisionBump, MarkCompacted: true,
	}); err != nil {
		return fmt.Errorf("restoring %s: %w", file, err)
	}
	if err := os.Rename(part, data); err != nil {
		return fmt.Errorf("data directory: %w", err)
	}
	return nil
}

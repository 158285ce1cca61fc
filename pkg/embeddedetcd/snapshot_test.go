// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

package embeddedetcd

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// dataDir returns a data directory whose path is short enough for a socket.
func dataDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "karo")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// serve runs an etcd until the test, or close, ends it.
func serve(t *testing.T, dir string) (*clientv3.Client, func()) {
	t.Helper()
	server, err := Start(t.Context(), dir, 1<<30)
	if err != nil {
		t.Fatal(err)
	}
	client, err := clientv3.New(clientv3.Config{Endpoints: []string{server.Endpoint}})
	if err != nil {
		t.Fatal(err)
	}
	closed := false
	end := func() {
		if !closed {
			closed = true
			_ = client.Close()
			server.Close()
		}
	}
	t.Cleanup(end)
	return client, end
}

// A snapshot that is saved while the store is written to is restored as of one moment, at a revision that the store that
// was lost never had, and with nothing left of what a client may have been told of it.
func TestSnapshot(t *testing.T) {
	dir, file := dataDir(t), filepath.Join(t.TempDir(), "snapshot")
	client, end := serve(t, dir)
	// The two keys are always written together.
	put := func(ctx context.Context, value string) error {
		_, err := client.Txn(ctx).Then(clientv3.OpPut("a", value), clientv3.OpPut("b", value)).Commit()
		return err
	}
	if err := put(t.Context(), "first"); err != nil {
		t.Fatal(err)
	}
	writing, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		var err error
		for i := 0; writing.Err() == nil; i++ {
			if putErr := put(t.Context(), fmt.Sprint(i)); putErr != nil {
				err = putErr
			}
		}
		done <- err
	}()
	status, err := Save(t.Context(), dir, file)
	stop()
	if err := errors.Join(err, <-done); err != nil {
		t.Fatal(err)
	}
	if status.TotalKey != 2 || status.Revision < 2 {
		t.Errorf("got status %+v", status)
	}
	if err := put(t.Context(), "after the snapshot"); err != nil {
		t.Fatal(err)
	}
	got, err := client.Get(t.Context(), "a")
	if err != nil {
		t.Fatal(err)
	}
	lost := got.Header.Revision
	if err := Restore(file, dir); err == nil || !strings.Contains(err.Error(), "holds data") {
		t.Errorf("over data that is there: got error %v", err)
	}
	end()

	restored := dataDir(t)
	if err := Restore(file, restored); err != nil {
		t.Fatal(err)
	}
	client, end = serve(t, restored)
	a, err := client.Get(t.Context(), "a")
	if err != nil {
		t.Fatal(err)
	}
	b, err := client.Get(t.Context(), "b")
	if err != nil {
		t.Fatal(err)
	}
	if string(a.Kvs[0].Value) != string(b.Kvs[0].Value) || string(a.Kvs[0].Value) == "after the snapshot" {
		t.Errorf("restored were %s and %s", a.Kvs[0].Value, b.Kvs[0].Value)
	}
	if a.Header.Revision < lost+revisionBump/2 {
		t.Errorf("restored at revision %d, and what was lost was at %d", a.Header.Revision, lost)
	}
	watched := <-client.Watch(t.Context(), "a", clientv3.WithRev(lost))
	if err := watched.Err(); !errors.Is(err, rpctypes.ErrCompacted) {
		t.Errorf("whoever watched what was lost is told %v, want that it is compacted", err)
	}
	if _, err := client.Put(t.Context(), "a", "more"); err != nil {
		t.Error(err)
	}
	end()
	// It starts again, and is a member as any other.
	client, _ = serve(t, restored)
	if got, err := client.Get(t.Context(), "a"); err != nil || string(got.Kvs[0].Value) != "more" {
		t.Errorf("got %v and error %v", got, err)
	}
}

func TestRestoreIsRefused(t *testing.T) {
	dir, file := dataDir(t), filepath.Join(t.TempDir(), "snapshot")
	_, end := serve(t, dir)
	if _, err := Save(t.Context(), dir, file); err != nil {
		t.Fatal(err)
	}
	end()
	if _, err := Save(t.Context(), dir, file); err == nil || !strings.Contains(err.Error(), "no server answers") {
		t.Errorf("saving without a server: got error %v", err)
	}
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	damaged := filepath.Join(t.TempDir(), "damaged")
	content[len(content)/2] ^= 1
	if err := os.WriteFile(damaged, content, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := checkSum(damaged); err == nil {
		t.Error("a damaged snapshot has the right hash")
	}
	used := dataDir(t)
	lock, err := claim(used)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = lock.Close() })
	for name, tc := range map[string]struct{ file, dir, want string }{
		"damaged":   {damaged, dataDir(t), "sha256"},
		"missing":   {filepath.Join(dir, "missing"), dataDir(t), "no such file"},
		"in use":    {file, used, "in use by another process"},
		"with data": {file, dir, "holds data"},
	} {
		t.Run(name, func(t *testing.T) {
			if err := Restore(tc.file, tc.dir); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got error %v, want %q", err, tc.want)
			}
			if tc.dir == dir {
				return
			}
			// What was begun is not taken for data.
			for _, left := range []string{dataName, dataName + ".part"} {
				if _, err := os.Stat(filepath.Join(tc.dir, left)); err == nil {
					t.Errorf("%s is left", left)
				}
			}
		})
	}
}

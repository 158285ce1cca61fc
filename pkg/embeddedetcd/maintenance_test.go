// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

package embeddedetcd

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apiserver/pkg/storage/storagebackend"
	"k8s.io/apiserver/pkg/storage/storagebackend/factory"
)

const mib = 1 << 20

// start returns an etcd and a client of it, and what stops both before the test ends.
func start(t *testing.T, dir string, quota int64) (*Server, *clientv3.Client, func()) {
	t.Helper()
	s, err := Start(t.Context(), dir, quota)
	if err != nil {
		t.Fatal(err)
	}
	client, err := clientv3.New(clientv3.Config{Endpoints: []string{s.Endpoint}})
	if err != nil {
		t.Fatal(err)
	}
	stop := sync.OnceFunc(func() {
		_ = client.Close()
		s.Close()
	})
	t.Cleanup(stop)
	return s, client, stop
}

func put(t *testing.T, client *clientv3.Client, key string, size int) error {
	t.Helper()
	_, err := client.Put(t.Context(), key, strings.Repeat("x", size))
	if err != nil && !errors.Is(err, rpctypes.ErrNoSpace) {
		t.Fatalf("putting %s: %v", key, err)
	}
	return err
}

// fill puts values until the store refuses one, and returns how many it took.
func fill(t *testing.T, client *clientv3.Client, key func(i int) string) int {
	t.Helper()
	for i := range 1000 {
		if put(t, client, key(i), mib/16) != nil {
			return i
		}
	}
	t.Fatal("the store takes everything")
	return 0
}

func different(i int) string { return fmt.Sprint("key", i) }
func same(int) string        { return "key" }

func until(t *testing.T, what string, is func() bool) {
	t.Helper()
	err := wait.PollUntilContextTimeout(t.Context(), 20*time.Millisecond, 30*time.Second, true, func(context.Context) (bool, error) { return is(), nil })
	if err != nil {
		t.Fatalf("waiting for %s: %v", what, err)
	}
}

// maintain runs Maintain until the test ends, and returns what it tells.
func maintain(t *testing.T, s *Server) <-chan error {
	told := make(chan error, 10)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.Maintain(ctx, func(full error) { told <- full })
	}()
	t.Cleanup(func() { cancel(); <-done })
	return told
}

func next(t *testing.T, told <-chan error) error {
	t.Helper()
	select {
	case full := <-told:
		return full
	case <-time.After(30 * time.Second):
		t.Fatal("nothing is told")
		return nil
	}
}

// A store that starts in the alarm takes puts at once when it was history that filled it, also when it is restored, with
// the alarm of a member that is no more.
func TestStartInAlarm(t *testing.T) {
	dir := t.TempDir()
	_, client, stop := start(t, dir, 8*mib)
	fill(t, client, same)
	file := filepath.Join(t.TempDir(), "snapshot")
	if _, err := Save(t.Context(), dir, file); err != nil {
		t.Fatal(err)
	}
	stop()
	restored := t.TempDir()
	if err := Restore(file, restored); err != nil {
		t.Fatal(err)
	}
	for what, dir := range map[string]string{"started again": dir, "restored": restored} {
		s, client, _ := start(t, dir, 8*mib)
		if err := put(t, client, "other", 1); err != nil {
			t.Errorf("%s: %v; alarms %v", what, err, s.etcd.Server.Alarms())
		}
	}
}

// A store that is as large as it may be takes puts at once when it is started without a limit, as it is after a restore.
func TestStartInAlarmWithoutQuota(t *testing.T) {
	dir := t.TempDir()
	_, client, stop := start(t, dir, 8*mib)
	fill(t, client, different)
	stop()
	s, client, stop := start(t, dir, -1)
	if err := put(t, client, "other", 1); err != nil {
		t.Errorf("%v; alarms %v", err, s.etcd.Server.Alarms())
	}
	stop()
}

// A store that history has filled up to the alarm takes puts again by itself.
func TestAlarm(t *testing.T) {
	s, client, _ := start(t, t.TempDir(), 8*mib)
	fill(t, client, same)
	// One of a member that is no more, as in a store that was restored.
	if _, err := s.etcd.Server.Alarm(t.Context(), &etcdserverpb.AlarmRequest{
		MemberID: 7, Action: etcdserverpb.AlarmRequest_ACTIVATE, Alarm: etcdserverpb.AlarmType_NOSPACE,
	}); err != nil {
		t.Fatal(err)
	}
	told := maintain(t, s)
	until(t, "puts to be taken", func() bool { return put(t, client, "other", 1) == nil })
	until(t, "room", func() bool { return s.Full() == nil })
	if value, err := client.Get(t.Context(), "key"); err != nil || len(value.Kvs) != 1 {
		t.Errorf("what was stored: %v, %v", value, err)
	}
	// It may have been full, but is not any more.
	for len(told) > 0 {
		if full := <-told; full != nil && len(told) == 0 {
			t.Errorf("the last that is told: %v", full)
		}
	}
}

// A store that is full of what is needed says so before etcd refuses puts, by which something could be deleted, and has
// room again once enough is.
func TestFull(t *testing.T) {
	s, client, _ := start(t, t.TempDir(), 16*mib)
	told := maintain(t, s)
	stored := 0
	until(t, "the store to be full", func() bool {
		// In steps so small that the store is looked at meanwhile, as often as it is.
		if err := put(t, client, different(stored), mib/64); err != nil {
			t.Fatalf("it is refused before the store is said to be full: %v", err)
		}
		stored++
		return s.Full() != nil
	})
	if full := next(t, told); full == nil || !strings.Contains(full.Error(), "of 16 MiB") || !strings.Contains(full.Error(), "--embedded-etcd-quota-bytes") {
		t.Errorf("it says %v", full)
	}
	if err := put(t, client, "reserve", 1); err != nil {
		t.Errorf("the reserve: %v", err)
	}
	for i := range stored / 2 {
		if _, err := client.Delete(t.Context(), different(i)); err != nil {
			t.Fatal(err)
		}
	}
	// Deleting leaves history, which only a compaction drops: the server's own comes after minutes.
	if full := next(t, told); full != nil {
		t.Errorf("it says again: %v", full)
	}
	if got, err := client.Get(t.Context(), "key", clientv3.WithPrefix(), clientv3.WithCountOnly()); err != nil || int(got.Count) != stored-stored/2 {
		t.Errorf("%v keys of %d: %v", got.Count, stored-stored/2, err)
	}
}

// When even the reserve is used up, what is deleted makes room.
func TestReserveUsedUp(t *testing.T) {
	s, client, _ := start(t, t.TempDir(), 8*mib)
	stored := fill(t, client, different)
	maintain(t, s)
	until(t, "the store to be full", func() bool { return s.Full() != nil })
	for i := range stored {
		if _, err := client.Delete(t.Context(), different(i)); err != nil {
			t.Fatal(err)
		}
	}
	until(t, "room", func() bool { return s.Full() == nil })
	if err := put(t, client, "other", 1); err != nil {
		t.Errorf("putting: %v", err)
	}
}

// A large file of which little is in use becomes small.
func TestDefragmentation(t *testing.T) {
	s, client, _ := start(t, t.TempDir(), 1<<30)
	for range 70 {
		if err := put(t, client, "key", mib); err != nil {
			t.Fatal(err)
		}
	}
	m := &maintainer{Server: s}
	before, _ := m.sizes()
	if full := m.look(t.Context()); full != nil {
		t.Fatal(full)
	}
	if size, _ := m.sizes(); size < before {
		t.Fatalf("it is defragmented to %d bytes while all is in use", size)
	}
	if _, err := client.Compact(t.Context(), s.etcd.Server.KV().Rev(), clientv3.WithCompactPhysical()); err != nil {
		t.Fatal(err)
	}
	until(t, "the file to be small", func() bool {
		if err := put(t, client, "other", 1); err != nil { // What a compaction freed counts with the next write.
			t.Fatal(err)
		}
		if full := m.look(t.Context()); full != nil {
			t.Fatal(full)
		}
		size, _ := m.sizes()
		return size < 10*mib
	})
	if m.defragmentationPays(100*mib, mib, false) {
		t.Error("it would be defragmented again at once")
	}
	m.next.defragmentation = time.Time{}
	if m.defragmentationPays(100*mib, mib, false) || !m.defragmentationPays(1020*mib, mib, false) || !m.defragmentationPays(100*mib, mib, true) {
		t.Error("it would be defragmented again soon for no need, or would not for need")
	}
}

// What is full, and what is not any more.
func TestJudge(t *testing.T) {
	const plenty = 1 << 40
	for name, test := range map[string]struct {
		full              bool
		size, inUse, free int64
		alarm             bool
		want              string
	}{
		"empty":                   {free: plenty},
		"up to the limit":         {inUse: 799, size: 940, free: plenty},
		"full":                    {inUse: 800, size: 940, free: plenty, want: "in use"},
		"still full":              {full: true, inUse: 750, size: 940, free: plenty, want: "in use"},
		"no longer full":          {full: true, inUse: 749, size: 940, free: plenty},
		"the alarm":               {size: 100, inUse: 100, free: plenty, alarm: true, want: "--embedded-etcd-quota-bytes"},
		"the file":                {size: 950, inUse: 100, free: plenty, want: "its file"},
		"the disk is full":        {free: diskReserve - 1, want: "--data-dir"},
		"the disk has just room":  {free: diskReserve},
		"the disk is still full":  {full: true, free: diskReserve, want: "--data-dir"},
		"the disk has room again": {full: true, free: diskReserve / 4 * 5},
	} {
		t.Run(name, func(t *testing.T) {
			s := &Server{quota: 1000}
			if test.full {
				s.condition.full = errors.New("full")
			}
			got := (&maintainer{Server: s}).judge(test.size, test.inUse, test.free, test.alarm)
			if (got != nil) != (test.want != "") || got != nil && !strings.Contains(got.Error(), test.want) {
				t.Errorf("got %v, want %q", got, test.want)
			}
		})
	}
}

// On a full disk it says so, and does not start an etcd that would end the process.
func TestStartOnFullDisk(t *testing.T) {
	defer func(was int64) { minDisk = was }(minDisk)
	minDisk = 1 << 62
	dir := t.TempDir()
	if _, err := Start(t.Context(), dir, mib); err == nil || !strings.Contains(err.Error(), "the disk of the data directory "+dir+" is full") {
		t.Errorf("got %v", err)
	}
	minDisk = 0
	start(t, dir, 8*mib) // The lock is free.
}

// The storage of the server drops history of this etcd by itself.
func TestServerCompacts(t *testing.T) {
	s, client, _ := start(t, t.TempDir(), 16*mib)
	config := storagebackend.NewDefaultConfig("/registry", unstructured.UnstructuredJSONScheme)
	config.Transport.ServerList = []string{s.Endpoint}
	config.CompactionInterval = 100 * time.Millisecond
	newObject := func() runtime.Object { return &unstructured.Unstructured{} }
	_, destroy, err := factory.Create(*config.ForResource(schema.GroupResource{Group: "karo.io", Resource: "alerts"}), newObject, newObject, "/alerts")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(destroy)
	first, err := client.Put(t.Context(), "key", "1")
	if err != nil {
		t.Fatal(err)
	}
	until(t, "a compaction", func() bool {
		if err := put(t, client, "key", 2); err != nil {
			t.Fatal(err)
		}
		_, err := client.Get(t.Context(), "key", clientv3.WithRev(first.Header.Revision))
		return errors.Is(err, rpctypes.ErrCompacted)
	})
}

// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

package embeddedetcd

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/server/v3/storage/mvcc"
	"go.etcd.io/etcd/server/v3/storage/wal"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/klog/v2"

	"karo.io/karo/pkg/metrics"
)

// Of the quota, in percent. etcd measures the quota by the size of its file, and at the quota it refuses every put, also
// those by which something could be deleted. What is above fullAt is the reserve that runs end, and are deleted, in: each
// write of an Execution leaves the one before it in the history.
const (
	// compactAt is how much may be in use before the history of the store is dropped early.
	compactAt = 60
	// fullAt is how much may be in use before the store counts as full, and roomAt how much once it is.
	fullAt, roomAt = 80, 75
	// tightAt is how large the file may be before it is defragmented to stay below the quota. Until it is, or when that
	// would not help, the store counts as full too.
	tightAt = 95
	// disarmAt is how large the file may be for an alarm to be taken back.
	disarmAt = 99
)

const (
	// lookEvery is how often the size is looked at, which costs nothing.
	lookEvery = 250 * time.Millisecond
	// minWaste is how large a file has to be to be defragmented when most of it is not in use.
	minWaste = 64 << 20
	// minHistory is how many revisions are worth a compaction, which reads the whole store.
	minHistory = 1000
	// seldom is how long such a file waits for the next defragmentation, during which every request waits.
	seldom = 10 * time.Minute
	// minRest is how long a compaction waits for the next one at least, and a defragmentation too.
	minRest = 5 * time.Second
	// restFactor is how many times as long as it took a defragmentation waits for the next one.
	restFactor = 4
)

// Of the disk, in bytes. A disk that is full ends an etcd at once.
var (
	// minDisk is what must be free for etcd to start.
	minDisk = int64(16 << 20)
	// diskReserve is what must be free to take more: the next segments of the log, which etcd allocates beforehand.
	diskReserve = 2 * wal.SegmentSizeBytes
)

// condition says whether there is room in the store.
type condition struct {
	lock sync.Mutex
	full error

	defragmenting atomic.Bool
}

// Full returns why the store should not be given more, or nil. Deleting is still possible then.
func (s *Server) Full() error {
	s.condition.lock.Lock()
	defer s.condition.lock.Unlock()
	return s.condition.full
}

// Defragmenting reports whether every request waits because the store is being defragmented.
func (s *Server) Defragmenting() bool { return s.condition.defragmenting.Load() }

// Maintain keeps the store small, and out of the alarm in which etcd refuses every put, until ctx ends. It calls tell
// whenever Full becomes another answer.
func (s *Server) Maintain(ctx context.Context, tell func(full error)) {
	metrics.RegisterEtcd()
	m := &maintainer{Server: s}
	wait.UntilWithContext(ctx, func(ctx context.Context) {
		was, is := s.Full(), m.look(ctx)
		s.condition.lock.Lock()
		s.condition.full = is
		s.condition.lock.Unlock()
		if (was == nil) != (is == nil) {
			tell(is)
		}
	}, lookEvery)
}

// maintainer is the state of Maintain.
type maintainer struct {
	*Server
	// mark is a revision that is some seconds old, so that watches that keep up are past it.
	mark   int64
	marked time.Time

	compaction sync.Mutex // held while one runs
	compacted  int64      // up to which revision
	next       struct{ compaction, defragmentation time.Time }
	defragged  time.Time
}

// look does what there is to do about the size of the store, and returns why it is full, or nil.
func (m *maintainer) look(ctx context.Context) error {
	logger := klog.FromContext(ctx)
	size, inUse := m.sizes()
	free, err := freeDisk(m.dir)
	if err != nil {
		logger.Error(err, "Cannot tell how full the disk is")
		free = diskReserve
	}
	alarm := m.alarm()
	rev := m.etcd.Server.KV().Rev()
	switch {
	case alarm: // Nothing more comes, and so no watch stays behind.
		m.compact(ctx, rev, 1)
	case time.Since(m.marked) >= minRest:
		if m.Full() != nil {
			m.compact(ctx, m.mark, 1) // What was deleted is in use until its history goes.
		} else if inUse >= m.part(compactAt) {
			m.compact(ctx, m.mark, minHistory)
		}
		m.mark, m.marked = rev, time.Now()
	}
	if m.defragmentationPays(size, inUse, alarm) {
		// The copy is written before the file goes.
		if free < inUse+diskReserve/2 {
			logger.Info("The disk has too little room to defragment the store", "freeBytes", free, "inUseBytes", inUse)
			m.next.defragmentation = time.Now().Add(time.Minute)
		} else {
			m.defragment(ctx)
			size, inUse = m.sizes()
		}
	}
	if alarm && size < m.part(disarmAt) {
		if err := m.disarm(ctx); err != nil {
			logger.Error(err, "Cannot take back the alarm of the store; it will be tried again")
		} else {
			alarm = false
			logger.Info("Took back the alarm of the store", "sizeBytes", size, "quotaBytes", m.quota)
		}
	}
	full := m.judge(size, inUse, free, alarm)
	metrics.Etcd(size, inUse, m.quota, full != nil)
	return full
}

// judge says why the store is full, if it is. Once it is, it stays so until there is some more room than before.
func (m *maintainer) judge(size, inUse, free int64, alarm bool) error {
	limit, reserve := m.part(fullAt), diskReserve
	if m.Full() != nil {
		limit, reserve = m.part(roomAt), diskReserve+diskReserve/4
	}
	switch {
	case alarm, size >= m.part(tightAt):
		return fmt.Errorf("the store is full: its file has %s, of %s that it may have (--embedded-etcd-quota-bytes)", mebibytes(size), mebibytes(m.quota))
	case inUse >= limit:
		return fmt.Errorf("the store is full: %s are in use, of %s that it may have (--embedded-etcd-quota-bytes); "+
			"there is room again below %s", mebibytes(inUse), mebibytes(m.quota), mebibytes(m.part(roomAt)))
	case free < reserve:
		return fmt.Errorf("the disk of the store (--data-dir) is full: %s are free, and %s should be", mebibytes(free), mebibytes(reserve))
	}
	return nil
}

func (m *maintainer) part(percent int64) int64 {
	if m.quota < 0 { // There is none.
		return math.MaxInt64
	}
	return m.quota / 100 * percent
}

func (m *maintainer) sizes() (size, inUse int64) {
	backend := m.etcd.Server.Backend()
	return backend.Size(), backend.SizeInUse()
}

// alarm reports whether etcd refuses every put.
func (m *maintainer) alarm() bool {
	for _, alarm := range m.etcd.Server.Alarms() {
		if alarm.Alarm == etcdserverpb.AlarmType_NOSPACE {
			return true
		}
	}
	return false
}

// disarm takes back the alarm, also that of the member whose data was restored here.
func (m *maintainer) disarm(ctx context.Context) error {
	var errs []error
	for _, alarm := range m.etcd.Server.Alarms() {
		if alarm.Alarm != etcdserverpb.AlarmType_NOSPACE {
			continue
		}
		_, err := m.etcd.Server.Alarm(ctx, &etcdserverpb.AlarmRequest{
			MemberID: alarm.MemberID, Action: etcdserverpb.AlarmRequest_DEACTIVATE, Alarm: etcdserverpb.AlarmType_NOSPACE,
		})
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// makeRoom takes back an alarm that is raised at the start, if that can be, before anybody is refused a put: a server that
// starts has some to make.
func (m *maintainer) makeRoom(ctx context.Context) {
	if !m.alarm() {
		return
	}
	m.compact(ctx, m.etcd.Server.KV().Rev(), 1)
	m.compaction.Lock()   // Until it is done.
	m.compaction.Unlock() //nolint:staticcheck // There is nothing to do under it.
	_, inUse := m.sizes()
	if free, err := freeDisk(m.dir); err != nil || free >= inUse+diskReserve/2 {
		m.defragment(ctx) // Whatever it is said to bring: what was freed counts with the next write only.
	}
	// What is restored may still be compacted in the background, and bring more with the next time.
	_ = wait.PollUntilContextTimeout(ctx, lookEvery, minRest+time.Second, true, func(ctx context.Context) (bool, error) {
		_ = m.look(ctx) // Whether there is room is said later.
		return !m.alarm(), nil
	})
}

// compact drops the history before a revision, in the background, if that is so much. The server itself drops it after 5
// minutes.
func (m *maintainer) compact(ctx context.Context, rev, history int64) {
	if !m.compaction.TryLock() {
		return
	}
	if rev-m.compacted < history || time.Now().Before(m.next.compaction) {
		m.compaction.Unlock()
		return
	}
	go func() { // It ends when etcd does, at the latest.
		defer m.compaction.Unlock()
		began := time.Now()
		_, err := m.etcd.Server.Compact(ctx, &etcdserverpb.CompactionRequest{Revision: rev, Physical: true})
		m.next.compaction = time.Now().Add(max(minRest, time.Since(began)))
		switch {
		case err == nil, errors.Is(err, mvcc.ErrCompacted):
			m.compacted = rev
		case ctx.Err() == nil:
			klog.FromContext(ctx).Error(err, "Compacting the store failed; it will be tried again")
		}
	}()
}

func (m *maintainer) defragmentationPays(size, inUse int64, alarm bool) bool {
	now := time.Now()
	if now.Before(m.next.defragmentation) {
		return false
	}
	if alarm || size >= m.part(tightAt) {
		return inUse <= size/10*9
	}
	return size >= minWaste && inUse < size/2 && now.Sub(m.defragged) >= seldom
}

// defragment has the file hold only what is in use. Every request waits meanwhile.
func (m *maintainer) defragment(ctx context.Context) {
	logger := klog.FromContext(ctx)
	before, _ := m.sizes()
	began := time.Now()
	m.condition.defragmenting.Store(true)
	err := m.etcd.Server.Defragment()
	m.condition.defragmenting.Store(false)
	took := time.Since(began)
	m.defragged = time.Now()
	m.next.defragmentation = m.defragged.Add(max(minRest, restFactor*took))
	if err != nil {
		logger.Error(err, "Defragmenting the store failed; it will be tried again", "took", took)
		return
	}
	after, _ := m.sizes()
	logger.Info("Defragmented the store", "beforeBytes", before, "afterBytes", after, "took", took)
}

// freeDisk returns how many bytes may still be written to the disk of a directory.
func freeDisk(dir string) (int64, error) {
	var disk syscall.Statfs_t
	if err := syscall.Statfs(dir, &disk); err != nil {
		return 0, fmt.Errorf("free space of %s: %w", dir, err)
	}
	return int64(disk.Bavail) * int64(disk.Bsize), nil //nolint:gosec,unconvert // No disk is that large; the types differ by system.
}

func mebibytes(bytes int64) string { return fmt.Sprintf("%d MiB", bytes>>20) }

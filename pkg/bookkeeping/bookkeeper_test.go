// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

package bookkeeping

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	batchv1 "k8s.io/api/batch/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/cache"

	"karo.io/karo/pkg/apis/karo"
	"karo.io/karo/pkg/memory"
	"karo.io/karo/pkg/storecache"
)

// epoch is when the history of the tests begins.
var epoch = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func at(d time.Duration) *metav1.Time {
	t := metav1.NewTime(epoch.Add(d))
	return &t
}

var errCrash = errors.New("the process was killed")

// fakeStore stands in for storage: a test decides when a write fails. It says what is stored, and what was deleted.
type fakeStore struct {
	releases   sync.Mutex
	status     karo.AlertReactionStatus
	executions map[types.UID]*karo.Execution
	revisions  map[string]*karo.ReactionRevision
	deleted    []string
	fails      func(write string) error
}

func newFakeStore() *fakeStore {
	return &fakeStore{
		executions: map[types.UID]*karo.Execution{}, revisions: map[string]*karo.ReactionRevision{},
		fails: func(string) error { return nil },
	}
}

func (s *fakeStore) UpdateReactionStatus(_ context.Context, _, _ string, _ types.UID, change func(*karo.AlertReactionStatus) bool) error {
	status := s.status.DeepCopy()
	if !change(status) {
		return nil
	}
	if err := s.fails("status"); err != nil {
		return err
	}
	s.status = *status
	return s.fails("answer")
}

func (s *fakeStore) ReleaseExecution(_ context.Context, e *karo.Execution) error {
	s.releases.Lock() // Several are released at once.
	defer s.releases.Unlock()
	if err := s.fails("release"); err != nil {
		return err
	}
	if stored := s.executions[e.UID]; stored != nil {
		stored.Finalizers = nil
	}
	return nil
}

func (s *fakeStore) DeleteExecution(_ context.Context, e *karo.Execution) error {
	if err := s.fails("delete"); err != nil {
		return err
	}
	s.deleted = append(s.deleted, e.Name)
	return nil
}

func (s *fakeStore) GetRevision(_ context.Context, _, name string) (*karo.ReactionRevision, error) {
	if err := s.fails("revision"); err != nil {
		return nil, err
	}
	if r := s.revisions[name]; r != nil {
		return r, nil
	}
	return nil, apierrors.NewNotFound(karo.Resource("reactionrevisions"), name)
}

func (s *fakeStore) ListRevisions(context.Context) ([]karo.ReactionRevision, error) {
	var all []karo.ReactionRevision
	for _, name := range slices.Sorted(maps.Keys(s.revisions)) {
		all = append(all, *s.revisions[name])
	}
	return all, nil
}

func (s *fakeStore) DeleteRevision(_ context.Context, r *karo.ReactionRevision) error {
	s.deleted = append(s.deleted, r.Name)
	return s.fails("delete")
}

// newBookkeeper returns a Bookkeeper whose informers are never run: a test puts into them what the caches hold.
func newBookkeeper(t *testing.T, store Store) *Bookkeeper {
	t.Helper()
	reactions := &storecache.Informer{SharedIndexInformer: cache.NewSharedIndexInformer(&cache.ListWatch{}, &karo.AlertReaction{}, 0, cache.Indexers{})}
	executions := &storecache.Informer{SharedIndexInformer: cache.NewSharedIndexInformer(&cache.ListWatch{}, &karo.Execution{}, 0, ExecutionIndexers())}
	b := NewBookkeeper(reactions, executions, store, func() error { return nil })
	b.fresh = func(context.Context) error { return nil }
	t.Cleanup(b.queue.ShutDown)
	return b
}

func put(t *testing.T, informer *storecache.Informer, obj any) {
	t.Helper()
	if err := informer.GetIndexer().Add(obj); err != nil {
		t.Fatal(err)
	}
}

func reaction() *karo.AlertReaction {
	return &karo.AlertReaction{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "r", UID: "reaction", Generation: 3}}
}

// execution returns one of the reaction, in a phase, created so long after the epoch and, if it has ended, ended a
// second later.
func execution(name string, phase karo.Phase, created time.Duration) *karo.Execution {
	e := &karo.Execution{
		ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: name, UID: types.UID(name), CreationTimestamp: *at(created)},
		Spec:       karo.ExecutionSpec{Reaction: karo.ReactionReference{Name: "r", UID: "reaction", Generation: 3, Revision: "r-3"}},
		Status:     karo.ExecutionStatus{Phase: phase},
	}
	if phase != karo.PhasePending && phase != karo.PhaseRunning {
		e.Status.CompletionTime = at(created + time.Second)
	}
	return e
}

// model is a cluster in which Executions come and go while the one who counts them is killed again and again.
type model struct {
	*testing.T
	random  *rand.Rand
	store   *fakeStore
	books   *Bookkeeper
	cached  map[types.UID]*karo.Execution // What the informer holds, which may be behind what is stored.
	created int64                         // How many there have ever been,
	known   int64                         // and how many of them the informer has seen.
}

// restart is another process taking over. It waits until its cache is fresh.
func (m *model) restart() {
	m.books = newBookkeeper(m.T, m.store)
	m.refresh()
}

func (m *model) refresh() {
	m.cached = map[types.UID]*karo.Execution{}
	for uid, e := range m.store.executions {
		m.cached[uid] = e.DeepCopy()
	}
	m.known = m.created
}

func (m *model) create() {
	m.created++
	e := execution("e"+strconv.FormatInt(m.created, 10), karo.PhaseSucceeded, 0)
	e.Finalizers = []string{memory.Finalizer}
	m.store.executions[e.UID] = e
}

// any returns one of the Executions that meet a condition, or nil.
func (m *model) any(of map[types.UID]*karo.Execution, is func(*karo.Execution) bool) *karo.Execution {
	var all []*karo.Execution
	for _, uid := range slices.Sorted(maps.Keys(of)) {
		if is(of[uid]) {
			all = append(all, of[uid])
		}
	}
	if len(all) == 0 {
		return nil
	}
	return all[m.random.Intn(len(all))]
}

func (m *model) write() error {
	err := m.books.writeStatus(m.Context(), keyOf(reaction()), reaction(), slices.Collect(maps.Values(m.cached)), m.books.readyOf(keyOf(reaction())), time.Now())
	return err
}

// However Executions are created, released and deleted, and between whichever two writes the process is killed: what is
// written says how many Executions there have ever been, as far as the cache has seen them.
func TestTriggerCountIsExact(t *testing.T) {
	for seed := range int64(300) {
		m := &model{T: t, random: rand.New(rand.NewSource(seed)), store: newFakeStore()}
		m.restart()
		var history []string
		for range 120 {
			step := m.random.Intn(7)
			switch step {
			case 0, 1:
				m.create()
			case 2:
				m.refresh()
			case 3: // The memory of one has been stored for long enough.
				if e := m.any(m.cached, memory.HasFinalizer); e != nil {
					m.books.Settle(e)
				}
			case 4: // Nothing keeps one that has been released.
				if e := m.any(m.store.executions, func(e *karo.Execution) bool { return !memory.HasFinalizer(e) }); e != nil {
					delete(m.store.executions, e.UID)
				}
			case 5: // Killed between any two writes.
				left := m.random.Intn(4)
				m.store.fails = func(string) error {
					left--
					if left < 0 {
						return errCrash
					}
					return nil
				}
				if m.write() != nil {
					m.store.fails = func(string) error { return nil }
					m.restart()
				}
				m.store.fails = func(string) error { return nil }
			case 6:
				if err := m.write(); err != nil {
					t.Fatal(err)
				}
				if m.store.status.TriggerCount != m.known {
					t.Fatalf("seed %d, steps %v: got the count %d of %d Executions", seed, history, m.store.status.TriggerCount, m.known)
				}
			}
			history = append(history, strconv.Itoa(step))
		}
		// In the end all are settled, and the list of those that are held twice is gone.
		m.restart()
		for m.any(m.store.executions, memory.HasFinalizer) != nil {
			for _, e := range m.cached {
				if memory.HasFinalizer(e) {
					m.books.Settle(e)
				}
			}
			if err := m.write(); err != nil {
				t.Fatal(err)
			}
			m.refresh()
		}
		if err := m.write(); err != nil {
			t.Fatal(err)
		}
		if got := m.store.status; got.TriggerCount != m.created || m.created > 0 && (got.Settlement.Count != m.created || len(got.Settlement.Executions) > 0) {
			t.Fatalf("seed %d: got %d triggers and the settlement %+v of %d Executions", seed, got.TriggerCount, got.Settlement, m.created)
		}
	}
}

// The status of a reaction stays small in a storm.
func TestSettlementIsBounded(t *testing.T) {
	m := &model{T: t, store: newFakeStore()}
	for range 3*maxSettling - 50 {
		m.create()
	}
	m.restart()
	for _, e := range m.cached {
		m.books.Settle(e)
	}
	for want := int64(maxSettling); ; want = min(want+maxSettling, m.created) {
		if err := m.write(); err != nil {
			t.Fatal(err)
		}
		settlement := m.store.status.Settlement
		if m.store.status.TriggerCount != m.created || settlement.Count != want || len(settlement.Executions) > maxSettling {
			t.Fatalf("got %d triggers, of which %d are settled, %d of them still named; want %d and %d",
				m.store.status.TriggerCount, settlement.Count, len(settlement.Executions), m.created, want)
		}
		if want == m.created {
			break
		}
		m.refresh()
	}
	if len(m.books.ready) > 0 {
		t.Errorf("still to be settled: %v", m.books.ready)
	}
}

func TestSummarize(t *testing.T) {
	ready := metav1.Condition{
		Type: "Ready", Status: "True", Reason: "AlertReactionReady", Message: "the reaction runs when an alert matches", ObservedGeneration: 3,
	}
	last := func(status metav1.ConditionStatus, reason, name string, ended time.Duration) metav1.Condition {
		return metav1.Condition{
			Type: "LastExecutionSucceeded", Status: status, Reason: reason, Message: "execution " + name, ObservedGeneration: 3, LastTransitionTime: *at(ended),
		}
	}
	with := func(e *karo.Execution, actions ...karo.ActionStatus) *karo.Execution {
		e.Status.Actions = actions
		return e
	}
	job := func(name string) karo.ActionStatus {
		return karo.ActionStatus{Name: name, JobName: "job-" + name, JobUID: "uid", StartTime: at(5)}
	}
	reference := func(name string) karo.JobReference {
		return karo.JobReference{Name: "job-" + name, Namespace: "ns", ActionName: name, CreatedAt: at(5)}
	}
	after := func(e *karo.Execution) *karo.Execution {
		e.Spec.After, e.Spec.Alert.Status = "before", karo.AlertResolved
		return e
	}
	cancelled := func(e *karo.Execution) *karo.Execution {
		e.Status.Cancellation = &karo.Cancellation{User: "alice"}
		return e
	}
	lateJob := func(name string) karo.ActionStatus {
		late := job(name)
		late.StartTime = at(time.Minute)
		return late
	}
	late := func(name string) karo.JobReference {
		late := reference(name)
		late.CreatedAt = at(time.Minute)
		return late
	}
	for name, tc := range map[string]struct {
		before     karo.AlertReactionStatus
		suspend    *bool
		executions []*karo.Execution
		want       karo.AlertReactionStatus
	}{
		"nothing has run": {want: karo.AlertReactionStatus{Conditions: []metav1.Condition{ready}}},
		"suspended": {
			suspend: new(true),
			want: karo.AlertReactionStatus{Conditions: []metav1.Condition{
				{Type: "Ready", Status: "False", Reason: "Suspended", Message: "the reaction is suspended", ObservedGeneration: 3},
			}},
		},
		"one waits": {
			executions: []*karo.Execution{execution("a", karo.PhasePending, time.Minute)},
			want:       karo.AlertReactionStatus{LastTriggered: at(time.Minute), Conditions: []metav1.Condition{ready}},
		},
		"one waits for the run for the firing alert": {
			executions: []*karo.Execution{after(execution("a", karo.PhasePending, time.Minute))},
			want:       karo.AlertReactionStatus{Conditions: []metav1.Condition{ready}},
		},
		"one did not run for want of that": {
			executions: []*karo.Execution{after(execution("a", karo.PhaseCancelled, time.Minute))},
			want: karo.AlertReactionStatus{
				Conditions:  []metav1.Condition{ready},
				LastSkipped: &karo.SkipMemory{Reason: "FiringNotRun", Time: *at(time.Minute + time.Second), Status: karo.AlertResolved},
			},
		},
		"what is skipped has not run": {
			executions: []*karo.Execution{execution("a", karo.PhaseSkipped, time.Minute)},
			want:       karo.AlertReactionStatus{Conditions: []metav1.Condition{ready}},
		},
		"the latest of each": {
			executions: []*karo.Execution{
				with(execution("b", karo.PhaseRunning, time.Hour), job("x"), karo.ActionStatus{Name: "waits"}, job("y")),
				with(execution("a", karo.PhaseFailed, time.Minute), job("old")),
				execution("c", karo.PhaseSucceeded, 0),
			},
			want: karo.AlertReactionStatus{
				LastTriggered: at(time.Hour), LastJobsCreated: []karo.JobReference{reference("x"), reference("y")},
				Conditions: []metav1.Condition{ready, last("False", "Failed", "a", time.Minute+time.Second)},
			},
		},
		"succeeded": {
			executions: []*karo.Execution{execution("a", karo.PhaseSucceeded, 0)},
			want: karo.AlertReactionStatus{
				LastTriggered: at(0), Conditions: []metav1.Condition{ready, last("True", "Succeeded", "a", time.Second)},
			},
		},
		"cancelled is not succeeded": {
			executions: []*karo.Execution{cancelled(execution("a", karo.PhaseCancelled, 0))},
			want: karo.AlertReactionStatus{
				LastTriggered: at(0), Conditions: []metav1.Condition{ready, last("False", "Cancelled", "a", time.Second)},
			},
		},
		"of two at once one counts, always the same": {
			executions: []*karo.Execution{execution("b", karo.PhaseFailed, 0), execution("c", karo.PhaseSucceeded, 0), execution("a", karo.PhaseFailed, 0)},
			want: karo.AlertReactionStatus{
				LastTriggered: at(0), Conditions: []metav1.Condition{ready, last("True", "Succeeded", "c", time.Second)},
			},
		},
		"what has been pruned is not forgotten": {
			before: karo.AlertReactionStatus{
				LastTriggered: at(time.Hour), LastJobsCreated: []karo.JobReference{reference("x"), late("y")},
				Conditions: []metav1.Condition{last("True", "Succeeded", "gone", time.Hour)},
			},
			executions: []*karo.Execution{with(execution("a", karo.PhaseFailed, 0), job("old"))},
			want: karo.AlertReactionStatus{
				LastTriggered: at(time.Hour), LastJobsCreated: []karo.JobReference{reference("x"), late("y")},
				Conditions: []metav1.Condition{last("True", "Succeeded", "gone", time.Hour), ready},
			},
		},
		"a run that had to wait has its Jobs after those of a later one": {
			before: karo.AlertReactionStatus{LastTriggered: at(time.Hour), LastJobsCreated: []karo.JobReference{reference("x")}},
			executions: []*karo.Execution{
				with(execution("a", karo.PhaseRunning, 0), job("x"), lateJob("y")), with(execution("b", karo.PhaseRunning, time.Hour), job("z")),
			},
			want: karo.AlertReactionStatus{
				LastTriggered: at(time.Hour), LastJobsCreated: []karo.JobReference{reference("x"), late("y")}, Conditions: []metav1.Condition{ready},
			},
		},
		"the Jobs of the run before stay until the next has some": {
			before: karo.AlertReactionStatus{LastTriggered: at(0), LastJobsCreated: []karo.JobReference{reference("x")}},
			executions: []*karo.Execution{
				with(execution("a", karo.PhaseRunning, 0), job("x")), with(execution("b", karo.PhasePending, time.Hour), karo.ActionStatus{Name: "waits"}),
			},
			want: karo.AlertReactionStatus{
				LastTriggered: at(time.Hour), LastJobsCreated: []karo.JobReference{reference("x")}, Conditions: []metav1.Condition{ready},
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := reaction()
			r.Spec.Suspend = tc.suspend
			status := tc.before.DeepCopy()
			summarize(status, r, tc.executions)
			ofReady := cmpopts.IgnoreFields(metav1.Condition{}, "LastTransitionTime")
			if diff := cmp.Diff(&tc.want, status, ofReady); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			want, got := meta.FindStatusCondition(tc.want.Conditions, "LastExecutionSucceeded"), meta.FindStatusCondition(status.Conditions, "LastExecutionSucceeded")
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			// What is summarized again changes nothing, or the status would be written for ever.
			again := status.DeepCopy()
			summarize(again, r, tc.executions)
			if diff := cmp.Diff(status, again); diff != "" {
				t.Errorf("the second time it says something else:\n%s", diff)
			}
		})
	}
}

// names returns the names of n Executions.
func namesOf(prefix string, n int) []string {
	var all []string
	for i := range n {
		all = append(all, fmt.Sprintf("%s%03d", prefix, i))
	}
	return all
}

func TestPrune(t *testing.T) {
	const now = 6 * 24 * time.Hour
	// history returns Executions in a phase, the first of them the oldest, that ended minutes apart from some time on.
	history := func(prefix string, n int, phase karo.Phase, from time.Duration) []*karo.Execution {
		var all []*karo.Execution
		for i, name := range namesOf(prefix, n) {
			all = append(all, execution(name, phase, from+time.Duration(i)*time.Minute))
		}
		return all
	}
	change := func(all []*karo.Execution, change func(*karo.Execution)) []*karo.Execution {
		for _, e := range all {
			change(e)
		}
		return all
	}
	finalizer := func(e *karo.Execution) { e.Finalizers = []string{memory.Finalizer} }
	ran := func(e *karo.Execution) { e.Status.Actions = []karo.ActionStatus{{Name: "a"}} }
	for name, tc := range map[string]struct {
		executions []*karo.Execution
		ttl        *int32 // Of the revision; nil: the revision is gone.
		fails      map[string]error
		want       []string
		again      time.Duration
		err        bool
		gone       bool // The reaction.
		full       bool // The store.
	}{
		"none": {},
		"as many as may be": {
			executions: history("s", 100, karo.PhaseSucceeded, 0), again: 24*time.Hour + time.Second,
		},
		"the oldest go": {
			executions: history("s", 105, karo.PhaseSucceeded, 0), want: namesOf("s", 5), again: 24*time.Hour + 5*time.Minute + time.Second,
		},
		"a full store": {
			executions: slices.Concat(history("f", 8, karo.PhaseFailed, 0), history("s", 5, karo.PhaseSucceeded, 0)), want: namesOf("s", 3), full: true,
			again: 24*time.Hour + 3*time.Minute + time.Second,
		},
		"a full store, and Jobs that are to be seen": {
			executions: change(history("s", 12, karo.PhaseSucceeded, now-time.Hour), ran), again: time.Second, full: true,
		},
		"failures stay longest": {
			executions: slices.Concat(history("f", 10, karo.PhaseFailed, 0), history("s", 95, karo.PhaseSucceeded, time.Hour)),
			want:       namesOf("s", 5), again: 25*time.Hour + 5*time.Minute + time.Second,
		},
		"failures among themselves go by age": {
			executions: slices.Concat(history("f", 102, karo.PhaseFailed, 0), history("c", 1, karo.PhaseCancelled, time.Hour), history("k", 1, karo.PhaseSkipped, time.Hour)),
			want:       []string{"c000", "k000", "f000", "f001"},
		},
		"what has not ended does not count": {
			executions: slices.Concat(history("s", 100, karo.PhaseSucceeded, 0), history("r", 50, karo.PhaseRunning, 0), history("p", 50, karo.PhasePending, 0)),
			again:      24*time.Hour + time.Second,
		},
		"what is going does not count": {
			executions: slices.Concat(history("s", 100, karo.PhaseSucceeded, 0), change(history("d", 5, karo.PhaseSucceeded, 0), func(e *karo.Execution) { e.DeletionTimestamp = at(0) })),
			again:      24*time.Hour + time.Second,
		},
		"older than seven days go, but not failures": {
			executions: slices.Concat(history("s", 3, karo.PhaseSucceeded, -25*time.Hour), history("k", 2, karo.PhaseSkipped, -25*time.Hour), history("f", 3, karo.PhaseFailed, -1000*time.Hour)),
			want:       []string{"k000", "s000", "k001", "s001", "s002"},
		},
		"what is not counted, or remembered, yet stays": {
			executions: change(history("s", 2, karo.PhaseSucceeded, -25*time.Hour), finalizer), again: time.Minute,
		},
		"of a reaction that is gone nothing is counted": {
			executions: change(history("s", 2, karo.PhaseSucceeded, -25*time.Hour), finalizer), gone: true, want: namesOf("s", 2),
		},
		"what has Jobs to be seen stays": {
			executions: change(history("s", 2, karo.PhaseSucceeded, -25*time.Hour), ran), ttl: new(int32(9 * 24 * 3600)), again: time.Minute,
		},
		"once its Jobs may have gone it goes": {
			executions: change(history("s", 2, karo.PhaseSucceeded, -25*time.Hour), ran), ttl: new(int32(3600)), want: namesOf("s", 2),
		},
		"without a revision it is the default": {
			executions: change(history("s", 101, karo.PhaseSucceeded, now-100*time.Minute), ran), want: []string{"s000"},
			again: 7*24*time.Hour - 99*time.Minute + time.Second,
		},
		"in a storm, what has Jobs to be seen stays": {
			executions: change(history("s", 150, karo.PhaseSucceeded, now-10*time.Second), ran), again: time.Minute,
		},
		"nor does a Job go early that has no time to live": {
			executions: change(history("s", 150, karo.PhaseSucceeded, now-10*time.Second), ran), ttl: new(int32(0)), again: 51 * time.Second,
		},
		"in a storm, failures stay longest all the same": {
			executions: slices.Concat(history("f", 10, karo.PhaseFailed, 0), change(history("s", 150, karo.PhaseSucceeded, now-10*time.Second), ran)),
			again:      time.Minute,
		},
		"somebody was faster": {
			executions: history("s", 101, karo.PhaseSucceeded, 0),
			fails:      map[string]error{"delete": apierrors.NewNotFound(karo.Resource("executions"), "s000")}, again: 24*time.Hour + time.Minute + time.Second,
		},
		"it has changed": {
			executions: history("s", 101, karo.PhaseSucceeded, 0),
			fails:      map[string]error{"delete": apierrors.NewConflict(karo.Resource("executions"), "s000", errCrash)}, again: 24*time.Hour + time.Minute + time.Second,
		},
		"storage is away":             {executions: history("s", 101, karo.PhaseSucceeded, 0), fails: map[string]error{"delete": errCrash}, err: true},
		"the revision cannot be read": {executions: change(history("s", 101, karo.PhaseSucceeded, 0), ran), fails: map[string]error{"revision": errCrash}, err: true},
	} {
		t.Run(name, func(t *testing.T) {
			store := newFakeStore()
			if tc.ttl != nil {
				// The Jobs that are kept longest count.
				template := &batchv1.JobTemplateSpec{Spec: batchv1.JobSpec{TTLSecondsAfterFinished: tc.ttl}}
				store.revisions["r-3"] = &karo.ReactionRevision{Spec: karo.AlertReactionSpec{
					Actions: []karo.Action{{Name: "a", TTLSecondsAfterFinished: new(int32(0))}, {Name: "b", JobTemplate: template}},
				}}
			}
			store.fails = func(write string) error { return tc.fails[write] }
			b := newBookkeeper(t, store)
			if tc.full {
				b.full = func() error { return errCrash }
			}
			after, err := b.prune(t.Context(), tc.executions, epoch.Add(now), tc.gone)
			if (err != nil) != tc.err {
				t.Fatalf("got error %v", err)
			}
			if !slices.Equal(store.deleted, tc.want) {
				t.Errorf("got %q deleted, want %q", store.deleted, tc.want)
			}
			if after != tc.again {
				t.Errorf("looks again after %s, want %s", after, tc.again)
			}
		})
	}
}

// Once the store is full, all reactions are looked at again, also those that nothing happens to.
func TestPruneIfFull(t *testing.T) {
	b := newBookkeeper(t, newFakeStore())
	put(t, b.executions, execution("a", karo.PhaseSucceeded, 0))
	put(t, b.executions, execution("b", karo.PhaseSucceeded, 0))
	b.pruneIfFull(t.Context())
	if n := b.queue.Len(); n != 0 {
		t.Errorf("with room, %d reactions are looked at", n)
	}
	b.full = func() error { return errCrash }
	b.pruneIfFull(t.Context())
	if n := b.queue.Len(); n != 1 {
		t.Errorf("%d reactions are looked at, not 1", n)
	}
}

// What an Execution may still run, and what is live, stays; all else goes, but not while a replica that lags may still
// take it for what stands.
func TestPruneRevisions(t *testing.T) {
	store := newFakeStore()
	b := newBookkeeper(t, store)
	put(t, b.reactions, reaction())
	waiting := execution("e", karo.PhasePending, 0)
	waiting.Spec.Reaction.Revision = "r-1"
	put(t, b.executions, waiting)
	for _, r := range []struct {
		name       string
		uid        types.UID
		generation int64
	}{{"r-1", "reaction", 1}, {"r-2", "reaction", 2}, {"r-3", "reaction", 3}, {"r-4", "reaction", 4}, {"gone-1", "gone", 1}} {
		store.revisions[r.name] = &karo.ReactionRevision{
			ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: r.name, UID: types.UID("of-" + r.name)},
			Reaction:   karo.ReactionReference{Name: "r", UID: r.uid, Generation: r.generation, Revision: r.name},
		}
	}
	prune := func(now time.Duration, want ...string) {
		t.Helper()
		store.deleted = nil
		if err := b.pruneRevisions(t.Context(), epoch.Add(now)); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(store.deleted, want) {
			t.Errorf("after %s: got %q deleted, want %q", now, store.deleted, want)
		}
	}
	prune(0)
	prune(10*time.Minute - 1)
	prune(10*time.Minute, "gone-1", "r-2")
	delete(store.revisions, "r-2")
	delete(store.revisions, "gone-1")

	// One that is needed again begins to wait anew.
	if err := b.executions.GetIndexer().Delete(waiting); err != nil {
		t.Fatal(err)
	}
	prune(20 * time.Minute)
	put(t, b.executions, waiting)
	prune(25 * time.Minute)
	if err := b.executions.GetIndexer().Delete(waiting); err != nil {
		t.Fatal(err)
	}
	prune(31 * time.Minute)
	prune(41*time.Minute, "r-1")

	// Somebody else may delete it first.
	store.fails = func(string) error { return apierrors.NewNotFound(karo.Resource("reactionrevisions"), "r-1") }
	prune(42*time.Minute, "r-1")
	store.fails = func(string) error { return errCrash }
	if err := b.pruneRevisions(t.Context(), epoch.Add(43*time.Minute)); !errors.Is(err, errCrash) {
		t.Errorf("got error %v, want that it failed", err)
	}
}

// What does not run does not count, and what has still to be seen to run does not count yet.
func TestWhatDidNotRunIsNotCounted(t *testing.T) {
	store := newFakeStore()
	b := newBookkeeper(t, store)
	var executions []*karo.Execution
	for name, change := range map[string]func(*karo.Execution){
		"ran": func(*karo.Execution) {},
		"waits": func(e *karo.Execution) {
			e.Spec.After, e.Status = "ran", karo.ExecutionStatus{Phase: karo.PhasePending}
		},
		"in vain": func(e *karo.Execution) { e.Spec.After, e.Status.Phase = "ran", karo.PhaseCancelled },
		"cancelled": func(e *karo.Execution) {
			e.Status.Phase, e.Status.Cancellation = karo.PhaseCancelled, &karo.Cancellation{}
		},
	} {
		e := execution(name, karo.PhaseSucceeded, 0)
		e.Finalizers = []string{memory.Finalizer}
		change(e)
		executions = append(executions, e)
	}
	if err := b.writeStatus(t.Context(), keyOf(reaction()), reaction(), executions, nil, time.Now()); err != nil {
		t.Fatal(err)
	}
	if store.status.TriggerCount != 2 {
		t.Errorf("%d are counted, want the one that ran and the one that was cancelled", store.status.TriggerCount)
	}
}

// Of a reaction that is gone, what nobody owns any more is kept no longer than that of others; the rest goes with it.
func TestOrphansArePruned(t *testing.T) {
	store := newFakeStore()
	b := newBookkeeper(t, store)
	for name, owners := range map[string][]metav1.OwnerReference{"orphan": nil, "owned": {{UID: "reaction", Controller: new(true)}}} {
		e := execution(name, karo.PhaseSucceeded, 0)
		e.Finalizers, e.OwnerReferences = []string{memory.Finalizer}, owners
		put(t, b.executions, e)
	}
	if err := b.sync(t.Context(), keyOf(reaction())); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(store.deleted, []string{"orphan"}) {
		t.Errorf("got %q deleted", store.deleted)
	}
}

// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

package executor

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/fake"
	batchlisters "k8s.io/client-go/listers/batch/v1"
	clienttesting "k8s.io/client-go/testing"
	"k8s.io/client-go/tools/cache"
	"k8s.io/utils/lru"

	"karo.io/karo/pkg/apis/karo"
	"karo.io/karo/pkg/names"
	"karo.io/karo/pkg/precedence"
	"karo.io/karo/pkg/retryqueue"
)

// fakeRun is one replica's executor over a fake cluster and a fake store. A test decides when the caches see what.
type fakeRun struct {
	*term
	t          *testing.T
	client     *fake.Clientset
	stored     map[string]*karo.Execution
	revision   *karo.ReactionRevision // nil: it is gone.
	jobIndexer cache.Indexer
	refuse     error // What the cluster says to every new Job.
	lost       error // Set once this replica no longer leads.
	away       error // What the store says to every status.
	events     []string
	writes     int
	stores     func() // Called when a status is stored, before that is known; may be nil.
}

func (f *fakeRun) UpdateExecutionStatus(_ context.Context, e *karo.Execution) (*karo.Execution, error) {
	if f.away != nil {
		return nil, f.away
	}
	f.writes++
	f.stored[e.Name] = e.DeepCopy()
	f.stored[e.Name].ResourceVersion = strconv.Itoa(1 + f.writes)
	if f.stores != nil {
		f.stores()
	}
	return f.stored[e.Name], nil
}

func (f *fakeRun) GetRevision(_ context.Context, _, name string) (*karo.ReactionRevision, error) {
	if f.revision == nil {
		return nil, apierrors.NewNotFound(karo.Resource("reactionrevisions"), name)
	}
	return f.revision, nil
}

func (f *fakeRun) Execution(_ *karo.Execution, eventType, reason, format string, args ...any) {
	f.events = append(f.events, eventType+" "+reason+" "+fmt.Sprintf(format, args...))
}

// newRun returns an executor for one Execution "e" of actions a, b, c… in an order.
func newRun(t *testing.T, order karo.ActionOrder, actions ...string) *fakeRun {
	t.Helper()
	f := &fakeRun{
		t: t, client: fake.NewClientset(), stored: map[string]*karo.Execution{},
		revision:   &karo.ReactionRevision{Spec: karo.AlertReactionSpec{Order: order}},
		jobIndexer: cache.NewIndexer(cache.MetaNamespaceKeyFunc, cache.Indexers{cache.NamespaceIndex: cache.MetaNamespaceIndexFunc}),
	}
	for _, name := range actions {
		f.revision.Spec.Actions = append(f.revision.Spec.Actions, karo.Action{Name: name, Image: "i", TTLSecondsAfterFinished: new(int32(5))})
	}
	f.stored["e"] = run("e", nil)
	created := 0
	f.client.PrependReactor("create", "jobs", func(action clienttesting.Action) (bool, runtime.Object, error) {
		if f.refuse != nil {
			return true, nil, f.refuse
		}
		created++
		job := action.(clienttesting.CreateAction).GetObject().(*batchv1.Job)
		job.UID, job.CreationTimestamp = types.UID(fmt.Sprintf("uid-%d", created)), *at(int64(created))
		return false, nil, nil
	})
	executions := cache.NewSharedIndexInformer(&cache.ListWatch{}, &karo.Execution{}, 0, ExecutionIndexers())
	f.begin(New(executions, f, f.client, f, 1, &precedence.Lane{}, func(context.Context) error { return f.lost }))
	return f
}

// begin begins a term.
func (f *fakeRun) begin(x *Executor) {
	f.term = &term{
		revisions: lru.New(maxRevisions),
		Executor:  x,
		accounts:  accounts{client: f.client}, jobs: batchlisters.NewJobLister(f.jobIndexer),
		pods:  cache.NewIndexer(cache.MetaNamespaceKeyFunc, podIndexers()),
		queue: retryqueue.New[types.NamespacedName](),
	}
	f.t.Cleanup(f.queue.ShutDown)
	f.forgetBegun()
}

func run(name string, change func(*karo.Execution)) *karo.Execution {
	e := &karo.Execution{
		ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: name, UID: types.UID("uid-of-" + name), ResourceVersion: "1"},
		Spec: karo.ExecutionSpec{
			Reaction: karo.ReactionReference{Name: "r", Revision: "r-1"},
			Alert:    karo.AlertOccurrence{Name: "A", Status: karo.AlertFiring, Labels: map[string]string{"alertname": "A"}},
		},
		Status: karo.ExecutionStatus{Phase: pending},
	}
	if change != nil {
		change(e)
	}
	return e
}

// see brings the caches up to what is stored.
func (f *fakeRun) see() {
	f.t.Helper()
	for _, e := range f.stored {
		if err := f.executions.GetIndexer().Update(e.DeepCopy()); err != nil {
			f.t.Fatal(err)
		}
	}
	list, err := f.client.BatchV1().Jobs("ns").List(f.t.Context(), metav1.ListOptions{})
	if err != nil {
		f.t.Fatal(err)
	}
	var jobs []any
	for i := range list.Items {
		jobs = append(jobs, &list.Items[i])
	}
	if err := f.jobIndexer.Replace(jobs, ""); err != nil {
		f.t.Fatal(err)
	}
}

// step brings the Execution e a step further, once the caches are up to date.
func (f *fakeRun) step() error {
	f.t.Helper()
	f.see()
	return f.sync(f.t.Context(), types.NamespacedName{Namespace: "ns", Name: "e"})
}

// job returns the Job of an action, or nil.
func (f *fakeRun) job(action string) *batchv1.Job {
	f.t.Helper()
	job, err := f.client.BatchV1().Jobs("ns").Get(f.t.Context(), names.Job(f.stored["e"], action), metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		f.t.Fatal(err)
	}
	return job
}

// end has the Job of an action end.
func (f *fakeRun) end(action string, condition batchv1.JobConditionType) {
	f.t.Helper()
	job := f.job(action)
	job.Status.Conditions = append(job.Status.Conditions, batchv1.JobCondition{Type: condition, Status: corev1.ConditionTrue, Reason: "Why", LastTransitionTime: *at(100)})
	if _, err := f.client.BatchV1().Jobs("ns").UpdateStatus(f.t.Context(), job, metav1.UpdateOptions{}); err != nil {
		f.t.Fatal(err)
	}
}

// expect steps, and compares the phase of the Execution and those of its actions.
func (f *fakeRun) expect(when string, phase karo.Phase, actions ...karo.Phase) {
	f.t.Helper()
	if err := f.step(); err != nil && !errors.Is(err, errWaiting) {
		f.t.Fatalf("%s: %v", when, err)
	}
	var got []karo.Phase
	for _, action := range f.stored["e"].Status.Actions {
		got = append(got, action.Phase)
	}
	if f.stored["e"].Status.Phase != phase || !slices.Equal(got, actions) {
		f.t.Fatalf("%s: got %s of %v, want %s of %v", when, f.stored["e"].Status.Phase, got, phase, actions)
	}
}

func TestParallel(t *testing.T) {
	f := newRun(t, karo.OrderParallel, "a", "b")
	f.expect("first", running, running, running)
	f.end("b", batchv1.JobFailed)
	f.expect("b has failed", running, running, failed)
	f.end("a", batchv1.JobComplete)
	f.expect("a has completed", failed, succeeded, failed)
	// The Jobs may go only once their end is stored.
	for _, action := range []string{"a", "b"} {
		if ttl := f.job(action).Spec.TTLSecondsAfterFinished; action == "a" && ttl != nil {
			t.Errorf("action %s has the time to live %d before its end was seen to be stored", action, *ttl)
		}
	}
	f.expect("nothing is left", failed, succeeded, failed)
	for _, action := range []string{"a", "b"} {
		if ttl := f.job(action).Spec.TTLSecondsAfterFinished; ttl == nil || *ttl != 60 {
			t.Errorf("action %s has the time to live %v, want the least that there is", action, ttl)
		}
	}
	if want := []string{`Normal Started Runs for the alert "A", firing`, "Warning Failed failed actions: b; b: Why"}; !slices.Equal(f.events, want) {
		t.Errorf("got events %q, want %q", f.events, want)
	}
}

// A replica that has lost the lease creates no Job, and says nothing about the one that another replica may have run.
func TestNoJobWithoutTheLease(t *testing.T) {
	f := newRun(t, karo.OrderParallel, "a")
	f.lost = errors.New("lost")
	if err := f.step(); !errors.Is(err, f.lost) {
		t.Errorf("got error %v, want that the lease is lost", err)
	}
	if jobs, err := f.client.BatchV1().Jobs("ns").List(t.Context(), metav1.ListOptions{}); err != nil || len(jobs.Items) > 0 {
		t.Errorf("got jobs %v and error %v", jobs, err)
	}
	if got := f.stored["e"].Status.Actions[0]; got.Phase != pending || got.Reason != "" {
		t.Errorf("got status %+v", got)
	}
	f.lost = nil
	f.expect("leading again", running, running)
}

// What the store could not take is known all the same: the Job of it may have run, and gone, meanwhile. And while the store
// takes nothing, nothing else begins.
func TestStoreIsAway(t *testing.T) {
	for name, terms := range map[string]int{"for a moment": 1, "for longer than the term": 2} {
		t.Run(name, func(t *testing.T) { storeIsAway(t, terms) })
	}
}

func storeIsAway(t *testing.T, terms int) {
	f := newRun(t, karo.OrderParallel, "a")
	f.away = errors.New("etcdserver: no leader")
	if err := f.step(); !errors.Is(err, f.away) {
		t.Fatalf("got error %v", err)
	}
	uid := f.job("a").UID
	if err := f.client.BatchV1().Jobs("ns").Delete(t.Context(), f.job("a").Name, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	f.stored["other"] = run("other", nil)
	f.see()
	other := types.NamespacedName{Namespace: "ns", Name: "other"}
	err := f.sync(t.Context(), other)
	if jobs, listErr := f.client.BatchV1().Jobs("ns").List(t.Context(), metav1.ListOptions{}); err == nil || listErr != nil || len(jobs.Items) > 0 {
		t.Errorf("another one: got error %v and the jobs %v, want that it waits", err, jobs.Items)
	}
	f.away = nil
	if terms > 1 {
		f.begin(f.Executor)
	}
	f.made.Clear() // The informer of the Jobs has seen it come and go.
	f.expect("the store is back", failed, failed)
	if got := f.stored["e"].Status.Actions[0]; got.JobUID != uid || got.Reason != "JobGone" || f.job("a") != nil {
		t.Errorf("got %+v and the Job %v", got, f.job("a"))
	}
	if err := f.sync(t.Context(), other); err != nil || f.stored["other"].Status.Phase != running {
		t.Errorf("another one, then: got error %v, %+v", err, f.stored["other"].Status)
	}
	f.see()
	if f.forgetBegun(); !isEmpty(&f.begun) {
		t.Error("what is recorded is kept as if it were not")
	}
}

func isEmpty(m *sync.Map) bool {
	for range m.Range {
		return false
	}
	return true
}

// A Job that a request brought after the Execution was cancelled is stopped, though no status names it.
func TestAJobThatComesLate(t *testing.T) {
	f := newRun(t, karo.OrderParallel, "a")
	f.expect("first", running, running)
	late := f.job("a")
	f.stored["e"] = run("e", func(e *karo.Execution) {
		e.ResourceVersion = "9"
		e.Status = karo.ExecutionStatus{Phase: cancelled, Actions: []karo.ActionStatus{{Name: "a", Phase: cancelled}}}
	})
	if err := f.step(); err != nil {
		t.Fatal(err)
	}
	if f.job("a") != nil {
		t.Error("it goes on")
	}
	late.UID = "of somebody else"
	late.OwnerReferences = nil
	if _, err := f.client.BatchV1().Jobs("ns").Create(t.Context(), late, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := f.step(); err != nil || f.job("a") == nil {
		t.Errorf("one of somebody else: got error %v, %v", err, f.job("a"))
	}
}

func TestSequential(t *testing.T) {
	f := newRun(t, karo.OrderSequential, "a", "b", "c")
	f.expect("first", running, running, pending, pending)
	f.expect("nothing has ended", running, running, pending, pending)
	f.end("a", batchv1.JobComplete)
	f.expect("a has completed", running, succeeded, pending, pending)
	f.expect("b is next", running, succeeded, running, pending)
	if f.job("c") != nil {
		t.Fatal("c has begun")
	}
	f.end("b", batchv1.JobFailed)
	f.expect("b has failed", running, succeeded, failed, pending)
	f.expect("c is not reached", failed, succeeded, failed, skipped)
	if last := f.stored["e"].Status.Actions[2]; last.Reason != "PreviousActionFailed" || last.Message != "action b did not succeed" || last.CompletionTime == nil {
		t.Errorf("got %+v", last)
	}
	if f.job("c") != nil {
		t.Error("c has run all the same")
	}
}

func TestSequentialToTheEnd(t *testing.T) {
	f := newRun(t, karo.OrderSequential, "a", "b")
	for _, action := range []string{"a", "b"} {
		for f.job(action) == nil {
			if err := f.step(); err != nil {
				t.Fatal(err)
			}
		}
		f.end(action, batchv1.JobComplete)
	}
	f.expect("both have completed", succeeded, succeeded, succeeded)
}

// stop is what the subresource cancel does.
func (f *fakeRun) stop() {
	e := f.stored["e"].DeepCopy()
	e.Status.Cancellation = &karo.Cancellation{User: "alice", Time: metav1.Now()}
	f.stored["e"] = e
}

// suspended does what the Job controller does about the Job of an action that is suspended: it stops the pods.
func (f *fakeRun) suspended(action string) {
	f.t.Helper()
	job := f.job(action)
	if job.Spec.Suspend == nil || !*job.Spec.Suspend {
		f.t.Fatalf("the Job of %s is not suspended", action)
	}
	f.end(action, batchv1.JobSuspended)
}

func TestCancel(t *testing.T) {
	f := newRun(t, karo.OrderSequential, "a", "b", "c")
	f.expect("first", running, running, pending, pending)
	f.end("a", batchv1.JobComplete)
	f.expect("a has completed", running, succeeded, pending, pending)
	f.expect("b runs", running, succeeded, running, pending)
	f.stop()
	f.expect("b is suspended", running, succeeded, running, cancelled)
	f.expect("its pods still run", running, succeeded, running, cancelled)
	if f.job("b") == nil {
		t.Fatal("the Job is gone before its pods are stopped")
	}
	f.suspended("b")
	f.expect("b is deleted", running, succeeded, running, cancelled)
	f.expect("b is gone", cancelled, succeeded, cancelled, cancelled)
	if f.job("a") == nil || f.job("b") != nil || f.job("c") != nil {
		t.Error("the Job of a has ended and stays, that of b goes, and that of c never was")
	}
	if last := f.events[len(f.events)-1]; last != `Normal Cancelled Stopped on request of "alice"` {
		t.Errorf("got the event %q", last)
	}
}

// What ends by itself before it is stopped has ended that way.
func TestCancelOfWhatHasEnded(t *testing.T) {
	f := newRun(t, karo.OrderParallel, "a", "b")
	f.expect("first", running, running, running)
	f.end("a", batchv1.JobComplete)
	f.end("b", batchv1.JobFailed)
	f.stop()
	f.expect("both have ended", failed, succeeded, failed)
}

// Between a Job and the status that names it the process may have been killed.
func TestCancelFindsJobsThatNoStatusNames(t *testing.T) {
	f := newRun(t, karo.OrderParallel, "a", "b")
	f.expect("first", running, running, running)
	f.stored["e"] = run("e", nil)
	f.own.Clear()
	f.stop()
	f.expect("they are found", running, running, running)
	f.suspended("a")
	f.suspended("b")
	f.expect("they are deleted", running, running, running)
	f.expect("they are gone", cancelled, cancelled, cancelled)
}

func TestCancelBeforeAnythingRan(t *testing.T) {
	f := newRun(t, karo.OrderParallel, "a", "b")
	f.stop()
	f.expect("there is nothing to stop", cancelled, cancelled, cancelled)
	f = newRun(t, karo.OrderParallel, "a")
	f.revision = nil
	f.stop()
	f.expect("nor anything to run", cancelled)
}

// Whoever may write a status must not have a Job of somebody else deleted by it.
func TestCancelTouchesNoJobOfOthers(t *testing.T) {
	f := newRun(t, karo.OrderParallel, "a")
	foreign := &batchv1.Job{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "foreign"}}
	taken := &batchv1.Job{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: names.Job(f.stored["e"], "a")}}
	for _, job := range []*batchv1.Job{foreign, taken} {
		if _, err := f.client.BatchV1().Jobs("ns").Create(t.Context(), job, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	forged := f.stored["e"]
	forged.Status.Phase = running
	forged.Status.Actions = []karo.ActionStatus{{Name: "a", Phase: running, JobName: "foreign", JobUID: "uid-1"}}
	f.stop()
	f.expect("nothing is theirs", cancelled, cancelled)
	list, err := f.client.BatchV1().Jobs("ns").List(t.Context(), metav1.ListOptions{})
	if err != nil || len(list.Items) != 2 {
		t.Errorf("got %d Jobs and error %v, want both left alone", len(list.Items), err)
	}
}

func TestJobsThatAreNotTaken(t *testing.T) {
	ofJobs := batchv1.Resource("jobs")
	for name, tc := range map[string]struct {
		refuse error
		phase  karo.Phase
		reason string
		waits  bool
		again  error // The same in other words.
	}{
		"quota": {
			apierrors.NewForbidden(ofJobs, "j", errors.New("exceeded quota: q, used 1")), pending, "QuotaExceeded", true,
			apierrors.NewForbidden(ofJobs, "j", errors.New("exceeded quota: q, used 2")),
		},
		"forbidden": {
			apierrors.NewForbidden(ofJobs, "j", errors.New("no")), pending, "Forbidden", true,
			apierrors.NewForbidden(ofJobs, "j", errors.New("still no")),
		},
		"busy":    {apierrors.NewTooManyRequests("wait", 1), pending, "TooManyRequests", true, apierrors.NewTooManyRequests("wait more", 1)},
		"away":    {errors.New("connection refused"), pending, "JobNotCreated", true, errors.New("connection refused, for the second time")},
		"refused": {apierrors.NewBadRequest("no"), failed, "JobRefused", false, nil},
	} {
		t.Run(name, func(t *testing.T) {
			f := newRun(t, karo.OrderParallel, "a")
			f.refuse = tc.refuse
			err := f.step()
			status := f.stored["e"].Status
			if status.Phase != tc.phase || status.Actions[0].Reason != tc.reason || errors.Is(err, errWaiting) != tc.waits {
				t.Fatalf("got %+v and error %v", status, err)
			}
			if !tc.waits {
				return
			}
			// The next refusal in other words is not written, and no event tells of it again.
			before, told := f.stored["e"], len(f.events)
			f.refuse = tc.again
			if err := f.step(); !errors.Is(err, errWaiting) || f.stored["e"] != before || len(f.events) != told {
				t.Errorf("it was written again: %+v, %q and error %v", f.stored["e"].Status, f.events, err)
			}
			// Another reason is, but not before its turn: what is stored is tried again at once.
			f.refuse = apierrors.NewServiceUnavailable("not yet")
			if err := f.step(); !errors.Is(err, errWaiting) || f.stored["e"] != before || len(f.events) != told {
				t.Errorf("it was written at once: %+v, %q and error %v", f.stored["e"].Status, f.events, err)
			}
			waits, _ := f.waiting.Load(before.UID)
			w, _ := waits.(*sync.Map).Load("a")
			w.(*waiting).said = time.Now().Add(-retryqueue.Max)
			f.expect("for another reason", pending, pending)
			if got := f.stored["e"].Status.Actions[0]; got.Reason != "ServiceUnavailable" || got.Message != "not yet" || len(f.events) != told+1 {
				t.Errorf("got %+v and the events %q", got, f.events)
			}
			// After an hour of trying it is too late.
			w.(*waiting).began = time.Now().Add(-giveUp - time.Second)
			f.expect("an hour later", failed, failed)
		})
	}
}

// The Job of an action may be there though no status names it. It counts, whatever the cluster says to another one: it is
// what fills the quota, perhaps.
func TestAJobThatIsThereIsTaken(t *testing.T) {
	for name, refuse := range map[string]error{
		"quota":           apierrors.NewForbidden(batchv1.Resource("jobs"), "j", errors.New("exceeded quota: q")),
		"a webhook":       apierrors.NewForbidden(batchv1.Resource("jobs"), "j", errors.New(`admission webhook "w" denied the request`)),
		"it is invalid":   apierrors.NewInvalid(batchv1.SchemeGroupVersion.WithKind("Job").GroupKind(), "j", nil),
		"the name":        apierrors.NewAlreadyExists(batchv1.Resource("jobs"), "j"),
		"no account":      nil,
		"after an answer": errors.New("connection reset"),
	} {
		t.Run(name, func(t *testing.T) {
			f := newRun(t, karo.OrderParallel, "a")
			f.expect("first", running, running)
			uid := f.job("a").UID
			f.end("a", batchv1.JobComplete)
			f.stored["e"], f.refuse = run("e", nil), refuse
			f.own.Clear()
			if refuse == nil {
				f.revision.Spec.Actions[0].ServiceAccount = "gone"
			}
			f.expect("it is found", succeeded, succeeded)
			if got := f.stored["e"].Status.Actions[0]; got.JobUID != uid || got.StartTime == nil {
				t.Errorf("got %+v, want the Job %s", got, uid)
			}
			f.expect("nothing is left", succeeded, succeeded)
			if f.job("a").Spec.TTLSecondsAfterFinished == nil {
				t.Error("the Job stays for ever")
			}
		})
	}
}

// While it cannot be told whether there is a Job, an action has not failed.
func TestWhatCannotBeTold(t *testing.T) {
	f := newRun(t, karo.OrderParallel, "a")
	away := errors.New("connection refused")
	f.refuse = away
	f.client.PrependReactor("get", "jobs", func(clienttesting.Action) (bool, runtime.Object, error) {
		return away != nil, nil, away
	})
	f.expect("away", pending, pending)
	began, _ := f.waiting.Load(f.stored["e"].UID)
	began.(*sync.Map).Store("a", &waiting{began: time.Now().Add(-giveUp - time.Second)})
	f.expect("away for an hour", pending, pending)
	f.refuse = apierrors.NewBadRequest("no")
	f.expect("refused, perhaps since it is there", pending, pending)
	away = nil
	f.expect("it is not", failed, failed)
}

func TestServiceAccountThatDoesNotExist(t *testing.T) {
	f := newRun(t, karo.OrderParallel, "a")
	f.revision.Spec.Actions[0].ServiceAccount = "remediation"
	f.expect("without it", pending, pending)
	if got := f.stored["e"].Status.Actions[0]; got.Reason != "ServiceAccountNotFound" || f.job("a") != nil {
		t.Errorf("got %+v and the Job %v, want it to wait", got, f.job("a"))
	}
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "remediation"}}
	if _, err := f.client.CoreV1().ServiceAccounts("ns").Create(t.Context(), account, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	f.expect("with it", running, running)
}

// A Job that has run and gone is never created again, whatever the cache says.
func TestAJobThatIsGoneStaysGone(t *testing.T) {
	f := newRun(t, karo.OrderParallel, "a")
	f.see()
	behind := f.stored["e"].DeepCopy()
	f.expect("first", running, running)
	if err := f.client.BatchV1().Jobs("ns").Delete(t.Context(), f.job("a").Name, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := f.executions.GetIndexer().Update(behind); err != nil {
		t.Fatal(err)
	}
	f.made.Clear() // The informer of the Jobs has seen it come and go.
	if err := f.sync(t.Context(), types.NamespacedName{Namespace: "ns", Name: "e"}); err != nil {
		t.Fatal(err)
	}
	if got := f.stored["e"].Status; got.Phase != failed || got.Actions[0].Reason != "JobGone" || f.job("a") != nil {
		t.Errorf("got %+v and the Job %v", got, f.job("a"))
	}
}

// The cluster is not asked after a Job that it has just created, and is when the informer has seen that.
func TestAJobThatWasJustCreated(t *testing.T) {
	f := newRun(t, karo.OrderParallel, "a")
	f.expect("first", running, running)
	asked := 0
	f.client.PrependReactor("get", "jobs", func(clienttesting.Action) (bool, runtime.Object, error) { asked++; return false, nil, nil })
	if err := f.jobIndexer.Replace(nil, ""); err != nil {
		t.Fatal(err)
	}
	key := types.NamespacedName{Namespace: "ns", Name: "e"}
	if err := f.sync(t.Context(), key); err != nil || asked != 0 || f.stored["e"].Status.Phase != running {
		t.Errorf("before the informer has it: got error %v, asked %d times, %s", err, asked, f.stored["e"].Status.Phase)
	}
	f.jobChanged(f.job("a"))
	asked = 0
	if err := f.client.BatchV1().Jobs("ns").Delete(t.Context(), f.job("a").Name, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := f.sync(t.Context(), key); err != nil || f.stored["e"].Status.Actions[0].Reason != "JobGone" {
		t.Errorf("after it had it, and it went: got error %v, %+v", err, f.stored["e"].Status)
	}
}

// What the informer has need not be kept beside it, whichever of the two comes first.
func TestOwnIsNotKept(t *testing.T) {
	f := newRun(t, karo.OrderParallel, "a")
	kept := func() bool { _, ok := f.own.Load(f.stored["e"].UID); return ok }
	f.expect("first", running, running)
	if !kept() {
		t.Error("it is not kept while the informer does not have it")
	}
	f.executionChanged(run("e", nil))
	if !kept() {
		t.Error("it is not kept while the informer has what was before")
	}
	f.executionChanged(f.stored["e"])
	if kept() {
		t.Error("it is kept once the informer has it")
	}
	e := f.stored["e"].DeepCopy()
	f.stores = f.see
	if err := f.storeStatus(t.Context(), e); err != nil || kept() {
		t.Errorf("got error %v; it is kept though the informer was faster: %t", err, kept())
	}
}

func TestRevisionGone(t *testing.T) {
	f := newRun(t, karo.OrderParallel, "a")
	f.revision = nil
	f.expect("there is nothing to run", failed)
	if got := f.stored["e"].Status.Reason; got != "RevisionGone" {
		t.Errorf("got the reason %q", got)
	}
}

// A run for the resolved alert begins once the one for the firing alert has ended, or is gone.
func TestAfter(t *testing.T) {
	f := newRun(t, karo.OrderParallel, "a")
	f.stored["e"].Spec.After = "before"
	f.stored["before"] = run("before", func(e *karo.Execution) { e.Status.Phase = running })
	f.expect("it waits", pending)
	if got := f.stored["e"].Status.Reason; got != "WaitingForFiring" {
		t.Errorf("got the reason %q", got)
	}
	waiting := f.stored["e"]
	f.expect("it still waits", pending)
	if f.stored["e"] != waiting {
		t.Error("it was written again")
	}
	queued := func(step string, want ...string) {
		t.Helper()
		got := map[string]bool{}
		for f.queue.Len() > 0 {
			key, _ := f.queue.Get()
			got[key.Name] = true
			f.queue.Done(key)
		}
		if got := slices.Sorted(maps.Keys(got)); !slices.Equal(got, want) {
			t.Errorf("%s: got %q to be looked at, want %q", step, got, want)
		}
	}
	f.executionChanged(f.stored["before"])
	queued("it still runs", "before")
	// One that has ended, or is gone, tells whoever waits for it.
	f.executionGone(cache.DeletedFinalStateUnknown{Obj: f.stored["before"]})
	queued("it is gone", "e")
	f.stored["before"].Status.Phase = failed
	f.executionChanged(f.stored["before"])
	queued("it has ended", "before", "e")
	f.expect("whatever the end", pending, pending)
	if f.job("a") != nil {
		t.Error("it begins before it is stored that it does")
	}
	f.expect("whatever the end", running, running)
	if got := f.stored["e"].Status.Reason; got != "" {
		t.Errorf("got the reason %q of what runs", got)
	}

	f = newRun(t, karo.OrderParallel, "a")
	f.stored["e"].Spec.After = "gone"
	f.expect("nothing to wait for", pending, pending)
	f.expect("nothing to wait for", running, running)

	// One that is being deleted runs until it is gone.
	f = newRun(t, karo.OrderParallel, "a")
	f.stored["e"].Spec.After = "before"
	f.stored["before"] = run("before", func(e *karo.Execution) {
		e.Status.Phase, e.DeletionTimestamp, e.Status.Actions = running, at(1), []karo.ActionStatus{{Name: "a", JobUID: "u", Phase: running}}
	})
	f.expect("it waits", pending)
	f.executionChanged(f.stored["before"])
	queued("it is being deleted", "before")
	if want := []string{"Normal WaitingForFiring Waits for the execution before to end"}; !slices.Equal(f.events, want) {
		t.Errorf("got events %q, want %q", f.events, want)
	}

	// One that is cancelled while it waits is over.
	f = newRun(t, karo.OrderParallel, "a")
	f.stored["e"].Spec.After = "before"
	f.stored["before"] = run("before", nil)
	f.expect("it waits", pending)
	f.stop()
	f.expect("it is cancelled", cancelled, cancelled)
}

// What did not run while the alert fired is not undone once it is resolved.
func TestResolvedInVain(t *testing.T) {
	ran := []karo.ActionStatus{{Name: "a", Phase: failed, JobUID: "u"}}
	never := []karo.ActionStatus{{Name: "a", Phase: cancelled}}
	both := []karo.When{karo.WhenFiring, karo.WhenResolved}
	isDeleted := func(f *fakeRun) {
		f.stored["before"].DeletionTimestamp = at(1)
		f.see()
		if err := f.sync(f.t.Context(), types.NamespacedName{Namespace: "ns", Name: "before"}); err != nil || f.queue.Len() != 1 {
			f.t.Errorf("%d are looked at, want who waits for it; error %v", f.queue.Len(), err)
		}
	}
	isThere := func(f *fakeRun) {
		job := &batchv1.Job{ObjectMeta: metav1.ObjectMeta{
			Namespace: "ns", Name: "j", Labels: map[string]string{karo.LabelExecution: "before"},
			OwnerReferences: []metav1.OwnerReference{{UID: f.stored["before"].UID, Controller: new(true)}},
		}}
		if _, err := f.client.BatchV1().Jobs("ns").Create(f.t.Context(), job, metav1.CreateOptions{}); err != nil {
			f.t.Fatal(err)
		}
	}
	for name, tc := range map[string]struct {
		when    []karo.When
		phase   karo.Phase
		actions []karo.ActionStatus
		runs    bool
		happens func(*fakeRun)
	}{
		"it ran, and failed":                         {both, failed, ran, true, nil},
		"it was stopped before":                      {both, cancelled, never, false, nil},
		"it was refused":                             {both, failed, []karo.ActionStatus{{Name: "a", Phase: failed, Reason: "JobRefused"}}, false, nil},
		"its revision was gone":                      {both, failed, nil, false, nil},
		"it is deleted while it waits":               {both, pending, []karo.ActionStatus{{Name: "a", Phase: pending, Reason: "QuotaExceeded"}}, false, isDeleted},
		"its Job is there, and no status names it":   {both, cancelled, never, true, isThere},
		"the reaction does not say it depends on it": {[]karo.When{karo.WhenResolved}, cancelled, never, true, nil},
	} {
		t.Run(name, func(t *testing.T) {
			f := newRun(t, karo.OrderParallel, "a")
			f.revision.Spec.When = tc.when
			f.stored["e"].Spec.After = "before"
			f.stored["before"] = run("before", func(e *karo.Execution) { e.Status.Phase, e.Status.Actions = tc.phase, tc.actions })
			if tc.happens != nil {
				tc.happens(f)
			}
			if tc.runs {
				f.expect("it is decided", pending, pending)
				f.expect("it runs", running, running)
				return
			}
			f.expect("it does not run", cancelled)
			got := f.stored["e"].Status
			if got.Reason != "FiringNotRun" || got.CompletionTime == nil || len(got.Conditions) != 2 || got.Conditions[0].Reason != "FiringNotRun" {
				t.Errorf("got %+v", got)
			}
			if want := []string{"Normal FiringNotRun Does not run: the run for the firing alert ended before anything of it ran"}; !slices.Equal(f.events, want) {
				t.Errorf("got events %q, want %q", f.events, want)
			}
		})
	}
}

// One that is being deleted may have begun what no status names: it runs until it is gone.
func TestResolvedWaitsForWhatIsBeingDeleted(t *testing.T) {
	f := newRun(t, karo.OrderParallel, "a")
	f.revision.Spec.When = []karo.When{karo.WhenFiring, karo.WhenResolved}
	f.stored["e"].Spec.After = "before"
	f.stored["before"] = run("before", func(e *karo.Execution) { e.DeletionTimestamp = at(1) })
	job := &batchv1.Job{ObjectMeta: metav1.ObjectMeta{
		Namespace: "ns", Name: "j", Labels: map[string]string{karo.LabelExecution: "before"},
		OwnerReferences: []metav1.OwnerReference{{UID: f.stored["before"].UID, Controller: new(true)}},
	}}
	if _, err := f.client.BatchV1().Jobs("ns").Create(t.Context(), job, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	f.expect("it is being deleted", pending)
	if err := f.sync(t.Context(), types.NamespacedName{Namespace: "ns", Name: "before"}); err != nil || f.queue.Len() > 0 {
		t.Errorf("%d are looked at, error %v", f.queue.Len(), err)
	}
	f.expect("its Job is there", pending)
	if err := f.executions.GetIndexer().Delete(f.stored["before"]); err != nil {
		t.Fatal(err)
	}
	delete(f.stored, "before")
	f.expect("it is gone", pending, pending)
	f.expect("it runs", running, running)
}

// What is being deleted can still be stopped, and is not begun.
func TestCancelOfWhatIsBeingDeleted(t *testing.T) {
	f := newRun(t, karo.OrderSequential, "a", "b")
	f.expect("first", running, running, pending)
	deleted := f.stored["e"].DeepCopy()
	deleted.DeletionTimestamp = at(1)
	f.stored["e"] = deleted
	f.end("a", batchv1.JobComplete)
	f.expect("it is left alone", running, running, pending)
	f.stop()
	f.expect("it is stopped", cancelled, succeeded, cancelled)
	if f.job("b") != nil {
		t.Error("b has begun")
	}
}

// A Job from which somebody took the label by which we watch tells of nothing, and is looked at again.
func TestAJobOutOfSight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newRun(t, karo.OrderParallel, "a")
		f.expect("first", running, running)
		f.see()
		if err := f.jobIndexer.Replace(nil, ""); err != nil {
			t.Fatal(err)
		}
		key := types.NamespacedName{Namespace: "ns", Name: "e"}
		// First it is taken for what the informer has still to see, and then the cluster is asked.
		for range 3 {
			if err := f.sync(t.Context(), key); err != nil || f.queue.Len() > 0 {
				t.Fatalf("%d to be looked at, error %v", f.queue.Len(), err)
			}
			time.Sleep(retryqueue.Max)
			synctest.Wait()
			if f.queue.Len() != 1 {
				t.Fatal("nobody will see it end")
			}
			_, _ = f.queue.Get()
			f.queue.Done(key)
		}
	})
}

func TestRunOfTheLastPod(t *testing.T) {
	f := newRun(t, karo.OrderParallel, "a")
	f.expect("first", running, running)
	job := f.job("a")
	owner := []metav1.OwnerReference{*metav1.NewControllerRef(job, batchv1.SchemeGroupVersion.WithKind("Job"))}
	for i, status := range []corev1.PodStatus{
		{ContainerStatuses: []corev1.ContainerStatus{exited(1, "the first try")}},
		{ContainerStatuses: []corev1.ContainerStatus{waits("ImagePullBackOff", "back-off")}},
	} {
		pod := pod(status)
		pod.Namespace, pod.Name, pod.OwnerReferences, pod.CreationTimestamp = "ns", fmt.Sprintf("p%d", i), owner, *at(int64(i))
		if err := f.pods.Add(pod); err != nil {
			t.Fatal(err)
		}
	}
	f.expect("the second try waits", running, running)
	got := f.stored["e"].Status.Actions[0]
	if diff := cmp.Diff([]string{"ImagePullBackOff", "back-off"}, []string{got.Reason, got.Message}); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	last := pod(corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{exited(7, "the last lines")}})
	last.Namespace, last.Name, last.OwnerReferences, last.CreationTimestamp = "ns", "p2", owner, *at(2)
	if err := f.pods.Add(last); err != nil {
		t.Fatal(err)
	}
	f.end("a", batchv1.JobFailed)
	f.expect("it has failed", failed, failed)
	got = f.stored["e"].Status.Actions[0]
	if got.Reason != "Why" || got.Message != "the last lines" || got.ExitCode == nil || *got.ExitCode != 7 || !got.CompletionTime.Equal(at(100)) {
		t.Errorf("got %+v", got)
	}
}

// The Job may have ended before it is seen here that its last try has.
func TestRunOfALastTryThatIsNotSeenToEnd(t *testing.T) {
	f := newRun(t, karo.OrderParallel, "a")
	f.expect("first", running, running)
	owner := []metav1.OwnerReference{*metav1.NewControllerRef(f.job("a"), batchv1.SchemeGroupVersion.WithKind("Job"))}
	try := func(n int, phase corev1.PodPhase, ended ...corev1.ContainerStatus) *corev1.Pod {
		pod := pod(corev1.PodStatus{Phase: phase, ContainerStatuses: ended})
		pod.Namespace, pod.Name, pod.OwnerReferences, pod.CreationTimestamp = "ns", fmt.Sprintf("p%d", n), owner, *at(int64(n))
		pod.Labels = map[string]string{batchv1.ControllerUidLabel: string(owner[0].UID)}
		return pod
	}
	first := try(1, corev1.PodFailed, exited(1, "the first try"))
	for _, known := range []*corev1.Pod{first, try(2, corev1.PodRunning)} {
		if err := f.pods.Add(known); err != nil {
			t.Fatal(err)
		}
	}
	for _, there := range []*corev1.Pod{first, try(2, corev1.PodFailed, exited(7, "the last try"))} {
		if _, err := f.client.CoreV1().Pods("ns").Create(t.Context(), there, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	f.end("a", batchv1.JobFailed)
	f.expect("it has failed", failed, failed)
	if got := f.stored["e"].Status.Actions[0]; got.Message != "the last try" || got.ExitCode == nil || *got.ExitCode != 7 {
		t.Errorf("got %+v", got)
	}
}

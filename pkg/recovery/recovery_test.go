// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

package recovery

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	batchv1 "k8s.io/api/batch/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apiserver/pkg/registry/generic/registry"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/apiserver/pkg/storage"
	"k8s.io/client-go/kubernetes/fake"

	"karo.io/karo/pkg/apis/karo"
	"karo.io/karo/pkg/apis/nanotime"
	"karo.io/karo/pkg/jobs"
	"karo.io/karo/pkg/memory"
	"karo.io/karo/pkg/names"
	"karo.io/karo/pkg/records"
	"karo.io/karo/pkg/registry/karo/registrytest"
	karorest "karo.io/karo/pkg/registry/karo/rest"
	"karo.io/karo/pkg/runs"
)

const namespace = registrytest.Namespace

// lossy is a Recovery of a store from which Executions can be lost.
type lossy struct {
	*Recovery
	t       *testing.T
	stores  *karorest.Stores
	records *records.Records
	cluster *fake.Clientset
	events  []string
}

func (l *lossy) Execution(e *karo.Execution, _, reason, format string, args ...any) {
	l.events = append(l.events, e.Name+" "+reason+" "+fmt.Sprintf(format, args...))
}

func newLossy(t *testing.T) *lossy {
	t.Helper()
	stores, err := karorest.NewStores(registrytest.Scheme, registrytest.NewOptions(t, registry.StorageWithCacher()), nil, karorest.Caps{})
	if err != nil {
		t.Fatal(err)
	}
	for _, store := range []*registry.Store{stores.AlertReactions.Store, stores.Executions.Store, stores.Revisions, stores.Alerts} {
		registrytest.Close(t, store)
		registrytest.WaitUntilReady(t, store)
	}
	l := &lossy{t: t, stores: stores, records: stores.Records(), cluster: fake.NewClientset()}
	l.Recovery = &Recovery{Store: l.records, Client: l.cluster, Events: l}
	return l
}

// reaction stores a reaction with actions, and the revision of it.
func (l *lossy) reaction(name string, order karo.ActionOrder, actions ...string) *karo.AlertReaction {
	l.t.Helper()
	reaction := &karo.AlertReaction{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Spec: karo.AlertReactionSpec{
			AlertName: "A", When: []karo.When{karo.WhenFiring, karo.WhenResolved}, AlertScope: karo.ScopeNamespace, Order: order,
		},
	}
	for _, action := range actions {
		reaction.Spec.Actions = append(reaction.Spec.Actions, karo.Action{Name: action, Image: "i"})
	}
	reaction = registrytest.Create(l.t, l.stores.AlertReactions.Store, reaction)
	if err := runs.EnsureRevision(l.t.Context(), l.records, reaction); err != nil {
		l.t.Fatal(err)
	}
	return reaction
}

// run stores an Execution, and creates Jobs for some of its actions.
func (l *lossy) run(reaction *karo.AlertReaction, pod string, actions ...string) *karo.Execution {
	l.t.Helper()
	at := nanotime.New(time.Now())
	e := &karo.Execution{Spec: karo.ExecutionSpec{
		Alert: karo.AlertOccurrence{
			Name: "A", Status: karo.AlertFiring, Labels: map[string]string{"alertname": "A", "pod": pod}, StartsAt: &at, Fingerprint: "f",
		},
		Trigger: karo.TriggerNotification, ReceivedAt: &at,
	}}
	runs.Adopt(l.t.Context(), e, reaction)
	e.Name = names.Execution(reaction.Name, names.OccurrenceOf(e))
	e, err := l.records.CreateExecution(l.t.Context(), e)
	if err != nil {
		l.t.Fatal(err)
	}
	all, err := jobs.All(e, &reaction.Spec)
	if err != nil {
		l.t.Fatal(err)
	}
	for i := range all {
		if action := all[i].Annotations[karo.AnnotationActionName]; slices.Contains(actions, action) {
			all[i].UID = types.UID(pod + "-" + action)
			l.create(&all[i])
		}
	}
	return e
}

func (l *lossy) create(job *batchv1.Job) {
	l.t.Helper()
	if _, err := l.cluster.BatchV1().Jobs(job.Namespace).Create(l.t.Context(), job, metav1.CreateOptions{}); err != nil {
		l.t.Fatal(err)
	}
}

// lose removes an Execution, or a reaction, from storage as if it had never been there.
func (l *lossy) lose(store *registry.Store, name string) {
	l.t.Helper()
	key, err := store.KeyFunc(registrytest.Context(l.t), name)
	if err != nil {
		l.t.Fatal(err)
	}
	if err := store.Storage.Delete(l.t.Context(), key, store.NewFunc(), nil, rest.ValidateAllObjectFunc, false, nil, storage.DeleteOptions{}); err != nil {
		l.t.Fatal(err)
	}
}

func (l *lossy) get(name string) *karo.Execution {
	l.t.Helper()
	e, err := l.records.GetExecution(l.t.Context(), namespace, name)
	if err != nil {
		l.t.Fatal(err)
	}
	return e
}

func (l *lossy) writeBack(want int) {
	l.t.Helper()
	if got, err := l.WriteBack(l.t.Context()); err != nil || got != want {
		l.t.Errorf("wrote back %d, error %v; want %d", got, err, want)
	}
}

func sure(context.Context) error { return nil }

func TestWriteBack(t *testing.T) {
	l := newLossy(t)
	reaction, gone := l.reaction("r", karo.OrderParallel, "a", "b"), l.reaction("gone", karo.OrderParallel, "a")
	kept, lost, orphan := l.run(reaction, "kept", "a"), l.run(reaction, "lost", "a", "b"), l.run(gone, "orphan", "a")
	part, jobless := l.run(reaction, "part", "b"), l.run(reaction, "jobless")
	for _, e := range []*karo.Execution{lost, orphan, part, jobless} {
		l.lose(l.stores.Executions.Store, e.Name)
	}
	l.lose(l.stores.AlertReactions.Store, "gone")
	l.reaction("gone", karo.OrderParallel, "a") // Another one of the name.
	l.writeBack(3)
	l.writeBack(0)

	ignored := cmpopts.IgnoreFields(metav1.ObjectMeta{}, "ResourceVersion", "CreationTimestamp")
	for _, tc := range []struct {
		e       *karo.Execution
		actions []karo.ActionStatus
		owned   bool
	}{
		{lost, []karo.ActionStatus{
			{Name: "a", JobName: names.Job(lost, "a"), JobUID: "lost-a", Phase: karo.PhaseRunning},
			{Name: "b", JobName: names.Job(lost, "b"), JobUID: "lost-b", Phase: karo.PhaseRunning},
		}, true},
		{part, []karo.ActionStatus{
			{Name: "a", Phase: karo.PhasePending},
			{Name: "b", JobName: names.Job(part, "b"), JobUID: "part-b", Phase: karo.PhaseRunning},
		}, true},
		{orphan, []karo.ActionStatus{{Name: "a", JobName: names.Job(orphan, "a"), JobUID: "orphan-a", Phase: karo.PhaseRunning}}, false},
	} {
		want := tc.e.DeepCopy()
		want.Status = karo.ExecutionStatus{Phase: karo.PhaseRunning, Actions: tc.actions}
		if !tc.owned {
			want.OwnerReferences, want.Finalizers = nil, nil
		}
		got := l.get(tc.e.Name)
		for i := range got.Status.Actions {
			got.Status.Actions[i].StartTime = nil // The fake cluster gives Jobs none.
		}
		got.Status.StartTime = nil
		if diff := cmp.Diff(want, got, ignored); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tc.e.Spec.Alert.Labels["pod"], diff)
		}
		if memory.HasFinalizer(got) != tc.owned {
			t.Errorf("finalizers %v", got.Finalizers)
		}
	}
	if got := l.get(kept.Name); got.ResourceVersion != kept.ResourceVersion {
		t.Error("one that is there was changed")
	}
	if _, err := l.records.GetExecution(t.Context(), namespace, jobless.Name); !apierrors.IsNotFound(err) {
		t.Errorf("one without a Job: %v", err)
	}
}

// Whoever may create Jobs may have them say anything. That hinders nothing.
func TestWriteBackOfWhatCannotBe(t *testing.T) {
	l := newLossy(t)
	reaction := l.reaction("r", karo.OrderParallel, "a")
	lost := l.run(reaction, "lost", "a")
	l.lose(l.stores.Executions.Store, lost.Name)
	for name, change := range map[string]func(*batchv1.Job){
		"its name":     func(j *batchv1.Job) { j.OwnerReferences[0].Name = "No/Name" },
		"its reaction": func(j *batchv1.Job) { j.Annotations[karo.AnnotationRun] = `{"spec":{"reaction":{"name":"../x"}}}` },
		"its status": func(j *batchv1.Job) {
			j.Spec.Template.Spec.Containers[0].Env[0].Value = `{"status":"x","labels":{"a":"b"},"fingerprint":"f"}`
		},
		"it is going":       func(j *batchv1.Job) { j.DeletionTimestamp = &metav1.Time{} },
		"it is not Karo's":  func(j *batchv1.Job) { j.Labels = nil },
		"it has no owner":   func(j *batchv1.Job) { j.OwnerReferences = nil },
		"the name is taken": func(j *batchv1.Job) { j.OwnerReferences[0].Name = lost.Name },
	} {
		job, err := jobs.Build(lost, &reaction.Spec, &reaction.Spec.Actions[0])
		if err != nil {
			t.Fatal(err)
		}
		job.Name, job.OwnerReferences[0].Name, job.OwnerReferences[0].UID = "forged-"+fmt.Sprint(len(name)), "forged", "forged"
		change(job)
		l.create(job)
	}
	if _, err := l.WriteBack(t.Context()); err != nil {
		t.Fatal(err)
	}
	left := 0
	if err := l.records.EachExecution(t.Context(), func(*karo.Execution) { left++ }); err != nil || left != 1 {
		t.Errorf("%d Executions, error %v; want one of the name", left, err)
	}
}

func TestSettle(t *testing.T) {
	l := newLossy(t)
	reaction, ordered := l.reaction("r", karo.OrderParallel, "a"), l.reaction("ordered", karo.OrderSequential, "a", "b")
	runs, ran, inOrder := l.run(reaction, "runs", "a"), l.run(reaction, "ran"), l.run(ordered, "in-order", "a")
	after := func(e *karo.Execution, pod string) *karo.Execution {
		resolved := l.run(reaction, pod)
		l.lose(l.stores.Executions.Store, resolved.Name)
		resolved.ResourceVersion, resolved.Spec.After = "", e.Name
		if created, err := l.records.RestoreExecution(t.Context(), resolved); err != nil || !created {
			t.Fatal(created, err)
		}
		return resolved
	}
	waits, waited := after(runs, "waits"), after(ran, "waited")

	changed := errors.New("changed")
	if _, err := l.Settle(t.Context(), func(context.Context) error { return changed }); !errors.Is(err, changed) {
		t.Errorf("got error %v", err)
	}
	if got := l.get(ran.Name); got.Status.CompletionTime != nil {
		t.Error("it is settled after the store was accepted by another replica")
	}
	if got, err := l.Settle(t.Context(), sure); err != nil || got != 4 {
		t.Errorf("settled %d, error %v; want 4", got, err)
	}
	for _, tc := range []struct {
		e    *karo.Execution
		want []karo.Phase
	}{
		{runs, []karo.Phase{karo.PhaseRunning, karo.PhaseRunning}},
		{ran, []karo.Phase{karo.PhaseFailed, karo.PhaseFailed}},
		{inOrder, []karo.Phase{karo.PhaseRunning, karo.PhaseRunning, karo.PhasePending}},
		{waits, []karo.Phase{karo.PhasePending}},
		{waited, []karo.Phase{karo.PhaseFailed, karo.PhaseFailed}},
	} {
		status := l.get(tc.e.Name).Status
		got := []karo.Phase{status.Phase}
		for _, a := range status.Actions {
			got = append(got, a.Phase)
		}
		if !slices.Equal(got, tc.want) {
			t.Errorf("%s: got %v, want %v", tc.e.Spec.Alert.Labels["pod"], got, tc.want)
		}
	}
	if len(l.events) != 2 {
		t.Errorf("got events %q, want one for each that fails", l.events)
	}
	if got, err := l.Settle(t.Context(), sure); err != nil || got != 0 {
		t.Errorf("again: settled %d, error %v", got, err)
	}
}

// refusing is a Store that takes some Executions in no way.
type refusing struct {
	Store
	restore, update func(*karo.Execution) error
}

func (s *refusing) RestoreExecution(ctx context.Context, e *karo.Execution) (bool, error) {
	if err := s.restore(e); err != nil {
		return false, err
	}
	return s.Store.RestoreExecution(ctx, e)
}

func (s *refusing) UpdateExecutionStatus(ctx context.Context, e *karo.Execution) (*karo.Execution, error) {
	if err := s.update(e); err != nil {
		return nil, err
	}
	return s.Store.UpdateExecutionStatus(ctx, e)
}

var permanent = map[string]error{
	"invalid":                  apierrors.NewInvalid(karo.Kind("Execution"), "e", nil),
	"a bad request":            apierrors.NewBadRequest("no"),
	"too large":                apierrors.NewRequestEntityTooLargeError("no"),
	"too large for etcd":       rpctypes.ErrRequestTooLarge,
	"too large for its client": errors.New("rpc error: code = ResourceExhausted desc = trying to send message larger than max (3000000 vs. 2097152)"),
}

// What cannot be stored is in nobody's way.
func TestWriteBackOfWhatIsRefused(t *testing.T) {
	for name, refused := range permanent {
		t.Run(name, func(t *testing.T) {
			l := newLossy(t)
			reaction := l.reaction("r", karo.OrderParallel, "a")
			bad, good := l.run(reaction, "bad", "a"), l.run(reaction, "good", "a")
			l.lose(l.stores.Executions.Store, bad.Name)
			l.lose(l.stores.Executions.Store, good.Name)
			l.Store = &refusing{Store: l.records, restore: func(e *karo.Execution) error {
				if e.Name == bad.Name {
					return refused
				}
				return nil
			}}
			l.writeBack(1)
			l.get(good.Name)
		})
	}
	l := newLossy(t)
	lost := l.run(l.reaction("r", karo.OrderParallel, "a"), "lost", "a")
	l.lose(l.stores.Executions.Store, lost.Name)
	l.Store = &refusing{Store: l.records, restore: func(*karo.Execution) error { return rpctypes.ErrNoSpace }}
	if _, err := l.WriteBack(t.Context()); !errors.Is(err, rpctypes.ErrNoSpace) {
		t.Errorf("what may be taken later: got error %v", err)
	}
}

func TestSettleWhatIsRefused(t *testing.T) {
	for name, refused := range permanent {
		for what, wholly := range map[string]bool{"as it is": false, "wholly": true} {
			t.Run(name+" "+what, func(t *testing.T) {
				l := newLossy(t)
				reaction := l.reaction("r", karo.OrderSequential, "a", "b")
				bad, good := l.run(reaction, "bad", "a"), l.run(reaction, "good")
				l.Store = &refusing{Store: l.records, update: func(e *karo.Execution) error {
					if e.Name == bad.Name && (wholly || len(e.Status.Actions) > 0) {
						return refused
					}
					return nil
				}}
				want := 2
				if wholly {
					want = 1
				}
				if got, err := l.Settle(t.Context(), sure); err != nil || got != want {
					t.Errorf("settled %d, error %v; want %d", got, err, want)
				}
				if got := l.get(good.Name).Status.Phase; got != karo.PhaseFailed {
					t.Errorf("the other: %s", got)
				}
				status := l.get(bad.Name).Status
				if !wholly && (status.Phase != karo.PhaseFailed || status.CompletionTime == nil || status.Reason != "StoreRestored" || len(status.Conditions) != 2) {
					t.Errorf("it can still run: %+v", status)
				}
			})
		}
	}
}

// forge creates a Job as somebody may forge it: with the name that it must have for what it says.
func (l *lossy) forge(e *karo.Execution, spec *karo.AlertReactionSpec, created time.Time, change func(*karo.Execution)) {
	l.t.Helper()
	e = e.DeepCopy()
	change(e)
	all, err := jobs.All(e, spec)
	if err != nil {
		l.t.Fatal(err)
	}
	all[0].CreationTimestamp = metav1.NewTime(created)
	l.create(&all[0])
}

// A Job that says that it came at a time to come, or of another Execution, makes no memory. What its Execution is known by
// stays, so that the alert of a clock that is ahead is known when it is sent again.
func TestWriteBackDistrusts(t *testing.T) {
	now := time.Now().Truncate(time.Second)
	future := nanotime.New(now.Add(1000 * time.Hour))
	l := newLossy(t)
	reaction := l.reaction("r", karo.OrderParallel, "a")
	e := l.run(reaction, "p")
	l.lose(l.stores.Executions.Store, e.Name)
	e.Spec.Alert.StartsAt, e.Spec.ReceivedAt, e.Spec.Follows = &future, &future, &future
	e.Name = names.Execution("r", names.OccurrenceOf(e))
	l.forge(e, &reaction.Spec, now, func(*karo.Execution) {})
	l.forge(e, &reaction.Spec, now, func(e *karo.Execution) { e.Name, e.UID = "r-abcdefghijklmnopqrstuvwxyz", "other" })
	// Whose Job has another name.
	job, err := jobs.Build(e, &reaction.Spec, &reaction.Spec.Actions[0])
	if err != nil {
		t.Fatal(err)
	}
	job.Name, job.OwnerReferences[0].Name, job.OwnerReferences[0].UID = "x", "third", "third"
	l.create(job)
	if lost, err := l.Lost(t.Context()); err != nil || !lost {
		t.Errorf("lost is %t, error %v", lost, err)
	}
	l.writeBack(2)

	got := l.get(e.Name).Spec
	if got.Trigger != karo.TriggerNotification {
		t.Errorf("the one whose name fits is as by %s", got.Trigger)
	}
	if got.ReceivedAt == nil || got.ReceivedAt.After(now) {
		t.Errorf("received at %v, later than the Job", got.ReceivedAt)
	}
	if names.Execution("r", names.OccurrenceOf(l.get(e.Name))) != e.Name {
		t.Errorf("it is not known by its name any more: starts at %v, follows %v", got.Alert.StartsAt, got.Follows)
	}
	if got := l.get("r-abcdefghijklmnopqrstuvwxyz").Spec.Trigger; got != karo.TriggerManual {
		t.Errorf("the one whose name does not fit is as by %s", got)
	}
}

// Of several that say that they are the same, the oldest is believed.
func TestWriteBackBelievesTheOldest(t *testing.T) {
	now := time.Now().Truncate(time.Second)
	for range 5 { // Maps have no order.
		l := newLossy(t)
		reaction := l.reaction("r", karo.OrderParallel, "a")
		e := l.run(reaction, "p")
		l.lose(l.stores.Executions.Store, e.Name)
		for i, uid := range []types.UID{"later", e.UID, "last"} {
			age := []time.Duration{time.Minute, time.Hour, time.Second}[i]
			l.forge(e, &reaction.Spec, now.Add(-age), func(e *karo.Execution) { e.UID = uid })
		}
		// It has the same owner, and the name of the Job of another action.
		spec := reaction.Spec.DeepCopy()
		spec.Actions[0].Name = "0"
		l.forge(e, spec, now, func(e *karo.Execution) { e.Spec.TriggeredBy, e.Spec.Reaction.Generation = "somebody", 7 })
		l.writeBack(1)
		got := l.get(e.Name)
		if got.UID != e.UID || got.Spec.TriggeredBy != e.Spec.TriggeredBy || got.Spec.Reaction != e.Spec.Reaction {
			t.Errorf("got UID %s, spec %+v", got.UID, got.Spec)
		}
	}
}

// Many Jobs that each name other actions make no Execution that is too large.
func TestWriteBackBoundsActions(t *testing.T) {
	l := newLossy(t)
	reaction := l.reaction("r", karo.OrderParallel, "a")
	e := l.run(reaction, "p")
	l.lose(l.stores.Executions.Store, e.Name)
	for i := range 3 {
		spec := reaction.Spec.DeepCopy()
		spec.Actions = nil
		for j := range 60 {
			spec.Actions = append(spec.Actions, karo.Action{Name: fmt.Sprint("a", i, "-", j), Image: "i"})
		}
		l.forge(e, spec, time.Now(), func(*karo.Execution) {})
	}
	l.writeBack(1)
	if got := len(l.get(e.Name).Status.Actions); got != jobs.MaxActions {
		t.Errorf("%d actions", got)
	}
}

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

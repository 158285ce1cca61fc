// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

package alert_test

import (
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/registry/generic"
	"k8s.io/apiserver/pkg/registry/generic/registry"

	"karo.io/karo/pkg/apis/karo"
	"karo.io/karo/pkg/apis/nanotime"
	"karo.io/karo/pkg/registry/karo/alert"
	"karo.io/karo/pkg/registry/karo/registrytest"
)

func newAlert() *karo.Alert {
	at := nanotime.New(time.Unix(1_772_366_400, 123_456_789))
	seen := metav1.Unix(1_772_366_500, 0)
	return &karo.Alert{
		ObjectMeta: metav1.ObjectMeta{Namespace: registrytest.Namespace},
		Spec: karo.AlertSpec{
			Name: "KubePodCrashLooping", Fingerprint: "0123456789abcdef",
			Labels: map[string]string{"alertname": "KubePodCrashLooping", "instance": "node-1"},
		},
		Status: karo.AlertMemory{
			Status: karo.AlertFiring, StartsAt: &at, LastSeen: &seen,
			Reactions: []karo.ReactionMemory{{
				UID: "uid", Name: "restart", Firing: &karo.RunMemory{StartsAt: &at, ReceivedAt: at, Execution: "restart-1"},
			}},
		},
	}
}

func newStore(t testing.TB, options generic.RESTOptionsGetter) *registry.Store {
	t.Helper()
	store, err := alert.NewStore(registrytest.Scheme, options)
	if err != nil {
		t.Fatal(err)
	}
	return store
}

// open opens the store over etcd itself, until the test ends.
func open(t *testing.T) *registry.Store {
	t.Helper()
	store := newStore(t, registrytest.NewOptions(t, generic.UndecoratedStorage))
	registrytest.Close(t, store)
	return store
}

func change(change func(*karo.Alert)) func(runtime.Object) {
	return func(obj runtime.Object) { change(obj.(*karo.Alert)) }
}

func TestStore(t *testing.T) {
	suite := registrytest.Suite{
		NewStore: newStore,
		Valid:    func() runtime.Object { return newAlert() },
		Invalid: map[string]func(runtime.Object){
			"no labels": change(func(a *karo.Alert) { a.Spec.Labels = nil }),
			"bad name":  change(func(a *karo.Alert) { a.Name = "No_Name" }),
		},
		Update: change(func(a *karo.Alert) { a.Status.Status = karo.AlertResolved }),
		InvalidUpdates: map[string]func(runtime.Object){
			"another label":       change(func(a *karo.Alert) { a.Spec.Labels["instance"] = "node-2" }),
			"another fingerprint": change(func(a *karo.Alert) { a.Spec.Fingerprint = "0" }),
		},
	}
	suite.Run(t)
}

// Karo writes both halves of an Alert in one: there is no one else who could write either.
func TestStatusIsStored(t *testing.T) {
	store := open(t)
	given := newAlert()
	given.Name = "a"
	created := registrytest.Create(t, store, given)
	if got := created.Status.Reactions[0].Firing.StartsAt.Nanosecond(); got != 123_456_789 {
		t.Errorf("the memory is to the nanosecond, and holds %d", got)
	}
	updated := registrytest.Update(t, store, created, func(a *karo.Alert) { a.Status.Reactions, a.Generation = nil, 9 })
	if len(updated.Status.Reactions) != 0 || updated.Generation != 1 {
		t.Errorf("got reactions %v and generation %d, want none and 1", updated.Status.Reactions, updated.Generation)
	}
}

func TestSelectableFields(t *testing.T) {
	registrytest.ExpectSelectableFields(t, open(t), "Alert")
}

func TestTable(t *testing.T) {
	store := open(t)
	a := newAlert()
	a.Name = "a"
	began := nanotime.New(time.Now().Add(-26 * time.Hour))
	seen := metav1.NewTime(time.Now().Add(-3 * time.Hour))
	a.Status.StartsAt, a.Status.LastSeen = &began, &seen
	registrytest.ExpectTable(t, store, a, map[string]any{
		"Name": "a", "Alert": "KubePodCrashLooping", "Status": "firing", "Since": "26h", "Last Seen": "3h", "Reactions": int64(1), "Instance": "node-1",
	})
	registrytest.ExpectTable(t, store, &karo.Alert{}, map[string]any{
		"Name": "", "Alert": "", "Status": "", "Since": "<unknown>", "Last Seen": "<never>", "Reactions": int64(0), "Instance": "",
	})
}

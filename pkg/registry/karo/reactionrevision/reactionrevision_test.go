// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

package reactionrevision_test

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/registry/generic"
	"k8s.io/apiserver/pkg/registry/generic/registry"

	"karo.io/karo/pkg/apis/karo"
	"karo.io/karo/pkg/registry/karo/reactionrevision"
	"karo.io/karo/pkg/registry/karo/registrytest"
)

func revision() *karo.ReactionRevision {
	return &karo.ReactionRevision{
		ObjectMeta: metav1.ObjectMeta{Namespace: registrytest.Namespace},
		Reaction:   karo.ReactionReference{Name: "restart", UID: "uid", Generation: 3, Revision: "restart-3"},
		Spec: karo.AlertReactionSpec{
			AlertName: "KubePodCrashLooping",
			Actions: []karo.Action{{
				Name: "collect", Image: "busybox:1.37",
				BackoffLimit: new(int32(0)), ActiveDeadlineSeconds: new(int64(60)), TTLSecondsAfterFinished: new(int32(60)),
			}},
		},
	}
}

func newStore(t testing.TB, options generic.RESTOptionsGetter) *registry.Store {
	t.Helper()
	store, err := reactionrevision.NewStore(registrytest.Scheme, options)
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

func change(change func(*karo.ReactionRevision)) func(runtime.Object) {
	return func(obj runtime.Object) { change(obj.(*karo.ReactionRevision)) }
}

func TestStore(t *testing.T) {
	suite := registrytest.Suite{
		NewStore: newStore,
		Valid:    func() runtime.Object { return revision() },
		Invalid: map[string]func(runtime.Object){
			"no name": change(func(r *karo.ReactionRevision) { r.Reaction.Name = "" }),
			"no UID":  change(func(r *karo.ReactionRevision) { r.Reaction.UID = "" }),
		},
		Update: change(func(r *karo.ReactionRevision) { r.Labels = map[string]string{"a": "b"} }),
		InvalidUpdates: map[string]func(runtime.Object){
			"another reaction": change(func(r *karo.ReactionRevision) { r.Reaction.Generation = 4 }),
			"another spec":     change(func(r *karo.ReactionRevision) { r.Spec.Actions[0].Image = "busybox:1.38" }),
		},
	}
	suite.Run(t)
}

// A revision never changes, so that its own generation says nothing.
func TestGeneration(t *testing.T) {
	store := open(t)
	given := revision()
	given.Name, given.Generation = "r", 7
	stored := registrytest.Create(t, store, given)
	if stored.Generation != 1 {
		t.Errorf("got generation %d, want 1", stored.Generation)
	}
	stored = registrytest.Update(t, store, stored, func(r *karo.ReactionRevision) {
		r.Labels, r.Generation = map[string]string{"a": "b"}, 9
	})
	if stored.Generation != 1 || stored.Labels["a"] != "b" {
		t.Errorf("got generation %d and labels %v, want 1 and the labels changed", stored.Generation, stored.Labels)
	}
}

func TestSelectableFields(t *testing.T) {
	registrytest.ExpectSelectableFields(t, open(t), "ReactionRevision")
}

func TestTable(t *testing.T) {
	r := revision()
	r.Name = "restart-abc"
	registrytest.ExpectTable(t, open(t), r, map[string]any{"Name": "restart-abc", "Reaction": "restart", "Generation": int64(3)})
}

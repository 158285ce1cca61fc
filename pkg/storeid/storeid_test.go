// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

package storeid

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"sync"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	etcd3testing "k8s.io/apiserver/pkg/storage/etcd3/testing"
	"k8s.io/apiserver/pkg/storage/storagebackend"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
)

// world is a cluster and a store, each of which can go back in time.
type world struct {
	t       *testing.T
	config  *storagebackend.Config
	cluster *fake.Clientset
	refuse  error // what the cluster says to every write
}

func newWorld(t *testing.T) *world {
	t.Helper()
	server, config := etcd3testing.NewUnsecuredEtcd3TestClientServer(t)
	t.Cleanup(func() { _ = server.V3Client.Close() })
	w := &world{t: t, config: config, cluster: fake.NewClientset()}
	// The fake cluster knows no conflicts.
	version, lock := 0, sync.Mutex{}
	w.cluster.PrependReactor("*", "configmaps", func(action clienttesting.Action) (bool, runtime.Object, error) {
		lock.Lock()
		defer lock.Unlock()
		write, ok := action.(clienttesting.CreateActionImpl)
		var obj runtime.Object
		if ok {
			obj = write.GetObject()
		}
		update, isUpdate := action.(clienttesting.UpdateActionImpl)
		if isUpdate {
			obj = update.GetObject()
		}
		if obj == nil {
			return false, nil, nil
		}
		if w.refuse != nil {
			return true, nil, w.refuse
		}
		configMap := obj.(*corev1.ConfigMap)
		if isUpdate {
			stored, err := w.cluster.Tracker().Get(action.GetResource(), "ns", ConfigMapName)
			if err != nil {
				return true, nil, err
			}
			if stored.(*corev1.ConfigMap).ResourceVersion != configMap.ResourceVersion {
				return true, nil, apierrors.NewConflict(action.GetResource().GroupResource(), ConfigMapName, errors.New("it has changed"))
			}
		}
		version++
		configMap.ResourceVersion = strconv.Itoa(version)
		if isUpdate {
			return true, configMap, w.cluster.Tracker().Update(action.GetResource(), configMap, "ns")
		}
		return true, configMap, w.cluster.Tracker().Create(action.GetResource(), configMap, "ns")
	})
	return w
}

// process returns a process that starts now.
func (w *world) process() *Identity {
	w.t.Helper()
	i, err := Open(w.config, w.cluster, "ns")
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(i.Close)
	return i
}

// store returns what the store holds of it, and a function that brings that back.
func (w *world) store() (*corev1.ConfigMap, func()) {
	w.t.Helper()
	s, err := w.process().look(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	return s.configMap, func() {
		w.t.Helper()
		if err := write(w.t.Context(), w.process().store, s.nonce, s.previous, nil); err != nil {
			w.t.Fatal(err)
		}
	}
}

func (w *world) advance(i *Identity) {
	w.t.Helper()
	if err := i.Advance(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
}

// mismatch fails the test unless there is one that says something, for a process that runs and for one that starts.
func (w *world) mismatch(says string) *Mismatch {
	w.t.Helper()
	var m *Mismatch
	if err := w.process().Verify(w.t.Context()); !errors.As(err, &m) || !strings.Contains(err.Error(), says) {
		w.t.Fatalf("got error %v, want a mismatch: %s", err, says)
	}
	if err := w.process().Advance(w.t.Context()); !errors.As(err, &m) {
		w.t.Fatalf("the number was replaced all the same: %v", err)
	}
	return m
}

func (w *world) deleteConfigMap() {
	w.t.Helper()
	if err := w.cluster.Tracker().Delete(corev1.SchemeGroupVersion.WithResource("configmaps"), "ns", ConfigMapName); err != nil {
		w.t.Fatal(err)
	}
}

func TestTheSameStore(t *testing.T) {
	w := newWorld(t)
	first := w.process()
	w.advance(first)
	for range 5 {
		w.advance(first)
		w.advance(w.process()) // Another one takes over.
	}
	if err := first.Verify(t.Context()); err != nil {
		t.Error(err)
	}
	if configMap, _ := w.store(); configMap.Annotations["kubernetes.io/description"] == "" {
		t.Error("the ConfigMap does not say what it is for")
	}
}

func TestAnotherStore(t *testing.T) {
	const earlier, empty, unknown = "earlier state", "the store is empty", "does not know it"
	for name, tc := range map[string]struct {
		happens func(w *world)
		says    string
	}{
		"restored": {func(w *world) {
			w.advance(w.process())
			_, restore := w.store()
			w.advance(w.process())
			w.advance(w.process())
			restore()
		}, earlier},
		"restored as of before its first use": {func(w *world) {
			_, restore := w.store()
			w.advance(w.process())
			restore()
		}, empty},
		"restored so early that nothing else tells": {func(w *world) {
			w.advance(w.process())
			if err := Forget(w.t.Context(), w.config); err != nil {
				w.t.Fatal(err)
			}
		}, earlier},
		"the cluster was restored": {func(w *world) {
			w.advance(w.process())
			configMap, _ := w.store()
			w.advance(w.process())
			w.advance(w.process())
			if err := w.cluster.Tracker().Update(corev1.SchemeGroupVersion.WithResource("configmaps"), configMap, "ns"); err != nil {
				w.t.Fatal(err)
			}
		}, earlier},
		"of another cluster": {func(w *world) {
			w.advance(w.process())
			w.advance(w.process())
			w.deleteConfigMap()
		}, unknown},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			tc.happens(w)
			m := w.mismatch(tc.says)
			if again := w.mismatch(tc.says); again.ID != m.ID {
				t.Errorf("the same mismatch is %s and %s", m.ID, again.ID)
			}
			other := w.process() // Accepts at the same time, and is slower.
			if err := w.process().Accept(t.Context(), m); err != nil {
				t.Fatal(err)
			}
			if err := other.Accept(t.Context(), m); !errors.Is(err, ErrChanged) {
				t.Errorf("accepted twice: got error %v", err)
			}
			if err := w.process().Verify(t.Context()); err != nil {
				t.Errorf("accepted, and then: %v", err)
			}
			w.advance(w.process())
		})
	}
}

// The ID that accepts one loss accepts no other, also not that of the same snapshot.
func TestAnIDFitsOnce(t *testing.T) {
	w := newWorld(t)
	i := w.process()
	w.advance(i)
	_, restore := w.store()
	seen := map[string]bool{}
	for range 3 {
		w.advance(i)
		w.advance(i)
		restore()
		m := w.mismatch("earlier state")
		if seen[m.ID] {
			t.Errorf("the ID %s came twice", m.ID)
		}
		seen[m.ID] = true
		if err := i.Accept(t.Context(), m); err != nil {
			t.Fatal(err)
		}
	}
}

// Whatever is written before a crash, or before the cluster goes away, the store still matches.
func TestACrashBetweenTheTwo(t *testing.T) {
	away := errors.New("the cluster is away")
	w := newWorld(t)
	for range 3 { // The first time there is no ConfigMap yet.
		w.refuse = away
		for range 3 {
			if err := w.process().Advance(t.Context()); !errors.Is(err, away) {
				t.Fatalf("got error %v", err)
			}
			if err := w.process().Verify(t.Context()); err != nil {
				t.Fatalf("the store no longer matches: %v", err)
			}
		}
		w.refuse = nil
		w.advance(w.process())
	}
}

// A ConfigMap that somebody deletes is there again, as long as there is a process that knows the store.
func TestADeletedConfigMap(t *testing.T) {
	w := newWorld(t)
	leader, other := w.process(), w.process()
	w.advance(leader)
	w.advance(leader)
	if err := other.Verify(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.deleteConfigMap()
	if err := other.Verify(t.Context()); err != nil {
		t.Errorf("a process that knows the store: %v", err)
	}
	_ = w.mismatch("does not know it")
	w.advance(leader)
	if err := w.process().Verify(t.Context()); err != nil {
		t.Errorf("the ConfigMap is not there again: %v", err)
	}
}

// Many at once end in a store that matches, and never see one that does not.
func TestManyAtOnce(t *testing.T) {
	w := newWorld(t)
	var running sync.WaitGroup
	for range 4 {
		i := w.process()
		running.Go(func() {
			for range 20 {
				var m *Mismatch
				if err := errors.Join(i.Advance(context.Background()), i.Verify(context.Background())); errors.As(err, &m) {
					t.Errorf("a mismatch: %v", err)
				}
			}
		})
	}
	running.Wait()
	w.advance(w.process())
}

// A store without an identity, in a cluster that knows none, is no new one when the cluster was served already.
func TestDisown(t *testing.T) {
	answer := func(used bool, err error) func(context.Context) (bool, error) {
		return func(context.Context) (bool, error) { return used, err }
	}
	w, failed := newWorld(t), errors.New("failed")
	for _, err := range []error{nil, failed} {
		if got := w.process().Disown(t.Context(), answer(false, err)); !errors.Is(got, err) {
			t.Errorf("got error %v", got)
		}
	}
	if err := w.process().Verify(t.Context()); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := w.process().Disown(t.Context(), answer(true, nil)); err != nil {
			t.Fatal(err)
		}
		m := w.mismatch("does not know it")
		if again := w.mismatch("does not know it"); again.ID != m.ID {
			t.Errorf("it is another mismatch at the next start")
		}
	}
	// One that is in use is not disowned.
	other := newWorld(t)
	other.advance(other.process())
	if err := other.process().Disown(t.Context(), answer(true, nil)); err != nil {
		t.Fatal(err)
	}
	other.advance(other.process())
}

// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

package setaside_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metainternalversion "k8s.io/apimachinery/pkg/apis/meta/internalversion"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer/cbor/direct"
	"k8s.io/apiserver/pkg/registry/generic"
	"k8s.io/apiserver/pkg/registry/generic/registry"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/apiserver/pkg/storage"
	"k8s.io/client-go/tools/cache"

	"karo.io/karo/pkg/apis/karo"
	v1 "karo.io/karo/pkg/apis/karo/v1"
	"karo.io/karo/pkg/registry/karo/alert"
	"karo.io/karo/pkg/registry/karo/alertreaction"
	"karo.io/karo/pkg/registry/karo/execution"
	"karo.io/karo/pkg/registry/karo/reactionrevision"
	"karo.io/karo/pkg/registry/karo/registrytest"
	"karo.io/karo/pkg/storecache"
)

// metadata is that of every object that cannot be read. A field of it cannot be read either.
const metadata = `"metadata": {"name": "bad", "namespace": "` + registrytest.Namespace + `", "uid": "u-1", "generation": "two",
  "creationTimestamp": "2026-01-02T03:04:05Z", "labels": {"a": "b"}, "finalizers": ["example.com/keep"],
  "ownerReferences": [{"apiVersion": "karo.io/v1", "kind": "AlertReaction", "name": "r", "uid": "r-1", "controller": true}]}`

func bad(version, kind, rest string) string {
	return fmt.Sprintf(`{"apiVersion": %q, "kind": %q, %s, %s}`, version, kind, metadata, rest)
}

// large returns an object with an integer that there is no type for, in CBOR.
func large(version, kind string) string {
	var object map[string]any
	if err := json.Unmarshal([]byte(bad(version, kind, `"spec": {}`)), &object); err != nil {
		panic(err)
	}
	object["spec"] = uint64(math.MaxUint64)
	stored, err := direct.Marshal(object)
	if err != nil {
		panic(err)
	}
	return "\xd9\xd9\xf7" + string(stored)
}

type resource struct {
	open func(generic.RESTOptionsGetter) (*registry.Store, error)
	bad  map[string]string
	good runtime.Object
}

var meta = metav1.ObjectMeta{Name: "good", Namespace: registrytest.Namespace}

var resources = map[string]resource{
	"alertreactions": {
		open: func(o generic.RESTOptionsGetter) (*registry.Store, error) {
			storage, err := alertreaction.NewStorage(registrytest.Scheme, o)
			if err != nil {
				return nil, err
			}
			return storage.Store, nil
		},
		bad: map[string]string{
			"another type": bad("karo.io/v1", "AlertReaction", `"spec": {"actions": "all of them"}`),
			"bad quantity": bad("karo.io/v1", "AlertReaction", `"spec": {"alertName": "A", "actions": [{"name": "a", "image": "b", "resources": {"limits": {"cpu": "a lot"}}}]}`),
			"new version":  bad("karo.io/v2", "AlertReaction", `"spec": {}`),
			"other kind":   bad("karo.io/v1", "Alert", `"spec": {}`),
		},
		good: &karo.AlertReaction{ObjectMeta: meta, Spec: karo.AlertReactionSpec{
			AlertName: "A", When: []karo.When{karo.WhenFiring}, AlertScope: karo.ScopeNamespace, Order: karo.OrderParallel,
			Actions: []karo.Action{{Name: "a", Image: "busybox"}},
		}},
	},
	"executions": {
		open: func(o generic.RESTOptionsGetter) (*registry.Store, error) {
			storage, err := execution.NewStorage(registrytest.Scheme, o, &execution.Hand{})
			if err != nil {
				return nil, err
			}
			return storage.Store, nil
		},
		bad: map[string]string{
			"bad timestamp": bad("karo.io/v1", "Execution", `"spec": {"alert": {"status": "firing", "labels": {"alertname": "A"}, "startsAt": "2026-13-45T00:00:00Z"}}`),
			"another type":  bad("karo.io/v1", "Execution", `"status": {"phase": ["Running"]}`),
		},
		good: &karo.Execution{ObjectMeta: meta, Spec: karo.ExecutionSpec{
			Reaction: karo.ReactionReference{Name: "r", UID: "r-1"}, Trigger: karo.TriggerNotification,
			Alert: karo.AlertOccurrence{Status: karo.AlertFiring, Labels: map[string]string{"alertname": "A"}},
		}},
	},
	"alerts": {
		open: func(o generic.RESTOptionsGetter) (*registry.Store, error) {
			return alert.NewStore(registrytest.Scheme, o)
		},
		bad: map[string]string{
			"another type": bad("karo.io/v1", "Alert", `"status": {"reactions": {"r": 1}}`),
			"too large":    large("karo.io/v1", "Alert"),
		},
		good: &karo.Alert{ObjectMeta: meta, Spec: karo.AlertSpec{Labels: map[string]string{"alertname": "A"}}},
	},
	"reactionrevisions": {
		open: func(o generic.RESTOptionsGetter) (*registry.Store, error) {
			return reactionrevision.NewStore(registrytest.Scheme, o)
		},
		bad: map[string]string{
			"another type": bad("karo.io/v1", "ReactionRevision", `"spec": 7`),
		},
		good: &karo.ReactionRevision{ObjectMeta: meta, Reaction: karo.ReactionReference{Name: "r", UID: "r-1"}},
	},
}

// What cannot be read is listed, and harms nothing else; it is never changed, and can be deleted.
func TestSetAside(t *testing.T) {
	for name, r := range resources {
		for problem, stored := range r.bad {
			for storage, decorator := range map[string]generic.StorageDecorator{
				"etcd": generic.UndecoratedStorage, "watch cache": registry.StorageWithCacher(),
			} {
				form := stored
				if storage == "watch cache" && strings.HasPrefix(stored, "{") {
					form = registrytest.CBOR(t, stored)
				}
				t.Run(name+"/"+problem+"/"+storage, func(t *testing.T) {
					t.Parallel()
					options := registrytest.NewOptions(t, decorator)
					options.Put(t, name, "bad", form)
					store, err := r.open(options)
					if err != nil {
						t.Fatal(err)
					}
					registrytest.Close(t, store)
					registrytest.WaitUntilReady(t, store)
					registrytest.Create(t, store, r.good.DeepCopyObject())

					expectAside(t, get(t, store))
					expectListed(t, store)
					expectUnchangeable(t, store)
					if got := options.Stored(t, name, "bad"); got != form {
						t.Fatalf("stored is now %s", got)
					}
					expectDeletable(t, store)
					if got := options.Stored(t, name, "bad"); got != "" {
						t.Errorf("still stored: %s", got)
					}
				})
			}
		}
	}
}

func get(t *testing.T, store *registry.Store) runtime.Object {
	t.Helper()
	obj, err := store.Get(registrytest.Context(t), "bad", &metav1.GetOptions{})
	if err != nil {
		t.Fatalf("reading it: %v", err)
	}
	return obj
}

func expectAside(t *testing.T, obj runtime.Object) {
	t.Helper()
	m := obj.(metav1.Object)
	if karo.Undecodable(m) == "" {
		t.Errorf("it has no annotation that says why: %v", m.GetAnnotations())
	}
	if m.GetUID() != "u-1" || m.GetLabels()["a"] != "b" || len(m.GetFinalizers()) != 1 || len(m.GetOwnerReferences()) != 1 || m.GetResourceVersion() == "" {
		t.Errorf("metadata is lost: %+v", m)
	}
	if e, ok := obj.(*karo.Execution); ok {
		if e.Status.Phase != karo.PhaseSkipped || e.Status.Reason != v1.ReasonUndecodable || e.Status.CompletionTime != nil {
			t.Errorf("the status is %+v", e.Status)
		}
		if e.Spec.Reaction.Name != "r" || e.Spec.Reaction.UID != "r-1" {
			t.Errorf("the reaction is %+v", e.Spec.Reaction)
		}
	}
}

func expectListed(t *testing.T, store *registry.Store) {
	t.Helper()
	for _, version := range []string{"", "0"} {
		list, err := store.List(registrytest.Context(t), &metainternalversion.ListOptions{ResourceVersion: version})
		if err != nil {
			t.Fatalf("listing: %v", err)
		}
		table, err := store.ConvertToTable(t.Context(), list, nil)
		if err != nil {
			t.Fatal(err)
		}
		text := fmt.Sprint(table.Rows[0].Cells)
		if version == "" && (len(table.Rows) != 2 || !strings.Contains(text, "<undecodable>")) {
			t.Errorf("%d rows, the first: %s", len(table.Rows), text)
		}
	}
}

func expectUnchangeable(t *testing.T, store *registry.Store) {
	t.Helper()
	for what, change := range map[string]func(metav1.Object){
		"labelling": func(m metav1.Object) { m.SetLabels(map[string]string{"c": "d"}) },
		"mending":   func(m metav1.Object) { m.SetAnnotations(nil) },
		"releasing": func(m metav1.Object) { m.SetFinalizers(nil) },
		"nothing":   func(metav1.Object) {},
	} {
		if err := update(t, store, change); !apierrors.IsInvalid(err) || !strings.Contains(err.Error(), "can only be deleted") {
			t.Errorf("%s is not refused: %v", what, err)
		}
	}
	// Also where no registry looks at it.
	key, err := store.KeyFunc(registrytest.Context(t), "bad")
	if err != nil {
		t.Fatal(err)
	}
	err = store.Storage.Storage.GuaranteedUpdate(registrytest.Context(t), key, store.NewFunc(), false, nil, func(obj runtime.Object, _ storage.ResponseMeta) (runtime.Object, *uint64, error) {
		obj.(metav1.Object).SetLabels(nil)
		return obj, nil, nil
	}, nil)
	if err == nil || !strings.Contains(err.Error(), "cannot be changed") {
		t.Errorf("what stands for it is stored in its place: %v", err)
	}
}

func update(t *testing.T, store *registry.Store, change func(metav1.Object)) error {
	t.Helper()
	info := rest.DefaultUpdatedObjectInfo(nil, func(_ context.Context, _, old runtime.Object) (runtime.Object, error) {
		obj := old.DeepCopyObject()
		change(obj.(metav1.Object))
		return obj, nil
	})
	_, _, err := store.Update(registrytest.Context(t), "bad", info, rest.ValidateAllObjectFunc, rest.ValidateAllObjectUpdateFunc, false, &metav1.UpdateOptions{})
	return err
}

// Its finalizer holds it, and is written with the time of the deletion.
func expectDeletable(t *testing.T, store *registry.Store) {
	t.Helper()
	if _, deleted, err := store.Delete(registrytest.Context(t), "bad", rest.ValidateAllObjectFunc, &metav1.DeleteOptions{}); err != nil || deleted {
		t.Fatalf("deleting: %v, gone: %t", err, deleted)
	}
	obj := get(t, store)
	expectAside(t, obj)
	if obj.(metav1.Object).GetDeletionTimestamp() == nil {
		t.Error("it is not being deleted")
	}
	if err := update(t, store, func(m metav1.Object) { m.SetAnnotations(nil) }); !apierrors.IsInvalid(err) {
		t.Errorf("while it is deleted it passes for one that can be read: %v", err)
	}
	if err := update(t, store, func(m metav1.Object) { m.SetFinalizers(nil) }); err != nil {
		t.Fatalf("letting it go: %v", err)
	}
}

// An informer on the store is loaded, and goes on when another replica writes what it cannot read.
func TestInformerGoesOn(t *testing.T) {
	for name, r := range resources {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			options := registrytest.NewOptions(t, generic.UndecoratedStorage)
			for _, stored := range r.bad {
				options.Put(t, name, "bad", stored)
			}
			store, err := r.open(options)
			if err != nil {
				t.Fatal(err)
			}
			registrytest.Close(t, store)
			informer, err := storecache.New(options, store, cache.Indexers{})
			if err != nil {
				t.Fatal(err)
			}
			ctx, stop := context.WithCancel(t.Context())
			done := make(chan struct{})
			go func() { defer close(done); informer.RunWithContext(ctx) }()
			t.Cleanup(func() { stop(); <-done; informer.Close() })
			if !cache.WaitForCacheSync(ctx.Done(), informer.HasSynced) {
				t.Fatal("it is not loaded")
			}
			for _, stored := range r.bad {
				options.Put(t, name, "bad-2", strings.Replace(stored, `"bad"`, `"bad-2"`, 1))
			}
			registrytest.Create(t, store, r.good.DeepCopyObject())
			ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
			defer cancel()
			if err := informer.Fresh(ctx); err != nil {
				t.Fatal(err)
			}
			if got := informer.GetStore().ListKeys(); len(got) != 3 {
				t.Errorf("it holds %q", got)
			}
			if got := informer.Undecodable(); got != 2 {
				t.Errorf("it counts %d that cannot be read", got)
			}
		})
	}
}

// The annotation is Karo's: nobody has an object that can be read taken for one that cannot.
func TestAnnotationIsOurs(t *testing.T) {
	for name, r := range resources {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			store, err := r.open(registrytest.NewOptions(t, generic.UndecoratedStorage))
			if err != nil {
				t.Fatal(err)
			}
			registrytest.Close(t, store)
			marked := r.good.DeepCopyObject()
			marked.(metav1.Object).SetName("bad")
			marked.(metav1.Object).SetAnnotations(map[string]string{karo.AnnotationUndecodable: "so it says"})
			if _, err := store.Create(registrytest.Context(t), marked, rest.ValidateAllObjectFunc, &metav1.CreateOptions{}); !apierrors.IsInvalid(err) {
				t.Errorf("creating one: %v", err)
			}
			marked.(metav1.Object).SetAnnotations(nil)
			registrytest.Create(t, store, marked)
			err = update(t, store, func(m metav1.Object) {
				m.SetAnnotations(map[string]string{karo.AnnotationUndecodable: "so it says"})
			})
			if !apierrors.IsInvalid(err) {
				t.Errorf("marking one: %v", err)
			}
		})
	}
}

// A label of an alert may have the name of the annotation.
func TestAnnotationAsLabel(t *testing.T) {
	store, err := resources["alerts"].open(registrytest.NewOptions(t, generic.UndecoratedStorage))
	if err != nil {
		t.Fatal(err)
	}
	registrytest.Close(t, store)
	registrytest.Create(t, store, &karo.Alert{ObjectMeta: meta, Spec: karo.AlertSpec{Labels: map[string]string{karo.AnnotationUndecodable: "x"}}})
}

// What has no metadata cannot be set aside. The error says of which key it is, and what to do.
func TestNoMetadata(t *testing.T) {
	for problem, stored := range map[string]string{
		"no JSON":     "\x00\x01",
		"cut off":     `{"apiVersion": "karo.io/v1", "kind": "Alert", "metadata": {"name": "bad"`,
		"no name":     `{"apiVersion": "karo.io/v1", "kind": "Alert", "metadata": {"namespace": "test"}, "spec": 1}`,
		"no metadata": `{"apiVersion": "karo.io/v1", "kind": "Alert", "spec": 1}`,
	} {
		t.Run(problem, func(t *testing.T) {
			t.Parallel()
			options := registrytest.NewOptions(t, generic.UndecoratedStorage)
			options.Put(t, "alerts", "bad", stored)
			store, err := resources["alerts"].open(options)
			if err != nil {
				t.Fatal(err)
			}
			registrytest.Close(t, store)
			_, err = store.List(registrytest.Context(t), &metainternalversion.ListOptions{})
			if err == nil {
				t.Fatal("it can be listed")
			}
			for _, want := range []string{"/registry/karo.io/alerts/test/bad", "until its key is deleted from etcd"} {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("no %q in %s", want, err)
				}
			}
		})
	}
}

// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

package rest_test

import (
	"context"
	"maps"
	"reflect"
	"slices"
	"testing"

	"k8s.io/apiserver/pkg/registry/generic"
	"k8s.io/apiserver/pkg/registry/generic/registry"
	"k8s.io/apiserver/pkg/registry/rest"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	"karo.io/karo/pkg/apis/karo"
	v1 "karo.io/karo/pkg/apis/karo/v1"
	"karo.io/karo/pkg/apis/karo/v1alpha1"
	"karo.io/karo/pkg/notification"
	"karo.io/karo/pkg/registry/karo/registrytest"
	karorest "karo.io/karo/pkg/registry/karo/rest"
)

// handler takes no notification: none is sent.
type handler struct{}

func (handler) Trigger(context.Context, string, *notification.Notification) (*karo.AlertNotificationResult, error) {
	return nil, nil
}

func (handler) Simulate(context.Context, string, *notification.Notification) (*karo.AlertNotificationResult, error) {
	return nil, nil
}

func open(t *testing.T) *karorest.Stores {
	t.Helper()
	stores, err := karorest.NewStores(registrytest.Scheme, registrytest.NewOptions(t, generic.UndecoratedStorage), nil, karorest.Caps{})
	if err != nil {
		t.Fatal(err)
	}
	for _, store := range all(stores) {
		registrytest.Close(t, store)
	}
	return stores
}

func all(stores *karorest.Stores) map[string]*registry.Store {
	return map[string]*registry.Store{
		"alertreactions": stores.AlertReactions.Store, "executions": stores.Executions.Store,
		"alerts": stores.Alerts, "reactionrevisions": stores.Revisions,
	}
}

// serve returns what is served by version. No alert is known to fire.
func serve(stores *karorest.Stores) map[string]map[string]rest.Storage {
	return stores.Versions(handler{}, func(*karo.AlertReaction) int { return 0 }, func(string) {})
}

// verbs returns what can be done with a resource, as discovery would say it.
func verbs(storage rest.Storage) []string {
	var verbs []string
	for verb, can := range map[string]bool{
		"create":           is[rest.Creater](storage) || is[rest.NamedCreater](storage),
		"connect":          is[rest.Connecter](storage),
		"delete":           is[rest.GracefulDeleter](storage),
		"deletecollection": is[rest.CollectionDeleter](storage),
		"get":              is[rest.Getter](storage),
		"list":             is[rest.Lister](storage),
		"patch":            is[rest.Patcher](storage),
		"update":           is[rest.Updater](storage),
		"watch":            is[rest.Watcher](storage),
	} {
		if can {
			verbs = append(verbs, verb)
		}
	}
	slices.Sort(verbs)
	return verbs
}

func is[T any](storage rest.Storage) bool {
	_, ok := storage.(T)
	return ok
}

func TestResources(t *testing.T) {
	karoOnly := []string{"karo"}
	versions := serve(open(t))
	if got := slices.Sorted(maps.Keys(versions)); !slices.Equal(got, []string{"v1", "v1alpha1"}) {
		t.Fatalf("got the versions %q, want v1 and v1alpha1", got)
	}
	storages := versions["v1"]
	for name, want := range map[string]struct {
		kind       string
		singular   string // Only of what is no subresource.
		cluster    bool
		verbs      []string
		shortNames []string
		categories []string
	}{
		"alertreactions": {
			kind: "AlertReaction", singular: "alertreaction", shortNames: []string{"ar"}, categories: karoOnly,
			verbs: []string{"create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"},
		},
		"alertreactions/status": {kind: "AlertReaction", verbs: []string{"get", "patch", "update"}},
		// GET lists what ran, for who may not list the executions of others; POST runs it.
		"alertreactions/executions": {kind: "ExecutionRequest", verbs: []string{"create", "get"}},
		"executions": {
			kind: "Execution", singular: "execution", shortNames: []string{"ex"}, categories: karoOnly,
			verbs: []string{"create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"},
		},
		"executions/status": {kind: "Execution", verbs: []string{"get", "patch", "update"}},
		"executions/cancel": {kind: "ExecutionCancellation", verbs: []string{"create"}},
		// What only Karo writes can be read and deleted.
		"alerts": {
			kind: "Alert", singular: "alert", shortNames: []string{"al"}, categories: karoOnly,
			verbs: []string{"connect", "delete", "deletecollection", "get", "list", "watch"},
		},
		"reactionrevisions": {
			kind: "ReactionRevision", singular: "reactionrevision", categories: karoOnly,
			verbs: []string{"delete", "deletecollection", "get", "list", "watch"},
		},
		// "kubectl get karo" must not ask for what cannot be listed.
		"clusteralerts": {kind: "ClusterAlertNotification", singular: "clusteralert", cluster: true, verbs: []string{"connect"}},
	} {
		t.Run(name, func(t *testing.T) {
			storage, ok := storages[name]
			if !ok {
				t.Fatal("it is not served")
			}
			delete(storages, name)
			kinds, _, err := registrytest.Scheme.ObjectKinds(storage.New())
			if err != nil || kinds[0].Kind != want.kind {
				t.Errorf("got kinds %v and error %v, want %s", kinds, err, want.kind)
			}
			if !registrytest.Scheme.Recognizes(v1.SchemeGroupVersion.WithKind(want.kind)) {
				t.Errorf("%s is not of v1", want.kind)
			}
			if got := verbs(storage); !slices.Equal(got, want.verbs) {
				t.Errorf("got verbs %q, want %q", got, want.verbs)
			}
			var shortNames, categories []string
			if s, ok := storage.(rest.ShortNamesProvider); ok {
				shortNames = s.ShortNames()
			}
			if c, ok := storage.(rest.CategoriesProvider); ok {
				categories = c.Categories()
			}
			if !slices.Equal(shortNames, want.shortNames) {
				t.Errorf("got short names %q, want %q", shortNames, want.shortNames)
			}
			if !slices.Equal(categories, want.categories) {
				t.Errorf("got categories %q, want %q", categories, want.categories)
			}
			if is[rest.Getter](storage) != is[rest.TableConvertor](storage) {
				t.Error("what can be read is printed as a table, and nothing else is")
			}
			if want.singular == "" {
				return
			}
			if got := storage.(rest.SingularNameProvider).GetSingularName(); got != want.singular {
				t.Errorf("got the singular %q, want %q", got, want.singular)
			}
			if got := storage.(rest.Scoper).NamespaceScoped(); got == want.cluster {
				t.Errorf("it is of a namespace: got %t, want %t", got, !want.cluster)
			}
		})
	}
	if len(storages) > 0 {
		t.Errorf("served and not expected: %q", slices.Sorted(maps.Keys(storages)))
	}
}

// v1alpha1 is what users of the operator have: the same objects, and nothing that came later.
func TestResourcesOfV1alpha1(t *testing.T) {
	versions := serve(open(t))
	if got := slices.Sorted(maps.Keys(versions["v1alpha1"])); !slices.Equal(got, []string{"alertreactions", "alertreactions/status"}) {
		t.Fatalf("got the resources %q", got)
	}
	for name, storage := range versions["v1alpha1"] {
		if storage != versions["v1"][name] {
			t.Errorf("%s is served from another storage than in v1", name)
		}
		if kinds, _, err := registrytest.Scheme.ObjectKinds(storage.New()); err != nil || !registrytest.Scheme.Recognizes(v1alpha1.SchemeGroupVersion.WithKind(kinds[0].Kind)) {
			t.Errorf("%s: got kinds %v and error %v, want one of v1alpha1", name, kinds, err)
		}
	}
}

// What a client writes by server-side apply has to be told from what the server resets, so whatever can be patched
// says what it resets.
func TestWhatIsPatchedSaysWhatItResets(t *testing.T) {
	for version, storages := range serve(open(t)) {
		for name, storage := range storages {
			if !is[rest.Patcher](storage) {
				continue
			}
			strategy, ok := storage.(rest.ResetFieldsStrategy)
			if !ok || strategy.GetResetFields()[fieldpath.APIVersion(karo.GroupName+"/"+version)].Empty() {
				t.Errorf("%s of %s does not say what it resets", name, version)
			}
		}
	}
}

func TestStrategies(t *testing.T) {
	for name, store := range all(open(t)) {
		t.Run(name, func(t *testing.T) {
			if store.CreateStrategy == nil || store.UpdateStrategy == nil || store.DeleteStrategy == nil || store.TableConvertor == nil {
				t.Fatal("a strategy, or the table, is missing")
			}
			if store.DefaultQualifiedResource != karo.Resource(name) {
				t.Errorf("got the resource %s, want %s", store.DefaultQualifiedResource, karo.Resource(name))
			}
			if !store.CreateStrategy.NamespaceScoped() || !store.UpdateStrategy.NamespaceScoped() {
				t.Error("it is not of a namespace")
			}
			if store.UpdateStrategy.AllowCreateOnUpdate(t.Context()) {
				t.Error("an update may create it, with a name of its own choice")
			}
			if !store.UpdateStrategy.AllowUnconditionalUpdate(t.Context()) {
				t.Error("kubectl replace without a resourceVersion is refused")
			}
			obj := store.NewFunc()
			if warnings := store.CreateStrategy.WarningsOnCreate(t.Context(), obj); len(warnings) > 0 {
				t.Errorf("got warnings %q of nothing", warnings)
			}
			if warnings := store.UpdateStrategy.WarningsOnUpdate(t.Context(), obj, obj); len(warnings) > 0 {
				t.Errorf("got warnings %q of nothing", warnings)
			}
			before := obj.DeepCopyObject()
			store.CreateStrategy.Canonicalize(obj)
			if !reflect.DeepEqual(obj, before) {
				t.Errorf("got %v, want nothing made up", obj)
			}
			// The list is of what the store holds.
			list, ok := reflect.TypeOf(store.NewListFunc()).Elem().FieldByName("Items")
			if !ok || list.Type.Elem() != reflect.TypeOf(obj).Elem() {
				t.Errorf("a %T does not list %T", store.NewListFunc(), obj)
			}
		})
	}
}

// Karo writes to the very stores that are served, so that both see the same rules.
func TestRecords(t *testing.T) {
	stores := open(t)
	records := stores.Records()
	if records.Executions != stores.Executions.Store || records.Alerts != stores.Alerts || records.Revisions != stores.Revisions {
		t.Error("Karo writes to other stores than it serves")
	}
	// The rules for a status are others for Karo than for those it is served to.
	served := serve(stores)["v1"]
	if served["executions/status"] != rest.Storage(stores.Executions.Status) || records.ExecutionStatus != rest.Updater(stores.Executions.OwnStatus) {
		t.Error("the status of Executions is not written by the rules for who writes it")
	}
	if served["alertreactions/status"] != rest.Storage(stores.AlertReactions.Status) || records.ReactionStatus != rest.Updater(stores.AlertReactions.OwnStatus) {
		t.Error("the status of AlertReactions is not written by the rules for who writes it")
	}
}

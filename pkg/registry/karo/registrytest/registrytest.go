// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

// Package registrytest runs the suites of the generic registry, and what else holds for every resource, against a
// store of Karo over a real etcd. Only tests import it.
package registrytest

import (
	"context"
	"encoding/json"
	"maps"
	"path"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	clientv3 "go.etcd.io/etcd/client/v3"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer/cbor"
	"k8s.io/apimachinery/pkg/runtime/serializer/cbor/direct"
	utiljson "k8s.io/apimachinery/pkg/util/json"
	"k8s.io/apimachinery/pkg/util/wait"
	genericapirequest "k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/generic"
	"k8s.io/apiserver/pkg/registry/generic/registry"
	generictesting "k8s.io/apiserver/pkg/registry/generic/testing"
	"k8s.io/apiserver/pkg/registry/rest"
	etcd3testing "k8s.io/apiserver/pkg/storage/etcd3/testing"
	"k8s.io/apiserver/pkg/storage/storagebackend"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	"karo.io/karo/pkg/apis/karo"
	"karo.io/karo/pkg/apis/karo/install"
	v1 "karo.io/karo/pkg/apis/karo/v1"
	"karo.io/karo/pkg/setaside"
	"karo.io/karo/pkg/storagecodec"
)

// Namespace is the one that Context is of, and that the suites create objects in.
const Namespace = "test"

// name is that of the object in the suites that create no others.
const name = "foo"

// Scheme knows the types of Karo. That of the server cannot be used, since the server imports what is tested here.
var Scheme = func() *runtime.Scheme {
	scheme := runtime.NewScheme()
	install.Install(scheme)
	return scheme
}()

// Options gives every resource its storage in one etcd, as the server does.
type Options struct {
	generic.RESTOptionsGetter
	// Etcd is a client of the etcd, for what no store would store.
	Etcd *clientv3.Client
}

type plainOptions struct {
	config    *storagebackend.Config
	decorator generic.StorageDecorator
}

// NewOptions starts an etcd, which ends with the test.
func NewOptions(t testing.TB, decorator generic.StorageDecorator) *Options {
	t.Helper()
	server, config := etcd3testing.NewUnsecuredEtcd3TestClientServer(t)
	t.Cleanup(func() { _ = server.V3Client.Close() })
	options := optionsOf(config, decorator)
	options.Etcd = server.V3Client.Client
	return options
}

// OptionsOf uses the etcd at an endpoint.
func OptionsOf(endpoint string, decorator generic.StorageDecorator) *Options {
	return optionsOf(&storagebackend.Config{
		Prefix: "/registry", Transport: storagebackend.TransportConfig{ServerList: []string{endpoint}},
	}, decorator)
}

func optionsOf(config *storagebackend.Config, decorator generic.StorageDecorator) *Options {
	config.Codec = storagecodec.New(Scheme, v1.SchemeGroupVersion)
	config.EventsHistoryWindow = storagebackend.DefaultEventsHistoryWindow
	return &Options{RESTOptionsGetter: setaside.Options(&plainOptions{config: config, decorator: decorator})}
}

// Put stores bytes as the object of a name in Namespace, whatever they are.
func (o *Options) Put(t testing.TB, resource, name, value string) {
	t.Helper()
	if _, err := o.Etcd.Put(t.Context(), o.key(t, resource, name), value); err != nil {
		t.Fatalf("storing %s %s: %v", resource, name, err)
	}
}

// CBOR returns JSON as a newer server would store it, whether or not this one can read it.
func CBOR(t testing.TB, text string) string {
	t.Helper()
	var object unstructured.Unstructured
	if err := utiljson.Unmarshal([]byte(text), &object.Object); err != nil { // Numbers stay whole.
		t.Fatalf("%s is no object: %v", text, err)
	}
	stored, err := runtime.Encode(cbor.NewSerializer(nil, nil), &object)
	if err != nil {
		t.Fatalf("encoding %s: %v", text, err)
	}
	return string(stored)
}

// JSON returns what is stored as JSON, which it may be already.
func JSON(t testing.TB, stored string) []byte {
	t.Helper()
	var object any
	decode := json.Unmarshal
	if strings.HasPrefix(stored, "\xd9\xd9\xf7") {
		decode = direct.Unmarshal
	}
	if err := decode([]byte(stored), &object); err != nil {
		t.Fatalf("%q: %v", stored, err)
	}
	text, err := json.Marshal(object)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// Stored returns the bytes that are stored as the object of a name in Namespace, and "" if there are none.
func (o *Options) Stored(t testing.TB, resource, name string) string {
	t.Helper()
	resp, err := o.Etcd.Get(t.Context(), o.key(t, resource, name))
	if err != nil {
		t.Fatalf("reading what is stored of %s %s: %v", resource, name, err)
	}
	if len(resp.Kvs) == 0 {
		return ""
	}
	return string(resp.Kvs[0].Value)
}

func (o *Options) key(t testing.TB, resource, name string) string {
	t.Helper()
	options, err := o.GetRESTOptions(karo.Resource(resource), &karo.Alert{})
	if err != nil {
		t.Fatal(err)
	}
	return path.Join(options.StorageConfig.Prefix, options.ResourcePrefix, Namespace, name)
}

// GetRESTOptions implements generic.RESTOptionsGetter.
func (o *plainOptions) GetRESTOptions(resource schema.GroupResource, _ runtime.Object) (generic.RESTOptions, error) {
	return generic.RESTOptions{
		StorageConfig:           o.config.ForResource(resource),
		Decorator:               o.decorator,
		ResourcePrefix:          resource.Group + "/" + resource.Resource,
		DeleteCollectionWorkers: 1,
		EnableGarbageCollection: true,
	}, nil
}

// Close has a store closed when the test ends, before the etcd is.
func Close(t testing.TB, store *registry.Store) {
	t.Helper()
	t.Cleanup(store.Destroy)
}

// WaitUntilReady returns once the watch cache of a store is loaded.
func WaitUntilReady(t testing.TB, store *registry.Store) {
	t.Helper()
	err := wait.PollUntilContextTimeout(t.Context(), time.Millisecond, wait.ForeverTestTimeout, true, func(context.Context) (bool, error) {
		return store.ReadinessCheck() == nil, nil
	})
	if err != nil {
		t.Fatalf("the storage of %s is not ready: %v", store.DefaultQualifiedResource, store.ReadinessCheck())
	}
}

// Context returns a context of a request in Namespace.
func Context(t testing.TB) context.Context {
	t.Helper()
	return genericapirequest.WithNamespace(t.Context(), Namespace)
}

// Suite is what the suites need to know of a resource.
type Suite struct {
	// NewStore opens the store.
	NewStore func(t testing.TB, options generic.RESTOptionsGetter) *registry.Store
	// Valid returns an object that can be created, without a name.
	Valid func() runtime.Object
	// Invalid holds, by name, changes to a valid object that make it one that cannot be created.
	Invalid map[string]func(runtime.Object)
	// Update changes a stored object in a way that is allowed.
	Update func(runtime.Object)
	// InvalidUpdates holds, by name, changes to a stored object that are refused.
	InvalidUpdates map[string]func(runtime.Object)
	// FieldsPass holds selectors that find the valid object, FieldsFail such that do not, beside those of the metadata.
	FieldsPass, FieldsFail []fields.Set
}

// Run runs the suites of the generic registry, with and without the watch cache.
func (s *Suite) Run(t *testing.T) {
	for storage, decorator := range map[string]generic.StorageDecorator{
		"etcd": generic.UndecoratedStorage, "watch cache": registry.StorageWithCacher(),
	} {
		t.Run(storage, func(t *testing.T) {
			for suite, test := range map[string]func(*generictesting.Tester){
				"create": func(tester *generictesting.Tester) { tester.TestCreate(s.named(), s.invalid()...) },
				"update": func(tester *generictesting.Tester) {
					tester.TestUpdate(s.named(), s.update(s.Update), s.invalidUpdates()...)
				},
				"delete": func(tester *generictesting.Tester) { tester.TestDelete(s.named()) },
				"get":    func(tester *generictesting.Tester) { tester.TestGet(s.named()) },
				"list":   func(tester *generictesting.Tester) { tester.TestList(s.named()) },
				"watch":  s.watch,
			} {
				t.Run(suite, func(t *testing.T) {
					t.Parallel() // Each has an etcd of its own, and mostly waits: for it, or for what must not come.
					store := s.NewStore(t, NewOptions(t, decorator))
					Close(t, store)
					WaitUntilReady(t, store)
					test(generictesting.New(t, store))
				})
			}
		})
	}
}

func (s *Suite) watch(tester *generictesting.Tester) {
	valid := s.named()
	accessor := access(valid)
	accessor.SetNamespace(Namespace)
	accessor.SetLabels(map[string]string{"app": "karo"})
	tester.TestWatch(valid,
		[]labels.Set{{}, {"app": "karo"}},
		[]labels.Set{{"app": "other"}, {"other": "karo"}},
		append([]fields.Set{{}, {"metadata.name": name}, {"metadata.name": name, "metadata.namespace": Namespace}}, s.FieldsPass...),
		append([]fields.Set{{"metadata.name": "bar"}, {"metadata.namespace": "other"}}, s.FieldsFail...),
	)
}

func (s *Suite) named() runtime.Object {
	obj := s.Valid()
	access(obj).SetName(name)
	return obj
}

func (s *Suite) invalid() []runtime.Object {
	var objs []runtime.Object
	for _, problem := range slices.Sorted(maps.Keys(s.Invalid)) {
		obj := s.named()
		s.Invalid[problem](obj)
		objs = append(objs, obj)
	}
	return objs
}

func (s *Suite) update(change func(runtime.Object)) generictesting.UpdateFunc {
	return func(obj runtime.Object) runtime.Object {
		obj = obj.DeepCopyObject()
		change(obj)
		return obj
	}
}

func (s *Suite) invalidUpdates() []generictesting.UpdateFunc {
	var updates []generictesting.UpdateFunc
	for _, problem := range slices.Sorted(maps.Keys(s.InvalidUpdates)) {
		updates = append(updates, s.update(s.InvalidUpdates[problem]))
	}
	return updates
}

// access returns the metadata of an object, which every kind that is stored has.
func access(obj runtime.Object) metav1.Object { return obj.(metav1.Object) }

// Create creates an object in Namespace.
func Create[T runtime.Object](t testing.TB, store rest.Creater, obj T) T {
	t.Helper()
	created, err := store.Create(Context(t), obj, rest.ValidateAllObjectFunc, &metav1.CreateOptions{})
	if err != nil {
		t.Fatalf("creating: %v", err)
	}
	return created.(T)
}

// Update changes an object in Namespace and returns what is stored.
func Update[T runtime.Object](t testing.TB, updater rest.Updater, obj T, change func(T)) T {
	t.Helper()
	changed := obj.DeepCopyObject().(T)
	change(changed)
	updated, created, err := updater.Update(Context(t), access(obj).GetName(), rest.DefaultUpdatedObjectInfo(changed),
		rest.ValidateAllObjectFunc, rest.ValidateAllObjectUpdateFunc, false, &metav1.UpdateOptions{})
	if err != nil {
		t.Fatalf("updating: %v", err)
	}
	if created {
		t.Fatal("the update created an object")
	}
	return updated.(T)
}

// ExpectSelectableFields fails unless a store sets, for every object, exactly the fields that the API says can be
// selected by. One that it does not set would select nothing, without a word.
func ExpectSelectableFields(t *testing.T, store *registry.Store, kind string) {
	t.Helper()
	predicate := store.PredicateFunc(labels.Everything(), fields.Everything())
	obj := store.NewFunc()
	access(obj).SetLabels(map[string]string{"a": "b"})
	gotLabels, gotFields, err := predicate.GetAttrs(obj)
	if err != nil {
		t.Fatalf("attributes of %T: %v", obj, err)
	}
	if diff := cmp.Diff(labels.Set{"a": "b"}, gotLabels); diff != "" {
		t.Errorf("labels (-want +got):\n%s", diff)
	}
	want := append([]string{"metadata.name", "metadata.namespace"}, karo.SelectableFields[kind]...)
	slices.Sort(want)
	if got := slices.Sorted(maps.Keys(gotFields)); !slices.Equal(got, want) {
		t.Errorf("the store sets the fields %q, and the API takes %q", got, want)
	}
}

// ExpectResetFields fails unless a strategy says that exactly these fields of v1 are reset by a request.
func ExpectResetFields(t *testing.T, strategy rest.ResetFieldsStrategy, paths ...fieldpath.Path) {
	t.Helper()
	want := fieldpath.NewSet(paths...)
	got := strategy.GetResetFields()
	if len(got) != 1 || !got["karo.io/v1"].Equals(want) {
		t.Errorf("got the reset fields %v, want %s of karo.io/v1", got, want)
	}
}

// StatusResets are the fields that a request to the status subresource of a resource resets.
func StatusResets() []fieldpath.Path {
	return []fieldpath.Path{
		fieldpath.MakePathOrDie("spec"),
		fieldpath.MakePathOrDie("metadata", "labels"),
		fieldpath.MakePathOrDie("metadata", "annotations"),
		fieldpath.MakePathOrDie("metadata", "finalizers"),
		fieldpath.MakePathOrDie("metadata", "ownerReferences"),
	}
}

// ExpectTable fails unless an object is printed as these cells. The last, its age, is left out.
func ExpectTable(t *testing.T, convertor rest.TableConvertor, obj runtime.Object, want map[string]any) {
	t.Helper()
	table, err := convertor.ConvertToTable(t.Context(), obj, nil)
	if err != nil {
		t.Fatalf("converting to a table: %v", err)
	}
	if len(table.Rows) != 1 || len(table.Rows[0].Cells) != len(table.ColumnDefinitions) {
		t.Fatalf("got rows %v for %d columns, want one", table.Rows, len(table.ColumnDefinitions))
	}
	got := map[string]any{}
	for i, column := range table.ColumnDefinitions {
		if column.Name != "Age" {
			got[column.Name] = table.Rows[0].Cells[i]
		}
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("(-want +got):\n%s", cmp.Diff(want, got))
	}
}

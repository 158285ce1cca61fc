// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	clientv3 "go.etcd.io/etcd/client/v3"
	apidiscoveryv2 "k8s.io/api/apidiscovery/v2"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/managedfields"
	"k8s.io/client-go/openapi3"
	"k8s.io/kube-openapi/pkg/spec3"
	"k8s.io/kube-openapi/pkg/validation/spec"

	v1 "karo.io/karo/pkg/apis/karo/v1"
	"karo.io/karo/pkg/registry/karo/registrytest"
)

// served is what discovery says of a resource. Lists are words, in order.
type served struct {
	Kind, Singular, Verbs, ShortNames, Categories string
	Namespaced                                    bool
}

// field is a field of a spec, given in JSON, with another value that it could have.
type field struct {
	path, given, other string
}

// row is one row of the table of all that Karo serves.
type row struct {
	served
	// What follows is of resources that keep objects. Columns are those of their tables, and fields those that a field
	// selector may name.
	columns, fields string
	// fill makes some objects in an empty namespace.
	fill func(s *subject, t *testing.T)
	// connects is whether a create is a request to a name, and what it sends is not kept.
	connects bool
	// settled says what Karo has still to write to an object.
	settled func(*unstructured.Unstructured) error

	// What follows is of resources that clients write. Spec is one that is valid, and field one of its fields.
	spec  string
	field field
	// status is a field of the status, and a value that Karo leaves there.
	status [2]string
	// merges is a strategic merge patch that, where there is one, adds a second item to the list at mergedAt.
	merges, mergedAt string
}

const (
	every    = "create delete deletecollection get list patch update watch"
	readOnly = "delete deletecollection get list watch"
	ofStatus = "get patch update"

	reactionSpec = `{"alertName":"A","actions":[{"name":"act","image":"busybox"}]}`
	mergeAction  = `{"spec":{"actions":[{"name":"second","image":"busybox"}]}}`
)

var (
	alertReaction = served{Kind: "AlertReaction", Singular: "alertreaction", Verbs: every, ShortNames: "ar", Categories: "karo", Namespaced: true}
	reactionRow   = &row{
		served:  alertReaction,
		columns: "Name,Alert,Actions,Suspend,Triggered,Last Triggered,Matchers,When,Scope,Last Skipped,Age", fields: "spec.alertName spec.suspend",
		fill: (*subject).createAll, settled: reactionSettled,
		spec: reactionSpec, field: field{"spec.alertName", `"alertName":"A"`, `"alertName":"B"`},
		status: [2]string{"lastMatched", "2026-01-02T03:04:05Z"}, merges: mergeAction, mergedAt: "spec.actions",
	}
	reactionStatus = &row{served: served{Kind: "AlertReaction", Verbs: ofStatus, Namespaced: true}}
)

// resources is the table, by version and path. What is served and is not here fails the test, and the other way round.
var resources = map[string]*row{
	"v1/alertreactions":            reactionRow,
	"v1/alertreactions/status":     reactionStatus,
	"v1/alertreactions/executions": {served: served{Kind: "ExecutionRequest", Verbs: "create get", Namespaced: true}},
	"v1/executions": {
		served:  served{Kind: "Execution", Singular: "execution", Verbs: every, ShortNames: "ex", Categories: "karo", Namespaced: true},
		columns: "Name,Reaction,Alert,Status,Actions,Reason,Instance,Duration,By,Age",
		fields:  "spec.reaction.name spec.alert.name spec.alert.fingerprint status.phase",
		fill: func(s *subject, t *testing.T) {
			newReaction(t, s.namespace, "r", "A", "busybox")
			newReaction(t, s.namespace, "unrun", "A", "busybox")
			s.createAll(t)
		}, settled: executionSettled,
		spec:   `{"reaction":{"name":"r"},"alert":{"labels":{"alertname":"A","instance":"db-1"}}}`,
		field:  field{"spec.reaction.name", `"name":"r"`, `"name":"unrun"`},
		status: [2]string{"reason", "Tested"},
	},
	"v1/executions/status": {served: served{Kind: "Execution", Verbs: ofStatus, Namespaced: true}},
	"v1/executions/cancel": {served: served{Kind: "ExecutionCancellation", Verbs: "create", Namespaced: true}},
	"v1/alerts": {
		served:  served{Kind: "Alert", Singular: "alert", Verbs: "create " + readOnly, ShortNames: "al", Categories: "karo", Namespaced: true},
		columns: "Name,Alert,Status,Since,Last Seen,Reactions,Instance,Age", connects: true,
		fill: func(s *subject, t *testing.T) {
			newReaction(t, s.namespace, "r", "A", "busybox")
			s.wire.trigger(t, s.namespace, firing("A", time.Now(), "n", "1"), firing("A", time.Now(), "n", "2"), firing("A", time.Now(), "n", "3"))
		},
	},
	"v1/reactionrevisions": {
		served:  served{Kind: "ReactionRevision", Singular: "reactionrevision", Verbs: readOnly, Categories: "karo", Namespaced: true},
		columns: "Name,Reaction,Generation,Age",
		fill: func(s *subject, t *testing.T) {
			for i := range pool {
				newReaction(t, s.namespace, fmt.Sprintf("r-%d", i), "A", "busybox")
			}
			s.wire.trigger(t, s.namespace, firing("A", time.Now()))
		},
	},
	"v1/clusteralerts":               {served: served{Kind: "ClusterAlertNotification", Singular: "clusteralert", Verbs: "create"}, connects: true},
	"v1alpha1/alertreactions":        reactionRow,
	"v1alpha1/alertreactions/status": reactionStatus,
}

// words returns a list as the table has it.
func words(list []string) string { return strings.Join(slices.Sorted(slices.Values(list)), " ") }

// What discovery says, in both of its forms, is what the table says, and all of the table is tested.
func TestResourcesDiscovery(t *testing.T) {
	api := newWire(t)
	want := map[string]served{}
	for path, r := range resources {
		want[path] = r.served
		if strings.Contains(r.Verbs, "list") && r.fill == nil {
			t.Errorf("%s keeps objects, and the table does not say how to make some", path)
		}
		if strings.Contains(r.Verbs, "update") && !strings.HasSuffix(path, "/status") && r.spec == "" {
			t.Errorf("%s can be written, and the table does not say how", path)
		}
	}

	var group metav1.APIGroup
	api.send(t, "GET", "/apis/karo.io", "").is(t, 200).into(t, &group)
	plain := map[string]served{}
	for _, version := range group.Versions {
		var list metav1.APIResourceList
		api.send(t, "GET", "/apis/"+version.GroupVersion, "").is(t, 200).into(t, &list)
		for _, r := range list.APIResources {
			plain[version.Version+"/"+r.Name] = served{r.Kind, r.SingularName, words(r.Verbs), words(r.ShortNames), words(r.Categories), r.Namespaced}
		}
	}
	if diff := cmp.Diff(want, plain); diff != "" {
		t.Errorf("discovery (-want +got):\n%s", diff)
	}
	if group.PreferredVersion.Version != "v1" {
		t.Errorf("%s is preferred", group.PreferredVersion.Version)
	}

	var all apidiscoveryv2.APIGroupDiscoveryList
	api.send(t, "GET", "/apis", "", "Accept", "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList").is(t, 200).into(t, &all)
	i := slices.IndexFunc(all.Items, func(g apidiscoveryv2.APIGroupDiscovery) bool { return g.Name == "karo.io" })
	if i < 0 {
		t.Fatal("aggregated discovery does not have karo.io")
	}
	aggregated := map[string]served{}
	for _, version := range all.Items[i].Versions {
		if version.Freshness != apidiscoveryv2.DiscoveryFreshnessCurrent {
			t.Errorf("%s is %s", version.Version, version.Freshness)
		}
		for _, r := range version.Resources {
			path, namespaced := version.Version+"/"+r.Resource, r.Scope == apidiscoveryv2.ScopeNamespace
			aggregated[path] = served{kindOf(r.ResponseKind), r.SingularResource, words(r.Verbs), words(r.ShortNames), words(r.Categories), namespaced}
			for _, sub := range r.Subresources {
				aggregated[path+"/"+sub.Subresource] = served{Kind: kindOf(sub.ResponseKind), Verbs: words(sub.Verbs), Namespaced: namespaced}
			}
		}
	}
	if diff := cmp.Diff(want, aggregated); diff != "" {
		t.Errorf("aggregated discovery (-want +got):\n%s", diff)
	}
}

// kindOf returns the name of a kind that aggregated discovery may not have said.
func kindOf(kind *metav1.GroupVersionKind) string {
	if kind == nil {
		return ""
	}
	return kind.Kind
}

// reference is what stands in a document of OpenAPI where a definition is meant.
var reference = regexp.MustCompile(`"\$ref":\s*"#/(?:definitions|components/schemas)/([^"]*)"`)

// The documents of both versions of OpenAPI can be read, refer to nothing that is not there, and describe every row.
func TestResourcesOpenAPI(t *testing.T) {
	api := newWire(t)
	var swagger spec.Swagger
	// The kube-apiserver asks Karo for its document some time after it has begun to serve it.
	eventually(t, "the document of karo.io", func(context.Context) error {
		swagger = spec.Swagger{}
		api.send(t, "GET", "/openapi/v2", "").is(t, 200).into(t, &swagger)
		if _, ok := swagger.Definitions["io.karo.v1alpha1.AlertReaction"]; !ok {
			return fmt.Errorf("there are %d definitions", len(swagger.Definitions))
		}
		return nil
	})
	schemas := map[string]*spec.Schema{}
	for name, s := range swagger.Definitions {
		schemas[name] = &s
	}
	checkDocument(t, "v2", &swagger, schemas, "")

	root := openapi3.NewRoot(cluster.Client.Discovery().OpenAPIV3())
	for _, version := range []string{"v1", "v1alpha1"} {
		var document *spec3.OpenAPI
		eventually(t, "the document of "+version, func(context.Context) error {
			var err error
			document, err = root.GVSpec(schema.GroupVersion{Group: "karo.io", Version: version})
			return err
		})
		checkDocument(t, "v3", document, document.Components.Schemas, version+"/")
		// Server-side apply, and clients that merge themselves, read objects by these schemas.
		converter, err := managedfields.NewTypeConverter(document.Components.Schemas, false)
		if err != nil {
			t.Fatalf("%s: %v", version, err)
		}
		obj := &unstructured.Unstructured{}
		manifest := fmt.Sprintf(`{"apiVersion":"karo.io/%s","kind":"AlertReaction","metadata":{"name":"r"},"spec":%s}`, version, reactionSpec)
		if err := obj.UnmarshalJSON([]byte(manifest)); err != nil {
			t.Fatal(err)
		}
		if _, err := converter.ObjectToTyped(obj); err != nil {
			t.Errorf("%s: %v", version, err)
		}
	}
}

// operations is the part of a document, of either version, that says what can be done: by path and method.
type operations struct {
	Paths map[string]map[string]json.RawMessage
}

// checkDocument fails the test when a definition cannot be referred to, a reference leads nowhere, or something of those
// rows of the table is not described whose path begins with prefix.
func checkDocument(t *testing.T, what string, document any, schemas map[string]*spec.Schema, prefix string) {
	t.Helper()
	for name := range schemas {
		if strings.ContainsAny(name, "/~% ") || strings.Contains(name, "karo") && !strings.HasPrefix(name, "io.karo.") {
			t.Errorf("%s: a definition is called %q", what, name)
		}
	}
	text, err := json.Marshal(document)
	if err != nil {
		t.Fatal(err)
	}
	found := reference.FindAllSubmatch(text, -1)
	if len(found) == 0 {
		t.Errorf("%s has no reference", what)
	}
	for _, match := range found {
		if schemas[string(match[1])] == nil {
			t.Errorf("%s: nothing is called %s", what, match[1])
		}
	}
	var can operations
	if err := json.Unmarshal(text, &can); err != nil {
		t.Fatal(err)
	}
	for path, r := range resources {
		if strings.HasPrefix(path, prefix) {
			r.checkDescribed(t, what, path, schemas, can)
		}
	}
}

// checkDescribed fails the test unless a document has the kinds of a resource, and an operation for each of its verbs.
func (r *row) checkDescribed(t *testing.T, what, path string, schemas map[string]*spec.Schema, can operations) {
	t.Helper()
	const extension = "x-kubernetes-group-version-kind"
	version, plural, _ := strings.Cut(path, "/")
	plural, sub, _ := strings.Cut(plural, "/")
	kinds := []string{r.Kind}
	switch {
	case strings.Contains(r.Verbs, "list"):
		kinds = append(kinds, r.Kind+"List")
	case r.connects:
		kinds = nil // OpenAPI does not describe what is sent to, and answered by, a resource that is connected to.
	}
	for _, kind := range kinds {
		name := "io.karo." + version + "." + kind
		if schemas[name] == nil {
			t.Errorf("%s: there is no %s", what, name)
			continue
		}
		want := []any{map[string]any{"group": "karo.io", "version": version, "kind": kind}}
		if diff := cmp.Diff(any(want), schemas[name].Extensions[extension]); diff != "" {
			t.Errorf("%s: %s (-want +got):\n%s", what, name, diff)
		}
	}
	collection := "/apis/karo.io/" + version + "/namespaces/{namespace}/" + plural
	if !r.Namespaced {
		collection = "/apis/karo.io/" + version + "/" + plural
	}
	item := collection + "/{name}"
	if sub != "" {
		item += "/" + sub
		collection = item
	}
	created := collection
	if r.connects {
		created = item
	}
	for verb := range strings.FieldsSeq(r.Verbs) {
		operation := map[string][2]string{
			"create": {"post", created}, "list": {"get", collection}, "deletecollection": {"delete", collection},
			"get": {"get", item}, "update": {"put", item}, "patch": {"patch", item}, "delete": {"delete", item},
			"watch": {"get", "/apis/karo.io/" + version + "/watch/namespaces/{namespace}/" + plural},
		}[verb]
		var described map[string]any
		if err := json.Unmarshal(can.Paths[operation[1]][operation[0]], &described); err != nil {
			t.Errorf("%s has no %v", what, operation)
			continue
		}
		want := map[string]any{"group": "karo.io", "version": version, "kind": r.Kind}
		if diff := cmp.Diff(any(want), described[extension]); diff != "" {
			t.Errorf("%s: %v (-want +got):\n%s", what, operation, diff)
		}
	}
}

// pool is how many objects of a resource there are for its tests.
const pool = 3

// subject is a resource under test, with objects in a namespace of its own.
type subject struct {
	*row
	wire                       wire
	version, plural, namespace string
	// names are those of the objects, and before is a resourceVersion from before there were any.
	names  []string
	before string
}

// Every resource that keeps objects does what clients, controllers and tools expect of any resource of Kubernetes.
func TestResources(t *testing.T) {
	for _, path := range slices.Sorted(maps.Keys(resources)) {
		if resources[path].fill == nil {
			continue
		}
		t.Run(path, func(t *testing.T) {
			s := newSubject(t, path)
			t.Run("etcd", s.testEtcd)
			t.Run("table", s.testTable)
			t.Run("pages", s.testPages)
			t.Run("watch", s.testWatch)
			t.Run("field selectors", s.testFieldSelectors)
			if s.spec != "" {
				t.Run("field validation", s.testFieldValidation)
				t.Run("patch", s.testPatch)
				t.Run("apply", s.testApply)
				t.Run("reset fields", s.testResetFields)
			}
			t.Run("dry run", s.testDryRun)
			t.Run("delete", s.testDelete)
		})
	}
	// A resource that the table does not have would be found here by what it keeps.
	for key := range revisions(t, newEtcd(t), "/registry/") {
		if key == "/registry/karo/store" {
			continue // The identity of the store is no object of the API.
		}
		parts := strings.Split(strings.TrimPrefix(key, "/registry/karo.io/"), "/")
		if r := resources["v1/"+parts[0]]; r == nil || r.fill == nil || len(parts) != 3 {
			t.Errorf("etcd has %s", key)
		}
	}
}

func newSubject(t *testing.T, path string) *subject {
	version, plural, _ := strings.Cut(path, "/")
	s := &subject{row: resources[path], version: version, plural: plural, wire: newWire(t), namespace: newNamespace(t)}
	s.before = s.send(t, "GET", s.url(""), "").is(t, 200).object(t).GetResourceVersion()
	s.fill(s, t)
	eventually(t, fmt.Sprintf("%d %s", pool, plural), func(context.Context) error {
		s.names = namesIn(t, s.list(t))
		if len(s.names) != pool {
			return fmt.Errorf("there are %v", s.names)
		}
		return nil
	})
	for _, name := range s.names {
		s.settle(t, name)
	}
	return s
}

// url returns the path of an object, or of all if that has no name, with parameters of the query.
func (s *subject) url(name string, params ...string) string {
	path := "/apis/karo.io/" + s.version + "/namespaces/" + s.namespace + "/" + s.plural
	if name != "" {
		path += "/" + name
	}
	return path + "?" + strings.Join(params, "&")
}

func (s *subject) send(t *testing.T, method, url, body string, headers ...string) answer {
	t.Helper()
	return s.wire.send(t, method, url, body, headers...)
}

func (s *subject) get(t *testing.T, name string) *unstructured.Unstructured {
	t.Helper()
	return s.send(t, "GET", s.url(name), "").is(t, 200).object(t)
}

func (s *subject) list(t *testing.T, params ...string) *unstructured.Unstructured {
	t.Helper()
	return s.send(t, "GET", s.url("", params...), "").is(t, 200).object(t)
}

func (s *subject) patch(t *testing.T, name, kind, body string, params ...string) answer {
	t.Helper()
	return s.send(t, "PATCH", s.url(name, params...), body, "Content-Type", kind)
}

// manifest returns an object as a client writes it. More of its metadata, and more beside its spec, may be given.
func (s *subject) manifest(name, spec, metadata, more string) string {
	return fmt.Sprintf(`{"apiVersion":"karo.io/%s","kind":"%s","metadata":{"name":"%s"%s},"spec":%s%s}`, s.version, s.Kind, name, metadata, spec, more)
}

// otherSpec returns a valid spec with another value in the field of the table.
func (s *subject) otherSpec() string { return strings.Replace(s.spec, s.field.given, s.field.other, 1) }

func (s *subject) statusOf(value string) string {
	return fmt.Sprintf(`"status":{"%s":"%s"}`, s.status[0], value)
}

func (s *subject) createAll(t *testing.T) {
	for i := range pool {
		s.send(t, "POST", s.url(""), s.manifest(fmt.Sprintf("pool-%d", i), s.spec, "", "")).is(t, 201)
	}
}

// settle waits until Karo has nothing more to write to an object, so that whatever changes it afterwards is the test.
func (s *subject) settle(t *testing.T, name string) *unstructured.Unstructured {
	t.Helper()
	var obj *unstructured.Unstructured
	eventually(t, name+" to settle", func(context.Context) error {
		if obj = s.get(t, name); s.settled == nil {
			return nil
		}
		return s.settled(obj)
	})
	return obj
}

// stored returns when each object of the resource was written last, in the counting of etcd, and what other objects of
// Karo there are in the namespace, where nothing else makes some.
func (s *subject) stored(t *testing.T, etcd *clientv3.Client) map[string]int64 {
	t.Helper()
	found := map[string]int64{}
	for path, r := range resources {
		version, plural, _ := strings.Cut(path, "/")
		if r.fill == nil || version != "v1" || s.spec == "" && plural != s.plural {
			continue
		}
		for key, revision := range revisions(t, etcd, "/registry/karo.io/"+plural+"/"+s.namespace+"/") {
			if found[key] = revision; plural != s.plural {
				found[key] = 0 // Karo goes on to write what runs do to their reactions.
			}
		}
	}
	return found
}

// Objects are where, and in the version in which, every later release of Karo will look for them.
func (s *subject) testEtcd(t *testing.T) {
	etcd := newEtcd(t)
	for _, name := range s.names {
		key := "/registry/karo.io/" + s.plural + "/" + s.namespace + "/" + name
		resp, err := etcd.Get(t.Context(), key)
		if err != nil || len(resp.Kvs) != 1 {
			t.Fatalf("%s: %v %v", key, resp, err)
		}
		var stored metav1.PartialObjectMetadata
		if err := json.Unmarshal(registrytest.JSON(t, string(resp.Kvs[0].Value)), &stored); err != nil {
			t.Fatalf("%s: %v", key, err)
		}
		if stored.APIVersion != "karo.io/v1" || stored.Kind != s.Kind || stored.Name != name || stored.Namespace != s.namespace {
			t.Errorf("%s is a %s of %s, %s/%s", key, stored.Kind, stored.APIVersion, stored.Namespace, stored.Name)
		}
	}
}

// kubectl shows tables, and controllers that need no more read metadata alone.
func (s *subject) testTable(t *testing.T) {
	as := func(kind string) string { return "application/json;as=" + kind + ";v=v1;g=meta.k8s.io" }
	for _, name := range []string{"", s.names[0]} {
		for include, kind := range map[string]string{"": "PartialObjectMetadata", "Object": s.Kind} {
			var table metav1.Table
			s.send(t, "GET", s.url(name, "includeObject="+include), "", "Accept", as("Table")).is(t, 200).into(t, &table)
			var columns, rows []string
			for _, column := range table.ColumnDefinitions {
				columns = append(columns, column.Name)
				if column.Type == "" || column.Description == "" {
					t.Errorf("column %s has the type %q and is described as %q", column.Name, column.Type, column.Description)
				}
			}
			if diff := cmp.Diff(s.columns, strings.Join(columns, ",")); table.Kind != "Table" || diff != "" {
				t.Errorf("a %s (-want +got):\n%s", table.Kind, diff)
			}
			for _, row := range table.Rows {
				var obj metav1.PartialObjectMetadata
				if err := json.Unmarshal(row.Object.Raw, &obj); err != nil {
					t.Fatal(err)
				}
				if obj.Kind != kind || len(row.Cells) != len(columns) || row.Cells[0] != obj.Name {
					t.Errorf("row %v is of a %s %s", row.Cells, obj.Kind, obj.Name)
				}
				rows = append(rows, obj.Name)
			}
			if want := s.only(name); words(rows) != words(want) || table.ResourceVersion == "" {
				t.Errorf("rows of %v at %q, want %v", rows, table.ResourceVersion, want)
			}
		}
	}
	list := s.send(t, "GET", s.url(""), "", "Accept", as("PartialObjectMetadataList")).is(t, 200).object(t)
	if names := namesIn(t, list); list.GetKind() != "PartialObjectMetadataList" || !slices.Equal(names, s.names) {
		t.Errorf("a %s of %v", list.GetKind(), names)
	}
	one := s.send(t, "GET", s.url(s.names[0]), "", "Accept", as("PartialObjectMetadata")).is(t, 200).object(t)
	if one.GetKind() != "PartialObjectMetadata" || one.GetName() != s.names[0] || one.Object["spec"] != nil {
		t.Errorf("%v", one.Object)
	}
	first := s.wire.watch(t, s.url("", "watch=1", "resourceVersion="+s.before), "Accept", as("Table"))()
	if rows, _, _ := unstructured.NestedSlice(first.Object.Object, "rows"); first.Type != "ADDED" || first.Object.GetKind() != "Table" || len(rows) != 1 {
		t.Errorf("the first event is %v", first)
	}
}

// only returns a name, or all if there is none.
func (s *subject) only(name string) []string {
	if name == "" {
		return s.names
	}
	return []string{name}
}

// A list in parts has everything once, as of one moment.
func (s *subject) testPages(t *testing.T) {
	var names []string
	at, next := "", ""
	for page := 0; page == 0 || next != ""; page++ {
		list := s.list(t, "limit=1", "continue="+next)
		if page == 0 {
			at = list.GetResourceVersion()
		} else if rv := list.GetResourceVersion(); rv != at {
			t.Errorf("page %d is as of %s, the first one as of %s", page, rv, at)
		}
		remaining, _, _ := unstructured.NestedInt64(list.Object, "metadata", "remainingItemCount")
		if want := int64(pool - page - 1); remaining != want {
			t.Errorf("page %d says that %d remain, not %d", page, remaining, want)
		}
		page := namesIn(t, list)
		if len(page) != 1 {
			t.Fatalf("a page of %v", page)
		}
		names, next = append(names, page...), list.GetContinue()
	}
	if diff := cmp.Diff(s.names, names); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// A watch tells what happened since a resourceVersion, or begins with what there is and says where that ends.
func (s *subject) testWatch(t *testing.T) {
	next := s.wire.watch(t, s.url("", "watch=1", "resourceVersion="+s.before))
	added := map[string]bool{}
	for len(added) < pool {
		if e := next(); e.Type == "ADDED" && e.Object.GetKind() == s.Kind && e.Object.GetAPIVersion() == "karo.io/"+s.version {
			added[e.Object.GetName()] = true
		} else if e.Type != "MODIFIED" || !added[e.Object.GetName()] {
			t.Fatalf("%v after %v", e, added)
		}
	}
	if names := slices.Sorted(maps.Keys(added)); !slices.Equal(names, s.names) {
		t.Errorf("%v were added", names)
	}
	if s.spec != "" {
		s.patch(t, s.names[0], mergePatch, `{"metadata":{"labels":{"watched":"yes"}}}`).is(t, 200)
		for e := next(); e.Object.GetLabels()["watched"] == ""; e = next() {
			if e.Type != "MODIFIED" {
				t.Fatalf("%v", e)
			}
		}
	}

	next = s.wire.watch(t, s.url("", "watch=1", "sendInitialEvents=true", "resourceVersionMatch=NotOlderThan", "allowWatchBookmarks=true"))
	var initial []string
	for e := next(); ; e = next() {
		if e.Type == "BOOKMARK" {
			if e.Object.GetAnnotations()[metav1.InitialEventsAnnotationKey] != "true" || e.Object.GetResourceVersion() == "" || e.Object.GetKind() != s.Kind {
				t.Errorf("the bookmark is %v", e)
			}
			break
		}
		if e.Type != "ADDED" {
			t.Fatalf("%v", e)
		}
		initial = append(initial, e.Object.GetName())
	}
	if words(initial) != words(s.names) {
		t.Errorf("the watch began with %v", initial)
	}
}

// A field selector names a field of the table, in the words of the version, and no other.
func (s *subject) testFieldSelectors(t *testing.T) {
	obj := s.get(t, s.names[0])
	for path := range strings.FieldsSeq("metadata.name metadata.namespace " + s.fields) {
		value, found, err := unstructured.NestedFieldNoCopy(obj.Object, strings.Split(path, ".")...)
		if err != nil || !found {
			value = false // What is not there is spec.suspend, which is false.
		}
		for selector, want := range map[string]bool{
			fmt.Sprintf("%s%%3D%v", path, value): true, fmt.Sprintf("%s!%%3D%v", path, value): false, path + "%3Dnone": false,
		} {
			if got := slices.Contains(namesIn(t, s.list(t, "fieldSelector="+selector)), s.names[0]); got != want {
				t.Errorf("%s selects it: %v, want %v", selector, got, want)
			}
		}
	}
	for _, path := range []string{"spec.unknown", "metadata.uid", "status"} {
		selector := "fieldSelector=" + path + "%3Dx"
		says := fmt.Sprintf(`field label \"%s\" not supported for %s; supported: [\"metadata.name\" \"metadata.namespace\"`, path, s.Kind)
		s.send(t, "GET", s.url("", selector), "").is(t, 400, says)
		s.send(t, "GET", s.url("", "watch=1", selector), "").is(t, 400, says)
		s.send(t, "DELETE", s.url("", selector), "").is(t, 400, says)
	}
}

// A field that there is not, or that is there twice, is refused, told or ignored, as the client wishes.
func (s *subject) testFieldValidation(t *testing.T) {
	parent, last := s.field.path[:strings.LastIndex(s.field.path, ".")], s.field.path[strings.LastIndex(s.field.path, ".")+1:]
	unknown, twice := fmt.Sprintf(`unknown field \"%s.unknownField\"`, parent), fmt.Sprintf(`duplicate field \"%s\"`, s.field.path)
	spoil := func(spec string) string {
		return strings.Replace(spec, s.field.given, s.field.given+`,"unknownField":1,`+s.field.given, 1)
	}
	name := s.names[0]
	// The spec of an Execution has to be written with what Karo has added to it.
	metadata, stored, _ := strings.Cut(text(t, s.get(t, name)), `"spec":`)
	for what, request := range map[string]struct {
		method, name, body, contentType string
		accepted, refused               int
		says                            []string
	}{
		"create": {"POST", "", s.manifest("new", spoil(s.spec), "", ""), "application/json", 201, 400, []string{unknown, twice}},
		// Of a field in YAML that is there twice only the last part of the path is known.
		"create YAML":     {"POST", "", s.manifest("new", spoil(s.spec), "", ""), "application/yaml", 201, 400, []string{unknown, `key \"` + last + `\" already set in map`}},
		"update":          {"PUT", name, metadata + `"spec":` + spoil(stored), "application/json", 200, 400, []string{unknown, twice}},
		"merge patch":     {"PATCH", name, `{"spec":` + spoil(s.spec) + `}`, mergePatch, 200, 422, []string{unknown, twice}},
		"strategic patch": {"PATCH", name, `{"spec":` + spoil(s.spec) + `}`, strategicPatch, 200, 422, []string{unknown, twice}},
		"JSON patch": {"PATCH", name, `[{"op":"add","path":"/` + strings.ReplaceAll(parent, ".", "/") + `/unknownField","value":1}]`,
			jsonPatch, 200, 422, []string{unknown}},
	} {
		for validation, told := range map[string]bool{"Warn": true, "": true, "Ignore": false} {
			a := s.send(t, request.method, s.url(request.name, "dryRun=All", "fieldValidation="+validation), request.body, "Content-Type", request.contentType)
			a.is(t, request.accepted)
			for _, says := range request.says {
				if strings.Contains(a.warnings(), says) != told {
					t.Errorf("%s: %q warns of %s: %v, want %v; it warns: %s", what, validation, says, !told, told, a.warnings())
				}
			}
		}
		s.send(t, request.method, s.url(request.name, "dryRun=All", "fieldValidation=Strict"), request.body, "Content-Type", request.contentType).
			is(t, request.refused, request.says...)
	}
	// Nobody can own a field that there is not.
	s.patch(t, name, applyPatch, s.manifest(name, strings.Replace(s.spec, s.field.given, s.field.given+`,"unknownField":1`, 1), "", ""), "dryRun=All", "fieldManager=m").
		is(t, 500, "."+parent+".unknownField: field not declared in schema")
}

// Every kind of patch changes an object, and its status.
func (s *subject) testPatch(t *testing.T) {
	name := s.names[0]
	for kind, body := range map[string]string{
		jsonPatch:      `[{"op":"test","path":"/metadata/name","value":"` + name + `"},{"op":"add","path":"/metadata/labels/patched","value":"json"}]`,
		mergePatch:     `{"metadata":{"labels":{"patched":"merge"}}}`,
		strategicPatch: `{"metadata":{"labels":{"patched":"strategic"}}}`,
		applyPatch:     s.manifest(name, s.spec, `,"labels":{"patched":"apply"}`, ""),
	} {
		want := strings.TrimPrefix(regexp.MustCompile(`^application/(\w+)`).FindString(kind), "application/")
		s.patch(t, name, mergePatch, `{"metadata":{"labels":{"any":"one"}}}`).is(t, 200) // A JSON patch needs labels to be there.
		s.patch(t, name, kind, body, "fieldManager=patcher", forced(kind)).is(t, 200)
		if got := s.get(t, name).GetLabels()["patched"]; got != want {
			t.Errorf("%s: the label is %q", kind, got)
		}
	}
	s.patch(t, name, jsonPatch, `[{"op":"test","path":"/metadata/name","value":"other"}]`).is(t, 422)
	s.patch(t, name, "application/x-patch", `{}`).is(t, 415)
	if s.merges != "" {
		s.send(t, "POST", s.url(""), s.manifest("merged", s.spec, "", "")).is(t, 201)
		s.patch(t, "merged", strategicPatch, s.merges).is(t, 200)
		items, _, _ := unstructured.NestedSlice(s.get(t, "merged").Object, strings.Split(s.mergedAt, ".")...)
		want := 2
		if s.version == "v1alpha1" {
			want = 1 // There the list is one value, as it was before v1.
		}
		if len(items) != want {
			t.Errorf("after a strategic merge by name there are %v", items)
		}
		s.send(t, "DELETE", s.url("merged"), "").is(t, 200)
	}
	if resources[s.version+"/"+s.plural+"/status"] == nil {
		return
	}
	for kind, body := range map[string]string{
		jsonPatch:      fmt.Sprintf(`[{"op":"add","path":"/status/%s","value":"%s"}]`, s.status[0], s.status[1]),
		mergePatch:     "{" + s.statusOf(s.status[1]) + "}",
		strategicPatch: "{" + s.statusOf(s.status[1]) + "}",
		applyPatch:     fmt.Sprintf(`{"apiVersion":"karo.io/%s","kind":"%s",%s}`, s.version, s.Kind, s.statusOf(s.status[1])),
	} {
		s.patch(t, name+"/status", kind, body, "fieldManager=patcher", forced(kind)).is(t, 200)
		if got, _, _ := unstructured.NestedString(s.get(t, name).Object, "status", s.status[0]); got != s.status[1] {
			t.Errorf("%s: status.%s is %q", kind, s.status[0], got)
		}
		s.patch(t, name+"/status", mergePatch, `{"status":{"`+s.status[0]+`":null}}`).is(t, 200)
	}
}

// forced takes what others own; only an apply may be asked to.
func forced(kind string) string {
	if kind == applyPatch {
		return "force=true"
	}
	return ""
}

// Server-side apply creates, changes nothing when there is nothing to change, and tells managers apart.
func (s *subject) testApply(t *testing.T) {
	const name = "applied"
	apply := func(manager, labels string, params ...string) answer {
		t.Helper()
		return s.patch(t, name, applyPatch, s.manifest(name, s.spec, labels, ""), append(params, "fieldManager="+manager)...)
	}
	apply("one", `,"labels":{"team":"a"}`).is(t, 201)
	before := s.settle(t, name).GetResourceVersion()
	apply("one", `,"labels":{"team":"a"}`).is(t, 200)
	if after := s.get(t, name).GetResourceVersion(); after != before {
		t.Errorf("applied again, the resourceVersion went from %s to %s", before, after)
	}
	apply("two", `,"labels":{"team":"b"}`).is(t, 409, `conflict with \"one\"`, ".metadata.labels.team")
	obj := apply("two", `,"labels":{"team":"b"}`, "force=true").is(t, 200).object(t)
	if one, two := owned(t, obj, "one", ""), owned(t, obj, "two", ""); obj.GetLabels()["team"] != "b" ||
		slices.Contains(one, "f:metadata.f:labels") || !slices.Contains(two, "f:metadata.f:labels") || !slices.Contains(one, "f:spec") {
		t.Errorf("labels %v; one owns %v, two %v", obj.GetLabels(), one, two)
	}
	if obj = apply("two", "").is(t, 200).object(t); obj.GetLabels()["team"] != "" {
		t.Errorf("what its owner no longer applies is still there: %v", obj.GetLabels())
	}
	s.patch(t, name, applyPatch, s.manifest(name, s.spec, "", "")).is(t, 422, "fieldManager: Required value")
	s.send(t, "DELETE", s.url(name), "").is(t, 200)
}

// Through an object its status cannot be written, and through the status nothing but the status, nor is it owned by who
// tries.
func (s *subject) testResetFields(t *testing.T) {
	if resources[s.version+"/"+s.plural+"/status"] == nil {
		t.Fatal("there is no status to write")
	}
	name := s.names[0]
	before := s.settle(t, name)
	same := func(what string, obj *unstructured.Unstructured, paths ...string) {
		t.Helper()
		for _, path := range paths {
			want, _, _ := unstructured.NestedFieldNoCopy(before.Object, strings.Split(path, ".")...)
			got, _, _ := unstructured.NestedFieldNoCopy(obj.Object, strings.Split(path, ".")...)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s changed %s (-before +after):\n%s", what, path, diff)
			}
		}
	}
	obj := s.patch(t, name, applyPatch, s.manifest(name, s.spec, "", ","+s.statusOf(s.status[1])), "fieldManager=main", "force=true").is(t, 200).object(t)
	same("an apply", obj, "status")
	if fields := owned(t, obj, "main", ""); !slices.Equal(fields, []string{"f:spec"}) {
		t.Errorf("who applied a spec and a status owns %v", fields)
	}

	const metadata = `,"labels":{"stolen":"yes"},"annotations":{"stolen":"yes"},"finalizers":["karo.io/stolen"],` +
		`"ownerReferences":[{"apiVersion":"v1","kind":"ConfigMap","name":"thief","uid":"1"}]`
	kept := []string{"spec", "metadata.labels", "metadata.annotations", "metadata.finalizers", "metadata.ownerReferences", "metadata.generation"}
	all := s.manifest(name, s.otherSpec(), metadata, ","+s.statusOf(s.status[1]))
	obj = s.patch(t, name+"/status", applyPatch, all, "fieldManager=thief", "force=true").is(t, 200).object(t)
	same("an apply of the status", obj, kept...)
	if fields := owned(t, obj, "thief", "status"); !slices.Equal(fields, []string{"f:status"}) {
		t.Errorf("who applied everything through the status owns %v", fields)
	}
	if fields := owned(t, obj, "thief", ""); fields != nil {
		t.Errorf("who applied everything through the status owns %v of the object", fields)
	}
	if got, _, _ := unstructured.NestedString(obj.Object, "status", s.status[0]); got != s.status[1] {
		t.Errorf("status.%s is %q", s.status[0], got)
	}

	// The same by updates, which give everything there is.
	before = s.get(t, name)
	changed := before.DeepCopy()
	unstructured.RemoveNestedField(changed.Object, "status", s.status[0])
	obj = s.send(t, "PUT", s.url(name, "fieldManager=putter"), text(t, changed)).is(t, 200).object(t)
	same("an update", obj, "status")
	changed.SetResourceVersion(obj.GetResourceVersion())
	var stolen map[string]any
	if err := json.Unmarshal([]byte(all), &stolen); err != nil {
		t.Fatal(err)
	}
	changed.Object["spec"] = stolen["spec"]
	changed.SetLabels(map[string]string{"stolen": "yes"})
	changed.SetAnnotations(map[string]string{"stolen": "yes"})
	changed.SetFinalizers([]string{"karo.io/stolen"})
	obj = s.send(t, "PUT", s.url(name+"/status", "fieldManager=putter"), text(t, changed)).is(t, 200).object(t)
	same("an update of the status", obj, kept...)
	if _, found, _ := unstructured.NestedString(obj.Object, "status", s.status[0]); found {
		t.Errorf("an update of the status left status.%s", s.status[0])
	}
}

// text returns an object as a client sends it.
func text(t *testing.T, obj *unstructured.Unstructured) string {
	t.Helper()
	out, err := json.Marshal(obj.Object)
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

// A dry run answers as the request would be answered, and writes nothing at all to etcd.
func (s *subject) testDryRun(t *testing.T) {
	const dry = "dryRun=All"
	name, etcd := s.names[0], newEtcd(t)
	if s.spec != "" {
		s.patch(t, name, mergePatch, `{"metadata":{"labels":{"any":"one"}}}`).is(t, 200) // A JSON patch needs labels to be there.
	}
	s.settle(t, name)
	before := s.stored(t, etcd)
	if len(before) < pool {
		t.Fatalf("etcd has only %v", before)
	}
	if s.spec != "" {
		s.send(t, "POST", s.url("", dry), s.manifest("dry", s.otherSpec(), "", "")).is(t, 201, `"name":"dry"`, `"uid":`)
		s.patch(t, "dry", applyPatch, s.manifest("dry", s.otherSpec(), "", ""), dry, "fieldManager=dry").is(t, 201)
		s.send(t, "POST", s.url("", dry), s.manifest(name, s.spec, "", "")).is(t, 409)
		s.send(t, "POST", s.url("", "dryRun=Some"), s.manifest("dry", s.spec, "", "")).is(t, 422)
	}
	if s.spec != "" {
		obj := s.get(t, name)
		obj.SetLabels(map[string]string{"dry": "yes"})
		s.send(t, "PUT", s.url(name, dry), text(t, obj)).is(t, 200, `"dry":"yes"`)
		s.send(t, "PUT", s.url(name+"/status", dry), text(t, obj)).is(t, 200)
		s.patch(t, name, jsonPatch, `[{"op":"add","path":"/metadata/labels/dry","value":"yes"}]`, dry).is(t, 200, `"dry":"yes"`)
		for _, kind := range []string{mergePatch, strategicPatch} {
			s.patch(t, name, kind, `{"metadata":{"labels":{"dry":"yes"}}}`, dry).is(t, 200, `"dry":"yes"`)
			s.patch(t, name+"/status", kind, "{"+s.statusOf(s.status[1])+"}", dry).is(t, 200, s.status[1])
		}
		s.patch(t, name, applyPatch, s.manifest(name, s.spec, `,"labels":{"dry":"yes"}`, ""), dry, "fieldManager=dry", "force=true").is(t, 200, `"dry":"yes"`)
	}
	for _, policy := range []string{"Background", "Foreground", "Orphan"} {
		s.send(t, "DELETE", s.url(name, dry, "propagationPolicy="+policy), "").is(t, 200)
	}
	s.send(t, "DELETE", s.url("", dry), "").is(t, 200)
	if diff := cmp.Diff(before, s.stored(t, etcd)); diff != "" {
		t.Errorf("what was written, by key and revision (-before +after):\n%s", diff)
	}
}

// A delete happens under the conditions, and to the objects, that are named, and is watched.
func (s *subject) testDelete(t *testing.T) {
	options := func(rest string) string { return `{"apiVersion":"v1","kind":"DeleteOptions",` + rest + `}` }
	list := s.list(t)
	if names := namesIn(t, list); !slices.Equal(names, s.names) {
		t.Fatalf("there are %v", names)
	}
	background, foreground, collected := s.names[0], s.names[1], s.names[2]
	uid := s.get(t, background).GetUID()
	s.send(t, "DELETE", s.url(background), options(`"preconditions":{"uid":"other"}`)).is(t, 409, "the UID in the precondition (other)")
	s.send(t, "DELETE", s.url(background), options(`"preconditions":{"resourceVersion":"1"}`)).is(t, 409)
	s.send(t, "DELETE", s.url(background), options(`"propagationPolicy":"Sideways"`)).is(t, 422)
	s.send(t, "DELETE", s.url("", "labelSelector=doomed%3Dyes"), "").is(t, 200)
	if names := namesIn(t, s.list(t)); !slices.Equal(names, s.names) {
		t.Fatalf("after deleting none of them there are %v", names)
	}
	s.send(t, "DELETE", s.url(background), options(fmt.Sprintf(`"propagationPolicy":"Background","preconditions":{"uid":"%s"}`, uid))).is(t, 200)
	s.gone(t, list, background)
	selector := "propagationPolicy=Orphan&fieldSelector=metadata.name%3D" + collected
	if s.spec != "" {
		s.patch(t, collected, mergePatch, `{"metadata":{"labels":{"doomed":"yes"}}}`).is(t, 200)
		selector = "labelSelector=doomed%3Dyes"
	}
	// These leave finalizers, which the garbage collector removes; it has to be able to write the object for that. What
	// nobody may write goes at once.
	s.send(t, "DELETE", s.url("", selector), "").is(t, 200)
	s.send(t, "DELETE", s.url(foreground), options(`"propagationPolicy":"Foreground"`)).is(t, 200)
	if s.spec == "" {
		for _, name := range []string{collected, foreground} {
			if a := s.send(t, "GET", s.url(name), ""); a.status != http.StatusNotFound {
				t.Errorf("after the delete of %s there are the finalizers %v, which the garbage collector cannot remove", name, a.object(t).GetFinalizers())
			}
		}
		return
	}
	s.gone(t, list, background, collected, foreground)
}

// gone waits until, of the objects of a list, exactly some have been deleted.
func (s *subject) gone(t *testing.T, list *unstructured.Unstructured, names ...string) {
	t.Helper()
	next := s.wire.watch(t, s.url("", "watch=1", "resourceVersion="+list.GetResourceVersion()))
	deleted := map[string]bool{}
	for len(deleted) < len(names) {
		if e := next(); e.Type == "DELETED" {
			deleted[e.Object.GetName()] = true
		}
	}
	if got := slices.Collect(maps.Keys(deleted)); words(got) != words(names) {
		t.Errorf("%v were deleted, not %v", got, names)
	}
}

// What is done with an object through a subresource can be tried, and is checked, like any other write.
func TestResourcesActions(t *testing.T) {
	namespace := newNamespace(t)
	newReaction(t, namespace, "r", "A", "localcluster/hang")
	api, etcd := newWire(t), newEtcd(t)
	run, err := runByHand(t.Context(), client, namespace, "r", "{}")
	if err != nil {
		t.Fatal(err)
	}
	waitPhase(t, namespace, run.Name, v1.PhaseRunning)
	base := "/apis/karo.io/v1/namespaces/" + namespace
	executions, cancel := base+"/alertreactions/r/executions", base+"/executions/"+run.Name+"/cancel"
	keys := func() []string {
		return slices.Sorted(maps.Keys(revisions(t, etcd, "/registry/karo.io/executions/"+namespace+"/")))
	}
	before := keys()
	api.send(t, "POST", executions+"?dryRun=All", `{"labels":{"n":"1"}}`).is(t, 201, `"kind":"Execution"`, `"n":"1"`)
	api.send(t, "POST", executions+"?dryRun=All&fieldValidation=Strict", `{"unknownField":1}`).is(t, 400, `unknown field \"unknownField\"`)
	api.send(t, "POST", cancel+"?dryRun=All", `{}`).is(t, 201, `"cancellation"`)
	api.send(t, "POST", cancel+"?fieldValidation=Strict", `{"unknownField":1}`).is(t, 400, `unknown field \"unknownField\"`)
	if diff := cmp.Diff(before, keys()); diff != "" {
		t.Errorf("dry runs wrote (-before +after):\n%s", diff)
	}
	if e := waitPhase(t, namespace, run.Name, v1.PhaseRunning); e.Status.Cancellation != nil {
		t.Errorf("a dry run cancelled: %+v", e.Status)
	}
	if list := api.send(t, "GET", executions, "").is(t, 200).object(t); list.GetKind() != "ExecutionList" || !slices.Equal(namesIn(t, list), []string{run.Name}) {
		t.Errorf("%v", list.Object)
	}
	api.send(t, "GET", executions, "", "Accept", "application/json;as=Table;v=v1;g=meta.k8s.io").is(t, 200, `"kind":"Table"`, run.Name)
	api.send(t, "POST", cancel, `{}`).is(t, 201)
	waitPhase(t, namespace, run.Name, v1.PhaseCancelled)
}

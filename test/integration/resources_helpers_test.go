// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	clientv3 "go.etcd.io/etcd/client/v3"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	utiljson "k8s.io/apimachinery/pkg/util/json"

	v1 "karo.io/karo/pkg/apis/karo/v1"
)

// The media types of patches.
const (
	jsonPatch      = "application/json-patch+json"
	mergePatch     = "application/merge-patch+json"
	strategicPatch = "application/strategic-merge-patch+json"
	applyPatch     = "application/apply-patch+yaml"
)

// wire sends requests as they are written, so that a test sees what no client library would send or show.
type wire struct {
	*sender
}

func newWire(t *testing.T) wire {
	t.Helper()
	return wire{newHTTP(t, cluster.Config)}
}

// answer is what the kube-apiserver answered.
type answer struct {
	status int
	header http.Header
	body   string
}

// send sends a request, with headers given as name and value in turn.
func (s wire) send(t *testing.T, method, path, body string, headers ...string) answer {
	t.Helper()
	resp := s.open(t.Context(), t, method, path, body, headers...)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	return answer{resp.StatusCode, resp.Header, string(text)}
}

func (s wire) open(ctx context.Context, t *testing.T, method, path, body string, headers ...string) *http.Response {
	t.Helper()
	req, err := http.NewRequestWithContext(ctx, method, s.host+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := s.http.Do(req)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	return resp
}

// is fails the test unless the answer has a status and, in its body, some texts.
func (a answer) is(t *testing.T, status int, texts ...string) answer {
	t.Helper()
	if a.status != status {
		t.Fatalf("the answer is %d, not %d: %s", a.status, status, a.body)
	}
	for _, text := range texts {
		if !strings.Contains(a.body, text) {
			t.Errorf("no %s in %s", text, a.body)
		}
	}
	return a
}

// into reads the body as JSON.
func (a answer) into(t *testing.T, into any) {
	t.Helper()
	if err := json.Unmarshal([]byte(a.body), into); err != nil {
		t.Fatalf("%v: %s", err, a.body)
	}
}

// object reads the body as any object or list.
func (a answer) object(t *testing.T) *unstructured.Unstructured {
	t.Helper()
	u := &unstructured.Unstructured{}
	if err := utiljson.Unmarshal([]byte(a.body), &u.Object); err != nil {
		t.Fatalf("%v: %s", err, a.body)
	}
	return u
}

// warnings returns the warnings of an answer in one text.
func (a answer) warnings() string { return strings.Join(a.header.Values("Warning"), "\n") }

// namesIn returns the names of the objects of a list, in order.
func namesIn(t *testing.T, list *unstructured.Unstructured) []string {
	t.Helper()
	var names []string
	if err := list.EachListItem(func(obj runtime.Object) error {
		names = append(names, obj.(metav1.Object).GetName())
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	slices.Sort(names)
	return names
}

// event is an event of a watch.
type event struct {
	Type   string
	Object unstructured.Unstructured
}

// watch opens a watch, and returns what waits for its next event.
func (s wire) watch(t *testing.T, path string, headers ...string) func() event {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), patience)
	t.Cleanup(stop)
	resp := s.open(ctx, t, http.MethodGet, path, "", headers...)
	t.Cleanup(func() { _ = resp.Body.Close() })
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("%s answers %s", path, resp.Status)
	}
	decoder := json.NewDecoder(resp.Body)
	return func() event {
		t.Helper()
		var raw struct {
			Type   string         `json:"type"`
			Object map[string]any `json:"object"`
		}
		if err := decoder.Decode(&raw); err != nil {
			t.Fatalf("watching %s: %v", path, err)
		}
		return event{raw.Type, unstructured.Unstructured{Object: raw.Object}}
	}
}

// owned returns the names of the fields that a manager owns of an object, through the object itself or a subresource of
// it: those at the top, and those of the metadata.
func owned(t *testing.T, obj *unstructured.Unstructured, manager, subresource string) []string {
	t.Helper()
	var names []string
	for _, entry := range obj.GetManagedFields() {
		if entry.Manager != manager || entry.Subresource != subresource {
			continue
		}
		var fields map[string]map[string]any
		if err := json.Unmarshal(entry.FieldsV1.GetRawBytes(), &fields); err != nil {
			t.Fatal(err)
		}
		for name, below := range fields {
			if name != "f:metadata" {
				names = append(names, name)
				continue
			}
			for name := range below {
				names = append(names, "f:metadata."+name)
			}
		}
	}
	slices.Sort(names)
	return names
}

// newEtcd returns a client of the etcd that karo-apiserver brings.
func newEtcd(t *testing.T) *clientv3.Client {
	t.Helper()
	etcd, err := clientv3.New(clientv3.Config{
		Endpoints: []string{"unix://" + filepath.Join(cluster.Dir, "karo-apiserver", "etcd.sock")}, Context: t.Context(),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = etcd.Close() })
	return etcd
}

// revisions returns when each key below a prefix was written last, in the counting of etcd.
func revisions(t *testing.T, etcd *clientv3.Client, prefix string) map[string]int64 {
	t.Helper()
	resp, err := etcd.Get(t.Context(), prefix, clientv3.WithPrefix(), clientv3.WithKeysOnly())
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]int64{}
	for _, kv := range resp.Kvs {
		found[string(kv.Key)] = kv.ModRevision
	}
	return found
}

// reactionSettled returns nil once Karo has nothing more to write to a reaction, whose status is the same in both versions.
func reactionSettled(obj *unstructured.Unstructured) error {
	var reaction v1.AlertReaction
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(obj.Object, &reaction); err != nil {
		return err
	}
	return settled(&reaction)
}

// executionSettled returns nil once Karo has nothing more to write to an Execution.
func executionSettled(obj *unstructured.Unstructured) error {
	if at, _, _ := unstructured.NestedString(obj.Object, "status", "completionTime"); at == "" || len(obj.GetFinalizers()) > 0 {
		return fmt.Errorf("completed %q, finalizers %v", at, obj.GetFinalizers())
	}
	return nil
}

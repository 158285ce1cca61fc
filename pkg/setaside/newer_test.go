// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

package setaside_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/registry/generic"

	"karo.io/karo/pkg/apis/karo"
	"karo.io/karo/pkg/registry/karo/registrytest"
)

// What a newer replica stored with fields that this one does not know is read as if they were not there. When this one
// writes such an object these are gone, and what it knows is as it was: what an alert ran for, above all.
func TestNewerFields(t *testing.T) {
	for name, r := range map[string]struct {
		resource, stored string
	}{
		"execution": {"executions", `{"apiVersion": "karo.io/v1", "kind": "Execution", "NEW": 1,
			"metadata": {"name": "bad", "namespace": "test", "uid": "u-1", "NEW": {"a": "b"}, "finalizers": ["karo.io/memory"]},
			"spec": {"reaction": {"name": "r", "uid": "r-1", "generation": 3, "revision": "r-3", "NEW": []}, "NEW": {"a": 1}, "trigger": "Notification",
				"receivedAt": "2026-03-01T12:00:01.000000002Z", "follows": "2026-03-01T11:00:00.000000001Z", "after": "before",
				"alert": {"name": "A", "status": "firing", "labels": {"alertname": "A"}, "startsAt": "2026-03-01T12:00:00.123456789Z", "fingerprint": "f", "NEW": "x"}},
			"status": {"phase": "Running", "NEW": {"a": [1]}, "actions": [{"name": "a", "jobName": "j", "jobUID": "j-1", "phase": "Running", "NEW": 1}]}}`},
		"alert": {"alerts", `{"apiVersion": "karo.io/v1", "kind": "Alert", "metadata": {"name": "bad", "namespace": "test", "uid": "u-1"},
			"spec": {"name": "A", "labels": {"alertname": "A"}, "NEW": 1},
			"status": {"status": "firing", "NEW": 1, "reactions": [{"uid": "r-1", "name": "r", "NEW": 1,
				"firing": {"startsAt": "2026-03-01T12:00:00.123456789Z", "receivedAt": "2026-03-01T12:00:01.000000002Z", "execution": "e", "NEW": 1}}]}}`},
		"reaction": {"alertreactions", `{"apiVersion": "karo.io/v1", "kind": "AlertReaction", "metadata": {"name": "bad", "namespace": "test", "uid": "u-1", "generation": 3},
			"spec": {"alertName": "A", "NEW": 1, "actions": [{"name": "a", "image": "i", "NEW": {}}]},
			"status": {"triggerCount": 7, "NEW": 1, "settlement": {"count": 5, "executions": ["u-2"], "NEW": 1}}}`},
		"revision": {"reactionrevisions", `{"apiVersion": "karo.io/v1", "kind": "ReactionRevision", "metadata": {"name": "bad", "namespace": "test", "uid": "u-1"}, "NEW": 1,
			"reaction": {"name": "r", "uid": "r-1", "generation": 3, "revision": "r-3"}, "spec": {"alertName": "A", "NEW": 1, "actions": [{"name": "a", "image": "i"}]}}`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			options := registrytest.NewOptions(t, generic.UndecoratedStorage)
			options.Put(t, r.resource, "bad", registrytest.CBOR(t, r.stored))
			store, err := resources[r.resource].open(options)
			if err != nil {
				t.Fatal(err)
			}
			registrytest.Close(t, store)
			before := get(t, store)
			if why := karo.Undecodable(before.(metav1.Object)); why != "" {
				t.Fatalf("it cannot be read: %s", why)
			}
			if err := update(t, store, func(m metav1.Object) { m.SetLabels(map[string]string{"written": "here"}) }); err != nil {
				t.Fatal(err)
			}
			after := registrytest.JSON(t, options.Stored(t, r.resource, "bad"))
			if strings.Contains(string(after), "NEW") {
				t.Errorf("the documentation says that what is not known goes: %s", after)
			}
			expectKept(t, json.RawMessage(r.stored), after)
			before.(metav1.Object).SetLabels(map[string]string{"written": "here"})
			read := get(t, store)
			for _, obj := range []runtime.Object{before, read} {
				obj.(metav1.Object).SetResourceVersion("")
			}
			if diff := cmp.Diff(before, read); diff != "" {
				t.Errorf("(-before +after):\n%s", diff)
			}
		})
	}
}

// expectKept fails unless all that was stored, but for what is new, still is.
func expectKept(t *testing.T, before, after json.RawMessage) {
	t.Helper()
	var a, b any
	if err := json.Unmarshal(before, &a); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(after, &b); err != nil {
		t.Fatal(err)
	}
	kept(t, a, b, "")
}

func kept(t *testing.T, before, after any, path string) {
	t.Helper()
	switch before := before.(type) {
	case map[string]any:
		fields, _ := after.(map[string]any)
		for name, value := range before {
			if name != "NEW" {
				kept(t, value, fields[name], path+"."+name)
			}
		}
	case []any:
		items, _ := after.([]any)
		for i, value := range before {
			if i >= len(items) {
				t.Errorf("%s[%d] is gone", path, i)
				continue
			}
			kept(t, value, items[i], path)
		}
	default:
		if before != after {
			t.Errorf("%s was %v and is %v", path, before, after)
		}
	}
}

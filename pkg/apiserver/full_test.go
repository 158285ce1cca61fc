// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

package apiserver

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	clientv3 "go.etcd.io/etcd/client/v3"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/generic"
	"k8s.io/apiserver/pkg/registry/generic/registry"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/apiserver/pkg/server/healthz"
	"k8s.io/apiserver/pkg/storage"

	"karo.io/karo/pkg/apis/karo"
	"karo.io/karo/pkg/embeddedetcd"
	"karo.io/karo/pkg/registry/karo/registrytest"
	karorest "karo.io/karo/pkg/registry/karo/rest"
)

var errFull = errors.New("the store is full: 9 MiB are in use")

// While the store is full, notifications are refused so that they come again, and everything else goes on.
func TestKeepReserve(t *testing.T) {
	for _, test := range []struct {
		info request.RequestInfo
		want int
	}{
		{request.RequestInfo{Verb: "create", APIGroup: "karo.io", Resource: "alerts", Name: "trigger"}, http.StatusServiceUnavailable},
		{request.RequestInfo{Verb: "create", APIGroup: "karo.io", Resource: "clusteralerts", Name: "trigger"}, http.StatusServiceUnavailable},
		{request.RequestInfo{Verb: "create", APIGroup: "karo.io", Resource: "alerts", Name: "simulate"}, http.StatusOK},
		{request.RequestInfo{Verb: "get", APIGroup: "karo.io", Resource: "alerts", Name: "trigger"}, http.StatusOK},
		{request.RequestInfo{Verb: "create", APIGroup: "karo.io", Resource: "executions", Name: "trigger"}, http.StatusOK},
		{request.RequestInfo{Verb: "create", APIGroup: "example.com", Resource: "alerts", Name: "trigger"}, http.StatusOK},
		{request.RequestInfo{Verb: "delete", APIGroup: "karo.io", Resource: "executions", Name: "e"}, http.StatusOK},
	} {
		full := errFull
		handler := keepReserve(&answer{}, func() error { return full })
		ask := func() *httptest.ResponseRecorder {
			recorder := httptest.NewRecorder()
			req := httptest.NewRequest(http.MethodPost, "/", strings.NewReader("notification"))
			handler.ServeHTTP(recorder, req.WithContext(request.WithRequestInfo(req.Context(), &test.info)))
			return recorder
		}
		got := ask()
		if got.Code != test.want || (got.Code != http.StatusOK) != strings.Contains(got.Body.String(), errFull.Error()) {
			t.Errorf("%+v: got %d %s, want %d", test.info, got.Code, got.Body, test.want)
		}
		full = nil
		if got := ask(); got.Code != http.StatusOK {
			t.Errorf("%+v: got %d when there is room", test.info, got.Code)
		}
	}
}

// A write that etcd has no room for may be tried again, and says what is the matter; what needs no room is done.
func TestFullExplained(t *testing.T) {
	etcd, err := embeddedetcd.Start(t.Context(), t.TempDir(), 4<<20)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(etcd.Close)
	stores, err := karorest.NewStores(Scheme, decorated{registrytest.OptionsOf(etcd.Endpoint, generic.UndecoratedStorage)}, nil, karorest.Caps{})
	if err != nil {
		t.Fatal(err)
	}
	alerts := stores.Alerts
	for _, store := range []*registry.Store{alerts, stores.AlertReactions.Store, stores.Executions.Store, stores.Revisions} {
		registrytest.Close(t, store)
	}
	named := func(name string) *karo.Alert {
		return &karo.Alert{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: karo.AlertSpec{Labels: map[string]string{"alertname": "A"}}}
	}
	alert := registrytest.Create(t, alerts, named("a"))
	ctx := registrytest.Context(t)

	client, err := clientv3.New(clientv3.Config{Endpoints: []string{etcd.Endpoint}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	for err == nil {
		_, err = client.Put(ctx, "key", strings.Repeat("x", 1<<20))
	}
	_, created := alerts.Create(ctx, named("b"), rest.ValidateAllObjectFunc, &metav1.CreateOptions{})
	changed := alert.DeepCopy()
	changed.Labels = map[string]string{"a": "b"}
	_, _, updated := alerts.Update(ctx, "a", rest.DefaultUpdatedObjectInfo(changed), rest.ValidateAllObjectFunc, rest.ValidateAllObjectUpdateFunc, false, &metav1.UpdateOptions{})
	for verb, err := range map[string]error{"create": created, "update": updated} {
		if !apierrors.IsServiceUnavailable(err) || !strings.Contains(err.Error(), "the store is full") {
			t.Errorf("%s: %v", verb, err)
		}
	}
	_, _, err = alerts.Update(ctx, "missing", rest.DefaultUpdatedObjectInfo(named("missing")), rest.ValidateAllObjectFunc, rest.ValidateAllObjectUpdateFunc, false, &metav1.UpdateOptions{})
	if !apierrors.IsNotFound(err) {
		t.Errorf("another error becomes %v", err)
	}
	if _, _, err := alerts.Delete(ctx, "a", rest.ValidateAllObjectFunc, &metav1.DeleteOptions{}); err != nil {
		t.Errorf("deleting: %v", err)
	}
}

// A liveness check passes while a defragmentation goes on.
func TestAliveWhile(t *testing.T) {
	busy := true
	check := aliveWhile(func() bool { return busy }, healthz.NamedCheck("etcd", func(*http.Request) error { return errFull }))
	if err := check.Check(nil); err != nil || check.Name() != "etcd" {
		t.Errorf("while busy, %s: %v", check.Name(), err)
	}
	busy = false
	if err := check.Check(nil); err == nil {
		t.Error("it passes")
	}
}

// watched is a store of which only what is asked of a watch is told.
type watched struct {
	storage.Interface
	got storage.ListOptions
}

func (w *watched) Watch(_ context.Context, _ string, opts storage.ListOptions) (watch.Interface, error) {
	w.got = opts
	return watch.NewEmptyWatch(), nil
}

func TestWatchTellsHowFarItIs(t *testing.T) {
	for _, allowed := range []bool{false, true} {
		var store watched
		if _, err := (decoratedStore{&store}).Watch(t.Context(), "/key", storage.ListOptions{Predicate: storage.SelectionPredicate{AllowWatchBookmarks: allowed}}); err != nil {
			t.Fatal(err)
		}
		if store.got.ProgressNotify != allowed {
			t.Errorf("bookmarks are allowed: %t; etcd is asked for its progress: %t", allowed, store.got.ProgressNotify)
		}
	}
}

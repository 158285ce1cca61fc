// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

package apiserver

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/server/healthz"
	"k8s.io/apiserver/pkg/storage"
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

// fullStorage is a storage that etcd has no room for.
type fullStorage struct {
	storage.Interface
	err error
}

func (s fullStorage) Create(context.Context, string, runtime.Object, runtime.Object, uint64) error {
	return s.err
}

func (s fullStorage) GuaranteedUpdate(context.Context, string, runtime.Object, bool, *storage.Preconditions, storage.UpdateFunc, runtime.Object) error {
	return s.err
}

// A write that etcd has no room for may be tried again, and says what is the matter; other errors stay what they are.
func TestExplainedStore(t *testing.T) {
	for _, test := range []struct {
		err     error
		explain bool
	}{
		{rpctypes.ErrNoSpace, true},
		{fmt.Errorf("putting: %w", rpctypes.ErrNoSpace), true},
		{rpctypes.ErrRequestTooLarge, false},
		{nil, false},
	} {
		s := explainedStore{fullStorage{err: test.err}}
		for verb, err := range map[string]error{
			"create": s.Create(t.Context(), "", nil, nil, 0),
			"update": s.GuaranteedUpdate(t.Context(), "", nil, false, nil, nil, nil),
		} {
			explained := apierrors.IsServiceUnavailable(err) && strings.Contains(err.Error(), "the store is full")
			if explained != test.explain || !explained && !errors.Is(err, test.err) {
				t.Errorf("%s: %v becomes %v", verb, test.err, err)
			}
		}
	}
}

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

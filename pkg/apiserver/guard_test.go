// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

package apiserver

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/component-base/metrics/legacyregistry"

	"karo.io/karo/pkg/metrics"
)

var notificationPaths = []string{
	"/apis/karo.io/v1/namespaces/ns/alerts/trigger",
	"/apis/karo.io/v1/namespaces/ns/alerts/trigger/",
	"/apis/karo.io/v1/namespaces/ns/alerts/simulate",
	"/apis/karo.io/v1/clusteralerts/trigger",
	"/apis/karo.io/v1/clusteralerts/simulate",
	// A version that is not served yet, or no longer, must not lose alerts either while the server starts.
	"/apis/karo.io/v1alpha1/namespaces/ns/alerts/trigger",
	"/apis/karo.io/v1/namespaces/ns/alerts/trigger?timeout=5s&dryRun=All",
}

var otherPaths = []string{
	"/",
	"/readyz",
	"/apis/karo.io/v1",
	"/apis/karo.io/v1/alerts",
	"/apis/karo.io/v1/namespaces/ns/alerts",
	"/apis/karo.io/v1/namespaces/ns/alerts/other",
	"/apis/karo.io/v1/namespaces/ns/alerts/trigger/status",
	"/apis/karo.io/v1/namespaces/ns/alerts/triggers",
	"/apis/karo.io/v1/namespaces/ns/executions/trigger",
	"/apis/karo.io/v1/namespaces/a/b/alerts/trigger",
	"/apis/karo.io/v1/namespaces/alerts/trigger",
	"/apis/karo.io/v1/clusteralerts",
	"/apis/karo.io/clusteralerts/trigger",
	"/apis/karoxio/v1/clusteralerts/trigger",
	"/apis/example.com/v1/clusteralerts/trigger",
	"/proxy/apis/karo.io/v1/clusteralerts/trigger",
}

func isReady() error { return nil }

// answer is a handler that answers with a status and a body, and counts its calls.
type answer struct {
	status int
	calls  int
}

func (a *answer) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	a.calls++
	body, _ := io.ReadAll(req.Body)
	w.Header().Set("Retry-After", "1")
	if a.status > 0 {
		w.WriteHeader(a.status)
	}
	_, _ = w.Write(append([]byte("answer to "), body...))
}

func post(handler http.Handler, path string) *httptest.ResponseRecorder {
	recorder := httptest.NewRecorder()
	handler.ServeHTTP(recorder, httptest.NewRequest(http.MethodPost, path, strings.NewReader("notification")))
	return recorder
}

func TestBusyIsUnavailableForNotifications(t *testing.T) {
	for _, path := range notificationPaths {
		handler := &answer{status: http.StatusTooManyRequests}
		got := post(guardNotifications(handler, isReady), path)
		if got.Code != http.StatusServiceUnavailable || handler.calls != 1 {
			t.Errorf("%s: got status %d after %d calls, want 503 after one", path, got.Code, handler.calls)
		}
		// What else the filter says is of use to a person.
		if got.Body.String() != "answer to notification" || got.Header().Get("Retry-After") != "1" {
			t.Errorf("%s: got body %q and headers %v, want them untouched", path, got.Body, got.Header())
		}
	}
	for _, path := range otherPaths {
		if got := post(guardNotifications(&answer{status: http.StatusTooManyRequests}, isReady), path); got.Code != http.StatusTooManyRequests {
			t.Errorf("%s: got status %d, want 429", path, got.Code)
		}
	}
}

func TestOtherAnswersToNotificationsAreUntouched(t *testing.T) {
	for _, status := range []int{0, 200, 201, 400, 401, 403, 404, 413, 428, 430, 500, 503, 504} {
		want := status
		if status == 0 {
			want = http.StatusOK // A handler that writes a body at once says so.
		}
		got := post(guardNotifications(&answer{status: status}, isReady), notificationPaths[0])
		if got.Code != want || got.Body.String() != "answer to notification" {
			t.Errorf("got status %d and body %q, want %d and the handler's", got.Code, got.Body, want)
		}
	}
}

func TestNotReadyIsUnavailableForNotifications(t *testing.T) {
	notReady := func() error { return errors.New("the caches are not loaded") }
	for _, path := range notificationPaths {
		// 401 and 404, which a server that starts may answer, would lose the alert.
		handler := &answer{status: http.StatusNotFound}
		got := post(guardNotifications(handler, notReady), path)
		if got.Code != http.StatusServiceUnavailable || handler.calls != 0 {
			t.Errorf("%s: got status %d after %d calls, want 503 after none", path, got.Code, handler.calls)
		}
		var status metav1.Status
		if err := json.Unmarshal(got.Body.Bytes(), &status); err != nil {
			t.Errorf("%s: the body is no Status: %v", path, err)
			continue
		}
		want := metav1.Status{
			TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Status"},
			Status:   metav1.StatusFailure,
			Message:  "not ready yet, try again: the caches are not loaded",
			Reason:   metav1.StatusReasonServiceUnavailable,
			Code:     http.StatusServiceUnavailable,
		}
		if diff := cmp.Diff(want, status); diff != "" {
			t.Errorf("%s: Status (-want +got):\n%s", path, diff)
		}
	}
	for _, path := range otherPaths {
		handler := &answer{status: http.StatusNotFound}
		if got := post(guardNotifications(handler, notReady), path); got.Code != http.StatusNotFound || handler.calls != 1 {
			t.Errorf("%s: got status %d after %d calls, want the handler's", path, got.Code, handler.calls)
		}
	}
}

// Whatever a client would rather have, it is told that it may try again.
func TestNotReadyInAnyMediaType(t *testing.T) {
	guard := guardNotifications(&answer{}, func() error { return errors.New("no") })
	for _, accept := range []string{"", "*/*", "application/json", "application/yaml", "application/vnd.kubernetes.protobuf", "text/html", "nonsense"} {
		req := httptest.NewRequest(http.MethodPost, notificationPaths[0], nil)
		if accept != "" {
			req.Header.Set("Accept", accept)
		}
		recorder := httptest.NewRecorder()
		guard.ServeHTTP(recorder, req)
		if recorder.Code != http.StatusServiceUnavailable || recorder.Body.Len() == 0 {
			t.Errorf("%q: got status %d and %d bytes, want 503 and a body", accept, recorder.Code, recorder.Body.Len())
		}
	}
}

func TestReadinessIsAskedForEachNotification(t *testing.T) {
	err := errors.New("not yet")
	handler := &answer{}
	guard := guardNotifications(handler, func() error { return err })
	if got := post(guard, notificationPaths[0]); got.Code != http.StatusServiceUnavailable {
		t.Errorf("got status %d, want 503", got.Code)
	}
	err = nil
	if got := post(guard, notificationPaths[0]); got.Code != http.StatusOK || handler.calls != 1 {
		t.Errorf("got status %d after %d calls, want 200 after one", got.Code, handler.calls)
	}
}

// The filters of the generic server flush, and set deadlines, through whatever writer they are given.
func TestGuardedWriterReachesTheConnection(t *testing.T) {
	recorder := httptest.NewRecorder()
	handler := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if err := http.NewResponseController(w).Flush(); err != nil {
			t.Errorf("flushing: %v", err)
		}
	})
	guardNotifications(handler, isReady).ServeHTTP(recorder, httptest.NewRequest(http.MethodPost, notificationPaths[0], nil))
	if !recorder.Flushed {
		t.Error("the answer was not flushed")
	}
}

// What Alertmanager is told is counted by its status; what only asks is not.
func TestNotificationsAreCounted(t *testing.T) {
	metrics.Register()
	for name, tc := range map[string]struct {
		path  string
		ready error
		want  map[string]float64
	}{
		"answered":     {path: "/apis/karo.io/v1/namespaces/ns/alerts/trigger", want: map[string]float64{`karo_notifications_total{code="503"}`: 1}},
		"whole":        {path: "/apis/karo.io/v1/clusteralerts/trigger/", want: map[string]float64{`karo_notifications_total{code="503"}`: 1}},
		"not ready":    {path: "/apis/karo.io/v1/clusteralerts/trigger", ready: errors.New("not yet"), want: map[string]float64{`karo_notifications_total{code="503"}`: 1, `karo_notifications_unavailable_total{doing="starting"}`: 1}},
		"a simulation": {path: "/apis/karo.io/v1/clusteralerts/simulate", want: map[string]float64{}},
		"another":      {path: "/apis/karo.io/v1/namespaces/ns/alerts", want: map[string]float64{}},
	} {
		before := counted(t)
		post(guardNotifications(&answer{status: http.StatusTooManyRequests}, func() error { return tc.ready }), tc.path)
		got := map[string]float64{}
		for series, value := range counted(t) {
			if value != before[series] {
				got[series] = value - before[series]
			}
		}
		if diff := cmp.Diff(tc.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// counted returns what is counted of notifications, by the series of the metric.
func counted(t *testing.T) map[string]float64 {
	t.Helper()
	families, err := legacyregistry.DefaultGatherer.Gather()
	if err != nil {
		t.Fatal(err)
	}
	values := map[string]float64{}
	for _, family := range families {
		if !strings.HasPrefix(family.GetName(), "karo_notifications_") {
			continue
		}
		for _, m := range family.GetMetric() {
			label := m.GetLabel()[0]
			values[fmt.Sprintf("%s{%s=%q}", family.GetName(), label.GetName(), label.GetValue())] = m.GetCounter().GetValue()
		}
	}
	return values
}

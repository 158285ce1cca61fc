// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

package alert

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/test/bufconn"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"

	"karo.io/karo/pkg/apis/karo"
	"karo.io/karo/pkg/notification"
)

// slowHandler never gets done.
type slowHandler struct{ Handler }

func (slowHandler) Trigger(ctx context.Context, _ string, _ *notification.Notification) (*karo.AlertNotificationResult, error) {
	<-ctx.Done()
	return nil, apierrors.NewServiceUnavailable(ctx.Err().Error())
}

type answer struct {
	object runtime.Object
	err    error
}

func (a *answer) Object(_ int, obj runtime.Object) { a.object = obj }
func (a *answer) Error(err error)                  { a.err = err }

// A sender is told to try again before another one, which waits for 15 s, sends the same.
func TestAnswerComesInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &NotificationREST{Handler: slowHandler{}, Limiter: NewLimiter(), Resource: "alerts"}
		var got answer
		handler, err := r.Connect(t.Context(), Trigger, nil, &got)
		if err != nil {
			t.Fatal(err)
		}
		begin := time.Now()
		req := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", strings.NewReader(`{"alerts": []}`))
		handler.ServeHTTP(httptest.NewRecorder(), req)
		if took := time.Since(begin); took != answerWithin || took+patience >= 15*time.Second {
			t.Errorf("answered after %s", took)
		}
		if !apierrors.IsServiceUnavailable(got.err) {
			t.Errorf("got error %v", got.err)
		}
	})
}

// quickHandler is done at once, with a long answer.
type quickHandler struct{ Handler }

func (quickHandler) Trigger(context.Context, string, *notification.Notification) (*karo.AlertNotificationResult, error) {
	return &karo.AlertNotificationResult{Alerts: make([]karo.AlertResult, 1000)}, nil
}

// writer answers with what it is given.
type writer struct {
	http.ResponseWriter
	t *testing.T
}

func (w writer) Object(_ int, obj runtime.Object) { _ = json.NewEncoder(w).Encode(obj) }
func (w writer) Error(err error)                  { w.t.Log(err) }

func TestWhoIsSlowLosesItsPlace(t *testing.T) {
	for name, tc := range map[string]struct {
		body string
		size int
		want time.Duration
	}{
		"to send": {body: `{"alerts": [`, size: 100, want: answerWithin},
		"to read": {body: `{"alerts": []}`, size: 14, want: 2 * answerWithin},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := &NotificationREST{Handler: quickHandler{}, Limiter: NewLimiter(), Resource: "alerts"}
				held := make(chan time.Duration, 1)
				server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
					handler, err := r.Connect(req.Context(), Trigger, nil, writer{w, t})
					if err != nil {
						t.Error(err)
						return
					}
					begin := time.Now()
					handler.ServeHTTP(w, req)
					held <- time.Since(begin)
				})}
				listener := bufconn.Listen(1 << 10)
				go func() { _ = server.Serve(listener) }()
				conn, err := listener.DialContext(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				if _, err := fmt.Fprintf(conn, "POST / HTTP/1.1\r\nHost: karo\r\nContent-Length: %d\r\n\r\n%s", tc.size, tc.body); err != nil {
					t.Fatal(err)
				}
				if got := <-held; got != tc.want {
					t.Errorf("it held its place for %s, want %s", got, tc.want)
				}
				expectEmpty(t, r.Limiter)
				_, _ = conn.Close(), server.Close()
			})
		})
	}
}

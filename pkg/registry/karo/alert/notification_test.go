// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

package alert

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
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
		for protocol, send := range map[string]func(net.Conn, string, int) error{"HTTP/1.1": send1, "HTTP/2": send2} {
			t.Run(name+" over "+protocol, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					r := &NotificationREST{Handler: quickHandler{}, Limiter: NewLimiter(), Resource: "alerts"}
					held := make(chan time.Duration, 1)
					server := &http.Server{Protocols: &http.Protocols{}, Handler: http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
						handler, err := r.Connect(req.Context(), Trigger, nil, writer{w, t})
						if err != nil {
							t.Error(err)
							return
						}
						begin := time.Now()
						handler.ServeHTTP(w, req)
						held <- time.Since(begin)
					})}
					server.Protocols.SetHTTP1(true)
					server.Protocols.SetUnencryptedHTTP2(true)
					listener := bufconn.Listen(1 << 10)
					go func() { _ = server.Serve(listener) }()
					conn, err := listener.DialContext(t.Context())
					if err != nil {
						t.Fatal(err)
					}
					if err := send(conn, tc.body, tc.size); err != nil {
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
}

// However much is simulated, what is to be stored has its place.
func TestSimulationsTakeNoPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &NotificationREST{Handler: quickHandler{}, Limiter: NewLimiter(), Simulations: NewSimulationLimiter(), Resource: "alerts"}
		for _, sender := range []string{"a", "b", "c", "d"} {
			for range maxSenderSimulated / maxSimulateBytes {
				release, err := r.Simulations.acquire(from(t.Context(), sender), body(1), maxSimulateBytes)
				if err != nil {
					t.Fatal(err)
				}
				defer release()
			}
		}
		for name, want := range map[string]bool{Trigger: true, Simulate: false} {
			var got answer
			handler, err := r.Connect(from(t.Context(), "e"), name, nil, &got)
			if err != nil {
				t.Fatal(err)
			}
			handler.ServeHTTP(httptest.NewRecorder(), httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", strings.NewReader(`{"alerts": []}`)))
			if (got.err == nil) != want || got.err != nil && !apierrors.IsServiceUnavailable(got.err) {
				t.Errorf("%s: got error %v", name, got.err)
			}
		}
	})
}

// send1 begins a request of HTTP/1.1 with a body of size, and does not read the answer.
func send1(conn net.Conn, body string, size int) error {
	_, err := fmt.Fprintf(conn, "POST / HTTP/1.1\r\nHost: karo\r\nContent-Length: %d\r\n\r\n%s", size, body)
	return err
}

// send2 does so with HTTP/2, as the kube-apiserver speaks it. It grants the answer no bytes, and reads what else comes.
func send2(conn net.Conn, body string, size int) error {
	var head bytes.Buffer
	fields := hpack.NewEncoder(&head)
	for _, field := range []hpack.HeaderField{
		{Name: ":method", Value: http.MethodPost}, {Name: ":scheme", Value: "http"}, {Name: ":path", Value: "/"}, {Name: ":authority", Value: "karo"},
		{Name: "content-length", Value: strconv.Itoa(size)},
	} {
		if err := fields.WriteField(field); err != nil {
			return err
		}
	}
	go func() { _, _ = io.Copy(io.Discard, conn) }()
	_, err := io.WriteString(conn, http2.ClientPreface)
	framer := http2.NewFramer(conn, nil)
	return errors.Join(err,
		framer.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0}),
		framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: head.Bytes(), EndHeaders: true}),
		framer.WriteData(1, len(body) == size, []byte(body)))
}

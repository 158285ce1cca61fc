// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

package alert

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

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

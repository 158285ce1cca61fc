// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

package ingest_test

import (
	"context"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	genericapirequest "k8s.io/apiserver/pkg/endpoints/request"

	"karo.io/karo/pkg/apis/karo"
	"karo.io/karo/pkg/caps"
	"karo.io/karo/pkg/notification"
)

// cappedStore keeps to a cap, as the store of the registry does.
type cappedStore struct {
	*fakes
	cap *caps.Cap
}

func (s *cappedStore) CreateExecution(ctx context.Context, e *karo.Execution) (*karo.Execution, error) {
	finish, err := s.cap.Begin(genericapirequest.WithNamespace(ctx, e.Namespace), e, &metav1.CreateOptions{})
	if err != nil {
		return nil, err
	}
	stored, err := s.fakes.CreateExecution(ctx, e)
	finish(ctx, err == nil)
	if err == nil {
		s.cap.OnAdd(stored, false)
	}
	return stored, err
}

// A run for which the namespace has no room is refused, and nothing else is; it runs once there is room.
func TestTooManyExecutions(t *testing.T) {
	w := newWorld(t, reaction("shop", "r", nil), reaction("bank", "r", func(s *karo.AlertReactionSpec) { s.AlertScope = karo.ScopeCluster }))
	w.Cap = caps.New(karo.Resource("executions"), 2, "delete some")
	w.Store = &cappedStore{w.fakes, w.Cap}
	other := firing(at(0))
	other.Labels = map[string]string{"alertname": "A", "namespace": "shop", "pod": "p"}
	other.Fingerprint = "other"
	w.send("shop", firing(at(0)), other)
	late := firing(at(time.Minute))
	w.expect("the third", w.send("", late), "bank/r Created", "shop/r Refused TooManyExecutions")
	n := &notification.Notification{Alerts: []notification.Alert{{AlertOccurrence: late}}}
	simulated, err := w.Simulate(t.Context(), "shop", n)
	if err != nil {
		t.Fatal(err)
	}
	if r := simulated.Alerts[0].Reactions[0]; r.Outcome != karo.RunRefused || r.Reason != "TooManyExecutions" || len(r.Jobs) > 0 || r.Execution != "" {
		t.Errorf("a simulation says %+v", r)
	}
	w.expect("what is known", w.send("shop", firing(at(0))), "shop/r Known")
	told := strings.Join(w.events, "\n")
	if !strings.Contains(told, "shop/r Refused ") || !strings.Contains(told, "exceeded quota: namespace shop has 2 executions, and may have 2; delete some") {
		t.Errorf("it is told: %s", told)
	}
	for _, e := range w.executions {
		if e.Namespace == "shop" {
			w.Cap.OnDelete(e)
			break
		}
	}
	w.expect("with room", w.send("shop", late), "shop/r Created")
}

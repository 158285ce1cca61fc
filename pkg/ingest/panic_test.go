// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

package ingest_test

import (
	"context"
	"strings"
	"testing"

	batchv1 "k8s.io/api/batch/v1"

	"karo.io/karo/pkg/apis/karo"
	"karo.io/karo/pkg/notification"
)

// panicking is a store that panics for alerts with the label "bad".
type panicking struct{ *fakes }

func (p panicking) CreateExecution(ctx context.Context, e *karo.Execution) (*karo.Execution, error) {
	if text, bad := e.Spec.Alert.Labels["bad"]; bad {
		panic(text)
	}
	return p.fakes.CreateExecution(ctx, e)
}

// An alert that Karo's own code cannot cope with is refused, and says so; its siblings are stored. What it held is free.
func TestPanic(t *testing.T) {
	w := newWorld(t, reaction("shop", "r", nil))
	w.Store = panicking{w.fakes}
	w.RenderJobs = func(*karo.Execution, *karo.AlertReactionSpec) ([]batchv1.Job, error) { panic("no jobs") }
	alert := func(name, value string) notification.Alert {
		a := firing(at(0))
		a.Labels = map[string]string{"alertname": "A", name: value}
		a.Fingerprint = name
		return notification.Alert{AlertOccurrence: a}
	}
	n := &notification.Notification{Receiver: "team", Alerts: []notification.Alert{alert("good", "1"), alert("bad", "\x1b[31m"), alert("fine", "1")}}
	for range 2 { // The second waits for the record of the first, if that is not released.
		result, err := w.Trigger(t.Context(), "shop", n)
		if err != nil {
			t.Fatal(err)
		}
		if result.Created+result.Known != 2 || result.Refused != 1 {
			t.Errorf("%+v", result)
		}
		if bad := result.Alerts[1]; bad.Outcome != karo.AlertRefused || !strings.Contains(bad.Message, `a mistake in Karo: "\x1b[31m"`) {
			t.Errorf("the bad one: %+v", bad)
		}
	}
	if len(w.executions) != 2 {
		t.Errorf("stored: %v", w.executions)
	}
	if told := strings.Join(w.events, "\n"); !strings.Contains(told, "AlertsRefused") || strings.ContainsRune(told, '\x1b') {
		t.Errorf("told: %s", told)
	}

	result, err := w.Simulate(t.Context(), "shop", &notification.Notification{Alerts: []notification.Alert{alert("new", "1")}})
	if err != nil || result.Alerts[0].Outcome != karo.AlertRefused {
		t.Errorf("simulated: %+v, %v", result, err)
	}
}

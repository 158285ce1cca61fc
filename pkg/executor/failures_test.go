// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

package executor

import (
	"strings"
	"testing"

	"karo.io/karo/pkg/apis/karo"
)

// However many actions fail, the message fits a condition.
func TestFailures(t *testing.T) {
	status := &karo.ExecutionStatus{Actions: []karo.ActionStatus{
		{Name: "a", Phase: karo.PhaseFailed}, {Name: "b", Phase: karo.PhaseSucceeded}, {Name: "c", Phase: karo.PhaseFailed},
	}}
	if got, want := failures(status), "failed actions: a, c"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	status.Actions = nil
	for range 1000 {
		status.Actions = append(status.Actions, karo.ActionStatus{Name: strings.Repeat("x", 1000), Phase: karo.PhaseFailed})
	}
	if got := failures(status); len(got) > 8<<10 || !strings.HasSuffix(got, ", and 996 more") {
		t.Errorf("got %d bytes: …%q", len(got), got[len(got)-20:])
	}
}

// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

package execution

import (
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/util/duration"

	"karo.io/karo/pkg/apis/karo"
	"karo.io/karo/pkg/registry/karo/table"
)

var tableConvertor = table.New(func(e *karo.Execution) []any {
	return []any{e.Spec.Reaction.Name, e.Spec.Alert.Name, string(e.Status.Phase), progress(e), reason(e), e.Spec.Alert.Labels["instance"], took(e), e.Spec.TriggeredBy}
},
	table.Column{Name: "Reaction", Type: "string", Description: "Name of the reaction that runs."},
	table.Column{Name: "Alert", Type: "string", Description: "Name of the alert that triggered the run."},
	table.Column{Name: "Status", Type: "string", Description: "How far the run is, or how it ended."},
	table.Column{Name: "Actions", Type: "string", Description: "How many of its actions have succeeded."},
	table.Column{Name: "Reason", Type: "string", Description: "Why the run is as it is, when there is more to say.", Priority: 1},
	table.Column{Name: "Instance", Type: "string", Description: "Label instance of the alert.", Priority: 1},
	table.Column{Name: "Duration", Type: "string", Description: "Time from the first Job to the end.", Priority: 1},
	table.Column{Name: "By", Type: "string", Description: "Who sent the notification, or asked for the run.", Priority: 1},
).NewestLast()

// reason returns the reason of the run or, if it has none, of the first of its actions that has one.
func reason(e *karo.Execution) string {
	if e.Status.Reason != "" {
		return e.Status.Reason
	}
	for i := range e.Status.Actions {
		if e.Status.Actions[i].Reason != "" {
			return e.Status.Actions[i].Reason
		}
	}
	return ""
}

// progress returns how many actions have succeeded; nothing of a run that has no actions yet.
func progress(e *karo.Execution) string {
	if len(e.Status.Actions) == 0 {
		return ""
	}
	succeeded := 0
	for i := range e.Status.Actions {
		if e.Status.Actions[i].Phase == karo.PhaseSucceeded {
			succeeded++
		}
	}
	return fmt.Sprintf("%d/%d", succeeded, len(e.Status.Actions))
}

func took(e *karo.Execution) string {
	switch {
	case e.Status.StartTime == nil:
		return ""
	case e.Status.CompletionTime == nil:
		return duration.HumanDuration(time.Since(e.Status.StartTime.Time))
	default:
		return duration.HumanDuration(e.Status.CompletionTime.Sub(e.Status.StartTime.Time))
	}
}

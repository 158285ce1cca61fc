// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

package alertreaction

import (
	"strings"

	"k8s.io/utils/ptr"

	"karo.io/karo/pkg/apis/karo"
	"karo.io/karo/pkg/jobs"
	"karo.io/karo/pkg/registry/karo/table"
)

var tableConvertor = table.New(func(r *karo.AlertReaction) []any {
	return []any{
		r.Spec.AlertName, int64(len(jobs.Actions(&r.Spec))), ptr.Deref(r.Spec.Suspend, false), r.Status.TriggerCount, table.Since(r.Status.LastTriggered),
		int64(len(r.Spec.Matchers)), when(r), string(r.Spec.AlertScope), lastSkipped(r),
	}
},
	table.Column{Name: "Alert", Type: "string", Description: "Name of the alert that the reaction answers."},
	table.Column{Name: "Actions", Type: "integer", Description: "How many actions the reaction has."},
	table.Column{Name: "Suspend", Type: "boolean", Description: "Whether the reaction is stopped from running anything."},
	table.Column{Name: "Triggered", Type: "integer", Description: "How many runs of the reaction there have been."},
	table.Column{Name: "Last Triggered", Type: "string", Description: "Time since an alert last started a run."},
	table.Column{Name: "Matchers", Type: "integer", Description: "How many further conditions an alert must meet.", Priority: 1},
	table.Column{Name: "When", Type: "string", Description: "For which status of an alert the reaction runs.", Priority: 1},
	table.Column{Name: "Scope", Type: "string", Description: "Which alerts of the whole cluster the reaction answers.", Priority: 1},
	table.Column{Name: "Last Skipped", Type: "string", Description: "Why, and how long ago, the reaction last did not run.", Priority: 1},
)

func when(r *karo.AlertReaction) string {
	texts := make([]string, 0, len(r.Spec.When))
	for _, w := range r.Spec.When {
		texts = append(texts, string(w))
	}
	return strings.Join(texts, ",")
}

func lastSkipped(r *karo.AlertReaction) string {
	if r.Status.LastSkipped == nil {
		return "<never>"
	}
	return r.Status.LastSkipped.Reason + " " + table.Since(&r.Status.LastSkipped.Time)
}

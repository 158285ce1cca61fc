// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

package alertreaction

import (
	"karo.io/karo/pkg/apis/karo"
	"karo.io/karo/pkg/registry/karo/table"
)

var tableConvertor = table.New(func(r *karo.AlertReaction) []any {
	return []any{r.Spec.AlertName, int64(len(r.Spec.Actions)), r.Spec.Suspend, table.Since(r.Status.LastTriggered), int64(len(r.Spec.Matchers))}
},
	table.Column{Name: "Alert", Type: "string", Description: "Name of the alert that the reaction answers."},
	table.Column{Name: "Actions", Type: "integer", Description: "How many actions the reaction has."},
	table.Column{Name: "Suspend", Type: "boolean", Description: "Whether the reaction is stopped from running anything."},
	table.Column{Name: "Last Triggered", Type: "string", Description: "Time since an alert last started a run."},
	table.Column{Name: "Matchers", Type: "integer", Description: "How many further conditions an alert must meet.", Priority: 1},
)

// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

package alert

import (
	"time"

	"k8s.io/apimachinery/pkg/util/duration"

	"karo.io/karo/pkg/apis/karo"
	"karo.io/karo/pkg/registry/karo/table"
)

var tableConvertor = table.New(func(a *karo.Alert) []any {
	return []any{a.Spec.Name, string(a.Status.Status), since(a), table.Since(a.Status.LastSeen), int64(len(a.Status.Reactions)), a.Spec.Labels["instance"]}
},
	table.Column{Name: "Alert", Type: "string", Description: "Name of the alert."},
	table.Column{Name: "Status", Type: "string", Description: "Status that the alert was last seen in."},
	table.Column{Name: "Since", Type: "string", Description: "Time since the occurrence last seen began."},
	table.Column{Name: "Last Seen", Type: "string", Description: "Time since a notification last held the alert."},
	table.Column{Name: "Reactions", Type: "integer", Description: "How many reactions answered the alert."},
	table.Column{Name: "Instance", Type: "string", Description: "Label instance of the alert.", Priority: 1},
)

func since(a *karo.Alert) string {
	if a.Status.StartsAt == nil {
		return "<unknown>"
	}
	return duration.HumanDuration(time.Since(a.Status.StartsAt.Time))
}

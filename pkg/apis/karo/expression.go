// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

package karo

import "strings"

// IsExpression reports whether a text, in the place of the value of a variable in v1, stands for a part of the alert.
func IsExpression(value string) bool {
	if value == "status" {
		return true
	}
	for _, prefix := range []string{"labels.", "annotations."} {
		if len(value) > len(prefix) && strings.HasPrefix(value, prefix) {
			return true
		}
	}
	return false
}

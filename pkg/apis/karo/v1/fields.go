// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

package v1

import (
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/runtime"
)

// The fields, beside metadata.name and metadata.namespace, that a field selector may name.
const (
	// FieldAlertName selects AlertReactions by the alert name they answer.
	FieldAlertName = "spec.alertName"
	// FieldSuspend selects AlertReactions by "true" or "false".
	FieldSuspend = "spec.suspend"
	// FieldReactionName selects Executions by the name of their reaction.
	FieldReactionName = "spec.reaction.name"
	// FieldExecutionAlertName selects Executions by the name of their alert.
	FieldExecutionAlertName = "spec.alert.name"
	// FieldFingerprint selects Executions by the fingerprint of their alert.
	FieldFingerprint = "spec.alert.fingerprint"
	// FieldPhase selects Executions by their phase.
	FieldPhase = "status.phase"
)

// SelectableFields lists, by kind, the fields that a field selector may name.
var SelectableFields = map[string][]string{
	"AlertReaction":    {FieldAlertName, FieldSuspend},
	"Execution":        {FieldReactionName, FieldExecutionAlertName, FieldFingerprint, FieldPhase},
	"Alert":            nil,
	"ReactionRevision": nil,
}

func addFieldLabelConversions(scheme *runtime.Scheme) error {
	for kind, selectable := range SelectableFields {
		allowed := append([]string{"metadata.name", "metadata.namespace"}, selectable...)
		err := scheme.AddFieldLabelConversionFunc(SchemeGroupVersion.WithKind(kind), func(label, value string) (string, string, error) {
			if !slices.Contains(allowed, label) {
				return "", "", fmt.Errorf("field label %q not supported for %s; supported: %q", label, kind, allowed)
			}
			return label, value, nil
		})
		if err != nil {
			return fmt.Errorf("registering field labels of %s: %w", kind, err)
		}
	}
	return nil
}

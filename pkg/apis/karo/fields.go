// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

package karo

import (
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
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

// AddFieldLabelConversions lets field selectors of a kind, in one version, name SelectableFields.
func AddFieldLabelConversions(scheme *runtime.Scheme, gvk schema.GroupVersionKind) error {
	allowed := append([]string{"metadata.name", "metadata.namespace"}, SelectableFields[gvk.Kind]...)
	err := scheme.AddFieldLabelConversionFunc(gvk, func(label, value string) (string, string, error) {
		if !slices.Contains(allowed, label) {
			return "", "", fmt.Errorf("field label %q not supported for %s; supported: %q", label, gvk.Kind, allowed)
		}
		return label, value, nil
	})
	if err != nil {
		return fmt.Errorf("registering field labels of %s: %w", gvk.Kind, err)
	}
	return nil
}

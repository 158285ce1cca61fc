// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	"k8s.io/apimachinery/pkg/conversion"

	"karo.io/karo/pkg/apis/karo"
)

// Convert_v1alpha1_EnvVar_To_karo_EnvVar takes a value as it is, and an alertRef that is marked for the expression that
// it stands for.
//
//nolint:revive // The generator finds conversion functions by this name.
func Convert_v1alpha1_EnvVar_To_karo_EnvVar(in *EnvVar, out *karo.EnvVar, s conversion.Scope) error {
	if err := autoConvert_v1alpha1_EnvVar_To_karo_EnvVar(in, out, s); err != nil {
		return err
	}
	out.Literal = in.Value
	if in.Value != "" || in.ValueFrom == nil {
		return nil
	}
	ref := in.ValueFrom.AlertRef
	if ref != nil && ref.Inline && karo.IsExpression(ref.FieldPath) && *in.ValueFrom == (EnvVarSource{AlertRef: ref}) {
		out.Expression, out.ValueFrom = ref.FieldPath, nil
	}
	return nil
}

// Convert_karo_EnvVar_To_v1alpha1_EnvVar is the inverse of Convert_v1alpha1_EnvVar_To_karo_EnvVar.
//
//nolint:revive // The generator finds conversion functions by this name.
func Convert_karo_EnvVar_To_v1alpha1_EnvVar(in *karo.EnvVar, out *EnvVar, s conversion.Scope) error {
	if err := autoConvert_karo_EnvVar_To_v1alpha1_EnvVar(in, out, s); err != nil {
		return err
	}
	out.Value = in.Literal
	if in.Expression != "" {
		out.ValueFrom = &EnvVarSource{AlertRef: &AlertFieldSelector{FieldPath: in.Expression, Inline: true}}
	}
	return nil
}

// Convert_v1alpha1_AlertFieldSelector_To_karo_AlertFieldSelector drops the mark: it belongs to the variable.
//
//nolint:revive // The generator finds conversion functions by this name.
func Convert_v1alpha1_AlertFieldSelector_To_karo_AlertFieldSelector(in *AlertFieldSelector, out *karo.AlertFieldSelector, s conversion.Scope) error {
	return autoConvert_v1alpha1_AlertFieldSelector_To_karo_AlertFieldSelector(in, out, s)
}

// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

package v1

import (
	"strings"

	"k8s.io/apimachinery/pkg/conversion"

	"karo.io/karo/pkg/apis/karo"
)

const escape = `\`

// looksLikeExpression reports whether a text is an expression or an escaped one. Only such texts gain or lose a
// backslash, so that a path like \\server\share needs none.
func looksLikeExpression(value string) bool {
	return karo.IsExpression(strings.TrimLeft(value, escape))
}

// Convert_v1_EnvVar_To_karo_EnvVar tells literal values from expressions.
//
//nolint:revive // The generator finds conversion functions by this name.
func Convert_v1_EnvVar_To_karo_EnvVar(in *EnvVar, out *karo.EnvVar, s conversion.Scope) error {
	if err := autoConvert_v1_EnvVar_To_karo_EnvVar(in, out, s); err != nil {
		return err
	}
	switch {
	case karo.IsExpression(in.Value):
		out.Expression = in.Value
	case looksLikeExpression(in.Value):
		out.Literal = strings.TrimPrefix(in.Value, escape)
	default:
		out.Literal = in.Value
	}
	return nil
}

// Convert_karo_EnvVar_To_v1_EnvVar is the inverse of Convert_v1_EnvVar_To_karo_EnvVar.
//
//nolint:revive // The generator finds conversion functions by this name.
func Convert_karo_EnvVar_To_v1_EnvVar(in *karo.EnvVar, out *EnvVar, s conversion.Scope) error {
	if err := autoConvert_karo_EnvVar_To_v1_EnvVar(in, out, s); err != nil {
		return err
	}
	switch {
	case in.Expression != "":
		out.Value = in.Expression
	case looksLikeExpression(in.Literal):
		out.Value = escape + in.Literal
	default:
		out.Value = in.Literal
	}
	return nil
}

// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

package v1_test

import (
	"math/rand"
	"reflect"
	"strings"
	"testing"
	"testing/quick"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

	"karo.io/karo/pkg/apis/karo"
	v1 "karo.io/karo/pkg/apis/karo/v1"
)

func toInternal(t *testing.T, in v1.EnvVar) karo.EnvVar {
	t.Helper()
	var out karo.EnvVar
	if err := v1.Convert_v1_EnvVar_To_karo_EnvVar(&in, &out, nil); err != nil {
		t.Fatalf("converting %+v: %v", in, err)
	}
	return out
}

func toV1(t *testing.T, in karo.EnvVar) v1.EnvVar {
	t.Helper()
	var out v1.EnvVar
	if err := v1.Convert_karo_EnvVar_To_v1_EnvVar(&in, &out, nil); err != nil {
		t.Fatalf("converting %+v: %v", in, err)
	}
	return out
}

func TestEnvVarConversion(t *testing.T) {
	for name, tc := range map[string]struct {
		v1       v1.EnvVar
		internal karo.EnvVar
	}{
		"status is an expression": {
			v1.EnvVar{Value: "status"}, karo.EnvVar{Expression: "status"},
		},
		"a label is an expression": {
			v1.EnvVar{Value: "labels.instance"}, karo.EnvVar{Expression: "labels.instance"},
		},
		"an annotation is an expression": {
			v1.EnvVar{Value: "annotations.runbook_url"}, karo.EnvVar{Expression: "annotations.runbook_url"},
		},
		"the name of a label may be any text": {
			v1.EnvVar{Value: `labels.größe \ of a.disk`}, karo.EnvVar{Expression: `labels.größe \ of a.disk`},
		},
		"no value is the empty literal": {
			v1.EnvVar{}, karo.EnvVar{},
		},
		"plain text is itself": {
			v1.EnvVar{Value: "plain text"}, karo.EnvVar{Literal: "plain text"},
		},
		"labels without a name is itself": {
			v1.EnvVar{Value: "labels."}, karo.EnvVar{Literal: "labels."},
		},
		"annotations without a name is itself": {
			v1.EnvVar{Value: "annotations."}, karo.EnvVar{Literal: "annotations."},
		},
		"other fields of an alert are no expressions": {
			v1.EnvVar{Value: "startsAt"}, karo.EnvVar{Literal: "startsAt"},
		},
		"case counts": {
			v1.EnvVar{Value: "Status"}, karo.EnvVar{Literal: "Status"},
		},
		"an expression stands alone": {
			v1.EnvVar{Value: " status"}, karo.EnvVar{Literal: " status"},
		},
		"a backslash makes status literal": {
			v1.EnvVar{Value: `\status`}, karo.EnvVar{Literal: "status"},
		},
		"a backslash makes a label literal": {
			v1.EnvVar{Value: `\labels.x`}, karo.EnvVar{Literal: "labels.x"},
		},
		"a backslash makes an annotation literal": {
			v1.EnvVar{Value: `\annotations.x`}, karo.EnvVar{Literal: "annotations.x"},
		},
		"of two backslashes one stays": {
			v1.EnvVar{Value: `\\labels.x`}, karo.EnvVar{Literal: `\labels.x`},
		},
		"of three backslashes two stay": {
			v1.EnvVar{Value: `\\\status`}, karo.EnvVar{Literal: `\\status`},
		},
		"a path of Windows needs no escape": {
			v1.EnvVar{Value: `\\server\share`}, karo.EnvVar{Literal: `\\server\share`},
		},
		"a backslash before what is no expression stays": {
			v1.EnvVar{Value: `\labels.`}, karo.EnvVar{Literal: `\labels.`},
		},
		"a backslash alone stays": {
			v1.EnvVar{Value: `\`}, karo.EnvVar{Literal: `\`},
		},
		"a reference to the alert stays a reference": {
			v1.EnvVar{ValueFrom: &v1.EnvVarSource{AlertRef: &v1.AlertFieldSelector{FieldPath: "labels.x"}}},
			karo.EnvVar{ValueFrom: &karo.EnvVarSource{AlertRef: &karo.AlertFieldSelector{FieldPath: "labels.x"}}},
		},
		"what the kubelet resolves is passed on": {
			v1.EnvVar{ValueFrom: &v1.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{FieldPath: "status.podIP"}}},
			karo.EnvVar{ValueFrom: &karo.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{FieldPath: "status.podIP"}}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			tc.v1.Name, tc.internal.Name = "NAME", "NAME"
			if diff := cmp.Diff(tc.internal, toInternal(t, tc.v1)); diff != "" {
				t.Errorf("to internal (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tc.v1, toV1(t, tc.internal)); diff != "" {
				t.Errorf("from internal (-want +got):\n%s", diff)
			}
		})
	}
}

// envText is a text that is often an expression, nearly one, or an escaped one.
type envText string

func (envText) Generate(r *rand.Rand, size int) reflect.Value {
	parts := []string{`\`, `\`, "status", "labels.", "annotations.", "x", ".", " ", "ü", "$"}
	var text strings.Builder
	for range r.Intn(min(size, 6) + 1) {
		text.WriteString(parts[r.Intn(len(parts))])
	}
	return reflect.ValueOf(envText(text.String()))
}

// What is written reads back the same, and what is stored means the same after it was read and written again. So no
// two texts of one side ever share one of the other.
func TestEnvVarConversionIsABijection(t *testing.T) {
	fromV1 := func(text envText) bool {
		return toV1(t, toInternal(t, v1.EnvVar{Value: string(text)})).Value == string(text)
	}
	if err := quick.Check(fromV1, &quick.Config{MaxCount: 20000}); err != nil {
		t.Errorf("v1 to internal and back: %v", err)
	}
	fromLiteral := func(text envText) bool {
		return toInternal(t, toV1(t, karo.EnvVar{Literal: string(text)})) == karo.EnvVar{Literal: string(text)}
	}
	if err := quick.Check(fromLiteral, &quick.Config{MaxCount: 20000}); err != nil {
		t.Errorf("literal to v1 and back: %v", err)
	}
}

// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

package v1alpha1_test

import (
	"math/rand"
	"reflect"
	"strings"
	"testing"
	"testing/quick"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/conversion"

	"karo.io/karo/pkg/apis/karo"
	v1 "karo.io/karo/pkg/apis/karo/v1"
	"karo.io/karo/pkg/apis/karo/v1alpha1"
)

// convert converts a variable, and fails the test when that is an error.
func convert[In, Out any](t *testing.T, with func(*In, *Out, conversion.Scope) error, in In) (out Out) {
	t.Helper()
	if err := with(&in, &out, nil); err != nil {
		t.Fatalf("converting %+v: %v", in, err)
	}
	return out
}

func fromV1(t *testing.T, in v1.EnvVar) karo.EnvVar {
	t.Helper()
	return convert(t, v1.Convert_v1_EnvVar_To_karo_EnvVar, in)
}

func toV1(t *testing.T, in karo.EnvVar) v1.EnvVar {
	t.Helper()
	return convert(t, v1.Convert_karo_EnvVar_To_v1_EnvVar, in)
}

func fromV1alpha1(t *testing.T, in v1alpha1.EnvVar) karo.EnvVar {
	t.Helper()
	return convert(t, v1alpha1.Convert_v1alpha1_EnvVar_To_karo_EnvVar, in)
}

func toV1alpha1(t *testing.T, in karo.EnvVar) v1alpha1.EnvVar {
	t.Helper()
	return convert(t, v1alpha1.Convert_karo_EnvVar_To_v1alpha1_EnvVar, in)
}

func alertRef(path string) *karo.EnvVarSource {
	return &karo.EnvVarSource{AlertRef: &karo.AlertFieldSelector{FieldPath: path}}
}

func alertRefV1(path string) *v1.EnvVarSource {
	return &v1.EnvVarSource{AlertRef: &v1.AlertFieldSelector{FieldPath: path}}
}

func alertRefV1alpha1(path string, inline bool) *v1alpha1.EnvVarSource {
	return &v1alpha1.EnvVarSource{AlertRef: &v1alpha1.AlertFieldSelector{FieldPath: path, Inline: inline}}
}

// What is written in a version reads back the same there; in the other one it means the same.
func TestEnvVarConversion(t *testing.T) {
	secret := &corev1.SecretKeySelector{LocalObjectReference: corev1.LocalObjectReference{Name: "s"}, Key: "k"}
	for name, tc := range map[string]struct {
		v1alpha1 v1alpha1.EnvVar
		internal karo.EnvVar
		v1       v1.EnvVar
	}{
		"nothing": {},
		"a text is itself": {
			v1alpha1.EnvVar{Value: "text"}, karo.EnvVar{Literal: "text"}, v1.EnvVar{Value: "text"},
		},
		"what v1 takes from the alert is literal": {
			v1alpha1.EnvVar{Value: "labels.workflow"}, karo.EnvVar{Literal: "labels.workflow"}, v1.EnvVar{Value: `\labels.workflow`},
		},
		"status is literal": {
			v1alpha1.EnvVar{Value: "status"}, karo.EnvVar{Literal: "status"}, v1.EnvVar{Value: `\status`},
		},
		"an annotation is literal": {
			v1alpha1.EnvVar{Value: "annotations.a"}, karo.EnvVar{Literal: "annotations.a"}, v1.EnvVar{Value: `\annotations.a`},
		},
		"a backslash is one of the text": {
			v1alpha1.EnvVar{Value: `\labels.workflow`}, karo.EnvVar{Literal: `\labels.workflow`}, v1.EnvVar{Value: `\\labels.workflow`},
		},
		"a path of Windows is the same in both": {
			v1alpha1.EnvVar{Value: `\\server\share`}, karo.EnvVar{Literal: `\\server\share`}, v1.EnvVar{Value: `\\server\share`},
		},
		"an expression of v1 is a marked reference": {
			v1alpha1.EnvVar{ValueFrom: alertRefV1alpha1("labels.x", true)}, karo.EnvVar{Expression: "labels.x"}, v1.EnvVar{Value: "labels.x"},
		},
		"status of v1 is a marked reference": {
			v1alpha1.EnvVar{ValueFrom: alertRefV1alpha1("status", true)}, karo.EnvVar{Expression: "status"}, v1.EnvVar{Value: "status"},
		},
		"a reference without the mark is one in v1": {
			v1alpha1.EnvVar{ValueFrom: alertRefV1alpha1("labels.x", false)}, karo.EnvVar{ValueFrom: alertRef("labels.x")},
			v1.EnvVar{ValueFrom: alertRefV1("labels.x")},
		},
		"a reference to the whole alert": {
			v1alpha1.EnvVar{ValueFrom: alertRefV1alpha1(".", false)}, karo.EnvVar{ValueFrom: alertRef(".")}, v1.EnvVar{ValueFrom: alertRefV1(".")},
		},
		"a reference without a path": {
			v1alpha1.EnvVar{ValueFrom: alertRefV1alpha1("", false)}, karo.EnvVar{ValueFrom: alertRef("")}, v1.EnvVar{ValueFrom: alertRefV1("")},
		},
		"what the kubelet resolves is passed on": {
			v1alpha1.EnvVar{ValueFrom: &v1alpha1.EnvVarSource{SecretKeyRef: secret}}, karo.EnvVar{ValueFrom: &karo.EnvVarSource{SecretKeyRef: secret}},
			v1.EnvVar{ValueFrom: &v1.EnvVarSource{SecretKeyRef: secret}},
		},
		"a value beside a source, which v1alpha1 takes": {
			v1alpha1.EnvVar{Value: "labels.x", ValueFrom: alertRefV1alpha1("labels.y", false)},
			karo.EnvVar{Literal: "labels.x", ValueFrom: alertRef("labels.y")},
			v1.EnvVar{Value: `\labels.x`, ValueFrom: alertRefV1("labels.y")},
		},
	} {
		t.Run(name, func(t *testing.T) {
			tc.v1alpha1.Name, tc.internal.Name, tc.v1.Name = "NAME", "NAME", "NAME"
			for direction, pair := range map[string][2]any{
				"v1alpha1 to internal": {tc.internal, fromV1alpha1(t, tc.v1alpha1)},
				"internal to v1alpha1": {tc.v1alpha1, toV1alpha1(t, tc.internal)},
				"v1 to internal":       {tc.internal, fromV1(t, tc.v1)},
				"internal to v1":       {tc.v1, toV1(t, tc.internal)},
			} {
				if diff := cmp.Diff(pair[0], pair[1]); diff != "" {
					t.Errorf("%s (-want +got):\n%s", direction, diff)
				}
			}
		})
	}
}

// An alertRef is taken for a value of v1 only where it stands for one there.
func TestAMarkThatMeansNothing(t *testing.T) {
	for name, given := range map[string]v1alpha1.EnvVar{
		"no value of v1 is taken from this field": {ValueFrom: alertRefV1alpha1("startsAt", true)},
		"the value counts":                        {Value: "text", ValueFrom: alertRefV1alpha1("labels.x", true)},
		"beside another source": {ValueFrom: &v1alpha1.EnvVarSource{
			AlertRef: &v1alpha1.AlertFieldSelector{FieldPath: "labels.x", Inline: true}, FieldRef: &corev1.ObjectFieldSelector{},
		}},
	} {
		if got := fromV1alpha1(t, given); got.Expression != "" || got.ValueFrom == nil || got.ValueFrom.AlertRef == nil {
			t.Errorf("%s: got %+v, want the reference kept", name, got)
		}
	}
}

// variable is one of v1alpha1, with texts that v1 would take from the alert, nearly so, or that are escaped.
type variable v1alpha1.EnvVar

func (variable) Generate(r *rand.Rand, _ int) reflect.Value {
	text := func() string {
		parts := []string{`\`, `\`, "status", "labels.", "annotations.", "x", ".", " ", "ü", "$"}
		var b strings.Builder
		for range r.Intn(6) {
			b.WriteString(parts[r.Intn(len(parts))])
		}
		return b.String()
	}
	v := variable{Name: text()}
	if r.Intn(2) == 0 {
		v.Value = text()
	}
	switch r.Intn(4) {
	case 0:
		path := text()
		v.ValueFrom = alertRefV1alpha1(path, v.Value == "" && karo.IsExpression(path) && r.Intn(2) == 0)
	case 1:
		v.ValueFrom = &v1alpha1.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{FieldPath: text()}}
	}
	return reflect.ValueOf(v)
}

// Between the versions lies the one that is stored, v1, so each step has to be one that can be undone.
func TestEnvVarConversionIsABijection(t *testing.T) {
	comesBack := func(given variable) bool {
		internal := fromV1alpha1(t, v1alpha1.EnvVar(given))
		stored := toV1(t, internal)
		ok := true
		for step, pair := range map[string][2]any{
			"v1alpha1": {v1alpha1.EnvVar(given), toV1alpha1(t, internal)},
			"internal": {internal, fromV1(t, stored)},
			"v1":       {stored, toV1(t, fromV1alpha1(t, toV1alpha1(t, fromV1(t, stored))))},
		} {
			if diff := cmp.Diff(pair[0], pair[1]); diff != "" {
				t.Logf("%s (-given +back):\n%s", step, diff)
				ok = false
			}
		}
		return ok
	}
	if err := quick.Check(comesBack, &quick.Config{MaxCount: 20000}); err != nil {
		t.Error(err)
	}
}

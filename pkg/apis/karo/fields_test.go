// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

package karo_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/runtime"

	"karo.io/karo/pkg/apis/karo"
	"karo.io/karo/pkg/apis/karo/install"
	v1 "karo.io/karo/pkg/apis/karo/v1"
)

func TestFieldLabelConversion(t *testing.T) {
	scheme := runtime.NewScheme()
	install.Install(scheme)
	for kind, selectable := range karo.SelectableFields {
		t.Run(kind, func(t *testing.T) {
			gvk := v1.SchemeGroupVersion.WithKind(kind)
			allowed := append([]string{"metadata.name", "metadata.namespace"}, selectable...)
			for _, label := range allowed {
				gotLabel, gotValue, err := scheme.ConvertFieldLabel(gvk, label, "some value")
				if err != nil || gotLabel != label || gotValue != "some value" {
					t.Errorf("%s: got %q, %q, %v; want it unchanged", label, gotLabel, gotValue, err)
				}
			}
			for _, label := range []string{"", "metadata.uid", "spec", "spec.alertname", "spec.actions", "status", "status.reason"} {
				want := fmt.Sprintf("field label %q not supported for %s; supported: %q", label, kind, allowed)
				if _, _, err := scheme.ConvertFieldLabel(gvk, label, "some value"); err == nil || err.Error() != want {
					t.Errorf("%s: got error %v, want %s", label, err, want)
				}
			}
		})
	}
}

// A kind without field labels of its own would take those of every kind, which are the name and the namespace, but
// would also answer with the error of another project. Each kind that can be listed is meant to say what it has.
func TestEveryListedKindSaysItsFields(t *testing.T) {
	scheme := runtime.NewScheme()
	install.Install(scheme)
	var listed []string
	for kind := range scheme.KnownTypes(v1.SchemeGroupVersion) {
		if item, ok := strings.CutSuffix(kind, "List"); ok && scheme.Recognizes(v1.SchemeGroupVersion.WithKind(item)) {
			listed = append(listed, item)
		}
	}
	if len(listed) == 0 {
		t.Fatal("no kind can be listed")
	}
	for _, kind := range listed {
		if _, ok := karo.SelectableFields[kind]; !ok {
			t.Errorf("SelectableFields lacks %s", kind)
		}
	}
	for kind := range karo.SelectableFields {
		if !slices.Contains(listed, kind) {
			t.Errorf("SelectableFields names %s, which cannot be listed", kind)
		}
	}
}

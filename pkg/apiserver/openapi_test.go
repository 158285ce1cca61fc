// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

package apiserver

import (
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/runtime"
	openapinamer "k8s.io/apiserver/pkg/endpoints/openapi"
	"k8s.io/kube-openapi/pkg/common"
	"k8s.io/kube-openapi/pkg/util"
	"k8s.io/kube-openapi/pkg/validation/spec"

	v1 "karo.io/karo/pkg/apis/karo/v1"
	"karo.io/karo/pkg/apis/karo/v1alpha1"
	"karo.io/karo/pkg/generated/openapi"
)

func definitions() map[string]common.OpenAPIDefinition {
	return openapi.GetOpenAPIDefinitions(func(path string) spec.Ref { return spec.MustCreateRef("#/definitions/" + path) })
}

// The name of a definition is a part of a JSON pointer, in which a slash would begin the next part: kubectl explain,
// and server-side apply, would find nothing behind it.
func TestDefinitionNames(t *testing.T) {
	namer := openapinamer.NewDefinitionNamer(Scheme)
	for name := range definitions() {
		served, _ := namer.GetDefinitionName(name)
		for _, name := range []string{name, served} {
			if name == "" || strings.ContainsAny(name, "/~% ") {
				t.Errorf("%q cannot be a part of a JSON pointer", name)
			}
		}
		if strings.Contains(served, "karo") && !strings.HasPrefix(served, "io.karo.") {
			t.Errorf("%s does not begin with the reversed domain of the group", served)
		}
	}
}

func TestEveryKindIsDefined(t *testing.T) {
	defined := definitions()
	namer := openapinamer.NewDefinitionNamer(Scheme)
	own := 0
	for kind, goType := range Scheme.KnownTypes(v1.SchemeGroupVersion) {
		obj, err := Scheme.New(v1.SchemeGroupVersion.WithKind(kind))
		if err != nil {
			t.Fatal(err)
		}
		name := modelName(obj)
		if _, ok := defined[name]; !ok {
			t.Errorf("%s, which is %s, has no definition %s", kind, goType, name)
			continue
		}
		if goType.PkgPath() != reflect.TypeFor[v1.Alert]().PkgPath() {
			continue // The options of requests are of every group.
		}
		own++
		_, extensions := namer.GetDefinitionName(name)
		want := []any{map[string]any{"group": "karo.io", "version": "v1", "kind": kind}}
		if got := extensions["x-kubernetes-group-version-kind"]; !reflect.DeepEqual(got, want) {
			t.Errorf("%s says that it is of %v, want %v", name, got, want)
		}
	}
	if own == 0 {
		t.Error("no kind of Karo is known")
	}
}

// modelName returns the name that the generator gives to the definition of a type.
func modelName(obj runtime.Object) string {
	if named, ok := obj.(interface{ OpenAPIModelName() string }); ok {
		return named.OpenAPIModelName()
	}
	return util.GetCanonicalTypeName(obj)
}

// A reference to what is not there breaks every client that reads the whole document.
func TestEveryReferenceIsDefined(t *testing.T) {
	defined := definitions()
	var follow func(name string)
	followed := map[string]bool{}
	follow = func(name string) {
		if followed[name] {
			return
		}
		followed[name] = true
		definition, ok := defined[name]
		if !ok {
			t.Errorf("%s is referred to and not defined", name)
			return
		}
		walk(&definition.Schema, func(schema *spec.Schema) {
			if reference := schema.Ref.String(); reference != "" {
				follow(strings.TrimPrefix(reference, "#/definitions/"))
			}
		})
	}
	for kind := range Scheme.KnownTypes(v1.SchemeGroupVersion) {
		// The answer to a notification is in no document: a Connecter says nothing of what it answers.
		if kind == "AlertNotificationResult" {
			continue
		}
		obj, err := Scheme.New(v1.SchemeGroupVersion.WithKind(kind))
		if err != nil {
			t.Fatal(err)
		}
		follow(modelName(obj))
	}
}

// The description of a field is what kubectl explain prints.
func TestEveryFieldIsDescribed(t *testing.T) {
	described := map[string]int{}
	for name, definition := range definitions() {
		version, ok := strings.CutPrefix(name, "io.karo.")
		if !ok {
			continue
		}
		version, _, _ = strings.Cut(version, ".")
		if definition.Schema.Description == "" {
			t.Errorf("%s has no description", name)
		}
		for field, schema := range definition.Schema.Properties {
			if schema.Description == "" {
				t.Errorf("%s.%s has no description", name, field)
			}
			described[version]++
		}
	}
	if described["v1"] == 0 || described["v1alpha1"] == 0 {
		t.Errorf("got fields %v, want some of each version", described)
	}
}

// taught is a description that goes on, behind the meaning, with the default or that there is none, and an example.
var taught = regexp.MustCompile(`\. (Default: .+\.|Required[.,:;].*) Examples?: .+\.$`)

// A person who has kubectl explain and nothing else is told what a field means, what holds without it, and how it is
// written: of every field that people write, at whatever depth, or that it is not theirs to write.
func TestEveryWrittenFieldIsTaught(t *testing.T) {
	defined := definitions()
	followed := map[string]bool{}
	var follow func(name string)
	follow = func(name string) {
		if !strings.HasPrefix(name, "io.karo.") || followed[name] {
			return // Kubernetes teaches its own.
		}
		followed[name] = true
		properties := defined[name].Schema.Properties
		_, isObject := properties["metadata"]
		for field, schema := range properties {
			if field == "apiVersion" || field == "kind" || isObject && (field == "metadata" || field == "status") {
				continue
			}
			text, _, _ := strings.Cut(schema.Description, "\n\nPossible enum values:")
			if !taught.MatchString(text) && !strings.HasSuffix(text, " Karo sets it.") {
				t.Errorf("%s.%s is described without a default or \"Required\", or without an example behind it: %s", name, field, text)
			}
			walk(&schema, func(schema *spec.Schema) {
				follow(strings.TrimPrefix(schema.Ref.String(), "#/definitions/"))
			})
		}
	}
	for _, written := range []runtime.Object{
		&v1.AlertReaction{}, &v1.Execution{}, &v1.ExecutionRequest{}, &v1.AlertNotification{}, &v1.ClusterAlertNotification{},
		&v1alpha1.AlertReaction{},
	} {
		follow(modelName(written))
	}
	for _, deep := range []string{
		"io.karo.v1.AlertFieldSelector", "io.karo.v1alpha1.AlertFieldSelector", "io.karo.v1.ReactionReference",
		"io.karo.v1.AlertOccurrence", "io.karo.v1.ExecutionRequest", "io.karo.v1.NotificationAlert",
	} {
		if len(defined[deep].Schema.Properties) == 0 || !followed[deep] {
			t.Errorf("%s was not looked at", deep)
		}
	}
}

// v1alpha1 carries every field of v1, so that nothing is lost on the way through it, and each that the operator did not
// have as one that may be left out.
func TestV1alpha1HasEveryFieldOfV1(t *testing.T) {
	defined := definitions()
	// These were required by the operator too.
	required := []string{"metadata", "spec", "name", "namespace", "actionName", "fieldPath", "reason", "time", "items"}
	compared := 0
	for name, older := range defined {
		kind, ok := strings.CutPrefix(name, "io.karo.v1alpha1.")
		if !ok {
			continue
		}
		compared++
		for field := range defined["io.karo.v1."+kind].Schema.Properties {
			if _, ok := older.Schema.Properties[field]; !ok {
				t.Errorf("%s lacks %s", name, field)
			}
		}
		for _, field := range older.Schema.Required {
			if !slices.Contains(required, field) {
				t.Errorf("%s requires %s", name, field)
			}
		}
	}
	if compared == 0 {
		t.Error("nothing of v1alpha1 is defined")
	}
}

// walk visits a schema and all that is in it.
func walk(schema *spec.Schema, visit func(*spec.Schema)) {
	visit(schema)
	for _, children := range []map[string]spec.Schema{schema.Properties, schema.PatternProperties} {
		for _, child := range children {
			walk(&child, visit)
		}
	}
	for _, children := range [][]spec.Schema{schema.AllOf, schema.AnyOf, schema.OneOf} {
		for _, child := range children {
			walk(&child, visit)
		}
	}
	if schema.Items != nil && schema.Items.Schema != nil {
		walk(schema.Items.Schema, visit)
	}
	if schema.AdditionalProperties != nil && schema.AdditionalProperties.Schema != nil {
		walk(schema.AdditionalProperties.Schema, visit)
	}
}

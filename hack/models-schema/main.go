// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

// Command models-schema prints the OpenAPI definitions of all types as one OpenAPI v2 document. The generator of the
// apply configurations reads from it how server-side apply merges each field.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"

	"k8s.io/kube-openapi/pkg/common"
	"k8s.io/kube-openapi/pkg/validation/spec"

	"karo.io/karo/pkg/generated/openapi"
)

func main() {
	document := spec.Swagger{SwaggerProps: spec.SwaggerProps{
		Swagger:     "2.0",
		Info:        &spec.Info{InfoProps: spec.InfoProps{Title: "Karo", Version: "v1"}},
		Definitions: spec.Definitions{},
	}}
	reference := func(model string) spec.Ref { return spec.MustCreateRef("#/definitions/" + name(model)) }
	for model, definition := range openapi.GetOpenAPIDefinitions(reference) {
		schema := definition.Schema
		// Types with a different shape in v2, such as IntOrString, carry that shape as an extension.
		if v2, ok := schema.Extensions[common.ExtensionV2Schema].(spec.Schema); ok {
			schema = v2
		}
		document.Definitions[name(model)] = schema
	}
	if err := json.NewEncoder(os.Stdout).Encode(&document); err != nil {
		fmt.Fprintf(os.Stderr, "writing the OpenAPI document: %v\n", err)
		os.Exit(1)
	}
}

// name returns the name under which the generator looks for a model: it goes by the packages of the types, and does not
// know the names that these give to their models.
func name(model string) string {
	for _, version := range []string{"v1", "v1alpha1"} {
		if kind, ok := strings.CutPrefix(model, "io.karo."+version+"."); ok {
			return "io.karo.karo.pkg.apis.karo." + version + "." + kind
		}
	}
	return model
}

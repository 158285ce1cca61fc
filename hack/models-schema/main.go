// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

// Command models-schema prints the OpenAPI definitions of all types as one OpenAPI v2 document. The generator of the
// apply configurations reads from it how server-side apply merges each field.
package main

import (
	"encoding/json"
	"fmt"
	"os"

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
	reference := func(name string) spec.Ref { return spec.MustCreateRef("#/definitions/" + name) }
	for name, definition := range openapi.GetOpenAPIDefinitions(reference) {
		schema := definition.Schema
		// Types with a different shape in v2, such as IntOrString, carry that shape as an extension.
		if v2, ok := schema.Extensions[common.ExtensionV2Schema].(spec.Schema); ok {
			schema = v2
		}
		document.Definitions[name] = schema
	}
	if err := json.NewEncoder(os.Stdout).Encode(&document); err != nil {
		fmt.Fprintf(os.Stderr, "writing the OpenAPI document: %v\n", err)
		os.Exit(1)
	}
}

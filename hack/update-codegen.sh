#!/usr/bin/env bash
# Copyright 2026 The Karo Authors
# SPDX-License-Identifier: Apache-2.0
#
# Writes everything that is generated from the types in pkg/apis: deep copies, defaults, conversions, OpenAPI
# definitions with their model names, and the client packages below pkg/generated.

set -o errexit -o nounset -o pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "${root}"
module=$(go list -m)
boilerplate="${root}/hack/boilerplate.go.txt"

# The generators are those of the version that go.mod names.
# shellcheck source=/dev/null
source "$(go list -m -f '{{.Dir}}' k8s.io/code-generator)/kube_codegen.sh"

# What a removed type left behind must not survive.
find pkg -name 'zz_generated.*.go' -delete
rm -rf pkg/generated/{clientset,listers,informers,applyconfiguration}

kube::codegen::gen_helpers --boilerplate "${boilerplate}" "${root}/pkg/apis"

kube::codegen::gen_openapi \
	--output-dir "${root}/pkg/generated/openapi" \
	--output-pkg "${module}/pkg/generated/openapi" \
	--output-model-name-file zz_generated.model_name.go \
	--extra-pkgs k8s.io/api/core/v1 \
	--extra-pkgs k8s.io/api/batch/v1 \
	--extra-pkgs k8s.io/api/scheduling/v1alpha3 \
	--extra-pkgs k8s.io/apimachinery/pkg/api/resource \
	--extra-pkgs k8s.io/apimachinery/pkg/util/intstr \
	--report-filename "${root}/hack/api-violations.txt" --update-report \
	--boilerplate "${boilerplate}" \
	"${root}/pkg/apis"

schema=$(mktemp)
trap 'rm -f "${schema}"' EXIT
go run ./hack/models-schema >"${schema}"

kube::codegen::gen_client \
	--with-watch \
	--with-applyconfig \
	--applyconfig-openapi-schema "${schema}" \
	--output-dir "${root}/pkg/generated" \
	--output-pkg "${module}/pkg/generated" \
	--boilerplate "${boilerplate}" \
	"${root}/pkg/apis"

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

# The generators are those of the version that go.mod names. A fresh module cache does not have them yet.
go mod download k8s.io/code-generator
# shellcheck source=/dev/null
source "$(go list -m -f '{{.Dir}}' k8s.io/code-generator)/kube_codegen.sh"

scratch=$(mktemp -d)
trap 'rm -rf "${scratch}"' EXIT

# What a removed type left behind must not survive.
find pkg -name 'zz_generated.*.go' -delete
rm -rf pkg/generated/{clientset,listers,informers,applyconfiguration}

kube::codegen::gen_helpers --boilerplate "${boilerplate}" "${root}/pkg/apis"

# Definitions are needed for the types of Kubernetes too, but nothing may be written beside them: they are in the
# module cache.
extra=()
for pkg in k8s.io/api/{core/v1,batch/v1,scheduling/v1alpha3}; do
	KUBE_CODEGEN_READONLY_PKGS+=("${pkg}")
	extra+=(--extra-pkgs "${pkg}")
done
# The generator leaves a report in the temporary directory.
export TMPDIR="${scratch}"
kube::codegen::gen_openapi \
	--output-dir "${root}/pkg/generated/openapi" \
	--output-pkg "${module}/pkg/generated/openapi" \
	--output-model-name-file zz_generated.model_name.go \
	"${extra[@]}" \
	--extra-pkgs k8s.io/apimachinery/pkg/api/resource \
	--extra-pkgs k8s.io/apimachinery/pkg/util/intstr \
	--report-filename "${root}/hack/api-violations.txt" --update-report \
	--boilerplate "${boilerplate}" \
	"${root}/pkg/apis"

schema="${scratch}/schema.json"
go run ./hack/models-schema >"${schema}"

kube::codegen::gen_client \
	--with-watch \
	--with-applyconfig \
	--applyconfig-openapi-schema "${schema}" \
	--output-dir "${root}/pkg/generated" \
	--output-pkg "${module}/pkg/generated" \
	--boilerplate "${boilerplate}" \
	"${root}/pkg/apis"

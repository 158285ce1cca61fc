#!/usr/bin/env bash
# Copyright 2026 The Karo Authors
# SPDX-License-Identifier: Apache-2.0
#
# Runs golangci-lint, built once from the version that hack/tools/lint pins, with the arguments given.

set -o errexit -o nounset -o pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."

cache="${XDG_CACHE_HOME:-${HOME}/.cache}/karo"
linter="${cache}/golangci-lint-$(sha256sum hack/tools/lint/go.sum | cut -c1-16)"
if [[ ! -x "${linter}" ]]; then
	echo "building golangci-lint; the first time this takes some minutes" >&2
	mkdir -p "${cache}"
	(cd hack/tools/lint && go build -o "${linter}.partial" github.com/golangci/golangci-lint/v2/cmd/golangci-lint)
	mv "${linter}.partial" "${linter}"
fi
"${linter}" run "$@" ./...

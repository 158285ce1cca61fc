#!/usr/bin/env bash
# Copyright 2026 The Karo Authors
# SPDX-License-Identifier: Apache-2.0
#
# Fails when a Go file is not formatted, or a go.mod is not tidy.

set -o errexit -o nounset -o pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."

bad=$(find . -name '*.go' -print0 | xargs -0 gofmt -l)
if [[ -n "${bad}" ]]; then
	printf 'not formatted:\n%s\nRun "make update".\n' "${bad}" >&2
	exit 1
fi
for module in . hack/tools hack/tools/helm hack/tools/image hack/tools/lint; do
	if ! (cd "${module}" && go mod tidy -diff); then
		printf '%s/go.mod is not tidy. Run "make update".\n' "${module}" >&2
		exit 1
	fi
done

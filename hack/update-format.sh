#!/usr/bin/env bash
# Copyright 2026 The Karo Authors
# SPDX-License-Identifier: Apache-2.0
#
# Formats all Go files and tidies every go.mod.

set -o errexit -o nounset -o pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."

find . -name '*.go' -print0 | xargs -0 gofmt -w
for module in . hack/tools hack/tools/helm hack/tools/image hack/tools/lint; do
	(cd "${module}" && go mod tidy)
done

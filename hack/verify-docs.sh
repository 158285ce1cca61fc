#!/usr/bin/env bash
# Copyright 2026 The Karo Authors
# SPDX-License-Identifier: Apache-2.0
#
# Fails when the documentation is not what the types and the examples give, when YAML in it does not parse, or when a
# link in it leads nowhere. It generates into a copy, so that nothing here changes.

set -o errexit -o nounset -o pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."

copy=$(mktemp -d)
trap 'rm -rf "${copy}"' EXIT
hack/copy.sh "${copy}"
go run ./hack/reference "${copy}"
for generated in docs README.md CONTRIBUTING.md CHANGELOG.md; do
	if ! diff -Nru "${generated}" "${copy}/${generated}"; then
		printf 'the documentation is out of date. Run "make update", or hack/update-docs.sh alone.\n' >&2
		exit 1
	fi
done
# Every recipe is shown.
for recipe in artifacts/example/recipes/*.yaml; do
	if ! grep -qF "<!-- include ${recipe} -->" docs/recipes.md; then
		printf '%s is not in docs/recipes.md. Add "<!-- include %s -->", an empty line and an empty yaml block, and run hack/update-docs.sh.\n' "${recipe}" "${recipe}" >&2
		exit 1
	fi
done

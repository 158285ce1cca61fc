#!/usr/bin/env bash
# Copyright 2026 The Karo Authors
# SPDX-License-Identifier: Apache-2.0
#
# Fails when the generated code is not what the types give. It generates into a copy, so that nothing here changes.

set -o errexit -o nounset -o pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."

copy=$(mktemp -d)
trap 'rm -rf "${copy}"' EXIT
hack/copy.sh "${copy}"
"${copy}/hack/update-codegen.sh" >"${copy}/log" 2>&1 || {
	cat "${copy}/log" >&2
	exit 1
}
for generated in pkg hack/api-violations.txt; do
	if ! diff -Nru "${generated}" "${copy}/${generated}"; then
		printf 'the generated code is out of date. Run "make update".\n' >&2
		exit 1
	fi
done

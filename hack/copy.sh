#!/usr/bin/env bash
# Copyright 2026 The Karo Authors
# SPDX-License-Identifier: Apache-2.0
#
# Copies the working tree, without what git ignores, to a directory, for a check that writes nothing here.

set -o errexit -o nounset -o pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
git ls-files -co --exclude-standard -z | while IFS= read -r -d '' file; do
	# A file that is deleted and not yet committed is still listed.
	if [[ -e "${file}" ]]; then
		cp --parents "${file}" "$1"
	fi
done

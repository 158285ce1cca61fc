#!/usr/bin/env bash
# Copyright 2026 The Karo Authors
# SPDX-License-Identifier: Apache-2.0
#
# Fails when the linters of .golangci.yml find something.

set -o errexit -o nounset -o pipefail

if ! "$(dirname "${BASH_SOURCE[0]}")/lint.sh"; then
	printf 'Mend what is named above; "make update" mends a part of it.\n' >&2
	exit 1
fi

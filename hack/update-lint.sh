#!/usr/bin/env bash
# Copyright 2026 The Karo Authors
# SPDX-License-Identifier: Apache-2.0
#
# Mends what the linters of .golangci.yml can mend themselves.

set -o errexit -o nounset -o pipefail

"$(dirname "${BASH_SOURCE[0]}")/lint.sh" --fix

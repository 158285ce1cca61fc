//go:build tools

// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

// Package hack keeps in go.mod what only scripts use.
package hack

import _ "k8s.io/code-generator"

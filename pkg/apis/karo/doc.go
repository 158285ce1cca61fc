// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

// Package karo holds the internal version of the karo.io API group: the shape that storage, validation, matching and
// the executor work on. Clients only ever see the versions below it.
//
// +k8s:deepcopy-gen=package
// +groupName=karo.io
package karo

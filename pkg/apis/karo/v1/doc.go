// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

// Package v1 is the preferred and stored version of the karo.io API group.
//
// +k8s:deepcopy-gen=package
// +k8s:openapi-gen=true
// +k8s:conversion-gen=karo.io/karo/pkg/apis/karo
// +k8s:defaulter-gen=TypeMeta
// +k8s:openapi-model-package=io.karo.v1
// +groupName=karo.io
package v1

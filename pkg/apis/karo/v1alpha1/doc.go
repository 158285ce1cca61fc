// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

// Package v1alpha1 is the version of the karo.io API group that users of the operator before this server wrote their
// AlertReactions in. It differs from v1 in the variables of an action: a value is always literal here, and what comes
// from the alert is an alertRef. Every other field of v1 is here too, and an update that lacks one keeps what is stored. The
// list of the actions is one value, as it was: applying a manifest replaces it.
//
// +k8s:deepcopy-gen=package
// +k8s:openapi-gen=true
// +k8s:conversion-gen=karo.io/karo/pkg/apis/karo
// +k8s:openapi-model-package=io.karo.v1alpha1
// +groupName=karo.io
package v1alpha1

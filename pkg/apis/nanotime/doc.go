// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

// Package nanotime holds the timestamp type of alert occurrences.
//
// Alertmanager tells two occurrences of an alert apart by startsAt alone, and two may lie within one second.
// metav1.Time drops everything below the second and metav1.MicroTime everything below the microsecond, so neither
// can carry the identity of an occurrence.
//
// +k8s:deepcopy-gen=package
// +k8s:openapi-gen=true
// +k8s:openapi-model-package=io.karo.nanotime
package nanotime

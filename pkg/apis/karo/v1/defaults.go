// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

package v1

import (
	"k8s.io/apimachinery/pkg/runtime"
)

// The defaults of an action; see the fields for why they are what they are.
const (
	DefaultBackoffLimit            int32 = 0
	DefaultActiveDeadlineSeconds   int64 = 3600
	DefaultTTLSecondsAfterFinished int32 = 3600
)

func addDefaultingFuncs(scheme *runtime.Scheme) error {
	return RegisterDefaults(scheme)
}

// SetDefaults_Matcher fills in the operator.
func SetDefaults_Matcher(m *Matcher) { //nolint:revive // The generator finds defaulting functions by this name.
	if m.Operator == "" {
		m.Operator = MatchEqual
	}
}

// SetDefaults_Action fills in the limits of the Job.
func SetDefaults_Action(a *Action) { //nolint:revive // The generator finds defaulting functions by this name.
	if a.BackoffLimit == nil {
		a.BackoffLimit = new(DefaultBackoffLimit)
	}
	if a.ActiveDeadlineSeconds == nil {
		a.ActiveDeadlineSeconds = new(DefaultActiveDeadlineSeconds)
	}
	if a.TTLSecondsAfterFinished == nil {
		a.TTLSecondsAfterFinished = new(DefaultTTLSecondsAfterFinished)
	}
}

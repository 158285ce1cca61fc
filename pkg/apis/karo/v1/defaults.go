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

// SetDefaults_AlertReactionSpec fills in when and how a reaction runs.
func SetDefaults_AlertReactionSpec(s *AlertReactionSpec) { //nolint:revive // The generator finds defaulting functions by this name.
	if len(s.When) == 0 {
		s.When = []When{WhenFiring}
	}
	if s.AlertScope == "" {
		s.AlertScope = ScopeNamespace
	}
	if s.Suspend == nil {
		s.Suspend = new(false)
	}
	if s.Order == "" {
		s.Order = OrderParallel
	}
	if s.JobTemplate != nil {
		setDefaultLimits(&s.JobTemplate.Spec.BackoffLimit, &s.JobTemplate.Spec.ActiveDeadlineSeconds, &s.JobTemplate.Spec.TTLSecondsAfterFinished)
	}
}

// SetDefaults_Action fills in the limits of the Job, where the action has them.
func SetDefaults_Action(a *Action) { //nolint:revive // The generator finds defaulting functions by this name.
	if a.JobTemplate != nil {
		setDefaultLimits(&a.JobTemplate.Spec.BackoffLimit, &a.JobTemplate.Spec.ActiveDeadlineSeconds, &a.JobTemplate.Spec.TTLSecondsAfterFinished)
		return
	}
	setDefaultLimits(&a.BackoffLimit, &a.ActiveDeadlineSeconds, &a.TTLSecondsAfterFinished)
}

func setDefaultLimits(backoffLimit **int32, activeDeadlineSeconds **int64, ttlSecondsAfterFinished **int32) {
	if *backoffLimit == nil {
		*backoffLimit = new(DefaultBackoffLimit)
	}
	if *activeDeadlineSeconds == nil {
		*activeDeadlineSeconds = new(DefaultActiveDeadlineSeconds)
	}
	if *ttlSecondsAfterFinished == nil {
		*ttlSecondsAfterFinished = new(DefaultTTLSecondsAfterFinished)
	}
}

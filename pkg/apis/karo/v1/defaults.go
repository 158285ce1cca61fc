// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

package v1

import (
	"k8s.io/apimachinery/pkg/runtime"
)

func addDefaultingFuncs(scheme *runtime.Scheme) error {
	return RegisterDefaults(scheme)
}

// SetDefaults_AlertReactionSpec fills in when and how a reaction runs. The limits of an action are no defaults of the
// version: v1alpha1, in which the list of the actions is one value, would read back otherwise than it was written.
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
}

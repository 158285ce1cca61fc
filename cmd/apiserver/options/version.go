// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

package options

import (
	"cmp"
	"fmt"
	"runtime"

	"github.com/prometheus/common/version"
	apimachineryversion "k8s.io/apimachinery/pkg/version"
	"k8s.io/component-base/compatibility"
)

// binaryVersion returns the version of Karo, which make build sets.
func binaryVersion() string { return cmp.Or(version.Version, "devel") }

// binary says what --version prints.
func binary() string {
	return fmt.Sprintf("%s %s (revision %s, %s, %s/%s)", commandName, binaryVersion(), version.GetRevision(), version.GoVersion, version.GoOS, version.GoArch)
}

// effectiveVersion is that of the libraries, on which depends which of their features are on, and has /version say the one
// of Karo.
type effectiveVersion struct {
	compatibility.EffectiveVersion
}

// Info implements compatibility.EffectiveVersion.
func (effectiveVersion) Info() *apimachineryversion.Info {
	return &apimachineryversion.Info{
		GitVersion: binaryVersion(), GitCommit: version.GetRevision(), BuildDate: version.BuildDate,
		GoVersion: version.GoVersion, Compiler: runtime.Compiler, Platform: version.GoOS + "/" + version.GoArch,
	}
}

// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

package localcluster

import "slices"

// SetEnv gives karo-apiserver variables, as NAME=value, from its next start on.
func (k *Karo) SetEnv(env ...string) { k.process.env = env }

// AddFlags gives more flags to karo-apiserver, from its next start on.
func (k *Karo) AddFlags(flags ...string) {
	k.args = slices.Concat(k.args, flags)
	if k.process != nil {
		k.process.args = k.args
	}
}

// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

package localcluster

import "slices"

// AddFlags gives more flags to karo-apiserver, from its next start on.
func (k *Karo) AddFlags(flags ...string) {
	k.args = slices.Concat(k.args, flags)
	if k.process != nil {
		k.process.args = k.args
	}
}

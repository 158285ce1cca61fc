// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

package memory

// Sweep is one round of a Sweeper, for tests that need packages which import this one.
var Sweep = (*Sweeper).sweep

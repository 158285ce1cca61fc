// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

// Package bookkeeping keeps the status of reactions true and their history short.
//
// How often a reaction was triggered must stay exact while Executions come and go, and while whoever counts may be
// killed between any two writes. An Execution that has Karo's finalizer is counted where it is, unless it did not run, or
// it has still to be seen whether it does. Before the finalizer goes, the status of the reaction counts the Execution for
// good and, in the same write, names it as one that may still look as if it were not; so each is counted once at any time.
package bookkeeping

// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

package karo

// IsUndecided reports whether it has still to be seen whether a run takes place: it is for a resolved alert, and waits for
// the run for the firing one. That it takes place is stored, as actions, before anything of it does.
func (e *Execution) IsUndecided() bool {
	return e.Spec.After != "" && len(e.Status.Actions) == 0 && e.Status.CompletionTime == nil
}

// IsInVain reports whether a run did not take place since nothing had run while the alert fired. It is cancelled, and
// nobody asked for that.
func (e *Execution) IsInVain() bool {
	return e.Status.Phase == PhaseCancelled && e.Status.Cancellation == nil
}

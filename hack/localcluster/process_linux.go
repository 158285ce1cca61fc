// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

package localcluster

import (
	"runtime"
	"syscall"
)

func lockThread() { runtime.LockOSThread() }

// childAttributes has the kernel kill the child when we die, and keeps an interrupt at the terminal from reaching it
// before us.
func childAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
}

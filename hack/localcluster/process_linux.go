// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

package localcluster

import (
	"fmt"
	"runtime"
	"syscall"
)

func lockThread() { runtime.LockOSThread() }

// childAttributes has the kernel kill the child when we die, and keeps an interrupt at the terminal from reaching it
// before us.
func childAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
}

// FollowParent has the kernel ask us to stop when the process that started us ends, however it does.
func FollowParent() error {
	if _, _, errno := syscall.Syscall(syscall.SYS_PRCTL, syscall.PR_SET_PDEATHSIG, uintptr(syscall.SIGTERM), 0); errno != 0 {
		return fmt.Errorf("following the parent process: %w", errno)
	}
	return nil
}

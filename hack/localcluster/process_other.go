//go:build !linux

// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

package localcluster

import "syscall"

func lockThread() {}

// childAttributes keeps an interrupt at the terminal from reaching the child before us.
func childAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true}
}

// FollowParent does nothing: only Linux tells that a parent has ended.
func FollowParent() error { return nil }

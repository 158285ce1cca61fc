// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

package localcluster

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// childVariable makes the test binary start a program, say its process ID, and wait to be killed.
const childVariable = "LOCALCLUSTER_TEST_PARENT"

func TestMain(m *testing.M) {
	if dir := os.Getenv(childVariable); dir != "" {
		p, err := start(dir, "sleeper", "/bin/sleep", "1000")
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		fmt.Println(p.cmd.Process.Pid)
		<-p.Exited()
	}
	os.Exit(m.Run())
}

// However a test, a demo or a run ends, no program that it started survives it: here it is killed outright.
func TestNoProgramSurvivesUs(t *testing.T) {
	us := exec.CommandContext(t.Context(), os.Args[0])
	us.Env = append(os.Environ(), childVariable+"="+t.TempDir())
	out, err := us.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := us.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(line))
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(pid, 0); err != nil {
		t.Fatalf("the program does not run: %v", err)
	}
	if err := us.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = us.Wait()
	for deadline := time.Now().Add(10 * time.Second); !gone(pid); {
		if time.Now().After(deadline) {
			t.Fatal("the program survives")
		}
	}
}

// gone reports whether a process has ended, even if nobody has asked how yet.
func gone(pid int) bool {
	if errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) {
		return true
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err != nil || strings.Contains(string(stat), ") Z ")
}

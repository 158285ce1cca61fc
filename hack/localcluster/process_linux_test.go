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

// roleVariable makes the test binary act as another process, which says a process ID and waits to be killed.
const roleVariable = "LOCALCLUSTER_TEST_ROLE"

func TestMain(m *testing.M) {
	switch os.Getenv(roleVariable) {
	case "parent": // It says the process ID of a program that it starts.
		p, err := start(os.TempDir(), "sleeper", "/bin/sleep", "1000")
		if err != nil {
			panic(err)
		}
		fmt.Println(p.current().cmd.Process.Pid)
		<-p.Exited()
	case "follower": // It says its own.
		if err := FollowParent(); err != nil {
			panic(err)
		}
		fmt.Println(os.Getpid())
		time.Sleep(time.Hour)
	}
	os.Exit(m.Run())
}

// However a test, a demo or a run ends, no program that it started survives it: here it is killed outright.
func TestNoProgramSurvivesUs(t *testing.T) {
	expectDiesWith(t, "parent", exec.CommandContext(t.Context(), os.Args[0]))
}

// The demo does not survive the make that runs it.
func TestFollowParent(t *testing.T) {
	expectDiesWith(t, "follower", exec.CommandContext(t.Context(), "/bin/sh", "-c", `"$0" & wait`, os.Args[0]))
}

// expectDiesWith starts us with a role in its environment, kills it, and waits for the process to end whose ID it said.
func expectDiesWith(t *testing.T, role string, us *exec.Cmd) {
	t.Helper()
	us.Env = append(os.Environ(), roleVariable+"="+role, "TMPDIR="+t.TempDir())
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

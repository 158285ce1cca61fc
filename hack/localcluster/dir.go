// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

package localcluster

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

const (
	// dirPrefix is what the names of the directories of all clusters begin with.
	dirPrefix = "karo-"
	// claimName is the file in such a directory that is locked for as long as the process of its cluster lives.
	claimName = "localcluster.lock"
)

// makeDir makes the directory of a cluster. It is in use until the file is closed, or this process ends.
func makeDir() (string, *os.File, error) {
	dir, err := os.MkdirTemp("", dirPrefix)
	if err != nil {
		return "", nil, err
	}
	// Locked before it has its name, so that nobody takes it for left behind.
	claim, err := os.CreateTemp(dir, "")
	if err == nil {
		err = errors.Join(tryLock(claim), os.Rename(claim.Name(), filepath.Join(dir, claimName)))
	}
	if err != nil {
		return "", nil, errors.Join(fmt.Errorf("directory of the cluster: %w", err), os.RemoveAll(dir))
	}
	return dir, claim, nil
}

// removeStale removes the directories of clusters whose processes were killed.
func removeStale() {
	paths, _ := filepath.Glob(filepath.Join(os.TempDir(), dirPrefix+"*", claimName))
	for _, path := range paths {
		claim, err := os.Open(path)
		if err != nil {
			continue
		}
		if tryLock(claim) == nil {
			_ = os.RemoveAll(filepath.Dir(path))
		}
		_ = claim.Close()
	}
}

// tryLock locks a file unless another process has. The kernel lets go of it when the process ends.
func tryLock(file *os.File) error {
	return syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
}

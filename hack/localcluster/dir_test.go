// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

package localcluster

import (
	"os"
	"path/filepath"
	"testing"
)

// What a killed process left is removed, and nothing that is in use or not ours.
func TestRemoveStale(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	used, claim, err := makeDir()
	if err != nil {
		t.Fatal(err)
	}
	defer claim.Close()
	stale, left, err := makeDir()
	if err != nil {
		t.Fatal(err)
	}
	if err := left.Close(); err != nil { // As the kernel does for a process that ends.
		t.Fatal(err)
	}
	foreign := filepath.Join(os.TempDir(), dirPrefix+"data")
	if err := os.Mkdir(foreign, 0o700); err != nil {
		t.Fatal(err)
	}
	removeStale()
	for dir, want := range map[string]bool{used: true, stale: false, foreign: true} {
		if _, err := os.Stat(dir); (err == nil) != want {
			t.Errorf("%s is there: %t, want %t", dir, err == nil, want)
		}
	}
}

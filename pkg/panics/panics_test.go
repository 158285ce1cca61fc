// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

package panics_test

import (
	"errors"
	"strings"
	"testing"

	"karo.io/karo/pkg/panics"
)

func TestCatch(t *testing.T) {
	cause := errors.New("cause")
	var none map[string]int
	for name, tc := range map[string]struct {
		do     func() error
		is     error
		caught string
	}{
		"nothing":      {do: func() error { return nil }},
		"an error":     {do: func() error { return cause }, is: cause},
		"a panic":      {do: func() error { panic("\x1b[31m" + strings.Repeat("long ", 100)) }, caught: `\x1b[31mlong`},
		"a nil map":    {do: func() error { none["a"] = 1; return nil }, caught: "assignment to entry in nil map"},
		"an nil panic": {do: func() error { panic(nil) }, caught: "nil"},
	} {
		err := panics.Catch("testing", tc.do)
		caught, ok := errors.AsType[*panics.Error](err)
		if ok != (tc.caught != "") || !ok && !errors.Is(err, tc.is) {
			t.Errorf("%s: got %v", name, err)
		}
		if ok && (!strings.Contains(caught.Error(), tc.caught) || strings.ContainsRune(caught.Error(), '\x1b') || len(caught.Error()) > 400) {
			t.Errorf("%s: got %q", name, caught)
		}
	}
}

func TestHandler(t *testing.T) {
	var handled []any
	handle := panics.Handler("testing", func(obj any) {
		handled = append(handled, obj)
		if obj == "bad" {
			panic(obj)
		}
	})
	handle("bad")
	handle("good")
	if len(handled) != 2 {
		t.Errorf("handled %v", handled)
	}
}

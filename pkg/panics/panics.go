// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

// Package panics keeps what makes the code of Karo panic from taking the process along: one object, or one alert, would
// else end it at each start again.
package panics

import (
	"fmt"
	"runtime/debug"

	"k8s.io/klog/v2"

	"karo.io/karo/pkg/events"
	"karo.io/karo/pkg/metrics"
)

// Error is a panic that was caught. It says what the panic did, escaped: it may hold text of an alert.
type Error struct {
	// Where says what was being done.
	Where string
	value string
}

// Error implements error.
func (e *Error) Error() string {
	return fmt.Sprintf("%s failed by a mistake in Karo: %s", e.Where, e.value)
}

// Catch does something for one item, and returns a panic of it as an *Error, which is logged, with the stack, and counted.
func Catch(where string, do func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			caught := &Error{Where: where, value: events.Quote(fmt.Sprint(r))}
			metrics.Panicked(where)
			klog.ErrorS(nil, "Panicked", "where", where, "panic", caught.value, "stack", string(debug.Stack()))
			err = caught
		}
	}()
	return do()
}

// Handler returns a handler of the events of an informer that outlives a panic: client-go would let it end the process.
func Handler(where string, handle func(obj any)) func(obj any) {
	return func(obj any) {
		_ = Catch(where, func() error { handle(obj); return nil })
	}
}

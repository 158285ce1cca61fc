// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

package localcluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

// RunTests runs the tests of a package against a cluster of their own, which prepare adds to and stop, unless it is nil,
// takes leave of. It returns the exit code of the process. When the process is interrupted the cluster ends all the same.
func RunTests(m interface{ Run() int }, prepare func(ctx context.Context, c *Cluster) (stop func(), err error)) int {
	ctx, done := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer done()
	code, err := runTests(ctx, m, prepare)
	if err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		return 1
	}
	return code
}

func runTests(ctx context.Context, m interface{ Run() int }, prepare func(ctx context.Context, c *Cluster) (stop func(), err error)) (int, error) {
	cluster, err := Start(ctx, os.Stderr)
	if err != nil {
		return 0, err
	}
	defer cluster.Stop()
	stop, err := prepare(ctx, cluster)
	if stop != nil {
		defer stop()
	}
	if err != nil {
		return 0, err
	}
	code := make(chan int)
	go func() { code <- m.Run() }()
	select {
	case c := <-code:
		return c, nil
	case <-ctx.Done():
		return 0, errors.New("interrupted")
	}
}

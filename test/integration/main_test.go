// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

// Package integration tests what a user does, as that user, against a real control plane: kube-apiserver,
// kube-controller-manager, kube-scheduler, etcd and Alertmanager. Only the node is played, by kwok.
package integration

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"testing"

	"karo.io/karo/hack/localcluster"
	"karo.io/karo/pkg/generated/clientset/versioned"
)

// The tests share one cluster, each in a namespace of its own. They run one after the other, since some of them kill
// the server.
var (
	cluster *localcluster.Cluster
	karo    *localcluster.Karo
	client  *versioned.Clientset
)

func TestMain(m *testing.M) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	code, err := run(ctx, m)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		code = 1
	}
	os.Exit(code)
}

func run(ctx context.Context, m *testing.M) (int, error) {
	var err error
	if cluster, err = localcluster.Start(ctx, os.Stderr); err != nil {
		return 1, err
	}
	defer cluster.Stop()
	if karo, err = cluster.StartKaro(ctx); err != nil {
		return 1, err
	}
	if client, err = versioned.NewForConfig(cluster.Config); err != nil {
		return 1, err
	}
	code := make(chan int)
	go func() { code <- m.Run() }()
	select {
	case c := <-code:
		return c, nil
	case <-ctx.Done():
		return 1, fmt.Errorf("interrupted")
	}
}

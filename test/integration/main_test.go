// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

// Package integration tests what a user does, as that user, against a real control plane: kube-apiserver,
// kube-controller-manager, kube-scheduler, etcd and Alertmanager. Only the node is played, by kwok.
package integration

import (
	"context"
	"os"
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
	os.Exit(localcluster.RunTests(m, func(ctx context.Context, c *localcluster.Cluster) (stop func(), err error) {
		cluster = c
		if karo, err = cluster.StartKaro(ctx); err != nil {
			return nil, err
		}
		client, err = versioned.NewForConfig(cluster.Config)
		return nil, err
	}))
}

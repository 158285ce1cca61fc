// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

// Package chaos breaks what Karo stands on while notifications are sent, and then counts the Jobs: nothing that was
// acknowledged is lost, and nothing runs twice.
//
// Three replicas share an etcd of three members, beside a real control plane. Everything random comes from a seed, which
// is printed: the same seed and duration plan the same alerts and the same faults at the same times. What the programs do
// meanwhile is their own affair, so that a failure may need some runs to come again.
package chaos

import (
	"context"
	"flag"
	"fmt"
	"os"
	"sync"
	"testing"
	"time"

	"karo.io/karo/hack/localcluster"
	"karo.io/karo/pkg/generated/clientset/versioned"
)

var (
	seed     = flag.Uint64("seed", 0, "what everything random comes from; 0 takes one from the clock")
	duration = flag.Duration("duration", 30*time.Second, "how long the faults of TestChaos go on; from 5m on the other tests take their full length too")
)

// long reports whether the tests take their full length.
func long() bool { return *duration >= 5*time.Minute }

// pick returns what a test takes for short, or what it takes in full length.
func pick[T any](short, full T) T {
	if long() {
		return full
	}
	return short
}

const replicas = 3

// The tests share one cluster, each in namespaces of its own. They run one after the other, and each heals what it broke.
var (
	cluster *localcluster.Cluster
	client  *versioned.Clientset
	jobs    *ledger

	etcd              *localcluster.Etcd
	servers           []*localcluster.Karo
	karos             []*program // the servers, in the same order
	members           []*program // those of etcd, in the same order
	kubeAPIServer     *program
	controllerManager *program
)

func TestMain(m *testing.M) {
	flag.Parse()
	if *seed == 0 {
		*seed = uint64(time.Now().UnixNano()) % 1e6
	}
	fmt.Printf("go test ./test/chaos -seed=%d -duration=%s\n", *seed, *duration)
	os.Exit(localcluster.RunTests(m, prepare))
}

func prepare(ctx context.Context, c *localcluster.Cluster) (stop func(), err error) {
	cluster = c
	if etcd, err = cluster.StartEtcd(ctx, replicas); err != nil {
		return nil, err
	}
	if servers, err = cluster.StartReplicas(ctx, etcd, replicas); err != nil {
		return nil, err
	}
	if client, err = versioned.NewForConfig(cluster.Config); err != nil {
		return nil, err
	}
	for _, k := range servers {
		karos = append(karos, &program{Process: k.Process(), url: k.URL(), config: k.Config(), ready: k.Ready})
	}
	for _, m := range etcd.Members {
		members = append(members, &program{Process: m.Process, url: m.URL, ready: m.Healthy})
	}
	kubeAPIServer = &program{Process: cluster.Process("kube-apiserver"), ready: func(ctx context.Context) error {
		return cluster.Client.Discovery().RESTClient().Get().AbsPath("/readyz").Do(ctx).Error()
	}}
	controllerManager = &program{Process: cluster.Process("kube-controller-manager"), ready: func(context.Context) error { return nil }}
	if jobs, err = newLedger(ctx); err != nil {
		return nil, err
	}
	supervised, end := context.WithCancel(ctx)
	var supervisors sync.WaitGroup
	for _, p := range programs() {
		supervisors.Go(func() { p.supervise(supervised) })
	}
	return func() {
		end()
		supervisors.Wait() // Before the cluster stops, so that nothing is started again then.
	}, nil
}

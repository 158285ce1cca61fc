// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

// Command demo shows an alert on its whole way: from Alertmanager through the kube-apiserver to Karo, and from there
// to a Job that completes. With -stay the cluster then remains until it is interrupted.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"karo.io/karo/hack/localcluster"
)

const (
	namespace = "demo"
	timeout   = 2 * time.Minute
)

func main() {
	stay := flag.Bool("stay", false, "keep the cluster until interrupted")
	flag.Parse()
	// SIGPIPE is among them since a reader of our output that goes, as head does, must not keep us from cleaning up.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGPIPE)
	err := localcluster.FollowParent()
	if err == nil {
		err = run(ctx, os.Stdout, *stay)
	}
	if ctx.Err() != nil {
		// Whatever failed, failed of the interrupt, and that is how a cluster that stays ends.
		err = nil
		if !*stay {
			err = errors.New("interrupted")
		}
	}
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, out io.Writer, stay bool) error {
	cluster, err := localcluster.Start(ctx, out)
	if err != nil {
		return err
	}
	defer cluster.Stop()
	if _, err := cluster.StartKaro(ctx); err != nil {
		return err
	}
	fmt.Fprintln(out, "karo.io is served by the cluster")
	ready := time.Now()
	alertmanager, err := prepare(ctx, cluster)
	if err != nil {
		return err
	}

	fmt.Fprintln(out, "\nsending one alert to Alertmanager: KubePodCrashLooping, pod cart-7f9c")
	if err := alertmanager.Send(ctx, localcluster.Alert{
		Labels:      map[string]string{"alertname": "KubePodCrashLooping", "severity": "warning", "namespace": "shop", "pod": "cart-7f9c", "instance": "10.0.0.7:8080"},
		Annotations: map[string]string{"summary": "Pod is crash looping."},
	}); err != nil {
		return err
	}
	if err := succeeded(ctx, cluster); err != nil {
		return err
	}
	fmt.Fprintf(out, "its Job has completed %s after Karo was ready\n", time.Since(ready).Round(100*time.Millisecond))
	for _, args := range [][]string{
		{"get", "alertreactions,executions,alerts,jobs", "-n", namespace},
		{"get", "executions", "-n", namespace, "-o", "wide"},
	} {
		text, err := cluster.Kubectl(ctx, "", args...)
		if err != nil {
			return err
		}
		fmt.Fprintf(out, "\n$ kubectl %s\n%s", strings.Join(args, " "), text)
	}
	if !stay {
		return nil
	}
	fmt.Fprintf(out, `
The cluster stays up until you press Ctrl-C. In another terminal:

  export KUBECONFIG=%s
  alias kubectl=%s
  kubectl get alertreactions,executions,alerts -A
  kubectl describe execution -n %s
  kubectl explain alertreaction.spec

Alertmanager is at %s.
`, cluster.Kubeconfig, cluster.KubectlPath(), namespace, alertmanager.URL())
	<-ctx.Done()
	fmt.Fprintln(out, "stopping")
	return nil
}

// prepare creates the namespace, the example reaction and the sender, and starts an Alertmanager that is the sender.
func prepare(ctx context.Context, cluster *localcluster.Cluster) (*localcluster.Alertmanager, error) {
	if _, err := cluster.Kubectl(ctx, "", "create", "namespace", namespace); err != nil {
		return nil, err
	}
	examples := filepath.Join(cluster.Root, "artifacts", "example")
	if _, err := cluster.Kubectl(ctx, "", "apply", "-n", namespace,
		"-f", filepath.Join(examples, "alert-sender.yaml"), "-f", filepath.Join(examples, "alertreaction.yaml")); err != nil {
		return nil, err
	}
	token, err := cluster.WriteToken(ctx, namespace, "alertmanager")
	if err != nil {
		return nil, err
	}
	path := "/apis/karo.io/v1/namespaces/" + namespace + "/alerts/trigger"
	return cluster.StartAlertmanager(ctx, "alertmanager", cluster.AlertmanagerConfig(path, token, 30*time.Second, time.Hour))
}

// succeeded waits until the one Execution has ended well.
func succeeded(ctx context.Context, cluster *localcluster.Cluster) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	return cluster.Until(ctx, "the execution to succeed", func(ctx context.Context) error {
		text, err := cluster.Kubectl(ctx, "", "get", "executions", "-n", namespace, "-o", "json")
		if err != nil {
			return err
		}
		var list struct {
			Items []struct {
				Status struct{ Phase string }
			}
		}
		if err := json.Unmarshal([]byte(text), &list); err != nil {
			return err
		}
		if len(list.Items) != 1 || list.Items[0].Status.Phase != "Succeeded" {
			return fmt.Errorf("there is no succeeded execution yet: %s", text)
		}
		return nil
	})
}

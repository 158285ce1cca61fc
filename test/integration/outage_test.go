// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/discovery"

	v1 "karo.io/karo/pkg/apis/karo/v1"
)

// helm runs helm in a namespace, and fails the test when it fails.
func helm(t *testing.T, namespace string, args ...string) {
	t.Helper()
	if _, err := cluster.Helm(t.Context(), append([]string{"--namespace=" + namespace}, args...)...); err != nil {
		t.Fatal(err)
	}
}

// What docs/outage.md says of the cluster while Karo is away, and of the two remedies.
func TestKaroIsAway(t *testing.T) {
	namespace := newNamespace(t)
	s := newSender(t, namespace)
	newReaction(t, namespace, "r", "A", "busybox")
	newReaction(t, namespace, "long", "B", "localcluster/hang")
	began := time.Now()
	ended := s.trigger(t, namespace, firing("A", began)).Alerts[0].Reactions[0].Execution
	runs := s.trigger(t, namespace, firing("B", began)).Alerts[0].Reactions[0].Execution
	waitPhase(t, namespace, ended, v1.PhaseSucceeded)
	waitPhase(t, namespace, runs, v1.PhaseRunning)
	before := expectJobs(t, namespace, 2)
	going := newNamespace(t)
	newReaction(t, going, "r", "A", "busybox")
	registered := registration(t)
	helm(t, namespace, "version") // It may have to be compiled first.
	t.Cleanup(func() {
		if _, err := cluster.Kubectl(context.Background(), registered, "apply", "-f", "-"); err != nil {
			t.Error(err)
		}
		select {
		case <-karo.Process().Exited():
			if err := karo.Start(context.Background()); err != nil {
				t.Error(err)
			}
		default:
		}
		if err := karo.Available(context.Background()); err != nil {
			t.Error(err)
		}
	})

	karo.Process().Kill()
	eventually(t, "the cluster to know that Karo is away", func(ctx context.Context) error {
		out, err := cluster.Kubectl(ctx, "", "get", "apiservice", "v1.karo.io", "-o", `jsonpath={.status.conditions[?(@.type=="Available")].status}`)
		if err == nil && out != "False" {
			err = errors.New("available: " + out)
		}
		return err
	})
	t.Run("alerts are to be repeated", func(t *testing.T) { expectStatus(t, s, namespace, http.StatusServiceUnavailable) })
	t.Run("objects cannot be read", func(t *testing.T) {
		if out, err := cluster.Kubectl(t.Context(), "", "get", "executions", "-n", namespace); err == nil {
			t.Errorf("they can:\n%s", out)
		}
	})
	t.Run("namespaces of all do not end", func(t *testing.T) {
		kubectl(t, "", "create", "configmap", "mine", "-n", going)
		kubectl(t, "", "delete", "namespace", going, "--wait=false")
		eventually(t, "the namespace to say why", func(ctx context.Context) error {
			ns, err := cluster.Client.CoreV1().Namespaces().Get(ctx, going, metav1.GetOptions{})
			if err != nil {
				return err
			}
			if !slices.ContainsFunc(ns.Status.Conditions, func(c corev1.NamespaceCondition) bool {
				return c.Type == corev1.NamespaceDeletionDiscoveryFailure && c.Status == corev1.ConditionTrue && strings.Contains(c.Message, "karo.io/v1")
			}) {
				return fmt.Errorf("%+v", ns.Status)
			}
			return nil
		})
		eventually(t, "what is in it to go", func(ctx context.Context) error {
			_, err := cluster.Client.CoreV1().ConfigMaps(going).Get(ctx, "mine", metav1.GetOptions{})
			return mustBeGone(err)
		})
	})
	t.Run("discovery is in part", func(t *testing.T) {
		groups, lists, err := cluster.Client.Discovery().ServerGroupsAndResources()
		failed, partial := discovery.GroupDiscoveryFailedErrorGroups(err)
		if !partial || len(failed) != 2 || len(groups) == 0 || len(lists) == 0 {
			t.Errorf("%d groups, %d lists, failed: %v", len(groups), len(lists), err)
		}
		if out := kubectl(t, "", "get", "all", "-n", namespace); !strings.Contains(out, before[0].Name) {
			t.Errorf("get all:\n%s", out)
		}
		if out := kubectl(t, "", "api-resources"); !strings.Contains(out, "configmaps") || strings.Contains(out, "karo.io") {
			t.Errorf("api-resources:\n%s", out)
		}
		kubectl(t, "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: applied}\n", "apply", "-n", namespace, "-f", "-")
	})
	t.Run("helm goes on", func(t *testing.T) {
		helm(t, namespace, "install", "away", "testdata/chart", "--set=value=a")
		helm(t, namespace, "upgrade", "away", "testdata/chart", "--set=value=b")
		installed, err := cluster.Client.CoreV1().ConfigMaps(namespace).Get(t.Context(), "away", metav1.GetOptions{})
		if err != nil || installed.Data["value"] != "b" {
			t.Errorf("it installed %v, error %v", installed, err)
		}
		helm(t, namespace, "uninstall", "away")
	})
	t.Run("what is not Karo's is collected", func(t *testing.T) { expectCollected(t, namespace, "away") })
	t.Run("what runs goes on", func(t *testing.T) {
		succeed(t, namespace, runs)
		expectSameJobs(t, namespace, before)
	})

	t.Run("without the APIServices", func(t *testing.T) {
		kubectl(t, "", "delete", "apiservice", "v1.karo.io", "v1alpha1.karo.io")
		eventually(t, "the namespace to end", func(ctx context.Context) error {
			_, err := cluster.Client.CoreV1().Namespaces().Get(ctx, going, metav1.GetOptions{})
			return mustBeGone(err)
		})
		eventually(t, "discovery to be whole", func(context.Context) error {
			_, _, err := cluster.Client.Discovery().ServerGroupsAndResources()
			return err
		})
		kubectl(t, "", "api-resources")
		// Alertmanager takes this for a refusal: an alert that is over before its group is sent again is lost.
		expectStatus(t, s, namespace, http.StatusNotFound)
		// The garbage collector looks at the Jobs again, whose owners are of a kind that the cluster does not know.
		kubectl(t, "", "label", "jobs", "--all", "-n", namespace, "seen=again")
		expectCollected(t, namespace, "removed")
		expectSameJobs(t, namespace, before)
	})

	t.Run("back again", func(t *testing.T) {
		kubectl(t, registered, "apply", "-f", "-")
		restart(t)
		waitPhase(t, namespace, ended, v1.PhaseSucceeded)
		waitPhase(t, namespace, runs, v1.PhaseSucceeded)
		expectCounts(t, s.trigger(t, namespace, firing("A", began), firing("B", began)), 0, 2, 0, 0)
		expectCollected(t, namespace, "back")
		expectSameJobs(t, namespace, before)
	})
	t.Run("what is left over goes with a namespace of that name", func(t *testing.T) {
		if _, err := client.KaroV1().AlertReactions(going).Get(t.Context(), "r", metav1.GetOptions{}); err != nil {
			t.Fatal(err)
		}
		kubectl(t, "", "create", "namespace", going)
		kubectl(t, "", "delete", "namespace", going)
		_, err := client.KaroV1().AlertReactions(going).Get(t.Context(), "r", metav1.GetOptions{})
		if err := mustBeGone(err); err != nil {
			t.Error(err)
		}
	})
}

func mustBeGone(err error) error {
	if err == nil {
		return errors.New("it is there")
	}
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}

// registration returns the APIServices, to be applied again.
func registration(t *testing.T) string {
	t.Helper()
	var list struct {
		APIVersion string           `json:"apiVersion"`
		Kind       string           `json:"kind"`
		Items      []map[string]any `json:"items"`
	}
	if err := json.Unmarshal([]byte(kubectl(t, "", "get", "apiservice", "v1.karo.io", "v1alpha1.karo.io", "-o", "json")), &list); err != nil {
		t.Fatal(err)
	}
	for _, item := range list.Items {
		item["metadata"] = map[string]any{"name": item["metadata"].(map[string]any)["name"]}
		delete(item, "status")
	}
	text, err := json.Marshal(list)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// expectStatus waits until a notification is answered with a status.
func expectStatus(t *testing.T, s *sender, namespace string, want int) {
	t.Helper()
	eventually(t, fmt.Sprintf("a notification to be answered %d", want), func(context.Context) error {
		status, answer := s.post(t, triggerPath(namespace), strings.NewReader(`{"alerts": [{"labels": {"alertname": "A"}}]}`))
		if status != want {
			return fmt.Errorf("%d: %s", status, answer)
		}
		return nil
	})
}

// expectCollected fails the test unless the garbage collector deletes what belongs to something that is gone.
func expectCollected(t *testing.T, namespace, name string) {
	t.Helper()
	maps := cluster.Client.CoreV1().ConfigMaps(namespace)
	owner, err := maps.Create(t.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name + "-owner"}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := maps.Create(t.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{
		Name: name + "-owned", OwnerReferences: []metav1.OwnerReference{{APIVersion: "v1", Kind: "ConfigMap", Name: owner.Name, UID: owner.UID}},
	}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := maps.Delete(t.Context(), owner.Name, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the garbage collector to delete what has no owner any more", func(ctx context.Context) error {
		_, err := maps.Get(ctx, name+"-owned", metav1.GetOptions{})
		return mustBeGone(err)
	})
}

// succeed ends the pod of an Execution, and waits for its Job to say so.
func succeed(t *testing.T, namespace, execution string) {
	t.Helper()
	selector := metav1.ListOptions{LabelSelector: "karo.io/execution=" + execution}
	pods, err := cluster.Client.CoreV1().Pods(namespace).List(t.Context(), selector)
	if err != nil || len(pods.Items) != 1 {
		t.Fatalf("%d pods: %v", len(pods.Items), err)
	}
	pods.Items[0].Status.Phase = corev1.PodSucceeded
	if _, err := cluster.Client.CoreV1().Pods(namespace).UpdateStatus(t.Context(), &pods.Items[0], metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the job to complete", func(ctx context.Context) error {
		jobs, err := cluster.Client.BatchV1().Jobs(namespace).List(ctx, selector)
		if err == nil && (len(jobs.Items) != 1 || jobs.Items[0].Status.Succeeded != 1) {
			err = fmt.Errorf("%+v", jobs.Items)
		}
		return err
	})
}

// expectSameJobs fails the test unless the Jobs are those that were there.
func expectSameJobs(t *testing.T, namespace string, want []batchv1.Job) {
	t.Helper()
	got := expectJobs(t, namespace, len(want))
	for i := range want {
		if got[i].UID != want[i].UID || got[i].DeletionTimestamp != nil {
			t.Errorf("job %s is not the one that was there", want[i].Name)
		}
	}
}

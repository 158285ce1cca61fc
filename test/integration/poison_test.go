// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/rest"

	v1 "karo.io/karo/pkg/apis/karo/v1"
	"karo.io/karo/pkg/registry/karo/registrytest"
)

// poison changes a field of a stored object, behind the back of the server, into what it cannot read. It returns what
// fails the test unless that stays as it is.
func poison(t *testing.T, etcd *clientv3.Client, resource, namespace, name string, value any, field ...string) (unchanged func()) {
	t.Helper()
	key := "/registry/karo.io/" + resource + "/" + namespace + "/" + name
	read := func() string {
		t.Helper()
		resp, err := etcd.Get(t.Context(), key)
		if err != nil {
			t.Fatal(err)
		}
		if len(resp.Kvs) != 1 {
			t.Fatalf("there is no %s", key)
		}
		return string(resp.Kvs[0].Value)
	}
	var obj map[string]any
	if err := json.Unmarshal(registrytest.JSON(t, read()), &obj); err != nil {
		t.Fatal(err)
	}
	if err := unstructured.SetNestedField(obj, value, field...); err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(obj)
	if err != nil {
		t.Fatal(err)
	}
	bad := registrytest.CBOR(t, string(text))
	if _, err := etcd.Put(t.Context(), key, bad); err != nil {
		t.Fatal(err)
	}
	return func() {
		t.Helper()
		if got := read(); got != bad {
			t.Errorf("%s was changed to %s", key, got)
		}
	}
}

// One object of each kind cannot be read. It is in nobody's way, neither in a server that runs nor in one that starts; it
// is seen, nothing runs a second time because of it, and it can be deleted.
func TestPoison(t *testing.T) {
	namespace := newNamespace(t)
	s := newSender(t, namespace)
	newReaction(t, namespace, "r", "A", "busybox")
	newReaction(t, namespace, "unreadable", "B", "busybox")
	newReaction(t, namespace, "unrevised", "C", "busybox")
	began := time.Now()
	named := func(pod string) v1.NotificationAlert { return firing("A", began, "pod", pod) }
	ran := map[string]string{}
	for what, alert := range map[string]v1.NotificationAlert{"execution": named("execution"), "alert": named("alert"), "both": named("both"), "revision": firing("C", began)} {
		ran[what] = s.trigger(t, namespace, alert).Alerts[0].Reactions[0].Execution
	}
	before := waitFinished(t, namespace, len(ran), v1.PhaseSucceeded)
	alerts := waitAlerts(t, namespace, len(ran))
	revision := ""
	for i := range before {
		if before[i].Name == ran["revision"] {
			revision = before[i].Spec.Reaction.Revision
		}
	}

	// A server that has read a revision need not read it again.
	karo.Process().Kill()
	restart(t)
	etcd := newEtcd(t)
	unchanged := []func(){
		poison(t, etcd, "alertreactions", namespace, "unreadable", "all of them", "spec", "actions"),
		poison(t, etcd, "executions", namespace, ran["execution"], "2026-13-45T00:00:00Z", "spec", "alert", "startsAt"),
		poison(t, etcd, "executions", namespace, ran["both"], []any{"Succeeded"}, "status", "phase"),
		poison(t, etcd, "alerts", namespace, alerts["alert"], "none", "status", "reactions"),
		poison(t, etcd, "alerts", namespace, alerts["both"], "none", "status", "reactions"),
		poison(t, etcd, "reactionrevisions", namespace, revision, "a lot", "spec", "actions"),
	}
	kubectl(t, "", "delete", "alerts.karo.io", "-n", namespace, alerts["execution"])

	for round, name := range []string{"a server that runs", "a server that starts"} {
		if round > 0 {
			karo.Process().Kill()
			restart(t)
		}
		t.Run(name, func(t *testing.T) {
			eventually(t, "the server to know what it cannot read", func(ctx context.Context) error {
				return expectUndecodable(ctx, map[string]int{"alertreactions": 1, "executions": 2, "alerts": 2})
			})
			result := s.trigger(t, namespace, named("new-"+fmt.Sprint(round)), named("execution"), named("alert"), named("both"), firing("B", began), firing("C", began.Add(time.Duration(round+1)*time.Second)))
			expectCounts(t, result, 2, 0, 1, 3)
			for i, want := range []string{"", "execution " + ran["execution"] + ", which is of this occurrence, cannot be read", "alert " + alerts["alert"] + ", which remembers that, cannot be read", alerts["both"], "no reaction matches", ""} {
				got := result.Alerts[i].Message
				if len(result.Alerts[i].Reactions) > 0 {
					got = result.Alerts[i].Reactions[0].Message
				}
				if !strings.Contains(got, want) {
					t.Errorf("alert %d: no %q in %q", i, want, got)
				}
			}
			waitPhase(t, namespace, result.Alerts[0].Reactions[0].Execution, v1.PhaseSucceeded)
			failed := waitPhase(t, namespace, result.Alerts[5].Reactions[0].Execution, v1.PhaseFailed)
			if failed.Status.Reason != "RevisionUndecodable" {
				t.Errorf("of a revision that cannot be read: %+v", failed.Status)
			}
			expectJobs(t, namespace, len(ran)+round+1)

			for kind, name := range map[string]string{
				"alertreactions": "unreadable", "executions": ran["execution"], "alerts.karo.io": alerts["alert"], "reactionrevisions": revision,
			} {
				if out := kubectl(t, "", "get", kind, "-n", namespace); !strings.Contains(out, name) || !strings.Contains(out, "<undecodable>") {
					t.Errorf("get %s:\n%s", kind, out)
				}
				if out := kubectl(t, "", "describe", kind, "-n", namespace, name); !strings.Contains(out, "karo.io/undecodable") {
					t.Errorf("describe %s:\n%s", kind, out)
				}
			}
			for _, args := range [][]string{
				{"annotate", "alertreaction", "unreadable", "a=b"},
				{"annotate", "execution", ran["execution"], "a=b"},
				{"create", "--raw", "/apis/karo.io/v1/namespaces/" + namespace + "/executions/" + ran["execution"] + "/cancel", "-f", "-"},
				{"create", "--raw", "/apis/karo.io/v1/namespaces/" + namespace + "/alertreactions/unreadable/executions", "-f", "-"},
			} {
				if out, err := cluster.Kubectl(t.Context(), "{}", append(args, "-n", namespace)...); err == nil || !strings.Contains(out, "cannot be read") {
					t.Errorf("kubectl %q: %v\n%s", args, err, out)
				}
			}
			for _, same := range unchanged {
				same()
			}
		})
	}

	kubectl(t, "", "delete", "alertreaction", "-n", namespace, "unreadable")
	kubectl(t, "", "delete", "execution", "-n", namespace, ran["execution"])
	kubectl(t, "", "delete", "alerts.karo.io", "-n", namespace, alerts["alert"])
	kubectl(t, "", "delete", "reactionrevision", "-n", namespace, revision)
	// That it has run is forgotten of the one, and known of the other by its Execution.
	eventually(t, "the alerts to be taken again", func(context.Context) error {
		if result := s.trigger(t, namespace, named("execution"), named("alert")); result.Refused > 0 || result.Alerts[1].Reactions[0].Outcome != v1.RunKnown {
			return fmt.Errorf("%+v", result)
		}
		return nil
	})
	kubectl(t, "", "delete", "namespace", namespace, "--wait=false")
	eventually(t, "the namespace to end, with what cannot be read in it", func(ctx context.Context) error {
		_, err := cluster.Client.CoreV1().Namespaces().Get(ctx, namespace, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return nil
		}
		return fmt.Errorf("it is there: %w", err)
	})
}

// waitAlerts waits until there are some Alerts that remember a run, and returns their names by the label pod.
func waitAlerts(t *testing.T, namespace string, n int) map[string]string {
	t.Helper()
	var found map[string]string
	eventually(t, "the alerts to be written", func(ctx context.Context) error {
		list, err := client.KaroV1().Alerts(namespace).List(ctx, metav1.ListOptions{})
		if err != nil {
			return err
		}
		found = map[string]string{}
		for i := range list.Items {
			if len(list.Items[i].Status.Reactions) > 0 {
				found[list.Items[i].Spec.Labels["pod"]] = list.Items[i].Name
			}
		}
		if len(found) != n {
			return fmt.Errorf("%d alerts", len(found))
		}
		return nil
	})
	return found
}

// expectUndecodable returns nil if the metrics say of how many objects of a resource nothing can be read.
func expectUndecodable(ctx context.Context, want map[string]int) error {
	metrics, err := karoMetrics(ctx)
	if err != nil {
		return err
	}
	for resource, n := range want {
		if line := fmt.Sprintf("karo_undecodable_objects{resource=\"%s.karo.io\"} %d\n", resource, n); !strings.Contains(metrics, line) {
			return fmt.Errorf("no %s", line)
		}
	}
	return nil
}

// karoMetrics returns what karo-apiserver itself serves as its metrics.
func karoMetrics(ctx context.Context) (string, error) {
	h, err := rest.HTTPClientFor(karo.Config())
	if err != nil {
		return "", err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, karo.URL()+"/metrics", nil)
	if err != nil {
		return "", err
	}
	resp, err := h.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	return string(text), err
}

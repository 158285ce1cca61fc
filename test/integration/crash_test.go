// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"path/filepath"
	"strings"
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"karo.io/karo/hack/localcluster"
	v1 "karo.io/karo/pkg/apis/karo/v1"
	"karo.io/karo/pkg/generated/clientset/versioned"
)

// restart starts the killed server again and waits until the cluster serves its API.
func restart(t *testing.T) {
	t.Helper()
	if err := karo.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := karo.Available(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// forbidJobs keeps Jobs from being created in a namespace, by a quota, until it is lifted.
func forbidJobs(t *testing.T, namespace string) (lift func()) {
	t.Helper()
	quotas := cluster.Client.CoreV1().ResourceQuotas(namespace)
	if _, err := quotas.Create(t.Context(), &corev1.ResourceQuota{
		ObjectMeta: metav1.ObjectMeta{Name: "no-jobs"},
		Spec:       corev1.ResourceQuotaSpec{Hard: corev1.ResourceList{"count/jobs.batch": resource.MustParse("0")}},
	}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the quota to hold", func(ctx context.Context) error {
		q, err := quotas.Get(ctx, "no-jobs", metav1.GetOptions{})
		if err == nil && len(q.Status.Hard) == 0 {
			err = errors.New("it is not computed yet")
		}
		return err
	})
	return func() {
		t.Helper()
		if err := quotas.Delete(t.Context(), "no-jobs", metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
	}
}

// waitForQuota waits until the one Execution says that its Job waits for the quota.
func waitForQuota(t *testing.T, namespace string) v1.Execution {
	t.Helper()
	var waiting v1.Execution
	eventually(t, "the execution to say what it waits for", func(ctx context.Context) error {
		items, err := executions(ctx, namespace)
		if err != nil {
			return err
		}
		if len(items) != 1 || len(items[0].Status.Actions) != 1 || !strings.Contains(items[0].Status.Actions[0].Message, "exceeded quota") {
			return fmt.Errorf("executions: %+v", items)
		}
		waiting = items[0]
		return nil
	})
	return waiting
}

// What was acknowledged is executed after a crash between the acknowledgement and the Job, once, and what was stored
// is still there.
func TestKillBeforeTheJob(t *testing.T) {
	namespace := newNamespace(t)
	reaction := newReaction(t, namespace, "r", "A", "busybox")
	lift := forbidJobs(t, namespace)
	s := newSender(t, namespace)
	began := time.Now()
	expectCounts(t, s.trigger(t, namespace, firing("A", began)), 1, 0, 0, 0)
	karo.Process().Kill()
	expectJobs(t, namespace, 0)
	restart(t)

	waiting := waitForQuota(t, namespace)
	if waiting.Status.Phase != v1.PhasePending {
		t.Errorf("phase %s, not Pending", waiting.Status.Phase)
	}
	lift()
	done := waitFinished(t, namespace, 1, v1.PhaseSucceeded)[0]
	expectJobs(t, namespace, 1)
	if done.UID != waiting.UID || done.Spec.Reaction.UID != reaction.UID {
		t.Errorf("the execution or its reaction is another one after the restart")
	}
	again := s.trigger(t, namespace, firing("A", began))
	expectCounts(t, again, 0, 1, 0, 0)
}

// An outage longer than a Job's time to live, in which the Job ends, does not run it again.
func TestOutageLongerThanTheTTL(t *testing.T) {
	namespace := newNamespace(t)
	createReaction(t, namespace, &v1.AlertReaction{
		ObjectMeta: metav1.ObjectMeta{Name: "r"},
		Spec: v1.AlertReactionSpec{
			AlertName: "A",
			Actions:   []v1.Action{{Name: "act", Image: "localcluster/hang", TTLSecondsAfterFinished: new(int32(1))}},
		},
	})
	s := newSender(t, namespace)
	began := time.Now()
	expectCounts(t, s.trigger(t, namespace, firing("A", began)), 1, 0, 0, 0)
	running := waitFinished(t, namespace, 1, v1.PhaseRunning)[0]
	var pod *corev1.Pod
	eventually(t, "the pod to run", func(ctx context.Context) error {
		pods, err := cluster.Client.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{})
		if err != nil {
			return err
		}
		if len(pods.Items) != 1 || pods.Items[0].Status.Phase != corev1.PodRunning {
			return fmt.Errorf("pods: %d", len(pods.Items))
		}
		pod = &pods.Items[0]
		return nil
	})

	karo.Process().Kill()
	pod.Status.Phase = corev1.PodSucceeded
	pod.Status.ContainerStatuses[0].State = corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{
		Reason: "Completed", StartedAt: metav1.Now(), FinishedAt: metav1.Now(),
	}}
	if _, err := cluster.Client.CoreV1().Pods(namespace).UpdateStatus(t.Context(), pod, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the job to have ended longer ago than its time to live", func(ctx context.Context) error {
		items, err := jobs(ctx, namespace)
		if err != nil {
			return err
		}
		if len(items) != 1 {
			t.Fatalf("the job is gone before its end was stored")
		}
		if end := items[0].Status.CompletionTime; end == nil || time.Since(end.Time) < 3*time.Second {
			return fmt.Errorf("it ended at %v", end)
		}
		return nil
	})
	restart(t)

	done := waitFinished(t, namespace, 1, v1.PhaseSucceeded)[0]
	if done.Status.Actions[0].JobUID != running.Status.Actions[0].JobUID {
		t.Errorf("the job is another one after the outage")
	}
	eventually(t, "the job to be removed now that its end is stored", func(ctx context.Context) error {
		items, err := jobs(ctx, namespace)
		if err == nil && len(items) > 0 {
			err = fmt.Errorf("%d jobs, time to live %v", len(items), items[0].Spec.TTLSecondsAfterFinished)
		}
		return err
	})
	expectCounts(t, s.trigger(t, namespace, firing("A", began)), 0, 1, 0, 0)
	karo.Process().Kill()
	restart(t)
	expectCounts(t, s.trigger(t, namespace, firing("A", began)), 0, 1, 0, 0)
	waitFinished(t, namespace, 1, v1.PhaseSucceeded)
	expectJobs(t, namespace, 0)
}

// A Job that ends badly makes the Execution fail, with the exit code and what the container last said. One that
// somebody deletes is not created again.
func TestFailures(t *testing.T) {
	namespace := newNamespace(t)
	newReaction(t, namespace, "r", "Fails", "busybox", "localcluster/fail")
	newReaction(t, namespace, "h", "Hangs", "localcluster/hang")
	s := newSender(t, namespace)
	s.trigger(t, namespace, firing("Fails", time.Now()))
	failed := waitFinished(t, namespace, 1, v1.PhaseFailed)[0]
	good, bad := failed.Status.Actions[0], failed.Status.Actions[1]
	if good.Phase != v1.PhaseSucceeded || good.ExitCode == nil || *good.ExitCode != 0 {
		t.Errorf("the action that succeeded: %+v", good)
	}
	if bad.Phase != v1.PhaseFailed || bad.ExitCode == nil || *bad.ExitCode != 3 || bad.Message != "the last line of the log" || bad.Reason != batchv1.JobReasonBackoffLimitExceeded {
		t.Errorf("the action that failed: %+v", bad)
	}
	if !meta.IsStatusConditionTrue(failed.Status.Conditions, v1.ConditionFailed) || !meta.IsStatusConditionTrue(failed.Status.Conditions, v1.ConditionFinished) {
		t.Errorf("conditions: %+v", failed.Status.Conditions)
	}

	began := time.Now()
	hangs := s.trigger(t, namespace, firing("Hangs", began)).Alerts[0].Reactions[0].Execution
	var job string
	eventually(t, "the job", func(ctx context.Context) error {
		e, err := client.KaroV1().Executions(namespace).Get(ctx, hangs, metav1.GetOptions{})
		if err != nil {
			return err
		}
		if e.Status.Phase != v1.PhaseRunning {
			return fmt.Errorf("status %+v", e.Status)
		}
		job = e.Status.Actions[0].JobName
		return nil
	})
	kubectl(t, "", "delete", "job", job, "-n", namespace)
	eventually(t, "the execution to fail", func(ctx context.Context) error {
		e, err := client.KaroV1().Executions(namespace).Get(ctx, hangs, metav1.GetOptions{})
		if err == nil && (e.Status.Phase != v1.PhaseFailed || e.Status.Actions[0].Reason != "JobGone") {
			err = fmt.Errorf("status %+v", e.Status)
		}
		return err
	})
	expectCounts(t, s.trigger(t, namespace, firing("Hangs", began)), 0, 1, 0, 0)
}

// A Job of the wanted name that belongs to somebody else is left alone, and said to be in the way.
func TestForeignJobIsInTheWay(t *testing.T) {
	namespace := newNamespace(t)
	newReaction(t, namespace, "r", "A", "busybox")
	lift := forbidJobs(t, namespace)
	s := newSender(t, namespace)
	s.trigger(t, namespace, firing("A", time.Now()))
	name := waitForQuota(t, namespace).Status.Actions[0].JobName
	karo.Process().Kill()
	lift()
	kubectl(t, "", "create", "job", name, "-n", namespace, "--image=localcluster/hang")
	restart(t)
	failed := waitFinished(t, namespace, 1, v1.PhaseFailed)[0]
	if got := failed.Status.Actions[0]; got.Reason != "JobNameTaken" || !strings.Contains(got.Message, name) {
		t.Errorf("status %+v", got)
	}
	foreign := expectJobs(t, namespace, 1)[0]
	if foreign.Spec.TTLSecondsAfterFinished != nil || foreign.DeletionTimestamp != nil {
		t.Errorf("the foreign job was touched: %+v", foreign)
	}
}

// A revision that somebody deletes is written again for the next run, and does not disturb one that runs already.
func TestDeletedRevision(t *testing.T) {
	namespace := newNamespace(t)
	newReaction(t, namespace, "r", "A", "localcluster/hang")
	newReaction(t, namespace, "q", "B", "busybox")
	s := newSender(t, namespace)
	s.trigger(t, namespace, firing("A", time.Now()))
	waitFinished(t, namespace, 1, v1.PhaseRunning)
	expectCounts(t, s.trigger(t, namespace, firing("B", time.Now())), 1, 0, 0, 0)
	kubectl(t, "", "wait", "execution", "-n", namespace, "-l", "karo.io/reaction=q", "--for=condition=Complete", "--timeout=60s")

	kubectl(t, "", "delete", "reactionrevisions", "--all", "-n", namespace)
	expectCounts(t, s.trigger(t, namespace, firing("B", time.Now())), 1, 0, 0, 0)
	kubectl(t, "", "wait", "execution", "-n", namespace, "-l", "karo.io/reaction=q", "--for=condition=Complete", "--timeout=60s")
	running, err := client.KaroV1().Executions(namespace).List(t.Context(), metav1.ListOptions{FieldSelector: "spec.reaction.name=r"})
	if err != nil || len(running.Items) != 1 || running.Items[0].Status.Phase != v1.PhaseRunning {
		t.Errorf("the execution that runs: %+v, %v", running.Items, err)
	}
}

// A second process on the same data does not start, says why, and does the first no harm.
func TestDataInUse(t *testing.T) {
	second, err := cluster.NewKaro(t.Context(), "karo-second", "--data-dir="+filepath.Join(cluster.Dir, "karo-apiserver"))
	if err != nil {
		t.Fatal(err)
	}
	if err := second.Start(t.Context()); err == nil || !strings.Contains(err.Error(), "is in use by another process") {
		t.Fatalf("a second process: %v", err)
	}
	namespace := newNamespace(t)
	newReaction(t, namespace, "r", "A", "busybox")
	expectCounts(t, newSender(t, namespace).trigger(t, namespace, firing("A", time.Now())), 1, 0, 0, 0)
}

// A Job that was recorded is told by its UID: another one of its name is not it, and is left alone.
func TestForeignJobInThePlace(t *testing.T) {
	namespace := newNamespace(t)
	newReaction(t, namespace, "r", "A", "localcluster/hang")
	s := newSender(t, namespace)
	s.trigger(t, namespace, firing("A", time.Now()))
	running := waitFinished(t, namespace, 1, v1.PhaseRunning)[0]
	name := running.Status.Actions[0].JobName

	karo.Process().Kill()
	kubectl(t, "", "delete", "job", name, "-n", namespace)
	kubectl(t, "", "create", "job", name, "-n", namespace, "--image=localcluster/hang")
	restart(t)
	failed := waitFinished(t, namespace, 1, v1.PhaseFailed)[0]
	if failed.Status.Actions[0].Reason != "JobGone" {
		t.Errorf("status %+v", failed.Status)
	}
	foreign, err := cluster.Client.BatchV1().Jobs(namespace).Get(t.Context(), name, metav1.GetOptions{})
	if err != nil || foreign.Spec.TTLSecondsAfterFinished != nil || foreign.DeletionTimestamp != nil {
		t.Errorf("the foreign job was touched: %+v, %v", foreign, err)
	}
}

// Asked to stop, the server gives the lease back, so that a successor need not wait for it to expire.
func TestStopReleasesTheLease(t *testing.T) {
	holder := func(ctx context.Context) (string, error) {
		lease, err := cluster.Client.CoordinationV1().Leases(localcluster.KaroNamespace).Get(ctx, "karo-executor", metav1.GetOptions{})
		if err != nil {
			return "", err
		}
		return ptr.Deref(lease.Spec.HolderIdentity, ""), nil
	}
	eventually(t, "the lease to be held", func(ctx context.Context) error {
		name, err := holder(ctx)
		if err == nil && name == "" {
			err = errors.New("nobody holds it")
		}
		return err
	})
	if err := karo.Process().Stop(); err != nil {
		t.Errorf("it does not end well: %v", err)
	}
	if name, err := holder(t.Context()); err != nil || name != "" {
		t.Errorf("the lease is held by %q, %v", name, err)
	}
	restart(t)
}

// Asked to stop, the server ends open watches at once, and a request that it has begun to read well.
func TestStopEndsWatches(t *testing.T) {
	namespace := newNamespace(t)
	newReaction(t, namespace, "r", "A", "busybox")
	watch, err := client.KaroV1().Executions(namespace).Watch(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer watch.Stop()

	reading := make(chan struct{})
	trace := &httptrace.ClientTrace{Got100Continue: func() { close(reading) }}
	body, rest := io.Pipe()
	req, err := http.NewRequestWithContext(httptrace.WithClientTrace(t.Context(), trace), http.MethodPost, karo.URL()+triggerPath(namespace), body)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Expect", "100-continue")
	status := make(chan string, 1)
	go func() {
		resp, err := newHTTP(t, karo.Config()).http.Do(req)
		if err != nil {
			status <- err.Error()
			return
		}
		defer resp.Body.Close()
		status <- resp.Status
	}()
	select {
	case <-reading:
	case got := <-status:
		t.Fatalf("the request: %s", got)
	}

	stopped := make(chan error, 1)
	begin := time.Now()
	go func() { stopped <- karo.Process().Stop() }()
	for range watch.ResultChan() { // It ends with the watch.
	}
	if _, err := io.WriteString(rest, `{"version": "4", "alerts": [{"status": "firing", "labels": {"alertname": "A"}}]}`); err != nil {
		t.Error(err)
	}
	if err := rest.Close(); err != nil {
		t.Error(err)
	}
	if got := <-status; got != "200 OK" {
		t.Errorf("the request: %s", got)
	}
	if err := <-stopped; err != nil {
		t.Errorf("it does not end well: %v", err)
	}
	if took := time.Since(begin); took > 15*time.Second {
		t.Errorf("it takes %s to stop", took)
	}
	restart(t)
	waitFinished(t, namespace, 1, v1.PhaseSucceeded)
}

// With --etcd-servers the objects are in that etcd. This server is asked directly, since the cluster has one already.
func TestExternalEtcd(t *testing.T) {
	// Another store has another installation, in a namespace of its own.
	own := newNamespace(t)
	kubectl(t, "", "create", "role", "karo", "-n", own, "--verb=create,get,list,watch,update", "--resource=configmaps,secrets")
	kubectl(t, "", "create", "rolebinding", "karo", "-n", own, "--role=karo", "--serviceaccount="+localcluster.KaroNamespace+":karo")
	k, err := cluster.NewKaro(t.Context(), "karo-external", "--etcd-servers="+cluster.EtcdURL, "--etcd-prefix=/external", "--executor=false", "--namespace="+own)
	if err != nil {
		t.Fatal(err)
	}
	removeJobs(t)
	namespace := newNamespace(t)
	direct, err := versioned.NewForConfig(k.Config())
	if err != nil {
		t.Fatal(err)
	}
	if err := k.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := direct.KaroV1().AlertReactions(namespace).Create(t.Context(), &v1.AlertReaction{
		ObjectMeta: metav1.ObjectMeta{Name: "r"},
		Spec:       v1.AlertReactionSpec{AlertName: "A", Actions: []v1.Action{{Name: "act", Image: "busybox"}}},
	}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	expectCounts(t, newHTTP(t, k.Config()).trigger(t, namespace, firing("A", began)), 1, 0, 0, 0)
	k.Process().Kill()
	if err := k.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	expectCounts(t, newHTTP(t, k.Config()).trigger(t, namespace, firing("A", began)), 0, 1, 0, 0)
	if _, err := client.KaroV1().AlertReactions(namespace).Get(t.Context(), "r", metav1.GetOptions{}); err == nil {
		t.Error("the reaction is in the embedded etcd")
	}
	if err := k.Process().Stop(); err != nil {
		t.Error(err)
	}
}

// The server does not start where a CustomResourceDefinition holds its API group, and says what to do.
func TestCRDIsRefused(t *testing.T) {
	kubectl(t, `
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata:
  name: widgets.karo.io
spec:
  group: karo.io
  scope: Namespaced
  names: {plural: widgets, singular: widget, kind: Widget, listKind: WidgetList}
  versions:
    - name: v9
      served: true
      storage: true
      schema: {openAPIV3Schema: {type: object}}
`, "apply", "-f", "-")
	t.Cleanup(func() { _, _ = cluster.Kubectl(context.Background(), "", "delete", "crd", "widgets.karo.io") })
	k, err := cluster.NewKaro(t.Context(), "karo-refused")
	if err != nil {
		t.Fatal(err)
	}
	err = k.Start(t.Context())
	if err == nil {
		t.Fatal("it starts")
	}
	if want := "kubectl delete crd widgets.karo.io"; !strings.Contains(err.Error(), want) {
		t.Errorf("it does not say %q: %v", want, err)
	}
}

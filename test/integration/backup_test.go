// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"karo.io/karo/hack/localcluster"
	v1 "karo.io/karo/pkg/apis/karo/v1"
)

// snapshot runs karo-apiserver snapshot on the data of the server.
func snapshot(t *testing.T, args ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), filepath.Join(cluster.Dir, "bin-karo-apiserver"), append([]string{"snapshot", "--data-dir=" + dataDir()}, args...)...)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("snapshot %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

func dataDir() string { return filepath.Join(cluster.Dir, "karo-apiserver") }

// loseData kills the server and removes its data.
func loseData(t *testing.T) {
	t.Helper()
	karo.Process().Kill()
	if err := os.RemoveAll(dataDir()); err != nil {
		t.Fatal(err)
	}
}

var acceptFlag = regexp.MustCompile(`--accept-store=([0-9a-f]+)`)

// expectPaused waits until the server refuses a notification since it is paused, and returns what accepts its store.
func expectPaused(t *testing.T, s *sender, namespace string) (id string) {
	t.Helper()
	status, answer := s.post(t, triggerPath(namespace), strings.NewReader(`{"alerts":[]}`))
	found := acceptFlag.FindSubmatch(answer)
	if status != http.StatusServiceUnavailable || found == nil {
		t.Fatalf("a notification is answered %d: %s", status, answer)
	}
	return string(found[1])
}

// accept restarts the server with the flag that accepts its store. The flag stays: it fits no other loss.
func accept(t *testing.T, id string) {
	t.Helper()
	if err := karo.Process().Stop(); err != nil {
		t.Errorf("paused, it does not end well: %v", err)
	}
	karo.AddFlags("--accept-store=" + id)
	restart(t)
}

// leaveRunning leaves a server that runs to the tests after one that failed.
func leaveRunning(t *testing.T) {
	t.Helper()
	t.Cleanup(func() {
		if !t.Failed() {
			return
		}
		ctx := context.Background()
		karo.Process().Kill()
		_ = os.RemoveAll(dataDir())
		_ = cluster.Client.CoreV1().ConfigMaps(localcluster.KaroNamespace).Delete(ctx, "karo-store", metav1.DeleteOptions{})
		_ = karo.Start(ctx)
		_ = karo.Available(ctx)
	})
}

// jobUIDs returns the Jobs of a namespace, by name.
func jobUIDs(ctx context.Context, namespace string) (map[string]types.UID, error) {
	items, err := jobs(ctx, namespace)
	uids := map[string]types.UID{}
	for i := range items {
		uids[items[i].Name] = items[i].UID
	}
	return uids, err
}

// bait creates a ConfigMap that belongs to an Execution. Once it is gone, the garbage collector of the cluster has learned
// that the Execution is.
func bait(t *testing.T, namespace string, owner *v1.Execution) (taken func(t *testing.T)) {
	t.Helper()
	configMaps := cluster.Client.CoreV1().ConfigMaps(namespace)
	created, err := configMaps.Create(t.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{
		GenerateName:    "bait-",
		OwnerReferences: []metav1.OwnerReference{{APIVersion: "karo.io/v1", Kind: "Execution", Name: owner.Name, UID: owner.UID}},
	}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return func(t *testing.T) {
		t.Helper()
		eventually(t, "the garbage collector to learn of what is lost", func(ctx context.Context) error {
			_, err := configMaps.Get(ctx, created.Name, metav1.GetOptions{})
			return mustBeGone(err)
		})
	}
}

// finishPod has the pod of a Job that hangs end well.
func finishPod(t *testing.T, namespace, job string) {
	t.Helper()
	pods := cluster.Client.CoreV1().Pods(namespace)
	eventually(t, "the pod of "+job+" to end", func(ctx context.Context) error {
		list, err := pods.List(ctx, metav1.ListOptions{LabelSelector: batchv1.JobNameLabel + "=" + job})
		if err != nil {
			return err
		}
		if len(list.Items) != 1 || list.Items[0].Status.Phase != corev1.PodRunning {
			return fmt.Errorf("%d pods", len(list.Items))
		}
		pod := &list.Items[0]
		pod.Status.Phase = corev1.PodSucceeded
		pod.Status.ContainerStatuses[0].State = corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{
			Reason: "Completed", StartedAt: metav1.Now(), FinishedAt: metav1.Now(),
		}}
		_, err = pods.UpdateStatus(ctx, pod, metav1.UpdateOptions{})
		return err
	})
}

// executionOf returns the one Execution of an answer.
func executionOf(t *testing.T, r *v1.AlertNotificationResult) string {
	t.Helper()
	expectCounts(t, r, 1, 0, 0, 0)
	return r.Alerts[0].Reactions[0].Execution
}

// A snapshot that is saved while the server is at work, and restored after more has run, brings a server that waits to be
// told that this is the store. Nothing that ran runs again, and what runs is followed, whatever was lost of it.
func TestRestoredSnapshot(t *testing.T) {
	leaveRunning(t)
	namespace := newNamespace(t)
	newReaction(t, namespace, "hangs", "Hangs", "localcluster/hang")
	newReaction(t, namespace, "ends", "Ends", "busybox")
	newReaction(t, namespace, "waits", "Waits", "busybox")
	s := newSender(t, namespace)
	began := time.Now()
	alert := func(name, pod string) v1.NotificationAlert { return firing(name, began, "pod", pod) }
	runs := func(alert v1.NotificationAlert, phase v1.Phase) *v1.Execution {
		t.Helper()
		return waitPhase(t, namespace, executionOf(t, s.trigger(t, namespace, alert)), phase)
	}
	running, ended := runs(alert("Hangs", "before"), v1.PhaseRunning), runs(alert("Ends", "before"), v1.PhaseSucceeded)
	// What is stored, and has no Job yet, when the snapshot is saved.
	lift := forbidJobs(t, namespace)
	unknown := executionOf(t, s.trigger(t, namespace, alert("Waits", "gone")))
	found := executionOf(t, s.trigger(t, namespace, alert("Waits", "found")))

	file := filepath.Join(t.TempDir(), "snapshot")
	load, stop := context.WithCancel(t.Context())
	var sent atomic.Int32
	loaded := make(chan struct{})
	go func() {
		defer close(loaded)
		for load.Err() == nil {
			s.trigger(t, namespace, firing("Nothing", began), alert("Ends", "before"), alert("Hangs", "before"))
			sent.Add(1)
		}
	}()
	snapshot(t, "save", file)
	stop()
	<-loaded
	if sent.Load() == 0 {
		t.Error("nothing was sent while the snapshot was saved")
	}

	// What the snapshot does not have.
	lift()
	waitPhase(t, namespace, found, v1.PhaseSucceeded)
	waitPhase(t, namespace, unknown, v1.PhaseSucceeded)
	kubectl(t, "", "delete", "jobs", "-n", namespace, "-l", "karo.io/execution="+unknown)
	newReaction(t, namespace, "new", "New", "localcluster/hang")
	lost := []*v1.Execution{runs(alert("Hangs", "after"), v1.PhaseRunning), runs(alert("Ends", "after"), v1.PhaseSucceeded), runs(alert("New", "after"), v1.PhaseRunning)}
	taken := bait(t, namespace, func() *v1.Execution {
		e := runs(alert("Ends", "gone"), v1.PhaseSucceeded)
		kubectl(t, "", "delete", "jobs", "-n", namespace, "-l", "karo.io/execution="+e.Name)
		return e
	}())
	before, err := jobUIDs(t.Context(), namespace)
	if err != nil {
		t.Fatal(err)
	}
	everything := []v1.NotificationAlert{
		alert("Hangs", "before"), alert("Ends", "before"), alert("Waits", "gone"), alert("Waits", "found"), alert("Hangs", "after"), alert("Ends", "after"),
	}

	loseData(t)
	snapshot(t, "restore", file)
	restart(t)
	id := expectPaused(t, s, namespace)
	for _, e := range lost {
		back, err := client.KaroV1().Executions(namespace).Get(t.Context(), e.Name, metav1.GetOptions{})
		if err != nil || back.UID != e.UID {
			t.Fatalf("the execution that is lost and has a job: %v", err)
		}
		if diff := cmp.Diff(e.Spec, back.Spec); diff != "" {
			t.Errorf("its spec (-want +got):\n%s", diff)
		}
	}
	taken(t)
	if now, err := jobUIDs(t.Context(), namespace); err != nil || !maps.Equal(now, before) {
		t.Errorf("paused: jobs %v, %v; before there were %v", now, err, before)
	}
	expectSaid(t, namespace, id)
	// The wrong one changes nothing.
	accept(t, "0123456789abcdef")
	if again := expectPaused(t, s, namespace); again != id {
		t.Errorf("the same store is accepted by %s and by %s", id, again)
	}
	accept(t, id)

	for _, again := range everything {
		expectCounts(t, s.trigger(t, namespace, again), 0, 1, 0, 0)
	}
	failed := waitPhase(t, namespace, unknown, v1.PhaseFailed)
	if got := failed.Status.Actions[0]; got.Reason != "StoreRestored" || !strings.Contains(got.Message, "cannot be told whether this ran") {
		t.Errorf("what may have run: %+v", got)
	}
	for _, name := range []string{ended.Name, lost[1].Name, found} {
		waitPhase(t, namespace, name, v1.PhaseSucceeded)
	}
	for _, e := range []*v1.Execution{running, lost[0], lost[2]} {
		waitPhase(t, namespace, e.Name, v1.PhaseRunning)
		finishPod(t, namespace, e.Status.Actions[0].JobName)
		done := waitPhase(t, namespace, e.Name, v1.PhaseSucceeded)
		if done.Status.Actions[0].JobUID != e.Status.Actions[0].JobUID {
			t.Errorf("execution %s ran another job", e.Name)
		}
	}
	if now, err := jobUIDs(t.Context(), namespace); err != nil || !maps.Equal(now, before) {
		t.Errorf("accepted: jobs %v, %v; before there were %v", now, err, before)
	}
	runs(alert("Ends", "new"), v1.PhaseSucceeded)
	// The flag stays, and does no harm.
	karo.Process().Kill()
	restart(t)
	expectCounts(t, s.trigger(t, namespace, everything...), 0, int32(len(everything)), 0, 0)
	expectReactionCollected(t, namespace, "ends")
	// The same again: what accepted the first restore does not accept the second.
	loseData(t)
	snapshot(t, "restore", file)
	restart(t)
	second := expectPaused(t, s, namespace)
	if second == id {
		t.Error("the flag that is left accepts the next loss too")
	}
	accept(t, second)
	expectCounts(t, s.trigger(t, namespace, alert("Ends", "before")), 0, 1, 0, 0)
}

// A volume that is lost stops no Job, and the server that starts on an empty one waits, with the API there to bring the
// reactions back.
func TestLostVolume(t *testing.T) {
	leaveRunning(t)
	namespace := newNamespace(t)
	newReaction(t, namespace, "hangs", "Hangs", "localcluster/hang")
	newReaction(t, namespace, "ends", "Ends", "busybox")
	s := newSender(t, namespace)
	began := time.Now()
	running := waitPhase(t, namespace, executionOf(t, s.trigger(t, namespace, firing("Hangs", began))), v1.PhaseRunning)
	gone := waitPhase(t, namespace, executionOf(t, s.trigger(t, namespace, firing("Ends", began))), v1.PhaseSucceeded)
	kubectl(t, "", "delete", "jobs", "-n", namespace, "-l", "karo.io/execution="+gone.Name)
	taken := bait(t, namespace, gone)

	loseData(t)
	restart(t)
	id := expectPaused(t, s, namespace)
	taken(t)
	newReaction(t, namespace, "ends", "Ends", "busybox")
	expectJobs(t, namespace, 1)
	accept(t, id)
	waitPhase(t, namespace, running.Name, v1.PhaseRunning)
	finishPod(t, namespace, running.Status.Actions[0].JobName)
	waitPhase(t, namespace, running.Name, v1.PhaseSucceeded)
	waitPhase(t, namespace, executionOf(t, s.trigger(t, namespace, firing("Ends", began))), v1.PhaseSucceeded)
	expectJobs(t, namespace, 2)
	expectReactionCollected(t, namespace, "ends")
}

// expectReactionCollected deletes a reaction and waits until the garbage collector has removed its Executions and their Jobs, as
// it does only while it still hears of what becomes of them.
func expectReactionCollected(t *testing.T, namespace, reaction string) {
	t.Helper()
	kubectl(t, "", "delete", "alertreaction", reaction, "-n", namespace)
	eventually(t, "what belongs to the reaction to be gone", func(ctx context.Context) error {
		selector := metav1.ListOptions{LabelSelector: "karo.io/reaction=" + reaction}
		left, err := cluster.Client.BatchV1().Jobs(namespace).List(ctx, selector)
		if err != nil {
			return err
		}
		executions, err := client.KaroV1().Executions(namespace).List(ctx, selector)
		if err == nil && len(left.Items)+len(executions.Items) > 0 {
			err = fmt.Errorf("%d jobs and %d executions are left", len(left.Items), len(executions.Items))
		}
		return err
	})
}

// expectSaid checks that whoever looks after a server that is paused is told.
func expectSaid(t *testing.T, namespace, id string) {
	t.Helper()
	says := "--accept-store=" + id
	if out := kubectl(t, "", "get", "alertreactions", "-n", namespace); !strings.Contains(out, "Warning: Karo is paused") || !strings.Contains(out, says) {
		t.Errorf("kubectl shows no warning:\n%s", out)
	}
	if out := kubectl(t, "", "get", "--raw", "/apis/karo.io/v1"); !strings.Contains(out, "alertreactions") {
		t.Errorf("discovery: %s", out)
	}
	out, err := cluster.Kubectl(t.Context(), `{"labels": {"a": "b"}}`, "create", "--raw", "/apis/karo.io/v1/namespaces/"+namespace+"/alertreactions/ends/executions", "-f", "-")
	if err == nil || !strings.Contains(out, says) {
		t.Errorf("a run by hand: %v, %s", err, out)
	}
	waitEvent(t, localcluster.KaroNamespace, "Paused", says)
	admin := newHTTP(t, karo.Config())
	for path, want := range map[string]string{"/metrics": "karo_paused 1", "/readyz": "ok"} {
		if got := admin.get(t, path); !strings.Contains(got, want) {
			t.Errorf("%s does not say %q", path, want)
		}
	}
	log, err := os.ReadFile(karo.Process().LogFile)
	if err != nil || !strings.Contains(string(log), says) {
		t.Errorf("the log does not say it: %v", err)
	}
}

// get returns the body of an answer.
func (s *sender) get(t *testing.T, path string) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.host+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := s.http.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

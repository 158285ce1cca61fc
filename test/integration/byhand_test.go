// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	v1 "karo.io/karo/pkg/apis/karo/v1"
	"karo.io/karo/pkg/generated/clientset/versioned"
)

// runByHand posts an alert to the subresource executions of a reaction.
func runByHand(ctx context.Context, c *versioned.Clientset, namespace, reaction, body string) (*v1.Execution, error) {
	e := &v1.Execution{}
	err := c.KaroV1().RESTClient().Post().Namespace(namespace).Resource("alertreactions").Name(reaction).SubResource("executions").
		Body([]byte(body)).SetHeader("Content-Type", "application/json").Do(ctx).Into(e)
	return e, err
}

// Somebody on call may run exactly one reaction, without any right to Jobs.
func TestRunnerByName(t *testing.T) {
	namespace := newNamespace(t)
	newReaction(t, namespace, "crash-report", "A", "busybox")
	newReaction(t, namespace, "other", "A", "busybox")
	kubectl(t, "", "apply", "-n", namespace, "-f", filepath.Join(cluster.Root, "artifacts", "example", "runner.yaml"))
	kubectl(t, "", "create", "rolebinding", "oncall", "-n", namespace, "--role=crash-report-runner", "--user=oncall")
	oncall := as(t, "oncall")

	var e *v1.Execution
	eventually(t, "the right to be known", func(ctx context.Context) error {
		var err error
		e, err = runByHand(ctx, oncall, namespace, "crash-report", `{"labels":{"pod":"web-1"},"annotations":{"summary":"by hand"}}`)
		return err
	})
	if !strings.HasPrefix(e.Name, "crash-report-") || e.Spec.Trigger != v1.TriggerManual || e.Spec.TriggeredBy != "oncall" || e.Spec.Reaction.UID == "" ||
		e.Spec.Alert.Status != v1.AlertFiring || e.Spec.Alert.Labels["alertname"] != "A" || e.Spec.Alert.Labels["pod"] != "web-1" || e.Spec.Alert.Name != "A" {
		t.Errorf("%s: %+v", e.Name, e.Spec)
	}
	waitPhase(t, namespace, e.Name, v1.PhaseSucceeded)
	list := &v1.ExecutionList{}
	if err := oncall.KaroV1().RESTClient().Get().Namespace(namespace).Resource("alertreactions").Name("crash-report").SubResource("executions").Do(t.Context()).Into(list); err != nil {
		t.Fatalf("listing: %v", err)
	}
	if len(list.Items) != 1 || list.Items[0].Name != e.Name {
		t.Errorf("the runs of the reaction are %v", list.Items)
	}
	for what, try := range map[string]func() error{
		"the other reaction": func() error { _, err := runByHand(t.Context(), oncall, namespace, "other", "{}"); return err },
		"reading executions": func() error {
			_, err := oncall.KaroV1().Executions(namespace).Get(t.Context(), e.Name, metav1.GetOptions{})
			return err
		},
		"creating an execution": func() error {
			_, err := oncall.KaroV1().Executions(namespace).Create(t.Context(), byHand("crash-report"), metav1.CreateOptions{})
			return err
		},
		"cancelling": func() error {
			return oncall.KaroV1().RESTClient().Post().Namespace(namespace).Resource("executions").Name(e.Name).SubResource("cancel").Body([]byte("{}")).Do(t.Context()).Error()
		},
	} {
		if err := try(); !apierrors.IsForbidden(err) {
			t.Errorf("%s: %v, want it forbidden", what, err)
		}
	}
	admin := as(t, "admin", "system:masters")
	if _, err := runByHand(t.Context(), admin, namespace, "nobody", "{}"); !apierrors.IsNotFound(err) {
		t.Errorf("a reaction that there is not: %v", err)
	}
	if _, err := runByHand(t.Context(), admin, namespace, "crash-report", `{"labels":{"a":1}}`); !apierrors.IsBadRequest(err) {
		t.Errorf("a label that is no text: %v", err)
	}
}

func byHand(reaction string) *v1.Execution {
	return &v1.Execution{
		ObjectMeta: metav1.ObjectMeta{GenerateName: "drill-"},
		Spec: v1.ExecutionSpec{
			Reaction: v1.ReactionReference{Name: reaction},
			Alert:    v1.AlertOccurrence{Labels: map[string]string{"alertname": "Drill", "instance": "db-1"}},
		},
	}
}

// An Execution that somebody creates runs, however often and whether or not an alert did, and is not remembered.
func TestExecutionsByHand(t *testing.T) {
	namespace := newNamespace(t)
	reaction := newReaction(t, namespace, "r", "A", "busybox")
	kubectl(t, "", "patch", "alertreaction", "r", "-n", namespace, "--type=merge", "-p", `{"spec":{"suspend":true}}`)
	manifest := `
apiVersion: karo.io/v1
kind: Execution
metadata:
  generateName: drill-
spec:
  reaction: {name: r}
  alert:
    labels: {alertname: A, instance: db-1}
    annotations: {summary: a drill}
`
	for range 3 {
		expect(t, kubectl(t, manifest, "create", "-n", namespace, "-f", "-"), "execution.karo.io/drill-", "created")
	}
	named := strings.Replace(manifest, "generateName: drill-", "name: drill", 1)
	expect(t, kubectl(t, named, "apply", "--server-side", "-n", namespace, "-f", "-"), "execution.karo.io/drill serverside-applied")
	expect(t, kubectl(t, named, "apply", "--server-side", "-n", namespace, "-f", "-"), "execution.karo.io/drill serverside-applied")
	expect(t, kubectl(t, strings.Replace(named, "drill", "client-side", 1), "apply", "-n", namespace, "-f", "-"), "client-side created")
	expect(t, kubectl(t, strings.Replace(named, "drill", "client-side", 1), "apply", "-n", namespace, "-f", "-"), "client-side unchanged")
	runs := waitFinished(t, namespace, 5, v1.PhaseSucceeded)
	for i := range runs {
		if runs[i].Spec.Reaction.UID != reaction.UID || runs[i].Spec.Reaction.Generation != 2 || runs[i].Spec.TriggeredBy != "admin" {
			t.Errorf("%+v", runs[i].Spec)
		}
	}
	expectJobs(t, namespace, 5)
	waitStatus(t, namespace, "r", "that there were five runs", func(s *v1.AlertReactionStatus) bool { return s.TriggerCount == 5 })
	if alerts, err := client.KaroV1().Alerts(namespace).List(t.Context(), metav1.ListOptions{}); err != nil || len(alerts.Items) != 0 {
		t.Errorf("%d alerts are remembered: %v", len(alerts.Items), err)
	}
	// Nothing has to be remembered of one, so nothing holds it up for long.
	kubectl(t, "", "delete", "execution", "drill", "-n", namespace, "--timeout=20s")
	// Karo's finalizer is not for clients: by it Karo knows what is counted.
	counted, err := client.KaroV1().Executions(namespace).Patch(t.Context(), "client-side", types.MergePatchType, []byte(`{"metadata":{"finalizers":["karo.io/memory","example.com/mine"]}}`), metav1.PatchOptions{})
	if err != nil || len(counted.Finalizers) != 1 || counted.Finalizers[0] != "example.com/mine" {
		t.Errorf("%v, %v", err, counted.Finalizers)
	}
	kubectl(t, "", "patch", "ex", "client-side", "-n", namespace, "--type=merge", "-p", `{"metadata":{"finalizers":null}}`)
	waitStatus(t, namespace, "r", "still that there were five", func(s *v1.AlertReactionStatus) bool { return s.TriggerCount == 5 })

	// A dry run stores nothing.
	expect(t, kubectl(t, manifest, "create", "-n", namespace, "--dry-run=server", "-f", "-"), "created (server dry run)")

	e, err := client.KaroV1().Executions(namespace).Get(t.Context(), "client-side", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]struct {
		change func(*v1.Execution)
		says   string
	}{
		"restored":         {func(r *v1.Execution) { *r = *e.DeepCopy(); r.ResourceVersion, r.UID = "", ""; r.Name = "restored" }, "spec.reaction.uid: Forbidden"},
		"reserved name":    {func(r *v1.Execution) { r.Name = "r-" + strings.Repeat("a", 26) }, "metadata.name: Invalid value"},
		"no reaction":      {func(r *v1.Execution) { r.Spec.Reaction.Name = "" }, "spec.reaction.name: Required value"},
		"unknown reaction": {func(r *v1.Execution) { r.Spec.Reaction.Name = "nobody" }, `spec.reaction.name: Not found: "nobody"`},
		"long name":        {func(r *v1.Execution) { r.Name = strings.Repeat("a", 64) }, "metadata.name: Too long"},
		"status pending":   {func(r *v1.Execution) { r.Spec.Alert.Status = "pending" }, "spec.alert.status: Unsupported value"},
		"receiver":         {func(r *v1.Execution) { r.Spec.Receiver = "karo" }, "spec.receiver: Forbidden"},
		"huge alert": {func(r *v1.Execution) { r.Spec.Alert.Annotations = map[string]string{"a": strings.Repeat("x", 600<<10)} },
			"spec.alert: Too long"},
	} {
		created := byHand("r")
		change.change(created)
		if _, err := client.KaroV1().Executions(namespace).Create(t.Context(), created, metav1.CreateOptions{}); err == nil || !strings.Contains(err.Error(), change.says) {
			t.Errorf("%s: %v, want %s", name, err, change.says)
		}
	}
	// A status that is given counts for nothing.
	done := byHand("r")
	done.Status.Phase = v1.PhaseSucceeded
	created, err := client.KaroV1().Executions(namespace).Create(t.Context(), done, metav1.CreateOptions{})
	if err != nil || created.Status.Phase != v1.PhasePending {
		t.Errorf("%v, %+v, want it pending", err, created.Status)
	}
	waitPhase(t, namespace, created.Name, v1.PhaseSucceeded)
}

// Whatever somebody writes into a status: nothing runs by it, and nothing is stopped, deleted or forgotten.
func TestForgedStatus(t *testing.T) {
	namespace := newNamespace(t)
	newReaction(t, namespace, "hangs", "A", "localcluster/hang")
	newReaction(t, namespace, "suspended", "B", "busybox")
	kubectl(t, "", "patch", "ar", "suspended", "-n", namespace, "--type=merge", "-p", `{"spec":{"suspend":true}}`)
	createReaction(t, namespace, &v1.AlertReaction{
		ObjectMeta: metav1.ObjectMeta{Name: "ends"},
		Spec:       v1.AlertReactionSpec{AlertName: "C", Actions: []v1.Action{{Name: "act", Image: "busybox", TTLSecondsAfterFinished: new(int32(0))}}},
	})
	s := newSender(t, namespace)
	run := func(alert string) string {
		return s.trigger(t, namespace, firing(alert, time.Now())).Alerts[0].Reactions[0].Execution
	}
	running, other, skipped, ended := run("A"), run("A"), run("B"), run("C")
	otherJob := waitPhase(t, namespace, other, v1.PhaseRunning).Status.Actions[0]
	waitPhase(t, namespace, running, v1.PhaseRunning)
	waitPhase(t, namespace, ended, v1.PhaseSucceeded)
	eventually(t, "the Job that has ended to go", func(ctx context.Context) error {
		if items, err := jobs(ctx, namespace); err != nil || len(items) != 2 {
			return fmt.Errorf("%d jobs: %w", len(items), err)
		}
		return nil
	})
	patch := func(name string, status any) {
		t.Helper()
		text, err := json.Marshal(map[string]any{"status": status})
		if err != nil {
			t.Fatal(err)
		}
		before, err := client.KaroV1().Executions(namespace).Get(t.Context(), name, metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		after, err := client.KaroV1().Executions(namespace).Patch(t.Context(), name, types.MergePatchType, text, metav1.PatchOptions{}, "status")
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(before.Status, after.Status); diff != "" {
			t.Errorf("%s (-before +after):\n%s", text, diff)
		}
	}
	type object = map[string]any
	again := object{"phase": "Pending", "actions": nil, "completionTime": nil, "startTime": nil}
	long := "2026-01-02T03:04:05Z"
	for _, name := range []string{ended, skipped, running} {
		patch(name, again)
		patch(name, object{"phase": "Running", "actions": []object{{"name": "act", "phase": "Pending"}}, "completionTime": nil})
		patch(name, object{"phase": "Succeeded", "completionTime": long})
		patch(name, object{"cancellation": object{"time": long, "user": "somebody"}})
		patch(name, object{"actions": []object{{"name": "action-0", "phase": "Running", "jobName": otherJob.JobName, "jobUID": otherJob.JobUID}}})
	}
	// What is counted for good is not theirs to say either: it would let go of what is not remembered yet.
	uids := []types.UID{}
	for _, name := range []string{running, other} {
		e, err := client.KaroV1().Executions(namespace).Get(t.Context(), name, metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		uids = append(uids, e.UID)
	}
	settled, err := json.Marshal(object{"status": object{"settlement": object{"count": 7, "executions": uids}}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.KaroV1().AlertReactions(namespace).Patch(t.Context(), "hangs", types.MergePatchType, settled, metav1.PatchOptions{}, "status"); err != nil {
		t.Fatal(err)
	}
	// One that comes later runs, so that the executor has seen all of it.
	waitPhase(t, namespace, run("C"), v1.PhaseSucceeded)
	waitStatus(t, namespace, "hangs", "that there were two runs", func(s *v1.AlertReactionStatus) bool { return s.TriggerCount == 2 })
	for _, name := range []string{running, other} {
		e := waitPhase(t, namespace, name, v1.PhaseRunning)
		job, err := cluster.Client.BatchV1().Jobs(namespace).Get(t.Context(), e.Status.Actions[0].JobName, metav1.GetOptions{})
		if err != nil || job.DeletionTimestamp != nil || ptr.Deref(job.Spec.Suspend, false) {
			t.Errorf("the Job of %s: %v, deleted %v, suspended %v", name, err, job.DeletionTimestamp, job.Spec.Suspend)
		}
	}
	for name, phase := range map[string]v1.Phase{ended: v1.PhaseSucceeded, skipped: v1.PhaseSkipped} {
		waitPhase(t, namespace, name, phase)
		if out := kubectl(t, "", "get", "jobs", "-n", namespace, "-l", "karo.io/execution="+name, "-o", "name"); strings.TrimSpace(out) != "" {
			t.Errorf("%s has run: %s", name, out)
		}
	}
}

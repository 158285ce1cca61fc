// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	v1 "karo.io/karo/pkg/apis/karo/v1"
)

const manifest = `
apiVersion: karo.io/v1
kind: AlertReaction
metadata:
  name: r
spec:
  alertName: A
  actions:
    - name: act
      image: busybox
`

// expect fails the test unless an output has all of some texts.
func expect(t *testing.T, out string, texts ...string) {
	t.Helper()
	for _, text := range texts {
		if !strings.Contains(out, text) {
			t.Errorf("no %q in:\n%s", text, out)
		}
	}
}

// Every verb of kubectl that one uses on an object works on a reaction.
func TestKubectlOnReactions(t *testing.T) {
	namespace := newNamespace(t)
	in := func(stdin string, args ...string) string {
		t.Helper()
		return kubectl(t, stdin, append(args, "-n", namespace)...)
	}
	expect(t, in(manifest, "create", "-f", "-"), "alertreaction.karo.io/r created")
	expect(t, in("", "get", "ar"), "NAME", "ALERT", "ACTIONS", "SUSPEND", "TRIGGERED", "LAST TRIGGERED", "AGE", "r      A       1         false     0           <never>")
	expect(t, in("", "get", "alertreaction", "r", "-o", "wide"), "MATCHERS")
	expect(t, in("", "get", "karo", "-o", "name"), "alertreaction.karo.io/r")
	expect(t, in("", "get", "ar", "r", "-o", "jsonpath={.spec.actions[0].backoffLimit} {.spec.actions[0].activeDeadlineSeconds} {.spec.actions[0].ttlSecondsAfterFinished}"), "0 3600 3600")
	expect(t, in("", "describe", "alertreaction", "r"), "Alert Name:", "A", "busybox")
	expect(t, in("", "get", "ar", "--field-selector=spec.alertName=A,spec.suspend=false", "-o", "name"), "alertreaction.karo.io/r")
	expect(t, in("", "get", "ar", "--field-selector=spec.alertName=B"), "No resources found")
	if out, err := cluster.Kubectl(t.Context(), "", "get", "ar", "-n", namespace, "--field-selector=spec.image=b"); err == nil || !strings.Contains(out, `field label "spec.image" not supported for AlertReaction`) {
		t.Errorf("an unknown field selector: %s", out)
	}
	in("", "delete", "alertreaction", "r")

	// Client-side apply, twice without a change, and with one that diff shows before.
	expect(t, in(manifest, "apply", "-f", "-"), "created")
	expect(t, in(manifest, "apply", "-f", "-"), "unchanged")
	changed := strings.Replace(manifest, "busybox", "busybox:2", 1)
	if out, err := cluster.Kubectl(t.Context(), changed, "diff", "-n", namespace, "-f", "-"); err == nil || !strings.Contains(out, "+    image: busybox:2") {
		t.Errorf("diff: %v\n%s", err, out)
	}
	expect(t, in(changed, "apply", "-f", "-"), "configured")
	expect(t, in("", "get", "ar", "r", "-o", "jsonpath={.metadata.generation} {.spec.actions[0].image}"), "2 busybox:2")

	// Server-side apply merges actions by name, and tells of conflicts.
	in("", "delete", "ar", "r")
	expect(t, in(manifest, "apply", "--server-side", "--field-manager=one", "-f", "-"), "serverside-applied")
	serverSide := strings.Replace(manifest, "name: act\n", "name: second\n", 1)
	expect(t, in(serverSide, "apply", "--server-side", "--field-manager=other", "-f", "-"), "serverside-applied")
	expect(t, in("", "get", "ar", "r", "-o", "jsonpath={.spec.actions[*].name}"), "act", "second")
	conflicting := strings.Replace(manifest, "alertName: A", "alertName: B", 1)
	if out, err := cluster.Kubectl(t.Context(), conflicting, "apply", "-n", namespace, "--server-side", "--field-manager=third", "-f", "-"); err == nil || !strings.Contains(out, "conflict") {
		t.Errorf("a conflicting apply: %v\n%s", err, out)
	}
	expect(t, in(conflicting, "apply", "--server-side", "--field-manager=third", "--force-conflicts", "-f", "-"), "serverside-applied")

	// Patches of each kind, and an editor.
	in("", "patch", "ar", "r", "--type=merge", "-p", `{"spec":{"suspend":true}}`)
	in("", "patch", "ar", "r", "--type=json", "-p", `[{"op":"replace","path":"/spec/alertName","value":"C"}]`)
	in("", "patch", "ar", "r", "--type=strategic", "-p", `{"spec":{"actions":[{"name":"second","image":"third"}]}}`)
	expect(t, in("", "get", "ar", "r", "-o", "jsonpath={.spec.suspend} {.spec.alertName} {.spec.actions[?(@.name=='second')].image}"), "true C third")
	t.Setenv("KUBE_EDITOR", "sed -i s/alertName:.*/alertName:\\ Edited/")
	expect(t, in("", "edit", "ar", "r"), "edited")
	expect(t, in("", "get", "ar", "r", "-o", "jsonpath={.spec.alertName}"), "Edited")
	in("", "label", "ar", "r", "team=shop")
	in("", "annotate", "ar", "r", "note=x")
	expect(t, in("", "get", "ar", "-l", "team=shop", "-o", "name"), "alertreaction.karo.io/r")
	waitSettled(t, namespace, "r")
	expect(t, in(manifest, "replace", "-f", "-"), "replaced")
	expect(t, in("", "wait", "ar/r", "--for=jsonpath={.spec.alertName}=A", "--timeout=30s"), "condition met")
	expect(t, in("", "delete", "ar", "r"), `alertreaction.karo.io "r" deleted`)
}

// An Execution can be read, waited for, watched and deleted, and its spec cannot be changed.
func TestKubectlOnExecutions(t *testing.T) {
	namespace := newNamespace(t)
	newReaction(t, namespace, "r", "A", "busybox")
	watch := exec.CommandContext(t.Context(), cluster.KubectlPath(), "--kubeconfig="+cluster.Kubeconfig, "get", "executions", "-n", namespace, "-w", "--no-headers")
	pipe, err := watch.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := watch.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = watch.Process.Kill(); _ = watch.Wait() })

	s := newSender(t, namespace)
	name := s.trigger(t, namespace, firing("A", time.Now(), "instance", "db-1")).Alerts[0].Reactions[0].Execution
	expect(t, kubectl(t, "", "wait", "execution/"+name, "-n", namespace, "--for=condition=Finished", "--timeout=60s"), "condition met")
	lines := bufio.NewScanner(pipe)
	for seen := ""; !strings.Contains(seen, "Succeeded"); seen = lines.Text() {
		if !lines.Scan() {
			t.Fatal("the watch ended before the execution did")
		}
	}
	expect(t, kubectl(t, "", "wait", "execution/"+name, "-n", namespace, "--for=condition=Complete", "--timeout=10s"), "condition met")
	expect(t, kubectl(t, "", "get", "ex", "-n", namespace, "-o", "wide"), "REACTION", "STATUS", "ACTIONS", "INSTANCE", "DURATION", "Succeeded", "1/1", "db-1")
	expect(t, kubectl(t, "", "describe", "execution", name, "-n", namespace), "Phase:", "Succeeded", "db-1")
	for _, selector := range []string{"spec.reaction.name=r", "spec.alert.name=A", "status.phase=Succeeded"} {
		expect(t, kubectl(t, "", "get", "ex", "-n", namespace, "--field-selector="+selector, "-o", "name"), name)
	}
	expect(t, kubectl(t, "", "get", "ex", "-n", namespace, "--field-selector=status.phase=Failed"), "No resources found")
	expect(t, kubectl(t, "", "get", "jobs", "-n", namespace, "-l", "karo/alert-name=A,karo/owner=r,karo/action-name=action-0,karo.io/execution="+name), "Complete")
	expect(t, kubectl(t, "", "get", "pods", "-n", namespace, "-l", "app.kubernetes.io/managed-by=karo", "-o", "name"), "pod/")
	if out, err := cluster.Kubectl(t.Context(), "", "patch", "ex", name, "-n", namespace, "--type=merge", "-p", `{"spec":{"receiver":"other"}}`); err == nil || !strings.Contains(out, "spec: Invalid value") || !strings.Contains(out, "field is immutable") {
		t.Errorf("changing the spec: %s", out)
	}
	kubectl(t, "", "annotate", "ex", name, "-n", namespace, "note=x")
	execution, err := client.KaroV1().Executions(namespace).Get(t.Context(), name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	// What was read, and is created again under another name, runs nothing, however it is tried.
	forged, err := json.Marshal(map[string]any{
		"apiVersion": "karo.io/v1", "kind": "Execution", "metadata": map[string]string{"name": "forged"}, "spec": execution.Spec,
	})
	if err != nil {
		t.Fatal(err)
	}
	const says = "spec.reaction.uid: Forbidden: only spec.reaction.name and spec.alert may be given"
	for _, args := range [][]string{{"create"}, {"apply"}, {"apply", "--server-side"}} {
		if out, err := cluster.Kubectl(t.Context(), string(forged), append(args, "-n", namespace, "-f", "-")...); err == nil || !strings.Contains(out, says) {
			t.Errorf("%v: %v %s", args, err, out)
		}
	}

	// What Karo remembers can be read in every way, and deleted.
	alert := waitAlert(t, namespace)
	expect(t, kubectl(t, "", "get", "al", "-n", namespace, "-o", "wide"), "ALERT", "STATUS", "SINCE", "LAST SEEN", "REACTIONS", "INSTANCE", "firing", "db-1")
	expect(t, kubectl(t, "", "describe", "alerts.karo.io", alert, "-n", namespace), "Reactions:", name)
	expect(t, kubectl(t, "", "wait", "alerts.karo.io/"+alert, "-n", namespace, "--for=jsonpath={.status.status}=firing", "--timeout=10s"), "condition met")
	expect(t, kubectl(t, "", "get", "reactionrevisions", "-n", namespace), "REACTION", "GENERATION", "r")
	expect(t, kubectl(t, "", "describe", "reactionrevision", execution.Spec.Reaction.Revision, "-n", namespace), "busybox")
	for _, kind := range []string{"alerts.karo.io", "reactionrevisions"} {
		if out, err := cluster.Kubectl(t.Context(), "", "label", kind, "--all", "a=b", "-n", namespace); err == nil || !strings.Contains(out, "the server does not allow this method") {
			t.Errorf("writing %s: %s", kind, out)
		}
	}
	expect(t, kubectl(t, "", "delete", "reactionrevision", execution.Spec.Reaction.Revision, "-n", namespace), "deleted")

	// Deleting it waits until the alert remembers the run, and takes its Jobs along.
	kubectl(t, "", "delete", "ex", name, "-n", namespace, "--timeout=60s")
	eventually(t, "the job to be collected", func(ctx context.Context) error {
		items, err := jobs(ctx, namespace)
		if err == nil && len(items) > 0 {
			err = fmt.Errorf("%d jobs", len(items))
		}
		return err
	})
	again := v1.NotificationAlert{Labels: execution.Spec.Alert.Labels, StartsAt: execution.Spec.Alert.StartsAt}
	expectCounts(t, s.trigger(t, namespace, again), 0, 1, 0, 0)
}

// What tells a user what there is.
func TestKubectlDiscovery(t *testing.T) {
	expect(t, kubectl(t, "", "api-resources", "--api-group=karo.io", "-o", "wide"),
		"alertreactions", "ar", "AlertReaction", "create,delete,deletecollection,get,list,patch,update,watch",
		"executions", "ex", "delete,deletecollection,get,list,patch,update,watch",
		"alerts", "al", "reactionrevisions", "clusteralerts", "ClusterAlertNotification", "karo")
	// The kube-apiserver fetches the documents of an aggregated server some time after it has found the server.
	eventually(t, "kinds to be explained", func(ctx context.Context) error {
		for _, format := range []string{"plaintext", "plaintext-openapiv2"} {
			if _, err := cluster.Kubectl(ctx, "", "explain", "alertreaction", "--output="+format); err != nil {
				return err
			}
		}
		return nil
	})
	expect(t, kubectl(t, "", "explain", "alertreaction.spec.actions"), "FIELDS:", "ttlSecondsAfterFinished", "Default: 3600")
	expect(t, kubectl(t, "", "explain", "execution.spec.reaction.name"), "Required. Example: \"crash-report\"")
	expect(t, kubectl(t, "", "explain", "execution.status", "--recursive"), "conditions", "exitCode")
	expect(t, kubectl(t, "", "explain", "alertreaction.spec.matchers", "--output=plaintext-openapiv2"), "operator")
	for resource, want := range map[string]string{"alertreactions.karo.io": "yes", "alerts.karo.io/trigger": "yes"} {
		expect(t, kubectl(t, "", "auth", "can-i", "create", resource), want)
	}
	// Cluster alerts can be sent, and nothing else.
	for want, args := range map[string][]string{
		"the server could not find the requested resource": {"get", "clusteralerts"},
		`cannot list resource "clusteralerts"`:             {"get", "clusteralerts", "--as=somebody"},
	} {
		if out, err := cluster.Kubectl(t.Context(), "", args...); err == nil || !strings.Contains(out, want) {
			t.Errorf("kubectl %v answers %q, want %q", args, out, want)
		}
	}
	// No definition may have a slash in its name, or tools that read the document break.
	openapi := kubectl(t, "", "get", "--raw", "/openapi/v2")
	expect(t, openapi, `"io.karo.v1.AlertReaction"`)
	if strings.Contains(openapi, `"karo.io/karo/`) || strings.Contains(openapi, "karo.io~1karo") {
		t.Error("/openapi/v2 names definitions by their Go packages")
	}
	expect(t, kubectl(t, "", "get", "--raw", "/openapi/v3/apis/karo.io/v1"), "io.karo.v1.Execution")
	for _, path := range []string{"/livez", "/readyz"} {
		h := newHTTP(t, karo.Config())
		req, err := h.http.Get(h.host + path + "?verbose")
		if err != nil {
			t.Fatal(err)
		}
		_ = req.Body.Close()
		if req.StatusCode != http.StatusOK {
			t.Errorf("%s answers %s", path, req.Status)
		}
	}
}

// The metrics are served to who may read them.
func TestMetrics(t *testing.T) {
	namespace := newNamespace(t)
	newReaction(t, namespace, "r", "A", "busybox")
	newSender(t, namespace).trigger(t, namespace, firing("A", time.Now()))
	waitFinished(t, namespace, 1, v1.PhaseSucceeded)
	h := newHTTP(t, karo.Config())
	resp, err := h.http.Get(h.host + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text := new(strings.Builder)
	if _, err := bufio.NewReader(resp.Body).WriteTo(text); err != nil {
		t.Fatal(err)
	}
	expect(t, text.String(), `alertreaction_alerts_received_total{outcome="Matched"}`, "alertreaction_jobs_created_total ",
		"alertreaction_reconcile_duration_seconds_count", `karo_runs_total{outcome="Created"}`)
}

// Deleting a reaction takes its revisions, Executions and Jobs along, also those that still run.
func TestDeletingAReactionCascades(t *testing.T) {
	namespace := newNamespace(t)
	newReaction(t, namespace, "r", "A", "localcluster/hang", "busybox")
	s := newSender(t, namespace)
	s.trigger(t, namespace, firing("A", time.Now()), firing("A", time.Now(), "n", "2"))
	waitFinished(t, namespace, 2, v1.PhaseRunning)
	kubectl(t, "", "delete", "alertreaction", "r", "-n", namespace)
	eventually(t, "everything of the reaction to go", func(ctx context.Context) error {
		out, err := cluster.Kubectl(ctx, "", "get", "executions,jobs", "-n", namespace, "-o", "name")
		if err == nil && strings.TrimSpace(out) != "" {
			err = fmt.Errorf("still there: %s", out)
		}
		return err
	})
}

// A reaction can be deleted without what it ran, and what runs goes on to its end.
func TestOrphaningTheRunsOfAReaction(t *testing.T) {
	namespace := newNamespace(t)
	newReaction(t, namespace, "r", "A", "localcluster/hang")
	name := newSender(t, namespace).trigger(t, namespace, firing("A", time.Now())).Alerts[0].Reactions[0].Execution
	running := waitPhase(t, namespace, name, v1.PhaseRunning)
	kubectl(t, "", "delete", "alertreaction", "r", "-n", namespace, "--cascade=orphan", "--timeout=60s")
	orphan := waitExecution(t, namespace, name, "to be nobody's", func(e *v1.Execution) bool { return len(e.OwnerReferences) == 0 })
	if orphan.Status.Phase != v1.PhaseRunning || orphan.DeletionTimestamp != nil {
		t.Errorf("%+v", orphan)
	}
	job, err := cluster.Client.BatchV1().Jobs(namespace).Get(t.Context(), running.Status.Actions[0].JobName, metav1.GetOptions{})
	if err != nil || job.DeletionTimestamp != nil {
		t.Errorf("its Job: %v, deleted %v", err, job.DeletionTimestamp)
	}
	cancel(t, namespace, name)
	waitPhase(t, namespace, name, v1.PhaseCancelled)
	kubectl(t, "", "delete", "execution", name, "-n", namespace, "--timeout=60s")
}

// Who may change a reaction, and not delete it, cannot have the garbage collector delete it.
func TestOwnerReferencesNeedTheRightToDelete(t *testing.T) {
	namespace := newNamespace(t)
	newReaction(t, namespace, "r", "A", "busybox")
	const author, owner = "author", "owner"
	for user, verbs := range map[string][]string{author: {"patch"}, owner: {"patch", "delete"}} {
		bind(t, namespace, false, []rbacv1.PolicyRule{{Verbs: verbs, APIGroups: []string{"karo.io"}, Resources: []string{"alertreactions"}}}, user, "")
	}
	patch := func(user, owners string) error {
		_, err := as(t, user).KaroV1().AlertReactions(namespace).Patch(t.Context(), "r", types.MergePatchType, []byte(`{"metadata":{"ownerReferences":`+owners+`}}`), metav1.PatchOptions{})
		return err
	}
	for _, user := range []string{author, owner} {
		eventually(t, "the rights to be known", func(context.Context) error { return patch(user, "null") })
	}
	const gone = `{"apiVersion":"v1","kind":"ConfigMap","name":"gone","uid":"00000000-0000-0000-0000-000000000001"`
	if err := patch(author, "["+gone+"}]"); !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), `lacks the right "delete alertreactions.karo.io/r -n `+namespace) {
		t.Errorf("got %v", err)
	}
	if err := patch(owner, "["+gone+`,"blockOwnerDeletion":true}]`); !apierrors.IsForbidden(err) ||
		!strings.Contains(err.Error(), `lacks the right "update configmaps/gone --subresource=finalizers -n `+namespace) {
		t.Errorf("got %v", err)
	}
	if err := patch(owner, "["+gone+"}]"); err != nil {
		t.Error(err)
	}
}

// A namespace that holds every kind, with runs under way, goes.
func TestDeletingANamespace(t *testing.T) {
	namespace := newNamespace(t)
	newReaction(t, namespace, "r", "A", "localcluster/hang", "busybox")
	s := newSender(t, namespace)
	s.trigger(t, namespace, firing("A", time.Now()))
	waitFinished(t, namespace, 1, v1.PhaseRunning)
	waitAlert(t, namespace)
	kubectl(t, "", "delete", "namespace", namespace, "--wait=false")
	eventually(t, "the namespace to go", func(ctx context.Context) error {
		ns, err := cluster.Client.CoreV1().Namespaces().Get(ctx, namespace, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return nil
		}
		if err == nil {
			err = fmt.Errorf("%+v", ns.Status.Conditions)
		}
		return err
	})
}

// The examples apply as they are.
func TestExamples(t *testing.T) {
	namespace := newNamespace(t)
	dir := filepath.Join(cluster.Root, "artifacts", "example")
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		kubectl(t, "", "apply", "-n", namespace, "-f", filepath.Join(dir, file.Name()))
	}
}

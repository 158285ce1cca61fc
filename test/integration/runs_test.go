// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1 "karo.io/karo/pkg/apis/karo/v1"
	"karo.io/karo/pkg/apis/nanotime"
)

// resolved returns an alert as it is sent once it is over.
func resolved(alert v1.NotificationAlert, endsAt time.Time) v1.NotificationAlert {
	alert.Status = v1.AlertResolved
	at := nanotime.New(endsAt)
	alert.EndsAt = &at
	return alert
}

func both(name, image string) *v1.AlertReaction {
	return &v1.AlertReaction{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: v1.AlertReactionSpec{
			AlertName: "A", When: []v1.When{v1.WhenFiring, v1.WhenResolved}, Actions: []v1.Action{{Name: "act", Image: image}},
		},
	}
}

// A run for the resolved alert waits for the run for the firing one, whose start Alertmanager may have told differently,
// and runs once it has ended, however that was.
func TestResolvedRunsAfterFiring(t *testing.T) {
	namespace := newNamespace(t)
	createReaction(t, namespace, both("r", "localcluster/hang"))
	s := newSender(t, namespace)
	start := time.Now().Add(-time.Minute)
	first := s.trigger(t, namespace, firing("A", start)).Alerts[0].Reactions[0].Execution
	waitPhase(t, namespace, first, v1.PhaseRunning)

	over := resolved(firing("A", start.Add(-time.Second)), time.Now())
	result := s.trigger(t, namespace, over)
	expectCounts(t, result, 1, 0, 0, 0)
	second := result.Alerts[0].Reactions[0].Execution
	waiting := waitExecution(t, namespace, second, "to wait", func(e *v1.Execution) bool { return e.Status.Reason == "WaitingForFiring" })
	if waiting.Spec.After != first || waiting.Status.Phase != v1.PhasePending || waiting.Spec.Alert.Status != v1.AlertResolved {
		t.Errorf("%+v %+v, want it pending after %s", waiting.Spec, waiting.Status, first)
	}
	expectJobs(t, namespace, 1)
	// What is sent again runs nothing.
	expectCounts(t, s.trigger(t, namespace, over), 0, 1, 0, 0)

	cancel(t, namespace, first)
	ended := waitPhase(t, namespace, first, v1.PhaseCancelled)
	for _, condition := range []string{v1.ConditionCancelled, v1.ConditionFinished} {
		if !meta.IsStatusConditionTrue(ended.Status.Conditions, condition) {
			t.Errorf("the condition %s is not true: %+v", condition, ended.Status.Conditions)
		}
	}
	if user := ended.Status.Cancellation.User; user != "admin" {
		t.Errorf("%q cancelled it, want admin", user)
	}
	if running := waitPhase(t, namespace, second, v1.PhaseRunning); running.Status.Reason != "" {
		t.Errorf("it runs, and its reason is %s", running.Status.Reason)
	}
	// The Job of the first is gone, and its pods with it.
	expectJobs(t, namespace, 1)
}

// With both listed, what did not run while the alert fired does not run once it is resolved. Alone, Resolved runs.
func TestResolvedWithoutFiring(t *testing.T) {
	namespace := newNamespace(t)
	createReaction(t, namespace, both("both", "busybox"))
	only := both("only", "busybox")
	only.Spec.When = []v1.When{v1.WhenResolved}
	createReaction(t, namespace, only)
	s := newSender(t, namespace)
	start := time.Now().Add(-time.Minute)
	result := s.trigger(t, namespace, resolved(firing("A", start), time.Now()))
	expectCounts(t, result, 1, 0, 0, 0)
	for _, r := range result.Alerts[0].Reactions {
		if r.Name == "both" && (r.Outcome != v1.RunSkipped || r.Reason != v1.ReasonFiringNotRun || r.Execution != "") {
			t.Errorf("%+v, want it skipped", r)
		}
	}
	runs := waitFinished(t, namespace, 1, v1.PhaseSucceeded)
	if runs[0].Spec.Reaction.Name != "only" {
		t.Errorf("%s ran", runs[0].Spec.Reaction.Name)
	}
	waitStatus(t, namespace, "both", "why it did not run", func(s *v1.AlertReactionStatus) bool {
		return s.LastSkipped != nil && s.LastSkipped.Reason == v1.ReasonFiringNotRun && s.TriggerCount == 0
	})
	eventually(t, "the alert to say why it did not run", func(ctx context.Context) error {
		alerts, err := client.KaroV1().Alerts(namespace).List(ctx, metav1.ListOptions{})
		if err != nil || len(alerts.Items) != 1 {
			return fmt.Errorf("%d alerts: %w", len(alerts.Items), err)
		}
		for _, r := range alerts.Items[0].Status.Reactions {
			if r.Name == "both" && r.Skipped != nil && r.Skipped.Reason == v1.ReasonFiringNotRun {
				return nil
			}
		}
		return fmt.Errorf("%+v", alerts.Items[0].Status)
	})
	eventually(t, "an event that says so", func(ctx context.Context) error {
		return hasEvent(ctx, namespace, "AlertReaction", "both", v1.ReasonFiringNotRun, `"A"`)
	})
	// A firing run that began only after the alert had ended is not of that alert.
	expectCounts(t, s.trigger(t, namespace, firing("A", time.Now())), 1, 0, 0, 0)
	late := s.trigger(t, namespace, resolved(firing("A", start.Add(time.Second)), start.Add(2*time.Second)))
	for _, r := range late.Alerts[0].Reactions {
		if r.Name == "both" && r.Reason != v1.ReasonFiringNotRun {
			t.Errorf("%+v, want it skipped", r)
		}
	}
}

// What did not run while the alert fired is not undone, and does not count.
func TestResolvedInVain(t *testing.T) {
	namespace := newNamespace(t)
	reaction := both("r", "busybox")
	reaction.Spec.ServiceAccountName = "missing"
	createReaction(t, namespace, reaction)
	s := newSender(t, namespace)
	alert := firing("A", time.Now().Add(-time.Minute))
	first := s.trigger(t, namespace, alert).Alerts[0].Reactions[0].Execution
	waitExecution(t, namespace, first, "to wait for its account", func(e *v1.Execution) bool {
		return len(e.Status.Actions) == 1 && e.Status.Actions[0].Reason == "ServiceAccountNotFound"
	})
	second := s.trigger(t, namespace, resolved(alert, time.Now())).Alerts[0].Reactions[0].Execution
	waitExecution(t, namespace, second, "to wait", func(e *v1.Execution) bool { return e.Status.Reason == "WaitingForFiring" })
	kubectl(t, "", "delete", "execution", first, "-n", namespace, "--wait=false")
	if e := waitPhase(t, namespace, second, v1.PhaseCancelled); e.Status.Reason != v1.ReasonFiringNotRun || !meta.IsStatusConditionTrue(e.Status.Conditions, v1.ConditionFinished) {
		t.Errorf("%+v", e.Status)
	}
	expectJobs(t, namespace, 0)
	waitStatus(t, namespace, "r", "that there was one run, and why not another", func(s *v1.AlertReactionStatus) bool {
		return s.TriggerCount == 1 && s.LastSkipped != nil && s.LastSkipped.Reason == v1.ReasonFiringNotRun
	})
	// It is remembered all the same, and nothing holds it up for ever.
	expectCounts(t, s.trigger(t, namespace, resolved(alert, time.Now())), 0, 1, 0, 0)
	kubectl(t, "", "delete", "execution", second, "-n", namespace, "--timeout=80s")
	waitStatus(t, namespace, "r", "still that there was one run", func(s *v1.AlertReactionStatus) bool { return s.TriggerCount == 1 })
}

// Actions of a sequence start one after the other, and none starts behind one that failed.
func TestSequential(t *testing.T) {
	namespace := newNamespace(t)
	sequence := func(name, alertName string, images ...string) {
		reaction := &v1.AlertReaction{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: v1.AlertReactionSpec{AlertName: alertName, Order: v1.OrderSequential}}
		for i, image := range images {
			reaction.Spec.Actions = append(reaction.Spec.Actions, v1.Action{Name: fmt.Sprintf("step-%d", i), Image: image})
		}
		createReaction(t, namespace, reaction)
	}
	sequence("fails", "A", "busybox", "localcluster/fail", "busybox", "busybox")
	sequence("hangs", "B", "busybox", "localcluster/hang", "busybox")
	s := newSender(t, namespace)

	failed := waitPhase(t, namespace, s.trigger(t, namespace, firing("A", time.Now())).Alerts[0].Reactions[0].Execution, v1.PhaseFailed)
	want := []v1.Phase{v1.PhaseSucceeded, v1.PhaseFailed, v1.PhaseSkipped, v1.PhaseSkipped}
	for i, action := range failed.Status.Actions {
		if action.Phase != want[i] {
			t.Errorf("action %d is %s (%s), want %s", i, action.Phase, action.Reason, want[i])
		}
	}
	if a := failed.Status.Actions; a[1].StartTime.Before(a[0].CompletionTime) || a[1].ExitCode == nil || *a[1].ExitCode != 3 ||
		!strings.Contains(a[1].Message, "the last line of the log") || a[2].Reason != "PreviousActionFailed" || a[2].JobName != "" {
		t.Errorf("%+v", failed.Status.Actions)
	}
	eventually(t, "an event that says why", func(ctx context.Context) error {
		return hasEvent(ctx, namespace, "Execution", failed.Name, "Failed", "failed actions: step-1")
	})
	eventually(t, "the same event on the reaction", func(ctx context.Context) error {
		return hasEvent(ctx, namespace, "AlertReaction", "fails", "Failed", "Execution "+failed.Name+": failed actions: step-1")
	})

	name := s.trigger(t, namespace, firing("B", time.Now())).Alerts[0].Reactions[0].Execution
	waitExecution(t, namespace, name, "to be at its second action", func(e *v1.Execution) bool {
		return len(e.Status.Actions) == 3 && e.Status.Actions[1].Phase == v1.PhaseRunning
	})
	// Cancelled, it does not go on.
	cancel(t, namespace, name)
	cancelled := waitPhase(t, namespace, name, v1.PhaseCancelled)
	if a := cancelled.Status.Actions; a[0].Phase != v1.PhaseSucceeded || a[1].Phase != v1.PhaseCancelled || a[2].Phase != v1.PhaseCancelled || a[2].JobName != "" {
		t.Errorf("%+v", a)
	}
	if out, err := cluster.Kubectl(t.Context(), "{}", "create", "--raw", "/apis/karo.io/v1/namespaces/"+namespace+"/executions/"+name+"/cancel", "-f", "-"); err == nil || !strings.Contains(out, "it has ended: Cancelled") {
		t.Errorf("cancelling it again: %v %s", err, out)
	}
}

// What a pod waits for is said where people look.
func TestWaitingReasons(t *testing.T) {
	namespace := newNamespace(t)
	newReaction(t, namespace, "image", "A", "localcluster/nopull")
	account := &v1.AlertReaction{
		ObjectMeta: metav1.ObjectMeta{Name: "account"},
		Spec:       v1.AlertReactionSpec{AlertName: "B", ServiceAccountName: "later", Actions: []v1.Action{{Name: "act", Image: "busybox"}}},
	}
	createReaction(t, namespace, account)
	s := newSender(t, namespace)

	pulling := s.trigger(t, namespace, firing("A", time.Now())).Alerts[0].Reactions[0].Execution
	e := waitExecution(t, namespace, pulling, "to say that it cannot pull", func(e *v1.Execution) bool {
		return len(e.Status.Actions) == 1 && e.Status.Actions[0].Reason == "ImagePullBackOff"
	})
	if a := e.Status.Actions[0]; a.Message != "Back-off pulling image" || a.Phase != v1.PhaseRunning {
		t.Errorf("%+v", a)
	}
	expect(t, kubectl(t, "", "get", "ex", "-n", namespace, "-o", "wide"), "ImagePullBackOff")
	eventually(t, "an event that says so", func(ctx context.Context) error {
		return hasEvent(ctx, namespace, "Execution", pulling, "ImagePullBackOff", "Action action-0 waits")
	})
	eventually(t, "the same event on the reaction", func(ctx context.Context) error {
		return hasEvent(ctx, namespace, "AlertReaction", "image", "ImagePullBackOff", "Execution "+pulling+": Action action-0 waits")
	})

	// A Job may be taken and its pods refused.
	restricted := newNamespace(t)
	restrict(t, restricted)
	newReaction(t, restricted, "r", "A", "busybox")
	refused := newSender(t, restricted).trigger(t, restricted, firing("A", time.Now())).Alerts[0].Reactions[0].Execution
	e = waitExecution(t, restricted, refused, "to say that its pods are refused", func(e *v1.Execution) bool {
		return len(e.Status.Actions) == 1 && e.Status.Actions[0].Reason == "FailedCreate"
	})
	if a := e.Status.Actions[0]; !strings.Contains(a.Message, "violates PodSecurity") {
		t.Errorf("%+v", a)
	}

	missing := s.trigger(t, namespace, firing("B", time.Now())).Alerts[0].Reactions[0].Execution
	waitExecution(t, namespace, missing, "to wait for its account", func(e *v1.Execution) bool {
		return e.Status.Phase == v1.PhasePending && len(e.Status.Actions) == 1 && e.Status.Actions[0].Reason == "ServiceAccountNotFound"
	})
	kubectl(t, "", "create", "serviceaccount", "later", "-n", namespace)
	waitPhase(t, namespace, missing, v1.PhaseSucceeded)
	eventually(t, "an event that it ended well", func(ctx context.Context) error {
		return hasEvent(ctx, namespace, "Execution", missing, "Succeeded", "Every job completed")
	})
	eventually(t, "the same event on the reaction", func(ctx context.Context) error {
		return hasEvent(ctx, namespace, "AlertReaction", "account", "Succeeded", "Execution "+missing+": Every job completed")
	})
}

// hasEvent returns an error unless there is an event about an object that says something.
func hasEvent(ctx context.Context, namespace, kind, name, reason, says string) error {
	events, err := cluster.Client.CoreV1().Events(namespace).List(ctx, metav1.ListOptions{
		FieldSelector: "involvedObject.kind=" + kind + ",involvedObject.name=" + name,
	})
	if err != nil {
		return err
	}
	var seen []string
	for i := range events.Items {
		e := &events.Items[i]
		if e.Reason == reason && strings.Contains(e.Message, says) && e.InvolvedObject.UID != "" && e.Source == (corev1.EventSource{Component: "karo"}) {
			return nil
		}
		seen = append(seen, e.Reason+": "+e.Message)
	}
	return fmt.Errorf("the events are %q", seen)
}

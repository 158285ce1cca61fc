// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"context"
	"fmt"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1 "karo.io/karo/pkg/apis/karo/v1"
)

// The count of a reaction is exact through a storm, a crash in the middle of it and the pruning of its history, and no
// alert runs again because its history is gone.
func TestCountsAndHistory(t *testing.T) {
	namespace := newNamespace(t)
	reaction := func(name, alertName, image string) {
		createReaction(t, namespace, &v1.AlertReaction{
			ObjectMeta: metav1.ObjectMeta{Name: name},
			Spec: v1.AlertReactionSpec{AlertName: alertName, Actions: []v1.Action{{
				Name: "act", Image: image, TTLSecondsAfterFinished: new(int32(0)),
			}}},
		})
	}
	reaction("storm", "A", "busybox")
	reaction("failing", "B", "localcluster/fail")
	s := newSender(t, namespace)
	const storm, failures = 130, 3
	start := time.Now()
	alerts := make([]v1.NotificationAlert, 0, storm)
	for i := range storm {
		alerts = append(alerts, firing("A", start, "instance", fmt.Sprintf("node-%d", i)))
	}
	for i := range failures {
		expectCounts(t, s.trigger(t, namespace, firing("B", start, "instance", fmt.Sprint(i))), 1, 0, 0, 0)
	}
	expectCounts(t, s.trigger(t, namespace, alerts...), storm, 0, 0, 0)
	karo.Process().Kill()
	restart(t)
	counted := func(s *v1.AlertReactionStatus) bool {
		return s.TriggerCount == storm && s.LastTriggered != nil && s.LastMatched != nil && len(s.LastJobsCreated) == 1 &&
			meta.IsStatusConditionTrue(s.Conditions, v1.ConditionReady) && meta.IsStatusConditionTrue(s.Conditions, v1.ConditionLastExecutionSucceeded)
	}
	waitStatus(t, namespace, "storm", "what ran", counted)
	waitStatus(t, namespace, "failing", "what failed", func(s *v1.AlertReactionStatus) bool {
		return s.TriggerCount == failures && meta.IsStatusConditionFalse(s.Conditions, v1.ConditionLastExecutionSucceeded)
	})
	// Once everything is remembered and counted for good, what is above the limit goes.
	eventually(t, "the history to be pruned", func(ctx context.Context) error {
		items, err := executions(ctx, namespace)
		if err != nil {
			return err
		}
		if len(items) != 100+failures {
			return fmt.Errorf("there are %d executions", len(items))
		}
		for i := range items {
			if len(items[i].Finalizers) > 0 {
				return fmt.Errorf("execution %s has still to be counted", items[i].Name)
			}
		}
		return nil
	})
	waitStatus(t, namespace, "storm", "the same after the pruning", counted)
	waitStatus(t, namespace, "storm", "that nothing is still to be settled", func(s *v1.AlertReactionStatus) bool {
		return s.Settlement != nil && s.Settlement.Count == storm && len(s.Settlement.Executions) == 0
	})
	expectCounts(t, s.trigger(t, namespace, alerts...), 0, storm, 0, 0)
	kubectl(t, "", "delete", "executions", "--all", "-n", namespace, "--timeout=60s")
	expectCounts(t, s.trigger(t, namespace, alerts...), 0, storm, 0, 0)
	if items, err := executions(t.Context(), namespace); err != nil || len(items) != 0 {
		t.Errorf("%d executions: %v", len(items), err)
	}
	waitStatus(t, namespace, "storm", "the same without any", counted)
	// One more is one more.
	expectCounts(t, s.trigger(t, namespace, firing("A", time.Now(), "instance", "node-0")), 1, 0, 0, 0)
	waitStatus(t, namespace, "storm", "one more", func(s *v1.AlertReactionStatus) bool { return s.TriggerCount == storm+1 })
}

// Who creates a reaction again while its alert fires is told that it will run.
func TestRecreatedWhileFiring(t *testing.T) {
	namespace := newNamespace(t)
	newReaction(t, namespace, "r", "A", "busybox")
	s := newSender(t, namespace)
	alert := firing("A", time.Now(), "namespace", "another")
	s.trigger(t, namespace, alert)
	waitFinished(t, namespace, 1, v1.PhaseSucceeded)
	waitAlert(t, namespace)
	kubectl(t, "", "delete", "alertreaction", "r", "-n", namespace)
	manifest := fmt.Sprintf(reactionBody, "r")
	expect(t, kubectl(t, manifest, "create", "-n", namespace, "-f", "-"),
		"Warning: 1 alert(s) that the reaction answers fire now; it runs for each at the next notification of it", "created")
	expectCounts(t, s.trigger(t, namespace, alert), 1, 0, 0, 0)
}

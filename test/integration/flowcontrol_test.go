// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	flowcontrolv1 "k8s.io/api/flowcontrol/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	v1 "karo.io/karo/pkg/apis/karo/v1"
)

// Notifications, and Karo itself, are of levels of their own.
func TestFlowControl(t *testing.T) {
	namespace := newNamespace(t)
	s := newSender(t, namespace)
	eventually(t, "notifications to be of the level karo-notifications", func(ctx context.Context) error {
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.host+triggerPath(namespace), strings.NewReader(`{"alerts": []}`))
		if err != nil {
			return err
		}
		resp, err := s.http.Do(req)
		if err != nil {
			return err
		}
		_ = resp.Body.Close()
		flow, err := cluster.Client.FlowcontrolV1().FlowSchemas().Get(ctx, "karo-notifications", metav1.GetOptions{})
		if err != nil {
			return err
		}
		level, err := cluster.Client.FlowcontrolV1().PriorityLevelConfigurations().Get(ctx, "karo-notifications", metav1.GetOptions{})
		if err != nil {
			return err
		}
		gotFlow, gotLevel := resp.Header.Get(flowcontrolv1.ResponseHeaderMatchedFlowSchemaUID), resp.Header.Get(flowcontrolv1.ResponseHeaderMatchedPriorityLevelConfigurationUID)
		if resp.StatusCode != http.StatusOK || gotFlow != string(flow.UID) || gotLevel != string(level.UID) {
			return fmt.Errorf("%s: flow %q and level %q, want %q and %q", resp.Status, gotFlow, gotLevel, flow.UID, level.UID)
		}
		return nil
	})
	eventually(t, "what Karo itself asks to be of its levels", func(ctx context.Context) error {
		metrics, err := cluster.Client.Discovery().RESTClient().Get().AbsPath("/metrics").DoRaw(ctx)
		if err != nil {
			return err
		}
		for flow, level := range map[string]string{"karo": "karo", "karo-reviews": "karo", "karo-leader-election": "leader-election"} {
			if want := fmt.Sprintf("apiserver_flowcontrol_dispatched_requests_total{flow_schema=%q,priority_level=%q}", flow, level); !strings.Contains(string(metrics), want) {
				return fmt.Errorf("no %s", want)
			}
		}
		return nil
	})
}

// While others flood the level that all ServiceAccounts share, until they are refused with 429, every notification is
// taken, and its Job runs.
func TestNotificationsInAFlood(t *testing.T) {
	namespace := newNamespace(t)
	s := newSender(t, namespace)
	newReaction(t, namespace, "r", "A", "busybox")
	narrow(t, "workload-low")
	token, err := cluster.Token(t.Context(), namespace, "flooder")
	if err != nil {
		t.Fatal(err)
	}
	config := rest.AnonymousClientConfig(cluster.Config)
	config.BearerToken = token
	flooder := newHTTP(t, config)

	// A request holds its place for as long as it is read. Each of these asks for what anybody may ask, and never ends.
	for range 16 {
		held, release := io.Pipe()
		t.Cleanup(func() { _ = release.Close() })
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, flooder.host+"/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", held)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/json")
		go func() {
			if resp, err := flooder.http.Do(req); err == nil {
				_ = resp.Body.Close()
			}
		}()
	}
	flooded := func(ctx context.Context) error {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, flooder.host+"/api/v1/namespaces/"+namespace+"/configmaps", nil)
		if err != nil {
			return err
		}
		resp, err := flooder.http.Do(req)
		if err != nil {
			return err
		}
		_ = resp.Body.Close()
		if resp.StatusCode != http.StatusTooManyRequests {
			return errors.New(resp.Status)
		}
		return nil
	}
	eventually(t, "the flood to be refused", flooded)
	for i := range 50 {
		result := s.trigger(t, namespace, firing("A", time.Now(), "i", fmt.Sprint(i)))
		expectCounts(t, result, 1, 0, 0, 0)
	}
	waitFinished(t, namespace, 50, v1.PhaseSucceeded)
	if err := flooded(t.Context()); err != nil {
		t.Errorf("the flood was over before: %v", err)
	}
}

// narrow leaves a level of the kube-apiserver room for hardly anything, and has it refuse the rest, until the test ends.
func narrow(t *testing.T, name string) {
	t.Helper()
	levels := cluster.Client.FlowcontrolV1().PriorityLevelConfigurations()
	change := func(ctx context.Context, keep string, spec flowcontrolv1.PriorityLevelConfigurationSpec) (was flowcontrolv1.PriorityLevelConfigurationSpec) {
		if err := cluster.Until(ctx, "level "+name+" to be changed", func(ctx context.Context) error {
			level, err := levels.Get(ctx, name, metav1.GetOptions{})
			if err != nil {
				return err
			}
			was = level.Spec
			level.Annotations[flowcontrolv1.AutoUpdateAnnotationKey], level.Spec = keep, spec
			_, err = levels.Update(ctx, level, metav1.UpdateOptions{})
			return err
		}); err != nil {
			t.Error(err)
		}
		return was
	}
	was := change(t.Context(), "false", flowcontrolv1.PriorityLevelConfigurationSpec{
		Type: flowcontrolv1.PriorityLevelEnablementLimited,
		Limited: &flowcontrolv1.LimitedPriorityLevelConfiguration{
			NominalConcurrencyShares: new(int32(1)), LendablePercent: new(int32(0)), BorrowingLimitPercent: new(int32(0)),
			LimitResponse: flowcontrolv1.LimitResponse{Type: flowcontrolv1.LimitResponseTypeReject},
		},
	})
	t.Cleanup(func() { change(context.Background(), "true", was) })
}

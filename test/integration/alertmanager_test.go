// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	authorizationv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apiserver/pkg/authentication/serviceaccount"

	"karo.io/karo/hack/localcluster"
	v1 "karo.io/karo/pkg/apis/karo/v1"
)

// notifications returns how many notifications an Alertmanager has delivered, and how many failed.
func notifications(ctx context.Context, a *localcluster.Alertmanager) (delivered, failed float64, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, a.URL()+"/metrics", nil)
	if err != nil {
		return 0, 0, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, 0, err
	}
	defer resp.Body.Close()
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(resp.Body)
	if err != nil {
		return 0, 0, err
	}
	sent := webhook(families["alertmanager_notifications_total"])
	failed = webhook(families["alertmanager_notifications_failed_total"])
	return sent - failed, failed, nil
}

func webhook(family *dto.MetricFamily) float64 {
	sum := 0.0
	for _, metric := range family.GetMetric() {
		for _, label := range metric.GetLabel() {
			if label.GetName() == "integration" && label.GetValue() == "webhook" {
				sum += metric.GetCounter().GetValue()
			}
		}
	}
	return sum
}

// waitNotifications waits until an Alertmanager has delivered n notifications more than before.
func waitNotifications(t *testing.T, a *localcluster.Alertmanager, n float64) {
	t.Helper()
	before, _, err := notifications(t.Context(), a)
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "notifications", func(ctx context.Context) error {
		delivered, failed, err := notifications(ctx, a)
		if err != nil {
			return err
		}
		if failed > 0 || delivered < before+n {
			return fmt.Errorf("%v delivered since, %v failed", delivered-before, failed)
		}
		return nil
	})
}

// group returns three alerts of one group.
func group(startsAt, endsAt time.Time) []localcluster.Alert {
	var alerts []localcluster.Alert
	for _, pod := range []string{"a", "b", "c"} {
		alerts = append(alerts, localcluster.Alert{
			Labels:      map[string]string{"alertname": "PodDown", "pod": pod},
			Annotations: map[string]string{"summary": "pod " + pod + " is down"},
			StartsAt:    startsAt,
			EndsAt:      endsAt,
		})
	}
	return alerts
}

// An alert group that a real Alertmanager sends, again and again, over its restart, and with a second Alertmanager
// beside it, runs once for each alert; a new episode of one runs that one again.
func TestAlertmanagerGroupRunsOnce(t *testing.T) {
	namespace := newNamespace(t)
	newReaction(t, namespace, "pod-down", "PodDown", "busybox")
	token, err := cluster.WriteToken(t.Context(), namespace, "sender")
	if err != nil {
		t.Fatal(err)
	}
	// Such intervals make an Alertmanager send the group every second, as it does every hours otherwise.
	config := cluster.AlertmanagerConfig(triggerPath(namespace), token, time.Second, time.Second)
	first, err := cluster.StartAlertmanager(t.Context(), namespace+"-1", config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = first.Process().Stop() })

	began := time.Now().Add(-time.Minute)
	later := time.Now().Add(time.Hour) // An alert without an end would resolve by itself after some minutes.
	if err := first.Send(t.Context(), group(began, later)...); err != nil {
		t.Fatal(err)
	}
	waitFinished(t, namespace, 3, v1.PhaseSucceeded)
	expectJobs(t, namespace, 3)

	waitNotifications(t, first, 3)
	expectRuns(t, namespace, 3)

	if err := first.Process().Stop(); err != nil {
		t.Fatal(err)
	}
	if err := first.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := first.Send(t.Context(), group(began, later)...); err != nil {
		t.Fatal(err)
	}
	waitNotifications(t, first, 2)
	expectRuns(t, namespace, 3)

	second, err := cluster.StartAlertmanager(t.Context(), namespace+"-2", config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = second.Process().Stop() })
	if err := second.Send(t.Context(), group(began, later)...); err != nil {
		t.Fatal(err)
	}
	waitNotifications(t, second, 2)
	expectRuns(t, namespace, 3)

	// Two reports of one episode are merged to the earlier start, which then is sent instead.
	if err := first.Send(t.Context(), group(began.Add(-time.Hour), later)[0]); err != nil {
		t.Fatal(err)
	}
	waitNotifications(t, first, 2)
	expectRuns(t, namespace, 3)

	// The second Alertmanager goes on to report the old episode, which must not confuse the new one.
	if err := first.Send(t.Context(), group(began, time.Now())[0]); err != nil {
		t.Fatal(err)
	}
	waitNotifications(t, first, 2)
	if err := first.Send(t.Context(), group(time.Now(), later)[0]); err != nil {
		t.Fatal(err)
	}
	items := waitFinished(t, namespace, 4, v1.PhaseSucceeded)
	waitNotifications(t, first, 2)
	waitNotifications(t, second, 2)
	expectRuns(t, namespace, 4)
	for i := range items {
		if items[i].Spec.Receiver != "karo" || items[i].Spec.Alert.Fingerprint == "" {
			t.Errorf("execution %s does not say where it came from: %+v", items[i].Name, items[i].Spec)
		}
	}
}

// expectRuns fails the test unless there are exactly n Executions and n Jobs.
func expectRuns(t *testing.T, namespace string, n int) {
	t.Helper()
	items, err := executions(t.Context(), namespace)
	if err != nil {
		t.Fatal(err)
	}
	if len(items) != n {
		t.Fatalf("there are %d executions, not %d", len(items), n)
	}
	expectJobs(t, namespace, n)
}

// The same rules, notification by notification: what is the same start, an earlier one, a later one, and none.
func TestOccurrences(t *testing.T) {
	namespace := newNamespace(t)
	newReaction(t, namespace, "disk-full", "DiskFull", "busybox")
	s := newSender(t, namespace)
	began := time.Now().Add(-time.Hour).UTC().Round(0)

	expectCounts(t, s.trigger(t, namespace, firing("DiskFull", began)), 1, 0, 0, 0)
	expectCounts(t, s.trigger(t, namespace, firing("DiskFull", began)), 0, 1, 0, 0)
	expectCounts(t, s.trigger(t, namespace, firing("DiskFull", began.Add(-time.Nanosecond))), 0, 1, 0, 0)
	expectCounts(t, s.trigger(t, namespace, firing("DiskFull", began.Add(time.Nanosecond))), 1, 0, 0, 0)
	expectCounts(t, s.trigger(t, namespace, firing("DiskFull", began)), 0, 1, 0, 0)

	// Other labels are another alert.
	expectCounts(t, s.trigger(t, namespace, firing("DiskFull", began, "disk", "sdb")), 1, 0, 0, 0)
	// Twice in one notification is once.
	twice := firing("DiskFull", began, "disk", "sdc")
	expectCounts(t, s.trigger(t, namespace, twice, twice), 1, 1, 0, 0)
	// Without a start it runs, and counts as sent again for some minutes.
	expectCounts(t, s.trigger(t, namespace, firing("DiskFull", time.Time{}, "disk", "sdd")), 1, 0, 0, 0)
	expectCounts(t, s.trigger(t, namespace, firing("DiskFull", time.Time{}, "disk", "sdd")), 0, 1, 0, 0)
	// A start that has not come yet is the same when it is sent again.
	soon := time.Now().Add(time.Hour)
	expectCounts(t, s.trigger(t, namespace, firing("DiskFull", soon, "disk", "sde")), 1, 0, 0, 0)
	expectCounts(t, s.trigger(t, namespace, firing("DiskFull", soon, "disk", "sde")), 0, 1, 0, 0)

	waitFinished(t, namespace, 6, v1.PhaseSucceeded)
	expectJobs(t, namespace, 6)

	// Forgotten together with its Execution, an alert runs again.
	var forget v1.Alert
	eventually(t, "the alert to remember its run", func(ctx context.Context) error {
		alerts, err := client.KaroV1().Alerts(namespace).List(ctx, metav1.ListOptions{})
		if err != nil {
			return err
		}
		at := slices.IndexFunc(alerts.Items, func(alert v1.Alert) bool { return alert.Spec.Labels["disk"] == "sdb" })
		if at < 0 {
			return fmt.Errorf("it is none of %d alerts", len(alerts.Items))
		}
		forget = alerts.Items[at]
		if forget.Status.Status != v1.AlertFiring || len(forget.Status.Reactions) != 1 || forget.Status.Reactions[0].Firing == nil {
			return fmt.Errorf("%+v", forget.Status)
		}
		return nil
	})
	kubectl(t, "", "delete", "execution", forget.Status.Reactions[0].Firing.Execution, "-n", namespace, "--timeout=60s")
	expectCounts(t, s.trigger(t, namespace, firing("DiskFull", began, "disk", "sdb")), 0, 1, 0, 0)
	kubectl(t, "", "delete", "alert.karo.io", forget.Name, "-n", namespace)
	expectCounts(t, s.trigger(t, namespace, firing("DiskFull", began, "disk", "sdb")), 1, 0, 0, 0)
}

// Who may send is decided by RBAC on alerts of the name "trigger", in a namespace.
func TestSenderRights(t *testing.T) {
	namespace, other := newNamespace(t), newNamespace(t)
	body := `{"alerts":[{"labels":{"alertname":"X"}}]}`
	s := newSender(t, namespace)
	for path, want := range map[string]int{
		triggerPath(namespace):                   http.StatusOK,
		triggerPath(other):                       http.StatusForbidden,
		"/apis/karo.io/v1/clusteralerts/trigger": http.StatusForbidden,
		strings.TrimSuffix(triggerPath(namespace), "trigger") + "simulate": http.StatusForbidden,
		strings.TrimSuffix(triggerPath(namespace), "trigger") + "other":    http.StatusForbidden,
	} {
		if status, answer := s.post(t, path, strings.NewReader(body)); status != want {
			t.Errorf("%s answers %d, not %d: %s", path, status, want, answer)
		}
	}
	for user, want := range map[string]string{namespace: "yes", other: "no"} {
		account := "--as=system:serviceaccount:" + user + ":sender"
		out, _ := cluster.Kubectl(t.Context(), "", "auth", "can-i", "create", "alerts.karo.io/trigger", "-n", namespace, account)
		if !strings.HasPrefix(out, want) {
			t.Errorf("can %s trigger in %s: %s", account, namespace, out)
		}
	}
}

// Whoever has no right to send is told so before anything of the body is read: here, none of it ever comes.
func TestAnonymousIsRefusedBeforeTheBody(t *testing.T) {
	namespace := newNamespace(t)
	anonymous := *cluster.Config
	anonymous.CertFile, anonymous.KeyFile, anonymous.CertData, anonymous.KeyData = "", "", nil, nil
	direct := karo.Config()
	direct.CertFile, direct.KeyFile, direct.CertData, direct.KeyData = "", "", nil, nil
	for name, s := range map[string]*sender{"kube-apiserver": newHTTP(t, &anonymous), "karo-apiserver": newHTTP(t, direct)} {
		body, _ := io.Pipe()
		status, answer := s.post(t, triggerPath(namespace), body)
		if status != http.StatusForbidden && status != http.StatusUnauthorized {
			t.Errorf("%s answers %d: %s", name, status, answer)
		}
	}
}

// The answer says what became of each alert, also when nothing did.
func TestAnswer(t *testing.T) {
	namespace := newNamespace(t)
	newReaction(t, namespace, "one", "A", "busybox")
	createReaction(t, namespace, &v1.AlertReaction{
		ObjectMeta: metav1.ObjectMeta{Name: "two"},
		Spec: v1.AlertReactionSpec{
			Matchers: []v1.Matcher{{Name: "severity", Operator: v1.MatchRegexp, Value: "crit.*"}},
			Actions:  []v1.Action{{Name: "act", Image: "busybox"}},
		},
	})
	newReaction(t, namespace, "three", "A", "busybox")
	if _, err := client.KaroV1().AlertReactions(namespace).Patch(t.Context(), "three", types.MergePatchType, []byte(`{"spec":{"suspend":true}}`), metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	s := newSender(t, namespace)
	resolved := firing("A", time.Now())
	resolved.Status = v1.AlertResolved
	result := s.trigger(t, namespace, firing("A", time.Now(), "severity", "critical"), firing("B", time.Now()), resolved)
	expectCounts(t, result, 2, 0, 2, 0)
	if result.Skipped != 1 {
		t.Errorf("%d runs skipped, not 1", result.Skipped)
	}
	matched := result.Alerts[0]
	if matched.Outcome != v1.AlertMatched || len(matched.Reactions) != 3 {
		t.Fatalf("alert A: %+v", matched)
	}
	for i, want := range []v1.ReactionResult{
		{Name: "one", Outcome: v1.RunCreated},
		{Name: "three", Outcome: v1.RunSkipped, Reason: v1.ReasonSuspended},
		{Name: "two", Outcome: v1.RunCreated},
	} {
		got := matched.Reactions[i]
		if got.Namespace != namespace || got.Name != want.Name || got.Outcome != want.Outcome || got.Reason != want.Reason || got.Execution == "" {
			t.Errorf("reaction %d: %+v, want %+v", i, got, want)
		}
	}
	if a := result.Alerts[1]; a.Outcome != v1.AlertUnmatched || a.Message != "no reaction matches this alert" {
		t.Errorf("alert B: %+v", a)
	}
	if a := result.Alerts[2]; a.Outcome != v1.AlertUnmatched || a.Message != "no reaction that matches this alert runs for resolved alerts" {
		t.Errorf("resolved alert A: %+v", a)
	}

	// Resumed while the alert fires, the reaction runs at the next notification: skipping is not running.
	kubectl(t, "", "patch", "alertreaction", "three", "-n", namespace, "--type=merge", "-p", `{"spec":{"suspend":false}}`)
	result = s.trigger(t, namespace, firing("A", time.Time{}, "severity", "low"))
	expectCounts(t, result, 2, 0, 0, 0)
}

// clusteralerts/trigger asks the reactions of all namespaces. One that may answer the alerts of its own namespace only is
// told of no other.
func TestClusterAlerts(t *testing.T) {
	one, two := newNamespace(t), newNamespace(t)
	newReaction(t, one, "r", "ClusterWide", "busybox")
	newReaction(t, two, "r", "ClusterWide", "busybox")
	everywhere := createReaction(t, two, &v1.AlertReaction{
		ObjectMeta: metav1.ObjectMeta{Name: "everywhere"},
		Spec: v1.AlertReactionSpec{
			AlertName: "ClusterWide", AlertScope: v1.ScopeCluster, Actions: []v1.Action{{Name: "act", Image: "busybox"}},
		},
	})
	kubectl(t, "", "create", "clusterrole", one, "--verb=create", "--resource=clusteralerts.karo.io", "--resource-name=trigger")
	kubectl(t, "", "create", "clusterrolebinding", one, "--clusterrole="+one, "--serviceaccount="+one+":sender")
	t.Cleanup(func() {
		_, _ = cluster.Kubectl(context.Background(), "", "delete", "clusterrole,clusterrolebinding", one)
	})
	waitAllowed(t, serviceaccount.MakeUsername(one, "sender"), authorizationv1.ResourceAttributes{Verb: "create", Group: "karo.io", Resource: "clusteralerts", Name: "trigger"})
	s := newSender(t, one)
	path := "/apis/karo.io/v1/clusteralerts/trigger"
	result := s.notify(t, path, firing("ClusterWide", time.Now(), "namespace", one))
	expectCounts(t, result, 2, 0, 0, 0)
	if a := result.Alerts[0]; a.WrongScope != 1 || len(a.Reactions) != 2 {
		t.Errorf("%+v, want that the one of the other namespace was withheld", a)
	}
	waitFinished(t, one, 1, v1.PhaseSucceeded)
	if runs := waitFinished(t, two, 1, v1.PhaseSucceeded); runs[0].Spec.Reaction.UID != everywhere.UID {
		t.Errorf("in the other namespace %s ran", runs[0].Spec.Reaction.Name)
	}
	// An alert that nobody's scope has leaves no trace in any namespace.
	other := newNamespace(t)
	newReaction(t, other, "r", "OnlyElsewhere", "busybox")
	result = s.notify(t, path, firing("OnlyElsewhere", time.Now(), "namespace", "elsewhere", "secret", "of another tenant"))
	if a := result.Alerts[0]; a.WrongScope != 1 || a.Outcome != v1.AlertUnmatched || !strings.Contains(a.Message, "alertScope is Namespace") {
		t.Errorf("got %+v, want it withheld", a)
	}
	s.notify(t, path, firing("OnlyElsewhere", time.Now(), "namespace", other))
	waitFinished(t, other, 1, v1.PhaseSucceeded)
	// Not even that there was such an alert is told to those whom it does not concern.
	r, err := client.KaroV1().AlertReactions(two).Get(t.Context(), "r", metav1.GetOptions{})
	if err != nil || r.Status.LastSkipped != nil || r.Status.LastMatched != nil {
		t.Errorf("%v, %+v", err, r.Status)
	}
	eventually(t, "the alert of the namespace itself", func(ctx context.Context) error {
		alerts, err := client.KaroV1().Alerts(other).List(ctx, metav1.ListOptions{})
		if err != nil || len(alerts.Items) == 0 {
			return fmt.Errorf("%d alerts: %w", len(alerts.Items), err)
		}
		for i := range alerts.Items {
			if alerts.Items[i].Spec.Labels["namespace"] != other {
				t.Fatalf("the namespace is told of the alert %v", alerts.Items[i].Spec.Labels)
			}
		}
		return nil
	})
}

// simulate answers in the same shape, matcher by matcher and with the Jobs, and stores nothing.
func TestSimulate(t *testing.T) {
	namespace := newNamespace(t)
	newReaction(t, namespace, "one", "A", "busybox")
	createReaction(t, namespace, &v1.AlertReaction{
		ObjectMeta: metav1.ObjectMeta{Name: "two"},
		Spec:       v1.AlertReactionSpec{AlertName: "B", Suspend: new(true), Actions: []v1.Action{{Name: "act", Image: "busybox"}}},
	})
	admin := newHTTP(t, cluster.Config)
	path := strings.TrimSuffix(triggerPath(namespace), "trigger") + "simulate"
	for range 2 {
		result := admin.notify(t, path, firing("A", time.Now()))
		expectCounts(t, result, 1, 0, 0, 0)
		reactions := result.Alerts[0].Reactions
		if len(reactions) != 2 || len(reactions[0].Jobs) != 1 || reactions[0].Jobs[0].Spec.Template.Spec.Containers[0].Image != "busybox" {
			t.Fatalf("reactions: %+v", reactions)
		}
		if m := reactions[1].Matchers; reactions[1].Outcome != v1.RunUnmatched || len(m) != 1 || m[0].Matches || m[0].Matcher != `alertname="B"` || m[0].Value != "A" {
			t.Fatalf("the reaction that does not match: %+v", reactions[1])
		}
	}
	// The Alert of a run that is skipped is written some time after its notification: what a simulation had to write so
	// would be there before that of a notification that came later.
	skipped := admin.trigger(t, namespace, firing("B", time.Now())).Alerts[0].Reactions[0]
	if skipped.Outcome != v1.RunSkipped {
		t.Errorf("%+v, want it skipped", skipped)
	}
	eventually(t, "the alert of the notification to be written", func(ctx context.Context) error {
		alerts, err := client.KaroV1().Alerts(namespace).List(ctx, metav1.ListOptions{})
		if err != nil || len(alerts.Items) == 0 {
			return fmt.Errorf("%d alerts: %w", len(alerts.Items), err)
		}
		for i := range alerts.Items {
			if alerts.Items[i].Spec.Labels["alertname"] != "B" {
				t.Fatalf("there is the alert %v", alerts.Items[i].Spec.Labels)
			}
		}
		return nil
	})
	if items, err := executions(t.Context(), namespace); err != nil || len(items) != 1 || items[0].Name != skipped.Execution {
		t.Errorf("executions: %v, %v, want that of the notification", items, err)
	}
}

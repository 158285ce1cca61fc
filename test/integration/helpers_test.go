// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	authorizationv1 "k8s.io/api/authorization/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/authentication/serviceaccount"
	"k8s.io/client-go/rest"

	v1 "karo.io/karo/pkg/apis/karo/v1"
	"karo.io/karo/pkg/apis/nanotime"
	"karo.io/karo/pkg/generated/clientset/versioned"
)

// patience bounds every wait for something that must come.
const patience = 150 * time.Second

var notName = regexp.MustCompile(`[^a-z0-9]+`)

// newNamespace creates a namespace for a test, with a ServiceAccount "sender" that may trigger in it.
func newNamespace(t *testing.T) string {
	t.Helper()
	name := strings.Trim(notName.ReplaceAllString(strings.ToLower(strings.TrimPrefix(t.Name(), "Test")), "-"), "-")
	name = fmt.Sprintf("%.40s-%d", name, time.Now().UnixNano()%100000)
	_, err := cluster.Client.CoreV1().Namespaces().Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatalf("creating namespace %s: %v", name, err)
	}
	t.Cleanup(func() {
		_ = cluster.Client.CoreV1().Namespaces().Delete(context.Background(), name, metav1.DeleteOptions{})
	})
	kubectl(t, "", "create", "serviceaccount", "sender", "-n", name)
	kubectl(t, "", "create", "role", "sender", "-n", name, "--verb=create", "--resource=alerts.karo.io", "--resource-name=trigger")
	kubectl(t, "", "create", "rolebinding", "sender", "-n", name, "--role=sender", "--serviceaccount="+name+":sender")
	return name
}

// restrict has a namespace refuse pods that are not of the PodSecurity standard "restricted", and waits until it does.
func restrict(t *testing.T, namespace string) {
	t.Helper()
	kubectl(t, "", "label", "namespace", namespace, "pod-security.kubernetes.io/enforce=restricted")
	eventually(t, "namespace "+namespace+" to refuse pods", func(ctx context.Context) error {
		_, err := cluster.Client.CoreV1().Pods(namespace).Create(ctx, &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Name: "refused"}, Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: "busybox"}}},
		}, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		switch {
		case err == nil:
			return errors.New("it takes one")
		case !strings.Contains(err.Error(), "violates PodSecurity"):
			return err
		}
		return nil
	})
}

// kubectl runs the control plane's kubectl as the administrator, and fails the test when that fails.
func kubectl(t *testing.T, stdin string, args ...string) string {
	t.Helper()
	out, err := cluster.Kubectl(t.Context(), stdin, args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// eventually waits until check returns nil.
func eventually(t *testing.T, what string, check func(ctx context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := cluster.Until(ctx, what, check); err != nil {
		t.Fatal(err)
	}
}

// newReaction creates a reaction to an alert with one action for each image.
func newReaction(t *testing.T, namespace, name, alertName string, images ...string) *v1.AlertReaction {
	t.Helper()
	reaction := &v1.AlertReaction{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec:       v1.AlertReactionSpec{AlertName: alertName},
	}
	for i, image := range images {
		reaction.Spec.Actions = append(reaction.Spec.Actions, v1.Action{Name: fmt.Sprintf("action-%d", i), Image: image})
	}
	return createReaction(t, namespace, reaction)
}

func createReaction(t *testing.T, namespace string, reaction *v1.AlertReaction) *v1.AlertReaction {
	t.Helper()
	created, err := client.KaroV1().AlertReactions(namespace).Create(t.Context(), reaction, metav1.CreateOptions{})
	if err != nil {
		t.Fatalf("creating reaction %s: %v", reaction.Name, err)
	}
	return created
}

// sender is a ServiceAccount that posts notifications through the kube-apiserver.
type sender struct {
	http *http.Client
	host string
}

// newSender returns the ServiceAccount "sender" of a namespace, once the cluster knows that it may trigger.
func newSender(t *testing.T, namespace string) *sender {
	t.Helper()
	waitAllowed(t, serviceaccount.MakeUsername(namespace, "sender"), authorizationv1.ResourceAttributes{
		Namespace: namespace, Verb: "create", Group: "karo.io", Resource: "alerts", Name: "trigger",
	})
	token, err := cluster.Token(t.Context(), namespace, "sender")
	if err != nil {
		t.Fatal(err)
	}
	config := rest.AnonymousClientConfig(cluster.Config)
	config.BearerToken = token
	return newHTTP(t, config)
}

func newHTTP(t *testing.T, config *rest.Config) *sender {
	t.Helper()
	h, err := rest.HTTPClientFor(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.CloseIdleConnections)
	return &sender{http: h, host: config.Host}
}

// post sends a body and returns the status and the body of the answer.
func (s *sender) post(t *testing.T, path string, body io.Reader) (int, []byte) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.host+path, body)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := s.http.Do(req)
	if err != nil {
		t.Fatalf("posting to %s: %v", path, err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatalf("reading the answer of %s: %v", path, err)
	}
	return resp.StatusCode, answer
}

// trigger sends a notification of some alerts, and fails the test unless it is acknowledged.
func (s *sender) trigger(t *testing.T, namespace string, alerts ...v1.NotificationAlert) *v1.AlertNotificationResult {
	t.Helper()
	return s.notify(t, triggerPath(namespace), alerts...)
}

func (s *sender) notify(t *testing.T, path string, alerts ...v1.NotificationAlert) *v1.AlertNotificationResult {
	t.Helper()
	body, err := json.Marshal(map[string]any{"version": "4", "status": "firing", "receiver": "karo", "alerts": alerts})
	if err != nil {
		t.Fatal(err)
	}
	return s.acknowledged(t, path, body)
}

func (s *sender) acknowledged(t *testing.T, path string, body []byte) *v1.AlertNotificationResult {
	t.Helper()
	status, answer := s.post(t, path, bytes.NewReader(body))
	if status != http.StatusOK {
		t.Fatalf("%s answers %d: %s", path, status, answer)
	}
	var result v1.AlertNotificationResult
	if err := json.Unmarshal(answer, &result); err != nil {
		t.Fatalf("answer of %s: %v\n%s", path, err, answer)
	}
	if result.Kind != "AlertNotificationResult" || result.APIVersion != "karo.io/v1" {
		t.Fatalf("the answer is a %s of %s", result.Kind, result.APIVersion)
	}
	return &result
}

func triggerPath(namespace string) string {
	return "/apis/karo.io/v1/namespaces/" + namespace + "/alerts/trigger"
}

// firing returns an alert with some more labels, given as name and value in turn.
func firing(name string, startsAt time.Time, labels ...string) v1.NotificationAlert {
	alert := v1.NotificationAlert{Status: v1.AlertFiring, Labels: map[string]string{"alertname": name}}
	for i := 0; i < len(labels); i += 2 {
		alert.Labels[labels[i]] = labels[i+1]
	}
	if !startsAt.IsZero() {
		at := nanotime.New(startsAt)
		alert.StartsAt = &at
	}
	return alert
}

// executions lists the Executions of a namespace.
func executions(ctx context.Context, namespace string) ([]v1.Execution, error) {
	list, err := client.KaroV1().Executions(namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, err
	}
	return list.Items, nil
}

// jobs lists the Jobs of a namespace.
func jobs(ctx context.Context, namespace string) ([]batchv1.Job, error) {
	list, err := cluster.Client.BatchV1().Jobs(namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, err
	}
	return list.Items, nil
}

// waitFinished waits until there are exactly n Executions and each is in a phase.
func waitFinished(t *testing.T, namespace string, n int, phase v1.Phase) []v1.Execution {
	t.Helper()
	var items []v1.Execution
	eventually(t, fmt.Sprintf("%d executions to be %s", n, phase), func(ctx context.Context) error {
		var err error
		if items, err = executions(ctx, namespace); err != nil {
			return err
		}
		if len(items) != n {
			return fmt.Errorf("there are %d executions", len(items))
		}
		for i := range items {
			if items[i].Status.Phase != phase {
				return fmt.Errorf("execution %s: %+v", items[i].Name, items[i].Status)
			}
		}
		return nil
	})
	return items
}

// expectJobs fails the test unless there are exactly n Jobs.
func expectJobs(t *testing.T, namespace string, n int) []batchv1.Job {
	t.Helper()
	items, err := jobs(t.Context(), namespace)
	if err != nil {
		t.Fatal(err)
	}
	if len(items) != n {
		t.Fatalf("there are %d jobs, not %d", len(items), n)
	}
	return items
}

// expectCounts fails the test unless a notification had these outcomes.
func expectCounts(t *testing.T, r *v1.AlertNotificationResult, created, known, unmatched, refused int32) {
	t.Helper()
	if r.Created != created || r.Known != known || r.Unmatched != unmatched || r.Refused != refused {
		text, _ := json.MarshalIndent(r, "", " ")
		t.Fatalf("created %d, known %d, unmatched %d, refused %d; want %d, %d, %d, %d\n%s",
			r.Created, r.Known, r.Unmatched, r.Refused, created, known, unmatched, refused, text)
	}
}

// as returns a client that is a user, by impersonation through the kube-apiserver. Such a user has the rights that a test
// gives it, and no others.
func as(t *testing.T, user string, groups ...string) *versioned.Clientset {
	t.Helper()
	config := rest.CopyConfig(cluster.Config)
	config.Impersonate = rest.ImpersonationConfig{UserName: user, Groups: append(groups, "system:authenticated")}
	c, err := versioned.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

var errDenied = errors.New("denied")

// allowed returns nil if the cluster says that a user may do something, and errDenied if it says that they may not.
func allowed(ctx context.Context, user string, attributes authorizationv1.ResourceAttributes) error {
	review, err := cluster.Client.AuthorizationV1().SubjectAccessReviews().Create(ctx, &authorizationv1.SubjectAccessReview{
		Spec: authorizationv1.SubjectAccessReviewSpec{User: user, ResourceAttributes: &attributes},
	}, metav1.CreateOptions{})
	if err != nil {
		return err
	}
	if !review.Status.Allowed {
		return fmt.Errorf("%w: %s", errDenied, review.Status.Reason)
	}
	return nil
}

// waitAllowed waits until the cluster knows of a right that was given.
func waitAllowed(t *testing.T, user string, attributes authorizationv1.ResourceAttributes) {
	t.Helper()
	eventually(t, fmt.Sprintf("%s to have the right to %+v", user, attributes), func(ctx context.Context) error { return allowed(ctx, user, attributes) })
}

// waitExecution waits until an Execution meets a condition, and returns it.
func waitExecution(t *testing.T, namespace, name, what string, is func(*v1.Execution) bool) *v1.Execution {
	t.Helper()
	var e *v1.Execution
	eventually(t, "execution "+name+" "+what, func(ctx context.Context) error {
		var err error
		if e, err = client.KaroV1().Executions(namespace).Get(ctx, name, metav1.GetOptions{}); err != nil {
			return err
		}
		if !is(e) {
			return fmt.Errorf("%+v", e.Status)
		}
		return nil
	})
	return e
}

// waitPhase waits until an Execution is in a phase.
func waitPhase(t *testing.T, namespace, name string, phase v1.Phase) *v1.Execution {
	t.Helper()
	return waitExecution(t, namespace, name, "to be "+string(phase), func(e *v1.Execution) bool { return e.Status.Phase == phase })
}

// waitAlert waits until the one Alert of a namespace is written, and returns its name.
func waitAlert(t *testing.T, namespace string) (name string) {
	t.Helper()
	eventually(t, "the alert to be written", func(ctx context.Context) error {
		list, err := client.KaroV1().Alerts(namespace).List(ctx, metav1.ListOptions{})
		if err != nil {
			return err
		}
		if len(list.Items) != 1 {
			return fmt.Errorf("%d alerts", len(list.Items))
		}
		name = list.Items[0].Name
		return nil
	})
	return name
}

// waitStatus waits until the status of a reaction meets a condition.
func waitStatus(t *testing.T, namespace, name, what string, is func(*v1.AlertReactionStatus) bool) {
	t.Helper()
	last := ""
	eventually(t, "the status of reaction "+name+" to say "+what, func(ctx context.Context) error {
		r, err := client.KaroV1().AlertReactions(namespace).Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return fmt.Errorf("%w; before, it was %s", err, last)
		}
		if last = fmt.Sprintf("%+v", r.Status); !is(&r.Status) {
			return errors.New(last)
		}
		return nil
	})
}

// waitSettled waits until the status of a reaction has followed its spec, so that nobody else writes the reaction any
// more. A client that reads it and writes it back would else be told of a conflict, as it should.
func waitSettled(t *testing.T, namespace, name string) {
	t.Helper()
	eventually(t, "the status of reaction "+name+" to follow its spec", func(ctx context.Context) error {
		r, err := client.KaroV1().AlertReactions(namespace).Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		return settled(r)
	})
}

// settled returns nil once the status of a reaction has followed its spec.
func settled(r *v1.AlertReaction) error {
	if c := meta.FindStatusCondition(r.Status.Conditions, v1.ConditionReady); c == nil || c.ObservedGeneration != r.Generation {
		return fmt.Errorf("generation %d: %+v", r.Generation, c)
	}
	return nil
}

// cancel asks for an Execution to be stopped.
func cancel(t *testing.T, namespace, name string) {
	t.Helper()
	kubectl(t, "{}", "create", "--raw", "/apis/karo.io/v1/namespaces/"+namespace+"/executions/"+name+"/cancel", "-f", "-")
}

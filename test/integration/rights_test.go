// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	authorizationv1 "k8s.io/api/authorization/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"

	v1 "karo.io/karo/pkg/apis/karo/v1"
)

// request is one that needs one right. %s in the path is the namespace.
type request struct {
	verb, resource, name string // what RBAC knows of it
	method, path, body   string
	cluster              bool
	also                 []rbacv1.PolicyRule // what it needs beside, by a rule of Karo
}

const reactionBody = `{"apiVersion":"karo.io/v1","kind":"AlertReaction","metadata":{"name":"%s"},"spec":{"alertName":"A","actions":[{"name":"act","image":"busybox"}]}}`

var (
	createJobs = rbacv1.PolicyRule{Verbs: []string{"create"}, APIGroups: []string{"batch"}, Resources: []string{"jobs"}}
	runR       = rbacv1.PolicyRule{Verbs: []string{"create"}, APIGroups: []string{"karo.io"}, Resources: []string{"alertreactions/executions"}, ResourceNames: []string{"r"}}
)

// requests returns every verb of every resource and subresource. What would change something is a dry run or has ended.
func requests(execution, alert, revision string) []request {
	const dryRun = "?dryRun=All"
	all := []request{
		{verb: "create", resource: "alertreactions", method: "POST", path: dryRun, body: fmt.Sprintf(reactionBody, "new"), also: []rbacv1.PolicyRule{createJobs}},
		{verb: "update", resource: "alertreactions", name: "r", method: "PUT", path: "/r" + dryRun, body: fmt.Sprintf(reactionBody, "r"), also: []rbacv1.PolicyRule{createJobs}},
		{verb: "patch", resource: "alertreactions", name: "r", method: "PATCH", path: "/r" + dryRun, body: `{"metadata":{"labels":{"a":"b"}}}`},
		{verb: "update", resource: "alertreactions/status", name: "r", method: "PUT", path: "/r/status" + dryRun, body: fmt.Sprintf(reactionBody, "r")},
		{verb: "patch", resource: "alertreactions/status", name: "r", method: "PATCH", path: "/r/status" + dryRun, body: `{"status":{"triggerCount":7}}`},
		{verb: "get", resource: "alertreactions/status", name: "r", method: "GET", path: "/r/status"},
		{verb: "get", resource: "alertreactions/executions", name: "r", method: "GET", path: "/r/executions"},
		{verb: "create", resource: "alertreactions/executions", name: "r", method: "POST", path: "/r/executions" + dryRun, body: `{}`},
		{verb: "create", resource: "executions", method: "POST", path: dryRun,
			body: `{"apiVersion":"karo.io/v1","kind":"Execution","metadata":{"name":"n"},"spec":{"reaction":{"name":"r"},"alert":{}}}`, also: []rbacv1.PolicyRule{runR}},
		{verb: "patch", resource: "executions", name: execution, method: "PATCH", path: "/" + execution + dryRun, body: `{"metadata":{"labels":{"a":"b"}}}`},
		{verb: "get", resource: "executions/status", name: execution, method: "GET", path: "/" + execution + "/status"},
		{verb: "patch", resource: "executions/status", name: execution, method: "PATCH", path: "/" + execution + "/status" + dryRun, body: `{"status":{"reason":"x"}}`},
		{verb: "create", resource: "executions/cancel", name: execution, method: "POST", path: "/" + execution + "/cancel", body: `{}`},
		{verb: "create", resource: "alerts", name: "trigger", method: "POST", path: "/trigger", body: `{"alerts":[]}`},
		{verb: "create", resource: "alerts", name: "simulate", method: "POST", path: "/simulate", body: `{"alerts":[]}`},
		{verb: "create", resource: "clusteralerts", name: "trigger", method: "POST", path: "/trigger", body: `{"alerts":[]}`, cluster: true},
		{verb: "create", resource: "clusteralerts", name: "simulate", method: "POST", path: "/simulate", body: `{"alerts":[]}`, cluster: true},
	}
	for resource, name := range map[string]string{"alertreactions": "r", "executions": execution, "alerts": alert, "reactionrevisions": revision} {
		all = append(all,
			request{verb: "get", resource: resource, name: name, method: "GET", path: "/" + name},
			request{verb: "list", resource: resource, method: "GET"},
			request{verb: "watch", resource: resource, method: "GET", path: "?watch=1&timeoutSeconds=1"},
			request{verb: "delete", resource: resource, name: name, method: "DELETE", path: "/" + name + dryRun},
			request{verb: "deletecollection", resource: resource, method: "DELETE", path: dryRun},
		)
	}
	return all
}

// Each verb of each resource and subresource needs its own right, in its own namespace and of its own name, and nothing
// else. Users come by impersonation and as ServiceAccounts with tokens.
func TestRightsToEveryResource(t *testing.T) {
	namespace, other := newNamespace(t), newNamespace(t)
	for _, in := range []string{namespace, other} {
		newReaction(t, in, "r", "A", "busybox")
	}
	s := newSender(t, namespace)
	execution := s.trigger(t, namespace, firing("A", time.Now())).Alerts[0].Reactions[0].Execution
	revision := waitPhase(t, namespace, execution, v1.PhaseSucceeded).Spec.Reaction.Revision
	alert := waitAlert(t, namespace)
	nobody := asHTTP(t, "nobody")
	for i, r := range requests(execution, alert, revision) {
		right := r.verb + " " + r.resource
		if r.resource == "alerts" || r.resource == "clusteralerts" {
			right += " " + r.name
		}
		t.Run(right, func(t *testing.T) {
			user, account := fmt.Sprintf("user-%d", i), fmt.Sprintf("account-%d", i)
			rule := rbacv1.PolicyRule{Verbs: []string{r.verb}, APIGroups: []string{"karo.io"}, Resources: []string{r.resource}}
			if r.name != "" {
				rule.ResourceNames = []string{r.name}
			}
			bind(t, namespace, r.cluster, []rbacv1.PolicyRule{rule}, user+"-partly", "")
			bind(t, namespace, r.cluster, append(r.also, rule), user, account)
			if r.name != "" {
				elsewhere := *rule.DeepCopy()
				elsewhere.ResourceNames = []string{"something-else"}
				bind(t, namespace, r.cluster, append(r.also, elsewhere), user+"-elsewhere", "")
			}

			expectForbidden(t, "without the right", nobody, r, namespace)
			token, err := cluster.Token(t.Context(), namespace, account)
			if err != nil {
				t.Fatal(err)
			}
			config := rest.AnonymousClientConfig(cluster.Config)
			config.BearerToken = token
			for who, user := range map[string]*sender{"a user": asHTTP(t, user), "a ServiceAccount": newHTTP(t, config)} {
				eventually(t, who+" with the right to be served", func(context.Context) error {
					if status, answer := user.send(t, r, namespace); status == http.StatusForbidden || status == http.StatusUnauthorized || status >= 500 {
						return fmt.Errorf("%d: %s", status, answer)
					}
					return nil
				})
				if !r.cluster {
					expectForbidden(t, who+" in another namespace", user, r, other)
				}
			}
			if r.name != "" {
				expectForbidden(t, "with the right to another name", asHTTP(t, user+"-elsewhere"), r, namespace)
			}
			if len(r.also) > 0 {
				expectForbidden(t, "without what Karo wants beside", asHTTP(t, user+"-partly"), r, namespace)
			}
		})
	}
}

func asHTTP(t *testing.T, user string) *sender {
	t.Helper()
	config := rest.CopyConfig(cluster.Config)
	config.Impersonate = rest.ImpersonationConfig{UserName: user, Groups: []string{"system:authenticated"}}
	return newHTTP(t, config)
}

func (s *sender) send(t *testing.T, r request, namespace string) (int, string) {
	t.Helper()
	base := "/apis/karo.io/v1/namespaces/" + namespace + "/"
	if r.cluster {
		base = "/apis/karo.io/v1/"
	}
	resource, _, _ := strings.Cut(r.resource, "/")
	req, err := http.NewRequestWithContext(t.Context(), r.method, s.host+base+resource+r.path, strings.NewReader(r.body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	if r.method == http.MethodPatch {
		req.Header.Set("Content-Type", string(types.MergePatchType))
	}
	resp, err := s.http.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var answer strings.Builder
	if _, err := fmt.Fprint(&answer, resp.Status); err != nil {
		t.Fatal(err)
	}
	body := make([]byte, 500)
	n, _ := resp.Body.Read(body)
	return resp.StatusCode, answer.String() + " " + string(body[:n])
}

func expectForbidden(t *testing.T, what string, s *sender, r request, namespace string) {
	t.Helper()
	if status, answer := s.send(t, r, namespace); status != http.StatusForbidden {
		t.Errorf("%s: %s", what, answer)
	}
}

// bind gives rules to a user, and to a ServiceAccount of the namespace if one is named.
func bind(t *testing.T, namespace string, clusterWide bool, rules []rbacv1.PolicyRule, user, account string) {
	t.Helper()
	subjects := []rbacv1.Subject{{Kind: rbacv1.UserKind, APIGroup: rbacv1.GroupName, Name: user}}
	if account != "" {
		subjects = append(subjects, rbacv1.Subject{Kind: rbacv1.ServiceAccountKind, Name: account, Namespace: namespace})
	}
	api, name := cluster.Client.RbacV1(), namespace+"-"+user
	meta := metav1.ObjectMeta{Name: name}
	if clusterWide {
		_, err := api.ClusterRoles().Create(t.Context(), &rbacv1.ClusterRole{ObjectMeta: meta, Rules: rules}, metav1.CreateOptions{})
		if err == nil {
			_, err = api.ClusterRoleBindings().Create(t.Context(), &rbacv1.ClusterRoleBinding{
				ObjectMeta: meta, Subjects: subjects, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: name},
			}, metav1.CreateOptions{})
		}
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			_ = api.ClusterRoles().Delete(context.Background(), name, metav1.DeleteOptions{})
			_ = api.ClusterRoleBindings().Delete(context.Background(), name, metav1.DeleteOptions{})
		})
		return
	}
	_, err := api.Roles(namespace).Create(t.Context(), &rbacv1.Role{ObjectMeta: meta, Rules: rules}, metav1.CreateOptions{})
	if err == nil {
		_, err = api.RoleBindings(namespace).Create(t.Context(), &rbacv1.RoleBinding{
			ObjectMeta: meta, Subjects: subjects, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: name},
		}, metav1.CreateOptions{})
	}
	if err != nil {
		t.Fatal(err)
	}
}

// Writing what a reaction does needs the right to create Jobs; writing anything else of it does not.
func TestAuthorsGainNoRight(t *testing.T) {
	namespace := newNamespace(t)
	newReaction(t, namespace, "r", "A", "busybox")
	write := rbacv1.PolicyRule{Verbs: []string{"get", "create", "update", "patch", "delete"}, APIGroups: []string{"karo.io"}, Resources: []string{"alertreactions"}}
	sendAll := rbacv1.PolicyRule{Verbs: []string{"create"}, APIGroups: []string{"karo.io"}, Resources: []string{"clusteralerts"}, ResourceNames: []string{"trigger"}}
	bind(t, namespace, false, []rbacv1.PolicyRule{write}, "writer", "")
	bind(t, namespace, false, []rbacv1.PolicyRule{write, createJobs}, "author", "")
	bind(t, namespace, false, []rbacv1.PolicyRule{write, createJobs}, "cluster-author", "")
	bind(t, namespace, true, []rbacv1.PolicyRule{sendAll}, "cluster-author", "")
	patchAs := func(user, name, patch string) error {
		_, err := as(t, user).KaroV1().AlertReactions(namespace).Patch(t.Context(), name, types.MergePatchType, []byte(patch), metav1.PatchOptions{})
		return err
	}
	create := func(user, name string, scope v1.AlertScope) error {
		_, err := as(t, user).KaroV1().AlertReactions(namespace).Create(t.Context(), &v1.AlertReaction{
			ObjectMeta: metav1.ObjectMeta{Name: name},
			Spec:       v1.AlertReactionSpec{AlertName: "A", AlertScope: scope, Actions: []v1.Action{{Name: "act", Image: "busybox"}}},
		}, metav1.CreateOptions{})
		return err
	}
	eventually(t, "the rights to be known", func(context.Context) error { return patchAs("writer", "r", `{"metadata":{"labels":{"a":"b"}}}`) })
	eventually(t, "the rights to be known", func(context.Context) error { return create("author", "mine", "") })
	eventually(t, "the rights to be known", func(context.Context) error { return create("cluster-author", "everywhere", v1.ScopeCluster) })

	const jobs, cluster = `lacks the right "create jobs.batch -n `, `lacks the right "create clusteralerts.karo.io/trigger"`
	for _, tc := range []struct {
		what  string
		err   error
		lacks string // "": it is allowed
	}{
		{"a writer creates", create("writer", "new", ""), jobs},
		{"a writer changes an image", patchAs("writer", "r", `{"spec":{"actions":[{"name":"action-0","image":"evil"}]}}`), jobs},
		{"a writer changes the alert", patchAs("writer", "r", `{"spec":{"alertName":"B"}}`), jobs},
		{"a writer suspends", patchAs("writer", "r", `{"spec":{"suspend":true}}`), ""},
		{"a writer suspends and changes", patchAs("writer", "r", `{"spec":{"suspend":true,"alertName":"B"}}`), jobs},
		{"a writer resumes", patchAs("writer", "r", `{"spec":{"suspend":false}}`), jobs},
		{"a writer sets a finalizer", patchAs("writer", "r", `{"metadata":{"finalizers":["example.com/wait"]}}`), ""},
		{"a writer removes it", patchAs("writer", "r", `{"metadata":{"finalizers":null}}`), ""},
		{"a writer annotates", patchAs("writer", "everywhere", `{"metadata":{"annotations":{"a":"b"}}}`), ""},
		{"an author changes", patchAs("author", "r", `{"spec":{"alertName":"B"}}`), ""},
		{"an author creates for the cluster", create("author", "more", v1.ScopeCluster), cluster},
		{"an author widens", patchAs("author", "r", `{"spec":{"alertScope":"Cluster"}}`), cluster},
		{"an author changes what is for the cluster", patchAs("author", "everywhere", `{"spec":{"alertName":"B"}}`), cluster},
		{"an author suspends what is for the cluster", patchAs("author", "everywhere", `{"spec":{"suspend":true}}`), ""},
		{"an author narrows", patchAs("author", "everywhere", `{"spec":{"alertScope":"Namespace"}}`), ""},
	} {
		switch {
		case tc.lacks == "" && tc.err != nil:
			t.Errorf("%s: %v", tc.what, tc.err)
		case tc.lacks != "" && (!apierrors.IsForbidden(tc.err) || !strings.Contains(tc.err.Error(), tc.lacks)):
			t.Errorf("%s: %v, want that it %s", tc.what, tc.err, tc.lacks)
		}
	}
	// One that is being deleted runs nothing, so that nobody is in the way of who ends it.
	if err := patchAs("author", "mine", `{"metadata":{"finalizers":["example.com/wait"]}}`); err != nil {
		t.Fatal(err)
	}
	if err := as(t, "writer").KaroV1().AlertReactions(namespace).Delete(t.Context(), "mine", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := patchAs("writer", "mine", `{"metadata":{"finalizers":null},"spec":{"alertName":"B"}}`); err != nil {
		t.Errorf("a writer ends what is being deleted: %v", err)
	}
}

// The roles that come with Karo give what they say, through the roles of the cluster that they add to, and nobody the
// right to write a status.
func TestShippedRoles(t *testing.T) {
	namespace := newNamespace(t)
	for _, role := range []string{"view", "edit", "admin", "karo-alert-sender", "karo-cluster-alert-sender"} {
		kubectl(t, "", "create", "rolebinding", role, "-n", namespace, "--clusterrole="+role, "--user="+namespace+"-"+role)
	}
	for right, roles := range map[string]string{
		"get alertreactions":               "view edit admin",
		"watch executions":                 "view edit admin",
		"list alerts":                      "view edit admin",
		"get reactionrevisions":            "view edit admin",
		"get alertreactions/executions":    "view edit admin",
		"create alertreactions":            "edit admin",
		"patch alertreactions":             "edit admin",
		"delete alertreactions":            "edit admin",
		"create executions":                "edit admin",
		"create alertreactions/executions": "edit admin",
		"create executions/cancel":         "edit admin",
		"create alerts simulate":           "edit admin",
		"delete executions":                "admin",
		"deletecollection alerts":          "admin",
		"delete reactionrevisions":         "admin",
		"create alerts trigger":            "karo-alert-sender",
		"create clusteralerts trigger":     "karo-cluster-alert-sender",
		"update alertreactions/status":     "",
		"patch executions/status":          "",
		"create clusteralerts simulate":    "",
		"update alerts":                    "",
		"create reactionrevisions":         "",
	} {
		words := strings.Fields(right)
		resource, sub, _ := strings.Cut(words[1], "/")
		attributes := &authorizationv1.ResourceAttributes{Namespace: namespace, Verb: words[0], Group: "karo.io", Resource: resource, Subresource: sub}
		if len(words) > 2 {
			attributes.Name = words[2]
		}
		for _, role := range []string{"view", "edit", "admin", "karo-alert-sender", "karo-cluster-alert-sender"} {
			want := strings.Contains(" "+roles+" ", " "+role+" ")
			eventually(t, fmt.Sprintf("%s to have %q: %t", role, right, want), func(ctx context.Context) error {
				review, err := cluster.Client.AuthorizationV1().SubjectAccessReviews().Create(ctx, &authorizationv1.SubjectAccessReview{
					Spec: authorizationv1.SubjectAccessReviewSpec{User: namespace + "-" + role, ResourceAttributes: attributes},
				}, metav1.CreateOptions{})
				if err == nil && review.Status.Allowed != want {
					err = fmt.Errorf("allowed: %t", review.Status.Allowed)
				}
				return err
			})
		}
	}
}

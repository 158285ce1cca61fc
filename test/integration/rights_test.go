// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	authorizationv1 "k8s.io/api/authorization/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/client-go/rest"

	v1 "karo.io/karo/pkg/apis/karo/v1"
)

// request is one that needs one right.
type request struct {
	version              string // of the API; "" is v1
	verb, resource, name string // what RBAC knows of it
	another              string // the name that a second user takes, where what was done cannot be done again
	method, path, body   string
	cluster              bool
	also                 []rbacv1.PolicyRule // what it needs beside, by a rule of Karo
}

// anew returns the request of a second user.
func (r request) anew() request {
	if r.another != "" {
		r.path, r.name = strings.Replace(r.path, r.name, r.another, 1), r.another
	}
	return r
}

const reactionBody = `{"apiVersion":"karo.io/v1","kind":"AlertReaction","metadata":{"name":"%s"},"spec":{"alertName":"A","actions":[{"name":"act","image":"busybox"}]}}`

var (
	createJobs = rbacv1.PolicyRule{Verbs: []string{"create"}, APIGroups: []string{"batch"}, Resources: []string{"jobs"}}
	runR       = rbacv1.PolicyRule{Verbs: []string{"create"}, APIGroups: []string{"karo.io"}, Resources: []string{"alertreactions/executions"}, ResourceNames: []string{"r"}}
)

// requests returns every verb of every resource and subresource, in every version, to a run that has ended, two that hang,
// its alert and its revision. What would change something is a dry run, but for cancelling, which knows none.
func requests(t *testing.T, ended *v1.Execution, hanging [2]string, alert string) []request {
	t.Helper()
	const dryRun = "?dryRun=All"
	ended = ended.DeepCopy()
	ended.TypeMeta = metav1.TypeMeta{APIVersion: "karo.io/v1", Kind: "Execution"}
	ended.ResourceVersion = ""
	body, err := json.Marshal(ended)
	if err != nil {
		t.Fatal(err)
	}
	execution, revision := ended.Name, ended.Spec.Reaction.Revision
	all := []request{
		{verb: "create", resource: "alertreactions", method: "POST", path: dryRun, body: fmt.Sprintf(reactionBody, "new"), also: []rbacv1.PolicyRule{createJobs}},
		{verb: "update", resource: "alertreactions", name: "r", method: "PUT", path: "/r" + dryRun, body: fmt.Sprintf(reactionBody, "r"), also: []rbacv1.PolicyRule{createJobs}},
		{verb: "patch", resource: "alertreactions", name: "r", method: "PATCH", path: "/r" + dryRun, body: `{"spec":{"alertName":"B"}}`, also: []rbacv1.PolicyRule{createJobs}},
		{verb: "update", resource: "alertreactions/status", name: "r", method: "PUT", path: "/r/status" + dryRun, body: fmt.Sprintf(reactionBody, "r")},
		{verb: "patch", resource: "alertreactions/status", name: "r", method: "PATCH", path: "/r/status" + dryRun, body: `{"status":{"triggerCount":7}}`},
		{verb: "get", resource: "alertreactions/status", name: "r", method: "GET", path: "/r/status"},
		{verb: "get", resource: "alertreactions/executions", name: "r", method: "GET", path: "/r/executions"},
		{verb: "create", resource: "alertreactions/executions", name: "r", method: "POST", path: "/r/executions" + dryRun, body: `{}`},
		{verb: "create", resource: "executions", method: "POST", path: dryRun,
			body: `{"apiVersion":"karo.io/v1","kind":"Execution","metadata":{"name":"n"},"spec":{"reaction":{"name":"r"},"alert":{}}}`, also: []rbacv1.PolicyRule{runR}},
		{verb: "update", resource: "executions", name: execution, method: "PUT", path: "/" + execution + dryRun, body: string(body)},
		{verb: "patch", resource: "executions", name: execution, method: "PATCH", path: "/" + execution + dryRun, body: `{"metadata":{"labels":{"a":"b"}}}`},
		{verb: "get", resource: "executions/status", name: execution, method: "GET", path: "/" + execution + "/status"},
		{verb: "update", resource: "executions/status", name: execution, method: "PUT", path: "/" + execution + "/status" + dryRun, body: string(body)},
		{verb: "patch", resource: "executions/status", name: execution, method: "PATCH", path: "/" + execution + "/status" + dryRun, body: `{"status":{"reason":"x"}}`},
		{verb: "create", resource: "executions/cancel", name: hanging[0], another: hanging[1], method: "POST", path: "/" + hanging[0] + "/cancel", body: `{}`},
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
	for _, r := range all {
		if r.resource == "alertreactions" || r.resource == "alertreactions/status" {
			r.version, r.body = "v1alpha1", strings.Replace(r.body, "karo.io/v1", "karo.io/v1alpha1", 1)
			all = append(all, r)
		}
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
	ended := waitPhase(t, namespace, s.trigger(t, namespace, firing("A", time.Now())).Alerts[0].Reactions[0].Execution, v1.PhaseSucceeded)
	alert := waitAlert(t, namespace)
	newReaction(t, namespace, "hangs", "B", "localcluster/hang")
	var hanging [2]string
	for i := range hanging {
		hanging[i] = s.trigger(t, namespace, firing("B", time.Now())).Alerts[0].Reactions[0].Execution
		waitPhase(t, namespace, hanging[i], v1.PhaseRunning)
	}
	nobody := asHTTP(t, "nobody")
	all := requests(t, ended, hanging, alert)
	expectAllVerbs(t, all)
	for i, r := range all {
		right := r.verb + " " + r.resource
		if r.resource == "alerts" || r.resource == "clusteralerts" {
			right += " " + r.name
		}
		if r.version != "" {
			right += " of " + r.version
		}
		t.Run(right, func(t *testing.T) {
			user, account := fmt.Sprintf("user-%d", i), fmt.Sprintf("account-%d", i)
			rule := rbacv1.PolicyRule{Verbs: []string{r.verb}, APIGroups: []string{"karo.io"}, Resources: []string{r.resource}}
			if r.name != "" {
				rule.ResourceNames = []string{r.name, r.anew().name}
			}
			bind(t, namespace, r.cluster, []rbacv1.PolicyRule{rule}, user+"-partly", "")
			bind(t, namespace, r.cluster, append(r.also, rule), user, account)
			if r.name != "" {
				elsewhere := *rule.DeepCopy()
				elsewhere.ResourceNames = []string{"something-else"}
				bind(t, namespace, r.cluster, append(r.also, elsewhere), user+"-elsewhere", "")
			}

			// The words are those of the cluster: nothing but RBAC refused it.
			denied := fmt.Sprintf(`cannot %s resource \"%s\"`, r.verb, r.resource)
			expectForbidden(t, "without the right", nobody, r, namespace, denied)
			token, err := cluster.Token(t.Context(), namespace, account)
			if err != nil {
				t.Fatal(err)
			}
			config := rest.AnonymousClientConfig(cluster.Config)
			config.BearerToken = token
			for _, with := range []struct {
				who string
				s   *sender
				r   request
			}{{"a user", asHTTP(t, user), r}, {"a ServiceAccount", newHTTP(t, config), r.anew()}} {
				eventually(t, with.who+" to have the right", func(context.Context) error {
					status, answer := with.s.send(t, with.r, namespace)
					if status == http.StatusForbidden {
						return errors.New(answer)
					}
					if status < 200 || status > 299 {
						t.Fatalf("%s with the right: %s", with.who, answer)
					}
					return nil
				})
				if !r.cluster {
					expectForbidden(t, with.who+" in another namespace", with.s, with.r, other, denied)
				}
			}
			if r.name != "" {
				expectForbidden(t, "with the right to another name", asHTTP(t, user+"-elsewhere"), r, namespace, denied)
			}
			if len(r.also) > 0 {
				expectForbidden(t, "without what Karo wants beside", asHTTP(t, user+"-partly"), r, namespace, fmt.Sprintf(`user \"%s-partly\" lacks the right`, user))
			}
		})
	}
	for _, name := range hanging {
		waitPhase(t, namespace, name, v1.PhaseCancelled)
	}
}

// expectAllVerbs fails the test unless there is a request for every verb that discovery has.
func expectAllVerbs(t *testing.T, all []request) {
	t.Helper()
	asked, served := sets.New[string](), sets.New[string]()
	for _, r := range all {
		asked.Insert(cmp.Or(r.version, "v1") + ": " + r.verb + " " + r.resource)
	}
	for _, version := range []string{"v1", "v1alpha1"} {
		list, err := cluster.Client.Discovery().ServerResourcesForGroupVersion("karo.io/" + version)
		if err != nil {
			t.Fatal(err)
		}
		for _, resource := range list.APIResources {
			for _, verb := range resource.Verbs {
				served.Insert(version + ": " + verb + " " + resource.Name)
			}
		}
	}
	if !asked.Equal(served) {
		t.Errorf("nothing asks for %q, and there is no %q", sets.List(served.Difference(asked)), sets.List(asked.Difference(served)))
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
	base := "/apis/karo.io/" + cmp.Or(r.version, "v1") + "/"
	if !r.cluster {
		base += "namespaces/" + namespace + "/"
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
	body, err := io.ReadAll(io.LimitReader(resp.Body, 1000))
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, resp.Status + " " + string(body)
}

// expectForbidden fails the test unless a request is forbidden with some words.
func expectForbidden(t *testing.T, what string, s *sender, r request, namespace, words string) {
	t.Helper()
	if status, answer := s.send(t, r, namespace); status != http.StatusForbidden || !strings.Contains(answer, words) {
		t.Errorf("%s: %s, want it forbidden: %s", what, answer, words)
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
	for _, version := range []string{"v1", "v1alpha1"} {
		t.Run(version, func(t *testing.T) { authorsGainNoRight(t, version) })
	}
}

func authorsGainNoRight(t *testing.T, version string) {
	t.Helper()
	namespace := newNamespace(t)
	newReaction(t, namespace, "r", "A", "busybox")
	write := rbacv1.PolicyRule{Verbs: []string{"get", "create", "update", "patch", "delete"}, APIGroups: []string{"karo.io"}, Resources: []string{"alertreactions"}}
	sendAll := rbacv1.PolicyRule{Verbs: []string{"create"}, APIGroups: []string{"karo.io"}, Resources: []string{"clusteralerts"}, ResourceNames: []string{"trigger"}}
	bind(t, namespace, false, []rbacv1.PolicyRule{write}, "writer", "")
	bind(t, namespace, false, []rbacv1.PolicyRule{write, createJobs}, "author", "")
	bind(t, namespace, false, []rbacv1.PolicyRule{write, createJobs}, "cluster-author", "")
	bind(t, namespace, true, []rbacv1.PolicyRule{sendAll}, "cluster-author", "")
	path := "/apis/karo.io/" + version + "/namespaces/" + namespace + "/alertreactions"
	patchAs := func(user, name, patch string) error {
		return as(t, user).KaroV1().RESTClient().Patch(types.MergePatchType).AbsPath(path, name).Body([]byte(patch)).Do(t.Context()).Error()
	}
	create := func(user, name string, scope v1.AlertScope) error {
		body := fmt.Sprintf(`{"apiVersion":"karo.io/%s","kind":"AlertReaction","metadata":{"name":"%s"},"spec":{"alertName":"A","alertScope":"%s","actions":[{"name":"act","image":"busybox"}]}}`, version, name, scope)
		return as(t, user).KaroV1().RESTClient().Post().AbsPath(path).SetHeader("Content-Type", "application/json").Body([]byte(body)).Do(t.Context()).Error()
	}
	eventually(t, "the rights to be known", func(context.Context) error { return patchAs("writer", "r", `{"metadata":{"labels":{"a":"b"}}}`) })
	eventually(t, "the rights to be known", func(context.Context) error { return create("author", "mine", v1.ScopeNamespace) })
	eventually(t, "the rights to be known", func(context.Context) error { return create("cluster-author", "everywhere", v1.ScopeCluster) })

	const jobs, cluster = `lacks the right "create jobs.batch -n `, `lacks the right "create clusteralerts.karo.io/trigger"`
	for _, tc := range []struct {
		what  string
		err   error
		lacks string // "": it is allowed
	}{
		{"a writer creates", create("writer", "new", v1.ScopeNamespace), jobs},
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
	shipped := []string{"view", "edit", "admin", "karo-alert-sender", "karo-cluster-alert-sender"}
	for _, role := range shipped {
		kubectl(t, "", "create", "rolebinding", role, "-n", namespace, "--clusterrole="+role, "--user="+namespace+"-"+role)
	}
	rights := map[string]string{
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
	}
	// What each role has is known once the cluster has put its roles together, and only then is it told what none of them
	// has.
	for _, has := range []bool{true, false} {
		for right, roles := range rights {
			words := strings.Fields(right)
			resource, sub, _ := strings.Cut(words[1], "/")
			attributes := authorizationv1.ResourceAttributes{Namespace: namespace, Verb: words[0], Group: "karo.io", Resource: resource, Subresource: sub}
			if len(words) > 2 {
				attributes.Name = words[2]
			}
			for _, role := range shipped {
				user := namespace + "-" + role
				switch {
				case slices.Contains(strings.Fields(roles), role) != has:
				case has:
					waitAllowed(t, user, attributes)
				default:
					if err := allowed(t.Context(), user, attributes); !errors.Is(err, errDenied) {
						t.Errorf("%s has %q: %v", role, right, err)
					}
				}
			}
		}
	}
}

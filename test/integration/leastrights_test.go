// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/rest"

	"karo.io/karo/hack/localcluster"
	v1 "karo.io/karo/pkg/apis/karo/v1"
	"karo.io/karo/pkg/generated/clientset/versioned"
	"karo.io/karo/pkg/servingcert"
)

// trial takes some of Karo's rights away at a time and does what needs each of them.
type trial struct {
	name    string
	without []string // as "verb resource"
	// unbound is a binding to a role of the cluster, as kubectl names it, that is taken away; without are the rights that
	// Karo has by it. The cluster does not serve karo.io then.
	unbound []string
	first   func(t *testing.T)                      // done before Karo starts; may be nil
	do      func(t *testing.T) (says func() string) // nil: to start is enough
	// env is set for the trial, where a right is for clusters that can do less than this one.
	env [2]string
}

const admissionObjects = "mutatingadmissionpolicies mutatingadmissionpolicybindings mutatingwebhookconfigurations " +
	"validatingadmissionpolicies validatingadmissionpolicybindings validatingwebhookconfigurations"

func verbOf(verb, resources string) []string {
	var rights []string
	for resource := range strings.FieldsSeq(resources) {
		rights = append(rights, verb+" "+resource)
	}
	return rights
}

var trials = []trial{
	{
		// A cluster that streams no lists is listed first.
		name: "caches are listed", env: [2]string{"KUBE_FEATURE_WatchListClient", "false"},
		without: verbOf("list", "namespaces jobs pods secrets apiservices "+admissionObjects),
	},
	{name: "the lease is read", without: []string{"get leases"}},
	{name: "caches are watched", without: verbOf("watch", "namespaces secrets apiservices "+admissionObjects)},
	{name: "jobs and pods are watched", without: verbOf("watch", "jobs pods")},
	{name: "no other definition of the kinds", without: []string{"list customresourcedefinitions"}},
	{
		name: "the lease is taken", without: []string{"create leases"},
		do: func(t *testing.T) func() string {
			kubectl(t, "", "delete", "lease", "karo-executor", "-n", localcluster.KaroNamespace)
			return nil
		},
	},
	{name: "the APIServices are read", without: []string{"get apiservices"}},
	{name: "the serving certificate is read", without: []string{"get secrets"}},
	{
		name: "the serving certificate is written again", without: []string{"create secrets"},
		do: func(t *testing.T) func() string {
			kubectl(t, "", "delete", "secret", servingcert.SecretName, "-n", localcluster.KaroNamespace)
			return nil
		},
	},
	{
		name: "the serving certificate is replaced", without: []string{"update secrets"},
		do: func(t *testing.T) func() string {
			kubectl(t, "", "patch", "secret", servingcert.SecretName, "-n", localcluster.KaroNamespace, "-p", `{"stringData": {"ca.key": "garbage"}}`)
			return nil
		},
	},
	{
		// Karo makes another certificate when it starts, which the kube-apiserver does not trust yet.
		name: "the kube-apiserver is told whom to trust", without: []string{"patch apiservices"},
		first: func(t *testing.T) {
			kubectl(t, "", "delete", "secret", servingcert.SecretName, "-n", localcluster.KaroNamespace)
		},
	},
	{name: "the lease is renewed", without: []string{"update leases"}},
	{name: "what the cluster knows of the store is read", without: []string{"get configmaps"}},
	{name: "what the cluster knows of the store is replaced", without: []string{"update configmaps"}},
	{
		name: "what the cluster knows of the store is written again", without: []string{"create configmaps"},
		do: func(t *testing.T) func() string {
			configMaps := cluster.Client.CoreV1().ConfigMaps(localcluster.KaroNamespace)
			eventually(t, "the ConfigMap to be deleted", func(ctx context.Context) error {
				known, err := configMaps.Get(ctx, "karo-store", metav1.GetOptions{})
				if err != nil {
					return err
				}
				if err := configMaps.Delete(ctx, known.Name, metav1.DeleteOptions{Preconditions: &metav1.Preconditions{ResourceVersion: &known.ResourceVersion}}); err != nil {
					return err
				}
				// Without it the next Karo would not know the store.
				t.Cleanup(func() {
					known.ResourceVersion = ""
					if _, err := configMaps.Create(context.Background(), known, metav1.CreateOptions{}); err != nil {
						t.Error(err)
					}
				})
				return nil
			})
			return nil
		},
	},
	{
		name: "jobs are created, and events", without: []string{"create jobs", "create events"},
		do: func(t *testing.T) func() string {
			namespace := newNamespace(t)
			newReaction(t, namespace, "r", "A", "busybox")
			newReaction(t, namespace, "suspended", "A", "busybox")
			kubectl(t, "", "patch", "ar", "suspended", "-n", namespace, "--type=merge", "-p", `{"spec":{"suspend":true}}`)
			newSender(t, namespace).trigger(t, namespace, firing("A", time.Now()))
			return func() string {
				out, _ := cluster.Kubectl(t.Context(), "", "get", "ex", "-n", namespace, "-o", "yaml")
				return out
			}
		},
	},
	{
		name: "jobs are followed", without: []string{"get jobs", "patch jobs", "get namespaces", "get serviceaccounts", "patch events", "list events"},
		do: func(t *testing.T) func() string {
			namespace := newNamespace(t)
			newReaction(t, namespace, "hangs", "A", "localcluster/hang")
			newReaction(t, namespace, "ends", "B", "busybox")
			newReaction(t, namespace, "suspended", "C", "busybox")
			createReaction(t, namespace, &v1.AlertReaction{
				ObjectMeta: metav1.ObjectMeta{Name: "account"},
				Spec:       v1.AlertReactionSpec{AlertName: "D", ServiceAccountName: "sender", Actions: []v1.Action{{Name: "act", Image: "busybox"}}},
			})
			kubectl(t, "", "patch", "ar", "suspended", "-n", namespace, "--type=merge", "-p", `{"spec":{"suspend":true}}`)
			restricted := newNamespace(t)
			restrict(t, restricted)
			newReaction(t, restricted, "refused", "A", "busybox")
			newSender(t, restricted).trigger(t, restricted, firing("A", time.Now()))
			s := newSender(t, namespace)
			skipped := firing("C", time.Now())
			s.trigger(t, namespace, firing("B", time.Now()), skipped, firing("D", time.Now()))
			// What is sent again has no Execution of its own, so that the event is about the reaction alone, and the same event
			// a second time raises the count of the first.
			s.trigger(t, namespace, skipped)
			s.trigger(t, namespace, skipped)
			name := s.trigger(t, namespace, firing("A", time.Now())).Alerts[0].Reactions[0].Execution
			waitPhase(t, namespace, name, v1.PhaseRunning)
			kubectl(t, "", "delete", "jobs", "-n", namespace, "-l", "karo.io/execution="+name)
			admin := newHTTP(t, cluster.Config)
			return func() string {
				// Whether there is such a namespace is asked of the cluster before it is denied.
				status, answer := admin.post(t, triggerPath("there-is-none"), strings.NewReader(`{"alerts":[]}`))
				if status != http.StatusServiceUnavailable {
					t.Errorf("%d %s, want that it is tried again", status, answer)
				}
				return string(answer)
			}
		},
	},
	{
		name: "jobs are stopped", without: []string{"delete jobs"},
		do: func(t *testing.T) func() string {
			namespace := newNamespace(t)
			newReaction(t, namespace, "hangs", "A", "localcluster/hang")
			name := newSender(t, namespace).trigger(t, namespace, firing("A", time.Now())).Alerts[0].Reactions[0].Execution
			waitPhase(t, namespace, name, v1.PhaseRunning)
			cancel(t, namespace, name)
			return nil
		},
	},
	{
		name: "requests are authenticated and authorized", without: []string{"create tokenreviews", "create subjectaccessreviews"},
		unbound: []string{"clusterrolebinding", "karo:auth-delegator"},
		do: func(t *testing.T) func() string {
			token, err := cluster.Token(t.Context(), "default", "somebody")
			if err != nil {
				t.Fatal(err)
			}
			byToken := rest.AnonymousClientConfig(karo.Config())
			byToken.BearerToken = token
			impersonated := karo.Config()
			impersonated.Impersonate = rest.ImpersonationConfig{UserName: "somebody"}
			return func() string {
				var said []string
				for _, config := range []*rest.Config{byToken, impersonated} {
					_, err := versioned.NewForConfigOrDie(config).KaroV1().Alerts("default").List(t.Context(), metav1.ListOptions{})
					said = append(said, fmt.Sprint(err))
				}
				return strings.Join(said, "\n")
			}
		},
	},
	{
		name: "the authority of the proxy is read", without: []string{"get configmaps"},
		unbound: []string{"rolebinding", "karo:extension-apiserver-authentication-reader", "-n", "kube-system"},
		do: func(t *testing.T) func() string {
			select {
			case <-karo.Process().Exited():
			case <-time.After(patience):
				t.Error("Karo runs without it")
			}
			return nil
		},
	},
}

// Karo's own role is the least that works: what is taken from it is missed, by the cluster's own word.
func TestEveryRightIsNeeded(t *testing.T) {
	// Deferred, since what cleans up has no context of the test any more.
	defer func() {
		karo.Process().Kill()
		installRoles(t, nil)
		restart(t)
	}()
	tried, unbound := sets.New[string](), sets.New[string]()
	for _, trial := range trials {
		if trial.unbound == nil {
			tried.Insert(trial.without...)
		} else {
			unbound.Insert(trial.unbound[1])
		}
		t.Run(trial.name, func(t *testing.T) {
			karo.Process().Kill()
			installRoles(t, trial.without)
			if trial.unbound != nil {
				kubectl(t, "", append([]string{"delete"}, trial.unbound...)...)
				t.Cleanup(func() {
					if out, err := cluster.Kubectl(context.Background(), "", "apply", "-f", rbacFile()); err != nil {
						t.Errorf("%v: %s", err, out)
					}
				})
			}
			if trial.env[0] != "" {
				t.Setenv(trial.env[0], trial.env[1])
			}
			if trial.first != nil {
				trial.first(t)
			}
			info, err := os.Stat(karo.Process().LogFile)
			if err != nil {
				t.Fatal(err)
			}
			if err := karo.Launch(); err != nil {
				t.Fatal(err)
			}
			says := func() string { return "" }
			if trial.do != nil {
				if trial.unbound == nil {
					if err := karo.Available(t.Context()); err != nil {
						t.Fatal(err)
					}
				}
				if more := trial.do(t); more != nil {
					says = more
				}
			}
			for _, right := range trial.without {
				verb, resource, _ := strings.Cut(right, " ")
				t.Run(right, func(t *testing.T) {
					eventually(t, "the cluster to deny Karo the right to "+right, func(context.Context) error {
						log, err := os.ReadFile(karo.Process().LogFile)
						if err != nil {
							return err
						}
						text := string(log[info.Size():]) + says()
						if !strings.Contains(text, fmt.Sprintf(`cannot %s resource %q`, verb, resource)) && !strings.Contains(text, fmt.Sprintf(`cannot %s resource \"%s\"`, verb, resource)) {
							return fmt.Errorf("nothing of it is said")
						}
						return nil
					})
				})
			}
		})
	}
	var has []string
	own, binds := sets.New[string](), sets.New[string]()
	for _, role := range roles(t) {
		own.Insert(role.Name)
		for _, rule := range role.Rules {
			for _, resource := range rule.Resources {
				for _, verb := range rule.Verbs {
					has = append(has, verb+" "+resource)
				}
			}
		}
	}
	for _, binding := range inRBAC[rbacv1.ClusterRoleBinding](t, "Binding") {
		if !own.Has(binding.RoleRef.Name) {
			binds.Insert(binding.Name)
		}
	}
	if !unbound.Equal(binds) {
		t.Errorf("taken away were the bindings %q of %q", sets.List(unbound), sets.List(binds))
	}
	slices.Sort(has)
	if missing := sets.New(has...).Difference(tried); missing.Len() > 0 {
		t.Errorf("nothing here needs the rights %q", sets.List(missing))
	}
	if unknown := tried.Difference(sets.New(has...)); unknown.Len() > 0 {
		t.Errorf("Karo does not have the rights %q", sets.List(unknown))
	}
}

func rbacFile() string { return filepath.Join(cluster.Root, "artifacts", "deploy", "rbac.yaml") }

// roles returns Karo's own roles: the ClusterRole, and the Role in its namespace.
func roles(t *testing.T) []rbacv1.ClusterRole {
	t.Helper()
	return inRBAC[rbacv1.ClusterRole](t, "Role")
}

// inRBAC returns what Karo is given rights by whose kind has an ending.
func inRBAC[T any](t *testing.T, kind string) []T {
	t.Helper()
	content, err := os.ReadFile(rbacFile())
	if err != nil {
		t.Fatal(err)
	}
	var found []T
	decoder := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(content), 4096)
	for {
		var raw runtime.RawExtension
		if err := decoder.Decode(&raw); err != nil {
			return found
		}
		var meta metav1.TypeMeta
		var object T
		if err := errors.Join(json.Unmarshal(raw.Raw, &meta), json.Unmarshal(raw.Raw, &object)); err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(meta.Kind, kind) {
			found = append(found, object)
		}
	}
}

// installRoles gives Karo its roles, without some rights.
func installRoles(t *testing.T, without []string) {
	t.Helper()
	ctx := t.Context()
	api := cluster.Client.RbacV1()
	for _, role := range roles(t) {
		var rules []rbacv1.PolicyRule
		for _, rule := range role.Rules {
			for _, resource := range rule.Resources {
				verbs := slices.DeleteFunc(slices.Clone(rule.Verbs), func(verb string) bool { return slices.Contains(without, verb+" "+resource) })
				if len(verbs) > 0 {
					rules = append(rules, rbacv1.PolicyRule{Verbs: verbs, APIGroups: rule.APIGroups, Resources: []string{resource}, ResourceNames: rule.ResourceNames})
				}
			}
		}
		var err error
		if role.Kind == "ClusterRole" {
			_, err = api.ClusterRoles().Update(ctx, &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: role.Name}, Rules: rules}, metav1.UpdateOptions{})
		} else {
			_, err = api.Roles(role.Namespace).Update(ctx, &rbacv1.Role{ObjectMeta: metav1.ObjectMeta{Name: role.Name, Namespace: role.Namespace}, Rules: rules}, metav1.UpdateOptions{})
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

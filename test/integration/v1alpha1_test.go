// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/yaml"

	v1 "karo.io/karo/pkg/apis/karo/v1"
	"karo.io/karo/pkg/apis/karo/v1alpha1"
)

// old is a manifest as users of the operator before this server have it.
const old = `
apiVersion: karo.io/v1alpha1
kind: AlertReaction
metadata:
  name: old
spec:
  alertName: A
  matchers:
    - {name: severity, operator: "=", value: critical}
  volumes:
    - name: scripts
      configMap: {name: scripts, defaultMode: 493}
  actions:
    - name: notify
      image: busybox
      env:
        - name: WORKFLOW_FIELD
          value: labels.workflow
        - name: ESCAPED
          value: \status
        - name: STATUS
          valueFrom: {alertRef: {fieldPath: status}}
        - name: ALERT_JSON
          valueFrom: {alertRef: {fieldPath: .}}
        - name: TOKEN
          valueFrom: {secretKeyRef: {name: token, key: token}}
      resources:
        limits: {cpu: 100m, memory: 64Mi}
      volumeMounts:
        - {name: scripts, mountPath: /scripts, readOnly: true}
`

func getAlpha(t *testing.T, namespace, name string) *v1alpha1.AlertReaction {
	t.Helper()
	r, err := client.KaroV1alpha1().AlertReactions(namespace).Get(t.Context(), name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func getReaction(t *testing.T, namespace, name string) *v1.AlertReaction {
	t.Helper()
	r, err := client.KaroV1().AlertReactions(namespace).Get(t.Context(), name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// What is written in a version reads back the same there, and means the same in the other; a second apply finds nothing
// to change, also after a patch through the other version.
func TestV1alpha1ReadsBack(t *testing.T) {
	for name, apply := range map[string][]string{"client-side": {"apply"}, "server-side": {"apply", "--server-side"}} {
		t.Run(name, func(t *testing.T) {
			namespace := newNamespace(t)
			in := func(manifest string) string {
				return kubectl(t, manifest, append(apply, "-n", namespace, "-f", "-")...)
			}
			in(old)
			waitSettled(t, namespace, "old")
			first := getAlpha(t, namespace, "old")
			again := func(what string) {
				t.Helper()
				out := in(old)
				if name == "client-side" && !strings.Contains(out, "unchanged") {
					t.Errorf("%s: %s", what, out)
				}
				now := getAlpha(t, namespace, "old")
				if diff := cmp.Diff(first.Spec.Actions, now.Spec.Actions); diff != "" {
					t.Errorf("%s (-first +now):\n%s", what, diff)
				}
				waitSettled(t, namespace, "old")
				now = getAlpha(t, namespace, "old")
				in(old)
				if after := getAlpha(t, namespace, "old"); after.ResourceVersion != now.ResourceVersion {
					t.Errorf("%s, and once more, it stored something (-before +after):\n%s", what, cmp.Diff(now, after))
				}
			}
			again("applied again")
			env := map[string]string{}
			for _, v := range getReaction(t, namespace, "old").Spec.Actions[0].Env {
				text, err := json.Marshal(v)
				if err != nil {
					t.Fatal(err)
				}
				env[v.Name] = string(text)
			}
			if diff := cmp.Diff(map[string]string{
				"WORKFLOW_FIELD": `{"name":"WORKFLOW_FIELD","value":"\\labels.workflow"}`,
				"ESCAPED":        `{"name":"ESCAPED","value":"\\\\status"}`,
				"STATUS":         `{"name":"STATUS","valueFrom":{"alertRef":{"fieldPath":"status"}}}`,
				"ALERT_JSON":     `{"name":"ALERT_JSON","valueFrom":{"alertRef":{"fieldPath":"."}}}`,
				"TOKEN":          `{"name":"TOKEN","valueFrom":{"secretKeyRef":{"name":"token","key":"token"}}}`,
			}, env); diff != "" {
				t.Errorf("in v1 (-want +got):\n%s", diff)
			}
			// Somebody adds what v1alpha1 did not have, in v1.
			kubectl(t, "", "patch", "alertreactions.v1.karo.io", "old", "-n", namespace, "--type=merge", "-p",
				`{"spec":{"when":["Firing","Resolved"],"order":"Sequential"}}`)
			again("after a patch in v1")
			if r := getReaction(t, namespace, "old"); len(r.Spec.When) != 2 || r.Spec.Order != v1.OrderSequential {
				t.Errorf("%+v, want what was patched", r.Spec)
			}
			// What somebody makes literal in v1 is taken from the alert again once the manifest is applied.
			if name == "client-side" {
				kubectl(t, "", "patch", "alertreactions.v1.karo.io", "old", "-n", namespace, "--type=json", "-p",
					`[{"op":"replace","path":"/spec/actions/0/env/2","value":{"name":"STATUS","value":"\\status"}}]`)
				expect(t, in(old), "configured")
				again("after a patch of a variable in v1")
			}
		})
	}
}

// A manifest that says little, or what would be so anyway, reads back as it says, and is not changed by being applied again.
func TestLimitsReadBack(t *testing.T) {
	namespace := newNamespace(t)
	for name, action := range map[string]string{
		"plain":    `{name: act, image: busybox}`,
		"defaults": `{name: act, image: busybox, backoffLimit: 0, activeDeadlineSeconds: 3600, ttlSecondsAfterFinished: 3600}`,
		"others":   `{name: act, image: busybox, backoffLimit: 2, ttlSecondsAfterFinished: 0}`,
	} {
		for _, version := range []string{"v1", "v1alpha1"} {
			manifest := "apiVersion: karo.io/" + version + "\nkind: AlertReaction\nmetadata: {name: " + name + "-" + version + "}\nspec: {alertName: A, actions: [" + action + "]}\n"
			expect(t, kubectl(t, manifest, "apply", "-n", namespace, "-f", "-"), "created")
			expect(t, kubectl(t, manifest, "apply", "-n", namespace, "-f", "-"), "unchanged")
			out, err := cluster.Kubectl(t.Context(), manifest, "diff", "-n", namespace, "-f", "-")
			if err != nil {
				t.Errorf("%s in %s: %v %s", name, version, err, out)
			}
		}
		given := &v1alpha1.Action{}
		if err := yaml.UnmarshalStrict([]byte(action), given); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]v1alpha1.Action{*given}, getAlpha(t, namespace, name+"-v1alpha1").Spec.Actions); diff != "" {
			t.Errorf("%s in v1alpha1 (-written +read):\n%s", name, diff)
		}
	}
	// In v1 the limits are shown, also of an action that says none.
	if a := getReaction(t, namespace, "plain-v1").Spec.Actions[0]; *a.BackoffLimit != 0 || *a.ActiveDeadlineSeconds != 3600 || *a.TTLSecondsAfterFinished != 3600 {
		t.Errorf("%+v", a)
	}
}

// An action becomes a whole Job, and an action again, under its name, however it is applied.
func TestActionBecomesJobTemplate(t *testing.T) {
	namespace := newNamespace(t)
	const action, whole = `image: busybox`, `jobTemplate: {spec: {template: {spec: {containers: [{name: c, image: busybox}]}}}}`
	for name, tc := range map[string]struct {
		version string
		apply   []string
	}{
		"v1":                  {"v1", []string{"apply"}},
		"v1-server-side":      {"v1", []string{"apply", "--server-side"}},
		"v1alpha1":            {"v1alpha1", []string{"apply"}},
		"v1alpha1-serverside": {"v1alpha1", []string{"apply", "--server-side"}},
	} {
		t.Run(name, func(t *testing.T) {
			for generation, what := range []string{action, whole, action} {
				manifest := "apiVersion: karo.io/" + tc.version + "\nkind: AlertReaction\nmetadata: {name: " + name + "}\nspec: {alertName: A, actions: [{name: act, " + what + "}]}\n"
				kubectl(t, manifest, append(tc.apply, "-n", namespace, "-f", "-")...)
				r := getReaction(t, namespace, name)
				if got := r.Spec.Actions[0]; r.Generation != int64(generation+1) || (got.JobTemplate != nil) != (what == whole) || (got.Image == "") != (what == whole) {
					t.Errorf("generation %d: %+v", r.Generation, got)
				}
			}
		})
	}
}

// What a list says by default does not stay in it once the manifest says something else.
func TestWhenIsReplaced(t *testing.T) {
	namespace := newNamespace(t)
	for name, apply := range map[string][]string{"client-side": {"apply"}, "server-side": {"apply", "--server-side"}} {
		for _, version := range []string{"v1", "v1alpha1"} {
			manifest := func(when string) string {
				return "apiVersion: karo.io/" + version + "\nkind: AlertReaction\nmetadata: {name: " + name + "-" + version + "}\nspec: {alertName: A, " + when + "actions: [{name: act, image: busybox}]}\n"
			}
			for _, step := range []struct {
				when string
				want []v1.When
			}{
				{"", []v1.When{v1.WhenFiring}},
				{"when: [Resolved], ", []v1.When{v1.WhenResolved}},
				{"when: [Firing, Resolved], ", []v1.When{v1.WhenFiring, v1.WhenResolved}},
				{"", []v1.When{v1.WhenFiring}},
			} {
				kubectl(t, manifest(step.when), append(apply, "-n", namespace, "-f", "-")...)
				if got := getReaction(t, namespace, name+"-"+version).Spec.When; !slices.Equal(got, step.want) {
					t.Errorf("%s in %s: %q gives %v, want %v", name, version, step.when, got, step.want)
				}
			}
		}
	}
}

// The other way round: written in v1, patched in v1alpha1.
func TestV1ReadsBackAfterV1alpha1(t *testing.T) {
	namespace := newNamespace(t)
	manifest := `
apiVersion: karo.io/v1
kind: AlertReaction
metadata: {name: new}
spec:
  alertName: A
  when: [Resolved]
  actions:
    - name: act
      image: busybox
      env:
        - {name: POD, value: labels.pod}
        - {name: LITERAL, value: '\labels.pod'}
        - {name: SHARE, value: '\\server\share'}
        - {name: ALL, valueFrom: {alertRef: {fieldPath: .}}}
`
	expect(t, kubectl(t, manifest, "apply", "-n", namespace, "-f", "-"), "created")
	waitSettled(t, namespace, "new")
	first := getReaction(t, namespace, "new")
	alpha := getAlpha(t, namespace, "new")
	if diff := cmp.Diff([]v1alpha1.EnvVar{
		{Name: "POD", ValueFrom: &v1alpha1.EnvVarSource{AlertRef: &v1alpha1.AlertFieldSelector{FieldPath: "labels.pod", Inline: true}}},
		{Name: "LITERAL", Value: "labels.pod"},
		{Name: "SHARE", Value: `\\server\share`},
		{Name: "ALL", ValueFrom: &v1alpha1.EnvVarSource{AlertRef: &v1alpha1.AlertFieldSelector{FieldPath: "."}}},
	}, alpha.Spec.Actions[0].Env); diff != "" {
		t.Errorf("in v1alpha1 (-want +got):\n%s", diff)
	}
	// A client that does not know what is new reads, changes and writes: what it lacks is kept.
	alpha.Spec.When, alpha.Spec.Order, alpha.Spec.AlertScope, alpha.Spec.Suspend = nil, "", "", nil
	alpha.Spec.Actions[0].BackoffLimit, alpha.Spec.Actions[0].ActiveDeadlineSeconds, alpha.Spec.Actions[0].TTLSecondsAfterFinished = nil, nil, nil
	alpha.Spec.Actions[0].Env[0].ValueFrom.AlertRef.Inline = false
	alpha.Labels = map[string]string{"changed": "yes"}
	if _, err := client.KaroV1alpha1().AlertReactions(namespace).Update(t.Context(), alpha, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	now := getReaction(t, namespace, "new")
	if diff := cmp.Diff(first.Spec, now.Spec); diff != "" || now.Generation != 1 || now.Labels["changed"] != "yes" {
		t.Errorf("generation %d, labels %v (-first +now):\n%s", now.Generation, now.Labels, diff)
	}
	// A patch says what it removes: that goes back to its default.
	if _, err := client.KaroV1alpha1().AlertReactions(namespace).Patch(t.Context(), "new", types.MergePatchType, []byte(`{"spec":{"when":null}}`), metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	if now = getReaction(t, namespace, "new"); len(now.Spec.When) != 1 || now.Spec.When[0] != v1.WhenFiring {
		t.Errorf("when is %v, want the default", now.Spec.When)
	}
	expect(t, kubectl(t, manifest, "apply", "-n", namespace, "-f", "-"), "configured")
	expect(t, kubectl(t, manifest, "apply", "-n", namespace, "-f", "-"), "unchanged")
	if diff := cmp.Diff(first.Spec, getReaction(t, namespace, "new").Spec); diff != "" {
		t.Errorf("applied again (-first +now):\n%s", diff)
	}
}

// What the operator before this server took and turned into Jobs works, with a warning where it means something else.
func TestV1alpha1Oddities(t *testing.T) {
	namespace := newNamespace(t)
	odd := `
apiVersion: karo.io/v1alpha1
kind: AlertReaction
metadata: {name: odd}
spec:
  alertName: A
  serviceAccountName: default
  matchers:
    - {name: instance, operator: "=~", value: "prod"}
    - {name: team, operator: "!=", value: "x"}
  actions:
    - {name: Echo Alert, image: busybox, serviceAccountName: default}
    - name: twice
      image: busybox
      env:
        - {name: A, value: first}
        - {name: A, value: second, valueFrom: {alertRef: {fieldPath: status}}}
        - {name: B, valueFrom: {alertRef: {fieldPath: ""}, secretKeyRef: {name: s, key: k}}}
    - {name: twice, image: busybox}
`
	out := kubectl(t, odd, "apply", "-n", namespace, "-f", "-")
	expect(t, out, "alertreaction.karo.io/odd created",
		`Warning: spec.actions[2].name: another action has the name "twice"; this one is called "twice-2"`,
		`Warning: spec.matchers[0]: the regular expression has to match the whole value here`,
		`Warning: spec.matchers[1]: an alert without "team" has the empty value here, which matches`)
	waitSettled(t, namespace, "odd")
	first := getAlpha(t, namespace, "odd")
	for _, again := range [][]string{{"apply"}, {"apply", "--server-side", "--force-conflicts"}, {"replace"}} {
		kubectl(t, odd, append(again, "-n", namespace, "-f", "-")...)
		now := getAlpha(t, namespace, "odd")
		if diff := cmp.Diff(first.Spec, now.Spec); diff != "" || now.Generation != 1 {
			t.Errorf("%v again, generation %d (-first +now):\n%s", again, now.Generation, diff)
		}
	}
	s := newSender(t, namespace)
	expectCounts(t, s.trigger(t, namespace, firing("A", time.Now(), "instance", "prod")), 1, 0, 0, 0)
	e := waitFinished(t, namespace, 1, v1.PhaseSucceeded)[0]
	var actions []string
	for _, action := range e.Status.Actions {
		actions = append(actions, action.Name)
	}
	if diff := cmp.Diff([]string{"Echo Alert", "twice", "twice-2"}, actions); diff != "" {
		t.Error(diff)
	}
	expect(t, kubectl(t, "", "get", "jobs", "-n", namespace, "-l", "karo/action-name=Echo-Alert", "-o", "jsonpath={.items[0].metadata.annotations}"), "Echo Alert")
	for _, job := range expectJobs(t, namespace, 3) {
		for _, v := range job.Spec.Template.Spec.Containers[0].Env {
			if v.Name == "B" && (v.ValueFrom != nil || !strings.Contains(v.Value, `"alertname":"A"`)) {
				t.Errorf("of several sources the first counts: %+v", v)
			}
		}
	}
	// It can still be changed in v1, but not made worse there.
	kubectl(t, "", "patch", "alertreactions.v1.karo.io", "odd", "-n", namespace, "--type=merge", "-p", `{"spec":{"suspend":true}}`)
	kubectl(t, "", "patch", "alertreactions.v1.karo.io", "odd", "-n", namespace, "--type=json", "-p", `[{"op":"replace","path":"/spec/actions/0/image","value":"busybox:1"}]`)
	if out, err := cluster.Kubectl(t.Context(), "", "patch", "alertreactions.v1.karo.io", "odd", "-n", namespace, "--type=json", "-p",
		`[{"op":"replace","path":"/spec/actions/0/name","value":"Also Odd"}]`); err == nil || !strings.Contains(out, "spec.actions[0].name: Invalid value") {
		t.Errorf("an odd name in v1: %v %s", err, out)
	}
	// Whatever the version that wrote it, one version is stored and both are shown.
	waitStatus(t, namespace, "odd", "that it ran", func(s *v1.AlertReactionStatus) bool {
		return s.TriggerCount == 1 && len(s.LastJobsCreated) == 3
	})
	eventually(t, "the status in v1alpha1", func(context.Context) error {
		if status := getAlpha(t, namespace, "odd").Status; status.TriggerCount != 1 || status.LastTriggered == nil {
			return fmt.Errorf("%+v", status)
		}
		return nil
	})
}

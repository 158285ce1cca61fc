// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"context"
	"strings"
	"testing"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// reactionWith returns a manifest of a reaction, in v1, with an action and more of its spec.
func reactionWith(spec string) string {
	return "apiVersion: karo.io/v1\nkind: AlertReaction\nmetadata: {name: r}\nspec:\n  alertName: A\n" + spec
}

// What can never be a Job is refused when it is written, in the cluster's words and by the field of the reaction.
func TestWhatIsNoJobIsRefused(t *testing.T) {
	namespace := newNamespace(t)
	for what, tc := range map[string]struct{ spec, says string }{
		"a quantity": {
			"  actions:\n  - {name: a, image: busybox, resources: {limits: {cpu: lots}}}",
			`spec.actions[0].resources.limits[cpu]: Invalid value: "lots": quantities must match`,
		},
		"a quantity of a volume": {
			"  actions:\n  - {name: a, image: busybox}\n  volumes:\n  - {name: v, emptyDir: {sizeLimit: 1Q}}",
			`spec.volumes[0].emptyDir.sizeLimit: Invalid value: "1Q": quantities must match`,
		},
		"a quantity of a template": {
			"  jobTemplate: {spec: {template: {spec: {containers: [{name: c, image: busybox, resources: {requests: {memory: x}}}]}}}}",
			`spec.jobTemplate.spec.template.spec.containers[0].resources.requests[memory]: Invalid value: "x": quantities must match`,
		},
		"requests above limits": {
			"  actions:\n  - {name: a, image: busybox}\n  - {name: b, image: busybox, resources: {limits: {cpu: 1}, requests: {cpu: 2}}}",
			`spec.actions[1].resources.requests: Invalid value: the cluster refuses the Job: Invalid value: "2": must be less than or equal to cpu limit of 1`,
		},
		"a variable": {
			"  actions:\n  - name: a\n    image: busybox\n    env:\n    - {name: A, value: x}\n    - {name: B, valueFrom: {fieldRef: {fieldPath: spec.nothing}}}",
			`spec.actions[0].env[1].valueFrom.fieldRef.fieldPath: Invalid value: the cluster refuses the Job`,
		},
		"a mounted volume": {
			"  actions:\n  - {name: a, image: busybox, volumeMounts: [{name: two, mountPath: /x}]}\n  volumes:\n  - {name: one, emptyDir: {}}\n  - {name: two, hostPath: {path: ../x}}",
			`spec.volumes[1].hostPath.path: Invalid value: the cluster refuses the Job`,
		},
		"a template": {
			"  actions:\n  - {name: a, jobTemplate: {spec: {template: {spec: {containers: [{name: C, image: busybox}]}}}}}",
			`spec.actions[0].jobTemplate.spec.template.spec.containers[0].name: Invalid value: the cluster refuses the Job`,
		},
		"a template as a whole": {
			"  jobTemplate: {spec: {template: {spec: {restartPolicy: Always, containers: [{name: c, image: busybox}]}}}}",
			`spec.jobTemplate.spec.template.spec.restartPolicy: Invalid value: the cluster refuses the Job`,
		},
	} {
		t.Run(what, func(t *testing.T) {
			// It is refused when it is created, and when it is changed.
			named := func(name, spec string) string {
				return strings.Replace(reactionWith(spec), "name: r}", "name: "+name+"}", 1)
			}
			clientSide, serverSide := []string{"apply"}, []string{"apply", "--server-side"}
			kubectl(t, named("client-side", "  actions: [{name: a, image: busybox}]"), append(clientSide, "-n", namespace, "-f", "-")...)
			kubectl(t, named("server-side", "  actions: [{name: a, image: busybox}]"), append(serverSide, "-n", namespace, "-f", "-")...)
			for _, write := range []struct {
				manifest string
				args     []string
			}{
				{reactionWith(tc.spec), []string{"create"}},
				{reactionWith(tc.spec), serverSide},
				{named("client-side", tc.spec), clientSide},
				{named("server-side", tc.spec), serverSide},
			} {
				out, err := cluster.Kubectl(t.Context(), write.manifest, append(write.args, "-n", namespace, "-f", "-")...)
				if err == nil || !strings.Contains(out, tc.says) {
					t.Errorf("%v: %v %s\nwant %s", write.args, err, out, tc.says)
				}
			}
		})
	}
}

// What may be mended until an alert comes is a warning, and none comes when the spec is not written.
func TestWhatStandsAgainstAJobIsAWarning(t *testing.T) {
	namespace := newNamespace(t)
	restrict(t, namespace)
	spec := "  serviceAccountName: missing\n  actions:\n  - {name: a, image: busybox, command: [kubectl, delete, pod, $POD], env: [{name: POD, value: labels.pod}, {name: NEAR, value: label.pod}]}"
	out := kubectl(t, reactionWith(spec), "create", "-n", namespace, "-f", "-")
	expect(t, out, "created",
		`Warning: spec.actions[0]: would violate PodSecurity "restricted:latest"`,
		`Warning: spec.actions[0]: the ServiceAccount "missing" does not exist`,
		`Warning: spec.actions[0].command[3]: $POD is text of the alert`, `put "--" before it`,
		`Warning: spec.actions[0].env[1].value: "label.pod" is literal`)
	if out := kubectl(t, "", "label", "ar", "r", "-n", namespace, "a=b"); strings.Contains(out, "Warning") {
		t.Errorf("labelling it: %s", out)
	}
	good := "  actions:\n  - name: a\n    image: busybox\n    command: [kubectl, delete, pod, --, $POD]\n    env: [{name: POD, value: labels.pod}]\n" +
		"    securityContext: {allowPrivilegeEscalation: false, runAsNonRoot: true, capabilities: {drop: [ALL]}, seccompProfile: {type: RuntimeDefault}}"
	if out := kubectl(t, strings.Replace(reactionWith(good), "name: r}", "name: good}", 1), "create", "-n", namespace, "-f", "-"); strings.Contains(out, "Warning") {
		t.Errorf("a good one: %s", out)
	}

	const notNow = "Warning: spec.actions[0]: the cluster would not take the Job now: "
	says := func(what, words string) {
		t.Helper()
		eventually(t, what, func(ctx context.Context) error {
			out, err := cluster.Kubectl(ctx, reactionWith(good), "apply", "-n", namespace, "--dry-run=server", "-f", "-")
			if err == nil && (!strings.Contains(out, notNow) || !strings.Contains(out, words)) {
				err = errNothing(out)
			}
			return err
		})
	}
	kubectl(t, "", "create", "quota", "none", "-n", namespace, "--hard=count/jobs.batch=0")
	says("the quota to be exceeded", "exceeded quota: none, requested: count/jobs.batch=1, used: count/jobs.batch=0, limited: count/jobs.batch=0")
	kubectl(t, "", "delete", "quota", "none", "-n", namespace)

	// Nothing listens where this webhook is.
	hooks := cluster.Client.AdmissionregistrationV1().ValidatingWebhookConfigurations()
	some := admissionregistrationv1.SideEffectClassNoneOnDryRun
	if _, err := hooks.Create(t.Context(), &admissionregistrationv1.ValidatingWebhookConfiguration{
		ObjectMeta: metav1.ObjectMeta{Name: namespace},
		Webhooks: []admissionregistrationv1.ValidatingWebhook{{
			Name: "away.example.com", AdmissionReviewVersions: []string{"v1"}, SideEffects: &some,
			ClientConfig:      admissionregistrationv1.WebhookClientConfig{URL: new("https://127.0.0.1:1/")},
			NamespaceSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"kubernetes.io/metadata.name": namespace}},
			Rules: []admissionregistrationv1.RuleWithOperations{{
				Operations: []admissionregistrationv1.OperationType{admissionregistrationv1.Create},
				Rule:       admissionregistrationv1.Rule{APIGroups: []string{"batch"}, APIVersions: []string{"v1"}, Resources: []string{"jobs"}},
			}},
		}},
	}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = hooks.Delete(context.Background(), namespace, metav1.DeleteOptions{}) })
	says("the webhook to be asked", `failed calling webhook "away.example.com"`)
}

type errNothing string

func (e errNothing) Error() string { return "it says " + string(e) }

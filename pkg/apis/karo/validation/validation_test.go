// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

package validation_test

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"karo.io/karo/pkg/apis/karo"
	v1 "karo.io/karo/pkg/apis/karo/v1"
	"karo.io/karo/pkg/apis/karo/validation"
	"karo.io/karo/pkg/apis/nanotime"
)

// The words of the Kubernetes libraries, where it is theirs to say what is wrong.
const (
	notALabel = `a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and ` +
		`end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')`
	notASubdomain = `a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must ` +
		`start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is ` +
		`'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')`
	notAKey = `a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or ` +
		`'key-name', regex used for validation is '[-._a-zA-Z0-9]+')`
	immutable = `field is immutable`

	// The words of a field path that is none.
	fieldsOfAnAlert = `is no field of an alert: must be ".", "status", "startsAt", "endsAt", "generatorURL", "fingerprint", ` +
		`"labels.<name>", "annotations.<name>", "labels" or "annotations"`
)

// strict are the rules of v1, lenient those of v1alpha1.
var strict, lenient = validation.Options{}, validation.Options{Lenient: true}

// expect compares errors by their whole text, which begins with the path of the field, in any order.
func expect(t *testing.T, got field.ErrorList, want ...string) {
	t.Helper()
	texts := make([]string, 0, len(got))
	for _, err := range got {
		texts = append(texts, err.Error())
	}
	slices.Sort(texts)
	slices.Sort(want)
	if diff := cmp.Diff(want, texts); diff != "" && len(want)+len(texts) > 0 {
		t.Errorf("errors (-want +got):\n%s", diff)
	}
}

func reaction(change func(*karo.AlertReaction)) *karo.AlertReaction {
	r := &karo.AlertReaction{
		ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "reaction", ResourceVersion: "1"},
		Spec: karo.AlertReactionSpec{
			AlertName:  "KubePodCrashLooping",
			Matchers:   []karo.Matcher{{Name: "severity", Operator: karo.MatchEqual, Value: "critical"}},
			When:       []karo.When{karo.WhenFiring},
			AlertScope: karo.ScopeNamespace,
			Order:      karo.OrderParallel,
			Actions: []karo.Action{{
				Name:  "collect",
				Image: "busybox:1.37",
				Env: []karo.EnvVar{
					{Name: "LITERAL", Literal: "text"},
					{Name: "EXPRESSION", Expression: "labels.pod"},
					{Name: "EMPTY"},
				},
				VolumeMounts: []corev1.VolumeMount{{Name: "data", MountPath: "/data"}},
			}},
			Volumes: []corev1.Volume{{Name: "data"}},
		},
	}
	if change != nil {
		change(r)
	}
	return r
}

// source returns a reaction whose first variable has a source.
func source(s karo.EnvVarSource) func(*karo.AlertReaction) {
	return func(r *karo.AlertReaction) {
		r.Spec.Actions[0].Env = []karo.EnvVar{{Name: "V", ValueFrom: &s}}
	}
}

func TestAlertReaction(t *testing.T) {
	for name, tc := range map[string]struct {
		change func(*karo.AlertReaction)
		want   []string
	}{
		"valid": {},
		"metadata.name": {
			change: func(r *karo.AlertReaction) { r.Name = "Not_a_name" },
			want:   []string{`metadata.name: Invalid value: "Not_a_name": ` + notASubdomain},
		},
		"metadata.name is missing": {
			change: func(r *karo.AlertReaction) { r.Name = "" },
			want:   []string{`metadata.name: Required value: name or generateName is required`},
		},
		"metadata.namespace is missing": {
			change: func(r *karo.AlertReaction) { r.Namespace = "" },
			want:   []string{`metadata.namespace: Required value`},
		},

		"spec.alertName and matchers are missing": {
			change: func(r *karo.AlertReaction) { r.Spec.AlertName, r.Spec.Matchers = "", nil },
			want:   []string{`spec.alertName: Required value: at least one of alertName and matchers is required`},
		},
		"spec.alertName alone": {
			change: func(r *karo.AlertReaction) { r.Spec.Matchers = nil },
		},
		"spec.matchers alone": {
			change: func(r *karo.AlertReaction) { r.Spec.AlertName = "" },
		},
		"spec.matchers alone match the empty string": {
			change: func(r *karo.AlertReaction) {
				r.Spec.AlertName = ""
				r.Spec.Matchers = []karo.Matcher{
					{Name: "a", Operator: karo.MatchEqual, Value: ""},
					{Name: "b", Operator: karo.MatchNotEqual, Value: "x"},
					{Name: "c", Operator: karo.MatchRegexp, Value: ".*"},
					{Name: "annotations.d", Operator: karo.MatchNotRegexp, Value: "x+"},
				}
			},
			want: []string{`spec.matchers: Invalid value: "{a=\"\",b!=\"x\",c=~\".*\",annotations.d!~\"x+\"}": ` +
				`without an alertName, at least one matcher must not match the empty string`},
		},
		"spec.matchers match the empty string beside an alertName": {
			change: func(r *karo.AlertReaction) {
				r.Spec.Matchers = []karo.Matcher{{Name: "a", Operator: karo.MatchEqual, Value: ""}}
			},
		},
		"one of spec.matchers does not match the empty string": {
			change: func(r *karo.AlertReaction) {
				r.Spec.AlertName = ""
				r.Spec.Matchers = []karo.Matcher{
					{Name: "a", Operator: karo.MatchEqual, Value: ""},
					{Name: "annotations.b", Operator: karo.MatchRegexp, Value: ".+"},
				}
			},
		},
		"spec.matchers[].name is missing": {
			change: func(r *karo.AlertReaction) { r.Spec.Matchers[0].Name = "" },
			want:   []string{`spec.matchers[0].name: Required value: the name of a label, or of an annotation behind "annotations."`},
		},
		"spec.matchers[].name of an annotation is missing": {
			change: func(r *karo.AlertReaction) { r.Spec.Matchers[0].Name = "annotations." },
			want:   []string{`spec.matchers[0].name: Required value: the name of a label, or of an annotation behind "annotations."`},
		},
		"spec.matchers[].name is not UTF-8": {
			change: func(r *karo.AlertReaction) { r.Spec.Matchers[0].Name = "a\xff" },
			want:   []string{`spec.matchers[0].name: Invalid value: "a\xff": must be valid UTF-8`},
		},
		"spec.matchers[].name is any UTF-8": {
			change: func(r *karo.AlertReaction) { r.Spec.Matchers[0].Name = "k8s.pod/größe 🔥" },
		},
		"spec.matchers[].operator": {
			change: func(r *karo.AlertReaction) { r.Spec.Matchers[0].Operator = "==" },
			want:   []string{`spec.matchers[0].operator: Unsupported value: "==": supported values: "=", "!=", "=~", "!~"`},
		},
		"spec.matchers[].value is no regular expression": {
			change: func(r *karo.AlertReaction) {
				r.Spec.Matchers = append(r.Spec.Matchers, karo.Matcher{Name: "pod", Operator: karo.MatchRegexp, Value: "web-(.*"})
			},
			want: []string{`spec.matchers[1].value: Invalid value: "web-(.*": not a regular expression: error parsing regexp: missing closing ): ` + "`web-(.*`"},
		},
		"spec.matchers[].value is no negated regular expression": {
			change: func(r *karo.AlertReaction) {
				r.Spec.Matchers[0] = karo.Matcher{Name: "pod", Operator: karo.MatchNotRegexp, Value: "*"}
			},
			want: []string{`spec.matchers[0].value: Invalid value: "*": not a regular expression: error parsing regexp: missing argument to repetition operator: ` + "`*`"},
		},
		"every bad matcher is named": {
			change: func(r *karo.AlertReaction) {
				r.Spec.Matchers = []karo.Matcher{{Name: "", Operator: karo.MatchEqual}, {Name: "a", Operator: "~"}}
			},
			want: []string{
				`spec.matchers[0].name: Required value: the name of a label, or of an annotation behind "annotations."`,
				`spec.matchers[1].operator: Unsupported value: "~": supported values: "=", "!=", "=~", "!~"`,
			},
		},

		"spec.when is empty": {
			change: func(r *karo.AlertReaction) { r.Spec.When = nil },
			want:   []string{`spec.when: Required value: at least one status is required`},
		},
		"spec.when of both": {
			change: func(r *karo.AlertReaction) { r.Spec.When = []karo.When{karo.WhenResolved, karo.WhenFiring} },
		},
		"spec.when[] is no status": {
			change: func(r *karo.AlertReaction) { r.Spec.When = []karo.When{karo.WhenFiring, "firing", ""} },
			want: []string{
				`spec.when[1]: Unsupported value: "firing": supported values: "Firing", "Resolved"`,
				`spec.when[2]: Unsupported value: "": supported values: "Firing", "Resolved"`,
			},
		},
		"spec.when[] is there twice": {
			change: func(r *karo.AlertReaction) {
				r.Spec.When = []karo.When{karo.WhenFiring, karo.WhenResolved, karo.WhenFiring}
			},
			want: []string{`spec.when[2]: Duplicate value: "Firing"`},
		},
		"spec.alertScope": {
			change: func(r *karo.AlertReaction) { r.Spec.AlertScope = "All" },
			want:   []string{`spec.alertScope: Unsupported value: "All": supported values: "Namespace", "Cluster"`},
		},
		"spec.alertScope is missing": {
			change: func(r *karo.AlertReaction) { r.Spec.AlertScope = "" },
			want:   []string{`spec.alertScope: Unsupported value: "": supported values: "Namespace", "Cluster"`},
		},
		"spec.order": {
			change: func(r *karo.AlertReaction) { r.Spec.Order = "sequential" },
			want:   []string{`spec.order: Unsupported value: "sequential": supported values: "Parallel", "Sequential"`},
		},
		"the other words": {
			change: func(r *karo.AlertReaction) {
				r.Spec.When, r.Spec.AlertScope, r.Spec.Order = []karo.When{karo.WhenResolved}, karo.ScopeCluster, karo.OrderSequential
			},
		},
		"spec.serviceAccountName": {
			change: func(r *karo.AlertReaction) { r.Spec.ServiceAccountName = "No_Name" },
			want:   []string{`spec.serviceAccountName: Invalid value: "No_Name": ` + notASubdomain},
		},

		"spec.jobTemplate in the place of actions": {
			change: func(r *karo.AlertReaction) { r.Spec.Actions, r.Spec.JobTemplate = nil, template("c") },
		},
		"spec.jobTemplate beside actions": {
			change: func(r *karo.AlertReaction) { r.Spec.JobTemplate = template("c") },
			want:   []string{`spec.jobTemplate: Forbidden: may not be given beside actions`},
		},
		"spec.jobTemplate without a container": {
			change: func(r *karo.AlertReaction) { r.Spec.Actions, r.Spec.JobTemplate = nil, template() },
			want:   []string{`spec.jobTemplate.spec.template.spec.containers: Required value: at least one container is required`},
		},
		"spec.jobTemplate that never ends": {
			change: func(r *karo.AlertReaction) {
				r.Spec.Actions, r.Spec.JobTemplate = nil, template("c")
				r.Spec.JobTemplate.Spec.Suspend = new(true)
			},
			want: []string{`spec.jobTemplate.spec.suspend: Forbidden: a Job that is suspended never ends; suspend the reaction`},
		},
		"spec.actions[].jobTemplate": {
			change: func(r *karo.AlertReaction) {
				r.Spec.Actions[0] = karo.Action{Name: "a", JobTemplate: template("c", "d")}
			},
		},
		"spec.actions[].jobTemplate without a container": {
			change: func(r *karo.AlertReaction) { r.Spec.Actions[0] = karo.Action{Name: "a", JobTemplate: template()} },
			want:   []string{`spec.actions[0].jobTemplate.spec.template.spec.containers: Required value: at least one container is required`},
		},
		"spec.actions[].jobTemplate of an action without a name": {
			change: func(r *karo.AlertReaction) { r.Spec.Actions[0] = karo.Action{JobTemplate: template("c")} },
			want:   []string{`spec.actions[0].name: Invalid value: "": ` + notALabel},
		},
		"spec.actions is too long": {
			change: func(r *karo.AlertReaction) {
				for i := range 100 {
					r.Spec.Actions = append(r.Spec.Actions, karo.Action{Name: "a" + strconv.Itoa(i), Image: "i"})
				}
			},
			want: []string{`spec.actions: Too many: 101: must have at most 100 items`},
		},
		"spec.actions is empty": {
			change: func(r *karo.AlertReaction) { r.Spec.Actions = nil },
			want:   []string{`spec.actions: Required value: at least one action is required`},
		},
		"spec.actions[].name is there twice": {
			change: func(r *karo.AlertReaction) {
				r.Spec.Actions = append(r.Spec.Actions, karo.Action{Name: "other", Image: "i"}, karo.Action{Name: "collect", Image: "i"})
			},
			want: []string{`spec.actions[2].name: Duplicate value: "collect"`},
		},
		"spec.actions[].name is no label": {
			change: func(r *karo.AlertReaction) { r.Spec.Actions[0].Name = "Collect.Logs" },
			want:   []string{`spec.actions[0].name: Invalid value: "Collect.Logs": ` + notALabel},
		},
		"spec.actions[].name is missing": {
			change: func(r *karo.AlertReaction) { r.Spec.Actions[0].Name = "" },
			want:   []string{`spec.actions[0].name: Invalid value: "": ` + notALabel},
		},
		"spec.actions[].name is too long": {
			change: func(r *karo.AlertReaction) { r.Spec.Actions[0].Name = strings.Repeat("a", 64) },
			want:   []string{`spec.actions[0].name: Invalid value: "` + strings.Repeat("a", 64) + `": must be no more than 63 characters`},
		},
		"spec.actions[].image is missing": {
			change: func(r *karo.AlertReaction) { r.Spec.Actions[0].Image = "" },
			want:   []string{`spec.actions[0].image: Required value: a container image`},
		},
		"spec.actions[].image has a blank": {
			change: func(r *karo.AlertReaction) { r.Spec.Actions[0].Image = "busybox " },
			want:   []string{`spec.actions[0].image: Invalid value: "busybox ": must not have leading or trailing whitespace`},
		},
		"spec.actions[].serviceAccount": {
			change: func(r *karo.AlertReaction) { r.Spec.Actions[0].ServiceAccount = "no/name" },
			want:   []string{`spec.actions[0].serviceAccount: Invalid value: "no/name": ` + notASubdomain},
		},
		"spec.actions[].serviceAccountName": {
			change: func(r *karo.AlertReaction) { r.Spec.Actions[0].ServiceAccountName = "no/name" },
			want:   []string{`spec.actions[0].serviceAccountName: Invalid value: "no/name": ` + notASubdomain},
		},
		"spec.actions[].serviceAccountName is another": {
			change: func(r *karo.AlertReaction) {
				r.Spec.Actions[0].ServiceAccount, r.Spec.Actions[0].ServiceAccountName = "a", "b"
			},
			want: []string{`spec.actions[0].serviceAccountName: Invalid value: "b": must be the same as serviceAccount when both are given`},
		},
		"spec.actions[].serviceAccountName is the same": {
			change: func(r *karo.AlertReaction) {
				r.Spec.Actions[0].ServiceAccount, r.Spec.Actions[0].ServiceAccountName = "a", "a"
			},
		},
		"spec.actions[].imagePullPolicy": {
			change: func(r *karo.AlertReaction) { r.Spec.Actions[0].ImagePullPolicy = "Sometimes" },
			want:   []string{`spec.actions[0].imagePullPolicy: Unsupported value: "Sometimes": supported values: "Always", "IfNotPresent", "Never"`},
		},
		"spec.actions[].imagePullPolicy is known": {
			change: func(r *karo.AlertReaction) {
				r.Spec.Actions = nil
				for i, policy := range []corev1.PullPolicy{"", corev1.PullAlways, corev1.PullIfNotPresent, corev1.PullNever} {
					r.Spec.Actions = append(r.Spec.Actions, karo.Action{Name: "a" + strconv.Itoa(i), Image: "i", ImagePullPolicy: policy})
				}
			},
		},
		"spec.actions[].backoffLimit": {
			change: func(r *karo.AlertReaction) { r.Spec.Actions[0].BackoffLimit = new(int32(-1)) },
			want:   []string{`spec.actions[0].backoffLimit: Invalid value: -1: must be greater than or equal to 0`},
		},
		"spec.actions[].activeDeadlineSeconds": {
			change: func(r *karo.AlertReaction) { r.Spec.Actions[0].ActiveDeadlineSeconds = new(int64(0)) },
			want:   []string{`spec.actions[0].activeDeadlineSeconds: Invalid value: 0: must be greater than 0`},
		},
		"spec.actions[].ttlSecondsAfterFinished": {
			change: func(r *karo.AlertReaction) { r.Spec.Actions[0].TTLSecondsAfterFinished = new(int32(-1)) },
			want:   []string{`spec.actions[0].ttlSecondsAfterFinished: Invalid value: -1: must be greater than or equal to 0`},
		},
		"the limits may be as low as that": {
			change: func(r *karo.AlertReaction) {
				a := &r.Spec.Actions[0]
				a.BackoffLimit, a.ActiveDeadlineSeconds, a.TTLSecondsAfterFinished = new(int32(0)), new(int64(1)), new(int32(0))
			},
		},

		"spec.actions[].env[].name": {
			change: func(r *karo.AlertReaction) { r.Spec.Actions[0].Env[1].Name = "A=B" },
			want: []string{`spec.actions[0].env[1].name: Invalid value: "A=B": a valid environment variable name must consist only of ` +
				`printable ASCII characters other than '='`},
		},
		"spec.actions[].env[].name is missing": {
			change: func(r *karo.AlertReaction) { r.Spec.Actions[0].Env[1].Name = "" },
			want:   []string{`spec.actions[0].env[1].name: Invalid value: "": environment variable name must be non-empty`},
		},
		"spec.actions[].env[].name is there twice": {
			change: func(r *karo.AlertReaction) { r.Spec.Actions[0].Env[2].Name = "LITERAL" },
			want:   []string{`spec.actions[0].env[2].name: Duplicate value: "LITERAL"`},
		},
		"spec.actions[].env[].valueFrom beside a literal": {
			change: func(r *karo.AlertReaction) {
				r.Spec.Actions[0].Env[0].ValueFrom = &karo.EnvVarSource{AlertRef: &karo.AlertFieldSelector{FieldPath: "."}}
			},
			want: []string{`spec.actions[0].env[0].valueFrom: Forbidden: may not be given beside value`},
		},
		"spec.actions[].env[].valueFrom beside an expression": {
			change: func(r *karo.AlertReaction) {
				r.Spec.Actions[0].Env[1].ValueFrom = &karo.EnvVarSource{AlertRef: &karo.AlertFieldSelector{FieldPath: "."}}
			},
			want: []string{`spec.actions[0].env[1].valueFrom: Forbidden: may not be given beside value`},
		},
		"spec.actions[].env[].valueFrom without a source": {
			change: source(karo.EnvVarSource{}),
			want:   []string{`spec.actions[0].env[0].valueFrom: Required value: exactly one source must be given`},
		},
		"spec.actions[].env[].valueFrom with two sources": {
			change: source(karo.EnvVarSource{
				AlertRef: &karo.AlertFieldSelector{FieldPath: "status"},
				FieldRef: &corev1.ObjectFieldSelector{FieldPath: "metadata.name"},
			}),
			want: []string{`spec.actions[0].env[0].valueFrom: Forbidden: exactly one source must be given`},
		},
		"spec.actions[].env[].valueFrom.alertRef.fieldPath": {
			change: source(karo.EnvVarSource{AlertRef: &karo.AlertFieldSelector{FieldPath: "name"}}),
			want:   []string{`spec.actions[0].env[0].valueFrom.alertRef.fieldPath: Invalid value: "name": "name" ` + fieldsOfAnAlert},
		},
		"spec.actions[].env[].valueFrom.alertRef.fieldPath lacks the name": {
			change: source(karo.EnvVarSource{AlertRef: &karo.AlertFieldSelector{FieldPath: "annotations."}}),
			want:   []string{`spec.actions[0].env[0].valueFrom.alertRef.fieldPath: Invalid value: "annotations.": "annotations." ` + fieldsOfAnAlert},
		},
		"spec.actions[].env[].valueFrom.alertRef.fieldPath is missing": {
			change: source(karo.EnvVarSource{AlertRef: &karo.AlertFieldSelector{}}),
			want:   []string{`spec.actions[0].env[0].valueFrom.alertRef.fieldPath: Required value: a field of the alert`},
		},
		"spec.actions[].env[].valueFrom.configMapKeyRef": {
			change: source(karo.EnvVarSource{ConfigMapKeyRef: &corev1.ConfigMapKeySelector{}}),
			want: []string{
				`spec.actions[0].env[0].valueFrom.configMapKeyRef.name: Required value`,
				`spec.actions[0].env[0].valueFrom.configMapKeyRef.key: Required value`,
			},
		},
		"spec.actions[].env[].valueFrom.secretKeyRef": {
			change: source(karo.EnvVarSource{SecretKeyRef: &corev1.SecretKeySelector{
				LocalObjectReference: corev1.LocalObjectReference{Name: "s"}, Key: "a/b",
			}}),
			want: []string{`spec.actions[0].env[0].valueFrom.secretKeyRef.key: Invalid value: "a/b": ` + notAKey},
		},
		"spec.actions[].env[].valueFrom.fieldRef": {
			change: source(karo.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{}}),
			want:   []string{`spec.actions[0].env[0].valueFrom.fieldRef.fieldPath: Required value: a field of the pod`},
		},
		"spec.actions[].env[].valueFrom.resourceFieldRef": {
			change: source(karo.EnvVarSource{ResourceFieldRef: &corev1.ResourceFieldSelector{}}),
			want:   []string{`spec.actions[0].env[0].valueFrom.resourceFieldRef.resource: Required value: a resource of the container`},
		},
		"every source alone is valid": {
			change: func(r *karo.AlertReaction) {
				for i, s := range []karo.EnvVarSource{
					{AlertRef: &karo.AlertFieldSelector{FieldPath: "."}},
					{AlertRef: &karo.AlertFieldSelector{FieldPath: "status"}},
					{AlertRef: &karo.AlertFieldSelector{FieldPath: "startsAt"}},
					{AlertRef: &karo.AlertFieldSelector{FieldPath: "endsAt"}},
					{AlertRef: &karo.AlertFieldSelector{FieldPath: "generatorURL"}},
					{AlertRef: &karo.AlertFieldSelector{FieldPath: "fingerprint"}},
					{AlertRef: &karo.AlertFieldSelector{FieldPath: "labels.größe"}},
					{AlertRef: &karo.AlertFieldSelector{FieldPath: "annotations.a.b"}},
					{AlertRef: &karo.AlertFieldSelector{FieldPath: "labels"}},
					{AlertRef: &karo.AlertFieldSelector{FieldPath: "annotations"}},
					{ConfigMapKeyRef: &corev1.ConfigMapKeySelector{LocalObjectReference: corev1.LocalObjectReference{Name: "c"}, Key: "k.v"}},
					{SecretKeyRef: &corev1.SecretKeySelector{LocalObjectReference: corev1.LocalObjectReference{Name: "s"}, Key: "k"}},
					{FieldRef: &corev1.ObjectFieldSelector{FieldPath: "metadata.name"}},
					{ResourceFieldRef: &corev1.ResourceFieldSelector{Resource: "limits.cpu"}},
				} {
					r.Spec.Actions[0].Env = append(r.Spec.Actions[0].Env, karo.EnvVar{Name: "V" + string(rune('A'+i)), ValueFrom: &s})
				}
			},
		},

		"spec.actions[].volumeMounts[].name is no volume": {
			change: func(r *karo.AlertReaction) { r.Spec.Volumes[0].Name = "other" },
			want:   []string{`spec.actions[0].volumeMounts[0].name: Not found: "data"`},
		},
		"spec.actions[].volumeMounts[].name is missing": {
			change: func(r *karo.AlertReaction) { r.Spec.Actions[0].VolumeMounts[0].Name = "" },
			want:   []string{`spec.actions[0].volumeMounts[0].name: Required value: the name of a volume of the reaction`},
		},
		"spec.actions[].volumeMounts[].mountPath is missing": {
			change: func(r *karo.AlertReaction) { r.Spec.Actions[0].VolumeMounts[0].MountPath = "" },
			want:   []string{`spec.actions[0].volumeMounts[0].mountPath: Required value`},
		},
		"spec.actions[].volumeMounts[].mountPath is there twice": {
			change: func(r *karo.AlertReaction) {
				mounts := &r.Spec.Actions[0].VolumeMounts
				*mounts = append(*mounts, corev1.VolumeMount{Name: "data", MountPath: "/data", SubPath: "s"})
			},
			want: []string{`spec.actions[0].volumeMounts[1].mountPath: Duplicate value: "/data"`},
		},
		"spec.actions[].resources.limits": {
			change: func(r *karo.AlertReaction) {
				r.Spec.Actions[0].Resources.Limits = corev1.ResourceList{"cpu": resource.MustParse("-1m"), "memory": resource.MustParse("0")}
			},
			want: []string{`spec.actions[0].resources.limits[cpu]: Invalid value: "-1m": must not be negative`},
		},
		"spec.actions[].resources.requests": {
			change: func(r *karo.AlertReaction) {
				r.Spec.Actions[0].Resources.Requests = corev1.ResourceList{"memory": resource.MustParse("-1Gi")}
			},
			want: []string{`spec.actions[0].resources.requests[memory]: Invalid value: "-1Gi": must not be negative`},
		},

		"spec.volumes[].name is no label": {
			change: func(r *karo.AlertReaction) {
				r.Spec.Volumes = append(r.Spec.Volumes, corev1.Volume{Name: "no_label"})
			},
			want: []string{`spec.volumes[1].name: Invalid value: "no_label": ` + notALabel},
		},
		"spec.volumes[].name is there twice": {
			change: func(r *karo.AlertReaction) { r.Spec.Volumes = append(r.Spec.Volumes, corev1.Volume{Name: "data"}) },
			want:   []string{`spec.volumes[1].name: Duplicate value: "data"`},
		},

		"errors of several actions": {
			change: func(r *karo.AlertReaction) {
				r.Spec.Actions[0].Image = ""
				r.Spec.Actions = append(r.Spec.Actions, karo.Action{Name: "other"})
			},
			want: []string{
				`spec.actions[0].image: Required value: a container image`,
				`spec.actions[1].image: Required value: a container image`,
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			expect(t, validation.AlertReaction(reaction(tc.change), strict), tc.want...)
			// What may not be created may not come into being by an update either.
			if !strings.HasPrefix(name, "metadata") {
				expect(t, validation.AlertReactionUpdate(reaction(tc.change), reaction(nil), strict), tc.want...)
			}
		})
	}
}

// template returns a Job template with containers of these names.
func template(containers ...string) *batchv1.JobTemplateSpec {
	t := &batchv1.JobTemplateSpec{}
	for _, name := range containers {
		t.Spec.Template.Spec.Containers = append(t.Spec.Template.Spec.Containers, corev1.Container{Name: name, Image: "i"})
	}
	return t
}

// A Job template stands in the place of every other field of an action, those included that will come.
func TestJobTemplateStandsAlone(t *testing.T) {
	for name, change := range map[string]func(*karo.Action){
		"image":                   func(a *karo.Action) { a.Image = "i" },
		"imagePullPolicy":         func(a *karo.Action) { a.ImagePullPolicy = corev1.PullAlways },
		"command":                 func(a *karo.Action) { a.Command = []string{"c"} },
		"args":                    func(a *karo.Action) { a.Args = []string{"a"} },
		"env":                     func(a *karo.Action) { a.Env = []karo.EnvVar{{Name: "V"}} },
		"envFrom":                 func(a *karo.Action) { a.EnvFrom = []corev1.EnvFromSource{{}} },
		"resources":               func(a *karo.Action) { a.Resources.Limits = corev1.ResourceList{"cpu": resource.MustParse("1")} },
		"volumeMounts":            func(a *karo.Action) { a.VolumeMounts = []corev1.VolumeMount{{Name: "data", MountPath: "/data"}} },
		"securityContext":         func(a *karo.Action) { a.SecurityContext = &corev1.SecurityContext{} },
		"serviceAccount":          func(a *karo.Action) { a.ServiceAccount = "s" },
		"serviceAccountName":      func(a *karo.Action) { a.ServiceAccountName = "s" },
		"backoffLimit":            func(a *karo.Action) { a.BackoffLimit = new(int32(0)) },
		"activeDeadlineSeconds":   func(a *karo.Action) { a.ActiveDeadlineSeconds = new(int64(1)) },
		"ttlSecondsAfterFinished": func(a *karo.Action) { a.TTLSecondsAfterFinished = new(int32(1)) },
	} {
		r := reaction(func(r *karo.AlertReaction) {
			r.Spec.Actions[0] = karo.Action{Name: "a", JobTemplate: template("c")}
			change(&r.Spec.Actions[0])
		})
		t.Run(name, func(t *testing.T) {
			for _, options := range []validation.Options{strict, lenient} {
				expect(t, validation.AlertReaction(r, options),
					`spec.actions[0].jobTemplate: Forbidden: may not be given beside other fields of the action than its name`)
			}
		})
	}
}

// v1alpha1 has always taken these, and turned them into Jobs; v1 refuses them as mistakes.
func TestLenient(t *testing.T) {
	both := karo.EnvVarSource{
		AlertRef: &karo.AlertFieldSelector{FieldPath: "status"}, FieldRef: &corev1.ObjectFieldSelector{FieldPath: "metadata.name"},
	}
	for name, tc := range map[string]struct {
		change          func(*karo.AlertReaction)
		strict, lenient []string
	}{
		"spec.actions[].name of any text": {
			change: func(r *karo.AlertReaction) { r.Spec.Actions[0].Name = "Collect Logs (größe)" },
			strict: []string{`spec.actions[0].name: Invalid value: "Collect Logs (größe)": ` + notALabel},
		},
		"spec.actions[].name is missing": {
			change:  func(r *karo.AlertReaction) { r.Spec.Actions[0].Name = "" },
			strict:  []string{`spec.actions[0].name: Invalid value: "": ` + notALabel},
			lenient: []string{`spec.actions[0].name: Invalid value: "": ` + notALabel},
		},
		"spec.actions[].name is no text": {
			change:  func(r *karo.AlertReaction) { r.Spec.Actions[0].Name = "a\xff" },
			strict:  []string{`spec.actions[0].name: Invalid value: "a\xff": ` + notALabel},
			lenient: []string{`spec.actions[0].name: Invalid value: "a\xff": ` + notALabel},
		},
		"spec.actions[].name is longer than a label": {
			change: func(r *karo.AlertReaction) { r.Spec.Actions[0].Name = strings.Repeat("a", 253) },
			strict: []string{`spec.actions[0].name: Invalid value: "` + strings.Repeat("a", 253) + `": must be no more than 63 characters`},
		},
		"spec.actions[].name is too long": {
			change:  func(r *karo.AlertReaction) { r.Spec.Actions[0].Name = strings.Repeat("a", 254) },
			strict:  []string{`spec.actions[0].name: Invalid value: "` + strings.Repeat("a", 254) + `": must be no more than 63 characters`},
			lenient: []string{`spec.actions[0].name: Too long: may not be more than 253 bytes`},
		},
		"spec.actions[].name cannot be shown": {
			change:  func(r *karo.AlertReaction) { r.Spec.Actions[0].Name = "a\x1b[31m" },
			strict:  []string{`spec.actions[0].name: Invalid value: "a\x1b[31m": ` + notALabel},
			lenient: []string{`spec.actions[0].name: Invalid value: "a\x1b[31m": ` + notALabel},
		},
		"spec.actions[].env[].name is there twice": {
			change: func(r *karo.AlertReaction) { r.Spec.Actions[0].Env[2].Name = "LITERAL" },
			strict: []string{`spec.actions[0].env[2].name: Duplicate value: "LITERAL"`},
		},
		"spec.actions[].env[].valueFrom beside a value": {
			change: func(r *karo.AlertReaction) { r.Spec.Actions[0].Env[0].ValueFrom = &both },
			strict: []string{`spec.actions[0].env[0].valueFrom: Forbidden: may not be given beside value`},
		},
		"spec.actions[].env[].valueFrom that does not count": {
			change: func(r *karo.AlertReaction) {
				r.Spec.Actions[0].Env[0].ValueFrom = &karo.EnvVarSource{AlertRef: &karo.AlertFieldSelector{FieldPath: "no field"}}
			},
			strict: []string{`spec.actions[0].env[0].valueFrom: Forbidden: may not be given beside value`},
		},
		"spec.actions[].env[].valueFrom with two sources": {
			change: source(both),
			strict: []string{`spec.actions[0].env[0].valueFrom: Forbidden: exactly one source must be given`},
		},
		"spec.actions[].env[].valueFrom without a source": {
			change:  source(karo.EnvVarSource{}),
			strict:  []string{`spec.actions[0].env[0].valueFrom: Required value: exactly one source must be given`},
			lenient: []string{`spec.actions[0].env[0].valueFrom: Required value: exactly one source must be given`},
		},
		"spec.actions[].env[].valueFrom.alertRef.fieldPath is missing": {
			change: source(karo.EnvVarSource{AlertRef: &karo.AlertFieldSelector{}}),
			strict: []string{`spec.actions[0].env[0].valueFrom.alertRef.fieldPath: Required value: a field of the alert`},
		},
		"spec.actions[].env[].valueFrom.alertRef.fieldPath": {
			change:  source(karo.EnvVarSource{AlertRef: &karo.AlertFieldSelector{FieldPath: "labels."}}),
			strict:  []string{`spec.actions[0].env[0].valueFrom.alertRef.fieldPath: Invalid value: "labels.": "labels." ` + fieldsOfAnAlert},
			lenient: []string{`spec.actions[0].env[0].valueFrom.alertRef.fieldPath: Invalid value: "labels.": "labels." ` + fieldsOfAnAlert},
		},
		"spec.actions[].image is missing": {
			change:  func(r *karo.AlertReaction) { r.Spec.Actions[0].Image = "" },
			strict:  []string{`spec.actions[0].image: Required value: a container image`},
			lenient: []string{`spec.actions[0].image: Required value: a container image`},
		},
	} {
		t.Run(name, func(t *testing.T) {
			expect(t, validation.AlertReaction(reaction(tc.change), strict), tc.strict...)
			expect(t, validation.AlertReaction(reaction(tc.change), lenient), tc.lenient...)
			expect(t, validation.AlertReactionUpdate(reaction(tc.change), reaction(nil), lenient), tc.lenient...)
		})
	}
}

// What was stored through v1alpha1 may be updated through v1 as long as what is odd stays as it is: who adds a label with
// kubectl must not be told of a variable that somebody else has written.
func TestAnActionThatIsStoredStaysValid(t *testing.T) {
	odd := func(r *karo.AlertReaction) {
		r.Spec.Actions[0].Name = "Collect Logs"
		r.Spec.Actions[0].Env[2].Name = "LITERAL"
	}
	with := func(change func(*karo.AlertReaction)) *karo.AlertReaction {
		return reaction(func(r *karo.AlertReaction) { odd(r); change(r) })
	}
	wantName := `spec.actions[0].name: Invalid value: "Collect Logs": ` + notALabel
	wantTwice := `spec.actions[0].env[2].name: Duplicate value: "LITERAL"`
	for name, tc := range map[string]struct {
		change func(*karo.AlertReaction)
		want   []string
	}{
		"the metadata changes":              {change: func(r *karo.AlertReaction) { r.Labels = map[string]string{"a": "b"} }},
		"another field of the spec changes": {change: func(r *karo.AlertReaction) { r.Spec.Suspend = new(true) }},
		"another action is added": {change: func(r *karo.AlertReaction) {
			r.Spec.Actions = append(r.Spec.Actions, karo.Action{Name: "b", Image: "i"})
		}},
		"an action is put before it": {
			change: func(r *karo.AlertReaction) {
				r.Spec.Actions = append([]karo.Action{{Name: "b", Image: "i"}}, r.Spec.Actions...)
			},
		},
		"empty is none":                 {change: func(r *karo.AlertReaction) { r.Spec.Actions[0].Args = []string{} }},
		"what is not odd of it changes": {change: func(r *karo.AlertReaction) { r.Spec.Actions[0].Image = "other" }},
		"a variable of it changes": {
			change: func(r *karo.AlertReaction) { r.Spec.Actions[0].Env[0].Literal = "other" },
			want:   []string{wantTwice},
		},
		"its name changes": {
			change: func(r *karo.AlertReaction) { r.Spec.Actions[0].Name = "Collect More" },
			want:   []string{`spec.actions[0].name: Invalid value: "Collect More": ` + notALabel, wantTwice},
		},
		"a bad action is added": {
			change: func(r *karo.AlertReaction) {
				r.Spec.Actions = append(r.Spec.Actions, karo.Action{Name: "B B", Image: "i"})
			},
			want: []string{`spec.actions[1].name: Invalid value: "B B": ` + notALabel},
		},
		"it is there twice": {
			change: func(r *karo.AlertReaction) { r.Spec.Actions = append(r.Spec.Actions, r.Spec.Actions[0]) },
			want:   []string{`spec.actions[1].name: Duplicate value: "Collect Logs"`},
		},
	} {
		t.Run(name, func(t *testing.T) {
			expect(t, validation.AlertReactionUpdate(with(tc.change), reaction(odd), strict), tc.want...)
		})
	}
	expect(t, validation.AlertReaction(reaction(odd), strict), wantName, wantTwice)
}

// A status has to be written whatever the rules for the spec have become since.
func TestAlertReactionStatusUpdate(t *testing.T) {
	broken := reaction(func(r *karo.AlertReaction) { r.Spec = karo.AlertReactionSpec{} })
	expect(t, validation.AlertReactionStatusUpdate(broken, broken))
	expect(t, validation.AlertReactionStatusUpdate(reaction(func(r *karo.AlertReaction) { r.Name = "other" }), reaction(nil)),
		`metadata.name: Invalid value: "other": `+immutable)
}

func TestSizeOfASpec(t *testing.T) {
	fill := func(text string) *karo.AlertReaction {
		return reaction(func(r *karo.AlertReaction) { r.Spec.Actions[0].Args = []string{text} })
	}
	// What counts is what is stored, and what the author sees.
	var versioned v1.AlertReactionSpec
	if err := v1.Convert_karo_AlertReactionSpec_To_v1_AlertReactionSpec(&fill("").Spec, &versioned, nil); err != nil {
		t.Fatal(err)
	}
	empty, err := json.Marshal(versioned)
	if err != nil {
		t.Fatal(err)
	}
	room := 256<<10 - len(empty)
	expect(t, validation.AlertReaction(fill(strings.Repeat("x", room)), strict))
	expect(t, validation.AlertReaction(fill(strings.Repeat("x", room+1)), strict), `spec: Too long: may not be more than 262144 bytes`)
}

func TestAlertReactionUpdate(t *testing.T) {
	expect(t, validation.AlertReactionUpdate(reaction(func(r *karo.AlertReaction) {
		r.Labels = map[string]string{"a": "b"}
		r.Spec.Suspend = new(true)
		r.Spec.AlertName = "Other"
	}), reaction(nil), strict))
	expect(t, validation.AlertReactionUpdate(reaction(func(r *karo.AlertReaction) { r.Name = "other" }), reaction(nil), strict),
		`metadata.name: Invalid value: "other": `+immutable)
	expect(t, validation.AlertReactionUpdate(reaction(func(r *karo.AlertReaction) { r.Labels = map[string]string{"a": "b c"} }), reaction(nil), strict),
		`metadata.labels: Invalid value: "b c": a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', `+
			`and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for `+
			`validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')`)
}

func instant(nanoseconds int64) *nanotime.Time {
	t := nanotime.New(time.Unix(1, nanoseconds))
	return &t
}

func execution(change func(*karo.Execution)) *karo.Execution {
	e := &karo.Execution{
		ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "execution", ResourceVersion: "1"},
		Spec: karo.ExecutionSpec{
			Reaction: karo.ReactionReference{Name: "reaction", UID: "uid", Generation: 1, Revision: "reaction-1"},
			Alert: karo.AlertOccurrence{
				Name: "A", Status: karo.AlertFiring, Labels: map[string]string{"alertname": "A"},
				StartsAt: instant(1), EndsAt: instant(2),
			},
			Trigger:    karo.TriggerNotification,
			Receiver:   "receiver",
			ReceivedAt: instant(3),
			Follows:    instant(4),
		},
		Status: karo.ExecutionStatus{Phase: karo.PhasePending},
	}
	if change != nil {
		change(e)
	}
	return e
}

func TestExecution(t *testing.T) {
	for name, tc := range map[string]struct {
		change func(*karo.Execution)
		want   []string
	}{
		"valid": {},
		"resolved": {
			change: func(e *karo.Execution) { e.Spec.Alert.Status = karo.AlertResolved },
		},
		"metadata.name": {
			change: func(e *karo.Execution) { e.Name = "No_Name" },
			want:   []string{`metadata.name: Invalid value: "No_Name": ` + notASubdomain},
		},
		"by hand": {
			change: func(e *karo.Execution) { e.Spec.Trigger = karo.TriggerManual },
		},
		"metadata.name is as long as a label": {
			change: func(e *karo.Execution) { e.Name = strings.Repeat("a", 63) },
		},
		"metadata.name is longer than a label": {
			change: func(e *karo.Execution) { e.Name = strings.Repeat("a", 64) },
			want:   []string{`metadata.name: Too long: may not be more than 63 bytes`},
		},
		"spec.trigger": {
			change: func(e *karo.Execution) { e.Spec.Trigger = "" },
			want:   []string{`spec.trigger: Unsupported value: "": supported values: "Notification", "Manual"`},
		},
		"spec.reaction.name": {
			change: func(e *karo.Execution) { e.Spec.Reaction.Name = "" },
			want:   []string{`spec.reaction.name: Invalid value: "": ` + notASubdomain},
		},
		"spec.alert.labels": {
			change: func(e *karo.Execution) { e.Spec.Alert.Labels = nil },
			want:   []string{`spec.alert.labels: Required value: an alert has at least one label`},
		},
		"spec.alert.status": {
			change: func(e *karo.Execution) { e.Spec.Alert.Status = "pending" },
			want:   []string{`spec.alert.status: Unsupported value: "pending": supported values: "firing", "resolved"`},
		},
	} {
		t.Run(name, func(t *testing.T) {
			expect(t, validation.Execution(execution(tc.change)), tc.want...)
		})
	}
}

// onlyPath compares errors by the path of the field and what is said of it, without the value, which is a whole spec.
func onlyPath(t *testing.T, got field.ErrorList, want ...string) {
	t.Helper()
	texts := make([]string, 0, len(got))
	for _, err := range got {
		texts = append(texts, err.Field+": "+err.Detail)
	}
	if !slices.Equal(texts, want) {
		t.Errorf("got errors %q, want %q", texts, want)
	}
}

func TestExecutionUpdate(t *testing.T) {
	for name, change := range map[string]func(*karo.Execution){
		"nothing":  nil,
		"labels":   func(e *karo.Execution) { e.Labels = map[string]string{"a": "b"} },
		"released": func(e *karo.Execution) { e.Finalizers = []string{"karo.io/memory"} },
		"status":   func(e *karo.Execution) { e.Status.Phase = karo.PhaseRunning },
		// An instant is the same in whatever form it was decoded.
		"zone": func(e *karo.Execution) {
			e.Spec.Alert.StartsAt = &nanotime.Time{Time: e.Spec.Alert.StartsAt.In(time.FixedZone("", 3600))}
		},
		"empty is none": func(e *karo.Execution) { e.Spec.Alert.Annotations = map[string]string{} },
	} {
		t.Run("may change: "+name, func(t *testing.T) {
			onlyPath(t, validation.ExecutionUpdate(execution(change), execution(nil)))
		})
	}
	for name, change := range map[string]func(*karo.Execution){
		"reaction.name":       func(e *karo.Execution) { e.Spec.Reaction.Name = "other" },
		"reaction.uid":        func(e *karo.Execution) { e.Spec.Reaction.UID = "other" },
		"reaction.generation": func(e *karo.Execution) { e.Spec.Reaction.Generation = 2 },
		"reaction.revision":   func(e *karo.Execution) { e.Spec.Reaction.Revision = "other" },
		"alert.labels":        func(e *karo.Execution) { e.Spec.Alert.Labels = map[string]string{"alertname": "B"} },
		"alert.annotations":   func(e *karo.Execution) { e.Spec.Alert.Annotations = map[string]string{"a": "b"} },
		"alert.status":        func(e *karo.Execution) { e.Spec.Alert.Status = karo.AlertResolved },
		"alert.startsAt":      func(e *karo.Execution) { e.Spec.Alert.StartsAt = instant(9) },
		"alert.startsAt gone": func(e *karo.Execution) { e.Spec.Alert.StartsAt = nil },
		"alert.endsAt":        func(e *karo.Execution) { e.Spec.Alert.EndsAt = instant(9) },
		"trigger":             func(e *karo.Execution) { e.Spec.Trigger = karo.TriggerManual },
		"triggeredBy":         func(e *karo.Execution) { e.Spec.TriggeredBy = "other" },
		"after":               func(e *karo.Execution) { e.Spec.After = "other" },
		"receiver":            func(e *karo.Execution) { e.Spec.Receiver = "other" },
		"receivedAt":          func(e *karo.Execution) { e.Spec.ReceivedAt = instant(9) },
		"follows":             func(e *karo.Execution) { e.Spec.Follows = nil },
	} {
		t.Run("may not change: spec."+name, func(t *testing.T) {
			onlyPath(t, validation.ExecutionUpdate(execution(change), execution(nil)), "spec: "+immutable)
		})
	}
}

func TestExecutionStatusUpdate(t *testing.T) {
	finished := metav1.Condition{
		Type: "Finished", Status: metav1.ConditionTrue, Reason: "Succeeded", LastTransitionTime: metav1.Unix(1, 0),
	}
	for name, tc := range map[string]struct {
		change func(*karo.Execution)
		want   []string
	}{
		"no phase": {
			change: func(e *karo.Execution) { e.Status.Phase = "" },
		},
		"status.phase": {
			change: func(e *karo.Execution) { e.Status.Phase = "Done" },
			want:   []string{`status.phase: Unsupported value: "Done": supported values: "Pending", "Running", "Succeeded", "Failed", "Cancelled", "Skipped"`},
		},
		"condition": {
			change: func(e *karo.Execution) { e.Status.Conditions = []metav1.Condition{finished} },
		},
		"status.conditions[] is there twice": {
			change: func(e *karo.Execution) { e.Status.Conditions = []metav1.Condition{finished, finished} },
			want:   []string{`status.conditions[1]: Duplicate value: "Finished"`},
		},
		"status.conditions[].status": {
			change: func(e *karo.Execution) {
				c := finished
				c.Status = "Maybe"
				e.Status.Conditions = []metav1.Condition{c}
			},
			want: []string{`status.conditions[0].status: Unsupported value: "Maybe": supported values: "False", "True", "Unknown"`},
		},
	} {
		t.Run(name, func(t *testing.T) {
			expect(t, validation.ExecutionStatusUpdate(execution(tc.change), execution(nil)), tc.want...)
		})
	}
	for _, phase := range []karo.Phase{karo.PhasePending, karo.PhaseRunning, karo.PhaseSucceeded, karo.PhaseFailed, karo.PhaseCancelled, karo.PhaseSkipped} {
		expect(t, validation.ExecutionStatusUpdate(execution(func(e *karo.Execution) { e.Status.Phase = phase }), execution(nil)))
	}
}

func alert(change func(*karo.Alert)) *karo.Alert {
	a := &karo.Alert{
		ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "alert", ResourceVersion: "1"},
		Spec:       karo.AlertSpec{Name: "A", Fingerprint: "f", Labels: map[string]string{"alertname": "A"}},
		Status:     karo.AlertMemory{Status: karo.AlertFiring, StartsAt: instant(1)},
	}
	if change != nil {
		change(a)
	}
	return a
}

func TestAlert(t *testing.T) {
	expect(t, validation.Alert(alert(nil)))
	expect(t, validation.Alert(alert(func(a *karo.Alert) { a.Name = "No_Name" })), `metadata.name: Invalid value: "No_Name": `+notASubdomain)
	expect(t, validation.Alert(alert(func(a *karo.Alert) { a.Spec.Labels = nil })), `spec.labels: Required value: an alert has at least one label`)
}

func TestAlertUpdate(t *testing.T) {
	onlyPath(t, validation.AlertUpdate(alert(func(a *karo.Alert) {
		a.Status = karo.AlertMemory{Status: karo.AlertResolved, StartsAt: instant(2)}
	}), alert(nil)))
	for name, change := range map[string]func(*karo.Alert){
		"name":        func(a *karo.Alert) { a.Spec.Name = "B" },
		"fingerprint": func(a *karo.Alert) { a.Spec.Fingerprint = "g" },
		"labels":      func(a *karo.Alert) { a.Spec.Labels = map[string]string{"alertname": "B"} },
	} {
		t.Run("may not change: spec."+name, func(t *testing.T) {
			onlyPath(t, validation.AlertUpdate(alert(change), alert(nil)), "spec: "+immutable)
		})
	}
}

func revision(change func(*karo.ReactionRevision)) *karo.ReactionRevision {
	r := &karo.ReactionRevision{
		ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "reaction-1", ResourceVersion: "1"},
		Reaction:   karo.ReactionReference{Name: "reaction", UID: "uid", Generation: 1},
		Spec:       reaction(nil).Spec,
	}
	if change != nil {
		change(r)
	}
	return r
}

func TestReactionRevision(t *testing.T) {
	expect(t, validation.ReactionRevision(revision(nil)))
	expect(t, validation.ReactionRevision(revision(func(r *karo.ReactionRevision) { r.Name = "No_Name" })), `metadata.name: Invalid value: "No_Name": `+notASubdomain)
	expect(t, validation.ReactionRevision(revision(func(r *karo.ReactionRevision) { r.Reaction = karo.ReactionReference{} })),
		`reaction.name: Required value`, `reaction.uid: Required value`)
	// A revision may outlive a rule: what was valid when the reaction was stored still has to run.
	expect(t, validation.ReactionRevision(revision(func(r *karo.ReactionRevision) { r.Spec.Actions = nil })))
}

func TestReactionRevisionUpdate(t *testing.T) {
	onlyPath(t, validation.ReactionRevisionUpdate(revision(func(r *karo.ReactionRevision) { r.Labels = map[string]string{"a": "b"} }), revision(nil)))
	for name, tc := range map[string]struct {
		change func(*karo.ReactionRevision)
		path   string
	}{
		"reaction.name":       {func(r *karo.ReactionRevision) { r.Reaction.Name = "other" }, "reaction"},
		"reaction.uid":        {func(r *karo.ReactionRevision) { r.Reaction.UID = "other" }, "reaction"},
		"reaction.generation": {func(r *karo.ReactionRevision) { r.Reaction.Generation = 2 }, "reaction"},
		"spec.suspend":        {func(r *karo.ReactionRevision) { r.Spec.Suspend = new(true) }, "spec"},
		"spec.actions":        {func(r *karo.ReactionRevision) { r.Spec.Actions[0].Image = "other" }, "spec"},
	} {
		t.Run("may not change: "+name, func(t *testing.T) {
			onlyPath(t, validation.ReactionRevisionUpdate(revision(tc.change), revision(nil)), tc.path+": "+immutable)
		})
	}
}

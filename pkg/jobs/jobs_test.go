// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

package jobs_test

import (
	"encoding/json"
	"maps"
	"math"
	"math/rand"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/quick"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metav1validation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"karo.io/karo/pkg/apis/karo"
	"karo.io/karo/pkg/apis/nanotime"
	"karo.io/karo/pkg/jobs"
	"karo.io/karo/pkg/names"
)

func instant(seconds, nanoseconds int64) *nanotime.Time {
	t := nanotime.New(time.Unix(seconds, nanoseconds))
	return &t
}

func execution() *karo.Execution {
	return &karo.Execution{
		ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "restart-abc", UID: "execution-uid"},
		Spec: karo.ExecutionSpec{
			Reaction: karo.ReactionReference{Name: "restart", UID: "reaction-uid", Generation: 2, Revision: "restart-rev"},
			Alert: karo.AlertOccurrence{
				Name:         "KubePodCrashLooping",
				Status:       karo.AlertFiring,
				Labels:       map[string]string{"alertname": "KubePodCrashLooping", "pod": "web-1", "größe": "groß"},
				Annotations:  map[string]string{"summary": "web-1 crashes"},
				StartsAt:     instant(1_772_366_400, 123_456_789),
				GeneratorURL: "http://prometheus/graph?a=1&b=2",
				Fingerprint:  "0123456789abcdef",
			},
			Receiver: "team/a",
		},
	}
}

// ofTheAlert are the variables that every container has for the alert of execution.
func ofTheAlert() []corev1.EnvVar {
	return []corev1.EnvVar{
		{Name: "KARO_ALERT", Value: `{"status":"firing","labels":{"alertname":"KubePodCrashLooping","größe":"groß","pod":"web-1"},` +
			`"annotations":{"summary":"web-1 crashes"},"startsAt":"2026-03-01T12:00:00.123456789Z",` +
			`"generatorURL":"http://prometheus/graph?a=1\u0026b=2","fingerprint":"0123456789abcdef"}`},
		{Name: "KARO_ALERT_NAME", Value: "KubePodCrashLooping"},
		{Name: "KARO_STATUS", Value: "firing"},
		{Name: "KARO_REACTION", Value: "restart"},
		{Name: "KARO_EXECUTION", Value: "restart-abc"},
	}
}

// withRun returns annotations with what a Job of execution, which has these actions, says of the run.
func withRun(annotations map[string]string, actions string) map[string]string {
	annotations = maps.Clone(annotations)
	annotations["karo.io/run"] = `{"spec":{"reaction":{"name":"restart","uid":"reaction-uid","generation":2,"revision":"restart-rev"},"alert":{},"receiver":"team/a"},"actions":[` + actions + `]}`
	return annotations
}

func build(t *testing.T, e *karo.Execution, spec *karo.AlertReactionSpec, action *karo.Action) *batchv1.Job {
	t.Helper()
	job, err := jobs.Build(e, spec, action)
	if err != nil {
		t.Fatalf("building: %v", err)
	}
	return job
}

func TestBuild(t *testing.T) {
	volumes := []corev1.Volume{
		{Name: "unused", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}},
		{Name: "data", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}},
		{Name: "config", VolumeSource: corev1.VolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: "/etc"}}},
	}
	mounts := []corev1.VolumeMount{
		{Name: "config", MountPath: "/config", ReadOnly: true},
		{Name: "data", MountPath: "/data"},
		{Name: "data", MountPath: "/more", SubPath: "more"},
	}
	resources := corev1.ResourceRequirements{Limits: corev1.ResourceList{"cpu": resource.MustParse("100m")}}
	action := karo.Action{
		Name:                    "collect-logs",
		Image:                   "busybox:1.37",
		Command:                 []string{"sh", "-c"},
		Args:                    []string{"echo $(POD) $HOME"},
		Resources:               resources,
		VolumeMounts:            mounts,
		ServiceAccount:          "collector",
		BackoffLimit:            new(int32(2)),
		ActiveDeadlineSeconds:   new(int64(60)),
		TTLSecondsAfterFinished: new(int32(30)),
		Env:                     []karo.EnvVar{{Name: "POD", Expression: "labels.pod"}},
	}
	spec := &karo.AlertReactionSpec{Actions: []karo.Action{action}, Volumes: volumes}
	e := execution()

	labels := map[string]string{
		"app.kubernetes.io/name":       "karo-job",
		"app.kubernetes.io/managed-by": "karo",
		"karo/alert-name":              "KubePodCrashLooping",
		"karo/action-name":             "collect-logs",
		"karo/owner":                   "restart",
		"karo.io/execution":            "restart-abc",
		"karo.io/reaction":             "restart",
	}
	annotations := map[string]string{
		"karo.io/alert-name":  "KubePodCrashLooping",
		"karo.io/action-name": "collect-logs",
		"karo.io/reaction":    "restart",
		"karo.io/fingerprint": "0123456789abcdef",
		"karo.io/starts-at":   "2026-03-01T12:00:00.123456789Z",
		"karo.io/receiver":    "team/a",
	}
	want := &batchv1.Job{
		TypeMeta: metav1.TypeMeta{APIVersion: "batch/v1", Kind: "Job"},
		ObjectMeta: metav1.ObjectMeta{
			Name:        names.Job(e, "collect-logs"),
			Namespace:   "ns",
			Labels:      labels,
			Annotations: withRun(annotations, `"collect-logs"`),
			// With blockOwnerDeletion, creating the Job would need a right to the finalizers of the Execution.
			OwnerReferences: []metav1.OwnerReference{{
				APIVersion: "karo.io/v1", Kind: "Execution", Name: "restart-abc", UID: "execution-uid", Controller: new(true),
			}},
		},
		Spec: batchv1.JobSpec{
			BackoffLimit:          new(int32(2)),
			ActiveDeadlineSeconds: new(int64(60)),
			// A time to live is set once the end of the Job is stored, and not before.
			TTLSecondsAfterFinished: nil,
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels, Annotations: annotations},
				Spec: corev1.PodSpec{
					RestartPolicy:      corev1.RestartPolicyNever,
					ServiceAccountName: "collector",
					Volumes:            []corev1.Volume{volumes[1], volumes[2]},
					Containers: []corev1.Container{{
						Name:                     "action",
						Image:                    "busybox:1.37",
						Command:                  []string{"sh", "-c"},
						Args:                     []string{"echo $(POD) $HOME"},
						Env:                      append(ofTheAlert(), corev1.EnvVar{Name: "POD", Value: "web-1"}),
						Resources:                resources,
						VolumeMounts:             mounts,
						TerminationMessagePolicy: corev1.TerminationMessageFallbackToLogsOnError,
					}},
				},
			},
		},
	}
	if diff := cmp.Diff(want, build(t, e, spec, &action)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestBuildIsPure(t *testing.T) {
	e, spec := execution(), &karo.AlertReactionSpec{
		Volumes: []corev1.Volume{{Name: "data"}},
		Actions: []karo.Action{{
			Name: "a", Image: "i", VolumeMounts: []corev1.VolumeMount{{Name: "data", MountPath: "/data"}},
			Env: []karo.EnvVar{{Name: "ALL", ValueFrom: &karo.EnvVarSource{AlertRef: &karo.AlertFieldSelector{FieldPath: "."}}}},
		}},
	}
	eBefore, specBefore := e.DeepCopy(), spec.DeepCopy()
	first := build(t, e, spec, &spec.Actions[0])
	for range 10 {
		if diff := cmp.Diff(first, build(t, e, spec, &spec.Actions[0])); diff != "" {
			t.Fatalf("the same input gave another Job:\n%s", diff)
		}
	}
	if diff := cmp.Diff(eBefore, e); diff != "" {
		t.Errorf("the Execution was changed:\n%s", diff)
	}
	if diff := cmp.Diff(specBefore, spec); diff != "" {
		t.Errorf("the spec was changed:\n%s", diff)
	}
}

func TestBuildOfWhatIsMissing(t *testing.T) {
	e := &karo.Execution{
		ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "e", UID: "uid"},
		Spec: karo.ExecutionSpec{
			Reaction: karo.ReactionReference{Name: "r"},
			Alert:    karo.AlertOccurrence{Status: karo.AlertFiring, Labels: map[string]string{"severity": "critical"}},
		},
	}
	job := build(t, e, &karo.AlertReactionSpec{Volumes: []corev1.Volume{{Name: "unused"}}}, &karo.Action{Name: "a", Image: "i"})
	if diff := cmp.Diff(map[string]string{"karo.io/reaction": "r", "karo.io/action-name": "a"}, job.Spec.Template.Annotations); diff != "" {
		t.Errorf("annotations (-want +got):\n%s", diff)
	}
	if value, ok := job.Labels["karo/alert-name"]; !ok || value != "" {
		t.Errorf("got karo/alert-name %q, %t; want it empty, so that the label is there to select by", value, ok)
	}
	if job.Spec.Template.Spec.Volumes != nil {
		t.Errorf("got volumes %v, want none that is not mounted", job.Spec.Template.Spec.Volumes)
	}
}

func TestAll(t *testing.T) {
	e := execution()
	spec := &karo.AlertReactionSpec{Actions: []karo.Action{{Name: "b", Image: "i"}, {Name: "a", Image: "j"}}}
	got, err := jobs.All(e, spec)
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != 2 || got[0].Name != names.Job(e, "b") || got[1].Name != names.Job(e, "a") {
		t.Errorf("got %v, want the Jobs of b and a", got)
	}
	spec.Actions[1].Env = []karo.EnvVar{{Name: "V", Expression: "nothing"}}
	got, err = jobs.All(e, spec)
	const want = `action a: variable V: "nothing" is no field of an alert: must be ".", "status", "startsAt", "endsAt", ` +
		`"generatorURL", "fingerprint", "labels.<name>", "annotations.<name>", "labels" or "annotations"`
	if err == nil || err.Error() != want || got != nil {
		t.Errorf("got %v and error %v, want %s", got, err, want)
	}
}

func TestEnvironment(t *testing.T) {
	secret := &corev1.SecretKeySelector{LocalObjectReference: corev1.LocalObjectReference{Name: "s"}, Key: "k"}
	configMap := &corev1.ConfigMapKeySelector{LocalObjectReference: corev1.LocalObjectReference{Name: "c"}, Key: "k", Optional: new(true)}
	fieldRef := &corev1.ObjectFieldSelector{FieldPath: "status.podIP"}
	resourceRef := &corev1.ResourceFieldSelector{Resource: "limits.cpu"}
	alertRef := func(path string) *karo.EnvVarSource {
		return &karo.EnvVarSource{AlertRef: &karo.AlertFieldSelector{FieldPath: path}}
	}
	for name, tc := range map[string]struct {
		in   karo.EnvVar
		want corev1.EnvVar
	}{
		"nothing":                      {karo.EnvVar{}, corev1.EnvVar{}},
		"literal":                      {karo.EnvVar{Literal: "text"}, corev1.EnvVar{Value: "text"}},
		"literal, for the kubelet":     {karo.EnvVar{Literal: "$(HOME)/$$x"}, corev1.EnvVar{Value: "$(HOME)/$$x"}},
		"literal, like an expression":  {karo.EnvVar{Literal: "labels.pod"}, corev1.EnvVar{Value: "labels.pod"}},
		"status":                       {karo.EnvVar{Expression: "status"}, corev1.EnvVar{Value: "firing"}},
		"label":                        {karo.EnvVar{Expression: "labels.pod"}, corev1.EnvVar{Value: "web-1"}},
		"label in UTF-8":               {karo.EnvVar{Expression: "labels.größe"}, corev1.EnvVar{Value: "groß"}},
		"label that is missing":        {karo.EnvVar{Expression: "labels.missing"}, corev1.EnvVar{}},
		"annotation":                   {karo.EnvVar{Expression: "annotations.summary"}, corev1.EnvVar{Value: "web-1 crashes"}},
		"annotation that is missing":   {karo.EnvVar{Expression: "annotations.pod"}, corev1.EnvVar{}},
		"reference to status":          {karo.EnvVar{ValueFrom: alertRef("status")}, corev1.EnvVar{Value: "firing"}},
		"reference to a label":         {karo.EnvVar{ValueFrom: alertRef("labels.pod")}, corev1.EnvVar{Value: "web-1"}},
		"reference to no label":        {karo.EnvVar{ValueFrom: alertRef("labels.missing")}, corev1.EnvVar{}},
		"reference to an annotation":   {karo.EnvVar{ValueFrom: alertRef("annotations.summary")}, corev1.EnvVar{Value: "web-1 crashes"}},
		"reference to startsAt":        {karo.EnvVar{ValueFrom: alertRef("startsAt")}, corev1.EnvVar{Value: "2026-03-01T12:00:00.123456789Z"}},
		"reference to endsAt, missing": {karo.EnvVar{ValueFrom: alertRef("endsAt")}, corev1.EnvVar{}},
		"reference to generatorURL":    {karo.EnvVar{ValueFrom: alertRef("generatorURL")}, corev1.EnvVar{Value: "http://prometheus/graph?a=1&b=2"}},
		"reference to fingerprint":     {karo.EnvVar{ValueFrom: alertRef("fingerprint")}, corev1.EnvVar{Value: "0123456789abcdef"}},
		"secret": {
			karo.EnvVar{ValueFrom: &karo.EnvVarSource{SecretKeyRef: secret}},
			corev1.EnvVar{ValueFrom: &corev1.EnvVarSource{SecretKeyRef: secret}},
		},
		"config map": {
			karo.EnvVar{ValueFrom: &karo.EnvVarSource{ConfigMapKeyRef: configMap}},
			corev1.EnvVar{ValueFrom: &corev1.EnvVarSource{ConfigMapKeyRef: configMap}},
		},
		"field": {
			karo.EnvVar{ValueFrom: &karo.EnvVarSource{FieldRef: fieldRef}},
			corev1.EnvVar{ValueFrom: &corev1.EnvVarSource{FieldRef: fieldRef}},
		},
		"resource": {
			karo.EnvVar{ValueFrom: &karo.EnvVarSource{ResourceFieldRef: resourceRef}},
			corev1.EnvVar{ValueFrom: &corev1.EnvVarSource{ResourceFieldRef: resourceRef}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			tc.in.Name, tc.want.Name = "V", "V"
			job := build(t, execution(), &karo.AlertReactionSpec{}, &karo.Action{Name: "a", Env: []karo.EnvVar{tc.in}})
			if diff := cmp.Diff(append(ofTheAlert(), tc.want), job.Spec.Template.Spec.Containers[0].Env); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestFieldOfTheWholeAlert(t *testing.T) {
	alert := execution().Spec.Alert
	alert.EndsAt = instant(1_772_370_000, 0)
	got, err := jobs.Field(&alert, ".")
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"status":"firing","labels":{"alertname":"KubePodCrashLooping","größe":"groß","pod":"web-1"},` +
		`"annotations":{"summary":"web-1 crashes"},"startsAt":"2026-03-01T12:00:00.123456789Z","endsAt":"2026-03-01T13:00:00Z",` +
		`"generatorURL":"http://prometheus/graph?a=1\u0026b=2","fingerprint":"0123456789abcdef"}`
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestFieldRefuses(t *testing.T) {
	for _, path := range []string{
		"..", "labels.", "annotations.", "Status", "status.", " status", "name", "alertname", "startsat", "$(S)",
	} {
		if got, err := jobs.Field(&execution().Spec.Alert, path); err == nil {
			t.Errorf("%q: got %q, want an error", path, got)
		}
	}
}

// expandAsTheKubelet does to the value of a variable what the kubelet does before it starts a container: $(NAME) is
// replaced if there is a variable of that name and stays otherwise, $$ is one $, and any other $ is itself.
func expandAsTheKubelet(value string, variable func(name string) (string, bool)) string {
	var out strings.Builder
	for i := 0; i < len(value); i++ {
		if value[i] != '$' || i+1 == len(value) {
			out.WriteByte(value[i])
			continue
		}
		switch value[i+1] {
		case '$':
			out.WriteByte('$')
			i++
		case '(':
			end := strings.IndexByte(value[i:], ')')
			if end < 0 {
				out.WriteString("$(")
				i++
				continue
			}
			if text, ok := variable(value[i+2 : i+end]); ok {
				out.WriteString(text)
			} else {
				out.WriteString(value[i : i+end+1])
			}
			i += end
		default:
			out.WriteByte('$')
		}
	}
	return out.String()
}

// anyVariable has a value for every name, so that nothing that could be replaced stays.
func anyVariable(string) (string, bool) { return "SECRET", true }

// The helper is only worth something if it does what the kubelet does.
func TestExpandAsTheKubelet(t *testing.T) {
	for value, want := range map[string]string{
		"":           "",
		"plain":      "plain",
		"$":          "$",
		"a$":         "a$",
		"$S":         "$S",
		"${S}":       "${S}",
		"$(S)":       "SECRET",
		"a$(S)b$(T)": "aSECRETbSECRET",
		"$$":         "$",
		"$$(S)":      "$(S)",
		"$$$(S)":     "$SECRET",
		"$$$$(S)":    "$$(S)",
		"$(":         "$(",
		"$(S":        "$(S",
		"$()":        "SECRET",
		"$($(S)":     "SECRET",
	} {
		if got := expandAsTheKubelet(value, anyVariable); got != want {
			t.Errorf("%q: got %q, want %q", value, got, want)
		}
	}
	none := func(string) (string, bool) { return "", false }
	if got := expandAsTheKubelet("$(S)$$(S)", none); got != "$(S)$(S)" {
		t.Errorf("got %q, want $(S)$(S)", got)
	}
}

// render returns the values of the variables of a container for an alert: one per way to name a text.
func render(t *testing.T, alert karo.AlertOccurrence) map[string]string {
	t.Helper()
	e := execution()
	// Every text that is not the same as the others would tell them apart.
	e.Spec.Alert, e.Spec.Reaction.Name, e.Name = alert, alert.Labels["text"], alert.Labels["text"]
	reference := func(path string) *karo.EnvVarSource {
		return &karo.EnvVarSource{AlertRef: &karo.AlertFieldSelector{FieldPath: path}}
	}
	job := build(t, e, &karo.AlertReactionSpec{}, &karo.Action{Name: "a", Env: []karo.EnvVar{
		{Name: "LABEL", Expression: "labels.text"},
		{Name: "ANNOTATION", Expression: "annotations.text"},
		{Name: "LABEL_REFERENCE", ValueFrom: reference("labels.text")},
		{Name: "GENERATOR", ValueFrom: reference("generatorURL")},
		{Name: "FINGERPRINT", ValueFrom: reference("fingerprint")},
		{Name: "STATUS", Expression: "status"},
		{Name: "ALL", ValueFrom: reference(".")},
	}})
	values := map[string]string{}
	for _, v := range job.Spec.Template.Spec.Containers[0].Env {
		values[v.Name] = v.Value
	}
	return values
}

// reaches reports whether a text of an alert, in whatever place, is what the program in the container is given.
func reaches(t *testing.T, text string) bool {
	t.Helper()
	alert := karo.AlertOccurrence{
		Name: text, Status: karo.AlertStatus(text), Labels: map[string]string{"text": text}, Annotations: map[string]string{"text": text},
		GeneratorURL: text, Fingerprint: text,
	}
	// What no variable can hold is replaced; all else has to arrive.
	want := strings.ReplaceAll(strings.ToValidUTF8(text, "\ufffd"), "\x00", "\ufffd")
	ok := true
	for name, value := range render(t, alert) {
		if strings.ContainsRune(value, 0) || !utf8.ValidString(value) {
			t.Logf("%s is %q, which no variable can hold", name, value)
			ok = false
		}
		expanded := expandAsTheKubelet(value, anyVariable)
		if name == "ALL" || name == "KARO_ALERT" {
			var got struct {
				Labels map[string]string `json:"labels"`
			}
			if err := json.Unmarshal([]byte(expanded), &got); err != nil {
				t.Logf("%s is %q: %v", name, expanded, err)
				ok = false
				continue
			}
			// JSON can hold a NUL, and writes each byte that is no text as a character of its own.
			if expanded = got.Labels["text"]; strings.ContainsRune(text, 0) || !utf8.ValidString(text) {
				continue
			}
		}
		if expanded != want {
			t.Logf("%s is %q, which the program sees as %q, want %q", name, value, expanded, want)
			ok = false
		}
	}
	return ok
}

func TestAlertTextIsData(t *testing.T) {
	for _, text := range []string{
		"", "plain", "$", "$$", "$$$", "$(S)", "$$(S)", "$$$(S)", "$$$$(S)", "$(", "$()", "$)", "a$(S)b$$(T)c", "${S}", "$S",
		"a$", "$($(S))", "$(LABEL)", "größe $(S) 🔥", "one\ntwo", `"quotes" and \`, "a\x00b", "\x00", "\xff$(S)", "a\xc3",
		strings.Repeat("$", 1001),
	} {
		if !reaches(t, text) {
			t.Errorf("%q is not what the program is given", text)
		}
	}
	if got := render(t, karo.AlertOccurrence{Labels: map[string]string{"text": "a\x00b\xff"}})["LABEL"]; got != "a\ufffdb\ufffd" {
		t.Errorf("got %q, want NUL and what is no text as U+FFFD", got)
	}
}

// dollars is a text that the kubelet would like to expand.
type dollars string

func (dollars) Generate(r *rand.Rand, size int) reflect.Value {
	parts := []string{"$", "$", "(", ")", "S", "$(S)", "\x00", "ü", "\xff", "\n", `"`}
	var text strings.Builder
	for range r.Intn(size + 1) {
		text.WriteString(parts[r.Intn(len(parts))])
	}
	return reflect.ValueOf(dollars(text.String()))
}

func TestAnyAlertTextIsData(t *testing.T) {
	if err := quick.Check(func(text dollars) bool { return reaches(t, string(text)) }, &quick.Config{MaxCount: 3000}); err != nil {
		t.Error(err)
	}
	if err := quick.Check(func(text string) bool { return reaches(t, text) }, &quick.Config{MaxCount: 1000}); err != nil {
		t.Error(err)
	}
}

// expectAcceptable fails unless the cluster would take the metadata and the variables of a Job. Each variable is there once,
// except for those that the author declares twice, as v1alpha1 has always taken.
func expectAcceptable(t *testing.T, job *batchv1.Job, twice ...string) {
	t.Helper()
	errs := apivalidation.ValidateObjectMeta(&job.ObjectMeta, true, apivalidation.NameIsDNSSubdomain, field.NewPath("metadata"))
	template := field.NewPath("spec", "template", "metadata")
	errs = append(errs, metav1validation.ValidateLabels(job.Spec.Template.Labels, template.Child("labels"))...)
	errs = append(errs, apivalidation.ValidateAnnotations(job.Spec.Template.Annotations, template.Child("annotations"))...)
	if len(errs) > 0 {
		t.Errorf("the cluster would refuse the Job: %v", errs)
	}
	// The Job controller labels the pods with the name.
	if problems := utilvalidation.IsValidLabelValue(job.Name); len(problems) > 0 {
		t.Errorf("the name %q cannot be a label: %v", job.Name, problems)
	}
	pod := &job.Spec.Template.Spec
	for _, container := range slices.Concat(pod.InitContainers, pod.Containers) {
		seen := map[string]bool{}
		for _, v := range container.Env {
			if len(utilvalidation.IsRelaxedEnvVarName(v.Name)) > 0 || seen[v.Name] && !slices.Contains(twice, v.Name) {
				t.Errorf("container %s has the variable %q, twice: %t", container.Name, v.Name, seen[v.Name])
			}
			seen[v.Name] = true
			// Linux takes 128 KiB for a variable with its name; what the kubelet halves again does not count.
			if size := len(strings.ReplaceAll(v.Value, "$$", "$")); size > maxTold || strings.ContainsRune(v.Value, 0) || !utf8.ValidString(v.Value) {
				t.Errorf("variable %s of %d bytes is %.100q, which no variable can hold", v.Name, size, v.Value)
			}
		}
		if !seen["KARO_ALERT"] && !seen["KARO_ALERT_0"] {
			t.Errorf("container %s is not told of the alert: %v", container.Name, seen)
		}
	}
	volumes := map[string]bool{}
	for _, volume := range pod.Volumes {
		if volumes[volume.Name] {
			t.Errorf("volume %s is there twice", volume.Name)
		}
		volumes[volume.Name] = true
	}
	for _, container := range slices.Concat(pod.InitContainers, pod.Containers) {
		for _, mount := range container.VolumeMounts {
			if !volumes[mount.Name] {
				t.Errorf("container %s mounts %s, which is no volume of %v", container.Name, mount.Name, volumes)
			}
		}
	}
	for name, value := range job.Annotations {
		if !utf8.ValidString(value) || strings.ContainsRune(value, 0) {
			t.Errorf("annotation %s is %q, which is no text", name, value)
		}
	}
	if job.Spec.TTLSecondsAfterFinished != nil {
		t.Error("the Job has a time to live before its end is stored")
	}
	if _, err := json.Marshal(job); err != nil {
		t.Error(err)
	}
}

func TestBuildOfNastyTexts(t *testing.T) {
	for _, text := range []string{
		strings.Repeat("a", 64), strings.Repeat("ü", 5000), strings.Repeat("\x00", 30<<10), "a\nb", "../..", "-", ".a.", "\xff", "🔥", "$(S)",
	} {
		e := execution()
		e.Spec.Alert.Name, e.Spec.Alert.Fingerprint, e.Spec.Receiver = text, text, text
		e.Spec.Alert.Labels = map[string]string{"alertname": text}
		expectAcceptable(t, build(t, e, &karo.AlertReactionSpec{}, &karo.Action{
			Name: "a", Env: []karo.EnvVar{{Name: "V", Expression: "labels.alertname"}},
		}))
	}
}

// maxTold is how long, in bytes, the text of a variable may be; a program can be given no more.
const maxTold = 127 << 10

// FuzzBuild gives an alert any texts, of any length: what a reaction to it can become is a Job, unless the author asks for
// a variable that is longer than any can be, and that is said.
func FuzzBuild(f *testing.F) {
	for _, text := range []string{"", "$(S)", "$$(S)", "$$$(S)", "$", "a\x00b", "\xff", "größe 🔥", strings.Repeat("$", 100)} {
		f.Add("restart.web", "collect-logs", "KubePodCrashLooping", "pod", text, uint16(1))
		f.Add(strings.Repeat("a", 24)+".b", "Collect Logs (größe)", text, "x"+text, text, uint16(1000))
		f.Add(strings.Repeat("a", 253), "KARO_ALERT", text, "pod", text, uint16(math.MaxUint16))
	}
	f.Fuzz(func(t *testing.T, reaction, action, alertName, label, text string, times uint16) {
		// The validation of reactions lets only these through; in v1alpha1, an action may have any name.
		if len(apivalidation.NameIsDNSSubdomain(reaction, false)) > 0 || action == "" || !utf8.ValidString(action) || label == "" {
			return
		}
		// An alert has 512 KiB at most, and half of that is enough to be told in parts.
		if len(text) > 300<<10 || len(alertName) > 300<<10 || len(label) > 300<<10 {
			return
		}
		many := func(text string) string { return strings.Repeat(text, min(int(times), (300<<10)/max(len(text), 1))) }
		large, alertName := many(text), many(alertName)
		e := execution()
		e.Spec.Alert = karo.AlertOccurrence{
			Name: alertName, Status: karo.AlertFiring, Fingerprint: text,
			Labels: map[string]string{"alertname": alertName, label: text, "large": large}, Annotations: map[string]string{label: large},
		}
		e.Spec.Reaction.Name, e.Spec.Receiver = reaction, text
		e.Name = names.Execution(reaction, names.OccurrenceOf(e))
		pod := corev1.PodSpec{
			InitContainers: []corev1.Container{{Name: "init"}, {Name: "init-2", Env: []corev1.EnvVar{{Name: "KARO_STATUS", Value: "mine"}, {Name: "KARO_ALERT_1"}}}},
			Containers: []corev1.Container{
				{Name: "a", Env: []corev1.EnvVar{{Name: "A"}, {Name: "TWICE"}, {Name: "TWICE", Value: "$(A)"}}}, {Name: "b", Env: []corev1.EnvVar{{Name: "B"}}},
			},
		}
		template := &batchv1.JobTemplateSpec{Spec: batchv1.JobSpec{Template: corev1.PodTemplateSpec{Spec: pod}}}
		reference := func(path string) *karo.EnvVarSource {
			return &karo.EnvVarSource{AlertRef: &karo.AlertFieldSelector{FieldPath: path}}
		}
		spec := &karo.AlertReactionSpec{
			Volumes: []corev1.Volume{{Name: "unused"}, {Name: "data"}},
			Actions: []karo.Action{
				{Name: action, JobTemplate: template},
				{
					Name: action + "-plain", Command: []string{"sh", "-c", text}, Args: []string{text, "$" + text, "${LABEL}", large},
					VolumeMounts: []corev1.VolumeMount{{Name: "data", MountPath: "/a"}, {Name: "data", MountPath: "/b"}},
					Env:          []karo.EnvVar{{Name: "TWICE", Literal: "one"}, {Name: "TWICE", Literal: "$(TWICE)"}, {Name: "KARO_ALERT_NAME", Literal: "mine"}},
				},
				{Name: action + "-label", Env: []karo.EnvVar{{Name: "LABEL", Expression: "labels." + label}, {Name: "LABEL", ValueFrom: reference("labels." + label)}}},
				{Name: action + "-large", Env: []karo.EnvVar{{Name: "LARGE", Expression: "annotations." + label}, {Name: "STATUS", ValueFrom: reference("status")}}},
				{Name: action + "-all", Env: []karo.EnvVar{{Name: "ALL", ValueFrom: reference(".")}}},
			},
		}
		// The paths that each action is told, by its place.
		paths := [][]string{nil, nil, {"labels." + label}, {"annotations." + label}, {"."}}
		for i := range spec.Actions {
			job, err := jobs.Build(e, spec, &spec.Actions[i])
			if tooLong := slices.ContainsFunc(paths[i], func(path string) bool { return told(t, e, path) > maxTold }); (err != nil) != tooLong {
				t.Fatalf("building of action %d: %v, and it is told what is too long: %t", i, err, tooLong)
			}
			if err == nil {
				expectAcceptable(t, job, "TWICE", "LABEL")
			}
		}
		// As JSON a byte may become six, and the text is there five times: the alert is one variable below 100 KiB only.
		if len(text) <= 2<<10 && !reaches(t, text) {
			t.Errorf("%q is not what the program is given", text)
		}
	})
}

// told returns how long the text is that a path of the alert gives a program.
func told(t *testing.T, e *karo.Execution, path string) int {
	t.Helper()
	text, err := jobs.Field(&e.Spec.Alert, path)
	if err != nil {
		t.Fatal(err)
	}
	return len(strings.ReplaceAll(strings.ToValidUTF8(text, "\ufffd"), "\x00", "\ufffd"))
}

// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apifuzzer "k8s.io/apimachinery/pkg/api/apitesting/fuzzer"
	metafuzzer "k8s.io/apimachinery/pkg/apis/meta/fuzzer"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/randfill"

	internal "karo.io/karo/pkg/apis/karo"
	"karo.io/karo/pkg/apis/karo/fuzzer"
	"karo.io/karo/pkg/apis/karo/validation"
	"karo.io/karo/pkg/apis/nanotime"
	"karo.io/karo/pkg/apiserver"
	render "karo.io/karo/pkg/jobs"
	"karo.io/karo/pkg/names"
)

const (
	// generated is how many reactions, beside those of files, are made into Jobs.
	generated = 300
	// seed says which these are.
	seed = 1
)

// Whatever an alert says, the Jobs that a valid reaction makes of it are ones that the cluster takes. The cluster is asked
// by its own code, since it would take hours to create them all.
func TestNoJobIsInvalid(t *testing.T) {
	reactions := append(reactionsOfFiles(t), anyReactions(t, seed, generated)...)

	// What the cluster refuses must be seen to be refused.
	refused := batchv1.Job{TypeMeta: metav1.TypeMeta{APIVersion: "batch/v1", Kind: "Job"}, ObjectMeta: metav1.ObjectMeta{Name: "bad", Namespace: "shop"}}
	made, of := []batchv1.Job{refused}, []string{"a Job that is none"}
	for i, r := range reactions {
		for what, alert := range nastyAlerts() {
			if len(alert.Annotations["large"]) > 0 && i%10 > 0 {
				continue // It takes long.
			}
			e := &internal.Execution{
				ObjectMeta: metav1.ObjectMeta{Namespace: r.Namespace, UID: "execution-uid"},
				Spec: internal.ExecutionSpec{
					Reaction: internal.ReactionReference{Name: r.Name, UID: r.UID, Generation: r.Generation}, Alert: alert, Receiver: alert.Name,
				},
			}
			e.Name = names.Execution(r.Name, names.OccurrenceOf(e))
			all, err := render.All(e, &r.Spec)
			if err != nil && !strings.HasSuffix(err.Error(), "and a program can be given 130048") {
				t.Errorf("%s, %s: %v", r.Name, what, err)
			}
			for range all {
				of = append(of, fmt.Sprintf("%.40q, alert of %s", r.Name, what))
			}
			made = append(made, all...)
		}
	}

	problems := validate(t, made)
	if len(problems[0]) == 0 {
		t.Error("a Job without a container is not refused, so that this test tests nothing")
	}
	count := 0
	for i := 1; i < len(made); i++ {
		if len(problems[i]) == 0 {
			continue
		}
		if count++; count <= 10 {
			t.Errorf("%s: the cluster would refuse the Job: %.2000q", of[i], problems[i])
		}
	}
	t.Logf("%d of %d Jobs of %d reactions, by the seed %d, are refused", count, len(made)-1, len(reactions), seed)
}

// validate returns what a cluster finds wrong with each of some Jobs that are created.
func validate(t *testing.T, jobs []batchv1.Job) [][]string {
	t.Helper()
	var in bytes.Buffer
	encoder := json.NewEncoder(&in)
	for i := range jobs {
		if err := encoder.Encode(&jobs[i]); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.CommandContext(t.Context(), "go", "run", "./validate")
	cmd.Dir = filepath.Join(cluster.Root, "hack", "tools")
	cmd.Stdin = &in
	var stderr strings.Builder
	cmd.Stderr = &stderr
	text, err := cmd.Output()
	if err != nil {
		t.Fatalf("validating: %v %s", err, stderr.String())
	}
	problems := make([][]string, len(jobs))
	decoder := json.NewDecoder(bytes.NewReader(text))
	for i := range problems {
		if err := decoder.Decode(&problems[i]); err != nil {
			t.Fatalf("job %d of %d: %v", i, len(jobs), err)
		}
	}
	return problems
}

// nastyAlerts returns alerts whose texts no cluster takes as they are.
func nastyAlerts() map[string]internal.AlertOccurrence {
	alerts := map[string]internal.AlertOccurrence{"no name": {Status: internal.AlertFiring, Labels: map[string]string{"severity": "critical"}}}
	for what, text := range map[string]string{
		"variables":       "$(S)$$(KARO_ALERT)$",
		"UTF-8":           "größe 🔥",
		"a terminal":      "two\nlines\x1b[31m\u202e",
		"NUL":             "a\x00b",
		"a path":          "../..",
		"a dash":          "-",
		"dots":            ".a.",
		"quotes":          `"'\` + "`id`",
		"64 characters":   strings.Repeat("a", 64),
		"many characters": strings.Repeat("ü", 5000),
	} {
		alerts[what] = internal.AlertOccurrence{
			Name: text, Status: internal.AlertResolved, Fingerprint: text, GeneratorURL: text, StartsAt: new(nanotime.New(time.Unix(1_772_366_400, 1))),
			Labels: map[string]string{"alertname": text, "pod": text, "x" + text: text}, Annotations: map[string]string{text: text},
		}
	}
	for what, text := range map[string]string{"300 KiB": strings.Repeat("$", 300<<10), "50 KiB of NUL": strings.Repeat("\x00", 50<<10)} {
		alerts[what] = internal.AlertOccurrence{
			Name: text, Status: internal.AlertFiring, Fingerprint: text, Labels: map[string]string{"alertname": text}, Annotations: map[string]string{"large": text},
		}
	}
	return alerts
}

// reactionsOfFiles returns the reactions of the manifests that users bring along, and of the documentation.
func reactionsOfFiles(t *testing.T) []*internal.AlertReaction {
	t.Helper()
	var found []*internal.AlertReaction
	read := func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || filepath.Ext(path) != ".yaml" {
			return err
		}
		before := len(found)
		file, err := os.Open(path)
		if err != nil {
			return err
		}
		defer file.Close()
		documents := utilyaml.NewYAMLToJSONDecoder(file)
		for {
			var document runtime.RawExtension
			if err := documents.Decode(&document); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				return fmt.Errorf("%s: %w", path, err)
			}
			obj, _, err := apiserver.Codecs.UniversalDecoder().Decode(document.Raw, nil, nil)
			if runtime.IsNotRegisteredError(err) {
				continue // The rights that the example needs.
			}
			if err != nil {
				return fmt.Errorf("%s: %w", path, err)
			}
			if r, ok := obj.(*internal.AlertReaction); ok {
				r.Namespace = "shop" // One that names none is applied to a namespace.
				found = append(found, r)
			}
		}
		if strings.Contains(path, "reaction") && len(found) == before {
			return fmt.Errorf("%s holds no reaction", path)
		}
		return nil
	}
	for _, dir := range []string{filepath.Join("testdata", "seeds"), filepath.Join(cluster.Root, "artifacts", "example")} {
		if err := filepath.WalkDir(dir, read); err != nil {
			t.Fatal(err)
		}
	}
	return found
}

// generator makes reactions at random. What Karo renders is anything that is valid; what it passes on as it is, the cluster
// has looked at before, and so that is known to be valid.
type generator struct {
	*rand.Rand
	filler  *randfill.Filler
	lenient bool // Whether what only v1alpha1 takes is made as well.
}

// anyReactions returns n valid reactions.
func anyReactions(t *testing.T, seed int64, n int) []*internal.AlertReaction {
	t.Helper()
	source := rand.NewSource(seed)
	g := &generator{Rand: rand.New(source), filler: apifuzzer.FuzzerFor(
		apifuzzer.MergeFuzzerFuncs(metafuzzer.Funcs, fuzzer.Funcs), source, apiserver.Codecs,
	).NumElements(1, 4)}
	found := make([]*internal.AlertReaction, 0, n)
	for tries := 1; len(found) < n; tries++ {
		g.lenient = g.Intn(2) == 0
		if r := g.reaction(); len(validation.AlertReaction(r, validation.Options{Lenient: g.lenient})) == 0 {
			found = append(found, r)
		}
		if tries > 2*n {
			t.Fatalf("%d of %d reactions are valid", len(found), tries)
		}
	}
	return found
}

func (g *generator) reaction() *internal.AlertReaction {
	r := &internal.AlertReaction{}
	g.filler.Fill(&r.Spec)
	r.Name = pick(g, "r", "restart.web-1", strings.Repeat("a", 253), strings.Repeat("a.", 30)+"a", "a")
	r.Namespace, r.UID, r.Generation = "shop", "reaction-uid", g.Int63n(10)
	// Which alerts it is for is in no Job.
	r.Spec.AlertName, r.Spec.Matchers = "A", nil
	r.Spec.ServiceAccountName = pick(g, "", "remediation")
	r.Spec.Volumes = []corev1.Volume{
		{Name: "empty", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}},
		{Name: "secret", VolumeSource: corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: "s"}}},
		{Name: "config", VolumeSource: corev1.VolumeSource{ConfigMap: &corev1.ConfigMapVolumeSource{LocalObjectReference: corev1.LocalObjectReference{Name: "c"}}}},
	}
	if r.Spec.JobTemplate = nil; g.Intn(5) == 0 {
		r.Spec.JobTemplate, r.Spec.Actions = g.template(), nil
	}
	if r.Spec.JobTemplate == nil {
		r.Spec.Actions = make([]internal.Action, 1+g.Intn(4))
	}
	for i, name := range g.different(actionNames, lenientActionNames, len(r.Spec.Actions)) {
		g.filler.Fill(&r.Spec.Actions[i])
		g.tame(&r.Spec.Actions[i], name)
	}
	return r
}

var (
	actionNames        = []string{"collect-logs", "a", strings.Repeat("a", 63), "0", "restart"}
	lenientActionNames = []string{"Collect Logs (größe)", strings.Repeat("ü", 126), ".", "$(S)", "-", "A"}
	variables          = []string{"POD", "KARO_ALERT", "KARO_ALERT_0", "KARO_STATUS", "a.b-c", "$(POD)", "1 x"}
)

// different returns n of some names, and of those that only v1alpha1 takes.
func (g *generator) different(names, lenient []string, n int) []string {
	if g.lenient {
		names = slices.Concat(names, lenient)
	}
	names = slices.Clone(names)
	g.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
	return names[:n]
}

// tame leaves of an action what Karo renders, and gives it a name.
func (g *generator) tame(a *internal.Action, name string) {
	if g.Intn(4) == 0 {
		*a = internal.Action{Name: name, JobTemplate: g.template()}
		return
	}
	*a = internal.Action{
		Name: name, Image: "busybox", Command: a.Command, Args: a.Args, Env: a.Env, ServiceAccount: pick(g, "", "own"),
		BackoffLimit: pick(g, nil, new(g.Int31n(100))), ActiveDeadlineSeconds: pick(g, nil, new(1+g.Int63n(100))),
		TTLSecondsAfterFinished: pick(g, nil, new(g.Int31n(100))),
	}
	for i := range a.Args {
		a.Args[i] = pick(g, a.Args[i], "$POD", "${KARO_ALERT}", "$(POD)", "$"+a.Args[i])
	}
	// In v1alpha1 a variable may be given twice.
	for i, variable := range g.different(variables, variables, len(a.Env)) {
		v := &a.Env[i]
		if v.Name = variable; v.ValueFrom != nil {
			*v.ValueFrom = g.source()
		}
	}
	for i, volume := range []string{"secret", "empty", "config", "empty"} {
		if g.Intn(2) == 0 {
			a.VolumeMounts = append(a.VolumeMounts, corev1.VolumeMount{Name: volume, MountPath: fmt.Sprint("/", i)})
		}
	}
}

func (g *generator) source() internal.EnvVarSource {
	alert := &internal.AlertFieldSelector{FieldPath: pick(g, ".", "labels.pod", "labels.größe", "annotations.x", "labels", "status", "startsAt", "fingerprint", "generatorURL")}
	secret := &corev1.SecretKeySelector{LocalObjectReference: corev1.LocalObjectReference{Name: "s"}, Key: "k"}
	if g.lenient && g.Intn(5) == 0 {
		return internal.EnvVarSource{AlertRef: alert, SecretKeyRef: secret} // The first of several counts.
	}
	return pick(g,
		internal.EnvVarSource{AlertRef: alert},
		internal.EnvVarSource{SecretKeyRef: secret},
		internal.EnvVarSource{ConfigMapKeyRef: &corev1.ConfigMapKeySelector{LocalObjectReference: corev1.LocalObjectReference{Name: "c"}, Key: "k"}},
		internal.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{FieldPath: "status.podIP"}},
		internal.EnvVarSource{ResourceFieldRef: &corev1.ResourceFieldSelector{Resource: "limits.cpu"}},
	)
}

func (g *generator) template() *batchv1.JobTemplateSpec {
	template := &batchv1.JobTemplateSpec{ObjectMeta: metav1.ObjectMeta{
		Name:        g.text(), // Its own name does not count.
		Labels:      pick(g, nil, map[string]string{"team": "shop", internal.LabelOwner: "forged", internal.LabelExecution: ""}),
		Annotations: pick(g, nil, map[string]string{"note": g.text(), internal.AnnotationReceiver: g.text()}),
	}}
	template.Spec.Template.Labels = pick(g, nil, map[string]string{"pod": "label", internal.LabelReaction: "forged"})
	template.Spec.TTLSecondsAfterFinished = pick(g, nil, new(int32(0)))
	pod := &template.Spec.Template.Spec
	for i := range 3 {
		container := corev1.Container{Name: fmt.Sprint("c-", i), Image: "busybox", Args: []string{g.text(), "$(KARO_ALERT)"}}
		for _, name := range g.different(variables, variables, g.Intn(4)) {
			container.Env = append(container.Env, corev1.EnvVar{Name: name, Value: g.text()})
		}
		if i == 0 || g.Intn(2) == 0 {
			pod.Containers = append(pod.Containers, container)
		} else {
			pod.InitContainers = append(pod.InitContainers, container)
		}
	}
	return template
}

func (g *generator) text() string {
	var text string
	g.filler.Fill(&text)
	return text
}

func pick[T any](g *generator, from ...T) T {
	return from[g.Intn(len(from))]
}

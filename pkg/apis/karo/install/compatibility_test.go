// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

package install_test

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/apitesting/roundtrip"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer/json"

	"karo.io/karo/pkg/apis/karo"
	"karo.io/karo/pkg/apis/karo/install"
	v1 "karo.io/karo/pkg/apis/karo/v1"
	"karo.io/karo/pkg/apis/karo/v1alpha1"
	"karo.io/karo/pkg/apis/nanotime"
)

// fixtures holds every stored kind, with every field set, as it was written when the field was added.
const fixtures = "testdata/HEAD"

// updateVariable has the fixtures written anew, under the name that the projects of Kubernetes use for that.
const updateVariable = "UPDATE_COMPATIBILITY_FIXTURE_DATA"

func pinned() []schema.GroupVersionKind {
	return []schema.GroupVersionKind{
		v1.SchemeGroupVersion.WithKind("AlertReaction"),
		v1.SchemeGroupVersion.WithKind("Execution"),
		v1.SchemeGroupVersion.WithKind("Alert"),
		v1.SchemeGroupVersion.WithKind("ReactionRevision"),
		v1alpha1.SchemeGroupVersion.WithKind("AlertReaction"),
	}
}

// fillFuncs fills what no rule can, and keeps the types of Kubernetes, which pins them itself, short.
func fillFuncs() map[reflect.Type]roundtrip.FillFunc {
	funcs := map[reflect.Type]roundtrip.FillFunc{}
	fillWith(funcs, func(name string) metav1.Time { return metav1.Date(2000+len(name), 1, 1, 1, 1, 1, 0, time.UTC) })
	fillWith(funcs, func(name string) nanotime.Time {
		return nanotime.New(time.Date(2000+len(name), 1, 1, 1, 1, 1, 123_456_789, time.UTC))
	})
	fillWith(funcs, func(string) metav1.FieldsV1 { return *metav1.NewFieldsV1("{}") })
	fillWith(funcs, func(name string) corev1.Volume {
		return corev1.Volume{Name: name, VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{Medium: "Memory"}}}
	})
	fillWith(funcs, func(name string) batchv1.JobTemplateSpec {
		container := corev1.Container{Name: name, Image: "busybox:1.37"}
		return batchv1.JobTemplateSpec{
			ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{name: "value"}},
			Spec:       batchv1.JobSpec{Template: corev1.PodTemplateSpec{Spec: corev1.PodSpec{Containers: []corev1.Container{container}}}},
		}
	})
	fillWith(funcs, func(string) corev1.VolumeMount { return corev1.VolumeMount{Name: "volumes", MountPath: "/data"} })
	fillWith(funcs, func(string) corev1.EnvFromSource { return corev1.EnvFromSource{Prefix: "PREFIX_"} })
	fillWith(funcs, func(string) corev1.SecurityContext { return corev1.SecurityContext{RunAsNonRoot: new(true)} })
	fillWith(funcs, func(string) corev1.ResourceRequirements {
		return corev1.ResourceRequirements{Limits: corev1.ResourceList{"cpu": resource.MustParse("100m")}}
	})
	// A variable has one of several values, which mean different things in the two versions.
	fillWith(funcs, func(string) []v1.EnvVar {
		return []v1.EnvVar{
			{Name: "LITERAL", Value: "text"},
			{Name: "ESCAPED", Value: `\labels.workflow`},
			{Name: "EXPRESSION", Value: "annotations.summary"},
			{Name: "ALERT", ValueFrom: &v1.EnvVarSource{AlertRef: &v1.AlertFieldSelector{FieldPath: "labels.pod"}}},
			{Name: "CONFIG", ValueFrom: &v1.EnvVarSource{ConfigMapKeyRef: configMapKey()}},
			{Name: "SECRET", ValueFrom: &v1.EnvVarSource{SecretKeyRef: secretKey()}},
			{Name: "FIELD", ValueFrom: &v1.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{APIVersion: "v1", FieldPath: "status.podIP"}}},
			{Name: "RESOURCE", ValueFrom: &v1.EnvVarSource{ResourceFieldRef: &corev1.ResourceFieldSelector{Resource: "limits.cpu"}}},
		}
	})
	fillWith(funcs, func(string) []v1alpha1.EnvVar {
		return []v1alpha1.EnvVar{
			{Name: "LITERAL", Value: "text"},
			{Name: "UNESCAPED", Value: "labels.workflow"},
			{Name: "EXPRESSION", ValueFrom: &v1alpha1.EnvVarSource{AlertRef: &v1alpha1.AlertFieldSelector{FieldPath: "annotations.summary", Inline: true}}},
			{Name: "ALERT", ValueFrom: &v1alpha1.EnvVarSource{AlertRef: &v1alpha1.AlertFieldSelector{FieldPath: "labels.pod"}}},
			{Name: "BOTH", Value: "text", ValueFrom: &v1alpha1.EnvVarSource{AlertRef: &v1alpha1.AlertFieldSelector{FieldPath: "."}}},
			{Name: "CONFIG", ValueFrom: &v1alpha1.EnvVarSource{ConfigMapKeyRef: configMapKey()}},
			{Name: "SECRET", ValueFrom: &v1alpha1.EnvVarSource{SecretKeyRef: secretKey()}},
			{Name: "FIELD", ValueFrom: &v1alpha1.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{APIVersion: "v1", FieldPath: "status.podIP"}}},
			{Name: "RESOURCE", ValueFrom: &v1alpha1.EnvVarSource{ResourceFieldRef: &corev1.ResourceFieldSelector{Resource: "limits.cpu"}}},
		}
	})
	return funcs
}

func configMapKey() *corev1.ConfigMapKeySelector {
	return &corev1.ConfigMapKeySelector{LocalObjectReference: corev1.LocalObjectReference{Name: "c"}, Key: "k", Optional: new(true)}
}

func secretKey() *corev1.SecretKeySelector {
	return &corev1.SecretKeySelector{LocalObjectReference: corev1.LocalObjectReference{Name: "s"}, Key: "k", Optional: new(true)}
}

// fillWith has every field of a type filled with a value that may depend on the name of the field.
func fillWith[T any](funcs map[reflect.Type]roundtrip.FillFunc, value func(name string) T) {
	funcs[reflect.TypeFor[*T]()] = func(name string, _ int, obj any) { *obj.(*T) = value(name) }
}

// What is stored, or was written into a repository, has to be read for ever: a field that is renamed, moved or given
// another form shows here as a fixture that differs.
func TestCompatibility(t *testing.T) {
	scheme := runtime.NewScheme()
	install.Install(scheme)
	serializers := map[string]runtime.Serializer{
		".json": json.NewSerializerWithOptions(json.DefaultMetaFactory, scheme, scheme, json.SerializerOptions{Pretty: true, Strict: true}),
		".yaml": json.NewSerializerWithOptions(json.DefaultMetaFactory, scheme, scheme, json.SerializerOptions{Yaml: true, Strict: true}),
	}
	var expected []string
	for _, gvk := range pinned() {
		for extension, serializer := range serializers {
			name := gvk.Group + "." + gvk.Version + "." + gvk.Kind + extension
			expected = append(expected, name)
			t.Run(name, func(t *testing.T) { compare(t, scheme, gvk, serializer, filepath.Join(fixtures, name)) })
		}
	}
	entries, err := os.ReadDir(fixtures)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		if !slices.Contains(expected, entry.Name()) {
			t.Errorf("%s is a fixture of nothing", entry.Name())
		}
	}
}

func compare(t *testing.T, scheme *runtime.Scheme, gvk schema.GroupVersionKind, serializer runtime.Serializer, path string) {
	t.Helper()
	want, err := roundtrip.CompatibilityTestObject(scheme, gvk, fillFuncs())
	if err != nil {
		t.Fatal(err)
	}
	var encoded bytes.Buffer
	if err := serializer.Encode(want, &encoded); err != nil {
		t.Fatalf("encoding: %v", err)
	}
	fixture, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	if !bytes.Equal(fixture, encoded.Bytes()) {
		t.Errorf("the fixture differs; set %s=true to write it anew if a field was added (-fixture +now):\n%s",
			updateVariable, cmp.Diff(string(fixture), encoded.String()))
		if os.Getenv(updateVariable) == "true" {
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, encoded.Bytes(), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		return
	}
	got, _, err := serializer.Decode(fixture, nil, nil)
	if err != nil {
		t.Fatalf("decoding: %v", err)
	}
	if !apiequality.Semantic.DeepEqual(want, got) {
		t.Errorf("it reads as another object (-want +got):\n%s", cmp.Diff(want, got))
	}
	// On its way into storage and out again it passes through the internal version.
	internal, err := scheme.ConvertToVersion(got, karo.SchemeGroupVersion)
	if err != nil {
		t.Fatalf("converting: %v", err)
	}
	back, err := scheme.ConvertToVersion(internal, gvk.GroupVersion())
	if err != nil {
		t.Fatalf("converting back: %v", err)
	}
	back.GetObjectKind().SetGroupVersionKind(gvk)
	if !apiequality.Semantic.DeepEqual(want, back) {
		t.Errorf("it does not come back (-want +got):\n%s", cmp.Diff(want, back))
	}
}

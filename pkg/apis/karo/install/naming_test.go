// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

package install_test

import (
	"reflect"
	"testing"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/apitesting/naming"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/sets"

	"karo.io/karo/pkg/apis/karo"
	"karo.io/karo/pkg/apis/karo/install"
	"karo.io/karo/pkg/apis/nanotime"
)

func TestGroupNames(t *testing.T) {
	scheme := runtime.NewScheme()
	install.Install(scheme)
	// The suffix .k8s.io is for the groups of the Kubernetes project, which ours is not. The group without a name holds
	// what every API server answers with, such as a Status.
	if err := naming.VerifyGroupNames(scheme, sets.NewString(karo.GroupName, "")); err != nil {
		t.Error(err)
	}
}

func TestTagNaming(t *testing.T) {
	scheme := runtime.NewScheme()
	install.Install(scheme)
	// Internal types have no tags of their own, but they hold what users write in the types of Kubernetes as it is.
	// Nothing of those has an internal version that another module could import.
	tagged := map[reflect.Type]bool{}
	for _, of := range []any{
		metav1.TypeMeta{}, metav1.ObjectMeta{}, metav1.ListMeta{}, metav1.Condition{}, metav1.Time{},
		corev1.Volume{}, corev1.VolumeMount{}, corev1.ResourceRequirements{}, corev1.EnvFromSource{}, corev1.SecurityContext{},
		corev1.ConfigMapKeySelector{}, corev1.SecretKeySelector{}, corev1.ObjectFieldSelector{}, corev1.ResourceFieldSelector{},
		batchv1.Job{}, batchv1.JobTemplateSpec{},
		// This one reads and writes itself in both versions; its tag hides the time in it from those who do not ask it.
		nanotime.Time{},
	} {
		tagged[reflect.TypeOf(of)] = true
	}
	if err := naming.VerifyTagNaming(scheme, tagged, nil); err != nil {
		t.Error(err)
	}
}

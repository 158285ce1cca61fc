// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

package jobs_test

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/randfill"

	"karo.io/karo/pkg/apis/karo"
)

// everyVolume returns a volume of every type that there is, each with all of its fields set.
func everyVolume() []corev1.Volume {
	fill := randfill.NewWithSeed(1).NilChance(0).NumElements(1, 2).MaxDepth(10)
	types := reflect.TypeFor[corev1.VolumeSource]()
	volumes := make([]corev1.Volume, 0, types.NumField())
	for i := range types.NumField() {
		var volume corev1.Volume
		volume.Name = strings.ToLower(types.Field(i).Name)
		fill.Fill(reflect.ValueOf(&volume.VolumeSource).Elem().Field(i).Addr().Interface())
		volumes = append(volumes, volume)
	}
	return volumes
}

// A Job has the volumes that its container mounts, and no others, whatever they are.
func TestEveryVolumeType(t *testing.T) {
	volumes := everyVolume()
	if len(volumes) < 30 {
		t.Fatalf("there are %d types of volumes, and have been 30", len(volumes))
	}
	for name, wanted := range map[string]func(i int) bool{
		"none":         func(int) bool { return false },
		"all":          func(int) bool { return true },
		"each second":  func(i int) bool { return i%2 == 0 },
		"the other":    func(i int) bool { return i%2 == 1 },
		"the last one": func(i int) bool { return i == len(volumes)-1 },
	} {
		t.Run(name, func(t *testing.T) {
			var want []corev1.Volume
			var mounts []corev1.VolumeMount
			for i := range volumes {
				if wanted(i) {
					want = append(want, *volumes[i].DeepCopy())
					mounts = append(mounts, corev1.VolumeMount{Name: volumes[i].Name, MountPath: "/" + volumes[i].Name})
				}
			}
			// The order is that of the reaction, whatever that of the mounts is, and one that is mounted twice is there once.
			slices.Reverse(mounts)
			for _, mount := range slices.Clone(mounts) {
				mount.MountPath += "-again"
				mounts = append(mounts, mount)
			}
			spec := &karo.AlertReactionSpec{Volumes: volumes}
			pod := build(t, execution(), spec, &karo.Action{Name: "a", Image: "i", VolumeMounts: mounts}).Spec.Template.Spec
			if diff := cmp.Diff(want, pod.Volumes); diff != "" {
				t.Errorf("volumes (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(mounts, pod.Containers[0].VolumeMounts); diff != "" {
				t.Errorf("mounts (-want +got):\n%s", diff)
			}
		})
	}
}

// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

package v1_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"karo.io/karo/pkg/apis/karo/install"
	v1 "karo.io/karo/pkg/apis/karo/v1"
)

func TestDefaults(t *testing.T) {
	scheme := runtime.NewScheme()
	install.Install(scheme)
	firing := v1.AlertReactionSpec{
		When: []v1.When{v1.WhenFiring}, AlertScope: v1.ScopeNamespace, Suspend: new(false), Order: v1.OrderParallel,
	}
	for name, tc := range map[string]struct{ given, want v1.AlertReactionSpec }{
		"when and how it runs": {
			given: v1.AlertReactionSpec{},
			want:  firing,
		},
		"what is missing is filled in": {
			given: v1.AlertReactionSpec{
				Matchers: []v1.Matcher{{Name: "severity", Value: "critical"}},
				Actions:  []v1.Action{{Name: "a", Image: "busybox"}},
				Volumes:  []corev1.Volume{{Name: "v", VolumeSource: corev1.VolumeSource{ISCSI: &corev1.ISCSIVolumeSource{}}}},
			},
			want: v1.AlertReactionSpec{
				When: firing.When, AlertScope: firing.AlertScope, Suspend: firing.Suspend, Order: firing.Order,
				// What is in an atomic list stays as it was applied.
				Matchers: []v1.Matcher{{Name: "severity", Value: "critical"}},
				// The limits of an action are not those of the version.
				Actions: []v1.Action{{Name: "a", Image: "busybox"}},
				Volumes: []corev1.Volume{{Name: "v", VolumeSource: corev1.VolumeSource{ISCSI: &corev1.ISCSIVolumeSource{ISCSIInterface: "default"}}}},
			},
		},
		"what is given stays": {
			given: v1.AlertReactionSpec{
				When: []v1.When{v1.WhenResolved, v1.WhenFiring}, AlertScope: v1.ScopeCluster, Suspend: new(true), Order: v1.OrderSequential,
				Matchers: []v1.Matcher{{Name: "severity", Operator: v1.MatchNotRegexp, Value: "info"}},
				Actions: []v1.Action{{
					Name: "a", BackoffLimit: new(int32(3)), ActiveDeadlineSeconds: new(int64(1)), TTLSecondsAfterFinished: new(int32(0)),
				}},
			},
			want: v1.AlertReactionSpec{
				When: []v1.When{v1.WhenResolved, v1.WhenFiring}, AlertScope: v1.ScopeCluster, Suspend: new(true), Order: v1.OrderSequential,
				Matchers: []v1.Matcher{{Name: "severity", Operator: v1.MatchNotRegexp, Value: "info"}},
				Actions: []v1.Action{{
					Name: "a", BackoffLimit: new(int32(3)), ActiveDeadlineSeconds: new(int64(1)), TTLSecondsAfterFinished: new(int32(0)),
				}},
			},
		},
		"a whole Job stays as it is": {
			given: v1.AlertReactionSpec{
				When: firing.When, AlertScope: firing.AlertScope, Suspend: firing.Suspend, Order: firing.Order,
				JobTemplate: &batchv1.JobTemplateSpec{},
				Actions:     []v1.Action{{Name: "a", JobTemplate: &batchv1.JobTemplateSpec{}}},
			},
			want: v1.AlertReactionSpec{
				When: firing.When, AlertScope: firing.AlertScope, Suspend: firing.Suspend, Order: firing.Order,
				JobTemplate: &batchv1.JobTemplateSpec{},
				Actions:     []v1.Action{{Name: "a", JobTemplate: &batchv1.JobTemplateSpec{}}},
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			// A revision holds a spec too, and one item of a list is as good as any.
			reaction := &v1.AlertReaction{Spec: *tc.given.DeepCopy()}
			list := &v1.AlertReactionList{Items: []v1.AlertReaction{{}, {Spec: *tc.given.DeepCopy()}}}
			revision := &v1.ReactionRevision{Spec: *tc.given.DeepCopy()}
			for _, obj := range []runtime.Object{reaction, list, revision} {
				scheme.Default(obj)
			}
			for kind, got := range map[string]v1.AlertReactionSpec{
				"AlertReaction": reaction.Spec, "AlertReactionList": list.Items[1].Spec, "ReactionRevision": revision.Spec,
			} {
				if diff := cmp.Diff(tc.want, got); diff != "" {
					t.Errorf("%s (-want +got):\n%s", kind, diff)
				}
			}
		})
	}
}

// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

// Package fuzzer fills the internal types of the karo.io API group with random values that survive a round trip
// through every served version.
package fuzzer

import (
	"math"
	"strings"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"sigs.k8s.io/randfill"

	"karo.io/karo/pkg/apis/karo"
	v1 "karo.io/karo/pkg/apis/karo/v1"
	"karo.io/karo/pkg/apis/nanotime"
)

// Funcs returns the rules for the types of the karo.io API group.
func Funcs(serializer.CodecFactory) []any {
	return []any{
		func(t *nanotime.Time, c randfill.Continue) {
			// The zero time is null on the wire, so that a pointer to it would come back as nil.
			*t = nanotime.New(time.Unix(1+c.Int63n(math.MaxUint32), c.Int63n(int64(time.Second))))
		},
		func(s *karo.AlertReactionSpec, c randfill.Continue) {
			c.FillNoCustom(s)
			// What is missing of these is defaulted.
			s.When = pick(c, []karo.When{karo.WhenFiring}, []karo.When{karo.WhenResolved}, []karo.When{karo.WhenResolved, karo.WhenFiring})
			s.AlertScope = pick(c, karo.ScopeNamespace, karo.ScopeCluster)
			s.Suspend = new(c.Bool())
			s.Order = pick(c, karo.OrderParallel, karo.OrderSequential)
		},
		func(e *karo.EnvVar, c randfill.Continue) {
			// A variable has one value at most. None at all is the empty literal. In v1alpha1 a value may stand beside a
			// source, which v1 refuses; the conversions have tests of their own for that.
			*e = karo.EnvVar{Name: c.String(0)}
			switch c.Intn(5) {
			case 0:
				e.Literal = c.String(0)
			case 1:
				// A literal that looks like an expression, or like an escaped one.
				e.Literal = strings.Repeat(`\`, c.Intn(4)) + expression(c)
			case 2:
				e.Expression = expression(c)
			case 3:
				e.ValueFrom = &karo.EnvVarSource{}
				c.Fill(e.ValueFrom)
			}
		},
		func(v *corev1.Volume, c randfill.Continue) {
			c.FillNoCustom(v)
			reaction := v1.AlertReaction{Spec: v1.AlertReactionSpec{Volumes: []corev1.Volume{*v}}}
			v1.SetObjectDefaults_AlertReaction(&reaction)
			*v = reaction.Spec.Volumes[0]
		},
		func(j *batchv1.JobTemplateSpec, c randfill.Continue) {
			c.FillNoCustom(j)
			reaction := v1.AlertReaction{Spec: v1.AlertReactionSpec{JobTemplate: j}}
			v1.SetObjectDefaults_AlertReaction(&reaction)
		},
		func(j *batchv1.Job, c randfill.Continue) {
			c.FillNoCustom(j)
			result := v1.AlertNotificationResult{Alerts: []v1.AlertResult{{Reactions: []v1.ReactionResult{{Jobs: []batchv1.Job{*j}}}}}}
			v1.SetObjectDefaults_AlertNotificationResult(&result)
			*j = result.Alerts[0].Reactions[0].Jobs[0]
		},
	}
}

// expression returns one of the texts that stand for a part of the alert.
func expression(c randfill.Continue) string {
	// A name that is empty would make the text a literal.
	name := c.String(0) + "x"
	return pick(c, "status", "labels."+name, "annotations."+name)
}

func pick[T any](c randfill.Continue, from ...T) T {
	return from[c.Intn(len(from))]
}

// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

package jobs

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"

	"github.com/prometheus/common/model"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/sets"

	"karo.io/karo/pkg/apis/karo"
	v1 "karo.io/karo/pkg/apis/karo/v1"
	"karo.io/karo/pkg/names"
)

// run is what the annotation of a Job says of its Execution beside the alert, which its containers have.
type run struct {
	Spec    v1.ExecutionSpec `json:"spec"`
	Actions []string         `json:"actions"`
}

const (
	// MaxActions is how many actions an Execution may have; validation refuses a reaction with more.
	MaxActions = 100
	// MaxActionName is how many bytes the name of an action may have; validation refuses a longer one.
	MaxActionName = 253
)

// tell reads the annotation of a Job. It reports false if there is none, or one that Karo cannot have written: whoever may
// create Jobs may write any.
func (r *run) tell(job *batchv1.Job, spec *karo.ExecutionSpec) bool {
	if json.Unmarshal([]byte(job.Annotations[karo.AnnotationRun]), r) != nil ||
		v1.Convert_v1_ExecutionSpec_To_karo_ExecutionSpec(&r.Spec, spec, nil) != nil || spec.Reaction.Name == "" {
		return false
	}
	seen := sets.New[string]()
	r.Actions = slices.DeleteFunc(r.Actions, func(action string) bool {
		defer seen.Insert(action)
		return seen.Has(action)
	})
	return len(r.Actions) <= MaxActions && !slices.ContainsFunc(r.Actions, func(action string) bool { return len(action) > MaxActionName })
}

// runAnnotation returns the annotation for the Jobs of an Execution.
func runAnnotation(e *karo.Execution, spec *karo.AlertReactionSpec) (string, error) {
	told := e.Spec
	told.Alert = karo.AlertOccurrence{}
	told.Receiver, told.TriggeredBy = short(told.Receiver), short(told.TriggeredBy)
	var r run
	if err := v1.Convert_karo_ExecutionSpec_To_v1_ExecutionSpec(&told, &r.Spec, nil); err != nil {
		return "", err
	}
	actions := Actions(spec)
	for i := range actions {
		r.Actions = append(r.Actions, actions[i].Name)
	}
	return asJSON(r)
}

// Owner returns the reference of a Job to its Execution, or nil.
func Owner(job *batchv1.Job) *metav1.OwnerReference {
	if owner := metav1.GetControllerOf(job); owner != nil && owner.Kind == "Execution" && owner.APIVersion == v1.SchemeGroupVersion.String() {
		return owner
	}
	return nil
}

// Execution returns the Execution that a Job has an Owner reference to, as far as the Job tells, with all its actions and
// nothing known of them. Of a Job that tells nothing it is enough for the reference to hold.
func Execution(job *batchv1.Job) *karo.Execution {
	owner := Owner(job)
	e := &karo.Execution{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: job.Namespace, Name: owner.Name, UID: owner.UID, CreationTimestamp: job.CreationTimestamp, Generation: 1,
		},
		Status: karo.ExecutionStatus{Phase: karo.PhasePending},
	}
	var r run
	if !r.tell(job, &e.Spec) {
		r = run{}
		e.Spec = karo.ExecutionSpec{Reaction: karo.ReactionReference{Name: job.Annotations[karo.AnnotationReaction]}, Trigger: karo.TriggerManual}
		if names.IsReserved(e.Name) {
			e.Spec.Trigger = karo.TriggerNotification
		}
	}
	e.Spec.Alert = alertOf(job)
	e.Labels = map[string]string{karo.LabelReaction: names.LabelValue(e.Spec.Reaction.Name)}
	// The annotation with the name of the action may differ from it, so that it could be printed.
	if !slices.ContainsFunc(r.Actions, func(action string) bool { return names.Job(e, action) == job.Name }) {
		if action := job.Annotations[karo.AnnotationActionName]; len(r.Actions) < MaxActions && len(action) <= MaxActionName && !slices.Contains(r.Actions, action) {
			r.Actions = append(r.Actions, action)
		}
	}
	for _, action := range r.Actions {
		e.Status.Actions = append(e.Status.Actions, karo.ActionStatus{Name: action, Phase: karo.PhasePending})
	}
	return e
}

// alertOf returns the alert that the containers of a Job are told. A container whose author gave it a KARO_ALERT of
// another alert does not count.
func alertOf(job *batchv1.Job) karo.AlertOccurrence {
	fingerprint := job.Annotations[karo.AnnotationFingerprint]
	pod := &job.Spec.Template.Spec
	for _, containers := range [][]corev1.Container{pod.InitContainers, pod.Containers} {
		for i := range containers {
			var alert wholeAlert
			if json.Unmarshal([]byte(alertText(containers[i].Env)), &alert) != nil || len(alert.Labels) == 0 || alert.Fingerprint != fingerprint {
				continue
			}
			return karo.AlertOccurrence{
				Name: alert.Labels[model.AlertNameLabel], Status: alert.Status, Labels: alert.Labels, Annotations: alert.Annotations,
				StartsAt: alert.StartsAt, EndsAt: alert.EndsAt, GeneratorURL: alert.GeneratorURL, Fingerprint: alert.Fingerprint,
			}
		}
	}
	name := job.Annotations[karo.AnnotationAlertName]
	return karo.AlertOccurrence{Name: name, Status: karo.AlertFiring, Labels: map[string]string{model.AlertNameLabel: name}, Fingerprint: fingerprint}
}

// alertText puts the variables that alertVariables makes of an alert together again.
func alertText(env []corev1.EnvVar) string {
	value := func(name string) (string, bool) {
		i := slices.IndexFunc(env, func(v corev1.EnvVar) bool { return v.Name == name })
		if i < 0 {
			return "", false
		}
		return strings.ReplaceAll(env[i].Value, "$$", "$"), true
	}
	if whole, ok := value(variableAlert); ok {
		return whole
	}
	var parts []string
	for part, ok := value(variableAlert + "_0"); ok; part, ok = value(variableAlert + "_" + strconv.Itoa(len(parts))) {
		parts = append(parts, part)
	}
	return strings.Join(parts, "")
}

// short cuts a text that a Job repeats.
func short(text string) string {
	if len(text) > maxAnnotation {
		return strings.ToValidUTF8(text[:maxAnnotation], "")
	}
	return text
}

// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

// Package jobs builds the Jobs of an Execution. It is pure: the same Execution and spec always give the same Jobs.
package jobs

import (
	"encoding/json"
	"fmt"
	"strings"
	"unicode/utf8"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/sets"

	"karo.io/karo/pkg/apis/karo"
	v1 "karo.io/karo/pkg/apis/karo/v1"
	"karo.io/karo/pkg/apis/nanotime"
	"karo.io/karo/pkg/names"
)

// ContainerName is the name of the one container of each Job.
const ContainerName = "action"

// maxAnnotation bounds an annotation that repeats a text of the alert; a Job may carry 256 KiB of annotations in all.
const maxAnnotation = 4 << 10

// All returns the Jobs of an Execution that runs a spec, in the order of its actions.
func All(e *karo.Execution, spec *karo.AlertReactionSpec) ([]batchv1.Job, error) {
	jobs := make([]batchv1.Job, 0, len(spec.Actions))
	for i := range spec.Actions {
		job, err := Build(e, spec, &spec.Actions[i])
		if err != nil {
			return nil, err
		}
		jobs = append(jobs, *job)
	}
	return jobs, nil
}

// Build returns the Job for one action. It has no ttlSecondsAfterFinished: a Job that may vanish before its end is
// stored in the Execution would run again.
func Build(e *karo.Execution, spec *karo.AlertReactionSpec, action *karo.Action) (*batchv1.Job, error) {
	env, err := environment(&e.Spec.Alert, action)
	if err != nil {
		return nil, fmt.Errorf("action %s: %w", action.Name, err)
	}
	labels, annotations := labels(e, action), annotations(e)
	return &batchv1.Job{
		TypeMeta: metav1.TypeMeta{APIVersion: batchv1.SchemeGroupVersion.String(), Kind: "Job"},
		ObjectMeta: metav1.ObjectMeta{
			Name:        names.Job(e, action.Name),
			Namespace:   e.Namespace,
			Labels:      labels,
			Annotations: annotations,
			OwnerReferences: []metav1.OwnerReference{{
				APIVersion: v1.SchemeGroupVersion.String(),
				Kind:       "Execution",
				Name:       e.Name,
				UID:        e.UID,
				Controller: new(true),
			}},
		},
		Spec: batchv1.JobSpec{
			BackoffLimit:          action.BackoffLimit,
			ActiveDeadlineSeconds: action.ActiveDeadlineSeconds,
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels, Annotations: annotations},
				Spec: corev1.PodSpec{
					RestartPolicy:      corev1.RestartPolicyNever,
					ServiceAccountName: action.ServiceAccount,
					Volumes:            mounted(spec.Volumes, action.VolumeMounts),
					Containers: []corev1.Container{{
						Name:                     ContainerName,
						Image:                    action.Image,
						Command:                  action.Command,
						Args:                     action.Args,
						Env:                      env,
						Resources:                action.Resources,
						VolumeMounts:             action.VolumeMounts,
						TerminationMessagePolicy: corev1.TerminationMessageFallbackToLogsOnError,
					}},
				},
			},
		},
	}, nil
}

func labels(e *karo.Execution, action *karo.Action) map[string]string {
	return map[string]string{
		karo.LabelName:       karo.JobName,
		karo.LabelManagedBy:  karo.ManagedBy,
		karo.LabelAlertName:  names.LabelValue(e.Spec.Alert.Name),
		karo.LabelActionName: names.LabelValue(action.Name),
		karo.LabelOwner:      names.LabelValue(e.Spec.Reaction.Name),
		karo.LabelExecution:  names.LabelValue(e.Name),
		karo.LabelReaction:   names.LabelValue(e.Spec.Reaction.Name),
	}
}

func annotations(e *karo.Execution) map[string]string {
	annotations := map[string]string{}
	for name, value := range map[string]string{
		karo.AnnotationAlertName:   e.Spec.Alert.Name,
		karo.AnnotationReaction:    e.Spec.Reaction.Name,
		karo.AnnotationFingerprint: e.Spec.Alert.Fingerprint,
		karo.AnnotationStartsAt:    instant(e.Spec.Alert.StartsAt),
		karo.AnnotationReceiver:    e.Spec.Receiver,
	} {
		if value == "" {
			continue
		}
		if len(value) > maxAnnotation {
			value = strings.ToValidUTF8(value[:maxAnnotation], "")
		}
		annotations[name] = printable(value)
	}
	return annotations
}

func mounted(volumes []corev1.Volume, mounts []corev1.VolumeMount) []corev1.Volume {
	wanted := sets.New[string]()
	for i := range mounts {
		wanted.Insert(mounts[i].Name)
	}
	var used []corev1.Volume
	for i := range volumes {
		if wanted.Has(volumes[i].Name) {
			used = append(used, volumes[i])
		}
	}
	return used
}

func environment(alert *karo.AlertOccurrence, action *karo.Action) ([]corev1.EnvVar, error) {
	env := make([]corev1.EnvVar, 0, len(action.Env))
	for i := range action.Env {
		in := &action.Env[i]
		out := corev1.EnvVar{Name: in.Name, Value: in.Literal}
		expression := in.Expression
		if in.ValueFrom != nil {
			if in.ValueFrom.AlertRef != nil {
				expression = in.ValueFrom.AlertRef.FieldPath
			} else {
				out.ValueFrom = &corev1.EnvVarSource{
					ConfigMapKeyRef:  in.ValueFrom.ConfigMapKeyRef,
					SecretKeyRef:     in.ValueFrom.SecretKeyRef,
					FieldRef:         in.ValueFrom.FieldRef,
					ResourceFieldRef: in.ValueFrom.ResourceFieldRef,
				}
			}
		}
		if expression != "" {
			value, err := Field(alert, expression)
			if err != nil {
				return nil, fmt.Errorf("variable %s: %w", in.Name, err)
			}
			out.Value = data(value)
		}
		env = append(env, out)
	}
	return env, nil
}

// data makes a text of the alert safe as the value of a variable. The kubelet expands $(NAME) in values, so that a
// label $(PASSWORD) would carry a secret to wherever the action sends its labels. Doubling only the $ in front of a
// parenthesis would not do: $$(NAME) would become $(NAME) again.
func data(s string) string {
	return strings.ReplaceAll(printable(s), "$", "$$")
}

// printable drops what no variable can hold.
func printable(s string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(s, string(utf8.RuneError)), "\x00", string(utf8.RuneError))
}

// wholeAlert is the alert as JSON, in Alertmanager's words.
type wholeAlert struct {
	Status       karo.AlertStatus  `json:"status"`
	Labels       map[string]string `json:"labels"`
	Annotations  map[string]string `json:"annotations"`
	StartsAt     *nanotime.Time    `json:"startsAt,omitempty"`
	EndsAt       *nanotime.Time    `json:"endsAt,omitempty"`
	GeneratorURL string            `json:"generatorURL,omitempty"`
	Fingerprint  string            `json:"fingerprint,omitempty"`
}

// Field returns the part of an alert that a field path names. A label or annotation that the alert lacks is empty.
func Field(alert *karo.AlertOccurrence, path string) (string, error) {
	if name, ok := strings.CutPrefix(path, "labels."); ok && name != "" {
		return alert.Labels[name], nil
	}
	if name, ok := strings.CutPrefix(path, "annotations."); ok && name != "" {
		return alert.Annotations[name], nil
	}
	switch path {
	case ".":
		whole := wholeAlert{
			Status: alert.Status, Labels: alert.Labels, Annotations: alert.Annotations,
			StartsAt: alert.StartsAt, EndsAt: alert.EndsAt,
			GeneratorURL: alert.GeneratorURL, Fingerprint: alert.Fingerprint,
		}
		text, err := json.Marshal(whole)
		return string(text), err
	case "status":
		return string(alert.Status), nil
	case "startsAt":
		return instant(alert.StartsAt), nil
	case "endsAt":
		return instant(alert.EndsAt), nil
	case "generatorURL":
		return alert.GeneratorURL, nil
	case "fingerprint":
		return alert.Fingerprint, nil
	}
	return "", fmt.Errorf("%q is no field of an alert: must be \".\", \"status\", \"startsAt\", \"endsAt\", \"generatorURL\", \"fingerprint\", \"labels.<name>\" or \"annotations.<name>\"", path)
}

func instant(t *nanotime.Time) string {
	if t == nil {
		return ""
	}
	return t.String()
}

// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

// Package jobs builds the Jobs of an Execution. It is pure: the same Execution and spec always give the same Jobs.
package jobs

import (
	"fmt"
	"maps"
	"slices"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/utils/ptr"

	"karo.io/karo/pkg/apis/karo"
	v1 "karo.io/karo/pkg/apis/karo/v1"
	"karo.io/karo/pkg/names"
)

const (
	// ContainerName is the name of the container of an action that is no Job template.
	ContainerName = "action"
	// TemplateAction is the name of the one action of a reaction that is a Job template as a whole.
	TemplateAction = "job"
)

// What an action gets that says nothing else. Repeating a remediation blindly can do harm, nothing may hang for ever, and
// an hour is for whoever is woken to read the logs.
const (
	DefaultBackoffLimit            int32 = 0
	DefaultActiveDeadlineSeconds   int64 = 3600
	DefaultTTLSecondsAfterFinished int32 = 3600
)

// MinLife is for how long a Job is there at least once it has ended, whatever its time to live. A replica that lost the
// lease right after it asked for the Job has to find it there, and the cluster may take a minute to serve a request.
const MinLife = time.Minute

// maxAnnotation bounds an annotation that repeats a text of the alert; a Job may carry 256 KiB of annotations in all.
const maxAnnotation = 4 << 10

// Actions returns the actions of a spec. They are shared and must not be changed.
func Actions(spec *karo.AlertReactionSpec) []karo.Action {
	if spec.JobTemplate != nil {
		return []karo.Action{{Name: TemplateAction, JobTemplate: spec.JobTemplate}}
	}
	return spec.Actions
}

// TTL returns how many seconds the finished Job of an action is kept.
func TTL(action *karo.Action) int32 {
	ttl := action.TTLSecondsAfterFinished
	if action.JobTemplate != nil {
		ttl = action.JobTemplate.Spec.TTLSecondsAfterFinished
	}
	return ptr.Deref(ttl, DefaultTTLSecondsAfterFinished)
}

// All returns the Jobs of an Execution that runs a spec, in the order of its actions.
func All(e *karo.Execution, spec *karo.AlertReactionSpec) ([]batchv1.Job, error) {
	actions := Actions(spec)
	jobs := make([]batchv1.Job, 0, len(actions))
	for i := range actions {
		job, err := Build(e, spec, &actions[i])
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
	job := &batchv1.Job{TypeMeta: metav1.TypeMeta{APIVersion: batchv1.SchemeGroupVersion.String(), Kind: "Job"}}
	var err error
	if action.JobTemplate != nil {
		job.Labels, job.Annotations = action.JobTemplate.Labels, action.JobTemplate.Annotations
		job.Spec, err = fromTemplate(e, spec, &action.JobTemplate.Spec)
	} else {
		job.Spec, err = fromAction(e, spec, action)
	}
	if err != nil {
		return nil, fmt.Errorf("action %s: %w", action.Name, err)
	}
	job.Name, job.Namespace = names.Job(e, action.Name), e.Namespace
	job.OwnerReferences = []metav1.OwnerReference{{
		APIVersion: v1.SchemeGroupVersion.String(),
		Kind:       "Execution",
		Name:       e.Name,
		UID:        e.UID,
		Controller: new(true),
	}}
	labels, annotations := labels(e, action), annotations(e, action)
	for _, meta := range []*metav1.ObjectMeta{&job.ObjectMeta, &job.Spec.Template.ObjectMeta} {
		meta.Labels, meta.Annotations = merge(meta.Labels, labels), merge(meta.Annotations, annotations)
	}
	if job.Annotations[karo.AnnotationRun], err = runAnnotation(e, spec); err != nil {
		return nil, fmt.Errorf("action %s: %w", action.Name, err)
	}
	return job, nil
}

func merge(given, own map[string]string) map[string]string {
	merged := maps.Clone(given)
	if merged == nil {
		merged = map[string]string{}
	}
	maps.Copy(merged, own)
	return merged
}

func fromAction(e *karo.Execution, spec *karo.AlertReactionSpec, action *karo.Action) (batchv1.JobSpec, error) {
	env, err := environment(e, action)
	if err != nil {
		return batchv1.JobSpec{}, err
	}
	command, args := arguments(action, env)
	return batchv1.JobSpec{
		BackoffLimit:          new(ptr.Deref(action.BackoffLimit, DefaultBackoffLimit)),
		ActiveDeadlineSeconds: new(ptr.Deref(action.ActiveDeadlineSeconds, DefaultActiveDeadlineSeconds)),
		Template: corev1.PodTemplateSpec{Spec: corev1.PodSpec{
			RestartPolicy:      corev1.RestartPolicyNever,
			ServiceAccountName: ServiceAccountName(spec, action),
			Volumes:            mounted(spec.Volumes, action.VolumeMounts),
			Containers: []corev1.Container{{
				Name:                     ContainerName,
				Image:                    action.Image,
				ImagePullPolicy:          action.ImagePullPolicy,
				Command:                  command,
				Args:                     args,
				Env:                      env,
				EnvFrom:                  action.EnvFrom,
				Resources:                action.Resources,
				VolumeMounts:             action.VolumeMounts,
				SecurityContext:          action.SecurityContext,
				TerminationMessagePolicy: corev1.TerminationMessageFallbackToLogsOnError,
			}},
		}},
	}, nil
}

// ServiceAccountName returns the name of the ServiceAccount that the pod of an action runs as, or "" for the default
// one of the namespace.
func ServiceAccountName(spec *karo.AlertReactionSpec, action *karo.Action) string {
	given := []string{action.ServiceAccount, action.ServiceAccountName, spec.ServiceAccountName}
	if action.JobTemplate != nil {
		pod := &action.JobTemplate.Spec.Template.Spec
		given = []string{pod.ServiceAccountName, pod.DeprecatedServiceAccount, spec.ServiceAccountName}
	}
	for _, name := range given {
		if name != "" {
			return name
		}
	}
	return ""
}

func fromTemplate(e *karo.Execution, spec *karo.AlertReactionSpec, template *batchv1.JobSpec) (batchv1.JobSpec, error) {
	job := *template.DeepCopy()
	job.BackoffLimit = new(ptr.Deref(job.BackoffLimit, DefaultBackoffLimit))
	job.ActiveDeadlineSeconds = new(ptr.Deref(job.ActiveDeadlineSeconds, DefaultActiveDeadlineSeconds))
	job.TTLSecondsAfterFinished = nil
	pod := &job.Template.Spec
	if pod.RestartPolicy == "" {
		pod.RestartPolicy = corev1.RestartPolicyNever
	}
	if pod.ServiceAccountName == "" && pod.DeprecatedServiceAccount == "" {
		pod.ServiceAccountName = spec.ServiceAccountName
	}
	alert, err := alertVariables(e)
	if err != nil {
		return batchv1.JobSpec{}, err
	}
	for _, containers := range [][]corev1.Container{pod.InitContainers, pod.Containers} {
		for i := range containers {
			c := &containers[i]
			c.Env = slices.Concat(without(alert, c.Env), c.Env)
			if c.TerminationMessagePolicy == "" {
				c.TerminationMessagePolicy = corev1.TerminationMessageFallbackToLogsOnError
			}
		}
	}
	return job, nil
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

func annotations(e *karo.Execution, action *karo.Action) map[string]string {
	annotations := map[string]string{}
	for name, value := range map[string]string{
		karo.AnnotationAlertName:   e.Spec.Alert.Name,
		karo.AnnotationActionName:  action.Name,
		karo.AnnotationReaction:    e.Spec.Reaction.Name,
		karo.AnnotationFingerprint: e.Spec.Alert.Fingerprint,
		karo.AnnotationStartsAt:    instant(e.Spec.Alert.StartsAt),
		karo.AnnotationReceiver:    e.Spec.Receiver,
	} {
		if value == "" {
			continue
		}
		annotations[name] = printable(short(value))
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

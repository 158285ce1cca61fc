// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

package alertreaction

import (
	"context"
	"fmt"
	"reflect"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	genericapirequest "k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/warning"

	"karo.io/karo/pkg/apis/karo"
	v1 "karo.io/karo/pkg/apis/karo/v1"
	"karo.io/karo/pkg/apis/karo/v1alpha1"
	"karo.io/karo/pkg/jobs"
)

// isV1alpha1 reports whether a request speaks v1alpha1.
func isV1alpha1(ctx context.Context) bool {
	info, ok := genericapirequest.RequestInfoFrom(ctx)
	return ok && info.APIVersion == v1alpha1.SchemeGroupVersion.Version
}

// isUpdate reports whether a request replaces a whole object, so that what it lacks may be what its sender does not
// know. A patch names what it removes, but of actions, whose list is replaced as a whole.
func isUpdate(ctx context.Context) bool {
	info, ok := genericapirequest.RequestInfoFrom(ctx)
	return ok && info.Verb == "update"
}

// setDefaults fills in what a reaction that was written in v1alpha1, which has no defaults of its own, lacks.
func setDefaults(reaction *karo.AlertReaction) {
	var versioned v1.AlertReaction
	if err := v1.Convert_karo_AlertReaction_To_v1_AlertReaction(reaction, &versioned, nil); err != nil {
		utilruntime.HandleError(fmt.Errorf("defaults of reaction %s/%s: %w", reaction.Namespace, reaction.Name, err))
		return
	}
	v1.SetObjectDefaults_AlertReaction(&versioned)
	if err := v1.Convert_v1_AlertReaction_To_karo_AlertReaction(&versioned, reaction, nil); err != nil {
		utilruntime.HandleError(fmt.Errorf("defaults of reaction %s/%s: %w", reaction.Namespace, reaction.Name, err))
	}
}

// nameUniquely gives actions of the same name a number. The operator that v1alpha1 comes from ran them all.
func nameUniquely(ctx context.Context, actions []karo.Action) {
	taken := map[string]bool{}
	for i := range actions {
		taken[actions[i].Name] = true
	}
	seen := map[string]bool{}
	for i := range actions {
		given := actions[i].Name
		for n := 2; seen[actions[i].Name]; n++ {
			if name := given + "-" + strconv.Itoa(n); !taken[name] {
				actions[i].Name = name
			}
		}
		if name := actions[i].Name; name != given {
			warning.AddWarning(ctx, "", fmt.Sprintf("spec.actions[%d].name: another action has the name %q; this one is called %q", i, given, name))
			taken[name] = true
		}
		seen[actions[i].Name] = true
	}
}

// keepStored keeps, of what is stored, what an update in v1alpha1 does not say. A client that was made for the operator
// before this server does not know these fields, and would otherwise remove them by every update.
func keepStored(spec, stored *karo.AlertReactionSpec) {
	keep(&spec.When, stored.When)
	keep(&spec.AlertScope, stored.AlertScope)
	keep(&spec.Suspend, stored.Suspend)
	keep(&spec.Order, stored.Order)
	keep(&spec.ServiceAccountName, stored.ServiceAccountName)
	if len(spec.Actions) == 0 {
		keep(&spec.JobTemplate, stored.JobTemplate)
	}
	for i := range spec.Volumes {
		if s := find(stored.Volumes, func(s *corev1.Volume) bool { return s.Name == spec.Volumes[i].Name }); s != nil {
			keepStoredOfVolume(&spec.Volumes[i], s)
		}
	}
}

// keepStoredOfActions does the same for the actions, which are told apart by their names. It tells what it keeps: somebody
// may have meant to remove it. Limits that mean nothing else when they are not said are kept by an update alone: a manifest
// that is applied would never read back as it was written.
func keepStoredOfActions(ctx context.Context, actions, stored []karo.Action, update bool) {
	for i := range actions {
		s := find(stored, func(s *karo.Action) bool { return s.Name == actions[i].Name })
		if s == nil {
			continue
		}
		if kept := keepStoredOfAction(&actions[i], s, update); len(kept) > 0 {
			warning.AddWarning(ctx, "", fmt.Sprintf("spec.actions[%d]: %s stays as it is stored; it can be removed in karo.io/v1", i, strings.Join(kept, ", ")))
		}
	}
}

func keepStoredOfVolume(volume, stored *corev1.Volume) {
	keep(&volume.VolumeSource, stored.VolumeSource)
	if volume.ConfigMap != nil && stored.ConfigMap != nil && volume.ConfigMap.Name == stored.ConfigMap.Name {
		keep(&volume.ConfigMap.Items, stored.ConfigMap.Items)
	}
	if volume.Secret != nil && stored.Secret != nil && volume.Secret.SecretName == stored.Secret.SecretName {
		keep(&volume.Secret.Items, stored.Secret.Items)
	}
}

// keepStoredOfAction returns the names of the fields that it keeps.
func keepStoredOfAction(action, stored *karo.Action, update bool) []string {
	if action.JobTemplate != nil {
		return nil // It takes the place of all that is stored.
	}
	if action.Image == "" && stored.JobTemplate != nil {
		action.JobTemplate = stored.JobTemplate
		return []string{"jobTemplate"}
	}
	var kept []string
	note := func(name string, isKept bool) {
		if isKept {
			kept = append(kept, name)
		}
	}
	note("imagePullPolicy", keep(&action.ImagePullPolicy, stored.ImagePullPolicy))
	note("envFrom", keep(&action.EnvFrom, stored.EnvFrom))
	note("resources.claims", keep(&action.Resources.Claims, stored.Resources.Claims))
	note("securityContext", keep(&action.SecurityContext, stored.SecurityContext))
	if action.ServiceAccount == stored.ServiceAccount {
		note("serviceAccountName", keep(&action.ServiceAccountName, stored.ServiceAccountName))
	}
	note("backoffLimit", keepLimit(&action.BackoffLimit, stored.BackoffLimit, jobs.DefaultBackoffLimit, update))
	note("activeDeadlineSeconds", keepLimit(&action.ActiveDeadlineSeconds, stored.ActiveDeadlineSeconds, jobs.DefaultActiveDeadlineSeconds, update))
	note("ttlSecondsAfterFinished", keepLimit(&action.TTLSecondsAfterFinished, stored.TTLSecondsAfterFinished, jobs.DefaultTTLSecondsAfterFinished, update))
	for i := range action.VolumeMounts {
		mount := &action.VolumeMounts[i]
		if s := find(stored.VolumeMounts, func(s *corev1.VolumeMount) bool { return s.MountPath == mount.MountPath }); s != nil {
			path := fmt.Sprintf("volumeMounts[%d].", i)
			note(path+"subPathExpr", keep(&mount.SubPathExpr, s.SubPathExpr))
			note(path+"mountPropagation", keep(&mount.MountPropagation, s.MountPropagation))
			note(path+"recursiveReadOnly", keep(&mount.RecursiveReadOnly, s.RecursiveReadOnly))
		}
	}
	for i := range action.Env {
		v := &action.Env[i]
		s := find(stored.Env, func(s *karo.EnvVar) bool { return s.Name == v.Name })
		if s == nil || v.ValueFrom == nil || v.Literal != "" {
			continue
		}
		switch ref := v.ValueFrom.AlertRef; {
		case ref != nil && ref.FieldPath == s.Expression && s.Expression != "":
			v.Expression, v.ValueFrom = s.Expression, nil
		case *v.ValueFrom == karo.EnvVarSource{} && s.ValueFrom != nil:
			v.ValueFrom = s.ValueFrom
			note(fmt.Sprintf("env[%d].valueFrom", i), true)
		}
	}
	return kept
}

// keepLimit does as keep, but for a limit that is as it would be by default: that stays only in an update, and need not be
// told.
func keepLimit[T comparable](given **T, stored *T, byDefault T, update bool) bool {
	if stored != nil && *stored == byDefault {
		if update {
			keep(given, stored)
		}
		return false
	}
	return keep(given, stored)
}

// keep sets a field that is not given to what is stored, and reports whether that makes a difference.
func keep[T any](given *T, stored T) bool {
	if !reflect.ValueOf(given).Elem().IsZero() || reflect.ValueOf(&stored).Elem().IsZero() {
		return false
	}
	*given = stored
	return true
}

func find[T any](items []T, is func(*T) bool) *T {
	for i := range items {
		if is(&items[i]) {
			return &items[i]
		}
	}
	return nil
}

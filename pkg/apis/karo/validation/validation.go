// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

// Package validation says what is wrong with the objects of the karo.io API group. It is pure: every rule needs the
// object alone, and every error carries the path of the field in the served versions.
package validation

import (
	"encoding/json"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	metav1validation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/sets"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"karo.io/karo/pkg/apis/karo"
	"karo.io/karo/pkg/jobs"
	"karo.io/karo/pkg/matching"
)

// MaxSpecBytes is the size, as JSON, above which the spec of a reaction is refused: each revision of it is stored.
const MaxSpecBytes = 256 << 10

// MaxActions is how many actions a reaction may have: an Execution holds the end of each.
const MaxActions = 100

// AlertReaction validates a reaction that is created.
func AlertReaction(r *karo.AlertReaction) field.ErrorList {
	errs := apivalidation.ValidateObjectMeta(&r.ObjectMeta, true, apivalidation.NameIsDNSSubdomain, field.NewPath("metadata"))
	return append(errs, AlertReactionSpec(&r.Spec, field.NewPath("spec"))...)
}

// AlertReactionUpdate validates a reaction that is changed.
func AlertReactionUpdate(r, old *karo.AlertReaction) field.ErrorList {
	errs := apivalidation.ValidateObjectMetaUpdate(&r.ObjectMeta, &old.ObjectMeta, field.NewPath("metadata"))
	return append(errs, AlertReactionSpec(&r.Spec, field.NewPath("spec"))...)
}

// AlertReactionStatusUpdate validates a reaction whose status is changed.
func AlertReactionStatusUpdate(r, old *karo.AlertReaction) field.ErrorList {
	return apivalidation.ValidateObjectMetaUpdate(&r.ObjectMeta, &old.ObjectMeta, field.NewPath("metadata"))
}

// AlertReactionSpec validates the spec of a reaction.
func AlertReactionSpec(spec *karo.AlertReactionSpec, path *field.Path) field.ErrorList {
	_, errs := matching.Compile(spec, path)
	volumes, volumeErrs := validateVolumes(spec.Volumes, path.Child("volumes"))
	errs = append(errs, volumeErrs...)
	if len(spec.Actions) == 0 {
		errs = append(errs, field.Required(path.Child("actions"), "at least one action is required"))
	}
	if len(spec.Actions) > MaxActions {
		errs = append(errs, field.TooMany(path.Child("actions"), len(spec.Actions), MaxActions))
	}
	actions := sets.New[string]()
	for i := range spec.Actions {
		action, at := &spec.Actions[i], path.Child("actions").Index(i)
		if actions.Has(action.Name) {
			errs = append(errs, field.Duplicate(at.Child("name"), action.Name))
		}
		actions.Insert(action.Name)
		errs = append(errs, validateAction(action, volumes, at)...)
	}
	if size, err := json.Marshal(spec); err != nil {
		errs = append(errs, field.InternalError(path, err))
	} else if len(size) > MaxSpecBytes {
		errs = append(errs, field.TooLong(path, "", MaxSpecBytes))
	}
	return errs
}

func validateAction(action *karo.Action, volumes sets.Set[string], path *field.Path) field.ErrorList {
	var errs field.ErrorList
	for _, problem := range utilvalidation.IsDNS1123Label(action.Name) {
		errs = append(errs, field.Invalid(path.Child("name"), action.Name, problem))
	}
	if action.Image == "" {
		errs = append(errs, field.Required(path.Child("image"), "a container image"))
	} else if strings.TrimSpace(action.Image) != action.Image {
		errs = append(errs, field.Invalid(path.Child("image"), action.Image, "must not have leading or trailing whitespace"))
	}
	if action.ServiceAccount != "" {
		for _, problem := range apivalidation.ValidateServiceAccountName(action.ServiceAccount, false) {
			errs = append(errs, field.Invalid(path.Child("serviceAccount"), action.ServiceAccount, problem))
		}
	}
	if n := action.BackoffLimit; n != nil {
		errs = append(errs, apivalidation.ValidateNonnegativeField(int64(*n), path.Child("backoffLimit"))...)
	}
	if n := action.ActiveDeadlineSeconds; n != nil && *n < 1 {
		errs = append(errs, field.Invalid(path.Child("activeDeadlineSeconds"), *n, "must be greater than 0"))
	}
	if n := action.TTLSecondsAfterFinished; n != nil {
		errs = append(errs, apivalidation.ValidateNonnegativeField(int64(*n), path.Child("ttlSecondsAfterFinished"))...)
	}
	errs = append(errs, validateEnv(action.Env, path.Child("env"))...)
	errs = append(errs, validateMounts(action.VolumeMounts, volumes, path.Child("volumeMounts"))...)
	return append(errs, validateResources(&action.Resources, path.Child("resources"))...)
}

func validateEnv(env []karo.EnvVar, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	seen := sets.New[string]()
	for i := range env {
		v, at := &env[i], path.Index(i)
		for _, problem := range utilvalidation.IsRelaxedEnvVarName(v.Name) {
			errs = append(errs, field.Invalid(at.Child("name"), v.Name, problem))
		}
		if seen.Has(v.Name) {
			errs = append(errs, field.Duplicate(at.Child("name"), v.Name))
		}
		seen.Insert(v.Name)
		if v.ValueFrom == nil {
			continue
		}
		if v.Literal != "" || v.Expression != "" {
			errs = append(errs, field.Invalid(at.Child("valueFrom"), "", "may not be given beside value"))
		}
		errs = append(errs, validateSource(v.ValueFrom, at.Child("valueFrom"))...)
	}
	return errs
}

func validateSource(source *karo.EnvVarSource, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	given := 0
	if ref := source.AlertRef; ref != nil {
		given++
		if _, err := jobs.Field(&karo.AlertOccurrence{}, ref.FieldPath); err != nil {
			errs = append(errs, field.Invalid(path.Child("alertRef", "fieldPath"), ref.FieldPath, err.Error()))
		}
	}
	if ref := source.ConfigMapKeyRef; ref != nil {
		given++
		errs = append(errs, validateKeyRef(ref.Name, ref.Key, path.Child("configMapKeyRef"))...)
	}
	if ref := source.SecretKeyRef; ref != nil {
		given++
		errs = append(errs, validateKeyRef(ref.Name, ref.Key, path.Child("secretKeyRef"))...)
	}
	if ref := source.FieldRef; ref != nil {
		given++
		if ref.FieldPath == "" {
			errs = append(errs, field.Required(path.Child("fieldRef", "fieldPath"), "a field of the pod"))
		}
	}
	if ref := source.ResourceFieldRef; ref != nil {
		given++
		if ref.Resource == "" {
			errs = append(errs, field.Required(path.Child("resourceFieldRef", "resource"), "a resource of the container"))
		}
	}
	if given != 1 {
		errs = append(errs, field.Invalid(path, "", "exactly one source must be given"))
	}
	return errs
}

func validateKeyRef(name, key string, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	if name == "" {
		errs = append(errs, field.Required(path.Child("name"), ""))
	}
	if key == "" {
		errs = append(errs, field.Required(path.Child("key"), ""))
		return errs
	}
	for _, problem := range utilvalidation.IsConfigMapKey(key) {
		errs = append(errs, field.Invalid(path.Child("key"), key, problem))
	}
	return errs
}

func validateVolumes(volumes []corev1.Volume, path *field.Path) (sets.Set[string], field.ErrorList) {
	var errs field.ErrorList
	seen := sets.New[string]()
	for i := range volumes {
		name, at := volumes[i].Name, path.Index(i).Child("name")
		for _, problem := range utilvalidation.IsDNS1123Label(name) {
			errs = append(errs, field.Invalid(at, name, problem))
		}
		if seen.Has(name) {
			errs = append(errs, field.Duplicate(at, name))
		}
		seen.Insert(name)
	}
	return seen, errs
}

func validateMounts(mounts []corev1.VolumeMount, volumes sets.Set[string], path *field.Path) field.ErrorList {
	var errs field.ErrorList
	seen := sets.New[string]()
	for i := range mounts {
		mount, at := &mounts[i], path.Index(i)
		switch {
		case mount.Name == "":
			errs = append(errs, field.Required(at.Child("name"), "the name of a volume of the reaction"))
		case !volumes.Has(mount.Name):
			errs = append(errs, field.NotFound(at.Child("name"), mount.Name))
		}
		if mount.MountPath == "" {
			errs = append(errs, field.Required(at.Child("mountPath"), ""))
		}
		if seen.Has(mount.MountPath) {
			errs = append(errs, field.Duplicate(at.Child("mountPath"), mount.MountPath))
		}
		seen.Insert(mount.MountPath)
	}
	return errs
}

func validateResources(resources *corev1.ResourceRequirements, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	for child, list := range map[string]corev1.ResourceList{"limits": resources.Limits, "requests": resources.Requests} {
		for name, quantity := range list {
			if quantity.Sign() < 0 {
				errs = append(errs, field.Invalid(path.Child(child).Key(string(name)), quantity.String(), "must not be negative"))
			}
		}
	}
	return errs
}

var phases = []karo.Phase{karo.PhasePending, karo.PhaseRunning, karo.PhaseSucceeded, karo.PhaseFailed, karo.PhaseSkipped}

// Execution validates an Execution that is created.
func Execution(e *karo.Execution) field.ErrorList {
	errs := apivalidation.ValidateObjectMeta(&e.ObjectMeta, true, apivalidation.NameIsDNSSubdomain, field.NewPath("metadata"))
	path := field.NewPath("spec")
	for _, problem := range apivalidation.NameIsDNSSubdomain(e.Spec.Reaction.Name, false) {
		errs = append(errs, field.Invalid(path.Child("reaction", "name"), e.Spec.Reaction.Name, problem))
	}
	if len(e.Spec.Alert.Labels) == 0 {
		errs = append(errs, field.Required(path.Child("alert", "labels"), "an alert has at least one label"))
	}
	statuses := []karo.AlertStatus{karo.AlertFiring, karo.AlertResolved}
	if !slices.Contains(statuses, e.Spec.Alert.Status) {
		errs = append(errs, field.NotSupported(path.Child("alert", "status"), e.Spec.Alert.Status, statuses))
	}
	return errs
}

// ExecutionUpdate validates an Execution whose metadata is changed. Its spec says what happened, so it never changes.
func ExecutionUpdate(e, old *karo.Execution) field.ErrorList {
	errs := apivalidation.ValidateObjectMetaUpdate(&e.ObjectMeta, &old.ObjectMeta, field.NewPath("metadata"))
	return append(errs, apivalidation.ValidateImmutableField(e.Spec, old.Spec, field.NewPath("spec"))...)
}

// ExecutionStatusUpdate validates an Execution whose status is changed.
func ExecutionStatusUpdate(e, old *karo.Execution) field.ErrorList {
	errs := apivalidation.ValidateObjectMetaUpdate(&e.ObjectMeta, &old.ObjectMeta, field.NewPath("metadata"))
	path := field.NewPath("status")
	if e.Status.Phase != "" && !slices.Contains(phases, e.Status.Phase) {
		errs = append(errs, field.NotSupported(path.Child("phase"), e.Status.Phase, phases))
	}
	return append(errs, metav1validation.ValidateConditions(e.Status.Conditions, path.Child("conditions"))...)
}

// Alert validates an Alert that is stored.
func Alert(a *karo.Alert) field.ErrorList {
	errs := apivalidation.ValidateObjectMeta(&a.ObjectMeta, true, apivalidation.NameIsDNSSubdomain, field.NewPath("metadata"))
	if len(a.Spec.Labels) == 0 {
		errs = append(errs, field.Required(field.NewPath("spec", "labels"), "an alert has at least one label"))
	}
	return errs
}

// AlertUpdate validates an Alert that is changed.
func AlertUpdate(a, old *karo.Alert) field.ErrorList {
	errs := apivalidation.ValidateObjectMetaUpdate(&a.ObjectMeta, &old.ObjectMeta, field.NewPath("metadata"))
	return append(errs, apivalidation.ValidateImmutableField(a.Spec, old.Spec, field.NewPath("spec"))...)
}

// ReactionRevision validates a revision that is stored. The spec was validated in its reaction.
func ReactionRevision(r *karo.ReactionRevision) field.ErrorList {
	errs := apivalidation.ValidateObjectMeta(&r.ObjectMeta, true, apivalidation.NameIsDNSSubdomain, field.NewPath("metadata"))
	path := field.NewPath("reaction")
	if r.Reaction.Name == "" {
		errs = append(errs, field.Required(path.Child("name"), ""))
	}
	if r.Reaction.UID == "" {
		errs = append(errs, field.Required(path.Child("uid"), ""))
	}
	return errs
}

// ReactionRevisionUpdate validates a revision whose metadata is changed.
func ReactionRevisionUpdate(r, old *karo.ReactionRevision) field.ErrorList {
	errs := apivalidation.ValidateObjectMetaUpdate(&r.ObjectMeta, &old.ObjectMeta, field.NewPath("metadata"))
	errs = append(errs, apivalidation.ValidateImmutableField(r.Reaction, old.Reaction, field.NewPath("reaction"))...)
	return append(errs, apivalidation.ValidateImmutableField(r.Spec, old.Spec, field.NewPath("spec"))...)
}

// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

// Package validation says what is wrong with the objects of the karo.io API group. It is pure: every rule needs the
// object alone, and every error carries the path of the field in the served versions.
package validation

import (
	"encoding/json"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/validate/content"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metav1validation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/utils/ptr"

	"karo.io/karo/pkg/apis/karo"
	v1 "karo.io/karo/pkg/apis/karo/v1"
	"karo.io/karo/pkg/jobs"
	"karo.io/karo/pkg/matching"
)

// MaxSpecBytes is the size, as JSON, above which the spec of a reaction is refused: each revision of it is stored.
const MaxSpecBytes = 256 << 10

// MaxActions is how many actions a reaction may have: an Execution holds the end of each.
const MaxActions = jobs.MaxActions

// Options loosen what is valid.
type Options struct {
	// Lenient takes what v1alpha1 has always taken and turned into Jobs, which v1 refuses as a mistake: actions of any
	// name, and variables that are given twice, have a value beside a source, or have several sources.
	Lenient bool
}

// MaxLenientActionName is the length in bytes of the longest name of an action in v1alpha1.
const MaxLenientActionName = jobs.MaxActionName

// MaxExecutionName is the length of the longest name of an Execution: its Jobs have it as a label.
const MaxExecutionName = content.LabelValueMaxLength

// AlertReaction validates a reaction that is created.
func AlertReaction(r *karo.AlertReaction, options Options) field.ErrorList {
	errs := metadata(&r.ObjectMeta)
	return append(errs, alertReactionSpec(&r.Spec, nil, options, field.NewPath("spec"))...)
}

// AlertReactionUpdate validates a reaction that is changed. An action keeps its name, and its variables, that are
// stored so.
func AlertReactionUpdate(r, old *karo.AlertReaction, options Options) field.ErrorList {
	errs := metadataUpdate(&r.ObjectMeta, &old.ObjectMeta)
	if karo.Undecodable(old) != "" {
		return errs // Its spec is not known.
	}
	return append(errs, alertReactionSpec(&r.Spec, old.Spec.Actions, options, field.NewPath("spec"))...)
}

// AlertReactionStatusUpdate validates a reaction whose status is changed.
func AlertReactionStatusUpdate(r, old *karo.AlertReaction) field.ErrorList {
	return metadataUpdate(&r.ObjectMeta, &old.ObjectMeta)
}

// metadata validates the metadata of an object that is created.
func metadata(m *metav1.ObjectMeta) field.ErrorList {
	path := field.NewPath("metadata")
	errs := apivalidation.ValidateObjectMeta(m, true, apivalidation.NameIsDNSSubdomain, path)
	if karo.Undecodable(m) != "" {
		errs = append(errs, field.Forbidden(undecodablePath, "Karo sets it on what it cannot read"))
	}
	return errs
}

// metadataUpdate validates the metadata of an object that is changed. Nothing of one that cannot be read from the store may
// be changed, but for what its deletion needs: with it would be stored that there is nothing else.
func metadataUpdate(m, old *metav1.ObjectMeta) field.ErrorList {
	errs := apivalidation.ValidateObjectMetaUpdate(m, old, field.NewPath("metadata"))
	switch why := karo.Undecodable(old); {
	case why != "" && old.DeletionTimestamp == nil:
		errs = append(errs, field.Forbidden(undecodablePath, "what is stored cannot be read, so that it can only be deleted: "+why))
	case why != karo.Undecodable(m):
		errs = append(errs, field.Forbidden(undecodablePath, "Karo sets it on what it cannot read"))
	}
	return errs
}

var undecodablePath = field.NewPath("metadata", "annotations").Key(karo.AnnotationUndecodable)

func alertReactionSpec(spec *karo.AlertReactionSpec, stored []karo.Action, options Options, path *field.Path) field.ErrorList {
	_, errs := matching.Compile(spec, path)
	errs = append(errs, validateWhen(spec.When, path.Child("when"))...)
	errs = append(errs, oneOf(spec.AlertScope, path.Child("alertScope"), karo.ScopeNamespace, karo.ScopeCluster)...)
	errs = append(errs, oneOf(spec.Order, path.Child("order"), karo.OrderParallel, karo.OrderSequential)...)
	errs = append(errs, validateServiceAccount(spec.ServiceAccountName, path.Child("serviceAccountName"))...)
	volumes, volumeErrs := validateVolumes(spec.Volumes, path.Child("volumes"))
	errs = append(errs, volumeErrs...)
	switch {
	case spec.JobTemplate != nil && len(spec.Actions) > 0:
		errs = append(errs, field.Forbidden(path.Child("jobTemplate"), "may not be given beside actions"))
	case spec.JobTemplate != nil:
		errs = append(errs, validateJobTemplate(spec.JobTemplate, path.Child("jobTemplate"))...)
	case len(spec.Actions) == 0:
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
		errs = append(errs, validateAction(action, volumes, actionOptions(action, stored, options), at)...)
	}
	if size, err := sizeOf(spec); err != nil {
		errs = append(errs, field.InternalError(path, err))
	} else if size > MaxSpecBytes {
		errs = append(errs, field.TooLong(path, "", MaxSpecBytes))
	}
	return errs
}

// sizeOf returns the length in bytes of a spec as it is stored, which is what its author sees.
func sizeOf(spec *karo.AlertReactionSpec) (int, error) {
	var stored v1.AlertReactionSpec
	if err := v1.Convert_karo_AlertReactionSpec_To_v1_AlertReactionSpec(spec, &stored, nil); err != nil {
		return 0, err
	}
	text, err := json.Marshal(&stored)
	return len(text), err
}

// lenience says in what an action may be as only v1alpha1 takes it.
type lenience struct {
	name, env bool
}

// actionOptions returns what may be so because the request is lenient, or because it is stored so.
func actionOptions(action *karo.Action, stored []karo.Action, options Options) lenience {
	l := lenience{name: options.Lenient, env: options.Lenient}
	for i := range stored {
		if stored[i].Name == action.Name {
			l.name = true
			l.env = l.env || apiequality.Semantic.DeepEqual(stored[i].Env, action.Env)
		}
	}
	return l
}

func oneOf[T ~string](value T, path *field.Path, allowed ...T) field.ErrorList {
	if slices.Contains(allowed, value) {
		return nil
	}
	return field.ErrorList{field.NotSupported(path, value, allowed)}
}

func validateWhen(when []karo.When, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	if len(when) == 0 {
		errs = append(errs, field.Required(path, "at least one status is required"))
	}
	for i, w := range when {
		errs = append(errs, oneOf(w, path.Index(i), karo.WhenFiring, karo.WhenResolved)...)
		if slices.Contains(when[:i], w) {
			errs = append(errs, field.Duplicate(path.Index(i), w))
		}
	}
	return errs
}

func validateServiceAccount(name string, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	if name != "" {
		for _, problem := range apivalidation.ValidateServiceAccountName(name, false) {
			errs = append(errs, field.Invalid(path, name, problem))
		}
	}
	return errs
}

// validateJobTemplate looks at what is needed to make a Job of it; whether that is valid is for the cluster to say.
func validateJobTemplate(template *batchv1.JobTemplateSpec, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	if len(template.Spec.Template.Spec.Containers) == 0 {
		errs = append(errs, field.Required(path.Child("spec", "template", "spec", "containers"), "at least one container is required"))
	}
	if n := template.Spec.TTLSecondsAfterFinished; n != nil {
		// The cluster is not asked about it: Karo sets it on the Job that has ended.
		errs = append(errs, apivalidation.ValidateNonnegativeField(int64(*n), path.Child("spec", "ttlSecondsAfterFinished"))...)
	}
	if ptr.Deref(template.Spec.Suspend, false) {
		errs = append(errs, field.Forbidden(path.Child("spec", "suspend"), "a Job that is suspended never ends; suspend the reaction"))
	}
	return errs
}

func validateActionName(name string, lenient bool, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	if lenient && name != "" && !strings.ContainsFunc(name, func(r rune) bool { return r == utf8.RuneError || !unicode.IsPrint(r) }) {
		if len(name) > MaxLenientActionName {
			errs = append(errs, field.TooLong(path, "", MaxLenientActionName))
		}
		return errs
	}
	for _, problem := range validation.IsDNS1123Label(name) {
		errs = append(errs, field.Invalid(path, name, problem))
	}
	return errs
}

func validateAction(action *karo.Action, volumes sets.Set[string], lenient lenience, path *field.Path) field.ErrorList {
	errs := validateActionName(action.Name, lenient.name, path.Child("name"))
	if action.JobTemplate != nil {
		if !apiequality.Semantic.DeepEqual(action, &karo.Action{Name: action.Name, JobTemplate: action.JobTemplate}) {
			errs = append(errs, field.Forbidden(path.Child("jobTemplate"), "may not be given beside other fields of the action than its name"))
		}
		return append(errs, validateJobTemplate(action.JobTemplate, path.Child("jobTemplate"))...)
	}
	if action.Image == "" {
		errs = append(errs, field.Required(path.Child("image"), "a container image"))
	} else if strings.TrimSpace(action.Image) != action.Image {
		errs = append(errs, field.Invalid(path.Child("image"), action.Image, "must not have leading or trailing whitespace"))
	}
	if action.ImagePullPolicy != "" {
		errs = append(errs, oneOf(action.ImagePullPolicy, path.Child("imagePullPolicy"), corev1.PullAlways, corev1.PullIfNotPresent, corev1.PullNever)...)
	}
	errs = append(errs, validateServiceAccount(action.ServiceAccount, path.Child("serviceAccount"))...)
	errs = append(errs, validateServiceAccount(action.ServiceAccountName, path.Child("serviceAccountName"))...)
	if a, b := action.ServiceAccount, action.ServiceAccountName; a != "" && b != "" && a != b {
		errs = append(errs, field.Invalid(path.Child("serviceAccountName"), b, "must be the same as serviceAccount when both are given"))
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
	errs = append(errs, validateEnv(action.Env, lenient.env, path.Child("env"))...)
	errs = append(errs, validateMounts(action.VolumeMounts, volumes, path.Child("volumeMounts"))...)
	return append(errs, validateResources(&action.Resources, path.Child("resources"))...)
}

func validateEnv(env []karo.EnvVar, lenient bool, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	seen := sets.New[string]()
	for i := range env {
		v, at := &env[i], path.Index(i)
		for _, problem := range validation.IsRelaxedEnvVarName(v.Name) {
			errs = append(errs, field.Invalid(at.Child("name"), v.Name, problem))
		}
		if seen.Has(v.Name) && !lenient {
			errs = append(errs, field.Duplicate(at.Child("name"), v.Name))
		}
		seen.Insert(v.Name)
		if v.ValueFrom == nil {
			continue
		}
		if v.Literal != "" || v.Expression != "" {
			if !lenient {
				errs = append(errs, field.Forbidden(at.Child("valueFrom"), "may not be given beside value"))
			}
			continue
		}
		errs = append(errs, validateSource(v.ValueFrom, lenient, at.Child("valueFrom"))...)
	}
	return errs
}

func validateSource(source *karo.EnvVarSource, lenient bool, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	given := 0
	if ref := source.AlertRef; ref != nil {
		given++
		if _, err := jobs.Field(&karo.AlertOccurrence{}, ref.FieldPath); err != nil {
			errs = append(errs, field.Invalid(path.Child("alertRef", "fieldPath"), ref.FieldPath, err.Error()))
		} else if ref.FieldPath == "" && !lenient {
			errs = append(errs, field.Required(path.Child("alertRef", "fieldPath"), "a field of the alert"))
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
	switch {
	case given == 0:
		errs = append(errs, field.Required(path, "exactly one source must be given"))
	case given > 1 && !lenient:
		errs = append(errs, field.Forbidden(path, "exactly one source must be given"))
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
	for _, problem := range validation.IsConfigMapKey(key) {
		errs = append(errs, field.Invalid(path.Child("key"), key, problem))
	}
	return errs
}

func validateVolumes(volumes []corev1.Volume, path *field.Path) (sets.Set[string], field.ErrorList) {
	var errs field.ErrorList
	seen := sets.New[string]()
	for i := range volumes {
		name, at := volumes[i].Name, path.Index(i).Child("name")
		for _, problem := range validation.IsDNS1123Label(name) {
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

var phases = []karo.Phase{
	karo.PhasePending, karo.PhaseRunning, karo.PhaseSucceeded, karo.PhaseFailed, karo.PhaseCancelled, karo.PhaseSkipped,
}

// Execution validates an Execution that is created.
func Execution(e *karo.Execution) field.ErrorList {
	errs := metadata(&e.ObjectMeta)
	path := field.NewPath("spec")
	if len(e.Name) > MaxExecutionName {
		errs = append(errs, field.TooLong(field.NewPath("metadata", "name"), "", MaxExecutionName))
	}
	for _, problem := range apivalidation.NameIsDNSSubdomain(e.Spec.Reaction.Name, false) {
		errs = append(errs, field.Invalid(path.Child("reaction", "name"), e.Spec.Reaction.Name, problem))
	}
	if len(e.Spec.Alert.Labels) == 0 {
		errs = append(errs, field.Required(path.Child("alert", "labels"), "an alert has at least one label"))
	}
	errs = append(errs, oneOf(e.Spec.Alert.Status, path.Child("alert", "status"), karo.AlertFiring, karo.AlertResolved)...)
	return append(errs, oneOf(e.Spec.Trigger, path.Child("trigger"), karo.TriggerNotification, karo.TriggerManual)...)
}

// ExecutionUpdate validates an Execution whose metadata is changed. Its spec says what happened, so it never changes.
func ExecutionUpdate(e, old *karo.Execution) field.ErrorList {
	errs := metadataUpdate(&e.ObjectMeta, &old.ObjectMeta)
	return append(errs, immutable(e.Spec, old.Spec, field.NewPath("spec"))...)
}

// ExecutionStatusUpdate validates an Execution whose status is changed.
func ExecutionStatusUpdate(e, old *karo.Execution) field.ErrorList {
	errs := metadataUpdate(&e.ObjectMeta, &old.ObjectMeta)
	path := field.NewPath("status")
	if e.Status.Phase != "" && !slices.Contains(phases, e.Status.Phase) {
		errs = append(errs, field.NotSupported(path.Child("phase"), e.Status.Phase, phases))
	}
	return append(errs, metav1validation.ValidateConditions(e.Status.Conditions, path.Child("conditions"))...)
}

// Alert validates an Alert that is stored.
func Alert(a *karo.Alert) field.ErrorList {
	errs := metadata(&a.ObjectMeta)
	if len(a.Spec.Labels) == 0 {
		errs = append(errs, field.Required(field.NewPath("spec", "labels"), "an alert has at least one label"))
	}
	return errs
}

// AlertUpdate validates an Alert that is changed.
func AlertUpdate(a, old *karo.Alert) field.ErrorList {
	errs := metadataUpdate(&a.ObjectMeta, &old.ObjectMeta)
	return append(errs, immutable(a.Spec, old.Spec, field.NewPath("spec"))...)
}

// ReactionRevision validates a revision that is stored. The spec was validated in its reaction.
func ReactionRevision(r *karo.ReactionRevision) field.ErrorList {
	errs := metadata(&r.ObjectMeta)
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
	errs := metadataUpdate(&r.ObjectMeta, &old.ObjectMeta)
	errs = append(errs, immutable(r.Reaction, old.Reaction, field.NewPath("reaction"))...)
	return append(errs, immutable(r.Spec, old.Spec, field.NewPath("spec"))...)
}

// immutable refuses a change, without showing the whole of what is changed.
func immutable(value, stored any, path *field.Path) field.ErrorList {
	if apiequality.Semantic.DeepEqual(value, stored) {
		return nil
	}
	return field.ErrorList{field.Invalid(path, field.OmitValueType{}, apivalidation.FieldImmutableErrorMsg)}
}

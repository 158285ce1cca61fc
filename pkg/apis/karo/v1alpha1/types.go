// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"karo.io/karo/pkg/apis/nanotime"
)

// +genclient
// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// AlertReaction is a rule: which alerts of Alertmanager it answers, and which Jobs it then runs in its own namespace.
type AlertReaction struct {
	metav1.TypeMeta `json:",inline"`
	// Standard object metadata.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// Spec says which alerts the reaction answers and what it then does. Required. Example: {alertName:
	// KubePodCrashLooping, actions: [{name: report, image: busybox:1.37, command: [date]}]}.
	Spec AlertReactionSpec `json:"spec"`
	// Status is what Karo observed of the reaction. Only Karo writes it.
	// +optional
	Status AlertReactionStatus `json:"status,omitempty"`
}

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// AlertReactionList is a list of AlertReactions.
type AlertReactionList struct {
	metav1.TypeMeta `json:",inline"`
	// Standard list metadata.
	// +optional
	metav1.ListMeta `json:"metadata,omitempty"`

	// Items are the reactions.
	Items []AlertReaction `json:"items"`
}

// AlertReactionSpec says which alerts a reaction answers and what it then does. An alert matches when its name and
// every matcher do.
type AlertReactionSpec struct {
	// AlertName is the value that the label "alertname" of an alert must have, exactly. At least one of alertName and
	// matchers is required. Default: any. Example: "KubePodCrashLooping".
	// +optional
	AlertName string `json:"alertName,omitempty"`
	// Matchers are conditions on the labels and annotations of an alert; all of them must hold. They mean what they
	// mean in Alertmanager: a label that the alert lacks counts as the empty string, and a regular expression must
	// match the whole value. Without an alertName, at least one of them must not match the empty string. Default: none.
	// Example: [{name: severity, value: critical}].
	// +optional
	// +listType=atomic
	Matchers []Matcher `json:"matchers,omitempty"`
	// When says for which status of an alert the reaction runs: "Firing" once the alert fires, "Resolved" once it is
	// resolved. A run for the resolved alert waits until the reaction's run for the firing one has ended; with both
	// listed it takes place only if there was such a run. Default: ["Firing"]. Example: ["Firing", "Resolved"].
	// +optional
	// +listType=atomic
	When []When `json:"when,omitempty"`
	// AlertScope says which of the alerts that are sent to clusteralerts/trigger, for the whole cluster, the reaction
	// answers: "Namespace" those whose label "namespace" is the namespace of the reaction, "Cluster" all. The latter
	// needs the right to send such alerts: create on clusteralerts of the name trigger. It has no meaning for alerts
	// that are sent to the reaction's own namespace. Default: "Namespace". Example: "Cluster".
	// +optional
	AlertScope AlertScope `json:"alertScope,omitempty"`
	// Suspend stops the reaction from running for alerts: one that matches is recorded as a skipped Execution. By hand it
	// still runs. When the reaction is resumed while an alert still fires, it runs at the next notification of it, which
	// Alertmanager may send only after its repeat_interval. Default: false. Example: true.
	// +optional
	Suspend *bool `json:"suspend,omitempty"`
	// Order says when the actions start: "Parallel" all at once, "Sequential" one after the other, each once the one
	// before it has succeeded; those behind one that fails do not run. Default: "Parallel". Example: "Sequential".
	// +optional
	Order ActionOrder `json:"order,omitempty"`
	// ServiceAccountName is the name of the ServiceAccount that the pods of those actions run as that name none
	// themselves. Default: the namespace's "default". Example: "remediation".
	// +optional
	ServiceAccountName string `json:"serviceAccountName,omitempty"`
	// Actions are the steps of the reaction, at most 100. Each becomes one Job. Required, unless jobTemplate is given: at
	// least one. Example: [{name: report, image: busybox:1.37, command: [date]}].
	// +optional
	// +listType=atomic
	Actions []Action `json:"actions,omitempty"`
	// JobTemplate is a whole Job, in the place of actions: the reaction then has the one action "job". See the
	// jobTemplate of an action for what Karo adds to it. Default: none. Example: {spec: {template: {spec: {containers:
	// [{name: check, image: busybox:1.37, command: [date]}]}}}}.
	// +optional
	JobTemplate *batchv1.JobTemplateSpec `json:"jobTemplate,omitempty"`
	// Volumes are the volumes that actions may mount, of any type that a pod may have. The Job of an action gets only
	// those that the action mounts. Default: none. Example: [{name: scratch, emptyDir: {}}].
	// +optional
	// +listType=map
	// +listMapKey=name
	// +patchStrategy=merge
	// +patchMergeKey=name
	Volumes []corev1.Volume `json:"volumes,omitempty" patchStrategy:"merge" patchMergeKey:"name"`
}

// When is a status of an alert for which a reaction runs. It is one of "Firing" and "Resolved".
// +enum
type When string

const (
	// WhenFiring runs the reaction once the alert fires.
	WhenFiring When = "Firing"
	// WhenResolved runs the reaction once the alert is resolved.
	WhenResolved When = "Resolved"
)

// AlertScope says which alerts of the whole cluster a reaction answers. It is one of "Namespace" and "Cluster".
// +enum
type AlertScope string

const (
	// ScopeNamespace is the scope of the alerts whose label "namespace" is the namespace of the reaction.
	ScopeNamespace AlertScope = "Namespace"
	// ScopeCluster is the scope of all alerts.
	ScopeCluster AlertScope = "Cluster"
)

// ActionOrder says when the actions of a reaction start. It is one of "Parallel" and "Sequential".
// +enum
type ActionOrder string

const (
	// OrderParallel starts all actions at once.
	OrderParallel ActionOrder = "Parallel"
	// OrderSequential starts an action once the one before it has succeeded.
	OrderSequential ActionOrder = "Sequential"
)

// MatchOperator relates the value of a label to the value of a Matcher. It is one of "=", "!=", "=~" and "!~".
// +enum
type MatchOperator string

const (
	// MatchEqual holds when the two values are the same.
	MatchEqual MatchOperator = "="
	// MatchNotEqual holds when the two values differ.
	MatchNotEqual MatchOperator = "!="
	// MatchRegexp holds when the matcher's value, as an anchored RE2 regular expression, matches.
	MatchRegexp MatchOperator = "=~"
	// MatchNotRegexp holds when the matcher's value, as an anchored RE2 regular expression, does not match.
	MatchNotRegexp MatchOperator = "!~"
)

// Matcher is one condition on an alert.
type Matcher struct {
	// Name is the name of a label, or, behind the prefix "annotations.", that of an annotation. Required. Examples:
	// "severity", "annotations.runbook_url".
	Name string `json:"name"`
	// Operator is one of "=", "!=", "=~" (regular expression) and "!~" (its negation). Default: "=". Example: "=~".
	// +optional
	Operator MatchOperator `json:"operator,omitempty"`
	// Value is what the label is compared with: a text or, for "=~" and "!~", an RE2 regular expression that must match
	// the whole label value. Default: "". Example: "warning|critical".
	// +optional
	Value string `json:"value"`
}

// Action is one step of a reaction: a container that runs to its end, as a Job. It is described by the fields of its
// container or, whole, by jobTemplate.
type Action struct {
	// Name tells the actions of a reaction apart and appears in the name of the Job. One that another action has too gets
	// a number behind it. Required. Example: "collect-logs".
	Name string `json:"name"`
	// Image is the container image to run. Required, unless jobTemplate is given. Example: "busybox:1.37".
	// +optional
	Image string `json:"image,omitempty"`
	// ImagePullPolicy is "Always", "Never" or "IfNotPresent". Default: "Always" for an image with the tag "latest" or
	// none, else "IfNotPresent". Example: "IfNotPresent".
	// +optional
	ImagePullPolicy corev1.PullPolicy `json:"imagePullPolicy,omitempty"`
	// Command replaces the entrypoint of the image; it is not run in a shell. Arguments in it are as in args. Default:
	// the image's own. Example: ["kubectl", "delete", "pod"].
	// +optional
	// +listType=atomic
	Command []string `json:"command,omitempty"`
	// Args are the arguments of the command. One that is exactly "$NAME" or "${NAME}", NAME a variable of the action,
	// is given the value of that variable, as one argument and without a shell. A script behind "sh -c" stays as it is,
	// for the shell to expand. Put "--" before values that come from the alert, or one like "--all" is taken for an
	// option. Default: the image's own, and none with a command. Example: ["-n", "shop", "--", "$POD"].
	// +optional
	// +listType=atomic
	Args []string `json:"args,omitempty"`
	// Env are the environment variables of the container: literal texts, values taken from the alert, or references
	// that the kubelet resolves. Before them every container has KARO_ALERT (the alert as JSON; above 100 KiB it is
	// split into KARO_ALERT_0, KARO_ALERT_1 and so on), KARO_ALERT_NAME, KARO_STATUS, KARO_REACTION and KARO_EXECUTION.
	// Default: none. Example: [{name: POD, valueFrom: {alertRef: {fieldPath: labels.pod}}}].
	// +optional
	// +listType=atomic
	Env []EnvVar `json:"env,omitempty"`
	// EnvFrom are ConfigMaps and Secrets of the reaction's namespace, each key of which becomes a variable. The kubelet
	// resolves them; Karo reads none. Default: none. Example: [{secretRef: {name: mail}}].
	// +optional
	// +listType=atomic
	EnvFrom []corev1.EnvFromSource `json:"envFrom,omitempty"`
	// Resources are the compute resources of the container. Default: none, or those of a LimitRange of the namespace.
	// Example: {limits: {cpu: 100m, memory: 32Mi}}.
	// +optional
	Resources corev1.ResourceRequirements `json:"resources,omitempty,omitzero"`
	// VolumeMounts mount volumes of the reaction into the container. Default: none. Example: [{name: scratch, mountPath:
	// /scratch}].
	// +optional
	// +listType=map
	// +listMapKey=mountPath
	// +patchStrategy=merge
	// +patchMergeKey=mountPath
	VolumeMounts []corev1.VolumeMount `json:"volumeMounts,omitempty" patchStrategy:"merge" patchMergeKey:"mountPath"`
	// SecurityContext are the security options of the container. Default: none. Example: {runAsNonRoot: true,
	// allowPrivilegeEscalation: false}.
	// +optional
	SecurityContext *corev1.SecurityContext `json:"securityContext,omitempty"`
	// ServiceAccount is the name of the ServiceAccount, in the reaction's namespace, that the pod runs as. Default: the
	// reaction's serviceAccountName. Example: "pod-restarter".
	// +optional
	ServiceAccount string `json:"serviceAccount,omitempty"`
	// ServiceAccountName is the same as serviceAccount. When both are given they must be equal. Default: serviceAccount.
	// Example: "pod-restarter".
	// +optional
	ServiceAccountName string `json:"serviceAccountName,omitempty"`
	// BackoffLimit is how often a failed pod is tried again. Default: 0, since repeating a remediation blindly can do
	// harm. Example: 3.
	// +optional
	BackoffLimit *int32 `json:"backoffLimit,omitempty"`
	// ActiveDeadlineSeconds is how many seconds the Job may take before it is stopped as failed. Default: 3600. Example:
	// 600.
	// +optional
	ActiveDeadlineSeconds *int64 `json:"activeDeadlineSeconds,omitempty"`
	// TTLSecondsAfterFinished is how many seconds the finished Job is kept, with its pods and their logs. The time
	// starts to count once the end of the Job is stored in its Execution. Default: 3600. Example: 86400.
	// +optional
	TTLSecondsAfterFinished *int32 `json:"ttlSecondsAfterFinished,omitempty"`
	// JobTemplate is the whole Job of the action, in the place of every other field but the name. Karo adds its labels
	// and annotations and, to every container, the variables KARO_ALERT and so on; it fills in, where they are missing,
	// restartPolicy ("Never"), backoffLimit (0), activeDeadlineSeconds (3600), ttlSecondsAfterFinished (3600), the
	// ServiceAccount of the reaction and, in every container, terminationMessagePolicy ("FallbackToLogsOnError"). Nothing
	// else of it is changed. Of its metadata, labels and annotations count. Default: none. Example: {spec: {template:
	// {spec: {containers: [{name: check, image: busybox:1.37, command: [date]}]}}}}.
	// +optional
	JobTemplate *batchv1.JobTemplateSpec `json:"jobTemplate,omitempty"`
}

// EnvVar is one environment variable of an action.
type EnvVar struct {
	// Name is the name of the variable. Required. Example: "INSTANCE".
	Name string `json:"name"`
	// Value is the value of the variable, always as it is written. When it is not empty, valueFrom does not count.
	// Default: "". Example: "production".
	// +optional
	Value string `json:"value,omitempty"`
	// ValueFrom is a source of the value, when value is empty. Default: none. Example: {alertRef: {fieldPath:
	// fingerprint}}.
	// +optional
	ValueFrom *EnvVarSource `json:"valueFrom,omitempty"`
}

// EnvVarSource is where the value of a variable comes from. Of several, the first counts. All but alertRef are handed to
// the pod as they are: Karo reads no Secret and no ConfigMap.
type EnvVarSource struct {
	// AlertRef takes the value from the alert. Default: none. Example: {fieldPath: labels.instance}.
	// +optional
	AlertRef *AlertFieldSelector `json:"alertRef,omitempty"`
	// ConfigMapKeyRef takes the value from a key of a ConfigMap in the reaction's namespace. Default: none. Example:
	// {name: settings, key: channel}.
	// +optional
	ConfigMapKeyRef *corev1.ConfigMapKeySelector `json:"configMapKeyRef,omitempty"`
	// SecretKeyRef takes the value from a key of a Secret in the reaction's namespace. Default: none. Example: {name:
	// mail, key: password}.
	// +optional
	SecretKeyRef *corev1.SecretKeySelector `json:"secretKeyRef,omitempty"`
	// FieldRef takes the value from a field of the pod. Default: none. Example: {fieldPath: metadata.name}.
	// +optional
	FieldRef *corev1.ObjectFieldSelector `json:"fieldRef,omitempty"`
	// ResourceFieldRef takes the value from the container's resource limits or requests. Default: none. Example:
	// {resource: limits.memory}.
	// +optional
	ResourceFieldRef *corev1.ResourceFieldSelector `json:"resourceFieldRef,omitempty"`
}

// AlertFieldSelector names a part of an alert.
type AlertFieldSelector struct {
	// FieldPath is "." (the whole alert as JSON), "status", "startsAt", "endsAt", "generatorURL", "fingerprint",
	// "labels.<name>", "annotations.<name>", or "labels" or "annotations" (all of them as JSON). An empty path is ".".
	// Required. Example: "labels.instance".
	FieldPath string `json:"fieldPath"`
	// Inline says that v1 shows the path as the value of the variable, as in value: labels.instance, and not as an
	// alertRef. The two mean the same. Default: false. Example: true.
	// +optional
	Inline bool `json:"inline,omitempty"`
}

// AlertReactionStatus is what Karo observed of a reaction.
type AlertReactionStatus struct {
	// LastMatched is when a notification last held an alert that the reaction answers, whether or not it then ran. It
	// is written rarely, so it may be some minutes behind.
	// +optional
	LastMatched *metav1.Time `json:"lastMatched,omitempty"`
	// LastTriggered is when a run of the reaction last started, for an alert or by hand.
	// +optional
	LastTriggered *metav1.Time `json:"lastTriggered,omitempty"`
	// TriggerCount is how many runs of the reaction there have been, for alerts and by hand, since it was created. Runs
	// that were skipped do not count.
	// +optional
	TriggerCount int64 `json:"triggerCount,omitempty"`
	// LastJobsCreated are the Jobs of the latest run.
	// +optional
	// +listType=atomic
	LastJobsCreated []JobReference `json:"lastJobsCreated,omitempty"`
	// LastSkipped is when, and why, the reaction last did not run for an alert that it matches.
	// +optional
	LastSkipped *SkipMemory `json:"lastSkipped,omitempty"`
	// Conditions are Ready, which says whether the reaction runs when an alert matches, and LastExecutionSucceeded,
	// which says how the run that ended last has ended.
	// +optional
	// +listType=map
	// +listMapKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty"`
	// Settlement is how Karo keeps triggerCount exact although Executions come and go; it has no meaning for others.
	// +optional
	Settlement *Settlement `json:"settlement,omitempty"`
}

// JobReference names a Job that a run created.
type JobReference struct {
	// Name is the name of the Job.
	Name string `json:"name"`
	// Namespace is the namespace of the Job, which is that of the reaction.
	Namespace string `json:"namespace"`
	// ActionName is the name of the action that the Job is of.
	ActionName string `json:"actionName"`
	// CreatedAt is when the Job was created.
	// +optional
	CreatedAt *metav1.Time `json:"createdAt,omitempty"`
}

// Settlement says which Executions need no longer exist to be counted.
type Settlement struct {
	// Count is how many Executions have been counted for good.
	// +optional
	Count int64 `json:"count,omitempty"`
	// Executions are the UIDs of those among them that may still look as if they were not.
	// +optional
	// +listType=atomic
	Executions []types.UID `json:"executions,omitempty"`
}

// SkipMemory is why a reaction last did not run.
type SkipMemory struct {
	// Reason is a word that says why: Suspended or FiringNotRun.
	Reason string `json:"reason"`
	// Time is when that was.
	Time metav1.Time `json:"time"`
	// Status is the status of the alert: "firing" or "resolved".
	// +optional
	Status AlertStatus `json:"status,omitempty"`
	// StartsAt is the startsAt of the alert. Absent when the sender did not say.
	// +optional
	StartsAt *nanotime.Time `json:"startsAt,omitempty"`
}

// AlertStatus is the status of an alert, in Alertmanager's words.
// +enum
type AlertStatus string

const (
	// AlertFiring is the status of an alert whose condition holds.
	AlertFiring AlertStatus = "firing"
	// AlertResolved is the status of an alert whose condition no longer holds.
	AlertResolved AlertStatus = "resolved"
)

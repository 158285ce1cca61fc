// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

package v1

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
	// +listType=map
	// +listMapKey=name
	// +patchStrategy=merge
	// +patchMergeKey=name
	Actions []Action `json:"actions,omitempty" patchStrategy:"merge" patchMergeKey:"name"`
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
	// Name tells the actions of a reaction apart and appears in the name of the Job: at most 63 lower case letters, digits
	// and dashes. Required. Example: "collect-logs".
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
	// Default: none. Example: [{name: POD, value: labels.pod}].
	// +optional
	// +listType=map
	// +listMapKey=name
	// +patchStrategy=merge
	// +patchMergeKey=name
	Env []EnvVar `json:"env,omitempty" patchStrategy:"merge" patchMergeKey:"name"`
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
	// Value is the value of the variable. The texts "status", "labels.<name>" and "annotations.<name>" stand for the
	// alert's status ("firing" or "resolved"), label or annotation; a label or annotation that the alert lacks is the
	// empty string. Any other text is itself. A leading backslash makes one of those texts literal: "\status" is
	// "status". Default: "". Example: "labels.instance".
	// +optional
	Value string `json:"value,omitempty"`
	// ValueFrom is a source of the value, instead of value. Default: none. Example: {alertRef: {fieldPath: fingerprint}}.
	// +optional
	ValueFrom *EnvVarSource `json:"valueFrom,omitempty"`
}

// EnvVarSource is where the value of a variable comes from. Exactly one of its fields is set. All but alertRef are
// handed to the pod as they are: Karo reads no Secret and no ConfigMap.
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
	// "labels.<name>", "annotations.<name>", or "labels" or "annotations" (all of them as JSON). Required. Example:
	// "labels.instance".
	FieldPath string `json:"fieldPath"`
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

const (
	// ConditionReady is True while a reaction runs when an alert matches, and False while it is suspended.
	ConditionReady = "Ready"
	// ConditionLastExecutionSucceeded says how the run of a reaction that ended last has ended.
	ConditionLastExecutionSucceeded = "LastExecutionSucceeded"
)

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

// +genclient
// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// Execution is one run of a reaction: for one occurrence of an alert, or by hand. Karo creates it before it acknowledges
// the notification, turns it into Jobs, and keeps how they ended. Who creates one by hand gives spec.reaction.name and
// spec.alert and nothing else, and needs the right to create the executions of that reaction (the subresource
// alertreactions/executions) as well.
type Execution struct {
	metav1.TypeMeta `json:",inline"`
	// Standard object metadata.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// Spec says what runs and for which alert. It never changes. Required. Example: {reaction: {name: crash-report},
	// alert: {labels: {pod: cart-7f9c}}}.
	Spec ExecutionSpec `json:"spec"`
	// Status is how far the run is and how it ended. Only Karo writes it.
	// +optional
	Status ExecutionStatus `json:"status,omitempty"`
}

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// ExecutionList is a list of Executions.
type ExecutionList struct {
	metav1.TypeMeta `json:",inline"`
	// Standard list metadata.
	// +optional
	metav1.ListMeta `json:"metadata,omitempty"`

	// Items are the executions.
	Items []Execution `json:"items"`
}

// ExecutionSpec says what runs and for which alert.
type ExecutionSpec struct {
	// Reaction is the reaction that runs, as it stood when it was triggered. Required. Example: {name: crash-report}.
	Reaction ReactionReference `json:"reaction"`
	// Alert is the occurrence that triggered the run. Required. Example: {labels: {pod: cart-7f9c}}.
	Alert AlertOccurrence `json:"alert"`
	// Trigger says why there is the run: "Notification" for one that an alert triggered, "Manual" for one by hand, which
	// always runs and is not remembered. Karo sets it.
	// +optional
	Trigger Trigger `json:"trigger,omitempty"`
	// TriggeredBy is the name of the user who sent the notification, or who asked for the run. Karo sets it.
	// +optional
	TriggeredBy string `json:"triggeredBy,omitempty"`
	// After is the name of the Execution that has to end before this one starts: the reaction's run for the firing
	// alert, when this one is for the resolved alert. Karo sets it.
	// +optional
	After string `json:"after,omitempty"`
	// Receiver is the name of the Alertmanager receiver that sent the notification. Karo sets it.
	// +optional
	Receiver string `json:"receiver,omitempty"`
	// ReceivedAt is when Karo received the notification. Karo sets it.
	// +optional
	ReceivedAt *nanotime.Time `json:"receivedAt,omitempty"`
	// Follows is the start of the run before this one, of an alert that was sent without startsAt. It is part of the
	// identity of the run, in the place of startsAt. Karo sets it.
	// +optional
	Follows *nanotime.Time `json:"follows,omitempty"`
}

// Trigger says why there is a run. It is one of "Notification" and "Manual".
// +enum
type Trigger string

const (
	// TriggerNotification is the trigger of a run for an alert.
	TriggerNotification Trigger = "Notification"
	// TriggerManual is the trigger of a run by hand.
	TriggerManual Trigger = "Manual"
)

// ReactionReference names a reaction in the same namespace as it was at one point.
type ReactionReference struct {
	// Name is the name of the AlertReaction. Required. Example: "crash-report".
	Name string `json:"name"`
	// UID is the UID of the AlertReaction: one that is deleted and created again is another one. Karo sets it.
	// +optional
	UID types.UID `json:"uid,omitempty"`
	// Generation is the metadata.generation that the AlertReaction had. Karo sets it.
	// +optional
	Generation int64 `json:"generation,omitempty"`
	// Revision is the name of the ReactionRevision that holds the spec of that generation. Karo sets it.
	// +optional
	Revision string `json:"revision,omitempty"`
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

// AlertOccurrence is one episode of an alert, as Alertmanager sent it. Its texts are data from outside: show them
// with care.
type AlertOccurrence struct {
	// Name is the label "alertname". Karo sets it.
	// +optional
	Name string `json:"name,omitempty"`
	// Status is "firing" or "resolved". Default: "firing". Example: "resolved".
	// +optional
	Status AlertStatus `json:"status,omitempty"`
	// Labels identify the alert. Those of a run by hand get the reaction's alertName where they lack "alertname".
	// Required, unless that gives one: at least one. Example: {pod: cart-7f9c, severity: critical}.
	// +optional
	Labels map[string]string `json:"labels,omitempty"`
	// Annotations describe the alert. Default: none. Example: {summary: The pod keeps restarting}.
	// +optional
	Annotations map[string]string `json:"annotations,omitempty"`
	// StartsAt is when the occurrence began, to the nanosecond. Absent when the sender did not say. Default: none.
	// Example: "2026-07-01T09:30:00.123Z".
	// +optional
	StartsAt *nanotime.Time `json:"startsAt,omitempty"`
	// EndsAt is when the occurrence ended. Default: none, while it lasts. Example: "2026-07-01T09:45:00Z".
	// +optional
	EndsAt *nanotime.Time `json:"endsAt,omitempty"`
	// GeneratorURL identifies what caused the alert. Default: "". Example:
	// "http://prometheus.example.com/graph?g0.expr=up".
	// +optional
	GeneratorURL string `json:"generatorURL,omitempty"`
	// Fingerprint is Alertmanager's 64 bit hash of the labels, as 16 hexadecimal digits. Karo sets it.
	// +optional
	Fingerprint string `json:"fingerprint,omitempty"`
}

// Phase says how far an Execution or one of its actions is.
// +enum
type Phase string

const (
	// PhasePending means that no Job has been created yet.
	PhasePending Phase = "Pending"
	// PhaseRunning means that a Job has been created, and that something has not ended or has still to start.
	PhaseRunning Phase = "Running"
	// PhaseSucceeded means that every Job completed.
	PhaseSucceeded Phase = "Succeeded"
	// PhaseFailed means that everything has ended and at least one Job failed or could not be created.
	PhaseFailed Phase = "Failed"
	// PhaseCancelled means that everything has ended and something was stopped because somebody asked for it, or nothing
	// ran since nothing had run while the alert fired.
	PhaseCancelled Phase = "Cancelled"
	// PhaseSkipped means that nothing was run; the reason says why.
	PhaseSkipped Phase = "Skipped"
)

// The reasons for which a reaction does not run for an alert that it matches.
const (
	// ReasonSuspended means that the reaction was suspended. There is an Execution that says so.
	ReasonSuspended = "Suspended"
	// ReasonWrongScope means that the alert is not one of the reaction's namespace; see spec.alertScope. Only the sender is
	// told.
	ReasonWrongScope = "WrongScope"
	// ReasonFiringNotRun means that the alert is resolved, and that the reaction has not run while it fired.
	ReasonFiringNotRun = "FiringNotRun"
	// ReasonTooManyExecutions means that the namespace may not have any more Executions. The reaction runs at a later
	// notification of the alert, once there is room.
	ReasonTooManyExecutions = "TooManyExecutions"
)

// ReasonUndecodable is the reason of an object that is stored and cannot be read. It has the annotation
// karo.io/undecodable, which says why.
const ReasonUndecodable = "Undecodable"

const (
	// ConditionFinished is True once nothing of the Execution will run any more, however it ended.
	ConditionFinished = "Finished"
	// ConditionComplete is True once every Job of the Execution completed.
	ConditionComplete = "Complete"
	// ConditionFailed is True once the Execution has failed.
	ConditionFailed = "Failed"
	// ConditionCancelled is True once the Execution has been cancelled.
	ConditionCancelled = "Cancelled"
)

// ExecutionStatus is how far a run is and how it ended.
type ExecutionStatus struct {
	// Phase is Pending, Running, Succeeded, Failed, Cancelled or Skipped.
	// +optional
	Phase Phase `json:"phase,omitempty"`
	// Reason is a word that says why the Execution is in its phase, when the phase alone does not.
	// +optional
	Reason string `json:"reason,omitempty"`
	// Cancellation is who asked for the Execution to be stopped, and when.
	// +optional
	Cancellation *Cancellation `json:"cancellation,omitempty"`
	// StartTime is when the first Job was created.
	// +optional
	StartTime *metav1.Time `json:"startTime,omitempty"`
	// CompletionTime is when the Execution ended.
	// +optional
	CompletionTime *metav1.Time `json:"completionTime,omitempty"`
	// Actions are the actions of the reaction, in its order.
	// +optional
	// +listType=map
	// +listMapKey=name
	Actions []ActionStatus `json:"actions,omitempty"`
	// Conditions are, at the end, Finished and one of Complete, Failed and Cancelled.
	// +optional
	// +listType=map
	// +listMapKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// Cancellation says that somebody asked for an Execution to be stopped.
type Cancellation struct {
	// Time is when that was.
	Time metav1.Time `json:"time"`
	// User is the name of who asked.
	// +optional
	User string `json:"user,omitempty"`
}

// ActionStatus is how far one action of an Execution is.
type ActionStatus struct {
	// Name is the name of the action.
	Name string `json:"name"`
	// JobName is the name of its Job.
	// +optional
	JobName string `json:"jobName,omitempty"`
	// JobUID is the UID of its Job, once the Job was seen to exist. A Job that is gone after that is not created again.
	// +optional
	JobUID types.UID `json:"jobUID,omitempty"`
	// Phase is Pending, Running, Succeeded, Failed, Cancelled or, for an action behind one that failed, Skipped.
	// +optional
	Phase Phase `json:"phase,omitempty"`
	// Reason is a word that says why the action failed or still waits. Example: "ImagePullBackOff".
	// +optional
	Reason string `json:"reason,omitempty"`
	// Message explains the reason, or holds the last log lines of a container that failed.
	// +optional
	Message string `json:"message,omitempty"`
	// ExitCode is the exit code of the container.
	// +optional
	ExitCode *int32 `json:"exitCode,omitempty"`
	// StartTime is when the Job was created.
	// +optional
	StartTime *metav1.Time `json:"startTime,omitempty"`
	// CompletionTime is when the Job ended.
	// +optional
	CompletionTime *metav1.Time `json:"completionTime,omitempty"`
}

// +genclient
// +genclient:onlyVerbs=get,list,watch,delete,deleteCollection
// +genclient:noStatus
// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// Alert is what Karo remembers of one label set in one namespace: when it was last seen, and which reactions ran for
// it. This memory is what keeps a notification that is sent again from running anything again; deleting it forgets.
type Alert struct {
	metav1.TypeMeta `json:",inline"`
	// Standard object metadata.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// Spec identifies the alert.
	Spec AlertSpec `json:"spec"`
	// Status is what Karo knows of the alert.
	// +optional
	Status AlertMemory `json:"status,omitempty"`
}

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// AlertList is a list of Alerts.
type AlertList struct {
	metav1.TypeMeta `json:",inline"`
	// Standard list metadata.
	// +optional
	metav1.ListMeta `json:"metadata,omitempty"`

	// Items are the alerts.
	Items []Alert `json:"items"`
}

// AlertSpec identifies an alert.
type AlertSpec struct {
	// Name is the label "alertname".
	// +optional
	Name string `json:"name,omitempty"`
	// Fingerprint is Alertmanager's 64 bit hash of the labels, as 16 hexadecimal digits.
	// +optional
	Fingerprint string `json:"fingerprint,omitempty"`
	// Labels identify the alert.
	Labels map[string]string `json:"labels"`
}

// AlertMemory is what Karo knows of an alert.
type AlertMemory struct {
	// Status is the status that the alert was last seen in: "firing" or "resolved".
	// +optional
	Status AlertStatus `json:"status,omitempty"`
	// StartsAt is when the occurrence last seen began. Absent when the sender did not say.
	// +optional
	StartsAt *nanotime.Time `json:"startsAt,omitempty"`
	// LastSeen is when a notification last held the alert. It is written rarely, so it may be some minutes behind.
	// +optional
	LastSeen *metav1.Time `json:"lastSeen,omitempty"`
	// Reactions are the reactions that answered the alert.
	// +optional
	// +listType=map
	// +listMapKey=uid
	Reactions []ReactionMemory `json:"reactions,omitempty"`
}

// ReactionMemory is what one reaction did about an alert.
type ReactionMemory struct {
	// UID is the UID of the AlertReaction.
	UID types.UID `json:"uid"`
	// Name is the name of the AlertReaction.
	Name string `json:"name"`
	// Firing is the last run for the firing alert. An alert that began no later does not run again.
	// +optional
	Firing *RunMemory `json:"firing,omitempty"`
	// Resolved is the last run for the resolved alert.
	// +optional
	Resolved *RunMemory `json:"resolved,omitempty"`
	// Skipped is why the reaction last did not run.
	// +optional
	Skipped *SkipMemory `json:"skipped,omitempty"`
}

// RunMemory is the last run of a reaction for an alert.
type RunMemory struct {
	// StartsAt is the startsAt of the alert that ran. Absent when the sender did not say.
	// +optional
	StartsAt *nanotime.Time `json:"startsAt,omitempty"`
	// ReceivedAt is when Karo received that alert.
	ReceivedAt nanotime.Time `json:"receivedAt"`
	// Execution is the name of the Execution.
	Execution string `json:"execution"`
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

// +genclient
// +genclient:onlyVerbs=get,list,watch,delete,deleteCollection
// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// ReactionRevision is the spec of an AlertReaction as it was at one generation, kept so that an Execution runs what
// stood when it was triggered.
type ReactionRevision struct {
	metav1.TypeMeta `json:",inline"`
	// Standard object metadata.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// Reaction is the reaction, and the generation of it, that the spec is of.
	Reaction ReactionReference `json:"reaction"`
	// Spec is the spec as it was.
	Spec AlertReactionSpec `json:"spec"`
}

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// ReactionRevisionList is a list of ReactionRevisions.
type ReactionRevisionList struct {
	metav1.TypeMeta `json:",inline"`
	// Standard list metadata.
	// +optional
	metav1.ListMeta `json:"metadata,omitempty"`

	// Items are the revisions.
	Items []ReactionRevision `json:"items"`
}

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// AlertNotification is the body of a POST to alerts/trigger and alerts/simulate: the webhook of Alertmanager, which
// carries no apiVersion and no kind. Fields that are not named here are ignored.
type AlertNotification struct {
	metav1.TypeMeta `json:",inline"`
	// NotificationBody is what Alertmanager sends.
	NotificationBody `json:",inline"`
}

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// ClusterAlertNotification is the body of a POST to clusteralerts/trigger and clusteralerts/simulate. It is an
// AlertNotification for the reactions of all namespaces.
type ClusterAlertNotification struct {
	metav1.TypeMeta `json:",inline"`
	// NotificationBody is what Alertmanager sends.
	NotificationBody `json:",inline"`
}

// NotificationBody is the body of Alertmanager's webhook, as far as Karo reads it.
// See https://prometheus.io/docs/alerting/latest/configuration/#webhook_config.
type NotificationBody struct {
	// Receiver is the name of the receiver that sends. Default: "". Example: "karo".
	// +optional
	Receiver string `json:"receiver,omitempty"`
	// Status is the status of the group. An alert without a status of its own has this one. Default: "firing". Example:
	// "resolved".
	// +optional
	Status AlertStatus `json:"status,omitempty"`
	// TruncatedAlerts is how many alerts the sender left out because of its max_alerts. Default: 0. Example: 12.
	// +optional
	TruncatedAlerts int64 `json:"truncatedAlerts,omitempty"`
	// Alerts are the alerts of the group. May be empty. Required. Example: [{labels: {alertname: KubePodCrashLooping, pod:
	// cart-7f9c}}].
	// +listType=atomic
	Alerts []NotificationAlert `json:"alerts"`
}

// NotificationAlert is one alert of a notification.
type NotificationAlert struct {
	// Status is "firing" or "resolved". Default: the status of the group. Example: "resolved".
	// +optional
	Status AlertStatus `json:"status,omitempty"`
	// Labels identify the alert. Required: at least one. Example: {alertname: KubePodCrashLooping, pod: cart-7f9c}.
	// +optional
	Labels map[string]string `json:"labels,omitempty"`
	// Annotations describe the alert. Default: none. Example: {summary: The pod keeps restarting}.
	// +optional
	Annotations map[string]string `json:"annotations,omitempty"`
	// StartsAt is when the occurrence began. An alert without it counts as sent again for 5 minutes, and as a new
	// occurrence after that. Default: none. Example: "2026-07-01T09:30:00.123Z".
	// +optional
	StartsAt *nanotime.Time `json:"startsAt,omitempty"`
	// EndsAt is when the occurrence ended. Default: none, while it lasts. Example: "2026-07-01T09:45:00Z".
	// +optional
	EndsAt *nanotime.Time `json:"endsAt,omitempty"`
	// GeneratorURL identifies what caused the alert. Default: "". Example:
	// "http://prometheus.example.com/graph?g0.expr=up".
	// +optional
	GeneratorURL string `json:"generatorURL,omitempty"`
	// Fingerprint is Alertmanager's hash of the labels. Default: computed. Example: "8c2f1d5e9b3a7046".
	// +optional
	Fingerprint string `json:"fingerprint,omitempty"`
}

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// ExecutionRequest is the body of a POST to the subresource executions of an AlertReaction, which runs the reaction by
// hand: the alert to run it for. The answer is the Execution.
type ExecutionRequest struct {
	metav1.TypeMeta `json:",inline"`
	// Status is "firing" or "resolved". Default: "firing". Example: "resolved".
	// +optional
	Status AlertStatus `json:"status,omitempty"`
	// Labels identify the alert. They get the reaction's alertName where they lack "alertname". Required, unless that
	// gives one: at least one. Example: {pod: cart-7f9c, severity: critical}.
	// +optional
	Labels map[string]string `json:"labels,omitempty"`
	// Annotations describe the alert. Default: none. Example: {summary: The pod keeps restarting}.
	// +optional
	Annotations map[string]string `json:"annotations,omitempty"`
	// StartsAt is when the occurrence began. Default: none. Example: "2026-07-01T09:30:00.123Z".
	// +optional
	StartsAt *nanotime.Time `json:"startsAt,omitempty"`
	// EndsAt is when the occurrence ended. Default: none, while it lasts. Example: "2026-07-01T09:45:00Z".
	// +optional
	EndsAt *nanotime.Time `json:"endsAt,omitempty"`
	// GeneratorURL identifies what caused the alert. Default: "". Example:
	// "http://prometheus.example.com/graph?g0.expr=up".
	// +optional
	GeneratorURL string `json:"generatorURL,omitempty"`
}

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// ExecutionCancellation is the body of a POST to the subresource cancel of an Execution, which stops what still runs. It
// has no fields. The answer is the Execution.
type ExecutionCancellation struct {
	metav1.TypeMeta `json:",inline"`
}

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// AlertNotificationResult is the answer to a notification: what became of each alert of it.
type AlertNotificationResult struct {
	metav1.TypeMeta `json:",inline"`

	// Created is how many Executions the notification created.
	Created int32 `json:"created"`
	// Known is how many runs did not start because they had run for this occurrence before.
	Known int32 `json:"known"`
	// Skipped is how many runs did not start for a reason that is not the alert's.
	Skipped int32 `json:"skipped"`
	// Unmatched is how many alerts no reaction matched.
	Unmatched int32 `json:"unmatched"`
	// Refused is how many alerts, or runs, could not be stored, for a reason that sending again at once would not mend.
	Refused int32 `json:"refused"`
	// Alerts are the alerts of the notification, in its order.
	// +listType=atomic
	Alerts []AlertResult `json:"alerts"`
}

// AlertResult is what became of one alert of a notification.
type AlertResult struct {
	// Name is the label "alertname".
	// +optional
	Name string `json:"name,omitempty"`
	// Fingerprint is Alertmanager's hash of the labels.
	// +optional
	Fingerprint string `json:"fingerprint,omitempty"`
	// Status is "firing" or "resolved".
	// +optional
	Status AlertStatus `json:"status,omitempty"`
	// Outcome is Matched, Unmatched or Refused.
	Outcome AlertOutcome `json:"outcome"`
	// Message says why, when the alert was not matched or refused.
	// +optional
	Message string `json:"message,omitempty"`
	// WrongScope is how many reactions match, but may answer the alerts of their own namespace only; see spec.alertScope.
	// +optional
	WrongScope int32 `json:"wrongScope,omitempty"`
	// Reactions are the reactions that matched. In a simulation they are all that were asked.
	// +optional
	// +listType=atomic
	Reactions []ReactionResult `json:"reactions,omitempty"`
}

// AlertOutcome is what became of an alert.
// +enum
type AlertOutcome string

const (
	// AlertMatched means that at least one reaction matched.
	AlertMatched AlertOutcome = "Matched"
	// AlertUnmatched means that no reaction matched.
	AlertUnmatched AlertOutcome = "Unmatched"
	// AlertRefused means that the alert can never be stored; the others of its notification are not affected.
	AlertRefused AlertOutcome = "Refused"
)

// RunOutcome is what a reaction did about an alert.
// +enum
type RunOutcome string

const (
	// RunCreated means that an Execution was created; in a simulation, that it would be.
	RunCreated RunOutcome = "Created"
	// RunKnown means that the reaction has run for this occurrence, or for a later one, before.
	RunKnown RunOutcome = "Known"
	// RunSkipped means that the reaction does not run; the reason says why. Of one that is suspended there is an Execution
	// that says so.
	RunSkipped RunOutcome = "Skipped"
	// RunRefused means that the Execution cannot be stored; the message says why.
	RunRefused RunOutcome = "Refused"
	// RunUnmatched means, in a simulation, that the reaction does not match the alert.
	RunUnmatched RunOutcome = "Unmatched"
)

// ReactionResult is what one reaction did about an alert.
type ReactionResult struct {
	// Namespace is the namespace of the reaction.
	Namespace string `json:"namespace"`
	// Name is the name of the reaction.
	Name string `json:"name"`
	// Outcome is Created, Known, Skipped, Refused or, in a simulation, Unmatched.
	Outcome RunOutcome `json:"outcome"`
	// Execution is the name of the Execution.
	// +optional
	Execution string `json:"execution,omitempty"`
	// Reason is a word that says why nothing runs.
	// +optional
	Reason string `json:"reason,omitempty"`
	// Message explains the outcome.
	// +optional
	Message string `json:"message,omitempty"`
	// Matchers says, in a simulation, how each matcher answered.
	// +optional
	// +listType=atomic
	Matchers []MatcherResult `json:"matchers,omitempty"`
	// Jobs are, in a simulation, the Jobs that the Execution would become, but for their names: these come from the UID of
	// the Execution.
	// +optional
	// +listType=atomic
	Jobs []batchv1.Job `json:"jobs,omitempty"`
}

// MatcherResult is how one matcher answered for an alert.
type MatcherResult struct {
	// Matcher is the matcher in Alertmanager's notation. Example: severity="critical".
	Matcher string `json:"matcher"`
	// Value is the value that the alert has; empty when it lacks the label.
	// +optional
	Value string `json:"value,omitempty"`
	// Matches is whether the matcher holds.
	Matches bool `json:"matches"`
}

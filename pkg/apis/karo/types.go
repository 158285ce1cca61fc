// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

package karo

import (
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"karo.io/karo/pkg/apis/nanotime"
)

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// AlertReaction is a rule: which alerts of Alertmanager it answers, and which Jobs it then runs in its own namespace.
type AlertReaction struct {
	metav1.TypeMeta
	// Standard object metadata.
	metav1.ObjectMeta

	// Spec says which alerts the reaction answers and what it then does. Required. Example: {alertName:
	// KubePodCrashLooping, actions: [{name: report, image: busybox:1.37, command: [date]}]}.
	Spec AlertReactionSpec
	// Status is what Karo observed of the reaction. Only Karo writes it.
	Status AlertReactionStatus
}

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// AlertReactionList is a list of AlertReactions.
type AlertReactionList struct {
	metav1.TypeMeta
	// Standard list metadata.
	metav1.ListMeta

	// Items are the reactions.
	Items []AlertReaction
}

// AlertReactionSpec says which alerts a reaction answers and what it then does. An alert matches when its name and
// every matcher do.
type AlertReactionSpec struct {
	// AlertName is the value that the label "alertname" of an alert must have, exactly. At least one of alertName and
	// matchers is required. Default: any. Example: "KubePodCrashLooping".
	AlertName string
	// Matchers are conditions on the labels and annotations of an alert; all of them must hold. They mean what they
	// mean in Alertmanager: a label that the alert lacks counts as the empty string, and a regular expression must
	// match the whole value. Without an alertName, at least one of them must not match the empty string. Default: none.
	// Example: [{name: severity, value: critical}].
	Matchers []Matcher
	// When says for which status of an alert the reaction runs: "Firing" once the alert fires, "Resolved" once it is
	// resolved. A run for the resolved alert waits until the reaction's run for the firing one has ended; with both
	// listed it takes place only if there was such a run. Default: ["Firing"]. Example: ["Firing", "Resolved"].
	When []When
	// AlertScope says which of the alerts that are sent to clusteralerts/trigger, for the whole cluster, the reaction
	// answers: "Namespace" those whose label "namespace" is the namespace of the reaction, "Cluster" all. The latter
	// needs the right to send such alerts: create on clusteralerts of the name trigger. It has no meaning for alerts
	// that are sent to the reaction's own namespace. Default: "Namespace". Example: "Cluster".
	AlertScope AlertScope
	// Suspend stops the reaction from running for alerts: one that matches is recorded as a skipped Execution. By hand it
	// still runs. When the reaction is resumed while an alert still fires, it runs at the next notification of it, which
	// Alertmanager may send only after its repeat_interval. Default: false. Example: true.
	Suspend *bool
	// Order says when the actions start: "Parallel" all at once, "Sequential" one after the other, each once the one
	// before it has succeeded; those behind one that fails do not run. Default: "Parallel". Example: "Sequential".
	Order ActionOrder
	// ServiceAccountName is the name of the ServiceAccount that the pods of those actions run as that name none
	// themselves. Default: the namespace's "default". Example: "remediation".
	ServiceAccountName string
	// Actions are the steps of the reaction, at most 100. Each becomes one Job. Required, unless jobTemplate is given: at
	// least one. Example: [{name: report, image: busybox:1.37, command: [date]}].
	Actions []Action
	// JobTemplate is a whole Job, in the place of actions: the reaction then has the one action "job". See the
	// jobTemplate of an action for what Karo adds to it. Default: none. Example: {spec: {template: {spec: {containers:
	// [{name: check, image: busybox:1.37, command: [date]}]}}}}.
	JobTemplate *batchv1.JobTemplateSpec
	// Volumes are the volumes that actions may mount, of any type that a pod may have. The Job of an action gets only
	// those that the action mounts. Default: none. Example: [{name: scratch, emptyDir: {}}].
	Volumes []corev1.Volume
}

// When is a status of an alert for which a reaction runs. It is one of "Firing" and "Resolved".
type When string

const (
	// WhenFiring runs the reaction once the alert fires.
	WhenFiring When = "Firing"
	// WhenResolved runs the reaction once the alert is resolved.
	WhenResolved When = "Resolved"
)

// AlertScope says which alerts of the whole cluster a reaction answers. It is one of "Namespace" and "Cluster".
type AlertScope string

const (
	// ScopeNamespace is the scope of the alerts whose label "namespace" is the namespace of the reaction.
	ScopeNamespace AlertScope = "Namespace"
	// ScopeCluster is the scope of all alerts.
	ScopeCluster AlertScope = "Cluster"
)

// ActionOrder says when the actions of a reaction start. It is one of "Parallel" and "Sequential".
type ActionOrder string

const (
	// OrderParallel starts all actions at once.
	OrderParallel ActionOrder = "Parallel"
	// OrderSequential starts an action once the one before it has succeeded.
	OrderSequential ActionOrder = "Sequential"
)

// MatchOperator relates the value of a label to the value of a Matcher. It is one of "=", "!=", "=~" and "!~".
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
	Name string
	// Operator is one of "=", "!=", "=~" (regular expression) and "!~" (its negation). Default: "=". Example: "=~".
	Operator MatchOperator
	// Value is what the label is compared with: a text or, for "=~" and "!~", an RE2 regular expression that must match
	// the whole label value. Default: "". Example: "warning|critical".
	Value string
}

// Action is one step of a reaction: a container that runs to its end, as a Job. It is described by the fields of its
// container or, whole, by jobTemplate.
type Action struct {
	// Name tells the actions of a reaction apart and appears in the name of the Job: at most 63 lower case letters, digits
	// and dashes. Required. Example: "collect-logs".
	Name string
	// Image is the container image to run. Required, unless jobTemplate is given. Example: "busybox:1.37".
	Image string
	// ImagePullPolicy is "Always", "Never" or "IfNotPresent". Default: "Always" for an image with the tag "latest" or
	// none, else "IfNotPresent". Example: "IfNotPresent".
	ImagePullPolicy corev1.PullPolicy
	// Command replaces the entrypoint of the image; it is not run in a shell. Arguments in it are as in args. Default:
	// the image's own. Example: ["kubectl", "delete", "pod"].
	Command []string
	// Args are the arguments of the command. One that is exactly "$NAME" or "${NAME}", NAME a variable of the action,
	// is given the value of that variable, as one argument and without a shell. A script behind "sh -c" stays as it is,
	// for the shell to expand. Put "--" before values that come from the alert, or one like "--all" is taken for an
	// option. Default: the image's own, and none with a command. Example: ["-n", "shop", "--", "$POD"].
	Args []string
	// Env are the environment variables of the container: literal texts, values taken from the alert, or references
	// that the kubelet resolves. Before them every container has KARO_ALERT (the alert as JSON; above 100 KiB it is
	// split into KARO_ALERT_0, KARO_ALERT_1 and so on), KARO_ALERT_NAME, KARO_STATUS, KARO_REACTION and KARO_EXECUTION.
	// Default: none. Example: [{name: POD, value: labels.pod}].
	Env []EnvVar
	// EnvFrom are ConfigMaps and Secrets of the reaction's namespace, each key of which becomes a variable. The kubelet
	// resolves them; Karo reads none. Default: none. Example: [{secretRef: {name: mail}}].
	EnvFrom []corev1.EnvFromSource
	// Resources are the compute resources of the container. Default: none, or those of a LimitRange of the namespace.
	// Example: {limits: {cpu: 100m, memory: 32Mi}}.
	Resources corev1.ResourceRequirements
	// VolumeMounts mount volumes of the reaction into the container. Default: none. Example: [{name: scratch, mountPath:
	// /scratch}].
	VolumeMounts []corev1.VolumeMount
	// SecurityContext are the security options of the container. Default: none. Example: {runAsNonRoot: true,
	// allowPrivilegeEscalation: false}.
	SecurityContext *corev1.SecurityContext
	// ServiceAccount is the name of the ServiceAccount, in the reaction's namespace, that the pod runs as. Default: the
	// reaction's serviceAccountName. Example: "pod-restarter".
	ServiceAccount string
	// ServiceAccountName is the same as serviceAccount. When both are given they must be equal. Default: serviceAccount.
	// Example: "pod-restarter".
	ServiceAccountName string
	// BackoffLimit is how often a failed pod is tried again. Default: 0, since repeating a remediation blindly can do
	// harm. Example: 3.
	BackoffLimit *int32
	// ActiveDeadlineSeconds is how many seconds the Job may take before it is stopped as failed. Default: 3600. Example:
	// 600.
	ActiveDeadlineSeconds *int64
	// TTLSecondsAfterFinished is how many seconds the finished Job is kept, with its pods and their logs. The time
	// starts to count once the end of the Job is stored in its Execution. Default: 3600. Example: 86400.
	TTLSecondsAfterFinished *int32
	// JobTemplate is the whole Job of the action, in the place of every other field but the name. Karo adds its labels
	// and annotations and, to every container, the variables KARO_ALERT and so on; it fills in, where they are missing,
	// restartPolicy ("Never"), backoffLimit (0), activeDeadlineSeconds (3600), ttlSecondsAfterFinished (3600), the
	// ServiceAccount of the reaction and, in every container, terminationMessagePolicy ("FallbackToLogsOnError"). Nothing
	// else of it is changed. Of its metadata, labels and annotations count. Default: none. Example: {spec: {template:
	// {spec: {containers: [{name: check, image: busybox:1.37, command: [date]}]}}}}.
	JobTemplate *batchv1.JobTemplateSpec
}

// EnvVar is one environment variable of an action. At most one of Literal, Expression and ValueFrom is set; with none
// of them the value is the empty string.
type EnvVar struct {
	// Name is the name of the variable. Required. Example: "INSTANCE".
	Name string
	// Literal is a text that stands for itself, whatever it looks like.
	Literal string
	// Expression is "status", "labels.<name>" or "annotations.<name>", written in the place of a value. A reference
	// written as such is ValueFrom.AlertRef: the two mean the same, and each reads back as it was written.
	Expression string
	// ValueFrom is a source of the value. Default: none. Example: {alertRef: {fieldPath: fingerprint}}.
	ValueFrom *EnvVarSource
}

// EnvVarSource is where the value of a variable comes from. Exactly one of its fields is set. All but alertRef are
// handed to the pod as they are: Karo reads no Secret and no ConfigMap.
type EnvVarSource struct {
	// AlertRef takes the value from the alert. Default: none. Example: {fieldPath: labels.instance}.
	AlertRef *AlertFieldSelector
	// ConfigMapKeyRef takes the value from a key of a ConfigMap in the reaction's namespace. Default: none. Example:
	// {name: settings, key: channel}.
	ConfigMapKeyRef *corev1.ConfigMapKeySelector
	// SecretKeyRef takes the value from a key of a Secret in the reaction's namespace. Default: none. Example: {name:
	// mail, key: password}.
	SecretKeyRef *corev1.SecretKeySelector
	// FieldRef takes the value from a field of the pod. Default: none. Example: {fieldPath: metadata.name}.
	FieldRef *corev1.ObjectFieldSelector
	// ResourceFieldRef takes the value from the container's resource limits or requests. Default: none. Example:
	// {resource: limits.memory}.
	ResourceFieldRef *corev1.ResourceFieldSelector
}

// AlertFieldSelector names a part of an alert.
type AlertFieldSelector struct {
	// FieldPath is "." (the whole alert as JSON), "status", "startsAt", "endsAt", "generatorURL", "fingerprint",
	// "labels.<name>", "annotations.<name>", or "labels" or "annotations" (all of them as JSON). Required. Example:
	// "labels.instance".
	FieldPath string
}

// AlertReactionStatus is what Karo observed of a reaction.
type AlertReactionStatus struct {
	// LastMatched is when a notification last held an alert that the reaction answers, whether or not it then ran. It
	// is written rarely, so it may be some minutes behind.
	LastMatched *metav1.Time
	// LastTriggered is when a run of the reaction last started, for an alert or by hand.
	LastTriggered *metav1.Time
	// TriggerCount is how many runs of the reaction there have been, for alerts and by hand, since it was created. Runs
	// that were skipped do not count.
	TriggerCount int64
	// LastJobsCreated are the Jobs of the latest run.
	LastJobsCreated []JobReference
	// LastSkipped is when, and why, the reaction last did not run for an alert that it matches.
	LastSkipped *SkipMemory
	// Conditions are Ready, which says whether the reaction runs when an alert matches, and LastExecutionSucceeded,
	// which says how the run that ended last has ended.
	Conditions []metav1.Condition
	// Settlement is how Karo keeps triggerCount exact although Executions come and go; it has no meaning for others.
	Settlement *Settlement
}

// JobReference names a Job that a run created.
type JobReference struct {
	// Name is the name of the Job.
	Name string
	// Namespace is the namespace of the Job, which is that of the reaction.
	Namespace string
	// ActionName is the name of the action that the Job is of.
	ActionName string
	// CreatedAt is when the Job was created.
	CreatedAt *metav1.Time
}

// Settlement says which Executions need no longer exist to be counted.
type Settlement struct {
	// Count is how many Executions have been counted for good.
	Count int64
	// Executions are the UIDs of those among them that may still look as if they were not.
	Executions []types.UID
}

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// Execution is one run of a reaction: for one occurrence of an alert, or by hand. Karo creates it before it acknowledges
// the notification, turns it into Jobs, and keeps how they ended. Who creates one by hand gives spec.reaction.name and
// spec.alert and nothing else, and needs the right to create the executions of that reaction (the subresource
// alertreactions/executions) as well.
type Execution struct {
	metav1.TypeMeta
	// Standard object metadata.
	metav1.ObjectMeta

	// Spec says what runs and for which alert. It never changes. Required. Example: {reaction: {name: crash-report},
	// alert: {labels: {pod: cart-7f9c}}}.
	Spec ExecutionSpec
	// Status is how far the run is and how it ended. Only Karo writes it.
	Status ExecutionStatus
}

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// ExecutionList is a list of Executions.
type ExecutionList struct {
	metav1.TypeMeta
	// Standard list metadata.
	metav1.ListMeta

	// Items are the executions.
	Items []Execution
}

// ExecutionSpec says what runs and for which alert.
type ExecutionSpec struct {
	// Reaction is the reaction that runs, as it stood when it was triggered. Required. Example: {name: crash-report}.
	Reaction ReactionReference
	// Alert is the occurrence that triggered the run. Required. Example: {labels: {pod: cart-7f9c}}.
	Alert AlertOccurrence
	// Trigger says why there is the run: "Notification" for one that an alert triggered, "Manual" for one by hand, which
	// always runs and is not remembered. Karo sets it.
	Trigger Trigger
	// TriggeredBy is the name of the user who sent the notification, or who asked for the run. Karo sets it.
	TriggeredBy string
	// After is the name of the Execution that has to end before this one starts: the reaction's run for the firing
	// alert, when this one is for the resolved alert. Karo sets it.
	After string
	// Receiver is the name of the Alertmanager receiver that sent the notification. Karo sets it.
	Receiver string
	// ReceivedAt is when Karo received the notification. Karo sets it.
	ReceivedAt *nanotime.Time
	// Follows is the start of the run before this one, of an alert that was sent without startsAt. It is part of the
	// identity of the run, in the place of startsAt. Karo sets it.
	Follows *nanotime.Time
}

// Trigger says why there is a run. It is one of "Notification" and "Manual".
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
	Name string
	// UID is the UID of the AlertReaction: one that is deleted and created again is another one. Karo sets it.
	UID types.UID
	// Generation is the metadata.generation that the AlertReaction had. Karo sets it.
	Generation int64
	// Revision is the name of the ReactionRevision that holds the spec of that generation. Karo sets it.
	Revision string
}

// AlertStatus is the status of an alert, in Alertmanager's words.
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
	Name string
	// Status is "firing" or "resolved". Default: "firing". Example: "resolved".
	Status AlertStatus
	// Labels identify the alert. Those of a run by hand get the reaction's alertName where they lack "alertname".
	// Required, unless that gives one: at least one. Example: {pod: cart-7f9c, severity: critical}.
	Labels map[string]string
	// Annotations describe the alert. Default: none. Example: {summary: The pod keeps restarting}.
	Annotations map[string]string
	// StartsAt is when the occurrence began, to the nanosecond. Absent when the sender did not say. Default: none.
	// Example: "2026-07-01T09:30:00.123Z".
	StartsAt *nanotime.Time
	// EndsAt is when the occurrence ended. Default: none, while it lasts. Example: "2026-07-01T09:45:00Z".
	EndsAt *nanotime.Time
	// GeneratorURL identifies what caused the alert. Default: "". Example:
	// "http://prometheus.example.com/graph?g0.expr=up".
	GeneratorURL string
	// Fingerprint is Alertmanager's 64 bit hash of the labels, as 16 hexadecimal digits. Karo sets it.
	Fingerprint string
}

// Phase says how far an Execution or one of its actions is.
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

// ExecutionStatus is how far a run is and how it ended.
type ExecutionStatus struct {
	// Phase is Pending, Running, Succeeded, Failed, Cancelled or Skipped.
	Phase Phase
	// Reason is a word that says why the Execution is in its phase, when the phase alone does not.
	Reason string
	// Cancellation is who asked for the Execution to be stopped, and when.
	Cancellation *Cancellation
	// StartTime is when the first Job was created.
	StartTime *metav1.Time
	// CompletionTime is when the Execution ended.
	CompletionTime *metav1.Time
	// Actions are the actions of the reaction, in its order.
	Actions []ActionStatus
	// Conditions are, at the end, Finished and one of Complete, Failed and Cancelled.
	Conditions []metav1.Condition
}

// Cancellation says that somebody asked for an Execution to be stopped.
type Cancellation struct {
	// Time is when that was.
	Time metav1.Time
	// User is the name of who asked.
	User string
}

// ActionStatus is how far one action of an Execution is.
type ActionStatus struct {
	// Name is the name of the action.
	Name string
	// JobName is the name of its Job.
	JobName string
	// JobUID is the UID of its Job, once the Job was seen to exist. A Job that is gone after that is not created again.
	JobUID types.UID
	// Phase is Pending, Running, Succeeded, Failed, Cancelled or, for an action behind one that failed, Skipped.
	Phase Phase
	// Reason is a word that says why the action failed or still waits. Example: "ImagePullBackOff".
	Reason string
	// Message explains the reason, or holds the last log lines of a container that failed.
	Message string
	// ExitCode is the exit code of the container.
	ExitCode *int32
	// StartTime is when the Job was created.
	StartTime *metav1.Time
	// CompletionTime is when the Job ended.
	CompletionTime *metav1.Time
}

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// Alert is what Karo remembers of one label set in one namespace: when it was last seen, and which reactions ran for
// it. This memory is what keeps a notification that is sent again from running anything again; deleting it forgets.
type Alert struct {
	metav1.TypeMeta
	// Standard object metadata.
	metav1.ObjectMeta

	// Spec identifies the alert.
	Spec AlertSpec
	// Status is what Karo knows of the alert.
	Status AlertMemory
}

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// AlertList is a list of Alerts.
type AlertList struct {
	metav1.TypeMeta
	// Standard list metadata.
	metav1.ListMeta

	// Items are the alerts.
	Items []Alert
}

// AlertSpec identifies an alert.
type AlertSpec struct {
	// Name is the label "alertname".
	Name string
	// Fingerprint is Alertmanager's 64 bit hash of the labels, as 16 hexadecimal digits.
	Fingerprint string
	// Labels identify the alert.
	Labels map[string]string
}

// AlertMemory is what Karo knows of an alert.
type AlertMemory struct {
	// Status is the status that the alert was last seen in: "firing" or "resolved".
	Status AlertStatus
	// StartsAt is when the occurrence last seen began. Absent when the sender did not say.
	StartsAt *nanotime.Time
	// LastSeen is when a notification last held the alert. It is written rarely, so it may be some minutes behind.
	LastSeen *metav1.Time
	// Reactions are the reactions that answered the alert.
	Reactions []ReactionMemory
}

// ReactionMemory is what one reaction did about an alert.
type ReactionMemory struct {
	// UID is the UID of the AlertReaction.
	UID types.UID
	// Name is the name of the AlertReaction.
	Name string
	// Firing is the last run for the firing alert. An alert that began no later does not run again.
	Firing *RunMemory
	// Resolved is the last run for the resolved alert.
	Resolved *RunMemory
	// Skipped is why the reaction last did not run.
	Skipped *SkipMemory
}

// RunMemory is the last run of a reaction for an alert.
type RunMemory struct {
	// StartsAt is the startsAt of the alert that ran. Absent when the sender did not say.
	StartsAt *nanotime.Time
	// ReceivedAt is when Karo received that alert.
	ReceivedAt nanotime.Time
	// Execution is the name of the Execution.
	Execution string
}

// SkipMemory is why a reaction last did not run.
type SkipMemory struct {
	// Reason is a word that says why: Suspended or FiringNotRun.
	Reason string
	// Time is when that was.
	Time metav1.Time
	// Status is the status of the alert: "firing" or "resolved".
	Status AlertStatus
	// StartsAt is the startsAt of the alert. Absent when the sender did not say.
	StartsAt *nanotime.Time
}

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// ReactionRevision is the spec of an AlertReaction as it was at one generation, kept so that an Execution runs what
// stood when it was triggered.
type ReactionRevision struct {
	metav1.TypeMeta
	// Standard object metadata.
	metav1.ObjectMeta

	// Reaction is the reaction, and the generation of it, that the spec is of.
	Reaction ReactionReference
	// Spec is the spec as it was.
	Spec AlertReactionSpec
}

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// ReactionRevisionList is a list of ReactionRevisions.
type ReactionRevisionList struct {
	metav1.TypeMeta
	// Standard list metadata.
	metav1.ListMeta

	// Items are the revisions.
	Items []ReactionRevision
}

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// AlertNotification is the body of a POST to alerts/trigger and alerts/simulate: the webhook of Alertmanager, which
// carries no apiVersion and no kind. Fields that are not named here are ignored.
type AlertNotification struct {
	metav1.TypeMeta
	// NotificationBody is what Alertmanager sends.
	NotificationBody
}

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// ClusterAlertNotification is the body of a POST to clusteralerts/trigger and clusteralerts/simulate. It is an
// AlertNotification for the reactions of all namespaces.
type ClusterAlertNotification struct {
	metav1.TypeMeta
	// NotificationBody is what Alertmanager sends.
	NotificationBody
}

// NotificationBody is the body of Alertmanager's webhook, as far as Karo reads it.
// See https://prometheus.io/docs/alerting/latest/configuration/#webhook_config.
type NotificationBody struct {
	// Receiver is the name of the receiver that sends. Default: "". Example: "karo".
	Receiver string
	// Status is the status of the group. An alert without a status of its own has this one. Default: "firing". Example:
	// "resolved".
	Status AlertStatus
	// TruncatedAlerts is how many alerts the sender left out because of its max_alerts. Default: 0. Example: 12.
	TruncatedAlerts int64
	// Alerts are the alerts of the group. May be empty. Required. Example: [{labels: {alertname: KubePodCrashLooping, pod:
	// cart-7f9c}}].
	Alerts []NotificationAlert
}

// NotificationAlert is one alert of a notification.
type NotificationAlert struct {
	// Status is "firing" or "resolved". Default: the status of the group. Example: "resolved".
	Status AlertStatus
	// Labels identify the alert. Required: at least one. Example: {alertname: KubePodCrashLooping, pod: cart-7f9c}.
	Labels map[string]string
	// Annotations describe the alert. Default: none. Example: {summary: The pod keeps restarting}.
	Annotations map[string]string
	// StartsAt is when the occurrence began. An alert without it counts as sent again for 5 minutes, and as a new
	// occurrence after that. Default: none. Example: "2026-07-01T09:30:00.123Z".
	StartsAt *nanotime.Time
	// EndsAt is when the occurrence ended. Default: none, while it lasts. Example: "2026-07-01T09:45:00Z".
	EndsAt *nanotime.Time
	// GeneratorURL identifies what caused the alert. Default: "". Example:
	// "http://prometheus.example.com/graph?g0.expr=up".
	GeneratorURL string
	// Fingerprint is Alertmanager's hash of the labels. Default: computed. Example: "8c2f1d5e9b3a7046".
	Fingerprint string
}

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// ExecutionRequest is the body of a POST to the subresource executions of an AlertReaction, which runs the reaction by
// hand: the alert to run it for. The answer is the Execution.
type ExecutionRequest struct {
	metav1.TypeMeta
	// Status is "firing" or "resolved". Default: "firing". Example: "resolved".
	Status AlertStatus
	// Labels identify the alert. They get the reaction's alertName where they lack "alertname". Required, unless that
	// gives one: at least one. Example: {pod: cart-7f9c, severity: critical}.
	Labels map[string]string
	// Annotations describe the alert. Default: none. Example: {summary: The pod keeps restarting}.
	Annotations map[string]string
	// StartsAt is when the occurrence began. Default: none. Example: "2026-07-01T09:30:00.123Z".
	StartsAt *nanotime.Time
	// EndsAt is when the occurrence ended. Default: none, while it lasts. Example: "2026-07-01T09:45:00Z".
	EndsAt *nanotime.Time
	// GeneratorURL identifies what caused the alert. Default: "". Example:
	// "http://prometheus.example.com/graph?g0.expr=up".
	GeneratorURL string
}

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// ExecutionCancellation is the body of a POST to the subresource cancel of an Execution, which stops what still runs. It
// has no fields. The answer is the Execution.
type ExecutionCancellation struct {
	metav1.TypeMeta
}

// +k8s:deepcopy-gen:interfaces=k8s.io/apimachinery/pkg/runtime.Object

// AlertNotificationResult is the answer to a notification: what became of each alert of it.
type AlertNotificationResult struct {
	metav1.TypeMeta

	// Created is how many Executions the notification created.
	Created int32
	// Known is how many runs did not start because they had run for this occurrence before.
	Known int32
	// Skipped is how many runs did not start for a reason that is not the alert's.
	Skipped int32
	// Unmatched is how many alerts no reaction matched.
	Unmatched int32
	// Refused is how many alerts, or runs, could not be stored, for a reason that sending again at once would not mend.
	Refused int32
	// Alerts are the alerts of the notification, in its order.
	Alerts []AlertResult
}

// AlertResult is what became of one alert of a notification.
type AlertResult struct {
	// Name is the label "alertname".
	Name string
	// Fingerprint is Alertmanager's hash of the labels.
	Fingerprint string
	// Status is "firing" or "resolved".
	Status AlertStatus
	// Outcome is Matched, Unmatched or Refused.
	Outcome AlertOutcome
	// Message says why, when the alert was not matched or refused.
	Message string
	// WrongScope is how many reactions match, but may answer the alerts of their own namespace only; see spec.alertScope.
	WrongScope int32
	// Reactions are the reactions that matched. In a simulation they are all that were asked.
	Reactions []ReactionResult
}

// AlertOutcome is what became of an alert.
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
	Namespace string
	// Name is the name of the reaction.
	Name string
	// Outcome is Created, Known, Skipped, Refused or, in a simulation, Unmatched.
	Outcome RunOutcome
	// Execution is the name of the Execution.
	Execution string
	// Reason is a word that says why nothing runs.
	Reason string
	// Message explains the outcome.
	Message string
	// Matchers says, in a simulation, how each matcher answered.
	Matchers []MatcherResult
	// Jobs are, in a simulation, the Jobs that the Execution would become, but for their names: these come from the UID of
	// the Execution.
	Jobs []batchv1.Job
}

// MatcherResult is how one matcher answered for an alert.
type MatcherResult struct {
	// Matcher is the matcher in Alertmanager's notation. Example: severity="critical".
	Matcher string
	// Value is the value that the alert has; empty when it lacks the label.
	Value string
	// Matches is whether the matcher holds.
	Matches bool
}

// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

package karo

import (
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// GroupName is the API group of every kind of Karo.
const GroupName = "karo.io"

// SchemeGroupVersion is the internal version of the group.
var SchemeGroupVersion = schema.GroupVersion{Group: GroupName, Version: runtime.APIVersionInternal}

// Kind returns a kind of this group.
func Kind(kind string) schema.GroupKind {
	return SchemeGroupVersion.WithKind(kind).GroupKind()
}

// Resource returns a resource of this group.
func Resource(resource string) schema.GroupResource {
	return SchemeGroupVersion.WithResource(resource).GroupResource()
}

var (
	// SchemeBuilder collects what registers the internal types.
	SchemeBuilder = runtime.NewSchemeBuilder(addKnownTypes)
	// AddToScheme registers the internal types in a scheme.
	AddToScheme = SchemeBuilder.AddToScheme
)

func addKnownTypes(scheme *runtime.Scheme) error {
	scheme.AddKnownTypes(SchemeGroupVersion,
		&AlertReaction{},
		&AlertReactionList{},
		&Execution{},
		&ExecutionList{},
		&Alert{},
		&AlertList{},
		&ReactionRevision{},
		&ReactionRevisionList{},
		&AlertNotification{},
		&ClusterAlertNotification{},
		&AlertNotificationResult{},
		&ExecutionRequest{},
		&ExecutionCancellation{},
	)
	return nil
}

// The labels and annotations of the Jobs and pods that Karo creates, and of its own objects. Those without a domain
// are what dashboards of the operator before this server select by.
const (
	LabelName       = "app.kubernetes.io/name"
	LabelManagedBy  = "app.kubernetes.io/managed-by"
	LabelAlertName  = "karo/alert-name"
	LabelActionName = "karo/action-name"
	LabelOwner      = "karo/owner"
	LabelExecution  = "karo.io/execution"
	LabelReaction   = "karo.io/reaction"

	// JobName and ManagedBy are the values of LabelName and LabelManagedBy.
	JobName   = "karo-job"
	ManagedBy = "karo"

	AnnotationAlertName   = "karo.io/alert-name"
	AnnotationActionName  = "karo.io/action-name"
	AnnotationReaction    = "karo.io/reaction"
	AnnotationFingerprint = "karo.io/fingerprint"
	AnnotationStartsAt    = "karo.io/starts-at"
	AnnotationReceiver    = "karo.io/receiver"
	// AnnotationRun is on Jobs alone: what their Execution says beside the alert, for a store that has lost it.
	AnnotationRun = "karo.io/run"

	// AnnotationUndecodable is on an object that is stored and cannot be read. Its value says why.
	AnnotationUndecodable = "karo.io/undecodable"
)

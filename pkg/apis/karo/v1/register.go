// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

package v1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"karo.io/karo/pkg/apis/karo"
)

// GroupName is the API group of every kind of Karo.
const GroupName = "karo.io"

// SchemeGroupVersion is the group and version of the types in this package.
var SchemeGroupVersion = schema.GroupVersion{Group: GroupName, Version: "v1"}

// Resource returns a resource of this group.
func Resource(resource string) schema.GroupResource {
	return SchemeGroupVersion.WithResource(resource).GroupResource()
}

var (
	// SchemeBuilder collects what registers the types of this package.
	SchemeBuilder      runtime.SchemeBuilder
	localSchemeBuilder = &SchemeBuilder
	// AddToScheme registers the types of this package in a scheme.
	AddToScheme = localSchemeBuilder.AddToScheme
)

func init() {
	// What the generators write registers itself, so the package compiles before they have run.
	localSchemeBuilder.Register(addKnownTypes, addDefaultingFuncs, addFieldLabelConversions)
}

func addFieldLabelConversions(scheme *runtime.Scheme) error {
	for kind := range karo.SelectableFields {
		if err := karo.AddFieldLabelConversions(scheme, SchemeGroupVersion.WithKind(kind)); err != nil {
			return err
		}
	}
	return nil
}

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
	metav1.AddToGroupVersion(scheme, SchemeGroupVersion)
	return nil
}

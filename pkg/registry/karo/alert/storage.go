// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

// Package alert is the registry of Alerts, and where Alertmanager posts to.
package alert

import (
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/registry/generic"
	"k8s.io/apiserver/pkg/registry/generic/registry"
	"k8s.io/apiserver/pkg/registry/rest"

	"karo.io/karo/pkg/apis/karo"
	"karo.io/karo/pkg/apis/karo/validation"
	"karo.io/karo/pkg/registry/karo/readonly"
)

// NewStore returns the store in which Karo itself keeps Alerts.
func NewStore(typer runtime.ObjectTyper, optsGetter generic.RESTOptionsGetter) (*registry.Store, error) {
	return readonly.NewStore(readonly.Resource{
		New:      func() runtime.Object { return &karo.Alert{} },
		NewList:  func() runtime.Object { return &karo.AlertList{} },
		Plural:   karo.Resource("alerts"),
		Singular: karo.Resource("alert"),
		Table:    tableConvertor,
		Validate: func(obj runtime.Object) field.ErrorList { return validation.Alert(obj.(*karo.Alert)) },
		ValidateUpdate: func(obj, old runtime.Object) field.ErrorList {
			return validation.AlertUpdate(obj.(*karo.Alert), old.(*karo.Alert))
		},
	}, typer, optsGetter)
}

// REST serves Alerts, and takes notifications: a POST to the name "trigger" or "simulate" is one, so that the right to
// send is the right to create alerts of that name.
type REST struct {
	*readonly.REST
	*NotificationREST
}

// NewREST returns the REST of Alerts.
func NewREST(store *registry.Store, notifications *NotificationREST) *REST {
	return &REST{REST: readonly.New(store), NotificationREST: notifications}
}

var _ interface {
	rest.Lister
	rest.Getter
	rest.Watcher
	rest.GracefulDeleter
	rest.CollectionDeleter
	rest.Connecter
	rest.ShortNamesProvider
} = (*REST)(nil)

// ShortNames implements rest.ShortNamesProvider.
func (*REST) ShortNames() []string { return []string{"al"} }

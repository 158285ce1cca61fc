// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

// Package rest wires the resources of the karo.io API group to their storage.
package rest

import (
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/apiserver/pkg/registry/generic"
	"k8s.io/apiserver/pkg/registry/generic/registry"
	"k8s.io/apiserver/pkg/registry/rest"

	v1 "karo.io/karo/pkg/apis/karo/v1"
	"karo.io/karo/pkg/apis/karo/v1alpha1"
	"karo.io/karo/pkg/caps"
	"karo.io/karo/pkg/records"
	"karo.io/karo/pkg/registry/karo/alert"
	"karo.io/karo/pkg/registry/karo/alertreaction"
	"karo.io/karo/pkg/registry/karo/execution"
	"karo.io/karo/pkg/registry/karo/reactionrevision"
	"karo.io/karo/pkg/registry/karo/readonly"
)

// Stores holds the storage of every resource.
type Stores struct {
	AlertReactions *alertreaction.Storage
	Executions     *execution.Storage
	Alerts         *registry.Store
	Revisions      *registry.Store
}

// Caps bound how many objects a namespace may have. One that is nil has no limit.
type Caps struct {
	AlertReactions, Executions *caps.Cap
}

// NewStores opens the storage of every resource.
// The authorizer decides who may run a reaction by hand.
func NewStores(typer runtime.ObjectTyper, optsGetter generic.RESTOptionsGetter, a authorizer.Authorizer, limits Caps) (*Stores, error) {
	var stores Stores
	var err error
	if stores.AlertReactions, err = alertreaction.NewStorage(typer, optsGetter); err != nil {
		return nil, err
	}
	stores.AlertReactions.Store.BeginCreate = limits.AlertReactions.Begin
	if stores.Alerts, err = alert.NewStore(typer, optsGetter); err != nil {
		return nil, err
	}
	if stores.Revisions, err = reactionrevision.NewStore(typer, optsGetter); err != nil {
		return nil, err
	}
	hand := &execution.Hand{
		Reactions: stores.AlertReactions.Store, Revisions: &records.Records{Revisions: stores.Revisions}, Authorizer: a, Cap: limits.Executions,
	}
	if stores.Executions, err = execution.NewStorage(typer, optsGetter, hand); err != nil {
		return nil, err
	}
	stores.Executions.Store.BeginCreate = limits.Executions.Begin
	return &stores, nil
}

// Records returns how Karo itself reads and writes its objects.
func (s *Stores) Records() *records.Records {
	return &records.Records{
		Executions:      s.Executions.Store,
		ExecutionStatus: s.Executions.OwnStatus,
		Reactions:       s.AlertReactions.Store,
		ReactionStatus:  s.AlertReactions.OwnStatus,
		Alerts:          s.Alerts,
		Revisions:       s.Revisions,
	}
}

// Versions returns the resources of every version. Notifications go to handler, firing counts the alerts that a reaction
// answers, and wrote is told the resource version of every reaction that is written.
func (s *Stores) Versions(handler alert.Handler, firing alertreaction.CountFiring, wrote func(resourceVersion string)) map[string]map[string]rest.Storage {
	limiter, simulations := alert.NewLimiter(), alert.NewSimulationLimiter()
	reactions := alertreaction.NewREST(s.AlertReactions.Store, firing, wrote)
	return map[string]map[string]rest.Storage{
		v1.SchemeGroupVersion.Version: {
			"alertreactions":            reactions,
			"alertreactions/status":     s.AlertReactions.Status,
			"alertreactions/executions": execution.NewOfReactionREST(s.Executions.Execution, s.AlertReactions.Store),
			"executions":                s.Executions.Execution,
			"executions/status":         s.Executions.Status,
			"executions/cancel":         execution.NewCancelREST(s.Executions.OwnStatus),
			"alerts":                    alert.NewREST(s.Alerts, &alert.NotificationREST{Handler: handler, Limiter: limiter, Simulations: simulations, Resource: "alerts"}),
			"clusteralerts":             &alert.ClusterREST{NotificationREST: &alert.NotificationREST{Handler: handler, Limiter: limiter, Simulations: simulations, Resource: "clusteralerts"}},
			"reactionrevisions":         readonly.New(s.Revisions),
		},
		v1alpha1.SchemeGroupVersion.Version: {
			"alertreactions":        reactions,
			"alertreactions/status": s.AlertReactions.Status,
		},
	}
}

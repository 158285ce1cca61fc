// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

// Package rest wires the resources of the karo.io API group to their storage.
package rest

import (
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/registry/generic"
	"k8s.io/apiserver/pkg/registry/generic/registry"
	"k8s.io/apiserver/pkg/registry/rest"

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

// NewStores opens the storage of every resource.
func NewStores(typer runtime.ObjectTyper, optsGetter generic.RESTOptionsGetter) (*Stores, error) {
	var stores Stores
	var err error
	if stores.AlertReactions, err = alertreaction.NewStorage(typer, optsGetter); err != nil {
		return nil, err
	}
	if stores.Executions, err = execution.NewStorage(typer, optsGetter); err != nil {
		return nil, err
	}
	if stores.Alerts, err = alert.NewStore(typer, optsGetter); err != nil {
		return nil, err
	}
	if stores.Revisions, err = reactionrevision.NewStore(typer, optsGetter); err != nil {
		return nil, err
	}
	return &stores, nil
}

// Records returns how Karo itself reads and writes its objects.
func (s *Stores) Records() *records.Records {
	return &records.Records{
		Executions:      s.Executions.Store,
		ExecutionStatus: s.Executions.Status,
		ReactionStatus:  s.AlertReactions.Status,
		Alerts:          s.Alerts,
		Revisions:       s.Revisions,
	}
}

// V1 returns the resources of version v1. Notifications go to handler.
func (s *Stores) V1(handler alert.Handler) map[string]rest.Storage {
	limiter := alert.NewLimiter()
	return map[string]rest.Storage{
		"alertreactions":        s.AlertReactions.AlertReaction,
		"alertreactions/status": s.AlertReactions.Status,
		"executions":            s.Executions.Execution,
		"executions/status":     s.Executions.Status,
		"alerts":                alert.NewREST(s.Alerts, &alert.NotificationREST{Handler: handler, Limiter: limiter, Resource: "alerts"}),
		"clusteralerts":         &alert.ClusterREST{NotificationREST: &alert.NotificationREST{Handler: handler, Limiter: limiter, Resource: "clusteralerts"}},
		"reactionrevisions":     readonly.New(s.Revisions),
	}
}

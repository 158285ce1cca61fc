// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

package execution

import (
	"context"
	"fmt"
	"time"

	"github.com/prometheus/common/model"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	genericapirequest "k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/generic/registry"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/apiserver/pkg/util/dryrun"

	"karo.io/karo/pkg/apis/karo"
	"karo.io/karo/pkg/apis/nanotime"
	"karo.io/karo/pkg/caps"
	"karo.io/karo/pkg/names"
	"karo.io/karo/pkg/notification"
	"karo.io/karo/pkg/rights"
	"karo.io/karo/pkg/runs"
)

// Hand is what is needed to run a reaction by hand.
type Hand struct {
	// Reactions reads AlertReactions from storage.
	Reactions rest.Getter
	// Revisions keeps ReactionRevisions.
	Revisions runs.RevisionStore
	// Authorizer decides who may run a reaction.
	Authorizer authorizer.Authorizer
	// Cap bounds the Executions of a namespace.
	Cap *caps.Cap
}

// begin makes what a client wants to create an Execution that can run: the client names the reaction and gives an alert,
// and may run that reaction; everything else is ours to say. So an Execution that was read, or forged, and is created
// again is refused, and runs nothing.
func (h *Hand) begin(ctx context.Context, obj runtime.Object, options *metav1.CreateOptions) (registry.FinishFunc, error) {
	e := obj.(*karo.Execution)
	if errs := onlyAsked(e); len(errs) > 0 {
		return nil, apierrors.NewInvalid(karo.Kind("Execution"), e.Name, errs)
	}
	name := e.Spec.Reaction.Name
	user, ok := genericapirequest.UserFrom(ctx)
	if !ok {
		return nil, apierrors.NewInternalError(fmt.Errorf("the request has no user"))
	}
	namespace := genericapirequest.NamespaceValue(ctx)
	if err := rights.Require(ctx, h.Authorizer, user, rights.Right{
		Verb: "create", Group: karo.GroupName, Resource: "alertreactions", Subresource: "executions", Namespace: namespace, Name: name,
	}, karo.Resource("executions"), e.Name); err != nil {
		return nil, err
	}
	found, err := h.Reactions.Get(ctx, name, &metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil, apierrors.NewInvalid(karo.Kind("Execution"), e.Name, field.ErrorList{
			field.NotFound(field.NewPath("spec", "reaction", "name"), name),
		})
	}
	if err != nil {
		return nil, err
	}
	reaction := found.(*karo.AlertReaction)
	if reaction.DeletionTimestamp != nil {
		return nil, apierrors.NewConflict(karo.Resource("alertreactions"), name, fmt.Errorf("it is being deleted"))
	}
	if why := karo.Undecodable(reaction); why != "" {
		return nil, apierrors.NewConflict(karo.Resource("alertreactions"), name, fmt.Errorf("what is stored of it cannot be read: %s", why))
	}
	if err := h.Cap.Check(namespace, e.Name); err != nil {
		return nil, err // Before anything is stored for it.
	}
	now := nanotime.New(time.Now())
	e.Spec.Trigger, e.Spec.ReceivedAt = karo.TriggerManual, &now
	complete(&e.Spec.Alert, reaction)
	runs.Adopt(ctx, e, reaction)
	if !dryrun.IsDryRun(options.DryRun) {
		if err := runs.EnsureRevision(ctx, h.Revisions, reaction); err != nil {
			return nil, err
		}
	}
	return h.Cap.Begin(ctx, e, options)
}

// onlyAsked says what a client may not give.
func onlyAsked(e *karo.Execution) field.ErrorList {
	var errs field.ErrorList
	spec := field.NewPath("spec")
	for _, ours := range []struct {
		path  *field.Path
		given bool
	}{
		{spec.Child("reaction", "uid"), e.Spec.Reaction.UID != ""},
		{spec.Child("reaction", "generation"), e.Spec.Reaction.Generation != 0},
		{spec.Child("reaction", "revision"), e.Spec.Reaction.Revision != ""},
		{spec.Child("trigger"), e.Spec.Trigger != ""},
		{spec.Child("triggeredBy"), e.Spec.TriggeredBy != ""},
		{spec.Child("after"), e.Spec.After != ""},
		{spec.Child("receiver"), e.Spec.Receiver != ""},
		{spec.Child("receivedAt"), e.Spec.ReceivedAt != nil},
		{spec.Child("follows"), e.Spec.Follows != nil},
	} {
		if ours.given {
			errs = append(errs, field.Forbidden(ours.path, "only spec.reaction.name and spec.alert may be given; the rest is for Karo to say"))
		}
	}
	if e.Spec.Reaction.Name == "" {
		errs = append(errs, field.Required(spec.Child("reaction", "name"), "the name of the AlertReaction to run"))
	}
	if names.IsReserved(e.Name) {
		errs = append(errs, field.Invalid(field.NewPath("metadata", "name"), e.Name, "names of this shape are for runs that alerts trigger"))
	}
	if notification.IsTooLarge(&e.Spec.Alert) {
		errs = append(errs, field.TooLong(spec.Child("alert"), "", notification.MaxAlertBytes))
	}
	return errs
}

// complete gives an alert that was written by hand what Alertmanager gives to every alert.
func complete(alert *karo.AlertOccurrence, reaction *karo.AlertReaction) {
	if alert.Status == "" {
		alert.Status = karo.AlertFiring
	}
	if _, named := alert.Labels[model.AlertNameLabel]; !named && reaction.Spec.AlertName != "" {
		if alert.Labels == nil {
			alert.Labels = map[string]string{}
		}
		alert.Labels[model.AlertNameLabel] = reaction.Spec.AlertName
	}
	alert.Name = alert.Labels[model.AlertNameLabel]
	alert.Fingerprint = notification.Fingerprint(alert.Labels)
}

// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

// Package rights asks the cluster what a user may do, beyond what the path of a request says.
package rights

import (
	"context"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
)

// Right is something that a user may do.
type Right struct {
	Verb, Group, Resource, Subresource, Namespace, Name string
}

// Require returns an error of the API, about an object, unless a user has a right: 403 says what is missing, 500 that it
// could not be told.
func Require(ctx context.Context, a authorizer.Authorizer, u user.Info, right Right, resource schema.GroupResource, name string) error {
	decision, reason, err := a.Authorize(ctx, authorizer.AttributesRecord{
		User: u, Verb: right.Verb, APIGroup: right.Group, APIVersion: "*", Resource: right.Resource,
		Subresource: right.Subresource, Namespace: right.Namespace, Name: right.Name, ResourceRequest: true,
	})
	if decision == authorizer.DecisionAllow {
		return nil
	}
	if err != nil {
		return apierrors.NewInternalError(fmt.Errorf("asking whether user %q has the right %q: %w", u.GetName(), right, err))
	}
	denied := fmt.Errorf("user %q lacks the right %q", u.GetName(), right)
	if reason != "" {
		denied = fmt.Errorf("%w: %s", denied, reason)
	}
	return apierrors.NewForbidden(resource, name, denied)
}

// String returns the right as kubectl auth can-i takes it.
func (r Right) String() string {
	text := r.Verb + " " + r.Resource
	if r.Group != "" {
		text += "." + r.Group
	}
	if r.Name != "" {
		text += "/" + r.Name
	}
	if r.Subresource != "" {
		text += " --subresource=" + r.Subresource
	}
	if r.Namespace != "" {
		text += " -n " + r.Namespace
	}
	return text
}

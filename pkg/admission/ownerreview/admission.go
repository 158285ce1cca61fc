// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

// Package ownerreview is the admission of owner references, by the rules of the plugin of the kube-apiserver that is
// called OwnerReferencesPermissionEnforcement: https://kubernetes.io/docs/reference/access-authn-authz/admission-controllers/.
//
// That one does not see the objects of an aggregated API. An owner reference is a way to have the garbage collector delete
// an object, or keep another one from being deleted, so that setting it must need the right to do so.
package ownerreview

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	apiequality "k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/admission"
	genericadmissioninit "k8s.io/apiserver/pkg/admission/initializer"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/utils/ptr"

	"karo.io/karo/pkg/rights"
)

// PluginName is the name under which --disable-admission-plugins knows the plugin.
const PluginName = "OwnerReferencesReview"

// Register makes the plugin known.
func Register(plugins *admission.Plugins) {
	plugins.Register(PluginName, func(io.Reader) (admission.Interface, error) {
		return &plugin{Handler: admission.NewHandler(admission.Create, admission.Update)}, nil
	})
}

type plugin struct {
	*admission.Handler
	authorizer authorizer.Authorizer
	mapper     meta.RESTMapper
}

var _ interface {
	admission.ValidationInterface
	admission.InitializationValidator
	genericadmissioninit.WantsAuthorizer
	genericadmissioninit.WantsRESTMapper
} = (*plugin)(nil)

// SetAuthorizer implements initializer.WantsAuthorizer.
func (p *plugin) SetAuthorizer(a authorizer.Authorizer) { p.authorizer = a }

// SetRESTMapper implements initializer.WantsRESTMapper.
func (p *plugin) SetRESTMapper(mapper meta.RESTMapper) { p.mapper = mapper }

// ValidateInitialization implements admission.InitializationValidator.
func (p *plugin) ValidateInitialization() error {
	if p.authorizer == nil || p.mapper == nil {
		return errors.New("the plugin " + PluginName + " needs an authorizer and the resources of the cluster")
	}
	return nil
}

// Validate implements admission.ValidationInterface. A status writes no owner references.
func (p *plugin) Validate(ctx context.Context, a admission.Attributes, _ admission.ObjectInterfaces) error {
	given, stored := ownersOf(a.GetObject()), ownersOf(a.GetOldObject())
	if a.GetSubresource() != "" || apiequality.Semantic.DeepEqual(given, stored) {
		return nil
	}
	resource := a.GetResource().GroupResource()
	if a.GetOperation() == admission.Update {
		if err := rights.Require(ctx, p.authorizer, a.GetUserInfo(), rights.Right{
			Verb: "delete", Group: resource.Group, Resource: resource.Resource, Namespace: a.GetNamespace(), Name: a.GetName(),
		}, resource, a.GetName()); err != nil {
			return err
		}
	}
	for i := range given {
		owner := &given[i]
		if !blocks(owner) || slices.ContainsFunc(stored, func(s metav1.OwnerReference) bool { return s.UID == owner.UID && blocks(&s) }) {
			continue
		}
		if err := p.mayBlock(ctx, a, owner); err != nil {
			return err
		}
	}
	return nil
}

// mayBlock returns an error of the API unless the user may keep an owner from being deleted.
func (p *plugin) mayBlock(ctx context.Context, a admission.Attributes, owner *metav1.OwnerReference) error {
	resource := a.GetResource().GroupResource()
	kind := schema.FromAPIVersionAndKind(owner.APIVersion, owner.Kind)
	mappings, err := p.mapper.RESTMappings(kind.GroupKind(), kind.Version)
	if err != nil {
		return apierrors.NewForbidden(resource, a.GetName(), fmt.Errorf("blockOwnerDeletion cannot be set for the kind %s of %s: %w", owner.Kind, owner.APIVersion, err))
	}
	for _, mapping := range mappings {
		right := rights.Right{
			Verb: "update", Group: mapping.Resource.Group, Resource: mapping.Resource.Resource, Subresource: "finalizers", Name: owner.Name,
		}
		if mapping.Scope.Name() == meta.RESTScopeNameNamespace {
			right.Namespace = a.GetNamespace()
		}
		if err := rights.Require(ctx, p.authorizer, a.GetUserInfo(), right, resource, a.GetName()); err != nil {
			return err
		}
	}
	return nil
}

func ownersOf(obj runtime.Object) []metav1.OwnerReference {
	if obj == nil {
		return nil
	}
	accessor, err := meta.Accessor(obj)
	if err != nil {
		return nil // A body that is no object with metadata has no owner.
	}
	return accessor.GetOwnerReferences()
}

func blocks(owner *metav1.OwnerReference) bool { return ptr.Deref(owner.BlockOwnerDeletion, false) }

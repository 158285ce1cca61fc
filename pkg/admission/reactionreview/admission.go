// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

// Package reactionreview is the admission of AlertReactions, by what needs more than the object: the rights of whoever
// writes it, and what the cluster says of its Jobs.
//
// Karo creates the Jobs of a reaction with its own rights, so that writing a reaction must need the right to create
// Jobs. Nothing of it holds for those who do not write the spec: the garbage collector, the namespace controller, or
// somebody who suspends a reaction at night.
package reactionreview

import (
	"context"
	"io"

	apiequality "k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apiserver/pkg/admission"
	genericadmissioninit "k8s.io/apiserver/pkg/admission/initializer"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/client-go/kubernetes"
	"k8s.io/utils/ptr"

	"karo.io/karo/pkg/apis/karo"
	"karo.io/karo/pkg/rights"
)

// PluginName is the name under which --disable-admission-plugins knows the plugin.
const PluginName = "AlertReactionReview"

// Register makes the plugin known.
func Register(plugins *admission.Plugins) {
	plugins.Register(PluginName, func(io.Reader) (admission.Interface, error) {
		return &plugin{Handler: admission.NewHandler(admission.Create, admission.Update)}, nil
	})
}

// wantsCluster is implemented by plugins that ask the cluster.
type wantsCluster interface {
	setCluster(client kubernetes.Interface)
}

type initializer struct{ client kubernetes.Interface }

// NewInitializer returns what gives the plugin its client of the cluster, which is one that NewClient made.
func NewInitializer(client kubernetes.Interface) admission.PluginInitializer {
	return initializer{client}
}

// Initialize implements admission.PluginInitializer.
func (i initializer) Initialize(p admission.Interface) {
	if wants, ok := p.(wantsCluster); ok {
		wants.setCluster(i.client)
	}
}

type plugin struct {
	*admission.Handler
	authorizer authorizer.Authorizer
	client     kubernetes.Interface
}

var _ interface {
	admission.ValidationInterface
	admission.InitializationValidator
	genericadmissioninit.WantsAuthorizer
	wantsCluster
} = (*plugin)(nil)

// SetAuthorizer implements initializer.WantsAuthorizer.
func (p *plugin) SetAuthorizer(a authorizer.Authorizer) { p.authorizer = a }

func (p *plugin) setCluster(client kubernetes.Interface) { p.client = client }

// ValidateInitialization implements admission.InitializationValidator.
func (p *plugin) ValidateInitialization() error {
	if p.authorizer == nil || p.client == nil {
		return errNotInitialized
	}
	return nil
}

// Validate implements admission.ValidationInterface.
func (p *plugin) Validate(ctx context.Context, a admission.Attributes, _ admission.ObjectInterfaces) error {
	if a.GetResource().GroupResource() != karo.Resource("alertreactions") || a.GetSubresource() != "" {
		return nil
	}
	reaction, ok := a.GetObject().(*karo.AlertReaction)
	if !ok || reaction.DeletionTimestamp != nil || isHarmless(reaction, a.GetOldObject()) {
		return nil
	}
	needed := []rights.Right{{Verb: "create", Group: "batch", Resource: "jobs", Namespace: a.GetNamespace()}}
	if reaction.Spec.AlertScope == karo.ScopeCluster {
		// With it the alerts of all others could be read.
		needed = append(needed, rights.Right{Verb: "create", Group: karo.GroupName, Resource: "clusteralerts", Name: "trigger"})
	}
	for _, right := range needed {
		if err := rights.Require(ctx, p.authorizer, a.GetUserInfo(), right, a.GetResource().GroupResource(), a.GetName()); err != nil {
			return err
		}
	}
	return p.tryJobs(ctx, reaction)
}

// isHarmless reports whether a reaction is written without its spec being changed, but perhaps suspended.
func isHarmless(reaction *karo.AlertReaction, old any) bool {
	stored, ok := old.(*karo.AlertReaction)
	if !ok || stored == nil {
		return false
	}
	spec := stored.Spec
	if ptr.Deref(reaction.Spec.Suspend, false) {
		spec.Suspend = reaction.Spec.Suspend
	}
	return apiequality.Semantic.DeepEqual(spec, reaction.Spec)
}

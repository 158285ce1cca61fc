// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

package ownerreview

import (
	"context"
	"slices"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"

	"karo.io/karo/pkg/apis/karo"
	"karo.io/karo/pkg/rights"
)

const (
	deletesIt    = "delete alertreactions.karo.io/r -n ns"
	blocksTheApp = "update deployments.apps/d --subresource=finalizers -n ns"
	blocksANode  = "update nodes/n --subresource=finalizers"
)

func app(uid types.UID, blocks bool) metav1.OwnerReference {
	return metav1.OwnerReference{APIVersion: "apps/v1", Kind: "Deployment", Name: "d", UID: uid, BlockOwnerDeletion: &blocks}
}

func node() metav1.OwnerReference {
	return metav1.OwnerReference{APIVersion: "v1", Kind: "Node", Name: "n", UID: "node", BlockOwnerDeletion: new(true)}
}

func owned(by ...metav1.OwnerReference) *karo.AlertReaction {
	return &karo.AlertReaction{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "r", OwnerReferences: by}}
}

// Who sets an owner needs the right to what the garbage collector will do for it.
func TestOwners(t *testing.T) {
	unknown := metav1.OwnerReference{APIVersion: "example.com/v1", Kind: "Thing", Name: "t", UID: "t", BlockOwnerDeletion: new(true)}
	mapper := meta.NewDefaultRESTMapper(nil)
	mapper.Add(schema.GroupVersionKind{Group: "apps", Version: "v1", Kind: "Deployment"}, meta.RESTScopeNamespace)
	mapper.Add(schema.GroupVersionKind{Version: "v1", Kind: "Node"}, meta.RESTScopeRoot)
	for name, tc := range map[string]struct {
		given       runtime.Object
		stored      *karo.AlertReaction
		subresource string
		has         []string
		refused     string // What it says.
	}{
		"none":                             {given: owned(), stored: owned()},
		"no object with metadata":          {given: &metav1.Status{}},
		"created with one":                 {given: owned(app("u", false))},
		"created with one that it blocks":  {given: owned(app("u", true)), refused: `lacks the right "` + blocksTheApp + `"`},
		"created by who may block it":      {given: owned(app("u", true)), has: []string{blocksTheApp}},
		"blocks one of the cluster":        {given: owned(node()), has: []string{blocksTheApp}, refused: `lacks the right "` + blocksANode + `"`},
		"blocks one of the cluster, may":   {given: owned(node()), has: []string{blocksANode}},
		"blocks what nobody knows":         {given: owned(unknown), has: []string{blocksTheApp, blocksANode}, refused: "blockOwnerDeletion cannot be set for the kind Thing of example.com/v1"},
		"as it is":                         {given: owned(app("u", true)), stored: owned(app("u", true))},
		"added":                            {given: owned(app("u", false)), stored: owned(), refused: `lacks the right "` + deletesIt + `"`},
		"added by who may delete it":       {given: owned(app("u", false)), stored: owned(), has: []string{deletesIt}},
		"taken away":                       {given: owned(), stored: owned(app("u", true)), refused: `lacks the right "` + deletesIt + `"`},
		"another of the name":              {given: owned(app("v", true)), stored: owned(app("u", true)), has: []string{deletesIt}, refused: `lacks the right "` + blocksTheApp + `"`},
		"it begins to block":               {given: owned(app("u", true)), stored: owned(app("u", false)), has: []string{deletesIt}, refused: `lacks the right "` + blocksTheApp + `"`},
		"it goes on to block, beside more": {given: owned(app("u", true), app("v", false)), stored: owned(app("u", true)), has: []string{deletesIt}},
		"of a status, which writes none":   {given: owned(app("u", true)), stored: owned(), subresource: "status"},
	} {
		t.Run(name, func(t *testing.T) {
			p := &plugin{Handler: admission.NewHandler(admission.Create, admission.Update)}
			if p.ValidateInitialization() == nil {
				t.Error("it works without an authorizer")
			}
			p.SetRESTMapper(mapper)
			p.SetAuthorizer(authorizer.AuthorizerFunc(func(_ context.Context, a authorizer.Attributes) (authorizer.Decision, string, error) {
				asked := rights.Right{
					Verb: a.GetVerb(), Group: a.GetAPIGroup(), Resource: a.GetResource(), Subresource: a.GetSubresource(), Namespace: a.GetNamespace(), Name: a.GetName(),
				}
				if slices.Contains(tc.has, asked.String()) {
					return authorizer.DecisionAllow, "", nil
				}
				return authorizer.DecisionNoOpinion, "", nil
			}))
			if err := p.ValidateInitialization(); err != nil {
				t.Fatal(err)
			}
			operation := admission.Create
			var old runtime.Object
			if tc.stored != nil {
				operation, old = admission.Update, tc.stored
			}
			err := p.Validate(t.Context(), admission.NewAttributesRecord(tc.given, old, schema.GroupVersionKind{Kind: "AlertReaction"}, "ns", "r",
				karo.Resource("alertreactions").WithVersion("v1"), tc.subresource, operation, nil, false, &user.DefaultInfo{Name: "bob"}), nil)
			if tc.refused == "" && err != nil || tc.refused != "" && (!apierrors.IsForbidden(err) || !strings.Contains(err.Error(), tc.refused)) {
				t.Errorf("got error %v, want %q", err, tc.refused)
			}
		})
	}
}

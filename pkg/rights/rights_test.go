// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

package rights

import (
	"context"
	"errors"
	"testing"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
)

var run = Right{Verb: "create", Group: "karo.io", Resource: "alertreactions", Subresource: "executions", Namespace: "shop", Name: "restart"}

// Who lacks a right can paste it behind "kubectl auth can-i".
func TestString(t *testing.T) {
	for want, right := range map[string]Right{
		"create jobs.batch -n shop":                                              {Verb: "create", Group: "batch", Resource: "jobs", Namespace: "shop"},
		"create clusteralerts.karo.io/trigger":                                   {Verb: "create", Group: "karo.io", Resource: "clusteralerts", Name: "trigger"},
		"create alertreactions.karo.io/restart --subresource=executions -n shop": run,
		"get pods": {Verb: "get", Resource: "pods"},
	} {
		if got := right.String(); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

func TestRequire(t *testing.T) {
	bob := &user.DefaultInfo{Name: "bob", Groups: []string{"dev"}}
	unreachable := errors.New("the cluster is away")
	const lacks = `executions.karo.io "e" is forbidden: user "bob" lacks the right "create alertreactions.karo.io/restart --subresource=executions -n shop"`
	for name, tc := range map[string]struct {
		decision authorizer.Decision
		reason   string
		err      error
		want     string
	}{
		"allowed":                           {decision: authorizer.DecisionAllow},
		"allowed, though one of two failed": {decision: authorizer.DecisionAllow, err: unreachable},
		"denied":                            {decision: authorizer.DecisionDeny, want: lacks},
		"no opinion":                        {decision: authorizer.DecisionNoOpinion, want: lacks},
		"denied for a reason":               {decision: authorizer.DecisionDeny, reason: "because", want: lacks + ": because"},
		"not answered":                      {decision: authorizer.DecisionNoOpinion, reason: "because", err: unreachable, want: `Internal error occurred: asking whether user "bob" has the right "create alertreactions.karo.io/restart --subresource=executions -n shop": the cluster is away`},
	} {
		t.Run(name, func(t *testing.T) {
			var asked authorizer.Attributes
			err := Require(t.Context(), authorizer.AuthorizerFunc(func(_ context.Context, a authorizer.Attributes) (authorizer.Decision, string, error) {
				asked = a
				return tc.decision, tc.reason, tc.err
			}), bob, run, schema.GroupResource{Group: "karo.io", Resource: "executions"}, "e")
			if got := errorText(err); got != tc.want {
				t.Errorf("got error %q, want %q", got, tc.want)
			}
			want := authorizer.AttributesRecord{
				User: bob, Verb: "create", APIGroup: "karo.io", APIVersion: "*", Resource: "alertreactions", Subresource: "executions",
				Namespace: "shop", Name: "restart", ResourceRequest: true,
			}
			if got := asked.(authorizer.AttributesRecord); got.User != want.User || got.GetVerb() != want.Verb || got.GetAPIGroup() != want.APIGroup ||
				got.GetAPIVersion() != want.APIVersion || got.GetResource() != want.Resource || got.GetSubresource() != want.Subresource ||
				got.GetNamespace() != want.Namespace || got.GetName() != want.Name || !got.IsResourceRequest() {
				t.Errorf("asked for %+v, want %+v", got, want)
			}
		})
	}
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

package memory

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/cache"

	"karo.io/karo/pkg/apis/karo"
	"karo.io/karo/pkg/matching"
	"karo.io/karo/pkg/storecache"
)

// Of the alerts that fire, the author of a reaction is told of those that it would answer, and of no others.
func TestFiring(t *testing.T) {
	alert := func(namespace, status, answeredBy string) *karo.Alert {
		a := &karo.Alert{
			ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "a"},
			Spec:       karo.AlertSpec{Labels: map[string]string{"alertname": "A"}}, Status: karo.AlertMemory{Status: karo.AlertStatus(status)},
		}
		if namespace != "" {
			a.Spec.Labels["namespace"] = namespace
		}
		if answeredBy != "" {
			a.Status.Reactions = []karo.ReactionMemory{{UID: "before", Name: answeredBy}}
		}
		return a
	}
	for name, tc := range map[string]struct {
		alert     *karo.Alert
		namespace string // Of the reaction.
		scope     karo.AlertScope
		alertName string
		want      int
	}{
		"its own":                        {alert("shop", "firing", ""), "shop", karo.ScopeNamespace, "A", 1},
		"of no namespace":                {alert("", "firing", ""), "shop", karo.ScopeNamespace, "A", 1},
		"resolved":                       {alert("shop", "resolved", ""), "shop", karo.ScopeNamespace, "A", 0},
		"another name":                   {alert("shop", "firing", ""), "shop", karo.ScopeNamespace, "B", 0},
		"in another namespace":           {alert("shop", "firing", ""), "bank", karo.ScopeNamespace, "A", 0},
		"of others":                      {alert("bank", "firing", "of-all"), "shop", karo.ScopeNamespace, "A", 0},
		"of others, for who answers all": {alert("bank", "firing", "of-all"), "shop", karo.ScopeCluster, "A", 1},
		"sent to the namespace":          {alert("bank", "firing", "of-own"), "shop", karo.ScopeNamespace, "A", 1},
		"the reaction is created again":  {alert("bank", "firing", "r"), "shop", karo.ScopeNamespace, "A", 1},
	} {
		t.Run(name, func(t *testing.T) {
			m := &Memory{alerts: &storecache.Informer{SharedIndexInformer: cache.NewSharedIndexInformer(&cache.ListWatch{}, &karo.Alert{}, 0, AlertIndexers())}}
			if err := m.alerts.GetIndexer().Add(tc.alert); err != nil {
				t.Fatal(err)
			}
			r := &karo.AlertReaction{
				ObjectMeta: metav1.ObjectMeta{Namespace: tc.namespace, Name: "r"}, Spec: karo.AlertReactionSpec{AlertName: tc.alertName, AlertScope: tc.scope},
			}
			rules, errs := matching.Compile(&r.Spec, nil)
			if len(errs) > 0 {
				t.Fatal(errs)
			}
			if got := m.Firing(r, rules, func(_, name string) bool { return name == "of-own" }); got != tc.want {
				t.Errorf("got %d, want %d", got, tc.want)
			}
		})
	}
}

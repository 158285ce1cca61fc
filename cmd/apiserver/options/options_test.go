// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

package options

import (
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	fakediscovery "k8s.io/client-go/discovery/fake"
	clienttesting "k8s.io/client-go/testing"
)

// A plugin whose objects the cluster does not serve must be off, or every write would wait for it.
func TestMissingPlugins(t *testing.T) {
	for name, test := range map[string]struct {
		served, want []string
	}{
		"1.36": {[]string{"validatingadmissionpolicies", "mutatingadmissionpolicies"}, nil},
		"1.35": {[]string{"validatingadmissionpolicies"}, []string{"MutatingAdmissionPolicy"}},
	} {
		list := &metav1.APIResourceList{GroupVersion: "admissionregistration.k8s.io/v1"}
		for _, resource := range test.served {
			list.APIResources = append(list.APIResources, metav1.APIResource{Name: resource})
		}
		cluster := &fakediscovery.FakeDiscovery{Fake: &clienttesting.Fake{Resources: []*metav1.APIResourceList{list}}}
		got, err := missingPlugins(cluster)
		if err != nil || !slices.Equal(got, test.want) {
			t.Errorf("%s: %v, %v, want %v", name, got, err, test.want)
		}
	}
	if _, err := missingPlugins(&fakediscovery.FakeDiscovery{Fake: &clienttesting.Fake{}}); err == nil {
		t.Error("a cluster that does not answer is taken for one without policies")
	}
}

// What is wrong with the flags is said by their names.
func TestValidate(t *testing.T) {
	for flag, set := range map[string]func(*Options){
		"--data-dir":                  func(o *Options) { o.DataDir = "" },
		"--embedded-etcd-quota-bytes": func(o *Options) { o.EtcdQuotaBytes = 0 },
		"--executor-workers":          func(o *Options) { o.ExecutorWorkers = 0 },
		"--alert-memory":              func(o *Options) { o.AlertMemory = time.Hour },
	} {
		o := New()
		set(o)
		if err := o.Validate(); err == nil || !strings.Contains(err.Error(), flag) {
			t.Errorf("%s: %v", flag, err)
		}
	}
	if err := New().Validate(); err != nil {
		t.Errorf("the defaults: %v", err)
	}
}

// The namespace of the lease is the flag's, the pod's, or the one that the manifests use.
func TestNamespace(t *testing.T) {
	for _, test := range []struct{ flag, pod, want string }{
		{"a", "b", "a"}, {"", "b", "b"}, {"", "", "karo-system"},
	} {
		t.Setenv("POD_NAMESPACE", test.pod)
		o := New()
		o.Namespace = test.flag
		if err := o.Complete(); err != nil || o.Namespace != test.want {
			t.Errorf("%+v: %s, %v", test, o.Namespace, err)
		}
	}
}

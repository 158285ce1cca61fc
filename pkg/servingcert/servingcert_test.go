// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

package servingcert

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	dynamicfake "k8s.io/client-go/dynamic/fake"
	"k8s.io/client-go/kubernetes/fake"

	"karo.io/karo/pkg/pki"
)

// fakeCluster plays the APIServices and the Secret; how replicas share them is tested on a real cluster.
type fakeCluster struct {
	t        *testing.T
	client   *fake.Clientset
	services *dynamicfake.FakeDynamicClient
	m        *Manager
}

func newFakeCluster(t *testing.T, services ...runtime.Object) *fakeCluster {
	c := &fakeCluster{t: t, client: fake.NewClientset()}
	c.services = dynamicfake.NewSimpleDynamicClientWithCustomListKinds(runtime.NewScheme(), map[schema.GroupVersionResource]string{apiServices: "APIServiceList"}, services...)
	c.m = New(c.client, c.services, "ns", "v1.karo.io", "v1alpha1.karo.io")
	return c
}

// registered is an APIService of a Service in a namespace.
func registered(namespace, service string, change func(spec map[string]any)) *unstructured.Unstructured {
	spec := map[string]any{"service": map[string]any{"namespace": namespace, "name": service}}
	if change != nil {
		change(spec)
	}
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService", "metadata": map[string]any{"name": "v1.karo.io", "resourceVersion": "1"}, "spec": spec,
	}}
}

func (c *fakeCluster) sync() {
	c.t.Helper()
	if err := c.m.Sync(c.t.Context()); err != nil {
		c.t.Fatal(err)
	}
}

// bundle is whom an APIService says that is to be trusted.
func (c *fakeCluster) bundle() string {
	c.t.Helper()
	obj, err := c.services.Resource(apiServices).Get(c.t.Context(), "v1.karo.io", metav1.GetOptions{})
	if err != nil {
		c.t.Fatal(err)
	}
	bundle, _, err := unstructured.NestedString(obj.Object, "spec", "caBundle")
	if err != nil {
		c.t.Fatal(err)
	}
	return bundle
}

// writes is how often the Secret and the APIServices were written.
func (c *fakeCluster) writes() (n int) {
	for _, action := range append(c.client.Actions(), c.services.Actions()...) {
		if verb := action.GetVerb(); verb != "get" && verb != "list" && verb != "watch" {
			n++
		}
	}
	return n
}

func TestOnlyOursAreTold(t *testing.T) {
	for name, test := range map[string]struct {
		service *unstructured.Unstructured
		told    bool
	}{
		"ours":               {registered("ns", "karo", nil), true},
		"of another service": {registered("ns", "other", nil), true},
		"of another namespace, as of the operator before": {registered("elsewhere", "karo", nil), false},
		"of a CustomResourceDefinition":                   {registered("", "", func(spec map[string]any) { delete(spec, "service") }), false},
		"not verified":                                    {registered("ns", "karo", func(spec map[string]any) { spec["insecureSkipTLSVerify"] = true }), false},
	} {
		c := newFakeCluster(t, test.service)
		c.sync()
		if told := c.bundle() != ""; told != test.told {
			t.Errorf("%s: it is told: %t", name, told)
		}
		before := c.writes()
		c.sync()
		if after := c.writes(); after != before {
			t.Errorf("%s: %d more writes though all is right", name, after-before)
		}
		if test.told {
			host, _, _ := unstructured.NestedString(test.service.Object, "spec", "service", "name")
			if err := c.m.serving.leaf.VerifyHostname(host + ".ns.svc"); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}

// An APIService that comes later is told, and a name that it brings is served, at once: nobody could reach it before.
func TestAPIServiceComesLater(t *testing.T) {
	c := newFakeCluster(t)
	c.sync()
	if _, err := c.services.Resource(apiServices).Create(t.Context(), registered("ns", "other", nil), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	c.sync()
	if err := c.m.serving.leaf.VerifyHostname("other.ns.svc"); err != nil || c.bundle() == "" {
		t.Errorf("whom to trust is %q, and %v", c.bundle(), err)
	}
}

// A new authority signs once the kube-apiserver has known it for a while, counted anew when somebody took it away.
func TestNewAuthorityWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newFakeCluster(t, registered("ns", "karo", nil))
		c.sync()
		time.Sleep(caValidFor - caRenewal - leafRenewal) // The certificate was renewed meanwhile.
		c.sync()
		time.Sleep(leafRenewal + time.Second)
		c.sync()
		added := c.m.serving.authority.Certificate
		if c.m.serving.leaf.CheckSignatureFrom(added) == nil || len(c.m.serving.trusted) != 2 {
			t.Fatal("there is no new authority, or it signs at once")
		}
		time.Sleep(settle - 2*time.Second)
		if _, err := c.services.Resource(apiServices).Update(t.Context(), registered("ns", "karo", nil), metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
		c.sync()
		time.Sleep(settle - time.Second)
		c.sync()
		if c.m.serving.leaf.CheckSignatureFrom(added) == nil {
			t.Error("it signs though the kube-apiserver has not known it for long")
		}
		time.Sleep(time.Second)
		c.sync()
		if c.m.serving.leaf.CheckSignatureFrom(added) != nil {
			t.Error("it signs nothing though the kube-apiserver knows it")
		}
	})
}

// A Secret of that name that is somebody's is not written over; one of Karo's that was spoiled is, with what is served.
func TestSomebodysSecret(t *testing.T) {
	c := newFakeCluster(t)
	theirs := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: SecretName}, Data: map[string][]byte{"tls.crt": []byte("theirs")}}
	secrets := c.client.CoreV1().Secrets("ns")
	if _, err := secrets.Create(t.Context(), theirs, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := c.m.Sync(t.Context()); err == nil || !strings.Contains(err.Error(), "secret ns/karo-serving-cert is not Karo's") {
		t.Errorf("got error %v", err)
	}
	if err := secrets.Delete(t.Context(), SecretName, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	c.sync()
	served := c.m.serving
	ours, err := secrets.Get(t.Context(), SecretName, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	ours.Data["ca.key"] = []byte("spoiled")
	if _, err := secrets.Update(t.Context(), ours, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	c.sync()
	ours, err = secrets.Get(t.Context(), SecretName, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := pki.ParseAuthority(pki.Pair{Cert: ours.Data["ca.crt"], Key: ours.Data["ca.key"]}); err != nil || !c.m.serving.equal(served) {
		t.Errorf("it is not as it was: %v", err)
	}
}

// Run ends with its context, and whatever it has started.
func TestRunEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newFakeCluster(t, registered("ns", "karo", nil))
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { c.m.Run(ctx); close(done) }()
		time.Sleep(time.Minute)
		if c.bundle() == "" {
			t.Error("nothing was done")
		}
		if n := c.writes(); n != 2 {
			t.Errorf("%d writes in a minute, want that of the Secret and that of the APIService", n)
		}
		cancel()
		<-done
	})
}

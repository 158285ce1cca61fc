// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

package localcluster

import (
	"context"
	"crypto/tls"
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"k8s.io/utils/ptr"
)

// KaroNamespace is where Karo is installed.
const KaroNamespace = "karo-system"

// tokenRequest asks for a token that outlives the cluster.
var tokenRequest = &authenticationv1.TokenRequest{
	Spec: authenticationv1.TokenRequestSpec{ExpirationSeconds: ptr.To(int64(24 * time.Hour / time.Second))},
}

// Karo is a karo-apiserver beside the cluster.
type Karo struct {
	cluster *Cluster
	name    string
	args    []string
	port    int
	process *Process
}

// StartKaro starts a karo-apiserver with an embedded etcd and registers it. It returns once the API is served.
func (c *Cluster) StartKaro(ctx context.Context) (*Karo, error) {
	k, err := c.NewKaro(ctx, "karo-apiserver")
	if err != nil {
		return nil, err
	}
	if err := k.Start(ctx); err != nil {
		return nil, err
	}
	if err := c.register(ctx, k.port); err != nil {
		return nil, err
	}
	return k, k.Available(ctx)
}

// NewKaro prepares a karo-apiserver of its own name, port and data. Further flags may be given.
func (c *Cluster) NewKaro(ctx context.Context, name string, flags ...string) (*Karo, error) {
	if err := c.installKaro(ctx); err != nil {
		return nil, err
	}
	k := &Karo{cluster: c, name: name}
	var err error
	if k.port, err = freePort(); err != nil {
		return nil, err
	}
	kubeconfig := filepath.Join(c.Dir, "karo.kubeconfig")
	k.args = append([]string{
		"--bind-address=127.0.0.1", "--secure-port=" + strconv.Itoa(k.port),
		"--kubeconfig=" + kubeconfig, "--authentication-kubeconfig=" + kubeconfig, "--authorization-kubeconfig=" + kubeconfig,
		"--namespace=" + KaroNamespace, "--data-dir=" + filepath.Join(c.Dir, name),
	}, flags...)
	return k, nil
}

// installKaro builds karo-apiserver and gives it its rights, once.
func (c *Cluster) installKaro(ctx context.Context) error {
	if c.assets["karo-apiserver"] != "" {
		return nil
	}
	binary := filepath.Join(c.Dir, "bin-karo-apiserver")
	if err := build(ctx, "karo-apiserver", c.Root, "./cmd/apiserver", binary, "", c.log); err != nil {
		return err
	}
	apply := []string{"apply"}
	for _, file := range []string{"namespace.yaml", "rbac.yaml", "roles.yaml", "flowcontrol.yaml"} {
		apply = append(apply, "-f", filepath.Join(c.Root, "artifacts", "deploy", file))
	}
	if _, err := c.Kubectl(ctx, "", apply...); err != nil {
		return err
	}
	token, err := c.Token(ctx, KaroNamespace, "karo")
	if err != nil {
		return err
	}
	if _, err := c.writeKubeconfig("karo", clientcmdapi.AuthInfo{Token: token}); err != nil {
		return err
	}
	c.assets["karo-apiserver"] = binary
	return nil
}

// register tells the kube-apiserver the port at which karo.io is served.
func (c *Cluster) register(ctx context.Context, port int) error {
	_, err := c.Kubectl(ctx, registration(port), "apply", "-f", "-")
	return err
}

// registration returns the objects through which the kube-apiserver finds a server outside the cluster. Karo itself adds
// whom to trust.
func registration(port int) string {
	return fmt.Sprintf(`
apiVersion: v1
kind: Service
metadata:
  name: karo
  namespace: %[1]s
spec:
  type: ExternalName
  externalName: localhost
---
apiVersion: apiregistration.k8s.io/v1
kind: APIService
metadata:
  name: v1.karo.io
spec:
  group: karo.io
  version: v1
  groupPriorityMinimum: 500
  versionPriority: 100
  service:
    name: karo
    namespace: %[1]s
    port: %[2]d
---
apiVersion: apiregistration.k8s.io/v1
kind: APIService
metadata:
  name: v1alpha1.karo.io
spec:
  group: karo.io
  version: v1alpha1
  groupPriorityMinimum: 500
  versionPriority: 10
  service:
    name: karo
    namespace: %[1]s
    port: %[2]d
`, KaroNamespace, port)
}

// Start starts karo-apiserver, again after it was killed or stopped, and returns once it is ready.
func (k *Karo) Start(ctx context.Context) error {
	if err := k.Launch(); err != nil {
		return err
	}
	return k.Ready(ctx)
}

// Ready returns once karo-apiserver, which runs, is ready.
func (k *Karo) Ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	return k.process.await(ctx, k.ready)
}

// unverified asks without looking at the certificate, as a kubelet does.
var unverified = &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}

// ready reports whether karo-apiserver is ready.
func (k *Karo) ready(ctx context.Context) error {
	return answers(ctx, unverified, k.URL()+"/readyz")
}

// Launch starts karo-apiserver and waits for nothing.
func (k *Karo) Launch() error {
	return k.cluster.restart(&k.process, k.name, "karo-apiserver", k.args...)
}

// Process returns the program as it runs now.
func (k *Karo) Process() *Process { return k.process }

// URL returns the address of karo-apiserver itself.
func (k *Karo) URL() string { return "https://" + loopback(k.port) }

// Config returns the credentials of an administrator for karo-apiserver itself.
func (k *Karo) Config() *rest.Config {
	config := rest.CopyConfig(k.cluster.Config)
	config.Host = k.URL()
	config.CAFile, config.Insecure = "", true // The certificate is for the kube-apiserver, which knows another address.
	return config
}

// Available returns once the kube-apiserver serves the API, and its discovery, which comes later, has it.
func (k *Karo) Available(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	return k.cluster.Until(ctx, "karo.io to be served", func(ctx context.Context) error {
		client := k.cluster.Client.Discovery()
		if err := client.RESTClient().Get().AbsPath("/apis/karo.io/v1/alertreactions").Do(ctx).Error(); err != nil {
			return err
		}
		_, lists, err := client.ServerGroupsAndResources()
		for _, version := range []string{"karo.io/v1", "karo.io/v1alpha1"} {
			if err == nil && !slices.ContainsFunc(lists, func(l *metav1.APIResourceList) bool { return l.GroupVersion == version }) {
				err = fmt.Errorf("discovery does not have %s", version)
			}
		}
		return err
	})
}

// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

package localcluster

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"k8s.io/utils/ptr"
)

// KaroNamespace is where Karo is installed.
const KaroNamespace = "karo-system"

// tokenRequest asks for a token that outlives the cluster.
var tokenRequest = &authenticationv1.TokenRequest{
	Spec: authenticationv1.TokenRequestSpec{ExpirationSeconds: ptr.To(int64(24 * time.Hour / time.Second))},
}

// Karo is a karo-apiserver registered with the cluster.
type Karo struct {
	cluster *Cluster
	args    []string
	port    int
	process *Process
}

// StartKaro builds karo-apiserver, gives it its rights, starts it and registers it. It returns once the API is served.
// Further flags may be given.
func (c *Cluster) StartKaro(ctx context.Context, flags ...string) (*Karo, error) {
	ctx, cancel := context.WithTimeout(ctx, startTimeout+10*time.Minute) // The build may take a while.
	defer cancel()
	c.assets["karo-apiserver"] = filepath.Join(c.Dir, "karo-apiserver")
	if err := build(ctx, c.Root, "./cmd/apiserver", c.assets["karo-apiserver"], "", c.log); err != nil {
		return nil, err
	}
	if _, err := c.Kubectl(ctx, "", "apply", "-f", filepath.Join(c.Root, "artifacts", "deploy", "namespace.yaml"),
		"-f", filepath.Join(c.Root, "artifacts", "deploy", "rbac.yaml")); err != nil {
		return nil, err
	}
	token, err := c.Token(ctx, KaroNamespace, "karo")
	if err != nil {
		return nil, err
	}
	kubeconfig, err := c.writeKubeconfig("karo", clientcmdapi.AuthInfo{Token: token})
	if err != nil {
		return nil, err
	}
	ca, err := newAuthority(c.Dir, "karo-ca")
	if err != nil {
		return nil, err
	}
	serving, err := ca.serving("karo", "karo."+KaroNamespace+".svc")
	if err != nil {
		return nil, err
	}
	k := &Karo{cluster: c}
	if k.port, err = freePort(); err != nil {
		return nil, err
	}
	k.args = append([]string{
		"--bind-address=127.0.0.1", "--secure-port=" + strconv.Itoa(k.port),
		"--tls-cert-file=" + serving.cert, "--tls-private-key-file=" + serving.key,
		"--kubeconfig=" + kubeconfig, "--authentication-kubeconfig=" + kubeconfig, "--authorization-kubeconfig=" + kubeconfig,
		"--namespace=" + KaroNamespace, "--data-dir=" + filepath.Join(c.Dir, "karo"),
	}, flags...)
	if err := k.Start(ctx); err != nil {
		return nil, err
	}
	bundle, err := os.ReadFile(ca.file())
	if err != nil {
		return nil, err
	}
	if _, err := c.Kubectl(ctx, registration(k.port, bundle), "apply", "-f", "-"); err != nil {
		return nil, err
	}
	return k, k.Available(ctx)
}

// registration returns the objects through which the kube-apiserver finds a server outside the cluster.
func registration(port int, caBundle []byte) string {
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
  caBundle: %[3]s
`, KaroNamespace, port, base64.StdEncoding.EncodeToString(caBundle))
}

// Start starts karo-apiserver, again after it was killed or stopped, and returns once it is ready.
func (k *Karo) Start(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	p, err := k.cluster.start("karo-apiserver", nil, k.args...)
	if err != nil {
		return err
	}
	k.process = p
	return p.await(ctx, func(ctx context.Context) error { return k.ready(ctx) })
}

// Process returns the program as it runs now.
func (k *Karo) Process() *Process { return k.process }

// URL returns the address of karo-apiserver itself.
func (k *Karo) URL() string { return "https://" + loopback(k.port) }

// Available returns once the kube-apiserver serves the API.
func (k *Karo) Available(ctx context.Context) error {
	return k.cluster.Until(ctx, "karo.io to be served", func(ctx context.Context) error {
		client := k.cluster.Client.Discovery().RESTClient()
		return client.Get().AbsPath("/apis/karo.io/v1/alertreactions").Do(ctx).Error()
	})
}

func (k *Karo) ready(ctx context.Context) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, k.URL()+"/readyz", nil)
	if err != nil {
		return err
	}
	client, err := k.HTTPClient()
	if err != nil {
		return err
	}
	defer client.CloseIdleConnections()
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return errors.New("karo-apiserver answers " + resp.Status)
	}
	return nil
}

// HTTPClient returns a client without credentials that trusts karo-apiserver itself.
func (k *Karo) HTTPClient() (*http.Client, error) {
	return trusting(filepath.Join(k.cluster.Dir, "karo-ca.crt"))
}

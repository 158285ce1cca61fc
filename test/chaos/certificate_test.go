// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

package chaos

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/util/cert"

	"karo.io/karo/hack/localcluster"
	"karo.io/karo/pkg/pki"
	"karo.io/karo/pkg/servingcert"
)

const (
	servingHost = "karo." + localcluster.KaroNamespace + ".svc"
	apiService  = "v1.karo.io"
)

// certificates looks at what the replicas serve, and at what the cluster is told of it.
type certificates struct {
	t        *testing.T
	services dynamic.ResourceInterface
}

// trusted returns whom the kube-apiserver trusts.
func (c *certificates) trusted(ctx context.Context) (*x509.CertPool, error) {
	obj, err := c.services.Get(ctx, apiService, metav1.GetOptions{})
	if err != nil {
		return nil, err
	}
	encoded, _, err := unstructured.NestedString(obj.Object, "spec", "caBundle")
	if err != nil {
		return nil, err
	}
	bundle, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(bundle) {
		return nil, fmt.Errorf("%s trusts nobody", apiService)
	}
	return pool, nil
}

// served returns what a replica serves to who trusts an authority.
func (c *certificates) served(ctx context.Context, p *program, trusted *x509.CertPool) (*x509.Certificate, error) {
	address, err := url.Parse(p.url)
	if err != nil {
		return nil, err
	}
	dialer := tls.Dialer{Config: &tls.Config{RootCAs: trusted, ServerName: servingHost, MinVersion: tls.VersionTLS12}}
	conn, err := dialer.DialContext(ctx, "tcp", address.Host)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", p.Name, err)
	}
	defer conn.Close()
	return conn.(*tls.Conn).ConnectionState().PeerCertificates[0], nil
}

// await returns once all replicas serve the same certificate, and it is as it should be.
func (c *certificates) await(what string, is func(*x509.Certificate) bool) (leaf *x509.Certificate) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), 3*time.Minute)
	defer cancel()
	err := cluster.Until(ctx, what, func(ctx context.Context) error {
		trusted, err := c.trusted(ctx)
		if err != nil {
			return err
		}
		leaf = nil
		for _, p := range karos {
			got, err := c.served(ctx, p, trusted)
			if err != nil {
				return err
			}
			if leaf != nil && !leaf.Equal(got) {
				return errors.New("two replicas serve different certificates")
			}
			leaf = got
		}
		if !is(leaf) {
			return fmt.Errorf("what is served ends at %s, signed by %s", leaf.NotAfter, leaf.Issuer)
		}
		return nil
	})
	if err != nil {
		c.t.Fatal(err)
	}
	return leaf
}

// change writes something else into the Secret.
func (c *certificates) change(mutate func(data map[string][]byte, ca *pki.Authority) error) {
	c.t.Helper()
	secrets := cluster.Client.CoreV1().Secrets(localcluster.KaroNamespace)
	secret, err := secrets.Get(c.t.Context(), servingcert.SecretName, metav1.GetOptions{})
	if err != nil {
		c.t.Fatal(err)
	}
	ca, err := pki.ParseAuthority(pki.Pair{Cert: secret.Data["ca.crt"], Key: secret.Data["ca.key"]})
	if err != nil {
		c.t.Fatal(err)
	}
	if err := mutate(secret.Data, ca); err != nil {
		c.t.Fatal(err)
	}
	if _, err := secrets.Update(c.t.Context(), secret, metav1.UpdateOptions{}); err != nil {
		c.t.Fatal(err)
	}
}

// The certificate and the authority that are about to end are replaced while requests go on, none of which fails. All
// replicas serve the same one, and nobody is served what the APIService does not say is to be trusted.
func TestCertificateIsReplaced(t *testing.T) {
	services, err := dynamic.NewForConfig(cluster.Config)
	if err != nil {
		t.Fatal(err)
	}
	c := &certificates{t, services.Resource(schema.GroupVersionResource{Group: "apiregistration.k8s.io", Version: "v1", Resource: "apiservices"})}
	first := c.await("all replicas to serve one certificate", func(leaf *x509.Certificate) bool { return leaf.VerifyHostname(servingHost) == nil })

	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var asking sync.WaitGroup
	var answered, dialed atomic.Int64
	ask := func(interval time.Duration, count *atomic.Int64, do func(context.Context) error) {
		asking.Go(func() {
			for ctx.Err() == nil {
				if err := do(context.WithoutCancel(ctx)); err != nil {
					t.Error(err)
				}
				count.Add(1)
				sleep(ctx, interval)
			}
		})
	}
	for range 4 {
		ask(20*time.Millisecond, &answered, func(ctx context.Context) error {
			_, err := client.KaroV1().AlertReactions("default").List(ctx, metav1.ListOptions{})
			return err
		})
	}
	for _, p := range karos {
		ask(50*time.Millisecond, &dialed, func(ctx context.Context) error {
			trusted, err := c.trusted(ctx)
			if err == nil {
				_, err = c.served(ctx, p, trusted)
			}
			return err
		})
	}

	c.change(func(data map[string][]byte, ca *pki.Authority) (err error) {
		soon, err := ca.Sign(&x509.Certificate{
			NotBefore: first.NotBefore, NotAfter: time.Now().Add(5 * time.Minute), DNSNames: []string{servingHost},
			ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		})
		data[corev1.TLSCertKey], data[corev1.TLSPrivateKeyKey] = soon.Cert, soon.Key
		return err
	})
	second := c.await("the certificate to be replaced", func(leaf *x509.Certificate) bool {
		return !leaf.Equal(first) && time.Until(leaf.NotAfter) > time.Hour
	})

	c.change(func(data map[string][]byte, _ *pki.Authority) error {
		soon, err := pki.NewAuthority("soon", first.NotBefore, time.Now().Add(time.Hour))
		if err != nil {
			return err
		}
		data["ca.crt"], data["ca.key"] = soon.Cert, soon.Key
		data["ca-bundle.crt"] = append(soon.Cert, data["ca-bundle.crt"]...)
		return nil
	})
	third := c.await("a new authority to sign", func(leaf *x509.Certificate) bool {
		return leaf.Issuer.CommonName != second.Issuer.CommonName && leaf.Issuer.CommonName != "soon"
	})

	if err := cluster.Client.CoreV1().Secrets(localcluster.KaroNamespace).Delete(t.Context(), servingcert.SecretName, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	err = cluster.Until(t.Context(), "the Secret to be there again", func(ctx context.Context) error {
		secret, err := cluster.Client.CoreV1().Secrets(localcluster.KaroNamespace).Get(ctx, servingcert.SecretName, metav1.GetOptions{})
		if err != nil {
			return err
		}
		certs, err := cert.ParseCertsPEM(secret.Data[corev1.TLSCertKey])
		if err == nil && !certs[0].Equal(third) {
			t.Error("it holds another certificate than the one that was served")
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	stop()
	asking.Wait()
	if answered.Load() < 100 || dialed.Load() < 100 {
		t.Errorf("only %d requests and %d connections", answered.Load(), dialed.Load())
	}
	t.Logf("%d requests through the kube-apiserver and %d new connections to the replicas, while the certificate was replaced twice", answered.Load(), dialed.Load())

	if _, err := c.services.Patch(t.Context(), apiService, types.MergePatchType, []byte(`{"spec": {"caBundle": null}}`), metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	c.await("caBundle to be right again", third.Equal)
}

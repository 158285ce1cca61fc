// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"karo.io/karo/pkg/pki"
	"karo.io/karo/pkg/servingcert"
)

// A certificate that is given is served, also the one that takes its place later; Karo writes neither a Secret nor caBundle.
func TestGivenCertificate(t *testing.T) {
	ca, err := pki.NewAuthority("given", time.Now().Add(-time.Hour), time.Now().Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	certFile, keyFile := filepath.Join(t.TempDir(), "tls.crt"), filepath.Join(t.TempDir(), "tls.key")
	write := func(name string) {
		t.Helper()
		pair, err := ca.Sign(&x509.Certificate{DNSNames: []string{name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)})
		if err != nil {
			t.Fatal(err)
		}
		for file, content := range map[string][]byte{certFile: pair.Cert, keyFile: pair.Key} {
			if err := os.WriteFile(file, content, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	before := kubectl(t, "", "get", "apiservices", "v1.karo.io", "v1alpha1.karo.io", "-o", "jsonpath={.items[*].spec.caBundle}")
	write("first.example")
	given, err := cluster.NewKaro(t.Context(), "given-certificate", "--tls-cert-file="+certFile, "--tls-private-key-file="+keyFile, "--executor=false")
	if err != nil {
		t.Fatal(err)
	}
	if err := given.Launch(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(given.Process().Kill)
	if err := given.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(ca.Certificate)
	serves := func(name string) func(context.Context) error {
		return func(ctx context.Context) error {
			dialer := tls.Dialer{Config: &tls.Config{RootCAs: pool, ServerName: name, MinVersion: tls.VersionTLS12}}
			conn, err := dialer.DialContext(ctx, "tcp", strings.TrimPrefix(given.URL(), "https://"))
			if err != nil {
				return err
			}
			return conn.Close()
		}
	}
	eventually(t, "the certificate to be served", serves("first.example"))
	write("second.example")
	eventually(t, "the other certificate to be served", serves("second.example"))
	if after := kubectl(t, "", "get", "apiservices", "v1.karo.io", "v1alpha1.karo.io", "-o", "jsonpath={.items[*].spec.caBundle}"); after != before {
		t.Error("caBundle was written")
	}
	log, err := os.ReadFile(given.Process().LogFile)
	if err != nil || strings.Contains(string(log), servingcert.SecretName) || strings.Contains(string(log), "serving certificate") {
		t.Errorf("it has to do with the Secret: %v", err)
	}
}

// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

package localcluster

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"

	"k8s.io/client-go/util/keyutil"
)

// authority is a certificate authority whose files are in a directory.
type authority struct {
	dir  string
	cert *x509.Certificate
	key  crypto.Signer
}

// pair is a certificate with its key, in files.
type pair struct{ cert, key string }

func newAuthority(dir, name string) (*authority, error) {
	a := &authority{dir: dir}
	template := &x509.Certificate{
		Subject:               pkix.Name{CommonName: name},
		IsCA:                  true,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	cert, key, _, err := a.sign(name, template)
	a.cert, a.key = cert, key
	return a, err
}

// file returns the path of the authority's own certificate.
func (a *authority) file() string {
	return filepath.Join(a.dir, a.cert.Subject.CommonName+".crt")
}

// client signs a certificate that authenticates a user.
func (a *authority) client(name string, groups ...string) (pair, error) {
	_, _, files, err := a.sign(name, &x509.Certificate{
		Subject:     pkix.Name{CommonName: name, Organization: groups},
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
	return files, err
}

// serving signs a certificate for a server on loopback that also has other names.
func (a *authority) serving(name string, names ...string) (pair, error) {
	_, _, files, err := a.sign(name, &x509.Certificate{
		Subject:     pkix.Name{CommonName: name},
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		DNSNames:    append([]string{"localhost"}, names...),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	})
	return files, err
}

func (a *authority) sign(file string, template *x509.Certificate) (*x509.Certificate, crypto.Signer, pair, error) {
	fail := func(err error) (*x509.Certificate, crypto.Signer, pair, error) {
		return nil, nil, pair{}, fmt.Errorf("certificate %s: %w", file, err)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return fail(err)
	}
	template.NotBefore = time.Now().Add(-time.Minute)
	template.NotAfter = time.Now().Add(365 * 24 * time.Hour)
	if template.SerialNumber, err = rand.Int(rand.Reader, big.NewInt(1<<62)); err != nil {
		return fail(err)
	}
	parent, signer := a.cert, a.key
	if parent == nil {
		parent, signer = template, crypto.Signer(key)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		return fail(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return fail(err)
	}
	keyPEM, err := keyutil.MarshalPrivateKeyToPEM(key)
	if err != nil {
		return fail(err)
	}
	files := pair{cert: filepath.Join(a.dir, file+".crt"), key: filepath.Join(a.dir, file+".key")}
	if err := os.WriteFile(files.cert, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		return fail(err)
	}
	if err := os.WriteFile(files.key, keyPEM, 0o600); err != nil {
		return fail(err)
	}
	return cert, key, files, nil
}

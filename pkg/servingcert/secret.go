// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

package servingcert

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/client-go/util/cert"

	"karo.io/karo/pkg/pki"
)

const (
	// caValidFor is for how long an authority is made. A new one is made once less than caRenewal is left, which is longer
	// than any certificate lives that the old one has signed.
	caValidFor, caRenewal = 730 * 24 * time.Hour, 2 * leafValidFor
	// leafValidFor is for how long a certificate is made. A new one is made once less than leafRenewal is left.
	leafValidFor, leafRenewal = 90 * 24 * time.Hour, 30 * 24 * time.Hour
	// skew is by how much the clock of whoever asks may be behind. The keys are made for nothing else, so that a certificate may
	// hold for a time at which there was none.
	skew = 48 * time.Hour

	// What is in the Secret, beside tls.crt and tls.key: the authority that signs, and all those to be trusted.
	keyAuthority, keyAuthorityKey, keyTrusted = "ca.crt", "ca.key", "ca-bundle.crt"
)

// material is what the Secret holds.
type material struct {
	// authority is the newest one. It signs whatever is signed.
	authority *pki.Authority
	// trusted are all authorities that may have signed what a replica serves, the newest first.
	trusted []*x509.Certificate
	serving pki.Pair
	leaf    *x509.Certificate
}

// parse reads what a Secret holds. It is an error when it is not a certificate, its key, and an authority with its key.
func parse(data map[string][]byte) (*material, error) {
	m := &material{serving: pki.Pair{Cert: data[corev1.TLSCertKey], Key: data[corev1.TLSPrivateKeyKey]}}
	pair, err := tls.X509KeyPair(m.serving.Cert, m.serving.Key)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", corev1.TLSCertKey, err)
	}
	m.leaf = pair.Leaf
	if m.authority, err = pki.ParseAuthority(pki.Pair{Cert: data[keyAuthority], Key: data[keyAuthorityKey]}); err != nil {
		return nil, fmt.Errorf("%s: %w", keyAuthority, err)
	}
	if m.trusted, err = cert.ParseCertsPEM(data[keyTrusted]); err != nil {
		return nil, fmt.Errorf("%s: %w", keyTrusted, err)
	}
	if !m.trusted[0].Equal(m.authority.Certificate) {
		return nil, fmt.Errorf("%s: the first is not the one in %s", keyTrusted, keyAuthority)
	}
	return m, nil
}

// data is what the Secret has to hold for m.
func (m *material) data() (map[string][]byte, error) {
	trusted, err := m.bundle()
	return map[string][]byte{
		corev1.TLSCertKey: m.serving.Cert, corev1.TLSPrivateKeyKey: m.serving.Key,
		keyAuthority: m.authority.Cert, keyAuthorityKey: m.authority.Key, keyTrusted: trusted,
	}, err
}

// bundle returns what the kube-apiserver has to trust, as PEM.
func (m *material) bundle() ([]byte, error) { return cert.EncodeCertificates(m.trusted...) }

// next returns what has to be in place of m, which may be nil, and why; nil if m is right. A new authority signs nothing
// before trustedByAll says that the kube-apiserver has been told to trust it, unless what is served is of no use anyway.
func next(m *material, names []string, trustedByAll func(*x509.Certificate) bool, now time.Time) (*material, string, error) {
	if m == nil {
		made := &material{}
		return made, "there is none", errors.Join(made.addAuthority(now), made.sign(names, now))
	}
	made := *m
	made.trusted = slices.DeleteFunc(slices.Clone(m.trusted), func(ca *x509.Certificate) bool { return now.After(ca.NotAfter) })
	useless := !made.verifies(now)
	// An authority that was made by a clock that was ahead is of no use, and nothing that it signs would be.
	early := useless && now.Before(made.authority.Certificate.NotBefore)
	if early || until(made.authority.Certificate, now) < caRenewal {
		err := made.addAuthority(now)
		if err == nil && useless {
			err = made.sign(names, now)
		}
		return &made, "the authority ends soon, or has yet to begin", err
	}
	known := made.leaf.CheckSignatureFrom(made.authority.Certificate) == nil
	reason := ""
	switch {
	case useless:
		reason = "the certificate is not valid"
	case !sets.New(made.leaf.DNSNames...).HasAll(names...):
		reason = "the certificate lacks a name"
	case until(made.leaf, now) < leafRenewal:
		reason = "the certificate ends soon"
	case !known:
		reason = "there is a new authority"
	}
	if reason != "" && (useless || known || trustedByAll(made.authority.Certificate)) {
		return &made, reason, made.sign(names, now)
	}
	if len(made.trusted) < len(m.trusted) {
		return &made, "an authority has ended", nil
	}
	return nil, "", nil
}

func until(c *x509.Certificate, now time.Time) time.Duration { return c.NotAfter.Sub(now) }

// verifies reports whether what is served is valid for whoever trusts what is to be trusted.
func (m *material) verifies(now time.Time) bool {
	pool := x509.NewCertPool()
	for _, ca := range m.trusted {
		pool.AddCert(ca)
	}
	_, err := m.leaf.Verify(x509.VerifyOptions{Roots: pool, CurrentTime: now})
	return err == nil
}

func (m *material) addAuthority(now time.Time) error {
	ca, err := pki.NewAuthority(fmt.Sprintf("karo-ca@%d", now.Unix()), now.Add(-skew), now.Add(caValidFor))
	if err != nil {
		return err
	}
	m.authority, m.trusted = ca, slices.Insert(m.trusted, 0, ca.Certificate)
	return nil
}

func (m *material) sign(names []string, now time.Time) (err error) {
	m.serving, err = m.authority.Sign(&x509.Certificate{
		Subject:     pkix.Name{CommonName: names[0]},
		NotBefore:   now.Add(-skew),
		NotAfter:    now.Add(leafValidFor),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		DNSNames:    names,
	})
	if err != nil {
		return err
	}
	pair, err := tls.X509KeyPair(m.serving.Cert, m.serving.Key)
	m.leaf = pair.Leaf
	return err
}

func (m *material) equal(other *material) bool {
	return other != nil && bytes.Equal(m.serving.Cert, other.serving.Cert) && bytes.Equal(m.authority.Cert, other.authority.Cert) &&
		slices.EqualFunc(m.trusted, other.trusted, (*x509.Certificate).Equal)
}

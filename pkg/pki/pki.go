// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

// Package pki makes certificate authorities, and certificates that they sign.
package pki

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"math/big"
	"time"

	"k8s.io/client-go/util/cert"
	"k8s.io/client-go/util/keyutil"
)

// Pair is a certificate and its private key, as PEM.
type Pair struct{ Cert, Key []byte }

// Authority signs certificates. Its zero value is none; NewAuthority and ParseAuthority make one.
type Authority struct {
	Pair
	// Certificate is the one in Pair.
	Certificate *x509.Certificate
	signer      crypto.Signer
}

// NewAuthority makes an authority that is valid from one time to another.
func NewAuthority(name string, from, until time.Time) (*Authority, error) {
	return (&Authority{}).sign(&x509.Certificate{
		Subject:               pkix.Name{CommonName: name},
		NotBefore:             from,
		NotAfter:              until,
		IsCA:                  true,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	})
}

// ParseAuthority returns the authority with a certificate and its private key. It is an error unless they belong together.
func ParseAuthority(pair Pair) (*Authority, error) {
	certs, err := cert.ParseCertsPEM(pair.Cert)
	if err != nil {
		return nil, fmt.Errorf("certificate: %w", err)
	}
	key, err := keyutil.ParsePrivateKeyPEM(pair.Key)
	if err != nil {
		return nil, fmt.Errorf("private key: %w", err)
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("private key: a %T cannot sign", key)
	}
	a := &Authority{Pair: pair, Certificate: certs[0], signer: signer}
	public, ok := signer.Public().(interface{ Equal(crypto.PublicKey) bool })
	if !ok || !public.Equal(a.Certificate.PublicKey) {
		return nil, errors.New("the private key is of another certificate")
	}
	if !a.Certificate.IsCA {
		return nil, errors.New("the certificate is not of an authority")
	}
	return a, nil
}

// Sign returns a certificate as the template says, for a key that is made for it.
func (a *Authority) Sign(template *x509.Certificate) (Pair, error) {
	template.KeyUsage = x509.KeyUsageDigitalSignature
	signed, err := a.sign(template)
	if err != nil {
		return Pair{}, err
	}
	return signed.Pair, nil
}

// sign signs with the key of a, or, if it has none, with the key that is signed.
func (a *Authority) sign(template *x509.Certificate) (*Authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("private key of %s: %w", template.Subject.CommonName, err)
	}
	if template.SerialNumber, err = rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127)); err != nil {
		return nil, fmt.Errorf("serial number of %s: %w", template.Subject.CommonName, err)
	}
	parent, signer := a.Certificate, a.signer
	if parent == nil {
		parent, signer = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		return nil, fmt.Errorf("certificate of %s: %w", template.Subject.CommonName, err)
	}
	signed := &Authority{signer: key}
	if signed.Certificate, err = x509.ParseCertificate(der); err != nil {
		return nil, fmt.Errorf("certificate of %s: %w", template.Subject.CommonName, err)
	}
	if signed.Cert, err = cert.EncodeCertificates(signed.Certificate); err != nil {
		return nil, fmt.Errorf("certificate of %s: %w", template.Subject.CommonName, err)
	}
	if signed.Key, err = keyutil.MarshalPrivateKeyToPEM(key); err != nil {
		return nil, fmt.Errorf("private key of %s: %w", template.Subject.CommonName, err)
	}
	return signed, nil
}

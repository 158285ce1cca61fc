// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

package localcluster

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"time"

	"karo.io/karo/pkg/pki"
)

// authority is a certificate authority whose files are in a directory.
type authority struct {
	*pki.Authority
	dir string
}

// pair is a certificate with its key, in files.
type pair struct{ cert, key string }

func newAuthority(dir, name string) (*authority, error) {
	from, until := validity()
	made, err := pki.NewAuthority(name, from, until)
	if err != nil {
		return nil, err
	}
	a := &authority{Authority: made, dir: dir}
	_, err = a.write(name, made.Pair)
	return a, err
}

// validity returns from when and until when a certificate holds that is made now.
func validity() (from, until time.Time) {
	now := time.Now()
	return now.Add(-time.Minute), now.Add(365 * 24 * time.Hour)
}

// file returns the path of the authority's own certificate.
func (a *authority) file() string {
	return filepath.Join(a.dir, a.Certificate.Subject.CommonName+".crt")
}

// client signs a certificate that authenticates a user.
func (a *authority) client(name string, groups ...string) (pair, error) {
	return a.sign(name, &x509.Certificate{
		Subject:     pkix.Name{CommonName: name, Organization: groups},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
}

// serving signs a certificate for a server on loopback that also has other names.
func (a *authority) serving(name string, names ...string) (pair, error) {
	return a.sign(name, &x509.Certificate{
		Subject:     pkix.Name{CommonName: name},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		DNSNames:    append([]string{"localhost"}, names...),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	})
}

func (a *authority) sign(file string, template *x509.Certificate) (pair, error) {
	template.NotBefore, template.NotAfter = validity()
	signed, err := a.Sign(template)
	if err != nil {
		return pair{}, err
	}
	return a.write(file, signed)
}

func (a *authority) write(name string, made pki.Pair) (pair, error) {
	files := pair{cert: filepath.Join(a.dir, name+".crt"), key: filepath.Join(a.dir, name+".key")}
	if err := os.WriteFile(files.cert, made.Cert, 0o600); err != nil {
		return pair{}, fmt.Errorf("certificate %s: %w", name, err)
	}
	if err := os.WriteFile(files.key, made.Key, 0o600); err != nil {
		return pair{}, fmt.Errorf("key of certificate %s: %w", name, err)
	}
	return files, nil
}

// Copyright 2026 The Karo Authors
// SPDX-License-Identifier: Apache-2.0

package servingcert

import (
	"crypto/x509"
	"maps"
	"slices"
	"testing"
	"time"
)

var (
	now   = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	hosts = []string{"karo.ns.svc"}
)

func always(*x509.Certificate) bool { return true }
func never(*x509.Certificate) bool  { return false }

// made returns what is made at a time in the place of m, which has to be something.
func made(t *testing.T, m *material, names []string, trusted func(*x509.Certificate) bool, at time.Time) *material {
	t.Helper()
	n, reason, err := next(m, names, trusted, at)
	if err != nil || n == nil || reason == "" {
		t.Fatalf("made %v, for the reason %q, error %v", n, reason, err)
	}
	return n
}

// right fails unless there is nothing to be done at a time.
func right(t *testing.T, m *material, names []string, trusted func(*x509.Certificate) bool, at time.Time) {
	t.Helper()
	if n, reason, err := next(m, names, trusted, at); n != nil || err != nil {
		t.Errorf("made another one, for the reason %q, error %v", reason, err)
	}
	if !m.verifies(at) {
		t.Error("what is served is not valid")
	}
}

func TestFirst(t *testing.T) {
	m := made(t, nil, []string{"karo.ns.svc", "other.ns.svc"}, never, now)
	right(t, m, hosts, never, now)
	right(t, m, []string{"other.ns.svc"}, never, now.Add(-skew))
	if len(m.trusted) != 1 || until(m.leaf, now) != leafValidFor || until(m.authority.Certificate, now) != caValidFor {
		t.Errorf("%d authorities, valid until %s, certificate until %s", len(m.trusted), m.authority.Certificate.NotAfter, m.leaf.NotAfter)
	}
	if err := m.leaf.VerifyHostname("other.ns.svc"); err != nil {
		t.Error(err)
	}
	data, err := m.data()
	if err != nil {
		t.Fatal(err)
	}
	if again, err := parse(data); err != nil || !again.equal(m) {
		t.Errorf("it is not what it was when it is read again: %v", err)
	}
}

// Over ten years, looked at each day, what is served is valid for whoever trusts what was told the day before, and no key
// is used for longer than it should be.
func TestTenYears(t *testing.T) {
	m := made(t, nil, hosts, never, now)
	told := m.trusted
	certificates, authorities := 1, 1
	for day := range 3650 {
		at := now.Add(time.Duration(day) * 24 * time.Hour)
		n, reason, err := next(m, hosts, func(ca *x509.Certificate) bool { return slices.ContainsFunc(told, ca.Equal) }, at)
		if err != nil {
			t.Fatal(err)
		}
		told = m.trusted
		if n == nil {
			continue
		}
		if !n.leaf.Equal(m.leaf) {
			certificates++
		}
		if !n.authority.Certificate.Equal(m.authority.Certificate) {
			authorities++
		}
		before := &material{leaf: n.leaf, trusted: told}
		if !before.verifies(at) {
			t.Errorf("day %d, %s: who trusts what was told the day before does not trust it", day, reason)
		}
		m = n
	}
	// A certificate is replaced after 60 days, and when there is a new authority; an authority after 550 days.
	if authorities != 7 || certificates < 60 || certificates > 70 || len(m.trusted) > 2 {
		t.Errorf("%d authorities, %d of them trusted at the end, %d certificates", authorities, len(m.trusted), certificates)
	}
}

func TestNext(t *testing.T) {
	first := made(t, nil, hosts, never, now)
	soon := first.leaf.NotAfter.Add(-leafRenewal + time.Second)

	second := made(t, first, hosts, never, soon) // Who trusts the first trusts it too.
	if second.leaf.Equal(first.leaf) || !second.authority.Certificate.Equal(first.authority.Certificate) || until(second.leaf, soon) != leafValidFor {
		t.Error("the certificate ends soon: want another of the same authority")
	}
	if third := made(t, first, hosts, never, first.leaf.NotAfter.Add(time.Second)); third.leaf.Equal(first.leaf) {
		t.Error("a certificate that has ended stays")
	}
	if named := made(t, first, []string{"a.ns.svc", "karo.ns.svc"}, always, now); named.leaf.VerifyHostname("a.ns.svc") != nil {
		t.Error("it lacks the new name")
	}

	old := first.authority.Certificate.NotAfter.Add(-caRenewal + time.Second)
	aged := made(t, first, hosts, always, old) // The certificate has ended long ago.
	right(t, aged, hosts, always, old)
	if len(aged.trusted) != 2 {
		t.Errorf("%d authorities are trusted, want the old one too", len(aged.trusted))
	}
	for name, leave := range map[string]func(*x509.Certificate) bool{"not trusted by all": never, "trusted": always} {
		both := made(t, second, hosts, leave, old.Add(-time.Hour)) // The certificate is renewed, by the old authority,
		both = made(t, both, hosts, leave, old)                    // and then there is a new one.
		switch n, _, err := next(both, hosts, leave, old); {
		case err != nil:
			t.Error(err)
		case name == "trusted" && (n == nil || n.leaf.CheckSignatureFrom(both.authority.Certificate) != nil):
			t.Error("the new authority has signed nothing though it is trusted")
		case name != "trusted" && n != nil:
			t.Error("the new authority has signed something though it is not trusted by all")
		}
	}
	if ended := made(t, aged, hosts, always, first.authority.Certificate.NotAfter.Add(time.Second)); slices.ContainsFunc(ended.trusted, first.authority.Certificate.Equal) {
		t.Error("an authority that has ended is still trusted")
	}
}

// What is made at one time is made once, also when a clock was wrong, and is set right.
func TestClocksAreWrong(t *testing.T) {
	for _, ahead := range []time.Duration{time.Hour, 100 * 24 * time.Hour, 10 * 365 * 24 * time.Hour, -time.Hour, -100 * 24 * time.Hour, -10 * 365 * 24 * time.Hour} {
		m := made(t, nil, hosts, never, now.Add(ahead))
		for range 3 {
			if n, _, err := next(m, hosts, never, now); err != nil {
				t.Fatal(err)
			} else if n != nil {
				m = n
			}
		}
		right(t, m, hosts, never, now)
	}
}

func TestParse(t *testing.T) {
	m, other := made(t, nil, hosts, never, now), made(t, nil, hosts, never, now)
	good, err := m.data()
	if err != nil {
		t.Fatal(err)
	}
	bad, err := other.data()
	if err != nil {
		t.Fatal(err)
	}
	for key := range good {
		for what, value := range map[string][]byte{"missing": nil, "garbage": []byte("garbage"), "of another": bad[key]} {
			data := maps.Clone(good)
			data[key] = value
			if _, err := parse(data); err == nil {
				t.Errorf("%s %s: no error", key, what)
			}
		}
	}
	swapped := maps.Clone(good)
	swapped[keyAuthority], swapped[keyAuthorityKey], swapped[keyTrusted] = good["tls.crt"], good["tls.key"], good["tls.crt"]
	if _, err := parse(swapped); err == nil {
		t.Error("a certificate that may sign nothing is taken for an authority")
	}
}

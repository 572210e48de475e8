package certs_test

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"os"
	"path/filepath"
	"testing"

	"github.com/orderd-dev/orderd/orderd/kit/certs"
	"github.com/orderd-dev/orderd/orderd/sim/authority"
)

func issue(t *testing.T, ca *authority.Authority, name string) authority.Pair {
	t.Helper()
	pair, err := ca.Issue(authority.Subject{Name: name, Hosts: []string{"127.0.0.1"}})
	if err != nil {
		t.Fatal(err)
	}
	return pair
}

// serve answers TLS handshakes until the test ends.
func serve(t *testing.T, pair *certs.Pair) net.Addr {
	t.Helper()
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{GetCertificate: pair.Server})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() { _ = conn.(*tls.Conn).Handshake(); _, _ = conn.Read(make([]byte, 1)) }()
		}
	}()
	return l.Addr()
}

// shown is the name in the certificate that the server shows.
func shown(t *testing.T, address net.Addr, pool *x509.CertPool) string {
	t.Helper()
	conn, err := tls.Dial("tcp", address.String(), &tls.Config{RootCAs: pool})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	return conn.ConnectionState().PeerCertificates[0].Subject.CommonName
}

func TestARenewedCertificateCountsFromTheNextHandshake(t *testing.T) {
	ca, err := authority.New("test")
	if err != nil {
		t.Fatal(err)
	}
	pool, err := certs.Authorities(ca.PEM())
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	certificate, key := filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key")
	first, second := issue(t, ca, "first"), issue(t, ca, "the second")
	if err := first.Write(dir, "tls.crt", "tls.key"); err != nil {
		t.Fatal(err)
	}
	pair, err := certs.Load(certificate, key)
	if err != nil {
		t.Fatal(err)
	}
	address := serve(t, pair)
	steps := []struct {
		name string
		do   func() error
		want string
	}{
		{"as it was loaded", func() error { return nil }, "first"},
		{"with the certificate renewed, and the key not yet", func() error {
			return os.WriteFile(certificate, second.Certificate, 0o600)
		}, "first"},
		{"with both renewed", func() error { return os.WriteFile(key, second.Key, 0o600) }, "the second"},
		{"with both gone", func() error { return errors.Join(os.Remove(certificate), os.Remove(key)) }, "the second"},
		{"with both there again", func() error { return first.Write(dir, "tls.crt", "tls.key") }, "first"},
	}
	for _, step := range steps {
		if err := step.do(); err != nil {
			t.Fatal(err)
		}
		if got := shown(t, address, pool); got != step.want {
			t.Errorf("%s the server shows %q, want %q", step.name, got, step.want)
		}
	}
}

func TestWhatHoldsNoCertificateIsRefused(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "ca.crt")
	if err := os.WriteFile(path, []byte("-----BEGIN NOTHING-----"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := certs.AuthoritiesOf(path); !errors.Is(err, certs.ErrNoCertificate) {
		t.Errorf("a file without a certificate: %v", err)
	}
	if _, err := certs.AuthoritiesOf(filepath.Join(dir, "none")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
	if _, err := certs.Load(path, path); err == nil {
		t.Error("a pair without a certificate: no error")
	}
}

// Package certs reads the certificates that connections are made with. A certificate with its key is
// read again whenever its files were renewed, as cert-manager and the kubelet renew them, so that the
// next handshake has the new one and no connection ends.
package certs

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"
)

// ErrNoCertificate is of a file or Secret that should hold certificates as PEM and holds none.
var ErrNoCertificate = errors.New("holds no certificate (PEM)")

// Authorities is a pool of the certificates in pem, and of no others.
func Authorities(pem []byte) (*x509.CertPool, error) {
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, ErrNoCertificate
	}
	return pool, nil
}

// AuthoritiesOf is Authorities of a file.
func AuthoritiesOf(path string) (*x509.CertPool, error) {
	pem, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading certificates: %w", err)
	}
	pool, err := Authorities(pem)
	if err != nil {
		return nil, fmt.Errorf("%s %w", path, err)
	}
	return pool, nil
}

// Pair is a certificate and its key, in two files. It is safe for concurrent use.
type Pair struct {
	certificate, key string

	mu     sync.Mutex
	stamps [2]stamp
	loaded *tls.Certificate
}

// stamp tells one version of a file from the next.
type stamp struct {
	modified time.Time
	size     int64
}

// Load reads a certificate, with its chain, and its key, both as PEM.
func Load(certificateFile, keyFile string) (*Pair, error) {
	p := &Pair{certificate: certificateFile, key: keyFile}
	if err := p.read(p.stamp()); err != nil {
		return nil, err
	}
	return p, nil
}

// stamp looks at both files. One that is not there has the zero value.
func (p *Pair) stamp() [2]stamp {
	var s [2]stamp
	for i, path := range []string{p.certificate, p.key} {
		if info, err := os.Stat(path); err == nil {
			s[i] = stamp{info.ModTime(), info.Size()}
		}
	}
	return s
}

func (p *Pair) read(now [2]stamp) error {
	loaded, err := tls.LoadX509KeyPair(p.certificate, p.key)
	if err != nil {
		return fmt.Errorf("reading certificate %s and its key: %w", p.certificate, err)
	}
	p.loaded, p.stamps = &loaded, now
	return nil
}

// Certificate is the pair as its files have it now. While they do not belong together, as in the
// middle of a renewal, or are not there, it is the last one that was good.
func (p *Pair) Certificate() *tls.Certificate {
	p.mu.Lock()
	defer p.mu.Unlock()
	if now := p.stamp(); now != p.stamps {
		_ = p.read(now)
	}
	return p.loaded
}

// Server is for [tls.Config.GetCertificate].
func (p *Pair) Server(*tls.ClientHelloInfo) (*tls.Certificate, error) { return p.Certificate(), nil }

// Client is for [tls.Config.GetClientCertificate].
func (p *Pair) Client(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
	return p.Certificate(), nil
}

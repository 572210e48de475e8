// Package authority is a certificate authority that nobody else believes: the local cluster, the demo
// and the tests sign their certificates with one of their own.
package authority

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// validFor is how long a certificate is valid.
const validFor = 365 * 24 * time.Hour

// Authority signs certificates.
type Authority struct {
	certificate *x509.Certificate
	key         crypto.Signer
	pem         []byte
}

// Subject is what a certificate is for.
type Subject struct {
	// Name is its common name, and Group its organization; no group if empty.
	Name, Group string
	// Hosts are the DNS names and IP addresses that a server with it answers at; none: it is for
	// clients alone.
	Hosts []string
}

// Pair is a certificate with its key, as PEM.
type Pair struct{ Certificate, Key []byte }

// New makes an authority with a key of its own.
func New(name string) (*Authority, error) {
	template, err := template(name)
	if err != nil {
		return nil, err
	}
	template.IsCA, template.BasicConstraintsValid = true, true
	template.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature
	key, _, err := NewKey()
	if err != nil {
		return nil, err
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("signing authority %s: %w", name, err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("reading authority %s: %w", name, err)
	}
	return &Authority{certificate: certificate, key: key, pem: certificatePEM(der)}, nil
}

// PEM is the certificate of the authority itself, which those have to believe who meet its others.
func (a *Authority) PEM() []byte { return a.pem }

// Issue signs a certificate with a key of its own.
func (a *Authority) Issue(s Subject) (Pair, error) {
	template, err := template(s.Name)
	if err != nil {
		return Pair{}, err
	}
	if s.Group != "" {
		template.Subject.Organization = []string{s.Group}
	}
	for _, host := range s.Hosts {
		if ip := net.ParseIP(host); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, host)
		}
	}
	template.KeyUsage = x509.KeyUsageDigitalSignature
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	if len(s.Hosts) > 0 {
		template.ExtKeyUsage = append(template.ExtKeyUsage, x509.ExtKeyUsageServerAuth)
	}
	key, keyText, err := NewKey()
	if err != nil {
		return Pair{}, err
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.certificate, key.Public(), a.key)
	if err != nil {
		return Pair{}, fmt.Errorf("signing a certificate for %s: %w", s.Name, err)
	}
	return Pair{Certificate: certificatePEM(der), Key: keyText}, nil
}

// Write puts the pair into two files of a folder.
func (p Pair) Write(dir, certificateFile, keyFile string) error {
	return errors.Join(os.WriteFile(filepath.Join(dir, certificateFile), p.Certificate, 0o644),
		os.WriteFile(filepath.Join(dir, keyFile), p.Key, 0o600))
}

// NewKey makes a key, also as PEM.
func NewKey() (crypto.Signer, []byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, fmt.Errorf("making a key: %w", err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, nil, fmt.Errorf("making a key: %w", err)
	}
	return key, keyPEM(der), nil
}

func keyPEM(der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

func certificatePEM(der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

func template(name string) (*x509.Certificate, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, fmt.Errorf("making a serial number: %w", err)
	}
	now := time.Now()
	return &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: name},
		// Clocks differ.
		NotBefore: now.Add(-time.Minute),
		NotAfter:  now.Add(validFor),
	}, nil
}

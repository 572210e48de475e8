package authority

import (
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

const (
	// renewedAt is how long before its end a certificate is made anew.
	renewedAt = 30 * 24 * time.Hour

	authorityFile, authorityKeyFile = "ca.crt", "ca.key"
)

// Open reads the authority that a folder has in ca.crt and ca.key. It makes one of that name there if there is none, or
// if that one is valid for less than a month.
func Open(dir, name string) (*Authority, error) {
	certificateFile, keyFile := filepath.Join(dir, authorityFile), filepath.Join(dir, authorityKeyFile)
	if Fresh(certificateFile) {
		a, err := read(certificateFile, keyFile)
		if !errors.Is(err, os.ErrNotExist) {
			return a, err
		}
	}
	a, err := New(name)
	if err != nil {
		return nil, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(a.key)
	if err != nil {
		return nil, fmt.Errorf("keeping authority %s: %w", name, err)
	}
	pair := Pair{Certificate: a.pem, Key: keyPEM(der)}
	return a, pair.Write(dir, authorityFile, authorityKeyFile)
}

func read(certificateFile, keyFile string) (*Authority, error) {
	certificate, err := first(certificateFile)
	if err != nil {
		return nil, err
	}
	raw, err := os.ReadFile(keyFile)
	if err != nil {
		return nil, fmt.Errorf("reading an authority's key: %w", err)
	}
	block, _ := pem.Decode(raw)
	if block == nil {
		return nil, fmt.Errorf("%s holds no key (PEM)", keyFile)
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", keyFile, err)
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("the key in %s cannot sign", keyFile)
	}
	return &Authority{certificate: certificate, key: signer, pem: certificatePEM(certificate.Raw)}, nil
}

// Fresh says whether the first certificate in a file is valid for another month, so that it can be kept.
func Fresh(file string) bool {
	certificate, err := first(file)
	return err == nil && time.Until(certificate.NotAfter) > renewedAt
}

// Signed says whether the first certificate in a file can be kept: the authority signed it for the subject, and it is
// valid for another month.
func (a *Authority) Signed(file string, s Subject) bool {
	certificate, err := first(file)
	if err != nil || time.Until(certificate.NotAfter) < renewedAt || certificate.CheckSignatureFrom(a.certificate) != nil {
		return false
	}
	for _, host := range s.Hosts {
		if certificate.VerifyHostname(host) != nil {
			return false
		}
	}
	return certificate.Subject.CommonName == s.Name
}

func first(file string) (*x509.Certificate, error) {
	raw, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("reading a certificate: %w", err)
	}
	block, _ := pem.Decode(raw)
	if block == nil {
		return nil, fmt.Errorf("%s holds no certificate (PEM)", file)
	}
	certificate, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", file, err)
	}
	return certificate, nil
}

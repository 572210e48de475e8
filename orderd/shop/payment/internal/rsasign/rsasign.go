// Package rsasign has the signature that WeChat Pay and Alipay both use: RSA PKCS #1 v1.5 over
// SHA-256, as standard base64.
package rsasign

import (
	"bytes"
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
)

// minBits is the shortest key that is taken: both providers issue 2048 bits.
const minBits = 2048

// ErrSignature says that a signature is not the key owner's.
var ErrSignature = errors.New("the signature is wrong")

// Sign signs a message. PKCS #1 v1.5 needs no randomness: the same message has the same signature.
func Sign(key *rsa.PrivateKey, message []byte) (string, error) {
	digest := sha256.Sum256(message)
	signature, err := rsa.SignPKCS1v15(nil, key, crypto.SHA256, digest[:])
	if err != nil {
		return "", fmt.Errorf("signing: %w", err)
	}
	return base64.StdEncoding.EncodeToString(signature), nil
}

// Verify returns ErrSignature unless the signature over the message is the key owner's.
func Verify(key *rsa.PublicKey, message []byte, signature string) error {
	raw, err := base64.StdEncoding.DecodeString(signature)
	if err != nil {
		return ErrSignature
	}
	digest := sha256.Sum256(message)
	if rsa.VerifyPKCS1v15(key, crypto.SHA256, digest[:], raw) != nil {
		return ErrSignature
	}
	return nil
}

// ParsePrivateKey reads PKCS #8 or PKCS #1, as PEM or as the bare base64 that Alipay's key tool
// writes.
func ParsePrivateKey(text []byte) (*rsa.PrivateKey, error) {
	der, err := decode(text)
	if err != nil {
		return nil, err
	}
	if key, err := x509.ParsePKCS1PrivateKey(der); err == nil {
		return key, checkSize(&key.PublicKey)
	}
	parsed, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		// The parser's words are left out: they may quote the key.
		return nil, errors.New("no private key in PKCS #8 or PKCS #1")
	}
	key, ok := parsed.(*rsa.PrivateKey)
	if !ok {
		return nil, errors.New("the private key is no RSA key")
	}
	return key, checkSize(&key.PublicKey)
}

// ParsePublicKey reads a public key or a certificate, as PEM or as bare base64.
func ParsePublicKey(text []byte) (*rsa.PublicKey, error) {
	der, err := decode(text)
	if err != nil {
		return nil, err
	}
	var parsed any
	if certificate, err := x509.ParseCertificate(der); err == nil {
		parsed = certificate.PublicKey
	} else if parsed, err = x509.ParsePKIXPublicKey(der); err != nil {
		return nil, errors.New("neither a public key nor a certificate")
	}
	key, ok := parsed.(*rsa.PublicKey)
	if !ok {
		return nil, errors.New("the public key is no RSA key")
	}
	return key, checkSize(key)
}

func decode(text []byte) ([]byte, error) {
	if block, _ := pem.Decode(text); block != nil {
		return block.Bytes, nil
	}
	der, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(string(bytes.TrimSpace(text))), ""))
	if err != nil || len(der) == 0 {
		return nil, errors.New("neither PEM nor base64")
	}
	return der, nil
}

func checkSize(key *rsa.PublicKey) error {
	if bits := key.N.BitLen(); bits < minBits {
		return fmt.Errorf("the RSA key has %d bits, want at least %d", bits, minBits)
	}
	return nil
}

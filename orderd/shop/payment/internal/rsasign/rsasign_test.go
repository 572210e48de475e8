package rsasign

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"testing"
)

func TestKeysInEveryForm(t *testing.T) {
	key, err := rsa.GenerateKey(rand.Reader, minBits)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	public, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string][]byte{
		"PKCS #8 PEM":    pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}),
		"PKCS #1 PEM":    pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}),
		"PKCS #8 base64": []byte(base64.StdEncoding.EncodeToString(pkcs8) + "\n"),
	} {
		got, err := ParsePrivateKey(text)
		if err != nil || !got.Equal(key) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, text := range map[string][]byte{
		"PEM":    pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public}),
		"base64": []byte(base64.StdEncoding.EncodeToString(public)),
	} {
		got, err := ParsePublicKey(text)
		if err != nil || !got.Equal(&key.PublicKey) {
			t.Errorf("%s: %v", name, err)
		}
	}
	signature, err := Sign(key, []byte("message"))
	if err != nil {
		t.Fatal(err)
	}
	if err := Verify(&key.PublicKey, []byte("message"), signature); err != nil {
		t.Error(err)
	}
	for name, c := range map[string]struct{ message, signature string }{
		"another message": {"messages", signature},
		"no base64":       {"message", "%"},
		"empty":           {"message", ""},
	} {
		if err := Verify(&key.PublicKey, []byte(c.message), c.signature); !errors.Is(err, ErrSignature) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestKeysRefused(t *testing.T) {
	curve, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	wrong, err := x509.MarshalPKCS8PrivateKey(curve)
	if err != nil {
		t.Fatal(err)
	}
	wrongPublic, err := x509.MarshalPKIXPublicKey(&curve.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string][]byte{
		"nothing": nil, "text": []byte("no key!"), "base64 of nothing": []byte("AAAA"),
		"another algorithm": pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: wrong}),
		"another's public":  pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: wrongPublic}),
	} {
		if _, err := ParsePrivateKey(text); err == nil {
			t.Errorf("%s was taken as a private key", name)
		}
		if _, err := ParsePublicKey(text); err == nil {
			t.Errorf("%s was taken as a public key", name)
		}
	}
}

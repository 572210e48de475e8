package auth_test

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"strings"
	"testing"
	"time"

	"github.com/MicahParks/jwkset"
	"github.com/golang-jwt/jwt/v5"
)

// keyPair is a key with what a set of its own says about it.
func keyPair(t *testing.T, private any, public any, id string, alg jwkset.ALG) jwkset.JWKMarshal {
	t.Helper()
	key, err := jwkset.NewJWKFromKey(public, jwkset.JWKOptions{Metadata: jwkset.JWKMetadataOptions{KID: id, ALG: alg}})
	if err != nil {
		t.Fatalf("%T: %v", private, err)
	}
	return key.Marshal()
}

// signingKeys are the keys that a set has, and may not have.
type signingKeys struct {
	rsa, weak *rsa.PrivateKey
	ec, ec384 *ecdsa.PrivateKey
	ed        ed25519.PrivateKey
}

func newSigningKeys(t *testing.T) signingKeys {
	t.Helper()
	var keys signingKeys
	var err error
	if keys.rsa, err = rsa.GenerateKey(rand.Reader, 2048); err != nil {
		t.Fatal(err)
	}
	if keys.weak, err = rsa.GenerateKey(rand.Reader, 1024); err != nil {
		t.Fatal(err)
	}
	if keys.ec, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		t.Fatal(err)
	}
	if keys.ec384, err = ecdsa.GenerateKey(elliptic.P384(), rand.Reader); err != nil {
		t.Fatal(err)
	}
	if _, keys.ed, err = ed25519.GenerateKey(rand.Reader); err != nil {
		t.Fatal(err)
	}
	return keys
}

// set is what the issuer publishes: the keys, among what is none.
func (keys signingKeys) set(t *testing.T) []any {
	t.Helper()
	encryption := keyPair(t, keys.ec, keys.ec.Public(), "for encryption", "")
	encryption.USE = "enc"
	return []any{
		keyPair(t, keys.rsa, keys.rsa.Public(), "rsa", ""),
		keyPair(t, keys.weak, keys.weak.Public(), "weak", ""),
		keyPair(t, keys.ec, keys.ec.Public(), "ec", jwkset.AlgES256),
		keyPair(t, keys.ec384, keys.ec384.Public(), "ec384", ""),
		keyPair(t, keys.ed, keys.ed.Public(), "ed", ""),
		encryption,
		map[string]any{
			"kty": "oct",
			"kid": "shared",
			"k":   base64.RawURLEncoding.EncodeToString([]byte("0123456789abcdef0123456789abcdef")),
		},
		map[string]any{
			"kty": "of tomorrow",
			"kid": "new",
		},
		"not a key",
		map[string]any{"kty": "EC", "kid": "broken", "crv": "P-256", "x": "!", "y": "!"},
	}
}

// rsaModulus is what the set says of the RSA key.
func (keys signingKeys) rsaModulus(t *testing.T) []byte {
	t.Helper()
	modulus, err := base64.RawURLEncoding.DecodeString(keyPair(t, keys.rsa, keys.rsa.Public(), "rsa", "").N)
	if err != nil {
		t.Fatal(err)
	}
	return modulus
}

// algorithm is a way to sign a token, and why a token so signed is refused.
type algorithm struct {
	name   string
	method jwt.SigningMethod
	kid    any
	key    any
	refuse string
}

func algorithms(t *testing.T, keys signingKeys) []algorithm {
	t.Helper()
	return []algorithm{
		{name: "RS256", method: jwt.SigningMethodRS256, kid: "rsa", key: keys.rsa},
		{name: "ES256", method: jwt.SigningMethodES256, kid: "ec", key: keys.ec},
		{name: "EdDSA", method: jwt.SigningMethodEdDSA, kid: "ed", key: keys.ed},
		{name: "none", method: jwt.SigningMethodNone, kid: "rsa", key: jwt.UnsafeAllowNoneSignatureType, refuse: isInvalid},
		{
			name:   "a public key as a shared secret",
			method: jwt.SigningMethodHS256,
			kid:    "rsa",
			key:    keys.rsaModulus(t),
			refuse: isInvalid,
		},
		{
			name:   "a shared secret of the set",
			method: jwt.SigningMethodHS256,
			kid:    "shared",
			key:    []byte("0123456789abcdef0123456789abcdef"),
			refuse: isInvalid,
		},
		{name: "RS512", method: jwt.SigningMethodRS512, kid: "rsa", key: keys.rsa, refuse: isInvalid},
		{name: "PS256", method: jwt.SigningMethodPS256, kid: "rsa", key: keys.rsa, refuse: isInvalid},
		{name: "ES384", method: jwt.SigningMethodES384, kid: "ec384", key: keys.ec384, refuse: isInvalid},
		{name: "an RSA key of 1024 bits", method: jwt.SigningMethodRS256, kid: "weak", key: keys.weak, refuse: isInvalid},
		{
			name:   "a key for encryption",
			method: jwt.SigningMethodES256,
			kid:    "for encryption",
			key:    keys.ec,
			refuse: isInvalid,
		},
		{name: "another key of the set", method: jwt.SigningMethodRS256, kid: "ec", key: keys.rsa, refuse: isInvalid},
		{name: "no kid", method: jwt.SigningMethodES256, key: keys.ec, refuse: isInvalid},
		{name: "a kid that is no text", method: jwt.SigningMethodES256, kid: 7, key: keys.ec, refuse: isInvalid},
		{
			name:   "too long a kid",
			method: jwt.SigningMethodES256,
			kid:    strings.Repeat("k", 300),
			key:    keys.ec,
			refuse: isInvalid,
		},
	}
}

func TestAlgorithms(t *testing.T) {
	w := newWorld(t)
	keys := newSigningKeys(t)
	w.publish(t, keys.set(t)...)
	for _, tt := range algorithms(t, keys) {
		t.Run(tt.name, func(t *testing.T) {
			// Looking keys up is limited; that has a test of its own.
			w.advance(time.Minute)
			token := jwt.NewWithClaims(tt.method, w.issuer.Claims("ann", "buyer"))
			if tt.kid != nil {
				token.Header["kid"] = tt.kid
			}
			signed, err := token.SignedString(tt.key)
			if err != nil {
				t.Fatal(err)
			}
			if _, refused := w.verdict(t, signed); refused != tt.refuse {
				t.Errorf("refused %q, want %q", refused, tt.refuse)
			}
		})
	}
}

// Package issuer is the demo's identity provider: it gives anybody a token for any subject and roles, and
// publishes the key that proves them. A shop has a real one.
package issuer

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

const (
	// maxTokens are given in one answer.
	maxTokens = 10_000
	maxBytes  = 4 << 20
)

// Claim is what a token is asked for, and says.
type Claim struct {
	Subject string   `json:"subject"`
	Roles   []string `json:"roles"`
	Guest   bool     `json:"guest,omitempty"`
}

// Issuer signs tokens.
type Issuer struct {
	name, audience, keyID string
	key                   ed25519.PrivateKey
	lifetime              time.Duration
	now                   func() time.Time
}

// New makes an issuer whose key follows from the seed, so that its tokens outlive its pod.
func New(name, audience, seed string, lifetime time.Duration, now func() time.Time) *Issuer {
	sum := sha256.Sum256([]byte("orderd demo issuer\x00" + seed))
	key := ed25519.NewKeyFromSeed(sum[:])
	id := sha256.Sum256(key.Public().(ed25519.PublicKey))
	return &Issuer{name: name, audience: audience, keyID: hex.EncodeToString(id[:8]), key: key, lifetime: lifetime, now: now}
}

// Token signs a claim.
func (i *Issuer) Token(c Claim) (string, error) {
	now := i.now()
	token := jwt.NewWithClaims(jwt.SigningMethodEdDSA, jwt.MapClaims{
		"iss": i.name, "aud": i.audience, "sub": c.Subject, "roles": c.Roles, "guest": c.Guest,
		"iat": now.Unix(), "exp": now.Add(i.lifetime).Unix(),
	})
	token.Header["kid"] = i.keyID
	signed, err := token.SignedString(i.key)
	if err != nil {
		return "", fmt.Errorf("signing a token: %w", err)
	}
	return signed, nil
}

// Handler serves the key at /.well-known/jwks.json, and tokens for the claims that are posted to
// /tokens: a list, answered by a list of strings in its order.
func (i *Issuer) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/jwks.json", func(w http.ResponseWriter, _ *http.Request) { answer(w, i.keys()) })
	mux.HandleFunc("POST /tokens", func(w http.ResponseWriter, r *http.Request) {
		var claims []Claim
		if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBytes)).Decode(&claims); err != nil {
			http.Error(w, `want a list such as [{"subject": "alice", "roles": ["buyer"]}]: `+err.Error(), http.StatusBadRequest)
			return
		}
		if len(claims) > maxTokens {
			http.Error(w, fmt.Sprintf("at most %d tokens at once", maxTokens), http.StatusBadRequest)
			return
		}
		tokens := make([]string, len(claims))
		for n, c := range claims {
			var err error
			if tokens[n], err = i.Token(c); err != nil {
				http.Error(w, err.Error(), http.StatusInternalServerError)
				return
			}
		}
		answer(w, tokens)
	})
	return mux
}

func (i *Issuer) keys() any {
	return map[string]any{"keys": []map[string]string{{
		"kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig", "kid": i.keyID,
		"x": base64.RawURLEncoding.EncodeToString(i.key.Public().(ed25519.PublicKey)),
	}}}
}

func answer(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v) // The client is gone.
}

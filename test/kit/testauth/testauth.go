// Package testauth is an issuer of tokens for tests: its keys are made when it starts, and its JWKS
// is a plain http.Handler.
package testauth

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"connectrpc.com/connect/v2"
	"github.com/MicahParks/jwkset"
	"github.com/golang-jwt/jwt/v5"
)

const (
	// IssuerName and Audience of an issuer that Start makes.
	IssuerName = "https://issuer.test"
	Audience   = "orderd-test"
	// Lifetime of a token.
	Lifetime = time.Hour
)

// Issuer signs tokens with ES256. It is safe for concurrent use.
type Issuer struct {
	name, audience string
	now            func() time.Time

	mu sync.Mutex
	// key signs; its public half and those of the keys before it that are not withdrawn are in published.
	key       *ecdsa.PrivateKey
	id        string
	made      int
	published []jwkset.JWKMarshal
	reads     int
}

// New makes an issuer with one key.
func New(name, audience string, now func() time.Time) (*Issuer, error) {
	i := &Issuer{name: name, audience: audience, now: now}
	if err := i.Rotate(); err != nil {
		return nil, err
	}
	return i, nil
}

// Start makes an issuer, by the real clock, whose JWKS is served on loopback until the test ends, and returns
// it with the JWKS's URL.
func Start(tb testing.TB) (*Issuer, string) {
	tb.Helper()
	i, err := New(IssuerName, Audience, time.Now)
	if err != nil {
		tb.Fatalf("test issuer: %v", err)
	}
	server := httptest.NewServer(i)
	tb.Cleanup(server.Close)
	return i, server.URL
}

// Rotate makes a new key, publishes it beside the others and signs with it from now on.
func (i *Issuer) Rotate() error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return fmt.Errorf("making a key: %w", err)
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	i.made++
	id := fmt.Sprintf("key-%d", i.made)
	public, err := jwkset.NewJWKFromKey(key.Public(), jwkset.JWKOptions{
		Metadata: jwkset.JWKMetadataOptions{KID: id, ALG: jwkset.AlgES256, USE: jwkset.UseSig},
	})
	if err != nil {
		return fmt.Errorf("publishing a key: %w", err)
	}
	i.key, i.id, i.published = key, id, append(i.published, public.Marshal())
	return nil
}

// Withdraw takes every key but the newest out of the JWKS.
func (i *Issuer) Withdraw() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.published = i.published[len(i.published)-1:]
}

// Reads is how often the JWKS was read.
func (i *Issuer) Reads() int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.reads
}

// ServeHTTP answers with the JWKS.
func (i *Issuer) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	i.mu.Lock()
	i.reads++
	set, err := json.Marshal(jwkset.JWKSMarshal{Keys: i.published})
	i.mu.Unlock()
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/jwk-set+json")
	_, _ = w.Write(set)
}

// Token is a good one for a subject with roles, such as "buyer".
func (i *Issuer) Token(subject string, roles ...string) string {
	return i.Sign(i.Claims(subject, roles...))
}

// Guest is a good one for a buyer who has not signed in.
func (i *Issuer) Guest(subject string) string {
	c := i.Claims(subject, "buyer")
	c["guest"] = true
	return i.Sign(c)
}

// Claims of a good token, to be changed and signed.
func (i *Issuer) Claims(subject string, roles ...string) jwt.MapClaims {
	now := i.now()
	return jwt.MapClaims{
		"iss": i.name, "aud": []string{i.audience}, "sub": subject, "roles": roles,
		"iat": now.Unix(), "exp": now.Add(Lifetime).Unix(),
	}
}

// Sign makes a token of any claims with the newest key.
func (i *Issuer) Sign(claims jwt.Claims) string {
	i.mu.Lock()
	key, id := i.key, i.id
	i.mu.Unlock()
	t := jwt.NewWithClaims(jwt.SigningMethodES256, claims)
	t.Header["kid"] = id
	signed, err := t.SignedString(key)
	if err != nil {
		// Only a claim that is no JSON can do this, which is the test's mistake.
		panic(err)
	}
	return signed
}

// Bearer sends a token with every RPC of a client.
func Bearer(token string) connect.ClientInterceptor {
	return BearerFunc(func(context.Context) string { return token })
}

// BearerFunc sends what token returns with every RPC of a client; nothing if that is empty.
func BearerFunc(token func(context.Context) string) connect.ClientInterceptor {
	return func(next connect.ClientFunc) connect.ClientFunc {
		return func(ctx context.Context, spec connect.Spec) (connect.ClientStream, error) {
			if info, ok := connect.CallInfoForClientContext(ctx); ok {
				if t := token(ctx); t != "" {
					info.RequestHeader().Set("Authorization", "Bearer "+t)
				}
			}
			return next(ctx, spec)
		}
	}
}

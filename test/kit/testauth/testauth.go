// Package testauth is the token issuer of orderd/sim/issuer as tests use it: it is served until the
// test ends, and nothing that it does returns an error.
package testauth

import (
	"net/http/httptest"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/orderd-dev/orderd/orderd/sim/issuer"
)

const (
	// IssuerName and Audience of an issuer that New makes.
	IssuerName = "https://issuer.test"
	Audience   = "orderd-test"
	// Lifetime of a token.
	Lifetime = issuer.DefaultLifetime
)

// Issuer is the simulator's with shorter methods. It is safe for concurrent use.
type Issuer struct{ *issuer.Issuer }

// New makes an issuer that nothing serves yet.
func New(tb testing.TB, now func() time.Time) *Issuer {
	tb.Helper()
	i, err := issuer.New(issuer.Options{Name: IssuerName, Audience: Audience, Clock: now})
	if err != nil {
		tb.Fatalf("test issuer: %v", err)
	}
	return &Issuer{i}
}

// Start makes an issuer, by the real clock, which is served on loopback until the test ends, and
// returns it with its JWKS's URL.
func Start(tb testing.TB) (i *Issuer, jwksURL string) {
	tb.Helper()
	i = New(tb, time.Now)
	server := httptest.NewServer(i)
	tb.Cleanup(server.Close)
	return i, server.URL + issuer.JWKSPath
}

// Token is a good one for a subject with roles, such as "buyer".
func (i *Issuer) Token(subject string, roles ...string) string {
	return i.Sign(i.Claims(subject, roles...))
}

// Guest is a good one for a buyer who has not signed in.
func (i *Issuer) Guest(subject string) string {
	return i.Sign(i.Issuer.Claims(issuer.Claim{Subject: subject, Roles: []string{"buyer"}, Guest: true}))
}

// Claims of a good token, to be changed and signed.
func (i *Issuer) Claims(subject string, roles ...string) jwt.MapClaims {
	return i.Issuer.Claims(issuer.Claim{Subject: subject, Roles: roles})
}

// Sign makes a token of any claims with the newest key. It panics at a claim that is no JSON, which
// is the test's mistake.
func (i *Issuer) Sign(claims jwt.Claims) string {
	signed, err := i.Issuer.Sign(claims)
	if err != nil {
		panic(err)
	}
	return signed
}

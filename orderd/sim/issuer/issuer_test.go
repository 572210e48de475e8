package issuer_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/MicahParks/jwkset"
	"github.com/golang-jwt/jwt/v5"
	"github.com/google/go-cmp/cmp"

	"github.com/orderd-dev/orderd/orderd/sim/issuer"
)

var now = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func clock() time.Time { return now }

func newIssuer(t *testing.T, seed string) *issuer.Issuer {
	t.Helper()
	i, err := issuer.New(issuer.Options{Name: "https://shop", Audience: "orderd", Clock: clock, Seed: seed})
	if err != nil {
		t.Fatal(err)
	}
	return i
}

// verify a token by the keys that the issuer publishes, and return its claims.
func verify(t *testing.T, i *issuer.Issuer, token string) (jwt.MapClaims, error) {
	t.Helper()
	w := httptest.NewRecorder()
	i.ServeHTTP(w, httptest.NewRequest(http.MethodGet, issuer.JWKSPath, http.NoBody))
	var set jwkset.JWKSMarshal
	if err := json.Unmarshal(w.Body.Bytes(), &set); err != nil {
		t.Fatalf("%d %s: %v", w.Code, w.Body, err)
	}
	claims := jwt.MapClaims{}
	_, err := jwt.ParseWithClaims(token, claims, func(token *jwt.Token) (any, error) {
		for _, k := range set.Keys {
			if k.KID == token.Header["kid"] {
				parsed, err := jwkset.NewJWKFromMarshal(k, jwkset.JWKMarshalOptions{}, jwkset.JWKValidateOptions{})
				return parsed.Key(), err
			}
		}
		return nil, fmt.Errorf("no key %v of %d", token.Header["kid"], len(set.Keys))
	}, jwt.WithTimeFunc(clock), jwt.WithValidMethods([]string{"ES256"}))
	return claims, err
}

func TestTokens(t *testing.T) {
	i := newIssuer(t, "")
	s := httptest.NewServer(i)
	t.Cleanup(s.Close)
	tokens, err := issuer.Ask(t.Context(), s.URL, []issuer.Claim{
		{Subject: "alice", Roles: []string{"buyer"}}, {Subject: "guest-1", Roles: []string{"buyer"}, Guest: true},
	})
	if err != nil {
		t.Fatal(err)
	}
	want := []jwt.MapClaims{
		{
			"iss": "https://shop", "aud": []any{"orderd"}, "sub": "alice", "roles": []any{"buyer"},
			"iat": float64(now.Unix()), "exp": float64(now.Add(time.Hour).Unix()),
		},
		{
			"iss": "https://shop", "aud": []any{"orderd"}, "sub": "guest-1", "roles": []any{"buyer"}, "guest": true,
			"iat": float64(now.Unix()), "exp": float64(now.Add(time.Hour).Unix()),
		},
	}
	for n, token := range tokens {
		got, err := verify(t, i, token)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want[n], got); diff != "" {
			t.Errorf("token %d (-want +got):\n%s", n, diff)
		}
	}
	if n := i.Reads(); n != 2 {
		t.Errorf("the keys were read %d times, want 2", n)
	}
}

func TestKeysOfASeedAreTheSame(t *testing.T) {
	before, err := newIssuer(t, "a secret").Token(issuer.Claim{Subject: "alice"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := verify(t, newIssuer(t, "a secret"), before); err != nil {
		t.Errorf("the token did not outlive its issuer: %v", err)
	}
	for _, other := range []string{"another secret", ""} {
		if _, err := verify(t, newIssuer(t, other), before); err == nil {
			t.Errorf("seed %q made the same key", other)
		}
	}
}

func TestRotateAndWithdraw(t *testing.T) {
	for _, seed := range []string{"", "a secret"} {
		i := newIssuer(t, seed)
		token := func() string {
			signed, err := i.Token(issuer.Claim{Subject: "alice"})
			if err != nil {
				t.Fatal(err)
			}
			return signed
		}
		before := token()
		if err := i.Rotate(); err != nil {
			t.Fatal(err)
		}
		after := token()
		for _, signed := range []string{before, after} {
			if _, err := verify(t, i, signed); err != nil {
				t.Errorf("seed %q: both keys are published: %v", seed, err)
			}
		}
		i.Withdraw()
		if _, err := verify(t, i, before); err == nil {
			t.Errorf("seed %q: a token of a key that is withdrawn was taken", seed)
		}
		if _, err := verify(t, i, after); err != nil {
			t.Errorf("seed %q: the newest key: %v", seed, err)
		}
	}
}

func TestRefusals(t *testing.T) {
	i := newIssuer(t, "")
	for _, tt := range []struct {
		name, method, path, body string
		want                     int
	}{
		{"no list", http.MethodPost, issuer.TokensPath, `{"subject": "alice"}`, http.StatusBadRequest},
		{"too many", http.MethodPost, issuer.TokensPath, "[" + strings.Repeat("{},", 10_000) + "{}]", http.StatusBadRequest},
		{"another method for tokens", http.MethodGet, issuer.TokensPath, "", http.StatusMethodNotAllowed},
		{"another method for keys", http.MethodPost, issuer.JWKSPath, "", http.StatusMethodNotAllowed},
		{"another path", http.MethodGet, "/", "", http.StatusNotFound},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := httptest.NewRecorder()
			i.ServeHTTP(w, httptest.NewRequest(tt.method, tt.path, strings.NewReader(tt.body)))
			if w.Code != tt.want {
				t.Errorf("answered %d, want %d: %s", w.Code, tt.want, w.Body)
			}
		})
	}
	if _, err := issuer.New(issuer.Options{Name: "https://shop"}); err == nil {
		t.Error("an issuer without audience and clock was made")
	}
	if _, err := i.Sign(jwt.MapClaims{"sub": func() {}}); err == nil {
		t.Error("a claim that is no JSON was signed")
	}
}

// A page of any site may ask, as a browser does: first whether it may.
func TestAPageMayAsk(t *testing.T) {
	i := newIssuer(t, "")
	for _, method := range []string{http.MethodOptions, http.MethodPost} {
		r := httptest.NewRequest(method, issuer.TokensPath, strings.NewReader("[]"))
		r.Header.Set("Origin", "http://localhost:5173")
		if method == http.MethodOptions {
			r.Header.Set("Access-Control-Request-Method", http.MethodPost)
			r.Header.Set("Access-Control-Request-Headers", "content-type")
		}
		w := httptest.NewRecorder()
		i.ServeHTTP(w, r)
		if w.Code >= http.StatusMultipleChoices || w.Header().Get("Access-Control-Allow-Origin") != "*" {
			t.Errorf("%s was answered %d %v", method, w.Code, w.Header())
		}
	}
}

func TestAskGivesUpWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := issuer.Ask(ctx, "http://127.0.0.1:1", make([]issuer.Claim, 1)); err == nil {
		t.Error("nobody answered, and there is no error")
	}
}

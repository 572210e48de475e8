package auth_test

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"connectrpc.com/connect/v2"
	"github.com/golang-jwt/jwt/v5"
	"github.com/google/go-cmp/cmp"

	"github.com/orderd-dev/orderd/orderd/kit/auth"
	"github.com/orderd-dev/orderd/orderd/kit/rpcerr"
	"github.com/orderd-dev/orderd/test/kit/testauth"
)

// claimsCase is a change of good claims, and the caller that they make or why they are refused.
type claimsCase struct {
	name   string
	change func(jwt.MapClaims)
	want   auth.Caller
	refuse string
}

// goodClaims are those that make a caller at the time now, in Unix seconds.
func goodClaims(now int64) []claimsCase {
	return []claimsCase{
		{name: "a buyer", want: auth.Caller{Subject: "ann", Roles: auth.RolesOf(buyer)}},
		{
			name: "every role", change: func(c jwt.MapClaims) {
				c["roles"] = []string{
					"buyer", "support", "fulfilment", "returns", "finance", "catalog", "marketing", "operations",
					"checkout", "admission", "catalog-sync", "fulfilment-sync", "invoice-sync",
				}
			},
			want: auth.Caller{Subject: "ann", Roles: auth.StaffRoles | auth.ServiceRoles | auth.RolesOf(buyer)},
		},
		{
			name: "a role of two words", change: func(c jwt.MapClaims) { c["roles"] = []string{"catalog-sync"} },
			want: auth.Caller{Subject: "ann", Roles: auth.RolesOf(catalogSync)},
		},
		{
			name:   "a guest",
			change: func(c jwt.MapClaims) { c["guest"] = true },
			want:   auth.Caller{Subject: "ann", Roles: auth.RolesOf(buyer), Guest: true},
		},
		{
			name: "roles of other systems", change: func(c jwt.MapClaims) {
				c["roles"] = []string{
					"root", "BUYER", "ROLE_CHECKOUT", "catalog_sync", "Catalog-Sync", "catalog-", "service", "unspecified", "",
					"returns",
				}
			},
			want: auth.Caller{Subject: "ann", Roles: auth.RolesOf(returns)},
		},
		{name: "no roles", change: func(c jwt.MapClaims) { delete(c, "roles") }, want: auth.Caller{Subject: "ann"}},
		{
			name:   "one audience as text",
			change: func(c jwt.MapClaims) { c["aud"] = testauth.Audience },
			want:   auth.Caller{Subject: "ann", Roles: auth.RolesOf(buyer)},
		},
		{
			name:   "one audience of several",
			change: func(c jwt.MapClaims) { c["aud"] = []string{"a", testauth.Audience} },
			want:   auth.Caller{Subject: "ann", Roles: auth.RolesOf(buyer)},
		},
		{
			name:   "expired within the leeway",
			change: func(c jwt.MapClaims) { c["exp"] = now - 29 },
			want:   auth.Caller{Subject: "ann", Roles: auth.RolesOf(buyer)},
		},
		{
			name:   "not before within the leeway",
			change: func(c jwt.MapClaims) { c["nbf"] = now + 29 },
			want:   auth.Caller{Subject: "ann", Roles: auth.RolesOf(buyer)},
		},
	}
}

// badClaims are those that make no caller at the time now, in Unix seconds.
func badClaims(now int64) []claimsCase {
	return []claimsCase{
		{name: "expired", change: func(c jwt.MapClaims) { c["exp"] = now - 31 }, refuse: isExpired},
		{
			name:   "expired, and of another issuer",
			change: func(c jwt.MapClaims) { c["exp"], c["iss"] = now-31, "https://elsewhere" },
			refuse: isInvalid,
		},
		{name: "never expires", change: func(c jwt.MapClaims) { delete(c, "exp") }, refuse: isInvalid},
		{name: "not yet", change: func(c jwt.MapClaims) { c["nbf"] = now + 31 }, refuse: isInvalid},
		{name: "made in the future", change: func(c jwt.MapClaims) { c["iat"] = now + 31 }, refuse: isInvalid},
		{name: "another issuer", change: func(c jwt.MapClaims) { c["iss"] = testauth.IssuerName + "/" }, refuse: isInvalid},
		{name: "no issuer", change: func(c jwt.MapClaims) { delete(c, "iss") }, refuse: isInvalid},
		{name: "another audience", change: func(c jwt.MapClaims) { c["aud"] = []string{"elsewhere"} }, refuse: isInvalid},
		{name: "no audience", change: func(c jwt.MapClaims) { delete(c, "aud") }, refuse: isInvalid},
		{name: "no subject", change: func(c jwt.MapClaims) { delete(c, "sub") }, refuse: isInvalid},
		{name: "a subject no database stores", change: func(c jwt.MapClaims) { c["sub"] = "ann\x00" }, refuse: isInvalid},
		{
			name:   "too long a subject",
			change: func(c jwt.MapClaims) { c["sub"] = strings.Repeat("a", 257) },
			refuse: isInvalid,
		},
		{
			name:   "a guest who works here",
			change: func(c jwt.MapClaims) { c["guest"], c["roles"] = true, []string{"buyer", "returns"} },
			refuse: isInvalid,
		},
		{name: "roles that are no list", change: func(c jwt.MapClaims) { c["roles"] = "checkout" }, refuse: isInvalid},
	}
}

func TestVerify(t *testing.T) {
	w := newWorld(t)
	now := w.now().Unix()
	for _, tt := range slices.Concat(goodClaims(now), badClaims(now)) {
		t.Run(tt.name, func(t *testing.T) {
			claims := w.issuer.Claims("ann", "buyer")
			if tt.change != nil {
				tt.change(claims)
			}
			token := w.issuer.Sign(claims)
			// Twice: what is remembered must not differ.
			for range 2 {
				got, refused := w.verdict(t, token)
				if until, _ := claims["exp"].(int64); refused == "" && got.Expires.Unix() != until+30 {
					t.Errorf("expires at %s, want half a minute after %d", got.Expires, until)
				}
				got.Expires = time.Time{}
				if diff := cmp.Diff(tt.want, got); diff != "" || refused != tt.refuse {
					t.Errorf("refused %q, want %q; caller (-want +got):\n%s", refused, tt.refuse, diff)
				}
			}
		})
	}
}

func TestGuests(t *testing.T) {
	w := newWorld(t)
	guests := auth.Guests{Verifier: w.verifier}
	for token, want := range map[string]bool{w.issuer.Guest("g-1"): true, w.issuer.Token("g-1", "buyer"): false} {
		if subject, guest, err := guests.Verify(t.Context(), token); err != nil || subject != "g-1" || guest != want {
			t.Errorf("subject %q, guest %t, %v; want g-1, %t", subject, guest, err, want)
		}
	}
	if _, _, err := guests.Verify(t.Context(), "x"); rpcerr.Reason(err) != "TOKEN_INVALID" {
		t.Errorf("no token: %v, want TOKEN_INVALID", err)
	}
}

func TestRememberedTokenExpires(t *testing.T) {
	w := newWorld(t)
	token := w.issuer.Token("ann", "buyer")
	for _, step := range []struct {
		advance time.Duration
		want    string
	}{{0, ""}, {testauth.Lifetime, ""}, {29 * time.Second, ""}, {time.Second, isExpired}, {time.Hour, isExpired}} {
		w.advance(step.advance)
		if _, refused := w.verdict(t, token); refused != step.want {
			t.Errorf("at %s: refused %q, want %q", w.now(), refused, step.want)
		}
	}
}

func TestBrokenTokens(t *testing.T) {
	w := newWorld(t)
	good := w.issuer.Token("ann", "buyer")
	parts := strings.Split(good, ".")
	other := strings.Split(w.issuer.Token("bob", "checkout"), ".")
	for name, token := range map[string]string{
		"empty":               "",
		"no parts":            "token",
		"two parts":           parts[0] + "." + parts[1],
		"four parts":          good + ".x",
		"no signature":        parts[0] + "." + parts[1] + ".",
		"another's claims":    parts[0] + "." + other[1] + "." + parts[2],
		"another's signature": parts[0] + "." + parts[1] + "." + other[2],
		"padding":             good + "=",
		"too long":            good + strings.Repeat("A", 9000),
	} {
		if _, refused := w.verdict(t, token); refused != isInvalid {
			t.Errorf("%s: refused %q, want %q", name, refused, isInvalid)
		}
	}
}

func TestOptions(t *testing.T) {
	good := auth.VerifierOptions{
		Issuer:   "i",
		Audience: "a",
		JWKSURL:  "https://i/jwks",
		Clock:    time.Now,
		Logger:   slog.New(slog.DiscardHandler),
	}
	if _, err := auth.NewVerifier(good); err != nil {
		t.Errorf("good options: %v", err)
	}
	for name, breaks := range map[string]func(*auth.VerifierOptions){
		"no issuer":   func(o *auth.VerifierOptions) { o.Issuer = "" },
		"no audience": func(o *auth.VerifierOptions) { o.Audience = "" },
		"no URL":      func(o *auth.VerifierOptions) { o.JWKSURL = "" },
		"a file":      func(o *auth.VerifierOptions) { o.JWKSURL = "file:///etc/keys" },
		"no host":     func(o *auth.VerifierOptions) { o.JWKSURL = "https:///jwks" },
	} {
		o := good
		breaks(&o)
		if _, err := auth.NewVerifier(o); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestCausesStayInside(t *testing.T) {
	w := newWorld(t)
	claims := w.issuer.Claims("ann", "buyer")
	claims["sub"] = ""
	_, err := w.verifier.Verify(t.Context(), w.issuer.Sign(claims))
	var cerr *connect.Error
	if !errors.As(err, &cerr) || !errors.Is(err, jwt.ErrTokenInvalidClaims) ||
		strings.Contains(cerr.Message(), jwt.ErrTokenInvalidClaims.Error()) {
		t.Errorf("%v: want the library's error as the cause and not in the message", err)
	}
}

// FuzzVerify: a token that the issuer did not make is never taken, whatever it is.
func FuzzVerify(f *testing.F) {
	w := newWorld(f)
	good := w.issuer.Token("ann", "buyer")
	for _, seed := range []string{good, good + "=", strings.ToUpper(good), "eyJhbGciOiJub25lIn0.e30.", "..", "a.b.c", ""} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, token string) {
		c, err := w.verifier.Verify(t.Context(), token)
		switch {
		case token == good:
			if err != nil || c.Subject != "ann" {
				t.Fatalf("the good token: %+v, %v", c, err)
			}
		case err == nil:
			t.Fatalf("%q is taken for %+v", token, c)
		case connect.CodeOf(err) != connect.CodeUnauthenticated && connect.CodeOf(err) != connect.CodeUnavailable:
			t.Fatalf("%q: %v", token, err)
		}
	})
}

func BenchmarkVerify(b *testing.B) {
	w := newWorld(b)
	b.Run("remembered", func(b *testing.B) {
		token := w.issuer.Token("ann", "buyer")
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				if _, err := w.verifier.Verify(b.Context(), token); err != nil {
					b.Error(err)
				}
			}
		})
	})
	b.Run("signature", func(b *testing.B) {
		tokens := make([]string, b.N)
		for i := range tokens {
			tokens[i] = w.issuer.Token(fmt.Sprint(b.N, "-", i), "buyer")
		}
		var next atomic.Int64
		b.ReportAllocs()
		b.ResetTimer()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				if _, err := w.verifier.Verify(b.Context(), tokens[next.Add(1)-1]); err != nil {
					b.Error(err)
				}
			}
		})
	})
}

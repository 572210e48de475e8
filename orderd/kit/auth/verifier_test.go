package auth_test

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"connectrpc.com/connect/v2"
	"github.com/MicahParks/jwkset"
	"github.com/golang-jwt/jwt/v5"
	"github.com/google/go-cmp/cmp"

	accessv1 "github.com/orderd-dev/orderd/api/gen/orderd/access/v1"
	"github.com/orderd-dev/orderd/orderd/kit/auth"
	"github.com/orderd-dev/orderd/orderd/kit/rpcerr"
	"github.com/orderd-dev/orderd/orderd/sim/issuer"
	"github.com/orderd-dev/orderd/test/kit/testauth"
)

const (
	buyer   = accessv1.Role_ROLE_BUYER
	service = accessv1.Role_ROLE_SERVICE
	returns = accessv1.Role_ROLE_RETURNS
)

// clock stands still until it is moved.
type clock struct{ nanos atomic.Int64 }

func newClock() *clock {
	c := &clock{}
	c.nanos.Store(time.UnixMilli(1_800_000_000_000).UnixNano())
	return c
}

func (c *clock) now() time.Time           { return time.Unix(0, c.nanos.Load()) }
func (c *clock) advance(by time.Duration) { c.nanos.Add(int64(by)) }

// world is an issuer and a verifier of its tokens, by one clock.
type world struct {
	*clock
	issuer   *testauth.Issuer
	verifier *auth.Verifier
	// away makes the JWKS fail.
	away atomic.Bool
	// set is served in place of the issuer's if it is not nil.
	set atomic.Pointer[[]byte]
}

func newWorld(tb testing.TB) *world {
	tb.Helper()
	w := &world{clock: newClock()}
	w.issuer = testauth.New(tb, w.now)
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		switch set := w.set.Load(); {
		case w.away.Load():
			http.Error(rw, "away", http.StatusBadGateway)
		case set != nil:
			_, _ = rw.Write(*set)
		default:
			w.issuer.ServeHTTP(rw, r)
		}
	}))
	tb.Cleanup(server.Close)
	var err error
	w.verifier, err = auth.NewVerifier(auth.VerifierOptions{
		Issuer:   testauth.IssuerName,
		Audience: testauth.Audience,
		JWKSURL:  server.URL + issuer.JWKSPath,
		Clock:    w.now,
		Logger:   slog.New(slog.DiscardHandler),
	})
	if err != nil {
		tb.Fatal(err)
	}
	return w
}

// verdict is a token's caller, or why it was refused.
func (w *world) verdict(t *testing.T, token string) (auth.Caller, string) {
	t.Helper()
	c, err := w.verifier.Verify(t.Context(), token)
	if err == nil {
		return c, ""
	}
	return c, connect.CodeOf(err).String() + "/" + rpcerr.Reason(err)
}

const (
	isInvalid     = "unauthenticated/TOKEN_INVALID"
	isExpired     = "unauthenticated/TOKEN_EXPIRED"
	isUnavailable = "unavailable/KEYS_UNAVAILABLE"
)

func TestVerify(t *testing.T) {
	w := newWorld(t)
	now := w.now().Unix()
	tests := []struct {
		name   string
		change func(jwt.MapClaims)
		want   auth.Caller
		refuse string
	}{
		{name: "a buyer", want: auth.Caller{Subject: "ann", Roles: auth.RolesOf(buyer)}},
		{
			name: "every role", change: func(c jwt.MapClaims) {
				c["roles"] = []string{"buyer", "service", "catalog", "returns", "shipping", "marketing", "reports", "operations"}
			},
			want: auth.Caller{Subject: "ann", Roles: auth.StaffRoles | auth.RolesOf(buyer, service)},
		},
		{
			name:   "a guest",
			change: func(c jwt.MapClaims) { c["guest"] = true },
			want:   auth.Caller{Subject: "ann", Roles: auth.RolesOf(buyer), Guest: true},
		},
		{
			name: "roles of other systems", change: func(c jwt.MapClaims) {
				c["roles"] = []string{"root", "BUYER", "ROLE_SERVICE", "unspecified", "", "returns"}
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
		{name: "roles that are no list", change: func(c jwt.MapClaims) { c["roles"] = "service" }, refuse: isInvalid},
	}
	for _, tt := range tests {
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

// keyPair is a key with what a set of its own says about it.
func keyPair(t *testing.T, private any, public any, id string, alg jwkset.ALG) jwkset.JWKMarshal {
	t.Helper()
	key, err := jwkset.NewJWKFromKey(public, jwkset.JWKOptions{Metadata: jwkset.JWKMetadataOptions{KID: id, ALG: alg}})
	if err != nil {
		t.Fatalf("%T: %v", private, err)
	}
	return key.Marshal()
}

func (w *world) publish(t *testing.T, keys ...any) {
	t.Helper()
	raw, err := json.Marshal(map[string]any{"keys": keys})
	if err != nil {
		t.Fatal(err)
	}
	w.set.Store(&raw)
}

func TestAlgorithms(t *testing.T) {
	w := newWorld(t)
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	weakKey, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	ecKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	ec384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	edPublic, edKey, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	encryption := keyPair(t, ecKey, ecKey.Public(), "for encryption", "")
	encryption.USE = "enc"
	rsaPublic := keyPair(t, rsaKey, rsaKey.Public(), "rsa", "")
	w.publish(
		t,
		rsaPublic,
		keyPair(t, weakKey, weakKey.Public(), "weak", ""),
		keyPair(t, ecKey, ecKey.Public(), "ec", jwkset.AlgES256),
		keyPair(t, ec384, ec384.Public(), "ec384", ""),
		keyPair(t, edKey, edPublic, "ed", ""),
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
	)
	publicBytes, err := base64.RawURLEncoding.DecodeString(rsaPublic.N)
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name   string
		method jwt.SigningMethod
		kid    any
		key    any
		refuse string
	}{
		{name: "RS256", method: jwt.SigningMethodRS256, kid: "rsa", key: rsaKey},
		{name: "ES256", method: jwt.SigningMethodES256, kid: "ec", key: ecKey},
		{name: "EdDSA", method: jwt.SigningMethodEdDSA, kid: "ed", key: edKey},
		{name: "none", method: jwt.SigningMethodNone, kid: "rsa", key: jwt.UnsafeAllowNoneSignatureType, refuse: isInvalid},
		{
			name:   "a public key as a shared secret",
			method: jwt.SigningMethodHS256,
			kid:    "rsa",
			key:    publicBytes,
			refuse: isInvalid,
		},
		{
			name:   "a shared secret of the set",
			method: jwt.SigningMethodHS256,
			kid:    "shared",
			key:    []byte("0123456789abcdef0123456789abcdef"),
			refuse: isInvalid,
		},
		{name: "RS512", method: jwt.SigningMethodRS512, kid: "rsa", key: rsaKey, refuse: isInvalid},
		{name: "PS256", method: jwt.SigningMethodPS256, kid: "rsa", key: rsaKey, refuse: isInvalid},
		{name: "ES384", method: jwt.SigningMethodES384, kid: "ec384", key: ec384, refuse: isInvalid},
		{name: "an RSA key of 1024 bits", method: jwt.SigningMethodRS256, kid: "weak", key: weakKey, refuse: isInvalid},
		{name: "a key for encryption", method: jwt.SigningMethodES256, kid: "for encryption", key: ecKey, refuse: isInvalid},
		{name: "another key of the set", method: jwt.SigningMethodRS256, kid: "ec", key: rsaKey, refuse: isInvalid},
		{name: "no kid", method: jwt.SigningMethodES256, key: ecKey, refuse: isInvalid},
		{name: "a kid that is no text", method: jwt.SigningMethodES256, kid: 7, key: ecKey, refuse: isInvalid},
		{
			name:   "too long a kid",
			method: jwt.SigningMethodES256,
			kid:    strings.Repeat("k", 300),
			key:    ecKey,
			refuse: isInvalid,
		},
	}
	for _, tt := range tests {
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

func TestBrokenTokens(t *testing.T) {
	w := newWorld(t)
	good := w.issuer.Token("ann", "buyer")
	parts := strings.Split(good, ".")
	other := strings.Split(w.issuer.Token("bob", "service"), ".")
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

func TestRotation(t *testing.T) {
	w := newWorld(t)
	before := w.issuer.Token("ann", "buyer")
	if _, refused := w.verdict(t, before); refused != "" {
		t.Fatalf("the first token: %s", refused)
	}
	if err := w.issuer.Rotate(); err != nil {
		t.Fatal(err)
	}
	reads := w.issuer.Reads()
	after := w.issuer.Token("bob", "buyer")
	var group sync.WaitGroup
	for range 50 {
		group.Go(func() {
			if _, refused := w.verdict(t, after); refused != "" {
				t.Errorf("a token with the new key: %s", refused)
			}
		})
	}
	group.Wait()
	// A second may have begun when the first had just ended; fifty may not.
	if n := w.issuer.Reads() - reads; n < 1 || n > 4 {
		t.Errorf("the JWKS was read %d times for one new key", n)
	}
	if _, refused := w.verdict(t, before); refused != "" {
		t.Errorf("a token with the old key, which is published still: %s", refused)
	}
	w.issuer.Withdraw()
	w.advance(time.Minute)
	third := w.issuer.Sign(w.issuer.Claims("eve", "buyer"))
	if _, refused := w.verdict(t, third); refused != "" {
		t.Errorf("a third token: %s", refused)
	}
}

// running runs the verifier until the test ends and waits until it is ready.
func (w *world) running(t *testing.T) {
	t.Helper()
	done := make(chan error, 1)
	go func() { done <- w.verifier.Run(t.Context()) }()
	t.Cleanup(func() {
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
}

func TestWithdrawnKeysAreForgottenWithTheirTokens(t *testing.T) {
	w := newWorld(t)
	old := w.issuer.Token("ann", "buyer")
	if _, refused := w.verdict(t, old); refused != "" {
		t.Fatal(refused)
	}
	if err := w.issuer.Rotate(); err != nil {
		t.Fatal(err)
	}
	w.issuer.Withdraw()
	if _, refused := w.verdict(t, w.issuer.Token("ann", "buyer")); refused != "" {
		t.Fatalf("a token with the new key: %s", refused)
	}
	if _, refused := w.verdict(t, old); refused != isInvalid {
		t.Errorf("a remembered token with a withdrawn key: refused %q, want %q", refused, isInvalid)
	}
}

func TestIssuerAway(t *testing.T) {
	w := newWorld(t)
	w.away.Store(true)
	token := w.issuer.Token("ann", "buyer")
	_, err := w.verifier.Verify(t.Context(), token)
	if connect.CodeOf(err) != connect.CodeUnavailable || rpcerr.Reason(err) != "KEYS_UNAVAILABLE" {
		t.Errorf("before any key was read: %v, want UNAVAILABLE/KEYS_UNAVAILABLE", err)
	}
	if after, ok := rpcerr.RetryAfter(err); !ok || after <= 0 {
		t.Errorf("retry after %s, %t; want a delay", after, ok)
	}
	if w.verifier.Ready() == nil {
		t.Error("ready without a key")
	}
	w.away.Store(false)
	if _, refused := w.verdict(t, token); refused != "" {
		t.Errorf("the issuer is back: %s", refused)
	}
	w.away.Store(true)
	w.advance(10 * time.Minute)
	if _, refused := w.verdict(t, w.issuer.Token("bob", "buyer")); refused != "" {
		t.Errorf("a known key while the issuer is away: %s", refused)
	}
	if err := w.verifier.Ready(); err != nil {
		t.Errorf("not ready while the issuer is away: %v", err)
	}
	if err := w.issuer.Rotate(); err != nil {
		t.Fatal(err)
	}
	if _, refused := w.verdict(t, w.issuer.Token("bob", "buyer")); refused != isUnavailable {
		t.Errorf("an unknown key while the issuer is away: refused %q, want %q", refused, isUnavailable)
	}
}

func TestBrokenSetsDoNotReplaceKnownKeys(t *testing.T) {
	w := newWorld(t)
	if _, refused := w.verdict(t, w.issuer.Token("ann", "buyer")); refused != "" {
		t.Fatal(refused)
	}
	usable := `{"kty":"OKP","crv":"Ed25519","kid":"new","x":"` + base64.RawURLEncoding.EncodeToString(
		make([]byte, ed25519.PublicKeySize),
	) + `"}`
	for name, set := range map[string]string{
		"nothing": "", "no JSON": "<html>", "no keys": "{}", "an empty set": `{"keys":[]}`, "a list": "[]",
		"no usable key": `{"keys":[{"kty":"oct","kid":"a","k":"AAAA"}]}`,
		"too large":     `{"keys":[` + usable + `],"x":"` + strings.Repeat("x", 1<<20) + `"}`,
		"too many":      `{"keys":[` + strings.Repeat(usable+",", 64) + usable + `]}`,
	} {
		raw := []byte(set)
		w.set.Store(&raw)
		w.advance(time.Minute)
		unknown := jwt.NewWithClaims(jwt.SigningMethodES256, w.issuer.Claims("ann", "buyer"))
		unknown.Header["kid"] = name
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		signed, err := unknown.SignedString(key)
		if err != nil {
			t.Fatal(err)
		}
		if _, refused := w.verdict(t, signed); refused != isUnavailable {
			t.Errorf("%s: an unknown key is refused %q, want %q", name, refused, isUnavailable)
		}
		if _, refused := w.verdict(t, w.issuer.Token("bob", "buyer")); refused != "" {
			t.Errorf("%s: a known key is refused: %s", name, refused)
		}
	}
}

func TestForgedKeyIDsDoNotFloodTheIssuer(t *testing.T) {
	w := newWorld(t)
	forge := func(kid string) string {
		token := jwt.NewWithClaims(jwt.SigningMethodES256, w.issuer.Claims("ann", "buyer"))
		token.Header["kid"] = kid
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		signed, err := token.SignedString(key)
		if err != nil {
			t.Fatal(err)
		}
		return signed
	}
	one := forge("forged")
	for range 20 {
		if _, refused := w.verdict(t, one); refused != isInvalid {
			t.Errorf("the same key: refused %q, want %q", refused, isInvalid)
		}
	}
	if n := w.issuer.Reads(); n != 1 {
		t.Errorf("the JWKS was read %d times for one unknown key, want once", n)
	}
	counts := map[string]int{}
	for i := range 50 {
		_, refused := w.verdict(t, forge(fmt.Sprint("forged-", i)))
		counts[refused]++
	}
	if diff := cmp.Diff(map[string]int{isInvalid: 3, isUnavailable: 47}, counts); diff != "" {
		t.Errorf("many keys (-want +got):\n%s", diff)
	}
	if _, refused := w.verdict(t, w.issuer.Token("ann", "buyer")); refused != "" {
		t.Errorf("a known key meanwhile: %s", refused)
	}
	w.advance(5 * time.Second)
	if err := w.issuer.Rotate(); err != nil {
		t.Fatal(err)
	}
	if _, refused := w.verdict(t, w.issuer.Token("ann", "buyer")); refused != "" {
		t.Errorf("a new key after the pause: %s", refused)
	}
}

func TestRunReadsTheKeys(t *testing.T) {
	w := newWorld(t)
	w.running(t)
	patience := time.After(10 * time.Second)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for w.verifier.Ready() != nil {
		select {
		case <-tick.C:
		case <-patience:
			t.Fatal("the keys were not read")
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

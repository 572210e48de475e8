package auth_test

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"connectrpc.com/connect/v2"
	"github.com/golang-jwt/jwt/v5"
	"github.com/google/go-cmp/cmp"

	"github.com/orderd-dev/orderd/orderd/kit/rpcerr"
)

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

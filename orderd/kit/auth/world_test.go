package auth_test

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"connectrpc.com/connect/v2"

	accessv1 "github.com/orderd-dev/orderd/api/gen/orderd/access/v1"
	"github.com/orderd-dev/orderd/orderd/kit/auth"
	"github.com/orderd-dev/orderd/orderd/kit/rpcerr"
	"github.com/orderd-dev/orderd/orderd/sim/issuer"
	"github.com/orderd-dev/orderd/test/kit/testauth"
)

const (
	buyer       = accessv1.Role_ROLE_BUYER
	returns     = accessv1.Role_ROLE_RETURNS
	catalogSync = accessv1.Role_ROLE_CATALOG_SYNC
)

// clock stands still until it is moved.
type clock struct{ nanos atomic.Int64 }

func newClock() *clock {
	c := &clock{}
	c.nanos.Store(time.UnixMilli(1_800_000_000_000).UnixNano())
	return c
}

func (c *clock) now() time.Time { return time.Unix(0, c.nanos.Load()) }

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

func (w *world) publish(t *testing.T, keys ...any) {
	t.Helper()
	raw, err := json.Marshal(map[string]any{"keys": keys})
	if err != nil {
		t.Fatal(err)
	}
	w.set.Store(&raw)
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

package sandbox

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"pgregory.net/rapid"

	"github.com/orderd-dev/orderd/orderd/kit/config"
	"github.com/orderd-dev/orderd/orderd/shop/payment"
)

func testSandbox(t testing.TB, key string) *Sandbox {
	t.Helper()
	// Connects when it is first used, which these tests never do.
	pool, err := pgxpool.New(context.Background(), "postgres://127.0.0.1:1/none")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	s, err := New(Options{
		Pool: pool, Key: []byte(key), Merchant: "shop/main",
		PublicURL: "https://shop.example/base/", NotifyURL: "https://shop.example",
		Clock: func() time.Time { return time.Unix(1_800_000_000, 0) }, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

const testKey = "0123456789abcdef"

func TestNewRefuses(t *testing.T) {
	const url = "https://shop.example"
	pool := new(pgxpool.Pool)
	for name, tt := range map[string]struct {
		options Options
		// field is the one that the error names; none if empty.
		field string
	}{
		"a short key":           {Options{Pool: pool, Key: []byte("short"), PublicURL: url, NotifyURL: url}, "secretFile"},
		"a relative URL":        {Options{Pool: pool, Key: []byte(testKey), PublicURL: "/pay", NotifyURL: url}, "publicURL"},
		"nowhere to tell of it": {Options{Pool: pool, Key: []byte(testKey), PublicURL: url}, "notifyURL"},
		"no database":           {Options{Key: []byte(testKey), PublicURL: url, NotifyURL: url}, ""},
	} {
		_, err := New(tt.options)
		if err == nil {
			t.Errorf("%s was taken", name)
		}
		var field *config.FieldError
		if errors.As(err, &field) && field.Path != tt.field || field == nil && tt.field != "" {
			t.Errorf("%s: %v, want one that names %q", name, err, tt.field)
		}
	}
}

func TestTokens(t *testing.T) {
	ours, theirs := testSandbox(t, testKey), testSandbox(t, "fedcba9876543210")
	rapid.Check(t, func(t *rapid.T) {
		c := payment.Charge{
			PaymentID: uuid.UUID(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "id")),
			Amount:    rapid.Int64Min(0).Draw(t, "amount"), Currency: "CNY", ExpiresAt: time.Unix(1_800_000_060, 0),
		}
		session, err := ours.Create(context.Background(), c)
		if err != nil {
			t.Fatal(err)
		}
		again, err := ours.Create(context.Background(), c)
		if err != nil || !cmp.Equal(again, session) {
			t.Fatalf("again: %v, %v; want %v", again, err, session)
		}
		u, err := url.Parse(session.RedirectURL)
		if err != nil || u.Host != "shop.example" || u.Path != "/base/sandbox/pay" {
			t.Fatalf("redirect %s, %v", session.RedirectURL, err)
		}
		token := u.Query().Get("token")
		got, err := ours.open(token)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(
			ticket{PaymentID: c.PaymentID, Amount: c.Amount, Currency: "CNY", ExpiresAt: 1_800_000_060}, got,
		); diff != "" {
			t.Fatal(diff)
		}
		if _, err := theirs.open(token); err == nil {
			t.Fatal("another key's token was taken")
		}
		at := rapid.IntRange(0, len(token)-1).Draw(t, "at")
		changed := []byte(token)
		changed[at] = rapid.Byte().Filter(func(b byte) bool { return b != token[at] }).Draw(t, "by")
		if other, err := ours.open(string(changed)); err == nil && other != got {
			t.Fatalf("a changed token was taken as %v", other)
		}
	})
}

func TestAnswers(t *testing.T) {
	s := testSandbox(t, testKey)
	for _, tt := range []struct {
		err  error
		want int
	}{
		{nil, http.StatusNoContent},
		{&payment.NotificationError{Reason: "TOO_OLD"}, http.StatusBadRequest},
		{payment.ErrUnknownPayment, http.StatusNotFound},
		{errors.New("the database is away"), http.StatusServiceUnavailable},
	} {
		w := &recorder{}
		s.Answer(w, tt.err)
		if w.status != tt.want {
			t.Errorf("%v: %d, want %d", tt.err, w.status, tt.want)
		}
	}
}

type recorder struct{ status int }

func (*recorder) Header() http.Header         { return http.Header{} }
func (*recorder) Write(p []byte) (int, error) { return len(p), nil }
func (r *recorder) WriteHeader(status int)    { r.status = status }

// What is not signed is never taken; what is signed is taken whole or refused with a reason.
func FuzzParseNotification(f *testing.F) {
	s := testSandbox(f, testKey)
	now := s.now()
	good := []byte(`{"transaction_id":"t","payment_id":"8f14e45f-ceea-467f-a9d1-3c1b0c2d7a11","merchant":"shop/main",` +
		`"amount":5,"currency":"CNY","status":"SUCCESS"}`)
	f.Add(good, s.Sign(good, now), int64(0))
	f.Add(good, "t=1,v1=00", int64(0))
	f.Add([]byte(`{"payment_id":7}`), "", int64(3600))
	f.Add([]byte(`null`), "t=,v1=", int64(-3600))
	f.Fuzz(func(t *testing.T, raw []byte, signature string, age int64) {
		check := func(signature string, at time.Time) {
			n, err := s.ParseNotification(http.Header{SignatureHeader: {signature}}, raw, at)
			var refused *payment.NotificationError
			switch {
			case err != nil && (!errors.As(err, &refused) || refused.Reason == ""):
				t.Fatalf("error without a reason: %v", err)
			case err == nil && (n.TransactionID == "" || n.PaymentID == uuid.Nil || !bytes.Equal(n.Raw, raw)):
				t.Fatalf("half a notification: %+v", n)
			case err == nil && (at.Sub(now) > Tolerance || now.Sub(at) > Tolerance):
				t.Fatalf("taken %s after it was signed", at.Sub(now))
			case err == nil && !strings.EqualFold(signature, s.Sign(raw, now)):
				t.Fatalf("taken with signature %q", signature)
			}
		}
		age %= int64(24 * time.Hour / time.Second)
		check(signature, now)
		check(s.Sign(raw, now), now.Add(time.Duration(age)*time.Second))
	})
}

package quote

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/google/uuid"
	"google.golang.org/protobuf/testing/protocmp"
	"pgregory.net/rapid"

	quotev1 "github.com/orderd-dev/orderd/api/gen/orderd/quote/v1"
	"github.com/orderd-dev/orderd/orderd/kit/orderid"
	"github.com/orderd-dev/orderd/orderd/kit/rpcerr"
)

const lifetime = 10 * time.Minute

func newTokens(tb testing.TB, key string) *Tokens {
	tb.Helper()
	tokens, err := NewTokens([]byte(key), lifetime)
	if err != nil {
		tb.Fatal(err)
	}
	return tokens
}

// signed is a quote of the test's shop with its token.
func signed(tb testing.TB, tokens *Tokens) (Input, *Quote, string) {
	tb.Helper()
	in := Input{
		BuyerID:   buyer,
		Lines:     []Line{{SKU: "A", Quantity: 3}, {SKU: "B", Quantity: 1}},
		Delivery:  &Delivery{AddressID: uuid.UUID{1}},
		CouponIDs: []uuid.UUID{{1}},
		Invoice:   &quotev1.Invoice{Kind: quotev1.InvoiceKind_INVOICE_KIND_PERSONAL, Title: "Ann"},
	}
	q, err := shop().Compute(in, noon)
	if err != nil {
		tb.Fatal(err)
	}
	token, expires, err := tokens.Sign(in, q, noon)
	if err != nil {
		tb.Fatal(err)
	}
	if !expires.Equal(noon.Add(lifetime)) {
		tb.Fatalf("expires at %s", expires)
	}
	return in, q, token
}

func TestATokenIsWhatItsQuoteWas(t *testing.T) {
	tokens := newTokens(t, "0123456789abcdef")
	in, q, token := signed(t, tokens)
	got, promise, err := tokens.Open(token, buyer, noon.Add(lifetime-time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	want := in
	// The address itself is in the token: what is changed in the buyer's book later does not
	// change where this goes.
	want.Delivery = &Delivery{Address: hangzhou, Method: "standard"}
	if diff := cmp.Diff(want, got, protocmp.Transform(), cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("opened (-want +got):\n%s", diff)
	}
	again, err := shop().Compute(got, noon)
	if err != nil {
		t.Fatal(err)
	}
	if !promise.Holds(again) || promise.Total != q.Total {
		t.Errorf("the promise of %d does not hold for the same quote", promise.Total)
	}
}

func TestAPromiseHoldsForNothingElse(t *testing.T) {
	tokens := newTokens(t, "0123456789abcdef")
	in, _, token := signed(t, tokens)
	_, promise, err := tokens.Open(token, buyer, noon)
	if err != nil {
		t.Fatal(err)
	}
	changes := map[string]func(*Facts, *Input){
		"dearer": func(f *Facts, _ *Input) {
			s := f.skus["A"]
			s.UnitPrice++
			f.skus["A"] = s
		},
		"cheaper": func(f *Facts, _ *Input) {
			s := f.skus["A"]
			s.UnitPrice--
			f.skus["A"] = s
		},
		"heavier": func(f *Facts, _ *Input) {
			s := f.skus["A"]
			s.WeightGrams = 600
			f.skus["A"] = s
		},
		"the same total from other prices": func(f *Facts, _ *Input) {
			a, b := f.skus["A"], f.skus["B"]
			a.UnitPrice, b.UnitPrice = a.UnitPrice+1, b.UnitPrice-3
			f.skus["A"], f.skus["B"] = a, b
		},
		"another coupon": func(_ *Facts, in *Input) { in.CouponIDs = []uuid.UUID{{3}} },
		"another method": func(_ *Facts, in *Input) { in.Delivery.Method = "express" },
	}
	for name, change := range changes {
		t.Run(name, func(t *testing.T) {
			f, changed := shop(), in
			changed.Delivery = &Delivery{Address: hangzhou}
			change(f, &changed)
			q, err := f.Compute(changed, noon)
			if err != nil {
				t.Fatal(err)
			}
			if promise.Holds(q) {
				t.Errorf("the promise holds for %+v", q)
			}
		})
	}
	retitled := shop()
	s := retitled.skus["A"]
	s.Title = "A new title"
	retitled.skus["A"] = s
	if q, err := retitled.Compute(in, noon); err != nil || !promise.Holds(q) {
		t.Errorf("another title is no other price: %v", err)
	}
}

func TestTokensAreRefused(t *testing.T) {
	tokens := newTokens(t, "0123456789abcdef")
	_, _, token := signed(t, tokens)
	_, _, forged := signed(t, newTokens(t, "another key of ours"))
	tests := []struct {
		name, token, buyer string
		at                 time.Time
		want               string
	}{
		{name: "its time is over", token: token, buyer: buyer, at: noon.Add(lifetime), want: "QUOTE_EXPIRED"},
		{name: "another buyer's", token: token, buyer: "bob", at: noon, want: "QUOTE_INVALID"},
		{name: "another buyer's, and over", token: token, buyer: "bob", at: noon.Add(lifetime), want: "QUOTE_INVALID"},
		{name: "signed with another key", token: forged, buyer: buyer, at: noon, want: "QUOTE_INVALID"},
		{name: "empty", buyer: buyer, at: noon, want: "QUOTE_INVALID"},
		{name: "cut off", token: token[:len(token)-4], buyer: buyer, at: noon, want: "QUOTE_INVALID"},
		{name: "more of it", token: token + "AAAA", buyer: buyer, at: noon, want: "QUOTE_INVALID"},
		{name: "no base64", token: "%" + token, buyer: buyer, at: noon, want: "QUOTE_INVALID"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if _, _, err := tokens.Open(tt.token, tt.buyer, tt.at); rpcerr.Reason(err) != tt.want {
				t.Errorf("got %v, want %s", err, tt.want)
			}
		})
	}
	raw, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil {
		t.Fatal(err)
	}
	for i := range raw {
		raw[i] ^= 1
		if _, _, err := tokens.Open(base64.RawURLEncoding.EncodeToString(raw), buyer, noon); rpcerr.Reason(
			err,
		) != "QUOTE_INVALID" {
			t.Fatalf("byte %d changed: %v", i, err)
		}
		raw[i] ^= 1
	}
}

func TestTokensNeedAKeyAndALifetime(t *testing.T) {
	if _, err := NewTokens([]byte("short"), lifetime); !errors.Is(err, orderid.ErrShortKey) {
		t.Errorf("a short key: %v", err)
	}
	if _, err := NewTokens([]byte("0123456789abcdef"), 0); !errors.Is(err, ErrTTL) {
		t.Errorf("no lifetime: %v", err)
	}
}

func TestTokensRoundTrip(t *testing.T) {
	tokens := newTokens(t, "0123456789abcdef")
	rapid.Check(t, func(t *rapid.T) {
		f, in := drawn(t, true)
		q, err := f.Compute(in, noon)
		if err != nil {
			return
		}
		token, _, err := tokens.Sign(in, q, noon)
		if err != nil {
			t.Fatal(err)
		}
		opened, promise, err := tokens.Open(token, buyer, noon)
		if err != nil {
			t.Fatal(err)
		}
		again, err := f.Compute(opened, noon)
		if err != nil || !promise.Holds(again) {
			t.Fatalf("placing what was quoted: %v", err)
		}
	})
}

func FuzzOpen(f *testing.F) {
	tokens := newTokens(f, "0123456789abcdef")
	in, q, token := signed(f, tokens)
	f.Add(token)
	f.Add("")
	f.Add("AQ")
	f.Add(base64.RawURLEncoding.EncodeToString(make([]byte, 1+sha256.Size)))
	f.Fuzz(func(t *testing.T, text string) {
		opened, promise, err := tokens.Open(text, buyer, noon)
		if err != nil {
			if rpcerr.Reason(err) != "QUOTE_INVALID" {
				t.Fatalf("%v", err)
			}
			return
		}
		// Nobody can make another token without the key.
		if text != token || !promise.Holds(q) || len(opened.Lines) != len(in.Lines) {
			t.Fatalf("opened %q", text)
		}
	})
}

// FuzzOpened is what FuzzOpen cannot reach without the key: any content behind a good signature.
func FuzzOpened(f *testing.F) {
	tokens := newTokens(f, "0123456789abcdef")
	f.Add([]byte{})
	_, _, token := signed(f, tokens)
	raw, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(raw[1 : len(raw)-sha256.Size])
	f.Fuzz(func(t *testing.T, content []byte) {
		body := append([]byte{tokenVersion}, content...)
		text := base64.RawURLEncoding.EncodeToString(append(body, tokens.mac(body)...))
		in, _, err := tokens.Open(text, buyer, noon)
		if err != nil {
			if r := rpcerr.Reason(err); r != "QUOTE_INVALID" && r != "QUOTE_EXPIRED" {
				t.Fatalf("%v", err)
			}
			return
		}
		// Whatever it says, computing it answers or refuses.
		if q, err := shop().Compute(in, noon); (q == nil) == (err == nil) {
			t.Fatalf("computed %v, %v", q, err)
		}
	})
}

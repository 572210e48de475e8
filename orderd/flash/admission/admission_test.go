package admission_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/orderd-dev/orderd/orderd/flash/admission"
	"github.com/orderd-dev/orderd/orderd/kit/orderid"
)

func signer(t testing.TB, fill byte) *admission.Signer {
	t.Helper()
	s, err := admission.New(bytes.Repeat([]byte{fill}, orderid.MinKeyBytes))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestATokenAdmitsItsBuyerToItsItem(t *testing.T) {
	s, other := signer(t, 7), signer(t, 8)
	token := s.Token("uid", "buyer", "sku")
	tests := []struct {
		name            string
		by              *admission.Signer
		uid, buyer, sku string
		token           string
		want            bool
	}{
		{"as given", s, "uid", "buyer", "sku", token, true},
		{"by another pod with the same key", signer(t, 7), "uid", "buyer", "sku", token, true},
		{"another key", other, "uid", "buyer", "sku", token, false},
		{"another promotion", s, "uid2", "buyer", "sku", token, false},
		{"another buyer", s, "uid", "buyer2", "sku", token, false},
		{"another item", s, "uid", "buyer", "sku2", token, false},
		{"the texts' border elsewhere", s, "ui", "dbuyer", "sku", token, false},
		{"none", s, "uid", "buyer", "sku", "", false},
		{"cut", s, "uid", "buyer", "sku", token[:21], false},
		{"longer", s, "uid", "buyer", "sku", token + "A", false},
		{"line breaks, which a lenient decoder skips", s, "uid", "buyer", "sku", token[:21] + "\n", false},
		{"no base64", s, "uid", "buyer", "sku", strings.Repeat("!", 22), false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := test.by.Valid(test.uid, test.buyer, test.sku, test.token); got != test.want {
				t.Errorf("valid %v, want %v", got, test.want)
			}
		})
	}
}

func TestShortKeyIsRefused(t *testing.T) {
	if _, err := admission.New([]byte("short")); !errors.Is(err, orderid.ErrShortKey) {
		t.Errorf("New: %v, want ErrShortKey", err)
	}
}

func TestTokens(t *testing.T) {
	s := signer(t, 7)
	rapid.Check(t, func(t *rapid.T) {
		uid, buyer, sku := rapid.String().Draw(t, "uid"), rapid.String().Draw(t, "buyer"), rapid.String().Draw(t, "sku")
		token := s.Token(uid, buyer, sku)
		if len(token) != 22 || !s.Valid(uid, buyer, sku, token) {
			t.Fatalf("token %q is not valid", token)
		}
		at := rapid.IntRange(0, len(token)-1).Draw(t, "at")
		with := rapid.StringMatching("[A-Za-z0-9_-]").Draw(t, "with")
		changed := token[:at] + with + token[at+1:]
		if changed != token && s.Valid(uid, buyer, sku, changed) {
			t.Fatalf("token %q is valid in place of %q", changed, token)
		}
	})
}

func BenchmarkValid(b *testing.B) {
	s := signer(b, 7)
	token := s.Token("00000000-0000-4000-8000-000000000001", "buyer-1", "sku-1")
	b.ReportAllocs()
	for b.Loop() {
		if !s.Valid("00000000-0000-4000-8000-000000000001", "buyer-1", "sku-1", token) {
			b.Fatal("not valid")
		}
	}
}

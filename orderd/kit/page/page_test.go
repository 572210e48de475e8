package page_test

import (
	"encoding/base64"
	"testing"
	"time"

	"connectrpc.com/connect/v2"
	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"pgregory.net/rapid"

	"github.com/orderd-dev/orderd/orderd/kit/page"
	"github.com/orderd-dev/orderd/orderd/kit/rpcerr"
)

type key struct {
	Name   string
	At     time.Time
	ID     uuid.UUID
	Number int64
	Hash   []byte
}

func (k *key) parts() []any { return []any{&k.Name, &k.At, &k.ID, &k.Number, &k.Hash} }

func TestTokenComesBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := key{
			Name:   rapid.StringMatching(`[^\x00]*`).Draw(t, "name"),
			Number: rapid.Int64().Draw(t, "number"),
			At: time.Unix(rapid.Int64Range(0, 1<<37).Draw(t, "seconds"),
				rapid.Int64Range(0, 999_999_999).Draw(t, "nanos")).UTC(),
			ID:   uuid.UUID(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "id")),
			Hash: rapid.SliceOfN(rapid.Byte(), 1, 32).Draw(t, "hash"),
		}
		var got key
		given, err := page.Parse(page.Token(want.Name, want.At, want.ID, want.Number, want.Hash), got.parts()...)
		if err != nil || !given {
			t.Fatalf("Parse: %t, %v", given, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatal(diff)
		}
	})
}

func TestParseRefusesWhatTokenDidNotMake(t *testing.T) {
	raw := func(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }
	id := uuid.New()
	for name, token := range map[string]string{
		"no base64":           "%%%",
		"padded base64":       base64.StdEncoding.EncodeToString([]byte(`["a","`+id.String()+`"]`)) + "=",
		"no JSON":             raw("a"),
		"an object":           raw(`{"a":1}`),
		"too few parts":       page.Token("a"),
		"too many parts":      page.Token("a", id, "b"),
		"another type":        page.Token("a", 7),
		"null":                raw(`[null,"` + id.String() + `"]`),
		"no UUID":             page.Token("a", "b"),
		"a zero byte in text": page.Token("a\x00", id),
	} {
		var text string
		var at uuid.UUID
		_, err := page.Parse(token, &text, &at)
		if connect.CodeOf(err) != connect.CodeInvalidArgument || rpcerr.Reason(err) != "INVALID_PAGE_TOKEN" ||
			rpcerr.Metadata(err)["field"] != "page_token" {
			t.Errorf("%s: %v", name, err)
		}
	}
	var text string
	if given, err := page.Parse("", &text); given || err != nil {
		t.Errorf("the first page: %t, %v", given, err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add(page.Token("a", time.Unix(0, 0).UTC()))
	f.Fuzz(func(t *testing.T, token string) {
		var text string
		var at time.Time
		given, err := page.Parse(token, &text, &at)
		if err == nil && given != (token != "") {
			t.Fatalf("Parse(%q) = %t", token, given)
		}
		if err == nil && given {
			var sameText string
			var sameAt time.Time
			if at.Year() < 0 || at.Year() > 9999 {
				t.Fatalf("%v is no time for a database", at)
			}
			if _, err := page.Parse(page.Token(text, at), &sameText, &sameAt); err != nil || sameText != text ||
				!sameAt.Equal(at) {
				t.Fatalf("%q, %v comes back as %q, %v (%v)", text, at, sameText, sameAt, err)
			}
		}
		if err != nil && rpcerr.Metadata(err)["field"] != page.Field {
			t.Fatalf("Parse(%q): %v", token, err)
		}
	})
}

func TestCut(t *testing.T) {
	name := func(s string) []any { return []any{s} }
	for _, tt := range []struct {
		rows, want []string
		next       string
	}{
		{nil, nil, ""},
		{[]string{"a"}, []string{"a"}, ""},
		{[]string{"a", "b"}, []string{"a", "b"}, ""},
		{[]string{"a", "b", "c"}, []string{"a", "b"}, page.Token("b")},
	} {
		got, next := page.Cut(tt.rows, 2, name)
		if diff := cmp.Diff(tt.want, got); diff != "" || next != tt.next {
			t.Errorf("%v: %s, next %q, want %q", tt.rows, diff, next, tt.next)
		}
	}
}

func TestSize(t *testing.T) {
	for asked, want := range map[int32]int{-1: 20, 0: 20, 1: 1, 100: 100} {
		if got := page.Size(asked, 20); got != want {
			t.Errorf("Size(%d) = %d, want %d", asked, got, want)
		}
	}
}

package auth

import (
	"strings"
	"testing"

	"github.com/orderd-dev/orderd/orderd/kit/rpcerr"
)

func TestBearer(t *testing.T) {
	tests := []struct {
		name   string
		values []string
		want   string
		reason string
	}{
		{name: "a token", values: []string{"Bearer a.b.c"}, want: "a.b.c"},
		{name: "a scheme has no case", values: []string{"bEARER a.b.c"}, want: "a.b.c"},
		{name: "more space", values: []string{"Bearer   a.b.c "}, want: "a.b.c"},
		{name: "nothing", reason: "TOKEN_MISSING"},
		{name: "empty", values: []string{""}, reason: "TOKEN_MISSING"},
		{name: "two", values: []string{"Bearer a.b.c", "Bearer a.b.c"}, reason: "TOKEN_INVALID"},
		{name: "two in one", values: []string{"Bearer a.b.c, Bearer a.b.c"}, reason: "TOKEN_INVALID"},
		{name: "no scheme", values: []string{"a.b.c"}, reason: "TOKEN_INVALID"},
		{name: "no token", values: []string{"Bearer"}, reason: "TOKEN_INVALID"},
		{name: "a blank token", values: []string{"Bearer  "}, reason: "TOKEN_INVALID"},
		{name: "another scheme", values: []string{"Basic YTpi"}, reason: "TOKEN_INVALID"},
		{name: "a longer scheme", values: []string{"BearerX a.b.c"}, reason: "TOKEN_INVALID"},
		{name: "a tab", values: []string{"Bearer\ta.b.c"}, reason: "TOKEN_INVALID"},
		{name: "not of base64url", values: []string{"Bearer a.b.c/d"}, reason: "TOKEN_INVALID"},
		{name: "a line's end", values: []string{"Bearer a.b.c\n"}, reason: "TOKEN_INVALID"},
		{name: "too long", values: []string{"Bearer " + strings.Repeat("a", maxTokenBytes+1)}, reason: "TOKEN_INVALID"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := bearer(tt.values)
			if got != tt.want || rpcerr.Reason(err) != tt.reason {
				t.Errorf("bearer(%q) = %q, %v; want %q, %s", tt.values, got, err, tt.want, tt.reason)
			}
		})
	}
}

func FuzzBearer(f *testing.F) {
	for _, seed := range []string{
		"Bearer a.b.c", "bearer  x", "Basic YTpi", "Bearer", "", "Bearer é", "Bearer a,b", "\x00",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, value string) {
		token, err := bearer([]string{value})
		if (err == nil) != (token != "") {
			t.Fatalf("bearer(%q) = %q, %v: want a token or an error", value, token, err)
		}
		if err != nil {
			if r := rpcerr.Reason(err); r != "TOKEN_MISSING" && r != "TOKEN_INVALID" {
				t.Fatalf("bearer(%q): reason %q", value, r)
			}
			return
		}
		if !strings.HasSuffix(strings.TrimRight(value, " "), token) || len(token) > maxTokenBytes ||
			strings.ContainsFunc(token, notInToken) {
			t.Fatalf("bearer(%q) = %q, which is not its last part", value, token)
		}
		// What is taken is taken again, written as RFC 6750 writes it.
		if again, err := bearer([]string{"Bearer " + token}); err != nil || again != token {
			t.Fatalf("bearer of %q again = %q, %v", token, again, err)
		}
	})
}

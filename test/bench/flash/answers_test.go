package main

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"testing"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/protobuf/proto"
)

func body(t *testing.T, reason string) []byte {
	t.Helper()
	raw, err := proto.Marshal(&errdetails.ErrorInfo{Reason: reason, Domain: "orderd.dev"})
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Appendf(
		nil,
		`{"code":"resource_exhausted","message":"no","details":[`+
			`{"type":"google.rpc.RetryInfo","value":"CgIIAQ"},{"type":"google.rpc.ErrorInfo","value":%q}]}`,
		base64.RawStdEncoding.EncodeToString(raw),
	)
}

func TestReasonOf(t *testing.T) {
	for _, test := range []struct {
		body []byte
		want string
	}{
		{body(t, "SOLD_OUT"), "SOLD_OUT"},
		{body(t, "LIMIT_PER_BUYER"), "LIMIT_PER_BUYER"},
		{[]byte(`{"code":"internal"}`), ""},
		{[]byte(`{"details":[{"type":"google.rpc.ErrorInfo","value":"?"}]}`), ""},
		{[]byte("no JSON"), ""},
	} {
		if got := reasonOf(test.body); got != test.want {
			t.Errorf("%s: %q, want %q", test.body, got, test.want)
		}
	}
}

func TestRefusedTakesOneReasonOnly(t *testing.T) {
	check := refused("SOLD_OUT")
	for range 2 {
		if accepted, err := check(http.StatusTooManyRequests, body(t, "SOLD_OUT")); accepted || err != nil {
			t.Errorf("sold out: %t, %v", accepted, err)
		}
	}
	if _, err := check(http.StatusTooManyRequests, body(t, "LIMIT_PER_BUYER")); err == nil {
		t.Error("another reason is no error")
	}
	if accepted, err := check(http.StatusOK, nil); !accepted || err != nil {
		t.Errorf("OK: %t, %v", accepted, err)
	}
}

func TestOverloaded(t *testing.T) {
	for _, test := range []struct {
		status          int
		accepted, fails bool
	}{
		{http.StatusOK, true, false},
		{http.StatusServiceUnavailable, false, false},
		{http.StatusTooManyRequests, false, true},
		{http.StatusInternalServerError, false, true},
	} {
		if accepted, err := overloaded(test.status, nil); accepted != test.accepted || (err != nil) != test.fails {
			t.Errorf("%d: %t, %v", test.status, accepted, err)
		}
	}
}

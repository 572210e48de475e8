package carrier

import (
	"bytes"
	"crypto/rand"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
)

const shipmentText = "11111111-2222-4333-8444-555555555555"

var pushTime = time.Unix(1_900_000_000, 0)

func pushCarrier(t testing.TB) *HTTP {
	t.Helper()
	h, err := NewHTTP(HTTPOptions{
		Name:   "swift",
		URL:    "http://carrier",
		Key:    []byte("0123456789abcdef"),
		Clock:  func() time.Time { return pushTime },
		Random: rand.Reader,
	})
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func signed(t testing.TB, h *HTTP, path string, body []byte, at time.Time) http.Header {
	t.Helper()
	header := http.Header{}
	if err := h.signer.sign(header, http.MethodPost, path, body, at); err != nil {
		t.Fatal(err)
	}
	return header
}

// The package comment's text, signed by hand.
func TestSignatureIsTheDocumentedOne(t *testing.T) {
	h := pushCarrier(t)
	// printf 'POST\n/carriers/swift/events\n1900000000\n0123456789abcdef\n<sha256 of {}>\n' |
	// openssl dgst -sha256 -hmac 0123456789abcdef
	header := http.Header{}
	header.Set(TimestampHeader, "1900000000")
	header.Set(NonceHeader, "0123456789abcdef")
	header.Set(SignatureHeader, "v1=bfb2ac3ca83117679d4ddd4cf6d0a15465a0a256ef8b814d7049d2e9a7912268")
	if err := h.signer.verify(header, http.MethodPost, "/carriers/swift/events", []byte("{}"), pushTime); err != nil {
		t.Fatal(err)
	}
}

const (
	pushPath    = "/carriers/swift/events"
	pushedEvent = `{"event_id":"e1","code":"DELIVERED","description":"d","location":"l","at":"2030-01-01T00:00:00Z"}`
	goodPush    = `{"shipment_id":"` + shipmentText + `","events":[` + pushedEvent + `]}`
)

// pushes are what a carrier may push, and why it is refused.
var pushes = map[string]struct {
	body   string
	path   string
	at     time.Time
	change func(http.Header)
	// want is the reason; empty: taken.
	want string
}{
	"well":         {body: goodPush},
	"another path": {body: goodPush, path: "/carriers/other/events", want: reasonWrong},
	"no signature": {body: goodPush, change: func(h http.Header) { h.Del(SignatureHeader) }, want: reasonMissing},
	"another version": {
		body:   goodPush,
		change: func(h http.Header) { h.Set(SignatureHeader, "v2=00") },
		want:   reasonMissing,
	},
	"no hex":        {body: goodPush, change: func(h http.Header) { h.Set(SignatureHeader, "v1=xx") }, want: reasonWrong},
	"no nonce":      {body: goodPush, change: func(h http.Header) { h.Del(NonceHeader) }, want: reasonMissing},
	"a short nonce": {body: goodPush, change: func(h http.Header) { h.Set(NonceHeader, "short") }, want: reasonMissing},
	"a nonce of lines": {
		body:   goodPush,
		change: func(h http.Header) { h.Set(NonceHeader, strings.Repeat("\n", 20)) },
		want:   reasonMissing,
	},
	"another nonce": {
		body:   goodPush,
		change: func(h http.Header) { h.Set(NonceHeader, strings.Repeat("n", 20)) },
		want:   reasonWrong,
	},
	"another time": {
		body:   goodPush,
		change: func(h http.Header) { h.Set(TimestampHeader, strconv.FormatInt(pushTime.Unix()+1, 10)) },
		want:   reasonWrong,
	},
	"too old":          {body: goodPush, at: pushTime.Add(-Tolerance - time.Second), want: reasonTooOld},
	"too new":          {body: goodPush, at: pushTime.Add(Tolerance + time.Second), want: reasonTooOld},
	"no JSON":          {body: "x", want: reasonMalformed},
	"no events":        {body: `{"shipment_id":"` + shipmentText + `","events":[]}`, want: reasonMalformed},
	"no shipment":      {body: `{"events":[` + pushedEvent + `]}`, want: reasonMalformed},
	"another shipment": {body: `{"shipment_id":"x","events":[` + pushedEvent + `]}`, want: reasonMalformed},
	"too many": {
		body: `{"shipment_id":"` + shipmentText + `","events":[` +
			strings.Repeat(pushedEvent+",", MaxPushedEvents) + pushedEvent + `]}`,
		want: reasonMalformed,
	},
	"another code": {body: strings.Replace(goodPush, "DELIVERED", "SNEEZED", 1)},
}

func TestParsePush(t *testing.T) {
	for name, tt := range pushes {
		t.Run(name, func(t *testing.T) {
			h := pushCarrier(t)
			if tt.path == "" {
				tt.path = pushPath
			}
			if tt.at.IsZero() {
				tt.at = pushTime
			}
			header := signed(t, h, tt.path, []byte(tt.body), tt.at)
			if tt.change != nil {
				tt.change(header)
			}
			p, err := h.ParsePush(header, []byte(tt.body), pushTime)
			var refused *PushError
			if tt.want == "" {
				if err != nil || p.ShipmentID.String() != shipmentText || len(p.Events) != 1 {
					t.Fatalf("%+v, %v", p, err)
				}
				return
			}
			if !errors.As(err, &refused) || refused.Reason != tt.want || refused.Signed() != (tt.want == reasonMalformed) {
				t.Fatalf("%v; want %s", err, tt.want)
			}
		})
	}
}

// Whatever comes, what is taken fits the database, and nothing is taken with a changed body.
func FuzzParsePush(f *testing.F) {
	f.Add(
		[]byte(`{"shipment_id":"`+shipmentText+`","events":[{"event_id":"e1","code":"LOST","at":"2030-01-01T00:00:00Z"}]}`),
		"v1=00",
		"0123456789abcdef",
		"1900000000",
	)
	f.Add([]byte(`{}`), "", "", "")
	f.Add([]byte(`[]`), "v1=", strings.Repeat("n", 64), "-1")
	f.Fuzz(func(t *testing.T, body []byte, signature, nonce, stamp string) {
		h := pushCarrier(t)
		outside := http.Header{}
		outside.Set(SignatureHeader, signature)
		outside.Set(NonceHeader, nonce)
		outside.Set(TimestampHeader, stamp)
		if _, err := h.ParsePush(outside, body, pushTime); err == nil {
			t.Fatal("a push that nobody signed was taken")
		}
		header := signed(t, h, "/carriers/swift/events", body, pushTime)
		p, err := h.ParsePush(header, body, pushTime)
		var refused *PushError
		if err != nil {
			if !errors.As(err, &refused) || refused.Reason != reasonMalformed {
				t.Fatal(err)
			}
			return
		}
		if p.ShipmentID == uuid.Nil || len(p.Events) == 0 || len(p.Events) > MaxPushedEvents {
			t.Fatalf("%+v", p)
		}
		for _, e := range p.Events {
			if !ValidID(e.ID) || knownCode(string(e.Code)) != e.Code || !validText(e.Description, maxDescriptionBytes) ||
				!validText(e.Location, maxLocationBytes) ||
				e.At.IsZero() {
				t.Fatalf("%+v", e)
			}
		}
		if _, err := h.ParsePush(header, append(bytes.Clone(body), ' '), pushTime); err == nil {
			t.Fatal("a changed body was taken")
		}
	})
}

package wire

import (
	"bufio"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"google.golang.org/protobuf/types/known/wrapperspb"
)

func TestRead(t *testing.T) {
	for _, test := range []struct {
		name, answer string
		status       int
		body         string
		err          error
	}{
		{name: "plain", answer: "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabcHTTP/1.1", status: 200, body: "abc"},
		{name: "other case", answer: "HTTP/1.1 429 Too Many Requests\r\nX: y\r\ncontent-length:2\r\n\r\n{}", status: 429,
			body: "{}"},
		{name: "empty", answer: "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", status: 200},
		{name: "no content", answer: "HTTP/1.1 204 No Content\r\n\r\n", status: 204},
		{name: "chunked", answer: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", err: ErrNoLength},
		{name: "no length", answer: "HTTP/1.1 200 OK\r\n\r\n", err: ErrNoLength},
		{name: "negative", answer: "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", err: ErrMalformed},
		{name: "huge", answer: "HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n", err: ErrMalformed},
		{name: "no status", answer: "HTTP/1.1 abc OK\r\n\r\n", err: ErrMalformed},
		{name: "something else", answer: "SSH-2.0-OpenSSH_9\r\n", err: ErrMalformed},
	} {
		t.Run(test.name, func(t *testing.T) {
			status, body, err := read(bufio.NewReader(strings.NewReader(test.answer)), nil)
			if !errors.Is(err, test.err) || (err != nil) != (test.err != nil) {
				t.Fatalf("error %v, want %v", err, test.err)
			}
			if err == nil && (status != test.status || string(body) != test.body) {
				t.Errorf("%d %q, want %d %q", status, body, test.status, test.body)
			}
		})
	}
}

func FuzzRead(f *testing.F) {
	f.Add("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc")
	f.Fuzz(func(t *testing.T, answer string) {
		if status, _, err := read(bufio.NewReader(strings.NewReader(answer)), nil); err == nil && status < 100 {
			t.Errorf("status %d", status)
		}
	})
}

func TestCallsShareAConnection(t *testing.T) {
	var from []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		from = append(from, r.RemoteAddr)
		if r.URL.Path != "/package.Service/Method" || r.Header.Get("Authorization") != "Bearer token" {
			w.WriteHeader(http.StatusTeapot)
		}
		_, _ = w.Write([]byte("answer"))
	}))
	defer server.Close()
	conn, err := Dial(t.Context(), server.URL, "token", "/package.Service/Method")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for range 2 {
		status, body, err := conn.Call(wrapperspb.String("request"))
		if err != nil || status != http.StatusOK || string(body) != "answer" {
			t.Fatalf("%d %q, %v", status, body, err)
		}
	}
	if len(from) != 2 || from[0] != from[1] {
		t.Errorf("calls came from %v", from)
	}
}

package bounded

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

func request(t *testing.T, url string) *http.Request {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	return req
}

func TestDo(t *testing.T) {
	block := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/moved":
			http.Redirect(w, r, "/elsewhere", http.StatusFound)
		case "/slow":
			select {
			case <-block:
			case <-r.Context().Done():
			}
		default:
			_, _ = io.WriteString(w, strings.Repeat("x", 100))
		}
	}))
	defer server.Close()
	defer close(block)
	client := NewClient()
	got, err := Do(client, request(t, server.URL), time.Minute, 100)
	if err != nil || got.Status != http.StatusOK || len(got.Body) != 100 {
		t.Errorf("%+v, %v", got, err)
	}
	if _, err := Do(client, request(t, server.URL), time.Minute, 99); !errors.Is(err, errTooLarge) {
		t.Errorf("a longer answer: %v", err)
	}
	if got, err := Do(
		client, request(t, server.URL+"/moved"), time.Minute, 1000,
	); err != nil || got.Status != http.StatusFound {
		t.Errorf("a redirect was followed: %+v, %v", got, err)
	}
	if _, err := Do(client, request(t, server.URL+"/slow"), 10*time.Millisecond, 100); err == nil {
		t.Error("it waited for ever")
	}
}

func TestLimit(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, strings.Repeat("x", 100))
	}))
	defer server.Close()
	for limit, fails := range map[int64]bool{101: false, 100: false, 99: true, 10: true} {
		resp, err := Limit(NewClient(), time.Minute, limit).Do(request(t, server.URL))
		if err != nil {
			t.Fatal(err)
		}
		_, err = io.ReadAll(resp.Body)
		if fails != errors.Is(err, errTooLarge) {
			t.Errorf("%d: %v", limit, err)
		}
		if err := resp.Body.Close(); err != nil {
			t.Error(err)
		}
	}
}

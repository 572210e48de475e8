package serve

import (
	"crypto/tls"
	"io"
	"net/http"
	"path/filepath"
	"testing"

	"github.com/orderd-dev/orderd/orderd/kit/certs"
	"github.com/orderd-dev/orderd/orderd/kit/config"
	"github.com/orderd-dev/orderd/orderd/sim/authority"
)

// secured is a listener with a certificate of ca's, in dir.
func secured(t *testing.T, ca *authority.Authority, dir string, handler http.Handler) *listener {
	t.Helper()
	renew(t, ca, dir, "first")
	c := config.Default().HTTP
	c.CertificateFile, c.KeyFile = filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key")
	l, err := listen(t.Context(), "apps", "127.0.0.1:0", handler, c)
	if err != nil {
		t.Fatal(err)
	}
	l.atMost(100)
	if err := l.secure(c); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- l.serve() }()
	t.Cleanup(func() {
		_ = l.server.Close()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return l
}

func renew(t *testing.T, ca *authority.Authority, dir, name string) {
	t.Helper()
	pair, err := ca.Issue(authority.Subject{Name: name, Hosts: []string{"127.0.0.1"}})
	if err != nil {
		t.Fatal(err)
	}
	if err := pair.Write(dir, "tls.crt", "tls.key"); err != nil {
		t.Fatal(err)
	}
}

func TestAListenerSpeaksTLSInBothVersionsAndShowsARenewedCertificate(t *testing.T) {
	ca, err := authority.New("test")
	if err != nil {
		t.Fatal(err)
	}
	pool, err := certs.Authorities(ca.PEM())
	if err != nil {
		t.Fatal(err)
	}
	begun, release := make(chan struct{}), make(chan struct{})
	mux := http.NewServeMux()
	mux.HandleFunc("/slow", func(http.ResponseWriter, *http.Request) {
		close(begun)
		<-release
	})
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, r.Proto) })
	dir := t.TempDir()
	l := secured(t, ca, dir, mux)
	base := "https://" + l.socket.Addr().String()
	client := func(http2 bool) *http.Client {
		protocols := new(http.Protocols)
		protocols.SetHTTP1(!http2)
		protocols.SetHTTP2(http2)
		transport := &http.Transport{Protocols: protocols, TLSClientConfig: &tls.Config{RootCAs: pool}}
		t.Cleanup(transport.CloseIdleConnections)
		return &http.Client{Transport: transport}
	}
	ask := func(c *http.Client, path string) (proto, shown string) {
		t.Helper()
		res, err := c.Get(base + path)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = res.Body.Close() }()
		raw, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		return string(raw), res.TLS.PeerCertificates[0].Subject.CommonName
	}
	old := client(true)
	for proto, c := range map[string]*http.Client{"HTTP/1.1": client(false), "HTTP/2.0": old} {
		if got, shown := ask(c, "/"); got != proto || shown != "first" {
			t.Errorf("asked by %s, it answered by %s as %q", proto, got, shown)
		}
	}
	slow := make(chan error, 1)
	go func() {
		res, err := old.Get(base + "/slow")
		if err == nil {
			err = res.Body.Close()
		}
		slow <- err
	}()
	<-begun
	renew(t, ca, dir, "second")
	if _, shown := ask(client(true), "/"); shown != "second" {
		t.Errorf("a new connection is shown %q", shown)
	}
	if _, shown := ask(old, "/"); shown != "first" {
		t.Errorf("the connection with a request under way was made anew: %q", shown)
	}
	close(release)
	if err := <-slow; err != nil {
		t.Errorf("the request that was under way: %v", err)
	}
}

func TestAListenerWithoutItsCertificateDoesNotStart(t *testing.T) {
	c := config.Default().HTTP
	c.CertificateFile, c.KeyFile = filepath.Join(t.TempDir(), "none"), filepath.Join(t.TempDir(), "none")
	l, err := listen(t.Context(), "apps", "127.0.0.1:0", http.NotFoundHandler(), c)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.socket.Close() }()
	if err := l.secure(c); err == nil {
		t.Error("no error")
	}
}

package serve

import (
	"io"
	"net/http"
	"net/http/httptrace"
	"testing"
	"time"

	"github.com/orderd-dev/orderd/orderd/kit/config"
)

// A caller who keeps its connection could write to it in the moment in which the listener closes it: it is
// made to leave before.
func TestKeptConnectionsEndWhileThePodDrains(t *testing.T) {
	for name, protocols := range map[string]func(*http.Protocols){
		"HTTP/1.1": func(p *http.Protocols) { p.SetHTTP1(true) },
		"HTTP/2":   func(p *http.Protocols) { p.SetUnencryptedHTTP2(true) },
	} {
		t.Run(name, func(t *testing.T) {
			h := &health{ready: func() error { return nil }}
			c := config.Default().HTTP
			l, err := listen(t.Context(), "apps", "127.0.0.1:0", lastAnswers(http.HandlerFunc(tellConnection), h.isDraining), c)
			if err != nil {
				t.Fatal(err)
			}
			l.limitAge(c, time.Now, func() float64 { return 0.5 })
			served := make(chan error, 1)
			go func() { served <- l.serve() }()
			t.Cleanup(func() {
				_ = l.server.Close()
				if err := <-served; err != nil {
					t.Error(err)
				}
			})
			transport := &http.Transport{Protocols: new(http.Protocols)}
			protocols(transport.Protocols)
			t.Cleanup(transport.CloseIdleConnections)
			ask := func() (kept bool) {
				t.Helper()
				ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{
					GotConn: func(info httptrace.GotConnInfo) { kept = info.Reused },
				})
				request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+l.socket.Addr().String(), http.NoBody)
				if err != nil {
					t.Fatal(err)
				}
				response, err := (&http.Client{Transport: transport}).Do(request)
				if err != nil {
					t.Fatal(err)
				}
				_, _ = io.Copy(io.Discard, response.Body)
				_ = response.Body.Close()
				return kept
			}
			ask()
			if !ask() {
				t.Fatal("a connection is not kept although the pod does not drain")
			}
			h.draining.Store(true)
			ask()
			// Over HTTP/2 the caller may read that it is to leave a moment after the answer.
			for deadline := time.Now().Add(10 * time.Second); ask(); {
				if time.Now().After(deadline) {
					t.Fatal("the connection is kept while the pod drains")
				}
			}
		})
	}
}

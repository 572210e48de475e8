package serve

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"testing"
	"time"

	"github.com/orderd-dev/orderd/orderd/kit/config"
)

// Load balancers outside of the cluster go on sending for a while: whoever connects in http.drainDelay
// after SIGTERM is answered, although the pod has said that it is not ready.
func TestNewConnectionsAreAnsweredWhileThePodDrains(t *testing.T) {
	const delay = time.Second
	c := config.Default().HTTP
	c.DrainDelay = config.Duration(delay)
	l, err := listen(t.Context(), "apps", "127.0.0.1:0", http.HandlerFunc(tellConnection), c)
	if err != nil {
		t.Fatal(err)
	}
	l.atMost(100)
	l.limitAge(c, time.Now, func() float64 { return 0.5 })
	served := make(chan error, 1)
	go func() { served <- l.serve() }()
	p := &pod{config: config.Config{HTTP: c}, log: slog.New(slog.DiscardHandler), leaving: make(chan struct{})}
	h := &health{ready: func() error { return nil }}
	handedOver := false
	r := &role{drain: func(context.Context) { handedOver = h.problem() != nil }}
	drained := make(chan error, 1)
	began := time.Now()
	go func() { drained <- p.drain(t.Context(), r, h, []*listener{l}) }()
	// Each request has a connection of its own.
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	var answered time.Time
	for {
		response, err := client.Get("http://" + l.socket.Addr().String())
		if err != nil {
			break
		}
		_, _ = io.Copy(io.Discard, response.Body)
		_ = response.Body.Close()
		answered = time.Now()
	}
	if lasted := time.Since(began); lasted < delay {
		t.Errorf("connections are refused %s after the pod was told to end, want %s", lasted, delay)
	}
	if answered.Before(began.Add(delay / 2)) {
		t.Error("no connection was answered while the pod drained")
	}
	if err := <-drained; err != nil {
		t.Error(err)
	}
	if err := <-served; err != nil {
		t.Error(err)
	}
	if !handedOver {
		t.Error("what the pod owns was not handed over after it was not ready any more")
	}
}

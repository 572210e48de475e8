package serve

import (
	"context"
	"io"
	"net/http"
	"sync"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/orderd-dev/orderd/orderd/kit/config"
)

const (
	shareCallers = 64
	shareBefore  = 2
	shareAfter   = 6
	// shareWindow is over how long requests are counted.
	shareWindow = time.Second
)

// arrivals counts the requests that each server answers.
type arrivals struct {
	mu sync.Mutex
	of map[int]int
}

func (a *arrivals) handler(server int) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		a.mu.Lock()
		a.of[server]++
		a.mu.Unlock()
		w.WriteHeader(http.StatusNoContent)
	})
}

// later is the share of the requests since the last look that the servers had which came later.
func (a *arrivals) later() float64 {
	a.mu.Lock()
	defer a.mu.Unlock()
	all, later := 0, 0
	for server, n := range a.of {
		all += n
		if server >= shareBefore {
			later += n
		}
	}
	clear(a.of)
	if all == 0 {
		return 0
	}
	return float64(later) / float64(all)
}

// BenchmarkShareOfServersThatCameLater measures how long it takes, with the settings that a pod has by
// default, until four servers that join two have nine tenths of their share of callers with one h2c
// connection each, behind a load balancer that knows only of connections. It takes half a minute:
//
//	go test ./orderd/serve -run '^$' -bench ShareOf -benchtime 1x
func BenchmarkShareOfServersThatCameLater(b *testing.B) {
	for b.Loop() {
		balancer, counted := &balancer{}, &arrivals{of: map[int]int{}}
		start := func(i int) { balancer.add(benchListener(b, counted.handler(i)).socket.Addr().String()) }
		for i := range shareBefore {
			start(i)
		}
		ctx, enough := context.WithCancel(b.Context())
		group := new(errgroup.Group)
		for range shareCallers {
			group.Go(func() error { return keepAsking(ctx, balancer) })
		}
		tick := time.NewTicker(shareWindow)
		<-tick.C
		counted.later()
		joined := time.Now()
		for i := shareBefore; i < shareAfter; i++ {
			start(i)
		}
		const fair = float64(shareAfter-shareBefore) / shareAfter
		for counted.later() < fair*0.9 {
			<-tick.C
		}
		b.ReportMetric(time.Since(joined).Seconds(), "s-to-share")
		tick.Stop()
		enough()
		if err := group.Wait(); err != nil {
			b.Error(err)
		}
	}
}

func benchListener(b *testing.B, handler http.Handler) *listener {
	b.Helper()
	c := config.Default().HTTP
	l, err := listen(b.Context(), "apps", "127.0.0.1:0", handler, c)
	if err != nil {
		b.Fatal(err)
	}
	random := random()
	var mu sync.Mutex
	l.limitAge(c, time.Now, func() float64 {
		mu.Lock()
		defer mu.Unlock()
		return random.Float64()
	})
	served := make(chan error, 1)
	go func() { served <- l.serve() }()
	b.Cleanup(func() {
		_ = l.server.Close()
		if err := <-served; err != nil {
			b.Error(err)
		}
	})
	return l
}

// keepAsking makes a request after the other, by one connection at a time.
func keepAsking(ctx context.Context, balancer *balancer) error {
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	transport := &http.Transport{Protocols: protocols, DialContext: balancer.dial}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport}
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		request, err := http.NewRequestWithContext(context.WithoutCancel(ctx), http.MethodPost, "http://pods/", http.NoBody)
		if err != nil {
			return err
		}
		response, err := client.Do(request)
		if err != nil {
			return err
		}
		_, _ = io.Copy(io.Discard, response.Body)
		_ = response.Body.Close()
	}
}

package serve

import (
	"bufio"
	"context"
	"errors"
	"io"
	"log/slog"
	"math"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect/v2"
	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/orderd-dev/orderd/api/gen/orderd/flash/v1/flashv1connect"
	"github.com/orderd-dev/orderd/orderd/kit/auth"
	"github.com/orderd-dev/orderd/orderd/kit/config"
)

func TestLimitsThatFollowFromTheMemory(t *testing.T) {
	type limits struct{ Connections, Bodies int }
	for _, tt := range []struct {
		name   string
		config config.HTTP
		memory int64
		want   limits
	}{
		{"a small pod", config.HTTP{MaxBodyBytes: 64 << 10}, 512 << 20, limits{8192, 2048}},
		{"a large pod", config.HTTP{MaxBodyBytes: 64 << 10}, 4 << 30, limits{65536, 16384}},
		{"no limit of memory", config.HTTP{MaxBodyBytes: 64 << 10}, math.MaxInt64, limits{16384, 4096}},
		{"hardly any memory", config.HTTP{MaxBodyBytes: 64 << 10}, 1, limits{1, 1}},
		{"limits that are set", config.HTTP{MaxBodyBytes: 1, MaxConnections: 7, MaxBodies: 9}, 512 << 20, limits{7, 9}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := withMemory(tt.config, tt.memory)
			if diff := cmp.Diff(tt.want, limits{c.MaxConnections, c.MaxBodies}); diff != "" {
				t.Errorf("limits (-want +got):\n%s", diff)
			}
		})
	}
}

// crowded is a listener that has so many connections at most, whose handler answers /quick at once
// and anything else when it is let.
type crowded struct {
	listener *listener
	began    chan struct{}
	let      chan struct{}
}

func newCrowded(t *testing.T, most int) *crowded {
	t.Helper()
	c := &crowded{began: make(chan struct{}, most), let: make(chan struct{})}
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/quick" {
			c.began <- struct{}{}
			<-c.let
		}
		w.WriteHeader(http.StatusNoContent)
	})
	var err error
	if c.listener, err = listen(t.Context(), "apps", "127.0.0.1:0", handler, config.Default().HTTP); err != nil {
		t.Fatal(err)
	}
	c.listener.atMost(most)
	served := make(chan error, 1)
	go func() { served <- c.listener.serve() }()
	t.Cleanup(func() {
		_ = c.listener.server.Close()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return c
}

// caller is a connection.
type caller struct {
	net.Conn
	*bufio.Reader
}

func (c *crowded) dial(t *testing.T) *caller {
	t.Helper()
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", c.listener.socket.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	return &caller{Conn: conn, Reader: bufio.NewReader(conn)}
}

func (c *caller) ask(t *testing.T, path string) {
	t.Helper()
	if _, err := io.WriteString(c.Conn, "GET "+path+" HTTP/1.1\r\nHost: pod\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
}

func (c *caller) answered(t *testing.T) {
	t.Helper()
	response, err := http.ReadResponse(c.Reader, nil)
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
}

// untilIdle waits until the listener knows that no connection is at work.
func (c *crowded) untilIdle(t *testing.T) {
	t.Helper()
	connections := c.listener.socket.(*connections)
	eventually(t, func() bool {
		connections.mu.Lock()
		defer connections.mu.Unlock()
		for conn := range connections.open {
			if conn.idleSince.Load() == 0 {
				return false
			}
		}
		return true
	})
}

// eventually waits until something is so.
func eventually(t *testing.T, so func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !so() {
		select {
		case <-tick.C:
		case <-t.Context().Done():
			t.Fatal("it never came to that")
		}
	}
}

func TestTheLongestIdleConnectionGivesItsPlace(t *testing.T) {
	const most = 4
	c := newCrowded(t, most)
	var idle []*caller
	for range most {
		// Each is answered before the next one comes, so that it is idle for longer.
		idle = append(idle, c.dial(t))
		idle[len(idle)-1].ask(t, "/quick")
		idle[len(idle)-1].answered(t)
		c.untilIdle(t)
	}
	// The first has just been at work again.
	idle[0].ask(t, "/quick")
	idle[0].answered(t)
	c.untilIdle(t)
	for i := range 2 {
		late := c.dial(t)
		late.ask(t, "/slow")
		<-c.began
		if _, err := idle[1+i].ReadByte(); err == nil {
			t.Error("a connection sent something that nobody asked for")
		}
	}
	// Nobody else had to go.
	for _, i := range []int{0, 3} {
		idle[i].ask(t, "/quick")
		idle[i].answered(t)
	}
	close(c.let)
}

// While all connections are at work a new one waits, and gets the place of the first that is done.
func TestAConnectionWaitsForOneThatIsDone(t *testing.T) {
	const most = 2
	c := newCrowded(t, most)
	var busy []*caller
	for range most {
		busy = append(busy, c.dial(t))
		busy[len(busy)-1].ask(t, "/slow")
		<-c.began
	}
	late := c.dial(t)
	late.ask(t, "/slow")
	select {
	case <-c.began:
		t.Fatal("more connections are at work than may be")
	default:
	}
	c.let <- struct{}{}
	<-c.began
	close(c.let)
	late.answered(t)
}

// A listener that is full, and whose next connection waits, still closes.
func TestAFullListenerCloses(t *testing.T) {
	c := newCrowded(t, 1)
	c.dial(t).ask(t, "/slow")
	<-c.began
	c.dial(t).ask(t, "/slow")
	shut := make(chan error, 1)
	go func() { shut <- shutdown(context.WithoutCancel(t.Context()), []*listener{c.listener}) }()
	close(c.let)
	if err := <-shut; err != nil {
		t.Error(err)
	}
}

// A pod whose callers have taken all connections still tells its kubelet how it is.
func TestThePodIsLookedAfterWhileItIsFull(t *testing.T) {
	c := config.Default().HTTP
	c.Address, c.AdminAddress, c.MaxConnections = "127.0.0.1:0", "127.0.0.1:0", 1
	registry := prometheus.NewRegistry()
	p := &pod{
		config: config.Config{HTTP: c}, log: slog.New(slog.DiscardHandler), now: time.Now,
		registry: registry, registerer: registry, leaving: make(chan struct{}),
	}
	entered, leave := make(chan struct{}), make(chan struct{})
	_, guard := newGuard(t, auth.Limits{})
	listeners, err := p.listeners(t.Context(), &role{guard: guard, services: func(server *connect.Server) {
		flashv1connect.RegisterFlashServiceHandler(server, lane{answer: func(context.Context) error {
			entered <- struct{}{}
			<-leave
			return nil
		}})
	}}, &health{ready: func() error { return nil }})
	if err != nil {
		t.Fatal(err)
	}
	at := map[string]string{}
	served := make(chan error, len(listeners))
	for _, l := range listeners {
		at[l.name] = "http://" + l.socket.Addr().String()
		go func() { served <- l.serve() }()
	}
	// call returns the status. Each has a connection of its own.
	call := func(ctx context.Context, method, url, body string) (int, error) {
		request, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
		if err != nil {
			return 0, err
		}
		request.Header.Set("Content-Type", "application/json")
		client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
		response, err := client.Do(request)
		if err != nil {
			return 0, err
		}
		return response.StatusCode, response.Body.Close()
	}
	first := make(chan error, 1)
	go func() {
		_, err := call(context.WithoutCancel(t.Context()), http.MethodPost, at["apps"]+getPromotion, `{"promotion":"sale"}`)
		first <- err
	}()
	<-entered
	for range 3 {
		if status, err := call(t.Context(), http.MethodGet, at["admin"]+"/readyz", ""); status != http.StatusOK {
			t.Errorf("while it is full: %d, %v", status, err)
		}
	}
	close(leave)
	err = <-first
	for _, l := range listeners {
		err = errors.Join(err, l.server.Close(), <-served)
	}
	if err != nil {
		t.Error(err)
	}
}

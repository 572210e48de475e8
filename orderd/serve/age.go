package serve

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/orderd-dev/orderd/orderd/kit/config"
)

const (
	// ageJitter is by how much of it the age of a connection is more or less, so that connections that
	// were made at once are not made anew at once.
	ageJitter = 0.1
	// streamsLater is how long after its caller was told to make another connection the streams of one
	// are ended: a stream that is opened anew at once finds the other one.
	streamsLater = time.Second
)

// ages ends the connections of a listener that are as old as they may be, so that who keeps a connection
// reaches the pods that came after it as well. Nothing fails by it:
//
//   - over HTTP/1.1 the answer to the first request after that says that it is the last one;
//   - over HTTP/2 the caller is told to send nothing new (GOAWAY), what is under way is answered, and
//     streams end with an error that says to go on with a new one. What has not ended when the grace is
//     over is cut off. A request that crosses the GOAWAY is refused as not processed (REFUSED_STREAM):
//     clients send it again by themselves, and a gateway has to be told to.
type ages struct {
	most, grace time.Duration
	clock       func() time.Time
	// random is in [0, 1).
	random func() float64

	mu sync.Mutex
	// open has a server for each connection of HTTP/2.
	open    map[*http.Server]struct{}
	closing bool
}

// life is that of one connection.
type life struct {
	conn net.Conn
	// ends is from when on nothing new should come.
	ends time.Time
	// over is closed when its streams have to end.
	over chan struct{}
}

type lifeKey struct{}

// lifeOf is that of the connection that a request came by; nil if it may get as old as it likes.
func lifeOf(ctx context.Context) *life {
	l, _ := ctx.Value(lifeKey{}).(*life)
	return l
}

// endingStreams is closed when the connection's streams have to end; nil: never.
func endingStreams(ctx context.Context) <-chan struct{} {
	if l := lifeOf(ctx); l != nil {
		return l.over
	}
	return nil
}

// limitAge bounds how old the listener's connections get. It is called before it serves.
func (l *listener) limitAge(c config.HTTP, clock func() time.Time, random func() float64) {
	if c.MaxConnectionAge == 0 {
		return
	}
	a := &ages{
		most: time.Duration(c.MaxConnectionAge), grace: time.Duration(c.ConnectionGrace), clock: clock, random: random,
		open: map[*http.Server]struct{}{},
	}
	before := l.server.ConnContext
	l.server.ConnContext = func(ctx context.Context, conn net.Conn) context.Context {
		return context.WithValue(before(ctx, conn), lifeKey{}, a.begin(conn))
	}
	l.server.Handler = lastAnswers(l.server.Handler, a.isOld)
	// How one connection of HTTP/2 is told to end, net/http gives to its own server alone, which tells
	// all of its connections. So each has a server of its own. The second name is how net/http hands on
	// connections in clear text.
	l.server.TLSNextProto = map[string]func(*http.Server, *tls.Conn, http.Handler){}
	for _, protocol := range []string{"h2", "unencrypted_http2"} {
		l.server.TLSNextProto[protocol] = func(server *http.Server, conn *tls.Conn, handler http.Handler) {
			a.serveAlone(server, protocol, conn, handler)
		}
	}
	l.server.RegisterOnShutdown(a.endAll)
}

// begin the life of a connection.
func (a *ages) begin(conn net.Conn) *life {
	return &life{conn: conn, ends: a.clock().Add(a.span()), over: make(chan struct{})}
}

// span is how old a new connection may get.
func (a *ages) span() time.Duration {
	return time.Duration(float64(a.most) * (1 - ageJitter + 2*ageJitter*a.random()))
}

// isOld tells whether a request came by a connection of HTTP/1.1 that is as old as it may be.
func (a *ages) isOld(r *http.Request) bool {
	l := lifeOf(r.Context())
	return r.ProtoMajor == 1 && l != nil && !a.clock().Before(l.ends)
}

// lastAnswers ends the connection with the answer to a request that is its last one: over HTTP/1.1 the
// answer says so, over HTTP/2 net/http makes a GOAWAY of it.
func lastAnswers(next http.Handler, isLast func(*http.Request) bool) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if isLast(r) {
			w.Header().Set("Connection", "close")
		}
		next.ServeHTTP(w, r)
	})
}

// serveAlone serves a connection of HTTP/2 until it ends.
func (a *ages) serveAlone(listening *http.Server, protocol string, conn *tls.Conn, handler http.Handler) {
	alone := &http.Server{
		ConnState: listening.ConnState, Protocols: listening.Protocols, HTTP2: listening.HTTP2,
		MaxHeaderBytes: listening.MaxHeaderBytes, ReadHeaderTimeout: listening.ReadHeaderTimeout,
		ReadTimeout: listening.ReadTimeout, WriteTimeout: listening.WriteTimeout, IdleTimeout: listening.IdleTimeout,
		ErrorLog: listening.ErrorLog,
	}
	// This fails, once the server is made ready for HTTP/2.
	_ = alone.Serve(noListener{})
	a.add(alone)
	defer a.remove(alone)
	// net/http and its HTTP/2 hand the connection's context to each other so.
	if based, ok := handler.(interface{ BaseContext() context.Context }); ok {
		if l := lifeOf(based.BaseContext()); l != nil {
			done := make(chan struct{})
			defer close(done)
			go a.end(alone, l, done)
		}
	}
	serve := alone.TLSNextProto[protocol]
	if serve == nil {
		// GODEBUG=http2server=0: the other side was promised what there is not.
		_ = conn.Close()
		return
	}
	serve(alone, conn, handler)
}

// end a connection when it is time to, unless it is done before.
func (a *ages) end(alone *http.Server, l *life, done <-chan struct{}) {
	wait := func(d time.Duration) bool {
		timer := time.NewTimer(d)
		defer timer.Stop()
		select {
		case <-timer.C:
			return true
		case <-done:
			return false
		}
	}
	if !wait(l.ends.Sub(a.clock())) {
		return
	}
	goAway(alone)
	if !wait(min(streamsLater, a.grace)) {
		return
	}
	close(l.over)
	if wait(a.grace - min(streamsLater, a.grace)) {
		_ = l.conn.Close()
	}
}

// goAway tells the caller to send nothing new. It returns at once: the server listens nowhere, and the
// connection is not one that it would wait for.
func goAway(alone *http.Server) { _ = alone.Shutdown(context.Background()) }

func (a *ages) add(alone *http.Server) {
	a.mu.Lock()
	a.open[alone] = struct{}{}
	closing := a.closing
	a.mu.Unlock()
	if closing {
		goAway(alone)
	}
}

func (a *ages) remove(alone *http.Server) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.open, alone)
}

// endAll ends the connections of HTTP/2 because the listener does.
func (a *ages) endAll() {
	a.mu.Lock()
	a.closing = true
	all := make([]*http.Server, 0, len(a.open))
	for alone := range a.open {
		all = append(all, alone)
	}
	a.mu.Unlock()
	for _, alone := range all {
		goAway(alone)
	}
}

// noListener accepts nothing.
type noListener struct{}

func (noListener) Accept() (net.Conn, error) { return nil, net.ErrClosed }
func (noListener) Close() error              { return nil }
func (noListener) Addr() net.Addr            { return &net.TCPAddr{} }

package serve

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"connectrpc.com/connect/v2"
	"connectrpc.com/connect/v2/connecthttp"
	"connectrpc.com/connect/v2/connectproto"
	"golang.org/x/sync/errgroup"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/orderd-dev/orderd/orderd/kit/auth"
	"github.com/orderd-dev/orderd/orderd/kit/certs"
	"github.com/orderd-dev/orderd/orderd/kit/config"
	"github.com/orderd-dev/orderd/orderd/kit/overload"
	"github.com/orderd-dev/orderd/orderd/kit/strictjson"
)

const (
	maxHeaderBytes    = 16 << 10
	readHeaderTimeout = 5 * time.Second
	idleTimeout       = 2 * time.Minute
	// Many callers share a connection of a gateway's, so a connection may carry many requests.
	maxStreamsPerConnection = 1024
	// A connection that nothing came from for pingAfter is asked whether it lives, and closed if it
	// does not say so within pingTimeout:
	// a stream has no time-out of its own, and would keep a machine's that is gone.
	pingAfter   = 15 * time.Second
	pingTimeout = 15 * time.Second
)

// listener is a server that is up from the start of its role and drained at its end.
type listener struct {
	name   string
	server *http.Server
	socket net.Listener
}

func listen(ctx context.Context, name, address string, handler http.Handler, c config.HTTP) (*listener, error) {
	var lc net.ListenConfig
	socket, err := lc.Listen(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("listening for %s: %w", name, err)
	}
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true)
	timeout := time.Duration(c.RequestTimeout)
	l := &listener{name: name, socket: socket, server: &http.Server{
		Handler:     handler,
		ConnContext: withDirect,
		Protocols:   protocols,
		HTTP2: &http.HTTP2Config{
			MaxConcurrentStreams: maxStreamsPerConnection,
			SendPingTimeout:      pingAfter,
			PingTimeout:          pingTimeout,
		},
		MaxHeaderBytes:    maxHeaderBytes,
		ReadHeaderTimeout: readHeaderTimeout,
		ReadTimeout:       timeout + readHeaderTimeout,
		WriteTimeout:      timeout + 2*readHeaderTimeout,
		IdleTimeout:       idleTimeout,
	}}
	return l, nil
}

// atMost bounds how many connections the listener has at once.
func (l *listener) atMost(n int) {
	if socket, ok := l.socket.(*net.TCPListener); ok {
		bounded := newConnections(socket, n, time.Now)
		l.socket, l.server.ConnState = bounded, bounded.state
	}
}

// secure makes the listener speak TLS if the configuration has a certificate for it. A renewed one is
// shown from the next connection on.
func (l *listener) secure(c config.HTTP) error {
	if c.CertificateFile == "" {
		return nil
	}
	pair, err := certs.Load(c.CertificateFile, c.KeyFile)
	if err != nil {
		return fmt.Errorf("http.certificateFile: %w", err)
	}
	l.server.TLSConfig = &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: pair.Server}
	l.server.Protocols.SetUnencryptedHTTP2(false)
	l.server.Protocols.SetHTTP2(true)
	return nil
}

func (l *listener) serve() error {
	serve := l.server.Serve
	if l.server.TLSConfig != nil {
		serve = func(socket net.Listener) error { return l.server.ServeTLS(socket, "", "") }
	}
	if err := serve(l.socket); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serving %s: %w", l.name, err)
	}
	return nil
}

// shutdown stops accepting on every listener and waits for what is in flight, until ctx ends.
func shutdown(ctx context.Context, listeners []*listener) error {
	group := new(errgroup.Group)
	for _, l := range listeners {
		group.Go(func() error {
			if err := l.server.Shutdown(ctx); err != nil {
				return errors.Join(fmt.Errorf("draining %s: %w", l.name, err), l.server.Close())
			}
			return nil
		})
	}
	return group.Wait()
}

// minCompressed is the size from which answers are compressed: below it, a packet or two,
// compressing took a sixth of a pod's processor time and saved next to nothing.
const minCompressed = 4 << 10

// mount adds a server's RPCs to those of a mux, with the limits of the configuration.
func mount(mux *http.ServeMux, server *connect.Server, c config.HTTP) {
	connecthttp.Mount(mux, server, connecthttp.WithCodecs(connectproto.NewBinaryCodec(), strictjson.New()),
		connecthttp.WithReadMaxBytes(c.MaxBodyBytes),
		connecthttp.WithCompressMinBytes(minCompressed), connecthttp.WithConditionalOptions(limits))
}

// offer is what a listener serves.
type offer struct {
	// server has its RPCs.
	server *connect.Server
	// open has RPCs that are answered however busy the pod is; nil if there are none.
	open *connect.Server
	// plain handlers stand beside the RPCs, by http.ServeMux's patterns.
	plain map[string]http.Handler
}

// front is what a request for what is offered comes to first. Its body is read whole before anything
// else, but where it is a stream's of a caller, and where the request is refused whatever is in it:
// without the token that is needed, or for what is not there. Unary RPCs are then let in by the
// gate, but for the open ones. Without a gate and a reader of bodies, everything but streams is
// bounded in size.
func (s stack) front(o offer) http.Handler {
	mux := http.NewServeMux()
	handlers := map[string]http.Handler{}
	add := func(server *connect.Server, unary func(connect.Spec) http.Handler) {
		mount(mux, server, s.http)
		for spec := range server.Specs() {
			switch spec.StreamType {
			case connect.StreamTypeUnary:
				handlers[spec.Procedure] = unary(spec)
			case connect.StreamTypeServer:
				handlers[spec.Procedure] = onlyHTTP2(s.whole(controlled(mux)))
			default:
				handlers[spec.Procedure] = onlyHTTP2(controlled(mux))
			}
		}
	}
	whole, unread := s.whole(mux), overload.Unread(mux)
	add(o.server, func(spec connect.Spec) http.Handler { return s.unary(spec, mux) })
	if o.open != nil {
		add(o.open, func(connect.Spec) http.Handler { return whole })
	}
	for pattern, handler := range o.plain {
		mux.Handle(pattern, handler)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if handler, ok := handlers[r.URL.Path]; ok {
			handler.ServeHTTP(w, r)
			return
		}
		if _, pattern := mux.Handler(r); o.plain[pattern] != nil {
			whole.ServeHTTP(w, r)
			return
		}
		unread.ServeHTTP(w, r)
	})
}

// unary stands before a unary RPC.
func (s stack) unary(spec connect.Spec, mux http.Handler) http.Handler {
	if s.gate == nil {
		return s.whole(mux)
	}
	gated := s.gate.Handler(answerDirectly(mux))
	whole, unread := s.whole(gated), overload.Unread(gated)
	if hasFile[spec.Procedure] && s.uploads != nil {
		whole = s.uploads.handler(gated)
	}
	if method, ok := spec.Schema.(protoreflect.MethodDescriptor); ok && auth.PolicyOf(method).Public {
		return whole
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if auth.Bears(r.Header) {
			whole.ServeHTTP(w, r)
		} else {
			unread.ServeHTTP(w, r)
		}
	})
}

// whole gives next only whole bodies, or where nobody reads those bounded ones.
func (s stack) whole(next http.Handler) http.Handler {
	if s.bodies == nil {
		return maxBytes(next, int64(s.http.MaxBodyBytes))
	}
	return s.bodies.Handler(next)
}

// maxBytes is http.MaxBytesHandler, which costs nothing where the request says how long it is, and
// that is not too long: the server reads no further than that.
func maxBytes(next http.Handler, most int64) http.Handler {
	bounded := http.MaxBytesHandler(next, most)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ContentLength >= 0 && r.ContentLength <= most {
			next.ServeHTTP(w, r)
			return
		}
		bounded.ServeHTTP(w, r)
	})
}

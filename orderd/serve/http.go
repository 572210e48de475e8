package serve

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"connectrpc.com/connect/v2"
	"connectrpc.com/connect/v2/connecthttp"
	"connectrpc.com/connect/v2/connectproto"
	"golang.org/x/sync/errgroup"

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
	return &listener{name: name, socket: socket, server: &http.Server{
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
	}}, nil
}

func (l *listener) serve() error {
	if err := l.server.Serve(l.socket); !errors.Is(err, http.ErrServerClosed) {
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

// rpcMux has a server's RPCs, with the limits of the configuration.
func rpcMux(server *connect.Server, c config.HTTP) *http.ServeMux {
	mux := http.NewServeMux()
	mount(mux, server, c)
	return mux
}

// mount adds a server's RPCs to those of a mux.
func mount(mux *http.ServeMux, server *connect.Server, c config.HTTP) {
	connecthttp.Mount(mux, server, connecthttp.WithCodecs(connectproto.NewBinaryCodec(), strictjson.New()),
		connecthttp.WithReadMaxBytes(c.MaxBodyBytes),
		connecthttp.WithCompressMinBytes(minCompressed), connecthttp.WithConditionalOptions(streamOptions))
}

// front is what a request for a server's RPCs, or for what is mounted beside them, comes to
// first: unary RPCs are let in by the gate (if there is one), streams may go on, and everything
// else is bounded in size. The gate does not keep the RPCs of the open servers.
func front(
	server *connect.Server, mux http.Handler, gate *overload.Gate, c config.HTTP, open ...*connect.Server,
) http.Handler {
	bounded, unbounded := maxBytes(mux, int64(c.MaxBodyBytes)), longLived(mux)
	gated := bounded
	if gate != nil {
		gated = gate.Handler(answerDirectly(bounded))
	}
	handlers := map[string]http.Handler{}
	add := func(server *connect.Server, unary http.Handler) {
		for spec := range server.Specs() {
			if spec.StreamType == connect.StreamTypeUnary {
				handlers[spec.Procedure] = unary
			} else {
				handlers[spec.Procedure] = unbounded
			}
		}
	}
	add(server, gated)
	for _, server := range open {
		add(server, bounded)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if handler, ok := handlers[r.URL.Path]; ok {
			handler.ServeHTTP(w, r)
			return
		}
		bounded.ServeHTTP(w, r)
	})
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

package scaler

import (
	"cmp"
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"sync"
	"sync/atomic"

	"connectrpc.com/connect/v2"
)

const (
	// defaultConnections is more than enough: KEDA has one for each address.
	defaultConnections = 64
	// defaultStreams of all connections: KEDA has one for each ScaledObject with a trigger external-push.
	defaultStreams = 1000
	// spareStreams is by how many more a connection may have, so that who has too many is refused and not kept waiting,
	// and the other calls of its connection are not either.
	spareStreams = 250
)

// bounds are how many connections and streams there may be at once. What is more is refused, in words: that of a
// connection with its calls, and it is ended then. Of as many as that again nothing is known but that they are closed.
type bounds struct {
	mostConnections, mostStreams int64
	connections, streams         atomic.Int64
}

func newBounds(connections, streams int) *bounds {
	return &bounds{
		mostConnections: int64(cmp.Or(connections, defaultConnections)), mostStreams: int64(cmp.Or(streams, defaultStreams)),
	}
}

// listener counts the connections that are open.
type listener struct {
	net.Listener
	bounds *bounds
}

// connection is one that was counted.
type connection struct {
	net.Conn
	// excess: there were as many as may be.
	excess bool
	close  func() error
}

// Close implements net.Conn.
func (c *connection) Close() error { return c.close() }

// Accept implements net.Listener.
func (l listener) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		b := l.bounds
		n := b.connections.Add(1)
		c := &connection{Conn: conn, excess: n > b.mostConnections}
		c.close = sync.OnceValue(func() error {
			b.connections.Add(-1)
			return conn.Close()
		})
		if n <= 2*b.mostConnections {
			return c, nil
		}
		_ = c.Close()
	}
}

type excessKey struct{}

// mark notes in the context of a connection whether it is one too many. It is http.Server's ConnContext.
func mark(ctx context.Context, conn net.Conn) context.Context {
	if secured, ok := conn.(*tls.Conn); ok {
		conn = secured.NetConn()
	}
	if c, ok := conn.(*connection); ok && c.excess {
		return context.WithValue(ctx, excessKey{}, true)
	}
	return ctx
}

func isExcess(ctx context.Context) bool { return ctx.Value(excessKey{}) != nil }

// ending ends a connection that is one too many once its call was answered.
func ending(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if isExcess(r.Context()) {
			w.Header().Set("Connection", "close")
		}
		next.ServeHTTP(w, r)
	})
}

// admit is a connect.ServerInterceptor that refuses what is too much.
func (b *bounds) admit(next connect.ServerFunc) connect.ServerFunc {
	return func(ctx context.Context, spec connect.Spec, stream connect.ServerStream) error {
		if isExcess(ctx) {
			return connect.NewError(connect.CodeResourceExhausted,
				fmt.Sprintf("there are %d connections to the scaler, which are all that may be: close some", b.mostConnections))
		}
		if spec.StreamType != connect.StreamTypeUnary {
			defer b.streams.Add(-1)
			if b.streams.Add(1) > b.mostStreams {
				return connect.NewError(connect.CodeResourceExhausted, fmt.Sprintf("the scaler has %d streams, which are all"+
					" that may be: let some ScaledObjects ask (trigger external) in place of being told (external-push)",
					b.mostStreams))
			}
		}
		return next(ctx, spec, stream)
	}
}

package serve

import (
	"context"
	"math"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"connectrpc.com/connect/v2"
	"connectrpc.com/connect/v2/connecthttp"

	"github.com/orderd-dev/orderd/orderd/kit/auth"
	"github.com/orderd-dev/orderd/orderd/kit/overload"
	"github.com/orderd-dev/orderd/orderd/kit/rpcerr"
)

// maxStreamMessage bounds a message of a stream, which holds up to 1,024 requests: 2 KiB for each.
const maxStreamMessage = 2 << 20

// streamRetry is when a caller may come back whose stream ended with its pod or its connection: others are
// there already.
const streamRetry = 100 * time.Millisecond

// streamOptions are those of stream RPCs. Their messages hold many requests. They go between
// backends, where compressing costs more than what it saves.
func streamOptions(spec connect.Spec) []connecthttp.Option {
	if spec.StreamType == connect.StreamTypeUnary {
		return nil
	}
	return []connecthttp.Option{
		connecthttp.WithReadMaxBytes(maxStreamMessage),
		connecthttp.WithCompressMinBytes(math.MaxInt),
	}
}

// onlyHTTP2 refuses streams over HTTP/1, where a caller cannot read and send at once, before anything
// else: the rest of such a request is not waited for, and its connection is closed.
func onlyHTTP2(next http.Handler) http.Handler {
	refuse := overload.Unread(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Connection", "close")
		w.WriteHeader(http.StatusHTTPVersionNotSupported)
	}))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ProtoMajor < 2 {
			refuse.ServeHTTP(w, r)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// controlled lets the interceptors change a stream's time-outs.
func controlled(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		incoming := &incoming{control: http.NewResponseController(w)}
		defer incoming.forget()
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), incomingKey{}, incoming)))
	})
}

// unhurried takes the server's time-outs, which are for single requests, from the streams of callers
// who may take their time. It stands behind what lets callers in.
func unhurried(may func(context.Context, connect.Spec) bool) connect.ServerInterceptor {
	return func(next connect.ServerFunc) connect.ServerFunc {
		return func(ctx context.Context, spec connect.Spec, stream connect.ServerStream) error {
			if in, ok := ctx.Value(incomingKey{}).(*incoming); ok && may(ctx, spec) {
				in.unhurry(spec.StreamType)
			}
			return next(ctx, spec, stream)
		}
	}
}

// ofKnown callers are those who came with a token.
func ofKnown(ctx context.Context, _ connect.Spec) bool {
	_, known := auth.CallerFrom(ctx)
	return known
}

// ofWatchers is true of streams whose caller only reads.
func ofWatchers(_ context.Context, spec connect.Spec) bool {
	return spec.StreamType == connect.StreamTypeServer
}

func ofAnybody(context.Context, connect.Spec) bool { return true }

type incomingKey struct{}

// incoming is what a caller sends on a stream, as the server has it.
type incoming struct {
	mu      sync.Mutex
	control *http.ResponseController
}

// unhurry takes the time-outs away. A caller who sends one message and then only reads still has to
// send that in time.
func (i *incoming) unhurry(kind connect.StreamType) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.control == nil {
		return
	}
	// Both are known to every protocol that the servers here speak.
	_ = i.control.SetWriteDeadline(time.Time{})
	if kind != connect.StreamTypeServer {
		_ = i.control.SetReadDeadline(time.Time{})
	}
}

// end lets whoever reads the stream, now or later, fail.
func (i *incoming) end() {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.control != nil {
		_ = i.control.SetReadDeadline(time.Unix(1, 0))
	}
}

// cut ends the stream of a caller who does not take what is sent.
func (i *incoming) cut() {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.control != nil {
		_ = i.control.SetWriteDeadline(time.Unix(1, 0))
	}
}

// forget says that the handler is done, after which the server's things must not be touched.
func (i *incoming) forget() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.control = nil
}

// liveStream is a stream whose requests may have to end before its caller wants.
type liveStream struct {
	connect.ServerStream

	why atomic.Pointer[connect.Error]
}

// Receive answers why the stream has to end, once it has to.
func (s *liveStream) Receive(msg any) error {
	err := s.ServerStream.Receive(msg)
	if why := s.why.Load(); err != nil && why != nil {
		return why
	}
	return err
}

// live serves a stream until its caller's token expires, its connection is too old or the pod leaves. From
// then on receiving
// fails with the reason, while the handler can go on to answer what it has; the configured time for
// a request later its context ends as well.
func (s stack) live(
	ctx context.Context, spec connect.Spec, stream connect.ServerStream, next connect.ServerFunc,
) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	requests := &liveStream{ServerStream: stream}
	done := make(chan struct{})
	defer close(done)
	go func() {
		why := s.untilEnd(ctx, done)
		if why == nil {
			return
		}
		requests.why.Store(why)
		if spec.StreamType == connect.StreamTypeServer {
			// It has no requests to answer.
			cancel()
		}
		if in, ok := ctx.Value(incomingKey{}).(*incoming); ok {
			in.end()
		}
		grace := time.NewTimer(time.Duration(s.http.RequestTimeout))
		defer grace.Stop()
		select {
		case <-done:
		case <-grace.C:
			cancel()
			if in, ok := ctx.Value(incomingKey{}).(*incoming); ok && spec.StreamType == connect.StreamTypeServer {
				in.cut()
			}
		}
	}()
	err := next(ctx, spec, requests)
	if why := requests.why.Load(); err != nil && why != nil {
		return why
	}
	return err
}

// untilEnd waits until a stream has to end, and says why; nil if it is done before.
func (s stack) untilEnd(ctx context.Context, done <-chan struct{}) *connect.Error {
	var expired <-chan time.Time
	if caller, ok := auth.CallerFrom(ctx); ok && !caller.Expires.IsZero() {
		timer := time.NewTimer(caller.Expires.Sub(s.clock()))
		defer timer.Stop()
		expired = timer.C
	}
	select {
	case <-done:
		return nil
	case <-expired:
		return auth.Expired()
	case <-s.leaving:
		return rpcerr.Retry(connect.CodeUnavailable, rpcerr.ReasonOverloaded,
			"the pod is going away; go on with a new stream", streamRetry)
	case <-endingStreams(ctx):
		return rpcerr.Retry(connect.CodeUnavailable, rpcerr.ReasonOverloaded,
			"the connection is as old as it may get; go on with a new stream", streamRetry)
	}
}

// ofOneRequest keeps an interceptor away from streams of requests, whose handlers look at each of a
// message's requests by itself.
func ofOneRequest(interceptor connect.ServerInterceptor) connect.ServerInterceptor {
	return func(next connect.ServerFunc) connect.ServerFunc {
		one := interceptor(next)
		return func(ctx context.Context, spec connect.Spec, stream connect.ServerStream) error {
			if spec.StreamType != connect.StreamTypeUnary && spec.StreamType != connect.StreamTypeServer {
				return next(ctx, spec, stream)
			}
			return one(ctx, spec, stream)
		}
	}
}

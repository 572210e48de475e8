package serve

import (
	"context"
	"net"
	"net/http"
	"strconv"
	"strings"

	"connectrpc.com/connect/v2"
)

// answered is an error that knows what it is on the wire, because it is answered many times:
// what everybody is told once an item is sold out. Encoding its JSON anew took a tenth of the
// time of such a call.
type answered interface {
	error
	// Wire is the HTTP status and the body in Connect's unary protocol; no body if it is not known.
	Wire() (status int, body []byte)
}

type directKey struct{}

// direct is where a call of Connect's unary protocol is answered without Connect. There is
// one for each connection: with HTTP/1.1 it has one request at a time, so that nothing has to
// be made for a request.
type direct struct {
	w       http.ResponseWriter
	written bool
}

// withDirect is a http.Server's ConnContext.
func withDirect(ctx context.Context, _ net.Conn) context.Context {
	return context.WithValue(ctx, directKey{}, &direct{})
}

// answerDirectly lets the interceptors inside answer calls of Connect's unary protocol by POST over
// HTTP/1.1 themselves.
func answerDirectly(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		contentType := r.Header["Content-Type"]
		if r.ProtoMajor == 1 && r.Method == http.MethodPost && len(contentType) == 1 &&
			!strings.HasPrefix(contentType[0], "application/grpc") {
			if d, ok := r.Context().Value(directKey{}).(*direct); ok {
				d.w = w
				defer func() { *d = direct{} }()
			}
		}
		next.ServeHTTP(w, r)
	})
}

// answer writes an error that knows itself, if the call can be answered so.
func (d *direct) answer(ctx context.Context, err answered) {
	status, body := err.Wire()
	info, ok := connect.CallInfoForServerContext(ctx)
	if d.w == nil || body == nil || !ok || info.ResponseTrailer().Len() > 0 {
		return
	}
	header := d.w.Header()
	for key, values := range info.ResponseHeader().All() {
		header[http.CanonicalHeaderKey(key)] = values
	}
	header["Content-Type"] = []string{"application/json"}
	header["Content-Length"] = []string{strconv.Itoa(len(body))}
	d.w.WriteHeader(status)
	_, _ = d.w.Write(body)
	d.written = true
}

// unlessAnswered keeps errors from Connect that are answered already.
func unlessAnswered(next connect.ServerFunc) connect.ServerFunc {
	return func(ctx context.Context, spec connect.Spec, stream connect.ServerStream) error {
		err := next(ctx, spec, stream)
		if err == nil {
			return nil
		}
		if d, ok := ctx.Value(directKey{}).(*direct); ok && d.written {
			return nil
		}
		return err
	}
}

// Package rpcerr makes the errors that callers see: a Connect code, a message for people and a
// google.rpc.ErrorInfo with a reason for programs. What a driver or library said stays inside, as the
// error's cause.
package rpcerr

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"time"

	"connectrpc.com/connect/v2"
	"connectrpc.com/connect/v2/connecthttp"
	"connectrpc.com/connect/v2/connectproto"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
)

// Domain of every reason.
const Domain = "orderd.dev"

// New is an error with a reason in UPPER_SNAKE_CASE and metadata as key, value, key, value.
func New(code connect.Code, reason, message string, metadata ...string) *connect.Error {
	info := &errdetails.ErrorInfo{Reason: reason, Domain: Domain}
	for i := 0; i+1 < len(metadata); i += 2 {
		if info.Metadata == nil {
			info.Metadata = make(map[string]string, len(metadata)/2)
		}
		info.Metadata[metadata[i]] = metadata[i+1]
	}
	return withDetail(connect.NewError(code, message), info)
}

// WithReason adds a reason to an error that was made elsewhere.
func WithReason(err *connect.Error, reason string) *connect.Error {
	return withDetail(err, &errdetails.ErrorInfo{Reason: reason, Domain: Domain})
}

// Retry is New with the time after which a retry helps.
func Retry(code connect.Code, reason, message string, after time.Duration, metadata ...string) *connect.Error {
	return withDetail(New(code, reason, message, metadata...), &errdetails.RetryInfo{RetryDelay: durationpb.New(after)})
}

// WithDetail adds a message that says more to a program, such as a new quote.
func WithDetail(err *connect.Error, msg proto.Message) *connect.Error { return withDetail(err, msg) }

// Kept is an error that is going to be answered many times: what its details are in JSON, which
// Connect's errors carry for people, is worked out once instead of with each answer.
func Kept(err *connect.Error) *connect.Error {
	kept := connect.NewError(err.Code(), err.Message())
	if cause := err.Unwrap(); cause != nil {
		kept = kept.WithCause(cause)
	}
	for _, d := range err.Details() {
		with := &connect.ErrorDetail{Type: d.Type, Value: d.Value, Debug: d.Debug}
		if msg, uerr := connectproto.UnmarshalErrorDetail(d); uerr == nil && len(with.Debug) == 0 {
			if raw, merr := protojson.Marshal(msg); merr == nil {
				with.Debug = raw
			}
		}
		kept = kept.WithDetail(with)
	}
	return kept
}

// Wire is an error as Connect's unary protocol answers it: the HTTP status, and the
// body, which is JSON.
func Wire(err *connect.Error) (status int, body []byte) {
	request := &http.Request{Method: http.MethodPost, Header: http.Header{"Content-Type": {"application/json"}}}
	w := &memory{header: http.Header{}}
	// Memory does not fail.
	_ = connecthttp.NewErrorWriter().Write(w, request, err)
	return w.status, w.body.Bytes()
}

// memory is a response that goes nowhere.
type memory struct {
	status int
	header http.Header
	body   bytes.Buffer
}

func (m *memory) Header() http.Header { return m.header }

func (m *memory) WriteHeader(status int) { m.status = status }

func (m *memory) Write(p []byte) (int, error) { return m.body.Write(p) }

// Internal hides what went wrong from the caller and keeps it as the cause.
func Internal(cause error) *connect.Error {
	return New(connect.CodeInternal, ReasonInternal, "internal error").WithCause(cause)
}

// retryDelay is what a caller is asked to wait whose request took too long.
const retryDelay = time.Second

// From is what a caller sees of an error: one made for callers as it is, also where it is wrapped;
// the end of the request's time as DEADLINE_EXCEEDED with a retry delay, since whether the request
// had its effect is unknown; a caller who went away as CANCELED; anything else as [Internal], also
// what another pod has answered to this one. err must not be nil. This is the one place that
// decides it; package database's RPCError adds what a database says.
func From(err error) *connect.Error {
	var known *connect.Error
	switch {
	case errors.As(err, &known) && !known.IsRemote():
		return known
	case errors.Is(err, context.DeadlineExceeded):
		const text = "the request took too long; whether it had an effect is unknown: retry it with the same request id"
		return Retry(connect.CodeDeadlineExceeded, ReasonDeadlineExceeded, text, retryDelay).WithCause(err)
	case errors.Is(err, context.Canceled):
		return New(connect.CodeCanceled, ReasonCanceled, "the caller went away").WithCause(err)
	}
	return Internal(err)
}

// Reason of an error made here, on either side of the wire; empty if it has none.
func Reason(err error) string {
	if known, ok := err.(interface{ Reason() string }); ok {
		return known.Reason()
	}
	if info, ok := detail[*errdetails.ErrorInfo](err); ok {
		return info.GetReason()
	}
	return ""
}

// Metadata of an error made here, on either side of the wire.
func Metadata(err error) map[string]string {
	if info, ok := detail[*errdetails.ErrorInfo](err); ok {
		return info.GetMetadata()
	}
	return nil
}

// RetryAfter is the delay the error asks for, and whether it asks for one.
func RetryAfter(err error) (time.Duration, bool) {
	if info, ok := detail[*errdetails.RetryInfo](err); ok {
		return info.GetRetryDelay().AsDuration(), true
	}
	return 0, false
}

// Detail of the type that the error carries, and whether it carries one.
func Detail[M proto.Message](err error) (M, bool) { return detail[M](err) }

func withDetail(err *connect.Error, msg proto.Message) *connect.Error {
	d, derr := connectproto.NewErrorDetail(msg)
	if derr != nil {
		return err
	}
	return err.WithDetail(d)
}

func detail[M proto.Message](err error) (M, bool) {
	var zero M
	var cerr *connect.Error
	if !errors.As(err, &cerr) {
		return zero, false
	}
	for _, d := range cerr.Details() {
		msg, uerr := connectproto.UnmarshalErrorDetail(d)
		if uerr != nil {
			continue
		}
		if m, ok := msg.(M); ok {
			return m, true
		}
	}
	return zero, false
}

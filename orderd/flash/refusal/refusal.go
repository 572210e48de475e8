// Package refusal has every refusal that the flash lane answers with: its code, its reason and its
// text, as the error of a call and as a message among the answers of a call stream.
package refusal

import (
	"errors"
	"maps"
	"sync/atomic"
	"time"

	"connectrpc.com/connect/v2"

	flashv1 "github.com/orderd-dev/orderd/api/gen/orderd/flash/v1"
	"github.com/orderd-dev/orderd/orderd/kit/rpcerr"
)

// Error is an answer to one request in both forms that it leaves a pod in: the error of a call by
// itself, which Unwrap gives and the connect package finds, and a message among the answers of a
// call stream. Each is made when it is first asked for and then kept, so that one refusal serves
// any number of requests. Safe for concurrent use.
type Error struct {
	code     connect.Code
	reason   string
	text     string
	metadata map[string]string
	after    time.Duration

	err     atomic.Pointer[connect.Error]
	message atomic.Pointer[flashv1.FlashOrderRefusal]
	wire    atomic.Pointer[wire]
}

// wire is a refusal as Connect's unary protocol has it.
type wire struct {
	status int
	body   []byte
}

// newRefusal has metadata as key, value, key, value. After 0 asks for no delay.
func newRefusal(code connect.Code, after time.Duration, reason, text string, metadata ...string) *Error {
	r := &Error{code: code, reason: reason, text: text, after: after}
	for i := 0; i+1 < len(metadata); i += 2 {
		if r.metadata == nil {
			r.metadata = make(map[string]string, len(metadata)/2)
		}
		r.metadata[metadata[i]] = metadata[i+1]
	}
	return r
}

// Error implements error.
func (r *Error) Error() string { return r.code.String() + ": " + r.text }

// Reason as rpcerr.Reason finds it, without a search.
func (r *Error) Reason() string { return r.reason }

// Code as connect.CodeOf finds it.
func (r *Error) Code() connect.Code { return r.code }

// RetryAfter is how long the caller is asked to wait; 0: a retry does not help, or may come at once.
func (r *Error) RetryAfter() time.Duration { return r.after }

// Unwrap is the *connect.Error with its details.
func (r *Error) Unwrap() error {
	if err := r.err.Load(); err != nil {
		return err
	}
	metadata := make([]string, 0, 2*len(r.metadata))
	for key, value := range r.metadata {
		metadata = append(metadata, key, value)
	}
	err := rpcerr.New(r.code, r.reason, r.text, metadata...)
	if r.after > 0 {
		err = rpcerr.Retry(r.code, r.reason, r.text, r.after, metadata...)
	}
	err = rpcerr.Kept(err)
	r.err.Store(err)
	return err
}

// Wire is the answer to a call of Connect's unary protocol: its HTTP status, and its body,
// which must not be changed. There is none for a refusal with a delay, which is another
// one for each caller.
func (r *Error) Wire() (status int, body []byte) {
	if r.after > 0 {
		return 0, nil
	}
	known := r.wire.Load()
	if known == nil {
		known = &wire{}
		var err *connect.Error
		if errors.As(r.Unwrap(), &err) {
			known.status, known.body = rpcerr.Wire(err)
		}
		r.wire.Store(known)
	}
	return known.status, known.body
}

// Message for the answers of a call stream. It must not be changed.
func (r *Error) Message() *flashv1.FlashOrderRefusal {
	if message := r.message.Load(); message != nil {
		return message
	}
	message := &flashv1.FlashOrderRefusal{
		Code: r.code.String(), Reason: r.reason, Message: r.text, Metadata: maps.Clone(r.metadata),
		RetryDelayMs: r.after.Milliseconds(),
	}
	r.message.Store(message)
	return message
}

// FromMessage is the refusal that another pod's Message says, which it keeps. A code that there is
// not becomes internal.
func FromMessage(message *flashv1.FlashOrderRefusal) *Error {
	r := &Error{
		code: connect.CodeInternal, reason: message.GetReason(), text: message.GetMessage(),
		metadata: message.GetMetadata(),
		after:    time.Duration(max(0, message.GetRetryDelayMs())) * time.Millisecond,
	}
	_ = r.code.UnmarshalText([]byte(message.GetCode()))
	r.message.Store(message)
	return r
}

// FromError is the refusal that an error is, wraps or, as an error of package rpcerr on either side
// of the wire, says. What has no reason becomes [rpcerr.ReasonInternal], and says nothing of its cause.
func FromError(err error) *Error {
	var own *Error
	if errors.As(err, &own) {
		return own
	}
	if rpcerr.Reason(err) == "" {
		err = rpcerr.Internal(err)
	}
	r := &Error{code: connect.CodeOf(err), reason: rpcerr.Reason(err), metadata: rpcerr.Metadata(err)}
	r.after, _ = rpcerr.RetryAfter(err)
	var said *connect.Error
	if errors.As(err, &said) {
		r.text = said.Message()
	}
	return r
}

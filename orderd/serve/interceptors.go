package serve

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"connectrpc.com/connect/v2"
	"connectrpc.com/validate"

	"github.com/orderd-dev/orderd/api/gen/orderd/flash/v1/flashv1connect"
	"github.com/orderd-dev/orderd/orderd/kit/audit"
	"github.com/orderd-dev/orderd/orderd/kit/auth"
	"github.com/orderd-dev/orderd/orderd/kit/config"
	"github.com/orderd-dev/orderd/orderd/kit/overload"
	"github.com/orderd-dev/orderd/orderd/kit/rpcerr"
)

// stack is what the interceptors of a pod's servers are made from.
type stack struct {
	metrics *metrics
	// gate and bodies are nil for what is not for apps.
	gate   *overload.Gate
	bodies *overload.Bodies
	// uploads reads what is larger than bodies; nil where nothing is.
	uploads *uploads
	log     *slog.Logger
	http    config.HTTP
	clock   func() time.Time
	// leaving is closed when streams have to end, because the pod does.
	leaving <-chan struct{}
}

// forApps is what stands around the RPCs for apps, from the outside in, behind the gate. Who
// calls is checked before the body is decoded; whose things are meant is known after, and
// before the request is validated, because a buyer may leave out who they are. What anybody
// changes but a buyer for themselves is recorded last: what was refused until there changes nothing.
// A role without a database has no recorder.
func (s stack) forApps(
	guard *auth.Guard, recorder *audit.Recorder, inside connect.ServerInterceptor,
) []connect.ServerInterceptor {
	around := []connect.ServerInterceptor{
		unlessAnswered, s.metrics.observe(s.gate), caching, explain(s.log), guard.Authenticate(), unhurried(ofKnown),
		s.bound(), guard.KeepToOwn(), ofOneRequest(validate.NewServerInterceptor()),
	}
	if recorder != nil {
		around = append(around, recorder.Interceptor())
	}
	if inside != nil {
		around = append(around, inside)
	}
	return around
}

// forPeers is what stands around the RPCs between pods. They are not refused for load: what they
// forward has been admitted already. Who is no pod gets no further than known.
func (s stack) forPeers(known connect.ServerInterceptor) []connect.ServerInterceptor {
	return []connect.ServerInterceptor{
		s.metrics.observe(nil),
		explain(s.log),
		known,
		unhurried(ofAnybody),
		s.bound(),
		ofOneRequest(validate.NewServerInterceptor()),
	}
}

// bound ends a request that takes longer than the configured time. A stream may take longer, but
// not forever: see live.
func (s stack) bound() connect.ServerInterceptor {
	timeout := time.Duration(s.http.RequestTimeout)
	return func(next connect.ServerFunc) connect.ServerFunc {
		return func(ctx context.Context, spec connect.Spec, stream connect.ServerStream) error {
			if spec.StreamType != connect.StreamTypeUnary {
				return s.live(ctx, spec, stream, next)
			}
			if spec.Procedure == flashv1connect.FlashServicePlaceFlashOrderProcedure {
				// It waits no longer than its pod lets it. A timer for each order of a flood, with
				// what hangs on it, is a part of its cost that counts.
				return next(ctx, spec, stream)
			}
			bounded, cancel := context.WithTimeout(ctx, timeout)
			defer cancel()
			return next(bounded, spec, stream)
		}
	}
}

// explain makes every error one that a program can act on: a code and a reason. What the caller must
// not see is logged with the procedure and hidden.
func explain(log *slog.Logger) connect.ServerInterceptor {
	return func(next connect.ServerFunc) connect.ServerFunc {
		return func(ctx context.Context, spec connect.Spec, stream connect.ServerStream) error {
			err := next(ctx, spec, stream)
			if err == nil {
				return nil
			}
			var known answered
			if errors.As(err, &known) {
				if d, ok := ctx.Value(directKey{}).(*direct); ok {
					d.answer(ctx, known)
				}
			}
			out := classify(ctx, err)
			if code := out.Code(); code == connect.CodeInternal || code == connect.CodeUnknown || code == connect.CodeDataLoss {
				log.Error("request failed", "procedure", spec.Procedure, "code", code.String(), "cause", errors.Unwrap(out))
			}
			return out
		}
	}
}

func classify(ctx context.Context, err error) *connect.Error {
	var known *connect.Error
	if errors.As(err, &known) && !known.IsRemote() {
		// What was made with a reason may know it without decoding its details: it
		// is asked as it came.
		if rpcerr.Reason(err) != "" {
			return known
		}
		// Connect puts what a codec says into an error of its own.
		var said *connect.Error
		if errors.As(known.Unwrap(), &said) && !said.IsRemote() && rpcerr.Reason(said) != "" {
			return said
		}
		return rpcerr.WithReason(known, reasonOf(known.Code()))
	}
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		// Whatever failed may have failed only because the time was over.
		err = errors.Join(ctx.Err(), err)
	}
	return rpcerr.From(err)
}

// reasonOf an error that connect itself made: its body could not be decoded, is too large, or broke a
// rule of the proto (the violated field is in the message and the details).
func reasonOf(code connect.Code) string {
	switch code {
	case connect.CodeInvalidArgument:
		return "INVALID_REQUEST"
	case connect.CodeResourceExhausted:
		return "REQUEST_TOO_LARGE"
	case connect.CodeUnimplemented:
		return "UNIMPLEMENTED"
	case connect.CodeCanceled:
		return "CANCELED"
	case connect.CodeDeadlineExceeded:
		return "DEADLINE_EXCEEDED"
	default:
		return "INTERNAL"
	}
}

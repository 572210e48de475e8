package auth

import (
	"context"
	"fmt"
	"time"

	"connectrpc.com/connect/v2"
	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/orderd-dev/orderd/orderd/kit/metric"
	"github.com/orderd-dev/orderd/orderd/kit/rpcerr"
)

// GuardOptions are what callers are checked with. Verifier and Clock have to be set.
type GuardOptions struct {
	Verifier *Verifier
	// Callers limits each buyer and member of staff, Services each service.
	Callers, Services Limits
	Clock             func() time.Time
	Registerer        prometheus.Registerer
}

// Guard has the interceptors that check callers.
type Guard struct {
	verifier *Verifier
	limiter  *limiter
	policies policies
	refused  *prometheus.CounterVec
}

// NewGuard makes a guard.
func NewGuard(o GuardOptions) (*Guard, error) {
	l, err := newLimiter(o.Callers, o.Services, o.Clock)
	if err != nil {
		return nil, err
	}
	g := &Guard{verifier: o.Verifier, limiter: l, refused: prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "orderd_auth_refusals_total", Help: "Calls that were refused for who made them, by reason.",
	}, []string{"reason"})}
	return g, metric.Register(o.Registerer, "auth", g.refused)
}

// Authenticate lets a caller with a valid token and one of the RPC's roles in, and none who asks
// too much. It decides before the body is decoded. The handler finds the caller by CallerFrom.
func (g *Guard) Authenticate() connect.ServerInterceptor {
	return func(next connect.ServerFunc) connect.ServerFunc {
		return func(ctx context.Context, spec connect.Spec, stream connect.ServerStream) error {
			policy := g.policies.of(spec)
			if policy.Public {
				return next(ctx, spec, stream)
			}
			caller, asking, err := g.admit(ctx, policy)
			if err != nil {
				g.refused.WithLabelValues(rpcerr.Reason(err)).Inc()
				challenge(ctx, err)
				return err
			}
			defer asking.answered()
			return next(WithCaller(ctx, caller), spec, stream)
		}
	}
}

// admit tells who calls, and for what more; that has to be told once this call is answered.
func (g *Guard) admit(ctx context.Context, policy Policy) (caller Caller, asking *asking, err error) {
	var values []string
	if info, ok := connect.CallInfoForServerContext(ctx); ok {
		values = info.RequestHeader().Values("Authorization")
	}
	token, err := bearer(values)
	if err != nil {
		return Caller{}, nil, err
	}
	if caller, err = g.verifier.Verify(ctx, token); err != nil {
		return Caller{}, nil, err
	}
	caller.Acting, caller.Personal = caller.Roles&policy.Roles, policy.Personal
	if caller.Acting == 0 {
		return Caller{}, nil, rpcerr.New(connect.CodePermissionDenied, rpcerr.ReasonRoleMissing,
			"the caller has none of the roles that may do this", "roles", policy.Roles.String())
	}
	asking, err = g.limiter.take(caller)
	return caller, asking, err
}

// challenge is the header that RFC 6750, section 3, asks for beside a 401.
func challenge(ctx context.Context, err error) {
	info, ok := connect.CallInfoForServerContext(ctx)
	if !ok || connect.CodeOf(err) != connect.CodeUnauthenticated {
		return
	}
	value := "Bearer"
	if rpcerr.Reason(err) != "TOKEN_MISSING" {
		value = `Bearer error="invalid_token"`
	}
	info.ResponseHeader().Set("WWW-Authenticate", value)
}

// KeepToOwn makes a caller whom only the buyer role lets in reach only what is theirs: each request's
// buyer_id is filled with the subject if it is empty, and refused if it is another's. It works on
// what Authenticate let in, before the request is validated.
func (g *Guard) KeepToOwn() connect.ServerInterceptor {
	return func(next connect.ServerFunc) connect.ServerFunc {
		return func(ctx context.Context, spec connect.Spec, stream connect.ServerStream) error {
			policy := g.policies.of(spec)
			caller, known := CallerFrom(ctx)
			if known && policy.buyerID != nil && caller.AsBuyer() {
				stream = &ownStream{ServerStream: stream, guard: g, field: policy.buyerID, subject: caller.Subject}
			}
			return next(ctx, spec, stream)
		}
	}
}

type ownStream struct {
	connect.ServerStream

	guard   *Guard
	field   protoreflect.FieldDescriptor
	subject string
}

func (s *ownStream) Receive(msg any) error {
	if err := s.ServerStream.Receive(msg); err != nil {
		return err
	}
	request, ok := msg.(proto.Message)
	if !ok || request.ProtoReflect().Descriptor() != s.field.ContainingMessage() {
		return rpcerr.Internal(fmt.Errorf("a %T is no %s", msg, s.field.ContainingMessage().FullName()))
	}
	m := request.ProtoReflect()
	switch m.Get(s.field).String() {
	case s.subject:
	case "":
		m.Set(s.field, protoreflect.ValueOfString(s.subject))
	default:
		err := rpcerr.New(connect.CodePermissionDenied, rpcerr.ReasonOtherBuyer, "a buyer can only act for themselves",
			"field", buyerIDField)
		s.guard.refused.WithLabelValues(rpcerr.Reason(err)).Inc()
		return err
	}
	return nil
}

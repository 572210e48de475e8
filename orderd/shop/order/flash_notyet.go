package order

import (
	"context"
	"errors"
	"sync"

	"connectrpc.com/connect/v2"
	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/orderd-dev/orderd/api/gen/orderd/order/v1/orderv1connect"
	"github.com/orderd-dev/orderd/orderd/kit/rpcerr"
)

// NotYet lets RPCs that name a buyer's order answer ORDER_NOT_READY, instead of that there is
// no such order, while the flash lane has accepted the order and it is not in the database
// yet. It stands around the handlers of all services, which know the database only, and behind
// what fills buyer_id.
func (s *Service) NotYet() connect.ServerInterceptor {
	return func(next connect.ServerFunc) connect.ServerFunc {
		var once sync.Once
		var fields *orderFields
		return func(ctx context.Context, spec connect.Spec, stream connect.ServerStream) error {
			once.Do(func() { fields = orderFieldsOf(spec) })
			if fields == nil {
				return next(ctx, spec, stream)
			}
			seen := &seeing{ServerStream: stream}
			err := next(ctx, spec, seen)
			if err == nil || rpcerr.Reason(err) != reasonNotFound || seen.request == nil {
				return err
			}
			buyer, text := fields.of(seen.request)
			id, parseErr := uuid.Parse(text)
			if parseErr != nil || !s.mayBeInFlashLane(buyer, id) {
				return err
			}
			return s.notYet(ctx, buyer, id, err)
		}
	}
}

// notYet is what to answer instead of refused, an error that says that there is no such order.
func (s *Service) notYet(ctx context.Context, buyerID string, id uuid.UUID, refused error) error {
	o, err := s.find(ctx, buyerID, id)
	switch {
	case errors.Is(err, ErrNotFound):
		return refused
	case err != nil:
		return rpcError(err)
	case o.Version == 0 && o.State == Cancelled:
		return Conflict(o.State)
	}
	const text = "the order is accepted, and not in the database yet; retry"
	return rpcerr.Retry(connect.CodeUnavailable, rpcerr.ReasonOrderNotReady, text, s.retryDelay())
}

// orderFields are where a request names a buyer and an order.
type orderFields struct{ buyer, order protoreflect.FieldDescriptor }

// orderFieldsOf is nil for RPCs whose requests do not name both, and for GetOrder, which asks
// the flash lane itself.
func orderFieldsOf(spec connect.Spec) *orderFields {
	method, ok := spec.Schema.(protoreflect.MethodDescriptor)
	if !ok || spec.StreamType != connect.StreamTypeUnary ||
		spec.Procedure == orderv1connect.OrderServiceGetOrderProcedure {
		return nil
	}
	text := func(name protoreflect.Name) protoreflect.FieldDescriptor {
		field := method.Input().Fields().ByName(name)
		if field == nil || field.Kind() != protoreflect.StringKind || field.Cardinality() == protoreflect.Repeated {
			return nil
		}
		return field
	}
	f := &orderFields{buyer: text("buyer_id"), order: text("order_id")}
	if f.buyer == nil || f.order == nil {
		return nil
	}
	return f
}

func (f *orderFields) of(request proto.Message) (buyer, order string) {
	m := request.ProtoReflect()
	if m.Descriptor() != f.buyer.ContainingMessage() {
		return "", ""
	}
	return m.Get(f.buyer).String(), m.Get(f.order).String()
}

// seeing is a call that keeps its request.
type seeing struct {
	connect.ServerStream

	request proto.Message
}

func (s *seeing) Receive(msg any) error {
	if err := s.ServerStream.Receive(msg); err != nil {
		return err
	}
	s.request, _ = msg.(proto.Message)
	return nil
}

package returns

import (
	"context"
	"errors"
	"io"
	"time"

	"connectrpc.com/connect/v2"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/protobuf/proto"

	orderv1 "github.com/orderd-dev/orderd/api/gen/orderd/order/v1"
	returnsv1 "github.com/orderd-dev/orderd/api/gen/orderd/returns/v1"
	"github.com/orderd-dev/orderd/orderd/kit/auth"
	"github.com/orderd-dev/orderd/orderd/kit/database"
	"github.com/orderd-dev/orderd/orderd/kit/idempotency"
	"github.com/orderd-dev/orderd/orderd/kit/lifecycle"
	"github.com/orderd-dev/orderd/orderd/kit/metric"
	"github.com/orderd-dev/orderd/orderd/kit/rpcerr"
	"github.com/orderd-dev/orderd/orderd/shop/order"
)

// DefaultWindow is how long after its delivery goods can be returned.
const DefaultWindow = 15 * 24 * time.Hour

const actorBuyer = "buyer"

// Orders is what returns ask of their orders. Nothing else changes an order.
type Orders interface {
	GrantRefund(ctx context.Context, tx *database.Tx, at time.Time, g order.Grant) (order.Granted, error)
	Announce(
		ctx context.Context,
		tx pgx.Tx,
		at time.Time,
		orderID uuid.UUID,
		name string,
		payload func(*orderv1.Order) proto.Message,
	) error
}

var (
	_ Orders        = (*order.Store)(nil)
	_ order.Returns = (*Service)(nil)
)

// Options of a Service. All but Window and Registerer have to be set.
type Options struct {
	Pool    *pgxpool.Pool
	Orders  Orders
	Parcels Parcels
	// Window is how long after its delivery goods can be returned; DefaultWindow if zero.
	Window time.Duration
	Clock  func() time.Time
	// Random makes ids: crypto/rand.Reader.
	Random     io.Reader
	Registerer prometheus.Registerer
}

// Service is the handler of ReturnService. Requests reach it validated.
type Service struct {
	pool    *pgxpool.Pool
	orders  Orders
	parcels Parcels
	window  time.Duration
	now     func() time.Time
	random  io.Reader
	metrics *metrics
}

type metrics struct{ changes *prometheus.CounterVec }

// NewService makes the handler; an error is the registerer's.
func NewService(o Options) (*Service, error) {
	s := &Service{pool: o.Pool, orders: o.Orders, parcels: o.Parcels, window: o.Window, now: o.Clock, random: o.Random}
	if s.window <= 0 {
		s.window = DefaultWindow
	}
	s.metrics = &metrics{changes: prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "orderd_return_changes_total", Help: "Changes of returns, by event and kind.",
	}, []string{"event", "kind"})}
	return s, metric.Register(o.Registerer, "returns", s.metrics.changes)
}

// RequestReturn asks for a return once a request id.
func (s *Service) RequestReturn(
	ctx context.Context, req *returnsv1.RequestReturnRequest,
) (*returnsv1.RequestReturnResponse, error) {
	scope := idempotency.BuyerScope(req.GetBuyerId())
	return once(ctx, s, scope, req, func(tx *database.Tx) (*returnsv1.RequestReturnResponse, error) {
		w, err := s.request(ctx, tx, database.Stamp(s.now()), req)
		if err != nil {
			return nil, err
		}
		return &returnsv1.RequestReturnResponse{Return: w.ret.proto()}, nil
	})
}

// CancelReturn takes a buyer's return back.
func (s *Service) CancelReturn(
	ctx context.Context, req *returnsv1.CancelReturnRequest,
) (*returnsv1.CancelReturnResponse, error) {
	return changeOne(ctx, s, req, func(w *work) error {
		return w.step(Cancel, actorBuyer, "")
	}, func(r *returnsv1.Return) *returnsv1.CancelReturnResponse {
		return &returnsv1.CancelReturnResponse{Return: r}
	})
}

// SendReturn says that the buyer has sent the parcel.
func (s *Service) SendReturn(
	ctx context.Context, req *returnsv1.SendReturnRequest,
) (*returnsv1.SendReturnResponse, error) {
	return changeOne(ctx, s, req, func(w *work) error {
		if err := w.withParcel(); err != nil {
			return err
		}
		w.ret.Carrier, w.ret.TrackingNumber = req.GetCarrier(), req.GetTrackingNumber()
		return w.step(Send, actorBuyer, "")
	}, func(r *returnsv1.Return) *returnsv1.SendReturnResponse {
		return &returnsv1.SendReturnResponse{Return: r}
	})
}

// ApproveReturn lets a return go on.
func (s *Service) ApproveReturn(
	ctx context.Context, req *returnsv1.ApproveReturnRequest,
) (*returnsv1.ApproveReturnResponse, error) {
	return changeOne(ctx, s, req, func(w *work) error {
		return w.step(Approve, auth.StaffActor(ctx), "")
	}, func(r *returnsv1.Return) *returnsv1.ApproveReturnResponse {
		return &returnsv1.ApproveReturnResponse{Return: r}
	})
}

// RejectReturn ends a return with nothing.
func (s *Service) RejectReturn(
	ctx context.Context, req *returnsv1.RejectReturnRequest,
) (*returnsv1.RejectReturnResponse, error) {
	return changeOne(ctx, s, req, func(w *work) error {
		w.ret.Rejection = req.GetReason()
		return w.step(Reject, auth.StaffActor(ctx), req.GetReason())
	}, func(r *returnsv1.Return) *returnsv1.RejectReturnResponse {
		return &returnsv1.RejectReturnResponse{Return: r}
	})
}

// ReceiveReturn says that the parcel has come back. What the buyer never said was sent
// has been, evidently.
func (s *Service) ReceiveReturn(
	ctx context.Context, req *returnsv1.ReceiveReturnRequest,
) (*returnsv1.ReceiveReturnResponse, error) {
	return changeOne(ctx, s, req, func(w *work) error {
		if err := w.withParcel(); err != nil {
			return err
		}
		if w.ret.State == Approved {
			if err := w.step(Send, auth.StaffActor(ctx), ""); err != nil {
				return err
			}
		}
		return w.step(Receive, auth.StaffActor(ctx), "")
	}, func(r *returnsv1.Return) *returnsv1.ReceiveReturnResponse {
		return &returnsv1.ReceiveReturnResponse{Return: r}
	})
}

// InspectReturn notes what goes back in stock.
func (s *Service) InspectReturn(
	ctx context.Context, req *returnsv1.InspectReturnRequest,
) (*returnsv1.InspectReturnResponse, error) {
	return changeOne(ctx, s, req, func(w *work) error {
		if err := w.step(Inspect, auth.StaffActor(ctx), req.GetNote()); err != nil {
			return err
		}
		return w.inspect(req.GetLines())
	}, func(r *returnsv1.Return) *returnsv1.InspectReturnResponse {
		return &returnsv1.InspectReturnResponse{Return: r}
	})
}

// RefundReturn grants a return's refund.
func (s *Service) RefundReturn(
	ctx context.Context, req *returnsv1.RefundReturnRequest,
) (*returnsv1.RefundReturnResponse, error) {
	return changeOne(ctx, s, req, func(w *work) error {
		var amount *int64
		if m := req.GetAmount(); m != nil {
			if m.GetCurrency() != w.ret.Currency {
				return rpcerr.New(connect.CodeInvalidArgument, rpcerr.ReasonCurrencyMismatch, "the order's currency is another",
					"field", "amount")
			}
			amount = &m.Amount
		}
		return w.refund(ctx, amount, auth.StaffActor(ctx))
	}, func(r *returnsv1.Return) *returnsv1.RefundReturnResponse {
		return &returnsv1.RefundReturnResponse{Return: r}
	})
}

// withParcel refuses what only a return with a parcel has.
func (w *work) withParcel() error {
	if w.ret.Kind == WithParcelKind {
		return nil
	}
	return stateConflict(w.ret.State)
}

// mutation is what every request has that changes something.
type mutation interface {
	proto.Message
	GetRequestId() string
}

// changeOne does something to the return that the request names, once a request id: a buyer's
// request to their own, staff's to anybody's.
func changeOne[A proto.Message](
	ctx context.Context, s *Service, req interface {
		mutation
		GetReturnId() string
	}, do func(*work) error, answer func(*returnsv1.Return) A,
) (A, error) {
	var none A
	id, err := uuid.Parse(req.GetReturnId())
	if err != nil {
		return none, rpcError(errNotFound)
	}
	scope, buyerID := idempotency.StaffScope, ""
	if b, ok := req.(interface{ GetBuyerId() string }); ok {
		buyerID = b.GetBuyerId()
		scope = idempotency.BuyerScope(buyerID)
	}
	return once(ctx, s, scope, req, func(tx *database.Tx) (A, error) {
		locked, err := lock(ctx, tx, id)
		if err == nil && buyerID != "" && locked.BuyerID != buyerID {
			err = errNotFound
		}
		if err != nil {
			return none, err
		}
		w := s.newWork(tx, database.Stamp(s.now()), locked)
		if err := do(w); err != nil {
			return none, err
		}
		return answer(locked.proto()), w.write(ctx)
	})
}

// once runs effect in a transaction once a request id.
func once[A proto.Message](
	ctx context.Context, s *Service, scope string, req mutation, effect func(*database.Tx) (A, error),
) (A, error) {
	var none A
	request, err := idempotency.NewRequest(scope, req.GetRequestId(), req)
	if err != nil {
		return none, rpcError(err)
	}
	answer, err := idempotency.Once(ctx, s.pool, request, database.Stamp(s.now()), effect)
	if err != nil {
		return none, rpcError(err)
	}
	return answer, nil
}

func stateConflict(state State) error {
	return rpcerr.New(connect.CodeFailedPrecondition, rpcerr.ReasonReturnStateConflict,
		"the return's state, or its kind, does not allow this", "state", string(state))
}

func rpcError(err error) error {
	var refused *lifecycle.RefusedError
	switch {
	case errors.Is(err, errNotFound):
		return rpcerr.New(connect.CodeNotFound, rpcerr.ReasonReturnNotFound, "there is no such return")
	case errors.Is(err, order.ErrNotFound):
		return order.NotFound()
	case errors.As(err, &refused):
		return stateConflict(State(refused.State))
	}
	return database.RPCError(err)
}

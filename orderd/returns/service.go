package returns

import (
	"context"
	"errors"
	"fmt"
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
	"github.com/orderd-dev/orderd/orderd/auth"
	"github.com/orderd-dev/orderd/orderd/database"
	"github.com/orderd-dev/orderd/orderd/idempotency"
	"github.com/orderd-dev/orderd/orderd/lifecycle"
	"github.com/orderd-dev/orderd/orderd/order"
	"github.com/orderd-dev/orderd/orderd/rpcerr"
)

// DefaultWindow is how long after its delivery goods can be returned.
const DefaultWindow = 15 * 24 * time.Hour

const (
	actorBuyer = "buyer"
	actorStaff = "staff"
)

// Orders is what returns ask of their orders. Nothing else changes an order.
type Orders interface {
	GrantRefund(ctx context.Context, tx *database.Tx, at time.Time, g order.Grant) (order.Granted, error)
	Announce(ctx context.Context, tx pgx.Tx, at time.Time, orderID uuid.UUID, name string, payload func(*orderv1.Order) proto.Message) error
}

var _ Orders = (*order.Store)(nil)

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
	if o.Registerer != nil {
		if err := o.Registerer.Register(s.metrics.changes); err != nil {
			return nil, fmt.Errorf("registering the metrics of returns: %w", err)
		}
	}
	return s, nil
}

// RequestReturn asks for a return once a request id.
func (s *Service) RequestReturn(ctx context.Context, req *returnsv1.RequestReturnRequest) (*returnsv1.RequestReturnResponse, error) {
	answer := &returnsv1.RequestReturnResponse{}
	err := s.once(ctx, idempotency.BuyerScope(req.GetBuyerId()), req.GetRequestId(), req, answer, func(tx *database.Tx) (*work, error) {
		w, err := s.request(ctx, tx, database.Stamp(s.now()), req)
		if err == nil {
			answer.Return = w.ret.proto()
		}
		return w, err
	})
	if err != nil {
		return nil, err
	}
	return answer, nil
}

// CancelReturn takes a buyer's return back.
func (s *Service) CancelReturn(ctx context.Context, req *returnsv1.CancelReturnRequest) (*returnsv1.CancelReturnResponse, error) {
	answer := &returnsv1.CancelReturnResponse{}
	err := s.change(ctx, req, answer, func(w *work) error {
		err := w.step(Cancel, actorBuyer, "")
		answer.Return = w.ret.proto()
		return err
	})
	if err != nil {
		return nil, err
	}
	return answer, nil
}

// SendReturn says that the buyer has sent the parcel.
func (s *Service) SendReturn(ctx context.Context, req *returnsv1.SendReturnRequest) (*returnsv1.SendReturnResponse, error) {
	answer := &returnsv1.SendReturnResponse{}
	err := s.change(ctx, req, answer, func(w *work) error {
		if err := w.withParcel(); err != nil {
			return err
		}
		w.ret.Carrier, w.ret.TrackingNumber = req.GetCarrier(), req.GetTrackingNumber()
		err := w.step(Send, actorBuyer, "")
		answer.Return = w.ret.proto()
		return err
	})
	if err != nil {
		return nil, err
	}
	return answer, nil
}

// ApproveReturn lets a return go on.
func (s *Service) ApproveReturn(ctx context.Context, req *returnsv1.ApproveReturnRequest) (*returnsv1.ApproveReturnResponse, error) {
	answer := &returnsv1.ApproveReturnResponse{}
	err := s.change(ctx, req, answer, func(w *work) error {
		err := w.step(Approve, staff(ctx), "")
		answer.Return = w.ret.proto()
		return err
	})
	if err != nil {
		return nil, err
	}
	return answer, nil
}

// RejectReturn ends a return with nothing.
func (s *Service) RejectReturn(ctx context.Context, req *returnsv1.RejectReturnRequest) (*returnsv1.RejectReturnResponse, error) {
	answer := &returnsv1.RejectReturnResponse{}
	err := s.change(ctx, req, answer, func(w *work) error {
		w.ret.Rejection = req.GetReason()
		err := w.step(Reject, staff(ctx), req.GetReason())
		answer.Return = w.ret.proto()
		return err
	})
	if err != nil {
		return nil, err
	}
	return answer, nil
}

// ReceiveReturn says that the parcel has come back. What the buyer never said was sent has been, evidently.
func (s *Service) ReceiveReturn(ctx context.Context, req *returnsv1.ReceiveReturnRequest) (*returnsv1.ReceiveReturnResponse, error) {
	answer := &returnsv1.ReceiveReturnResponse{}
	err := s.change(ctx, req, answer, func(w *work) error {
		if err := w.withParcel(); err != nil {
			return err
		}
		if w.ret.State == Approved {
			if err := w.step(Send, staff(ctx), ""); err != nil {
				return err
			}
		}
		err := w.step(Receive, staff(ctx), "")
		answer.Return = w.ret.proto()
		return err
	})
	if err != nil {
		return nil, err
	}
	return answer, nil
}

// InspectReturn notes what goes back in stock.
func (s *Service) InspectReturn(ctx context.Context, req *returnsv1.InspectReturnRequest) (*returnsv1.InspectReturnResponse, error) {
	answer := &returnsv1.InspectReturnResponse{}
	err := s.change(ctx, req, answer, func(w *work) error {
		if err := w.step(Inspect, staff(ctx), req.GetNote()); err != nil {
			return err
		}
		err := w.inspect(req.GetLines())
		answer.Return = w.ret.proto()
		return err
	})
	if err != nil {
		return nil, err
	}
	return answer, nil
}

// RefundReturn grants a return's refund.
func (s *Service) RefundReturn(ctx context.Context, req *returnsv1.RefundReturnRequest) (*returnsv1.RefundReturnResponse, error) {
	answer := &returnsv1.RefundReturnResponse{}
	err := s.change(ctx, req, answer, func(w *work) error {
		var amount *int64
		if m := req.GetAmount(); m != nil {
			if m.GetCurrency() != w.ret.Currency {
				return rpcerr.New(connect.CodeInvalidArgument, "CURRENCY_MISMATCH", "the order's currency is another", "field", "amount")
			}
			amount = &m.Amount
		}
		err := w.refund(ctx, amount, staff(ctx))
		answer.Return = w.ret.proto()
		return err
	})
	if err != nil {
		return nil, err
	}
	return answer, nil
}

// withParcel refuses what only a return with a parcel has.
func (w *work) withParcel() error {
	if w.ret.Kind == WithParcelKind {
		return nil
	}
	return stateConflict(w.ret.State)
}

// change does something to a return once a request id: a buyer's to their own, staff's to anybody's. do fills the answer.
func (s *Service) change(ctx context.Context, req, answer proto.Message, do func(*work) error) error {
	r, ok := req.(interface {
		GetRequestId() string
		GetReturnId() string
	})
	if !ok {
		return rpcerr.Internal(fmt.Errorf("%T has no request id or return id", req))
	}
	id, err := uuid.Parse(r.GetReturnId())
	if err != nil {
		return rpcError(errNotFound)
	}
	scope, buyerID := idempotency.StaffScope, ""
	if b, ok := req.(interface{ GetBuyerId() string }); ok {
		buyerID = b.GetBuyerId()
		scope = idempotency.BuyerScope(buyerID)
	}
	return s.once(ctx, scope, r.GetRequestId(), req, answer, func(tx *database.Tx) (*work, error) {
		locked, err := lock(ctx, tx, id)
		if err == nil && buyerID != "" && locked.BuyerID != buyerID {
			err = errNotFound
		}
		if err != nil {
			return nil, err
		}
		w := &work{service: s, tx: tx, at: database.Stamp(s.now()), ret: locked}
		if err := do(w); err != nil {
			return nil, err
		}
		return w, w.write(ctx)
	})
}

// once runs effect in a transaction once a request id; effect fills the answer. The request id is claimed first, because its row
// is locked before any other, and gets its answer at the end.
func (s *Service) once(ctx context.Context, scope, requestID string, req, answer proto.Message, effect func(*database.Tx) (*work, error)) error {
	request, err := idempotency.NewRequest(scope, requestID, req)
	if err != nil {
		return rpcerr.Internal(err)
	}
	var made *work
	err = idempotency.Do(ctx, s.pool, request, answer, func(tx *database.Tx) error {
		made = nil
		proto.Reset(answer)
		var claim, fill pgx.Batch
		if err := request.Claim(&claim, database.Stamp(s.now()), answer); err != nil {
			return err
		}
		if err := tx.SendBatch(ctx, &claim).Close(); err != nil {
			return err
		}
		w, err := effect(tx)
		if err != nil {
			return err
		}
		if err := request.Replace(&fill, answer); err != nil {
			return err
		}
		made = w
		return tx.SendBatch(ctx, &fill).Close()
	})
	if err != nil {
		return rpcError(err)
	}
	if made != nil {
		made.done()
	}
	return nil
}

// staff is who of the staff acts, for the history.
func staff(ctx context.Context) string {
	if caller, ok := auth.CallerFrom(ctx); ok {
		return actorStaff + " " + caller.Subject
	}
	return actorStaff
}

func stateConflict(state State) error {
	return rpcerr.New(connect.CodeFailedPrecondition, "RETURN_STATE_CONFLICT", "the return's state, or its kind, does not allow this", "state", string(state))
}

func rpcError(err error) error {
	var refused *lifecycle.Refused
	switch {
	case errors.Is(err, errNotFound):
		return rpcerr.New(connect.CodeNotFound, "RETURN_NOT_FOUND", "there is no such return")
	case errors.Is(err, order.ErrNotFound):
		return order.NotFound()
	case errors.As(err, &refused):
		return stateConflict(State(refused.State))
	}
	return database.RPCError(err)
}

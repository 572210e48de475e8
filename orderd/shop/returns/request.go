package returns

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	"connectrpc.com/connect/v2"
	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"

	orderv1 "github.com/orderd-dev/orderd/api/gen/orderd/order/v1"
	returnsv1 "github.com/orderd-dev/orderd/api/gen/orderd/returns/v1"
	"github.com/orderd-dev/orderd/orderd/kit/database"
	"github.com/orderd-dev/orderd/orderd/kit/rpcerr"
	"github.com/orderd-dev/orderd/orderd/shop/order"
)

// maxReturns an order may have had.
const maxReturns = 100

// request writes a return of an order's units, in a transaction in which the order is locked.
func (s *Service) request(
	ctx context.Context, tx *database.Tx, at time.Time, req *returnsv1.RequestReturnRequest,
) (*work, error) {
	orderID, err := uuid.Parse(req.GetOrderId())
	if err != nil {
		return nil, order.ErrNotFound
	}
	id, err := uuid.NewRandomFromReader(s.random)
	if err != nil {
		return nil, fmt.Errorf("return id: %w", err)
	}
	o, err := order.Lock(ctx, tx, orderID)
	if err != nil {
		return nil, err
	}
	if o.BuyerID != req.GetBuyerId() {
		return nil, order.ErrNotFound
	}
	if err := s.allowed(o, at); err != nil {
		return nil, err
	}
	r := newReturn(id, o, at, req)
	spoken, all, err := count(ctx, tx, orderID)
	if err != nil {
		return nil, err
	}
	if all >= maxReturns {
		return nil, rpcerr.New(connect.CodeResourceExhausted, rpcerr.ReasonTooManyReturns,
			"the order has had too many returns")
	}
	if err := r.fill(o, req.GetLines(), spoken); err != nil {
		return nil, err
	}
	w := s.newWork(tx, at, r)
	if err := w.step(Request, actorBuyer, r.Reason); err != nil {
		return nil, err
	}
	if err := insert(ctx, tx, r, w.changes); err != nil {
		return nil, err
	}
	return w, w.announce(ctx)
}

// allowed tells whether an order's state and age let units of it be returned.
func (s *Service) allowed(o *order.Order, at time.Time) error {
	if !slices.Contains([]order.State{order.Paid, order.Shipped, order.Delivered, order.Completed}, o.State) {
		return order.Conflict(o.State)
	}
	since := o.DeliveredAt
	if since == nil {
		since = o.CompletedAt
	}
	if since != nil && at.Sub(*since) > s.window {
		return rpcerr.New(connect.CodeFailedPrecondition, rpcerr.ReasonReturnWindowClosed,
			"the time to return what was delivered is over")
	}
	return nil
}

func newReturn(id uuid.UUID, o *order.Order, at time.Time, req *returnsv1.RequestReturnRequest) *Return {
	r := &Return{
		ID:          id,
		OrderID:     o.ID,
		BuyerID:     o.BuyerID,
		Kind:        WithParcelKind,
		Unshipped:   req.GetUnshipped(),
		Reason:      req.GetReason().String()[len(reasonPrefix):],
		Description: req.GetDescription(),
		Pictures:    req.GetPictures(),
		Currency:    o.Currency,
		CreatedAt:   at,
		UpdatedAt:   at,
	}
	if r.Pictures == nil {
		r.Pictures = []string{}
	}
	if req.GetKind() == returnsv1.ReturnKind_RETURN_KIND_REFUND_ONLY {
		r.Kind = RefundOnlyKind
		r.Unshipped = r.Unshipped || o.State == order.Paid
	}
	return r
}

// fill gives a return its lines, if the order has as many units that are not refunded or in
// another open return.
func (r *Return) fill(o *order.Order, wanted []*returnsv1.ReturnLineQuantity, spoken spokenFor) error {
	for _, want := range wanted {
		n := want.GetLine()
		left := int64(0)
		if n <= int64(len(o.Lines)) {
			left = max(returnable(o.Lines[n-1], r.Unshipped, spoken[spokenKey{n, r.Unshipped}]), 0)
		}
		if want.GetQuantity() > left {
			return rpcerr.New(connect.CodeFailedPrecondition, rpcerr.ReasonNotReturnable,
				"the line has not as many units that can be returned so", "line", strconv.FormatInt(n, 10), "left",
				strconv.FormatInt(left, 10))
		}
		line := Line{Line: n, SKU: o.Lines[n-1].SKU, Title: o.Lines[n-1].Title, Quantity: want.GetQuantity()}
		if r.Unshipped {
			// What never left is as good as new.
			line.Restock = line.Quantity
		}
		r.Lines = append(r.Lines, line)
	}
	return nil
}

// work is what one transaction does to one return, which is locked or new.
type work struct {
	service *Service
	tx      *database.Tx
	at      time.Time
	ret     *Return
	changes []change
}

// newWork is for a return that is locked, or new. What it changes is counted after the commit.
func (s *Service) newWork(tx *database.Tx, at time.Time, r *Return) *work {
	w := &work{service: s, tx: tx, at: at, ret: r}
	tx.AfterCommit(func() {
		for _, c := range w.changes {
			s.metrics.changes.WithLabelValues(string(c.event), string(r.Kind)).Inc()
		}
	})
	return w
}

func (w *work) step(event Event, actor, reason string) error {
	c, err := step(w.ret, event, w.at, actor, reason)
	if err != nil {
		return err
	}
	w.changes = append(w.changes, c)
	return nil
}

// write writes a locked return and announces it.
func (w *work) write(ctx context.Context) error {
	if len(w.changes) == 0 {
		return nil
	}
	if err := update(ctx, w.tx, w.ret, w.changes); err != nil {
		return err
	}
	return w.announce(ctx)
}

func (w *work) announce(ctx context.Context) error {
	return w.service.orders.Announce(
		ctx,
		w.tx,
		w.at,
		w.ret.OrderID,
		"return_changed",
		func(o *orderv1.Order) proto.Message {
			return &orderv1.OrderReturnChanged{Order: o, ReturnId: w.ret.ID.String(), State: string(w.ret.State)}
		},
	)
}

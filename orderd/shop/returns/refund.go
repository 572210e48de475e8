package returns

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"connectrpc.com/connect/v2"
	"github.com/google/uuid"

	returnsv1 "github.com/orderd-dev/orderd/api/gen/orderd/returns/v1"
	"github.com/orderd-dev/orderd/orderd/kit/database"
	"github.com/orderd-dev/orderd/orderd/kit/lifecycle"
	"github.com/orderd-dev/orderd/orderd/kit/rpcerr"
	"github.com/orderd-dev/orderd/orderd/shop/order"
	"github.com/orderd-dev/orderd/orderd/shop/shipment"
)

// busyRetry is what callers are asked to wait whose order's parcels changed while
// they were looked at.
const busyRetry = 100 * time.Millisecond

// Parcels are orders' parcels: units that are refunded before they leave are taken out of them.
type Parcels interface {
	// LockWaiting locks an order's parcels that have not left, before the order is locked.
	LockWaiting(ctx context.Context, tx *database.Tx, at time.Time, orderID uuid.UUID) (*shipment.Waiting, error)
}

var _ Parcels = (*shipment.Store)(nil)

// refund grants a return's refund: the return is REFUNDED from then on, because the grant is what
// can fail and what counts against the order. Paying it out is the payment's to repeat until it is
// done, and is seen on the order.
func (w *work) refund(ctx context.Context, amount *int64, actor string) error {
	r := w.ret
	event := Refund
	if r.Kind == RefundOnlyKind {
		event = RefundOnly
	}
	if _, err := transitions.Next(r.State, event); err != nil {
		return err
	}
	var waiting *shipment.Waiting
	if r.Unshipped {
		var err error
		if waiting, err = w.takeOut(ctx, actor); err != nil {
			return err
		}
	}
	granted, err := w.service.orders.GrantRefund(ctx, w.tx, w.at, order.Grant{
		OrderID: r.OrderID, Key: r.key(), Lines: r.quantities(), Amount: amount, Reason: "RETURN", Actor: actor,
		Restock: len(r.restocked()) > 0, RestockLines: r.restocked(), Left: !r.Unshipped,
	})
	if err != nil {
		return grantError(err)
	}
	if waiting != nil {
		if err := waiting.RequestRest(ctx, r.key(), actor); err != nil {
			return err
		}
	}
	r.Refund = &granted.Amount
	for _, g := range granted.Lines {
		for i := range r.Lines {
			if r.Lines[i].Line == g.Line {
				r.Lines[i].Refund = g.Amount
			}
		}
	}
	return w.step(event, actor, fmt.Sprintf("refund of %d %s", granted.Amount, granted.Currency))
}

// takeOut makes sure that the return's units are in no parcel and have not left.
func (w *work) takeOut(ctx context.Context, actor string) (*shipment.Waiting, error) {
	r := w.ret
	waiting, err := w.service.parcels.LockWaiting(ctx, w.tx, w.at, r.OrderID)
	if err != nil {
		return nil, err
	}
	o, err := order.Lock(ctx, w.tx, r.OrderID)
	if err != nil {
		return nil, err
	}
	if o.State == order.Cancelled {
		return nil, order.Conflict(o.State)
	}
	var inParcels []order.LineQuantity
	for _, l := range r.Lines {
		line := o.Lines[l.Line-1]
		if returnable(line, true, 0) < l.Quantity {
			return nil, rpcerr.New(connect.CodeFailedPrecondition, rpcerr.ReasonAlreadyShipped,
				"units that had not left when the return was requested have left meanwhile", "line", strconv.FormatInt(l.Line, 10))
		}
		if need := l.Quantity - (returnable(line, true, 0) - line.Shipping); need > 0 {
			inParcels = append(inParcels, order.LineQuantity{Line: l.Line, Quantity: need})
		}
	}
	free, err := waiting.TakeOut(ctx, inParcels, actor)
	if err != nil {
		return nil, err
	}
	if !free {
		return nil, rpcerr.Retry(connect.CodeAborted, rpcerr.ReasonOrderBusy,
			"a parcel was requested at the same time; retry with the same request id", busyRetry)
	}
	return waiting, nil
}

func grantError(err error) error {
	var refused *lifecycle.RefusedError
	switch {
	case errors.As(err, &refused):
		return order.Conflict(order.State(refused.State))
	case errors.Is(err, order.ErrRefundExceeds):
		return rpcerr.New(connect.CodeFailedPrecondition, rpcerr.ReasonRefundExceeds,
			"more would be refunded than was paid for the units", "field", "amount")
	}
	return err
}

// inspect notes how many of each line's units go back in stock.
func (w *work) inspect(lines []*returnsv1.InspectedLine) error {
	found := make(map[int64]int64, len(lines))
	for _, l := range lines {
		found[l.GetLine()] = l.GetRestock()
	}
	for i := range w.ret.Lines {
		l := &w.ret.Lines[i]
		l.Restock = found[l.Line]
		delete(found, l.Line)
		if l.Restock > l.Quantity {
			return restockExceeds(l.Line)
		}
	}
	for line := range found {
		return restockExceeds(line)
	}
	return nil
}

func restockExceeds(line int64) error {
	return rpcerr.New(connect.CodeInvalidArgument, rpcerr.ReasonRestockExceeds,
		"the return has not as many units of the line", "line", strconv.FormatInt(line, 10))
}

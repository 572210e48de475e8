package order

import (
	"context"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	orderv1 "github.com/orderd-dev/orderd/api/gen/orderd/order/v1"
	"github.com/orderd-dev/orderd/orderd/kit/database"
	"github.com/orderd-dev/orderd/orderd/kit/idempotency"
	"github.com/orderd-dev/orderd/orderd/shop/coupon"
	"github.com/orderd-dev/orderd/orderd/shop/stock"
)

// Why orders are cancelled, as the API says it.
const (
	reasonBuyer = "BUYER"
	// reasonStaff: the history has why.
	reasonStaff   = "STAFF"
	reasonExpired = "EXPIRED"
	// reasonRefunded: all of it was refunded before anything had left.
	reasonRefunded = "REFUNDED"
	// reasonCancelled is why the money of a cancelled order goes back.
	reasonCancelled = "CANCELLED"
)

const (
	actorExpirer  = "expirer"
	actorProvider = "provider"
)

// cause is who makes a change, and why.
type cause struct{ actor, reason string }

// cancelKey is the key of the refund that a cancellation grants.
const cancelKey = "cancel"

// cancel cancels an order for its buyer; a paid one is refunded in full and restocked. A
// cancelled one stays as it is.
func (s *Store) cancel(
	ctx context.Context, id uuid.UUID, req *orderv1.CancelOrderRequest,
) (*orderv1.CancelOrderResponse, error) {
	request, err := idempotency.NewRequest(idempotency.BuyerScope(req.GetBuyerId()), req.GetRequestId(), req)
	if err != nil {
		return nil, err
	}
	answer := &orderv1.CancelOrderResponse{}
	err = idempotency.Do(ctx, s.pool, request, answer, func(tx *database.Tx) error {
		o, err := lockOne(ctx, tx, id)
		if err != nil {
			return err
		}
		if o.BuyerID != req.GetBuyerId() {
			return ErrNotFound
		}
		var b pgx.Batch
		now := database.Stamp(s.now())
		changes, moves, err := s.cancelLocked(ctx, tx, &b, o, cause{actorBuyer, reasonBuyer}, now)
		if err != nil {
			return err
		}
		answer.Order = o.proto()
		if err := request.Claim(&b, now, answer); err != nil {
			return err
		}
		if err := s.undo(ctx, tx, &b, changes); err != nil {
			return err
		}
		return stock.Apply(ctx, tx, moves)
	})
	if err != nil {
		return nil, err
	}
	return answer, nil
}

// cancelLocked takes an order through its cancellation and queues what has to be written besides
// the changes. The movements put back in stock what was paid.
func (s *Store) cancelLocked(
	ctx context.Context, tx *database.Tx, b *pgx.Batch, o *Order, by cause, now time.Time,
) (changes []change, moves []stock.Movement, err error) {
	if o.State == Cancelled {
		return nil, nil, nil
	}
	if o.State == Paid {
		g := Grant{OrderID: o.ID, Key: cancelKey, Reason: reasonCancelled, Actor: by.actor}
		for i, l := range o.Lines {
			if q := l.Quantity - l.Returned; q > 0 {
				g.Lines = append(g.Lines, LineQuantity{Line: int64(i + 1), Quantity: q})
			}
		}
		var granted Granted
		if granted, changes, err = s.grant(ctx, tx, b, o, g, now); err != nil {
			return nil, nil, err
		}
		moves = o.restocked(cancelKey, granted.Lines)
	}
	c, err := step(o, Cancel, now, by.actor, by.reason)
	if err != nil {
		return nil, nil, err
	}
	return append(changes, c), moves, nil
}

// undo sends the batch with the changes of cancelled orders, gives their coupons back, and of those
// that were not paid their stock: to the SKUs, or for flash orders by a row for the Releaser.
func (s *Store) undo(ctx context.Context, tx *database.Tx, b *pgx.Batch, changes []change) error {
	var unpaid, paid, standard, flash []*Order
	for _, c := range changes {
		switch {
		case c.to != Cancelled:
			continue
		case c.from == Paid:
			paid = append(paid, c.order)
			continue
		case c.order.flash():
			flash = append(flash, c.order)
		default:
			standard = append(standard, c.order)
		}
		unpaid = append(unpaid, c.order)
	}
	if len(flash) > 0 {
		queueReleases(b, flash, changes[0].at)
	}
	if err := s.write(ctx, tx, b, changes); err != nil {
		return err
	}
	if len(changes) == 0 {
		return nil
	}
	if err := returnCoupons(ctx, tx, unpaid, changes[0].at, coupon.Unpaid); err != nil {
		return err
	}
	if err := returnCoupons(ctx, tx, paid, changes[0].at, coupon.CancelledPaid); err != nil {
		return err
	}
	return stock.Apply(ctx, tx, movements(standard, stock.Release))
}

package coupon

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/orderd-dev/orderd/orderd/kit/database"
)

// Wish is the coupons that one order wants.
type Wish struct {
	OrderID   uuid.UUID
	BuyerID   string
	CouponIDs []uuid.UUID
}

// Cause is why an order lets go of its coupons.
type Cause string

// The causes, as the history names them.
const (
	// Unpaid: the order ended before it was paid; its coupons always come back.
	Unpaid Cause = "UNPAID"
	// CancelledPaid: the order was cancelled after payment.
	CancelledPaid Cause = "CANCELLED"
	// FullyRefunded: all of the order was paid back.
	FullyRefunded Cause = "REFUNDED"
)

const actorOrder = "order"

// LockFor locks the coupons of many orders: for each order all of its coupons or none, and what one
// cannot have never fails the others. It returns, for each order that got none, the first coupon
// that it could not have and why: not the buyer's, not available, not valid at the time, or locked by
// an order before it. Coupons that an order has locked already count as had. It takes the coupons'
// rows in the order of their ids.
func LockFor(ctx context.Context, tx pgx.Tx, wishes []Wish, at time.Time) (map[uuid.UUID]*UnusableError, error) {
	var ids []uuid.UUID
	for _, w := range wishes {
		ids = append(ids, w.CouponIDs...)
	}
	byID, err := lockByID(ctx, tx, ids)
	if err != nil || len(ids) == 0 {
		return nil, err
	}
	failed := make(map[uuid.UUID]*UnusableError)
	var changes []change
	for _, w := range wishes {
		steps, missing := w.lock(byID, database.Stamp(at))
		if missing != nil {
			failed[w.OrderID] = missing
			continue
		}
		changes = append(changes, steps...)
	}
	return failed, write(ctx, tx, changes)
}

// lock takes an order's coupons through Lock in memory, or none and says which one is not to be had.
func (w Wish) lock(byID map[uuid.UUID]*Coupon, at time.Time) ([]change, *UnusableError) {
	var mine []*Coupon
	seen := make(map[uuid.UUID]bool, len(w.CouponIDs))
	for _, id := range w.CouponIDs {
		if seen[id] {
			continue
		}
		seen[id] = true
		c := byID[id]
		if c == nil || c.BuyerID != w.BuyerID {
			return nil, &UnusableError{CouponID: id, Why: NotFound}
		}
		if c.State == Locked && c.OrderID == w.OrderID {
			continue
		}
		if why := c.unavailable(at); why != "" {
			return nil, c.refused(why)
		}
		mine = append(mine, c)
	}
	steps := make([]change, len(mine))
	for i, c := range mine {
		// Available coupons can be locked: the table says so, and its test.
		steps[i], _ = c.step(Lock, at, actorOrder, "", w.OrderID)
	}
	return steps, nil
}

// UseFor makes the coupons that the orders have locked used: at their payment.
func UseFor(ctx context.Context, tx pgx.Tx, orderIDs []uuid.UUID, at time.Time) error {
	coupons, err := lockByOrder(ctx, tx, orderIDs)
	if err != nil {
		return err
	}
	var changes []change
	for _, c := range coupons {
		if c.State != Locked {
			continue
		}
		ch, err := c.step(Use, database.Stamp(at), actorOrder, "", c.OrderID)
		if err != nil {
			return err
		}
		changes = append(changes, ch)
	}
	return write(ctx, tx, changes)
}

// ReturnFor gives back the coupons of orders that have ended: locked ones always; used ones if
// their terms say so for the cause, and if they have not expired. The others stay used. Doing it
// again changes nothing.
func ReturnFor(ctx context.Context, tx pgx.Tx, orderIDs []uuid.UUID, at time.Time, cause Cause) error {
	coupons, err := lockByOrder(ctx, tx, orderIDs)
	if err != nil {
		return err
	}
	var changes []change
	for _, c := range coupons {
		event := Unlock
		if c.State == Used {
			if !c.comesBack(at, cause) {
				continue
			}
			event = Return
		}
		ch, err := c.step(event, database.Stamp(at), actorOrder, string(cause), uuid.Nil)
		if err != nil {
			return err
		}
		changes = append(changes, ch)
	}
	return write(ctx, tx, changes)
}

// comesBack tells whether a used coupon is returned.
func (c *Coupon) comesBack(at time.Time, cause Cause) bool {
	if !at.Before(c.ValidUntil) {
		return false
	}
	return cause == CancelledPaid && c.Terms.ReturnedOnCancel || cause == FullyRefunded && c.Terms.ReturnedOnRefund
}

// RelockFor uses the coupons of orders that were paid after they had let go of them, and of each
// order those that its buyer has not locked, used or lost since. Whether they have expired does not
// matter: the price was promised. The coupons that are not to be had any more stay as they are, and
// the platform bears what they took off.
func RelockFor(ctx context.Context, tx pgx.Tx, wishes []Wish, at time.Time) error {
	var ids []uuid.UUID
	for _, w := range wishes {
		ids = append(ids, w.CouponIDs...)
	}
	byID, err := lockByID(ctx, tx, ids)
	if err != nil {
		return err
	}
	var changes []change
	for _, w := range wishes {
		for _, id := range w.CouponIDs {
			c := byID[id]
			if c == nil || c.BuyerID != w.BuyerID || c.State != Available {
				continue
			}
			ch, err := c.step(UseLate, database.Stamp(at), actorOrder, "", w.OrderID)
			if err != nil {
				return err
			}
			changes = append(changes, ch)
		}
	}
	return write(ctx, tx, changes)
}

// change is one coupon's step in its life cycle, made by step and written by write.
type change struct {
	coupon        *Coupon
	event         Event
	from          State
	actor, reason string
	// orderID is the order that the change is about: the one that takes it, or the
	// one that lets go of it.
	orderID uuid.UUID
	at      time.Time
}

// step takes a coupon through an event, in memory; afterwards it belongs to the order, or to none.
func (c *Coupon) step(event Event, at time.Time, actor, reason string, orderID uuid.UUID) (change, error) {
	to, err := transitions.Next(c.State, event)
	if err != nil {
		return change{}, fmt.Errorf("coupon %s: %w", c.ID, err)
	}
	ch := change{coupon: c, event: event, from: c.State, actor: actor, reason: reason, orderID: orderID, at: at}
	if orderID == uuid.Nil {
		ch.orderID = c.OrderID
	}
	c.State, c.OrderID = to, orderID
	c.Version++
	return ch, nil
}

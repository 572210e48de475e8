package order

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/orderd-dev/orderd/orderd/kit/database"
	"github.com/orderd-dev/orderd/orderd/kit/lifecycle"
	"github.com/orderd-dev/orderd/orderd/kit/money"
	"github.com/orderd-dev/orderd/orderd/shop/coupon"
	"github.com/orderd-dev/orderd/orderd/shop/stock"
)

// Refunder takes what is granted, in the transaction of the grant: only an insert, idempotent by
// the order and the key.
type Refunder interface {
	InsertRefund(ctx context.Context, tx pgx.Tx, wish RefundWish) error
}

// RefundWish is a refund for the payment provider to carry out. Amount is more than zero, in the
// currency's minor unit.
type RefundWish struct {
	// Key of what asked for it, unique in its order.
	Key                string
	OrderID, PaymentID uuid.UUID
	Amount             int64
	Currency, Reason   string
	At                 time.Time
}

// Grant is what is to be given back.
type Grant struct {
	OrderID uuid.UUID
	// Key of what asks for it, unique in its order, such as a return's id. At most 64 bytes.
	Key   string
	Lines []LineQuantity
	// Amount is a part of what was paid for the units; nil is all of it, exactly.
	Amount        *int64
	Reason, Actor string
	// Why is what the history says in place of Reason, where nobody else tells of the grant; empty: Reason.
	Why string
	// Restock puts the units back in stock: all of them, or only RestockLines if there are any.
	Restock      bool
	RestockLines []LineQuantity
	// Left says that the units had left with a parcel. If not, those that have not are meant first,
	// and will not be shipped.
	Left bool
}

// Granted is what is given back.
type Granted struct {
	Amount   int64
	Currency string
	Lines    []GrantedLine
}

// GrantedLine is what is given back for units of a line.
type GrantedLine struct{ Line, Quantity, Amount int64 }

// ErrRefundExceeds says that more is to be given back than is left of what was paid.
var ErrRefundExceeds = errors.New("more would be refunded than is left of what was paid")

// GrantRefund promises money back for units of a paid order, once a key: the same key again answers
// what was granted, whatever else is asked. The shares of a line's units sum to exactly what was
// paid for it. The refund is inserted through the Refunder; RecordRefunded follows once the
// provider has paid it. Errors: ErrRefundExceeds, ErrQuantity, ErrNotFound, a *lifecycle.RefusedError.
// The order's row stays locked until the transaction ends, and with Restock the stock's.
func (s *Store) GrantRefund(ctx context.Context, tx *database.Tx, at time.Time, g Grant) (Granted, error) {
	o, err := lockOne(ctx, tx, g.OrderID)
	if err != nil {
		return Granted{}, err
	}
	before, err := grantedBefore(ctx, tx, o, g.Key)
	if err != nil || len(before.Lines) > 0 {
		return before, err
	}
	var b pgx.Batch
	granted, changes, err := s.grant(ctx, tx, &b, o, g, database.Stamp(at))
	if err != nil {
		return Granted{}, err
	}
	follow, err := afterGrant(o, database.Stamp(at), g)
	if err != nil {
		return Granted{}, err
	}
	changes = append(changes, follow...)
	if err := s.write(ctx, tx, &b, changes); err != nil {
		return Granted{}, err
	}
	if err := couponsOfGrant(ctx, tx, o, at); err != nil {
		return Granted{}, err
	}
	if g.Restock {
		back, err := granted.back(g.RestockLines)
		if err != nil {
			return Granted{}, err
		}
		if err := stock.Apply(ctx, tx, o.restocked(g.Key, back)); err != nil {
			return Granted{}, err
		}
	}
	return granted, nil
}

// couponsOfGrant gives the coupons back of an order that a grant has ended, or has taken all back
// of that cost nothing: no provider will tell of that one.
func couponsOfGrant(ctx context.Context, tx pgx.Tx, o *Order, at time.Time) error {
	switch {
	case o.State == Cancelled:
		return returnCoupons(ctx, tx, []*Order{o}, at, coupon.CancelledPaid)
	case o.free() && o.sum(func(l Line) int64 { return l.Quantity - l.Returned }) == 0:
		return returnCoupons(ctx, tx, []*Order{o}, at, coupon.FullyRefunded)
	}
	return nil
}

// grant makes the grant in memory, hands it to the Refunder and queues what has to be written with
// the change it returns.
func (s *Store) grant(
	ctx context.Context, tx pgx.Tx, b *pgx.Batch, o *Order, g Grant, at time.Time,
) (Granted, []change, error) {
	c, err := step(o, GrantRefund, at, g.Actor, cmp.Or(g.Why, g.Reason))
	if err != nil {
		return Granted{}, nil, err
	}
	c.alone = g.Why != ""
	granted, err := o.grant(g)
	if err != nil {
		return Granted{}, nil, err
	}
	if granted.Amount > 0 {
		if err := s.insertRefund(ctx, tx, o, g, granted.Amount, at); err != nil {
			return Granted{}, nil, err
		}
	}
	queueGrant(b, o.ID, g.Key, granted.Lines, at)
	queueCounts(b, o)
	return granted, []change{c}, nil
}

func (s *Store) insertRefund(ctx context.Context, tx pgx.Tx, o *Order, g Grant, amount int64, at time.Time) error {
	if s.refunder == nil {
		return errors.New("this process cannot grant refunds")
	}
	if o.PaymentID == nil {
		return fmt.Errorf("order %s was not paid", o.ID)
	}
	err := s.refunder.InsertRefund(ctx, tx, RefundWish{
		Key: g.Key, OrderID: o.ID, PaymentID: *o.PaymentID, Amount: amount, Currency: o.Currency, Reason: g.Reason, At: at,
	})
	if err != nil {
		return fmt.Errorf("refund %s of order %s: %w", g.Key, o.ID, err)
	}
	return nil
}

// grant raises the lines' counts by the grant's units and their shares.
func (o *Order) grant(g Grant) (Granted, error) {
	granted := Granted{Currency: o.Currency}
	err := o.each(g.Lines, func(l *Line, n, q int64) error {
		if q > l.Quantity-l.Returned {
			return fmt.Errorf("%w: %d units of line %d, %d left", ErrRefundExceeds, q, n, l.Quantity-l.Returned)
		}
		// By what all its units up to these are worth, a line's units sum to its total.
		share := money.Share(l.total(), l.Returned+q, l.Quantity) - money.Share(l.total(), l.Returned, l.Quantity)
		granted.Lines = append(granted.Lines, GrantedLine{Line: n, Quantity: q, Amount: share})
		granted.Amount += share
		l.Withdrawn += l.withdraw(q, g.Left)
		l.Returned += q
		return nil
	})
	if err != nil {
		return Granted{}, err
	}
	if len(granted.Lines) == 0 {
		return Granted{}, fmt.Errorf("%w: no lines", ErrQuantity)
	}
	if g.Amount != nil {
		if err := granted.reduce(*g.Amount); err != nil {
			return Granted{}, err
		}
	}
	for _, l := range granted.Lines {
		o.Lines[l.Line-1].RefundGranted += l.Amount
	}
	return granted, nil
}

// withdraw is how many of the units that are refunded will never leave. Those that have left, or
// are in parcels, are meant first if left says so.
func (l *Line) withdraw(units int64, left bool) int64 {
	if out := l.Shipping + l.Shipped - (l.Returned - l.Withdrawn); left {
		return max(units-out, 0)
	}
	return min(units, l.unshipped())
}

// reduce makes less of it, over the lines in proportion.
func (g *Granted) reduce(amount int64) error {
	if amount < 0 || amount > g.Amount {
		return fmt.Errorf("%w: %d of %d", ErrRefundExceeds, amount, g.Amount)
	}
	if amount == g.Amount {
		return nil
	}
	weights := make([]int64, len(g.Lines))
	for i, l := range g.Lines {
		weights[i] = l.Amount
	}
	for i, part := range money.Split(amount, weights) {
		g.Lines[i].Amount = part
	}
	g.Amount = amount
	return nil
}

// afterGrant is what a grant leads to besides: nothing is left to be done for the order, or all
// that was to arrive has.
func afterGrant(o *Order, at time.Time, g Grant) ([]change, error) {
	var event Event
	switch {
	case o.State == Paid && o.sum(func(l Line) int64 { return l.Quantity - l.Returned }) == 0:
		event = Withdraw
	case o.State == Shipped && o.fulfilled():
		event = Deliver
	default:
		return nil, nil
	}
	reason := g.Reason
	if event == Withdraw {
		reason = reasonRefunded
	}
	c, err := step(o, event, at, g.Actor, reason)
	if err != nil {
		return nil, err
	}
	return []change{c}, nil
}

// back is what goes back in stock: all, or only some units of the lines.
func (g Granted) back(only []LineQuantity) ([]GrantedLine, error) {
	if len(only) == 0 {
		return g.Lines, nil
	}
	left := make(map[int64]int64, len(g.Lines))
	for _, l := range g.Lines {
		left[l.Line] = l.Quantity
	}
	var out []GrantedLine
	for _, l := range only {
		if left[l.Line] -= l.Quantity; l.Quantity < 1 || left[l.Line] < 0 {
			return nil, fmt.Errorf("%w: %d units of line %d back in stock", ErrQuantity, l.Quantity, l.Line)
		}
		out = append(out, GrantedLine{Line: l.Line, Quantity: l.Quantity})
	}
	return out, nil
}

// restocked are the movements that put units back in stock.
func (o *Order) restocked(key string, lines []GrantedLine) []stock.Movement {
	var out []stock.Movement
	for _, l := range lines {
		out = append(out, stock.Restock(o.ID.String(), key, stock.Quantity{SKU: o.Lines[l.Line-1].SKU, Quantity: l.Quantity}))
	}
	return out
}

// RecordRefunded tells that the provider has paid a granted refund back: amount is the grant's.
// Repeating it changes nothing.
func (s *Store) RecordRefunded(
	ctx context.Context, tx *database.Tx, at time.Time, orderID uuid.UUID, key string, refundID uuid.UUID, amount int64,
) error {
	o, err := lockOne(ctx, tx, orderID)
	if err != nil {
		return err
	}
	lines, err := payGrant(ctx, tx, o.ID, key, refundID, database.Stamp(at))
	if err != nil || len(lines) == 0 {
		return err
	}
	var sum int64
	for _, l := range lines {
		sum += l.Amount
		o.Lines[l.Line-1].Refunded += l.Amount
	}
	if sum != amount {
		return fmt.Errorf("refund %s of order %s: %d was paid back, %d was granted", key, orderID, amount, sum)
	}
	c, err := step(o, Refund, database.Stamp(at), actorProvider, "refund "+refundID.String())
	if err != nil {
		return err
	}
	c.about = about{refundID: refundID.String(), amount: amount}
	if err := s.writeStep(ctx, tx, c); err != nil {
		return err
	}
	if o.State != Cancelled && o.sum(func(l Line) int64 { return l.Refunded }) == o.Total {
		return returnCoupons(ctx, tx, []*Order{o}, at, coupon.FullyRefunded)
	}
	return nil
}

// refusedIn is the error for what is not possible in the order's state.
func refusedIn(o *Order, event Event) error {
	return &lifecycle.RefusedError{State: string(o.State), Event: string(event)}
}

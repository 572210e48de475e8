package order

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/orderd-dev/orderd/orderd/kit/database"
	"github.com/orderd-dev/orderd/orderd/shop/stock"
)

// Payment is a payment that succeeded for an order. Its amount is the order's total:
// the caller has checked.
type Payment struct {
	OrderID uuid.UUID
	// PaymentID is zero where there was nothing to pay.
	PaymentID uuid.UUID
	// Actor for the history: who told us.
	Actor string
}

// PaymentOutcome is what a successful payment did to its order.
type PaymentOutcome string

// The outcomes. All but Applied mean that the money is due back.
const (
	// Applied made the order PAID.
	Applied PaymentOutcome = "APPLIED"
	// AlreadyPaid found the order paid by another payment.
	AlreadyPaid PaymentOutcome = "ORDER_ALREADY_PAID"
	// StockGone found the order cancelled or expired and its stock no longer there to be taken again.
	StockGone PaymentOutcome = "ORDER_CANCELLED"
)

const (
	// reasonPayment stands before the payment's id in the history.
	reasonPayment      = "payment "
	reasonNothingToPay = "nothing to pay"
)

// MarkPaid applies successful payments to their orders in the payments' own transaction, many at a
// time, and deducts the stock. A payment for a cancelled or expired order takes the stock again if
// all of it is there. It returns an outcome for each payment.
// Nothing may lock rows of orders or stock in this transaction before.
func (s *Store) MarkPaid(
	ctx context.Context, tx *database.Tx, at time.Time, payments []Payment,
) ([]PaymentOutcome, error) {
	ids := make([]uuid.UUID, len(payments))
	for i, p := range payments {
		ids[i] = p.OrderID
	}
	locked, err := lock(ctx, tx, ids)
	if err != nil {
		return nil, err
	}
	p := &paying{at: database.Stamp(at), orders: make(map[uuid.UUID]*Order, len(locked))}
	for _, o := range locked {
		p.orders[o.ID] = o
	}
	if err := p.readStock(ctx, tx, locked); err != nil {
		return nil, err
	}
	outcomes := make([]PaymentOutcome, len(payments))
	for i, payment := range payments {
		if outcomes[i], err = p.pay(payment); err != nil {
			return nil, err
		}
	}
	if err := p.write(ctx, tx, s); err != nil {
		return nil, err
	}
	tx.AfterCommit(func() { s.metrics.countSurplus(outcomes) })
	return outcomes, nil
}

// paying is the work on one batch of payments.
type paying struct {
	at     time.Time
	orders map[uuid.UUID]*Order
	// available is what late payments may take; the rows are locked if there are any.
	available map[string]stock.Levels
	changes   []change
	moves     []stock.Movement
}

// readStock locks the stock of all orders if one of them has to take it again, and before it the
// buyers of those that are about to be paid.
func (p *paying) readStock(ctx context.Context, tx pgx.Tx, orders []*Order) error {
	if !slices.ContainsFunc(orders, func(o *Order) bool { return o.State == Cancelled && o.PaidAt == nil }) {
		return nil
	}
	set := map[string]bool{}
	var skus []string
	buyers := unpaid{}
	for _, o := range orders {
		buyers.add(o)
		for _, l := range o.Lines {
			if !set[l.SKU] {
				set[l.SKU] = true
				skus = append(skus, l.SKU)
			}
		}
	}
	var b pgx.Batch
	queueLockBuyers(&b, buyers)
	err := tx.SendBatch(ctx, &b).Close()
	if err != nil {
		return fmt.Errorf("locking buyers: %w", err)
	}
	p.available, err = stock.Lock(ctx, tx, skus)
	return err
}

func (p *paying) pay(payment Payment) (PaymentOutcome, error) {
	o, ok := p.orders[payment.OrderID]
	if !ok {
		return "", fmt.Errorf("payment %s: %w: %s", payment.PaymentID, ErrNotFound, payment.OrderID)
	}
	event, move := Pay, stock.Deduct
	switch {
	case o.PaidAt != nil:
		return AlreadyPaid, nil
	case o.State == Cancelled && !p.takeAgain(o):
		return StockGone, nil
	case o.State == Cancelled:
		event, move = PayLate, stock.Take
	}
	reason := reasonNothingToPay
	if payment.PaymentID != uuid.Nil {
		o.PaymentID, reason = &payment.PaymentID, reasonPayment+payment.PaymentID.String()
	}
	c, err := step(o, event, p.at, payment.Actor, reason)
	if err != nil {
		return "", err
	}
	p.changes = append(p.changes, c)
	p.moves = append(p.moves, movements([]*Order{o}, move)...)
	return Applied, nil
}

// takeAgain takes all of the order's lines from what is available, or nothing.
func (p *paying) takeAgain(o *Order) bool {
	for _, l := range o.Lines {
		if p.available[l.SKU].Available < l.Quantity {
			return false
		}
	}
	for _, l := range o.Lines {
		levels := p.available[l.SKU]
		levels.Available -= l.Quantity
		p.available[l.SKU] = levels
	}
	return true
}

func (p *paying) write(ctx context.Context, tx *database.Tx, s *Store) error {
	if err := s.write(ctx, tx, &pgx.Batch{}, p.changes); err != nil {
		return err
	}
	if err := useCoupons(ctx, tx, p.changes, p.at); err != nil {
		return err
	}
	return stock.Apply(ctx, tx, p.moves)
}

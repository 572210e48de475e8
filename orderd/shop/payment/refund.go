package payment

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/orderd-dev/orderd/orderd/kit/database"
	"github.com/orderd-dev/orderd/orderd/shop/order"
)

// Refund is money that goes back. The amount is in the currency's minor unit.
type Refund struct {
	ID, PaymentID, OrderID uuid.UUID
	Provider               string
	// Cause is what the refund is for, once a provider: a transaction that is due back as a whole, or
	// "order/", the order and Key.
	Cause string
	// Key is the order's grant; empty if the order has no part in it.
	Key string
	// PaidBy is the provider's transaction that the money comes from, and Total what was paid by it.
	PaidBy   string
	Total    int64
	State    State
	Version  int64
	Reason   string
	Amount   int64
	Currency string
	// AskedAs is the id that the provider knows the refund by; nil if that is ID.
	AskedAs *uuid.UUID
	// Reference is the payment's.
	Reference, ProviderRefundID string
	// Failure is the provider's code of its last refusal. FailureFinal says that the provider knows
	// the id it was asked with and will never pay under it.
	Failure      string
	FailureFinal bool
	// Attempts counts calls since the state changed, and Failures the provider's refusals.
	Attempts, Failures         int64
	CreatedAt                  time.Time
	NextAttemptAt, SucceededAt *time.Time

	// stored is the version that was read.
	stored int64
}

// asked is the id that the provider is asked with.
func (r *Refund) asked() uuid.UUID {
	if r.AskedAs != nil {
		return *r.AskedAs
	}
	return r.ID
}

// order is the refund as its provider is told of it.
func (r *Refund) order() RefundOrder {
	return RefundOrder{
		RefundID: r.asked(), PaymentID: r.PaymentID, OrderID: r.OrderID, TransactionID: r.PaidBy, Reference: r.Reference,
		Amount: r.Amount, Total: r.Total, Currency: r.Currency, Reason: r.Reason, CreatedAt: r.CreatedAt,
	}
}

// Refunds requests the refunds that orders grant: an [order.Refunder].
type Refunds struct{ random io.Reader }

var _ order.Refunder = (*Refunds)(nil)

// RefundsOptions of [Refunds]. Random has to be set.
type RefundsOptions struct {
	// Random makes ids: crypto/rand.Reader.
	Random io.Reader
}

// NewRefunds makes what orders request their refunds with.
func NewRefunds(o RefundsOptions) *Refunds { return &Refunds{random: o.Random} }

// InsertRefund requests a refund in the transaction of its grant, once an order and key; a
// repetition changes nothing. A [RefundWorker] carries the refund out. [order.ErrRefundExceeds]
// says that less than its amount is left of the payment.
func (r *Refunds) InsertRefund(ctx context.Context, tx pgx.Tx, wish order.RefundWish) error {
	id, err := uuid.NewRandomFromReader(r.random)
	if err != nil {
		return fmt.Errorf("refund id: %w", err)
	}
	// A payment that has succeeded changes no more.
	p, err := get(ctx, tx, wish.PaymentID)
	if err != nil && !errors.Is(err, errNotFound) {
		return err
	}
	if err != nil || p.State != Succeeded || p.Currency != wish.Currency || p.OrderID != wish.OrderID {
		return fmt.Errorf("payment %s has nothing to refund for order %s in %s",
			wish.PaymentID, wish.OrderID, wish.Currency)
	}
	return insertRefund(ctx, tx, &Refund{
		ID: id, Provider: p.Provider, Cause: "order/" + wish.OrderID.String() + "/" + wish.Key, Key: wish.Key,
		PaidBy: p.TransactionID, PaymentID: p.ID, OrderID: p.OrderID, Reason: wish.Reason,
		Amount: wish.Amount, Currency: wish.Currency, Total: p.Amount, CreatedAt: database.Stamp(wish.At),
	}, "order")
}

// stepRefund takes a refund through an event, in memory.
func stepRefund(r *Refund, event Event, at time.Time, actor, reason string) (change, error) {
	to, err := refundTransitions.Next(r.State, event)
	if err != nil {
		return change{}, err
	}
	c := change{
		id: r.ID, version: r.Version + 1, provider: r.Provider,
		event: event, from: r.State, to: to, actor: actor, reason: reason, at: at,
	}
	r.State, r.Attempts = to, 0
	r.Version++
	return c, nil
}

// errStale says that somebody else has changed a refund meanwhile.
var errStale = errors.New("the refund was changed meanwhile")

// writeRefund writes a change that was made in memory, and what it does to the order.
func (s *Service) writeRefund(ctx context.Context, r *Refund, c change) error {
	err := database.ExecuteTx(ctx, s.pool, func(tx *database.Tx) error {
		if err := updateRefund(ctx, tx, r, c); err != nil {
			return err
		}
		tx.AfterCommit(func() { s.metrics.countRefund(c) })
		if c.to != Succeeded || r.Key == "" {
			return nil
		}
		return s.orders.RecordRefunded(ctx, tx, c.at, r.OrderID, r.Key, r.ID, r.Amount)
	})
	if err != nil {
		return fmt.Errorf("writing refund %s: %w", r.ID, err)
	}
	r.stored = r.Version
	return nil
}

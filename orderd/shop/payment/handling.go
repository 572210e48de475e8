package payment

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/orderd-dev/orderd/orderd/kit/database"
	"github.com/orderd-dev/orderd/orderd/kit/lifecycle"
	"github.com/orderd-dev/orderd/orderd/shop/order"
)

// handle applies verified notifications of one provider in one transaction. The answer has an error
// for each that is not believed; the other error means that none had an effect.
func (s *Service) handle(ctx context.Context, provider string, told []Notification) ([]error, error) {
	refused, err := database.QueryTx(ctx, s.pool, func(tx *database.Tx) ([]error, error) {
		h := &handling{
			service: s, provider: provider, at: database.Stamp(s.now()), refused: make([]error, len(told)),
		}
		return h.refused, h.run(ctx, tx, told)
	})
	if err != nil {
		return nil, fmt.Errorf("handling %d notifications: %w", len(told), err)
	}
	return refused, nil
}

// handling is the work on one batch of notifications.
type handling struct {
	service  *Service
	provider string
	at       time.Time
	// refused says, by a notification's place, why it is not believed.
	refused  []error
	payments map[uuid.UUID]*Payment
	// changed are the payments with changes, each once however many it had.
	changed []*Payment
	changes []change
	// restored are those of changed whose rows had lost their success.
	restored []*Payment
	// paid are the payments that succeeded, and marks what their orders are told, in the same order.
	paid    []*Payment
	marks   []order.Payment
	refunds []*Refund
}

func (h *handling) run(ctx context.Context, tx *database.Tx, told []Notification) error {
	believed, err := h.check(ctx, tx, told)
	if err != nil || len(believed) == 0 {
		return err
	}
	fresh, err := insertNotifications(ctx, tx, h.provider, believed, h.at)
	if err != nil {
		return err
	}
	if err := h.restore(ctx, tx, believed, fresh); err != nil {
		return err
	}
	for _, n := range believed {
		if !fresh[n.key()] {
			continue
		}
		// The same transaction may be in the batch again.
		delete(fresh, n.key())
		if err := h.apply(n); err != nil {
			return err
		}
	}
	return h.write(ctx, tx)
}

// check locks the notifications' payments and leaves out what does not fit them.
func (h *handling) check(ctx context.Context, tx pgx.Tx, told []Notification) ([]Notification, error) {
	ids := make([]uuid.UUID, len(told))
	for i, n := range told {
		ids[i] = n.PaymentID
	}
	locked, err := lock(ctx, tx, ids)
	if err != nil {
		return nil, err
	}
	h.payments = make(map[uuid.UUID]*Payment, len(locked))
	for _, p := range locked {
		h.payments[p.ID] = p
	}
	var believed []Notification
	for i, n := range told {
		p, ok := h.payments[n.PaymentID]
		switch {
		case !ok || p.Provider != h.provider:
			h.refused[i] = ErrUnknownPayment
		case p.Currency != n.Currency:
			h.refused[i] = &NotificationError{Reason: ReasonCurrencyWrong}
		case p.Amount != n.Amount:
			h.refused[i] = &NotificationError{Reason: ReasonAmountWrong}
		default:
			believed = append(believed, n)
		}
	}
	return believed, nil
}

// restore gives payments their success back whose rows have lost it. A notification that was stored
// before had its effect in the transaction that stored it. If it was a success and the payment's row
// does not say so, something has overwritten the row since, as was seen on CockroachDB 22.1. The
// history has what the row had. The order was told in that transaction, and is not told again.
func (h *handling) restore(ctx context.Context, tx pgx.Tx, told []Notification, fresh map[string]bool) error {
	var known []Notification
	var ids []uuid.UUID
	for _, n := range told {
		if n.Success && !fresh[n.key()] && h.payments[n.PaymentID].State != Succeeded {
			known, ids = append(known, n), append(ids, n.PaymentID)
		}
	}
	if len(known) == 0 {
		return nil
	}
	successes, err := readSuccesses(ctx, tx, ids)
	if err != nil {
		return err
	}
	for _, n := range known {
		p := h.payments[n.PaymentID]
		had, ok := successes[p.ID]
		if !ok || p.State == Succeeded || had.Reason != reasonTransaction+n.TransactionID {
			continue
		}
		p.State, p.Version, p.SucceededAt, p.NextQueryAt = Succeeded, had.Version, &had.At, nil
		p.paidBy(n)
		h.changed, h.restored = append(h.changed, p), append(h.restored, p)
	}
	return nil
}

// reasonTransaction stands before the provider's transaction in the history.
const reasonTransaction = "transaction "

// paidBy notes what a provider tells of the payment's success.
func (p *Payment) paidBy(n Notification) {
	p.TransactionID = n.TransactionID
	if !n.PaidAt.IsZero() {
		at := database.Stamp(n.PaidAt)
		p.PaidAt = &at
	}
}

// apply takes a payment through what a notification says, in memory.
func (h *handling) apply(n Notification) error {
	p := h.payments[n.PaymentID]
	actor, reason := h.actor(), reasonTransaction+n.TransactionID
	event := Fail
	if n.Success {
		event = Succeed
	}
	c, err := step(p, event, h.at, actor, reason)
	var impossible *lifecycle.RefusedError
	switch {
	case errors.As(err, &impossible) && n.Success && p.TransactionID == n.TransactionID:
		return nil
	case errors.As(err, &impossible) && n.Success:
		// Another transaction of the provider has paid this payment already.
		return h.refund(p, n.TransactionID, "PAYMENT_ALREADY_SUCCEEDED")
	case errors.As(err, &impossible):
		return nil
	case err != nil:
		return err
	}
	h.changes = append(h.changes, c)
	if !slices.Contains(h.changed, p) {
		h.changed = append(h.changed, p)
	}
	if !n.Success {
		p.Failure = n.Reason
		return nil
	}
	p.paidBy(n)
	h.paid = append(h.paid, p)
	h.marks = append(h.marks, order.Payment{OrderID: p.OrderID, PaymentID: p.ID, Actor: actor})
	return nil
}

// actor is who histories name for what the provider has told.
func (h *handling) actor() string { return "provider " + h.provider }

// refund notes that a transaction's money is due back.
func (h *handling) refund(p *Payment, transactionID, reason string) error {
	if p.Amount == 0 {
		return nil
	}
	id, err := uuid.NewRandomFromReader(h.service.random)
	if err != nil {
		return fmt.Errorf("refund id: %w", err)
	}
	h.refunds = append(h.refunds, &Refund{
		ID: id, Provider: p.Provider, Cause: transactionID, PaidBy: transactionID, PaymentID: p.ID,
		OrderID: p.OrderID, Reason: reason, Amount: p.Amount, Currency: p.Currency, Total: p.Amount, CreatedAt: h.at,
	})
	return nil
}

// write writes payments, then orders and their stock, then what is due back.
func (h *handling) write(ctx context.Context, tx *database.Tx) error {
	if len(h.changed) > 0 {
		var b pgx.Batch
		queueUpdates(&b, h.changed)
		queueHistory(&b, paymentHistory, h.changes...)
		if err := tx.SendBatch(ctx, &b).Close(); err != nil {
			return fmt.Errorf("writing payments: %w", err)
		}
	}
	if len(h.marks) > 0 {
		outcomes, err := h.service.orders.MarkPaid(ctx, tx, h.at, h.marks)
		if err != nil {
			return err
		}
		for i, outcome := range outcomes {
			if outcome == order.Applied {
				continue
			}
			if err := h.refund(h.paid[i], h.paid[i].TransactionID, string(outcome)); err != nil {
				return err
			}
		}
	}
	var surplus []uuid.UUID
	for _, r := range h.refunds {
		if err := insertRefund(ctx, tx, r, h.actor()); err != nil {
			return err
		}
		surplus = append(surplus, r.OrderID)
	}
	if len(surplus) > 0 && h.service.stale != nil {
		if err := h.service.stale(ctx, tx, surplus); err != nil {
			return err
		}
	}
	tx.AfterCommit(func() {
		h.report()
		h.closeOthers(ctx)
	})
	return nil
}

// report counts and logs what the batch has changed.
func (h *handling) report() {
	s := h.service
	s.metrics.count(h.changes...)
	for _, p := range h.restored {
		s.log.Error("a payment's row had lost its success and has it again",
			"order", p.OrderID, "payment", p.ID, "transaction", p.TransactionID)
	}
	for _, r := range h.refunds {
		s.metrics.refunds.WithLabelValues(r.Reason).Inc()
		s.log.Warn("a refund is due", "order", r.OrderID, "payment", r.PaymentID, "reason", r.Reason)
	}
}

// closeOthers has the other payments of the orders that were paid closed now, and not when their time
// comes. It leaves alone the rows that the batch has just changed.
func (h *handling) closeOthers(ctx context.Context) {
	if len(h.paid) == 0 {
		return
	}
	var orders, paid []uuid.UUID
	for _, p := range h.paid {
		orders, paid = append(orders, p.OrderID), append(paid, p.ID)
	}
	if err := hurry(ctx, h.service.pool, h.at, orders, paid...); err != nil {
		h.service.log.Warn("other payments are closed later", "error", err)
	}
}

package payment

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/orderd-dev/orderd/orderd/database"
	"github.com/orderd-dev/orderd/orderd/lifecycle"
	"github.com/orderd-dev/orderd/orderd/order"
)

// maxNotificationBytes is the largest notification that is read.
const maxNotificationBytes = 64 << 10

// NotificationHandler takes providers' notifications at a pattern with the wildcard {provider}, such as
// POST /notifications/{provider}. It answers in the provider's own way, after the effect is committed.
func NotificationHandler(s *Service) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		provider, ok := s.providers[r.PathValue("provider")]
		if !ok {
			http.Error(w, "no such payment provider is configured", http.StatusNotFound)
			return
		}
		raw, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxNotificationBytes))
		if err != nil {
			http.Error(w, "the notification cannot be read", http.StatusBadRequest)
			return
		}
		told, err := provider.ParseNotification(r.Header, raw, s.now())
		if err == nil {
			err = s.tell(r.Context(), provider.Name(), told)
		} else {
			s.keepRefused(r.Context(), provider.Name(), Notification{Raw: raw}, err)
		}
		s.metrics.notified(provider.Name(), err)
		if err != nil {
			s.log.Warn("notification not taken", "provider", provider.Name(), "payment", told.PaymentID, "error", err)
		}
		provider.Answer(w, err)
	})
}

// tell takes what a provider has told, verified; it returns once the effect is committed.
func (s *Service) tell(ctx context.Context, provider string, told Notification) error {
	var err error
	switch {
	case told.Ignore:
	case told.Kind == KindRefund:
		err = s.refundTold(ctx, provider, told)
	default:
		err = s.inboxes[provider].put(ctx, told)
	}
	s.keepRefused(ctx, provider, told, err)
	return err
}

// take handles verified notifications of one provider in one transaction. The answer has an error for
// each that was not taken; the other error means that none was.
func (s *Service) take(ctx context.Context, provider string, told []Notification) ([]error, error) {
	var w *taking
	err := database.ExecuteTx(ctx, s.pool, func(tx *database.Tx) error {
		w = &taking{service: s, provider: provider, at: database.Stamp(s.now()), refused: make([]error, len(told))}
		return w.run(ctx, tx, told)
	})
	if err != nil {
		return nil, fmt.Errorf("handling %d notifications: %w", len(told), err)
	}
	w.committed(ctx)
	return w.refused, nil
}

// taking is the work on one batch of notifications.
type taking struct {
	service  *Service
	provider string
	at       time.Time
	refused  []error
	payments map[uuid.UUID]*Payment
	// changed are the payments with changes, each once however many it had.
	changed []*Payment
	changes []change
	// paid are the payments that succeeded, and marks what their orders are told, in the same order.
	paid    []*Payment
	marks   []order.Payment
	refunds []*Refund
}

func (w *taking) run(ctx context.Context, tx *database.Tx, told []Notification) error {
	believed, err := w.check(ctx, tx, told)
	if err != nil || len(believed) == 0 {
		return err
	}
	fresh, err := insertNotifications(ctx, tx, w.provider, believed, w.at)
	if err != nil {
		return err
	}
	for _, n := range believed {
		if !fresh[n.key()] {
			continue
		}
		// The same transaction may be in the batch again.
		delete(fresh, n.key())
		if err := w.apply(n); err != nil {
			return err
		}
	}
	return w.write(ctx, tx)
}

// check locks the notifications' payments and leaves out what does not fit them.
func (w *taking) check(ctx context.Context, tx pgx.Tx, told []Notification) ([]Notification, error) {
	ids := make([]uuid.UUID, len(told))
	for i, n := range told {
		ids[i] = n.PaymentID
	}
	locked, err := lock(ctx, tx, ids)
	if err != nil {
		return nil, err
	}
	w.payments = make(map[uuid.UUID]*Payment, len(locked))
	for _, p := range locked {
		w.payments[p.ID] = p
	}
	var believed []Notification
	for i, n := range told {
		p, ok := w.payments[n.PaymentID]
		switch {
		case !ok || p.Provider != w.provider:
			w.refused[i] = ErrUnknownPayment
		case p.Currency != n.Currency:
			w.refused[i] = &NotificationError{Reason: ReasonCurrencyWrong}
		case p.Amount != n.Amount:
			w.refused[i] = &NotificationError{Reason: ReasonAmountWrong}
		default:
			believed = append(believed, n)
		}
	}
	return believed, nil
}

func (w *taking) apply(n Notification) error {
	p := w.payments[n.PaymentID]
	actor, reason := "provider "+w.provider, "transaction "+n.TransactionID
	event := Fail
	if n.Success {
		event = Succeed
	}
	c, err := step(p, event, w.at, actor, reason)
	var impossible *lifecycle.Refused
	switch {
	case errors.As(err, &impossible) && n.Success && p.TransactionID == n.TransactionID:
		return nil
	case errors.As(err, &impossible) && n.Success:
		// Another transaction of the provider has paid this payment already.
		return w.refund(p, n.TransactionID, "PAYMENT_ALREADY_SUCCEEDED")
	case errors.As(err, &impossible):
		return nil
	case err != nil:
		return err
	}
	w.changes = append(w.changes, c)
	if !slices.Contains(w.changed, p) {
		w.changed = append(w.changed, p)
	}
	if !n.Success {
		p.Failure = n.Reason
	}
	if n.Success {
		p.TransactionID = n.TransactionID
		if !n.PaidAt.IsZero() {
			at := database.Stamp(n.PaidAt)
			p.PaidAt = &at
		}
		w.paid = append(w.paid, p)
		w.marks = append(w.marks, order.Payment{OrderID: p.OrderID, PaymentID: p.ID, Actor: actor})
	}
	return nil
}

func (w *taking) refund(p *Payment, transactionID, reason string) error {
	if p.Amount == 0 {
		return nil
	}
	id, err := uuid.NewRandomFromReader(w.service.random)
	if err != nil {
		return fmt.Errorf("refund id: %w", err)
	}
	w.refunds = append(w.refunds, &Refund{
		ID: id, Provider: p.Provider, Cause: transactionID, PaidBy: transactionID, PaymentID: p.ID, OrderID: p.OrderID,
		Reason: reason, Amount: p.Amount, Currency: p.Currency, Total: p.Amount, CreatedAt: w.at,
	})
	return nil
}

// write writes payments, then orders and their stock, then what is due back.
func (w *taking) write(ctx context.Context, tx *database.Tx) error {
	if len(w.changes) > 0 {
		var b pgx.Batch
		queueUpdates(&b, w.changed)
		queueHistory(&b, w.changes)
		if err := tx.SendBatch(ctx, &b).Close(); err != nil {
			return fmt.Errorf("writing payments: %w", err)
		}
	}
	if len(w.marks) > 0 {
		outcomes, err := w.service.orders.MarkPaid(ctx, tx, w.at, w.marks)
		if err != nil {
			return err
		}
		for i, outcome := range outcomes {
			if outcome == order.Applied {
				continue
			}
			if err := w.refund(w.paid[i], w.paid[i].TransactionID, string(outcome)); err != nil {
				return err
			}
		}
	}
	actor := "provider " + w.provider
	for _, r := range w.refunds {
		if err := insertRefund(ctx, tx, r, actor); err != nil {
			return err
		}
	}
	return nil
}

func (w *taking) committed(ctx context.Context) {
	w.service.metrics.count(w.changes)
	for _, r := range w.refunds {
		w.service.metrics.refunds.WithLabelValues(r.Reason).Inc()
		w.service.log.Warn("a refund is due", "order", r.OrderID, "payment", r.PaymentID, "reason", r.Reason)
	}
	if len(w.marks) == 0 {
		return
	}
	// What else the orders were to be paid by is closed now and not when its time comes.
	orders := make([]uuid.UUID, len(w.marks))
	for i, m := range w.marks {
		orders[i] = m.OrderID
	}
	if err := hurry(ctx, w.service.pool, orders, w.at); err != nil {
		w.service.log.Warn("other payments are closed later", "error", err)
	}
}

package sandbox

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/orderd-dev/orderd/orderd/kit/database"
	"github.com/orderd-dev/orderd/orderd/shop/payment"
)

// States of what the sandbox remembers.
const (
	statePaid     = "PAID"
	stateClosed   = "CLOSED"
	stateRefunded = "REFUNDED"
)

// statementPage is how many rows of a statement are in memory at once.
const statementPage = 500

// entry is a payment that was paid or closed, or a refund.
type entry struct {
	PaymentID, RefundID            uuid.UUID
	State, TransactionID, Currency string
	Amount                         int64
	At                             time.Time
}

// transactionID of a payment: it is paid once, so its id names what happened.
func transactionID(paymentID uuid.UUID) string { return "sandbox-" + paymentID.String() }

// Query answers from what was paid or closed. Everything else can be paid until its time is over:
// the page takes every token that Create signs, and Create keeps nothing.
func (s *Sandbox) Query(ctx context.Context, c payment.Charge) (payment.Status, error) {
	e, ok, err := s.find(ctx, c.PaymentID, uuid.Nil)
	switch {
	case err != nil:
		return payment.Status{}, err
	case ok && e.State == statePaid:
		return payment.Status{
			State: payment.StatusSucceeded, TransactionID: e.TransactionID,
			Amount: e.Amount, Currency: e.Currency, PaidAt: e.At,
		}, nil
	case ok || s.now().Unix() >= c.ExpiresAt.Unix():
		return payment.Status{State: payment.StatusClosed}, nil
	}
	return payment.Status{State: payment.StatusPending}, nil
}

// Close makes the page refuse the payment, unless it was paid.
func (s *Sandbox) Close(ctx context.Context, c payment.Charge) error {
	e, err := s.record(ctx, entry{
		PaymentID: c.PaymentID, State: stateClosed, Amount: c.Amount, Currency: c.Currency, At: s.now(),
	})
	if err != nil {
		return err
	}
	if e.State == statePaid {
		return fmt.Errorf("sandbox: closing: %w", payment.ErrPaid)
	}
	return nil
}

// Refund pays back at once, never more than was paid.
func (s *Sandbox) Refund(ctx context.Context, r payment.RefundOrder) (payment.RefundStatus, error) {
	err := database.ExecuteTx(ctx, s.pool, func(tx *database.Tx) error {
		// The payment's row is locked, so that refunds of one payment come one after the other.
		paid, found, err := lockPaid(ctx, tx, r.PaymentID)
		if err != nil {
			return err
		}
		if !found || paid.TransactionID != r.TransactionID {
			return &payment.RefusedError{Reason: "TRANSACTION_NOT_FOUND"}
		}
		before, err := refundsOf(ctx, tx, r.PaymentID)
		if err != nil {
			return err
		}
		left := paid.Amount
		for _, e := range before {
			left -= e.Amount
			switch {
			case e.RefundID == r.RefundID && e.Amount == r.Amount && e.Currency == r.Currency:
				return nil
			case e.RefundID == r.RefundID:
				return &payment.RefusedError{Reason: "REFUND_ID_REUSED"}
			}
		}
		if r.Amount <= 0 || r.Amount > left || r.Currency != paid.Currency {
			return &payment.RefusedError{Reason: "AMOUNT_NOT_LEFT"}
		}
		return insert(ctx, tx, entry{
			PaymentID: r.PaymentID, RefundID: r.RefundID, State: stateRefunded,
			TransactionID: refundTransactionID(r.RefundID), Amount: r.Amount, Currency: r.Currency, At: s.now(),
		})
	})
	var refused *payment.RefusedError
	switch {
	case errors.As(err, &refused):
		return payment.RefundStatus{}, refused
	case err != nil:
		return payment.RefundStatus{}, fmt.Errorf("sandbox: refunding: %w", err)
	}
	return payment.RefundStatus{
		State: payment.RefundSucceeded, ProviderRefundID: refundTransactionID(r.RefundID),
	}, nil
}

func refundTransactionID(refundID uuid.UUID) string { return "sandbox-refund-" + refundID.String() }

// QueryRefund finds a refund.
func (s *Sandbox) QueryRefund(ctx context.Context, r payment.RefundOrder) (payment.RefundStatus, error) {
	e, ok, err := s.find(ctx, r.PaymentID, r.RefundID)
	switch {
	case err != nil:
		return payment.RefundStatus{}, err
	case !ok || e.RefundID == uuid.Nil:
		return payment.RefundStatus{State: payment.RefundNotFound}, nil
	}
	return payment.RefundStatus{State: payment.RefundSucceeded, ProviderRefundID: e.TransactionID}, nil
}

// Location is UTC.
func (s *Sandbox) Location() *time.Location { return time.UTC }

// Statement reads the day's payments and refunds, a page at a time.
func (s *Sandbox) Statement(ctx context.Context, day time.Time, each func(payment.StatementRow) error) error {
	last := entry{At: day}
	for {
		entries, err := listMoved(ctx, s.pool, last, day.AddDate(0, 0, 1), statementPage)
		if err != nil {
			return err
		}
		for _, e := range entries {
			if err := each(e.statementRow()); err != nil {
				return err
			}
		}
		if len(entries) < statementPage {
			return nil
		}
		last = entries[len(entries)-1]
	}
}

func (e entry) statementRow() payment.StatementRow {
	row := payment.StatementRow{
		Kind: payment.KindPayment, TransactionID: e.TransactionID, PaymentID: e.PaymentID,
		Amount: e.Amount, Currency: e.Currency, At: e.At,
	}
	if e.State == stateRefunded {
		row.Kind, row.RefundID = payment.KindRefund, e.RefundID
	}
	return row
}

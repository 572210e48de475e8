package sandbox

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/orderd-dev/orderd/orderd/database"
	"github.com/orderd-dev/orderd/orderd/payment"
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

// record writes a payment's end unless it has one, and returns the one that counts.
func (s *Sandbox) record(ctx context.Context, e entry) (entry, error) {
	if _, err := s.pool.Exec(ctx, `INSERT INTO sandbox_transactions (payment_id, refund_id, state, transaction_id, amount, currency, at)
		VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (payment_id, refund_id) DO NOTHING`,
		e.PaymentID, e.RefundID, e.State, e.TransactionID, e.Amount, e.Currency, e.At); err != nil {
		return entry{}, fmt.Errorf("sandbox: writing a transaction: %w", err)
	}
	found, _, err := s.find(ctx, e.PaymentID, e.RefundID)
	return found, err
}

func (s *Sandbox) find(ctx context.Context, paymentID, refundID uuid.UUID) (entry, bool, error) {
	found, err := readEntries(ctx, s.pool, "WHERE payment_id = $1 AND refund_id = $2", paymentID, refundID)
	if err != nil || len(found) == 0 {
		return entry{}, false, err
	}
	return found[0], true, nil
}

func readEntries(ctx context.Context, q database.Querier, condition string, args ...any) ([]entry, error) {
	rows, err := q.Query(ctx, "SELECT payment_id, refund_id, state, transaction_id, currency, amount, at FROM sandbox_transactions "+condition, args...)
	if err != nil {
		return nil, fmt.Errorf("sandbox: reading transactions: %w", err)
	}
	found, err := pgx.CollectRows(rows, pgx.RowToStructByPos[entry])
	if err != nil {
		return nil, fmt.Errorf("sandbox: reading transactions: %w", err)
	}
	return found, nil
}

// transactionID of a payment: it is paid once, so its id names what happened.
func transactionID(paymentID uuid.UUID) string { return "sandbox-" + paymentID.String() }

// Query answers from what was paid or closed. Everything else can be paid until its time is over: the page takes every
// token that Create signs, and Create keeps nothing.
func (s *Sandbox) Query(ctx context.Context, c payment.Charge) (payment.Status, error) {
	e, ok, err := s.find(ctx, c.PaymentID, uuid.Nil)
	switch {
	case err != nil:
		return payment.Status{}, err
	case ok && e.State == statePaid:
		return payment.Status{State: payment.StatusSucceeded, TransactionID: e.TransactionID, Amount: e.Amount, Currency: e.Currency, PaidAt: e.At}, nil
	case ok || s.now().Unix() >= c.ExpiresAt.Unix():
		return payment.Status{State: payment.StatusClosed}, nil
	}
	return payment.Status{State: payment.StatusPending}, nil
}

// Close makes the page refuse the payment, unless it was paid.
func (s *Sandbox) Close(ctx context.Context, c payment.Charge) error {
	e, err := s.record(ctx, entry{PaymentID: c.PaymentID, State: stateClosed, Amount: c.Amount, Currency: c.Currency, At: s.now()})
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
		paid, err := readEntries(ctx, tx, "WHERE payment_id = $1 AND refund_id = $2 AND state = $3 FOR UPDATE", r.PaymentID, uuid.Nil, statePaid)
		if err != nil {
			return err
		}
		if len(paid) == 0 || paid[0].TransactionID != r.TransactionID {
			return &payment.RefusedError{Reason: "TRANSACTION_NOT_FOUND"}
		}
		before, err := readEntries(ctx, tx, "WHERE payment_id = $1 AND refund_id <> $2", r.PaymentID, uuid.Nil)
		if err != nil {
			return err
		}
		left := paid[0].Amount
		for _, e := range before {
			left -= e.Amount
			switch {
			case e.RefundID == r.RefundID && e.Amount == r.Amount && e.Currency == r.Currency:
				return nil
			case e.RefundID == r.RefundID:
				return &payment.RefusedError{Reason: "REFUND_ID_REUSED"}
			}
		}
		if r.Amount <= 0 || r.Amount > left || r.Currency != paid[0].Currency {
			return &payment.RefusedError{Reason: "AMOUNT_NOT_LEFT"}
		}
		_, err = tx.Exec(ctx, `INSERT INTO sandbox_transactions (payment_id, refund_id, state, transaction_id, amount, currency, at)
			VALUES ($1, $2, $3, $4, $5, $6, $7)`, r.PaymentID, r.RefundID, stateRefunded, refundTransactionID(r.RefundID), r.Amount, r.Currency, s.now())
		return err
	})
	var refused *payment.RefusedError
	switch {
	case errors.As(err, &refused):
		return payment.RefundStatus{}, refused
	case err != nil:
		return payment.RefundStatus{}, fmt.Errorf("sandbox: refunding: %w", err)
	}
	return payment.RefundStatus{State: payment.RefundSucceeded, ProviderRefundID: refundTransactionID(r.RefundID)}, nil
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
		page, err := readEntries(ctx, s.pool, `WHERE state <> $1 AND at < $2 AND (at, payment_id, refund_id) > ($3::timestamptz, $4::uuid, $5::uuid)
			ORDER BY at, payment_id, refund_id LIMIT $6`, stateClosed, day.AddDate(0, 0, 1), last.At, last.PaymentID, last.RefundID, statementPage)
		if err != nil {
			return err
		}
		for _, e := range page {
			row := payment.StatementRow{Kind: payment.KindPayment, TransactionID: e.TransactionID, PaymentID: e.PaymentID, Amount: e.Amount, Currency: e.Currency, At: e.At}
			if e.State == stateRefunded {
				row.Kind, row.RefundID = payment.KindRefund, e.RefundID
			}
			if err := each(row); err != nil {
				return err
			}
		}
		if len(page) < statementPage {
			return nil
		}
		last = page[len(page)-1]
	}
}

package payment

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	paymentv1 "github.com/orderd-dev/orderd/api/gen/orderd/payment/v1"
	"github.com/orderd-dev/orderd/orderd/kit/database"
	"github.com/orderd-dev/orderd/orderd/kit/lease"
	"github.com/orderd-dev/orderd/orderd/shop/order"
)

// maxSequence bounds how often a refund is numbered anew because another refund of the same
// transaction was committed first with its number.
const maxSequence = 64

const selectRefunds = `SELECT r.refund_id, r.payment_id, r.order_id, r.provider, r.transaction_id, r.order_key,
	r.paid_by, p.amount, r.state, r.version, r.reason, r.amount, r.currency, r.asked_as,
	p.reference, r.provider_refund_id, r.failure, r.failure_final, r.attempts, r.failures, r.created_at, r.next_attempt_at, r.succeeded_at
	FROM refunds AS r JOIN payments AS p ON p.payment_id = r.payment_id `

var errRefundNotFound = errors.New("refund not found")

func loadRefunds(ctx context.Context, q database.Querier, condition string, args ...any) ([]*Refund, error) {
	rows, err := q.Query(ctx, selectRefunds+condition, args...)
	if err != nil {
		return nil, fmt.Errorf("reading refunds: %w", err)
	}
	refunds, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (*Refund, error) {
		var r Refund
		err := row.Scan(&r.ID, &r.PaymentID, &r.OrderID, &r.Provider, &r.Cause, &r.Key, &r.PaidBy, &r.Total,
			&r.State, &r.Version, &r.Reason, &r.Amount, &r.Currency, &r.AskedAs,
			&r.Reference, &r.ProviderRefundID, &r.Failure, &r.FailureFinal, &r.Attempts, &r.Failures,
			&r.CreatedAt, &r.NextAttemptAt, &r.SucceededAt)
		r.stored = r.Version
		return &r, err
	})
	if err != nil {
		return nil, fmt.Errorf("reading refunds: %w", err)
	}
	return refunds, nil
}

// oneRefund is the only refund that was read, or errRefundNotFound.
func oneRefund(refunds []*Refund, err error) (*Refund, error) {
	if err != nil {
		return nil, err
	}
	if len(refunds) == 0 {
		return nil, errRefundNotFound
	}
	return refunds[0], nil
}

// getRefund reads a refund, or errRefundNotFound.
func getRefund(ctx context.Context, q database.Querier, id uuid.UUID) (*Refund, error) {
	return oneRefund(loadRefunds(ctx, q, "WHERE r.refund_id = $1", id))
}

// getRefundOf reads a refund of a buyer's order, or errRefundNotFound.
func getRefundOf(ctx context.Context, q database.Querier, buyerID string, id uuid.UUID) (*Refund, error) {
	return oneRefund(loadRefunds(ctx, q, "WHERE r.refund_id = $1 AND p.buyer_id = $2", id, buyerID))
}

// refundAsked reads a refund by the id that its provider knows, or errRefundNotFound.
func refundAsked(ctx context.Context, q database.Querier, provider string, asked uuid.UUID) (*Refund, error) {
	return oneRefund(loadRefunds(ctx, q, `WHERE r.provider = $1
		AND r.refund_id IN (SELECT refund_id FROM refunds WHERE refund_id = $2
			UNION SELECT refund_id FROM refunds WHERE asked_as = $2)`, provider, asked))
}

// dueRefunds are those of a bucket that are to be taken up now, at most limit.
func dueRefunds(ctx context.Context, q database.Querier, bucket int64, now time.Time, limit int) ([]*Refund, error) {
	return loadRefunds(ctx, q, `WHERE r.bucket = $1
			AND r.next_attempt_at IS NOT NULL AND r.next_attempt_at <= $2 AND r.state <> 'SUCCEEDED'
		ORDER BY r.next_attempt_at, r.refund_id LIMIT $3`, bucket, now, limit)
}

// refundList says which refunds a list has: a condition, whose arguments begin at $4.
type refundList struct {
	condition string
	args      []any
}

// refundsOfOrder are those of a buyer's order.
func refundsOfOrder(orderID uuid.UUID, buyerID string) refundList {
	return refundList{condition: "r.order_id = $4 AND p.buyer_id = $5", args: []any{orderID, buyerID}}
}

// refundsInState are those of all buyers in a state.
func refundsInState(state string) refundList {
	return refundList{condition: "r.state = $4", args: []any{state}}
}

// listRefunds reads the refunds of a list that come after one of them, the oldest first, at most
// limit.
func listRefunds(
	ctx context.Context, q database.Querier, list refundList, at time.Time, id uuid.UUID, limit int,
) ([]*Refund, error) {
	return loadRefunds(ctx, q, "WHERE "+list.condition+` AND (r.created_at, r.refund_id) > ($1::timestamptz, $2::uuid)
		ORDER BY r.created_at, r.refund_id LIMIT $3`, append([]any{at, id, limit}, list.args...)...)
}

// insertRefund requests a refund, once a provider and cause; a repetition changes nothing. The
// refunds of a transaction are numbered, and each number is given once, so that the second of two
// refunds counts the amount of the first. The sum of the refunds stays within what was paid,
// whatever the order in which they commit. No row is locked.
func insertRefund(ctx context.Context, tx pgx.Tx, r *Refund, actor string) error {
	c, err := stepRefund(r, Request, r.CreatedAt, actor, r.Reason)
	if err != nil {
		return err
	}
	for range maxSequence {
		tag, err := tx.Exec(ctx,
			`INSERT INTO refunds (refund_id, provider, transaction_id, payment_id, order_id, state, version, reason, amount, currency,
				created_at, order_key, paid_by, bucket, next_attempt_at, seq, left_after)
			SELECT $1::uuid, $2::text, $3::text, $4::uuid, $5::uuid, $6::text, $7::bigint, $8::text, $9::bigint, $10::text,
				$11::timestamptz, $12::text, $13::text, $14::bigint, $11::timestamptz, b.seq + 1, $15::bigint - b.refunded - $9::bigint
			FROM (SELECT coalesce(max(seq), 0) AS seq, coalesce(sum(amount), 0)::bigint AS refunded FROM refunds
				WHERE payment_id = $4::uuid AND paid_by = $13::text) AS b
			WHERE b.refunded + $9::bigint <= $15::bigint
			ON CONFLICT DO NOTHING`, r.ID, r.Provider, r.Cause, r.PaymentID, r.OrderID, string(r.State), r.Version, r.Reason,
			r.Amount, r.Currency, r.CreatedAt, r.Key, r.PaidBy, lease.Bucket(r.OrderID), r.Total)
		if err != nil {
			return fmt.Errorf("requesting a refund: %w", err)
		}
		if tag.RowsAffected() == 1 {
			var b pgx.Batch
			queueHistory(&b, refundHistory, c)
			return tx.SendBatch(ctx, &b).Close()
		}
		known, left, err := refundedSoFar(ctx, tx, r)
		switch {
		case err != nil:
			return err
		case known:
			return nil
		case left < r.Amount:
			return fmt.Errorf("%w: %d of %d", order.ErrRefundExceeds, r.Amount, left)
		}
		// Another refund took the number.
	}
	return fmt.Errorf("requesting a refund of payment %s: too many others at once", r.PaymentID)
}

// refundedSoFar tells whether the refund is there, and what is left of its transaction.
func refundedSoFar(ctx context.Context, tx pgx.Tx, r *Refund) (known bool, left int64, err error) {
	err = tx.QueryRow(ctx, `SELECT EXISTS (SELECT 1 FROM refunds WHERE provider = $1 AND transaction_id = $2),
		$5::bigint - (SELECT coalesce(sum(amount), 0)::bigint FROM refunds WHERE payment_id = $3 AND paid_by = $4)`,
		r.Provider, r.Cause, r.PaymentID, r.PaidBy, r.Total).Scan(&known, &left)
	if err != nil {
		return false, 0, fmt.Errorf("looking for a refund: %w", err)
	}
	return known, left, nil
}

// updateRefund writes a refund's new state and its history, unless it is not as it was read:
// errStale.
func updateRefund(ctx context.Context, tx pgx.Tx, r *Refund, c change) error {
	tag, err := tx.Exec(ctx,
		`UPDATE refunds SET state = $3, version = $4, asked_as = $5, provider_refund_id = $6, failure = $7, failure_final = $8,
			attempts = $9, failures = $10, next_attempt_at = $11, succeeded_at = $12
		WHERE refund_id = $1 AND version = $2`, r.ID, r.stored, string(r.State), r.Version, r.AskedAs, r.ProviderRefundID,
		r.Failure, r.FailureFinal, r.Attempts, r.Failures, r.NextAttemptAt, r.SucceededAt)
	if err != nil {
		return err
	}
	if tag.RowsAffected() == 0 {
		return errStale
	}
	var b pgx.Batch
	queueHistory(&b, refundHistory, c)
	return tx.SendBatch(ctx, &b).Close()
}

// delayRefund sets when the refund is taken up again, unless it has changed meanwhile.
func (s *Service) delayRefund(ctx context.Context, r *Refund) error {
	_, err := s.pool.Exec(ctx, `UPDATE refunds SET attempts = $3, next_attempt_at = $4, failure = $5
		WHERE refund_id = $1 AND version = $2`, r.ID, r.stored, r.Attempts, r.NextAttemptAt, r.Failure)
	if err != nil {
		return fmt.Errorf("delaying refund %s: %w", r.ID, err)
	}
	return nil
}

// RefundsOf are the refunds of an order as staff see them, newest first; q is a pool or a transaction.
func RefundsOf(ctx context.Context, q database.Querier, id uuid.UUID) ([]*paymentv1.Refund, error) {
	list, err := loadRefunds(ctx, q, "WHERE r.order_id = $1 ORDER BY r.created_at DESC, r.refund_id DESC", id)
	if err != nil {
		return nil, err
	}
	return refundProtos(list, true), nil
}

package payment

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

type querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
}

const selectPayments = `SELECT payment_id, order_id, buyer_id, provider, state, version, amount, currency, redirect_url,
	transaction_id, created_at, succeeded_at FROM payments `

var errNotFound = errors.New("payment not found")

func load(ctx context.Context, q querier, condition string, args ...any) ([]*Payment, error) {
	rows, err := q.Query(ctx, selectPayments+condition, args...)
	if err != nil {
		return nil, fmt.Errorf("reading payments: %w", err)
	}
	payments, err := pgx.CollectRows(rows, pgx.RowToAddrOfStructByPos[Payment])
	if err != nil {
		return nil, fmt.Errorf("reading payments: %w", err)
	}
	for _, p := range payments {
		p.stored = p.Version
	}
	return payments, nil
}

// lock reads payments and keeps their rows locked until the transaction ends, in the order of their ids.
func lock(ctx context.Context, tx pgx.Tx, ids []uuid.UUID) ([]*Payment, error) {
	return load(ctx, tx, "WHERE payment_id = ANY ($1) ORDER BY payment_id FOR UPDATE", ids)
}

func get(ctx context.Context, q querier, buyerID string, id uuid.UUID) (*Payment, error) {
	payments, err := load(ctx, q, "WHERE payment_id = $1 AND buyer_id = $2", id, buyerID)
	if err != nil {
		return nil, err
	}
	if len(payments) == 0 {
		return nil, errNotFound
	}
	return payments[0], nil
}

func queueInsert(b *pgx.Batch, p *Payment) {
	b.Queue(`INSERT INTO payments (payment_id, order_id, buyer_id, provider, state, version, amount, currency, redirect_url, transaction_id, created_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)`,
		p.ID, p.OrderID, p.BuyerID, p.Provider, string(p.State), p.Version, p.Amount, p.Currency, p.RedirectURL, p.TransactionID, p.CreatedAt)
}

// queueUpdates writes the payments' new states; the batch fails unless each is as it was read.
func queueUpdates(b *pgx.Batch, payments []*Payment) {
	n := len(payments)
	ids, states, before, versions := make([]uuid.UUID, n), make([]string, n), make([]int64, n), make([]int64, n)
	urls, transactions, succeeded := make([]string, n), make([]string, n), make([]*time.Time, n)
	for i, p := range payments {
		ids[i], states[i], before[i], versions[i] = p.ID, string(p.State), p.stored, p.Version
		urls[i], transactions[i], succeeded[i] = p.RedirectURL, p.TransactionID, p.SucceededAt
	}
	b.Queue(`UPDATE payments SET state = v.state, version = v.version, redirect_url = v.redirect_url, transaction_id = v.transaction_id, succeeded_at = v.succeeded_at
		FROM unnest($1::uuid[], $2::text[], $3::bigint[], $4::bigint[], $5::text[], $6::text[], $7::timestamptz[])
			AS v (payment_id, state, stored, version, redirect_url, transaction_id, succeeded_at)
		WHERE payments.payment_id = v.payment_id AND payments.version = v.stored`,
		ids, states, before, versions, urls, transactions, succeeded).Exec(func(tag pgconn.CommandTag) error {
		if tag.RowsAffected() != int64(n) {
			return fmt.Errorf("%d payments changed, want %d", tag.RowsAffected(), n)
		}
		return nil
	})
}

func queueHistory(b *pgx.Batch, changes []change) {
	n := len(changes)
	ids, versions, ats := make([]uuid.UUID, n), make([]int64, n), make([]time.Time, n)
	events, froms, tos, actors, reasons := make([]string, n), make([]string, n), make([]string, n), make([]string, n), make([]string, n)
	for i, c := range changes {
		ids[i], versions[i], ats[i] = c.payment.ID, c.payment.Version, c.at
		events[i], froms[i], tos[i], actors[i], reasons[i] = string(c.event), string(c.from), string(c.payment.State), c.actor, c.reason
	}
	b.Queue(`INSERT INTO payment_history (payment_id, version, event, from_state, to_state, actor, reason, at)
		SELECT payment_id, version, event, from_state, to_state, actor, reason, at
		FROM unnest($1::uuid[], $2::bigint[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::timestamptz[])
			AS h (payment_id, version, event, from_state, to_state, actor, reason, at)`,
		ids, versions, events, froms, tos, actors, reasons, ats)
}

// insertNotifications stores notifications and returns the transaction ids that were not there before.
func insertNotifications(ctx context.Context, tx pgx.Tx, provider string, told []Notification, at time.Time) (map[string]bool, error) {
	n := len(told)
	transactions, ids, raws := make([]string, n), make([]uuid.UUID, n), make([][]byte, n)
	for i, t := range told {
		transactions[i], ids[i], raws[i] = t.TransactionID, t.PaymentID, t.Raw
	}
	rows, err := tx.Query(ctx, `INSERT INTO payment_notifications (provider, transaction_id, payment_id, raw, received_at)
		SELECT $1::text, transaction_id, payment_id, raw, $2::timestamptz
		FROM unnest($3::text[], $4::uuid[], $5::bytea[]) AS n (transaction_id, payment_id, raw)
		ON CONFLICT (provider, transaction_id) DO NOTHING RETURNING transaction_id`, provider, at, transactions, ids, raws)
	if err != nil {
		return nil, fmt.Errorf("storing notifications: %w", err)
	}
	stored, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, fmt.Errorf("storing notifications: %w", err)
	}
	fresh := make(map[string]bool, len(stored))
	for _, id := range stored {
		fresh[id] = true
	}
	return fresh, nil
}

// stateRequested is a refund's first state: the money is due back.
const stateRequested = "REQUESTED"

// refund is money that is due back.
type refund struct {
	id            uuid.UUID
	payment       *Payment
	transactionID string
	reason        string
}

func insertRefund(ctx context.Context, tx pgx.Tx, r refund, at time.Time) error {
	_, err := tx.Exec(ctx, `INSERT INTO refunds (refund_id, provider, transaction_id, payment_id, order_id, state, reason, amount, currency, created_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT (provider, transaction_id) DO NOTHING`,
		r.id, r.payment.Provider, r.transactionID, r.payment.ID, r.payment.OrderID, stateRequested, r.reason, r.payment.Amount, r.payment.Currency, at)
	if err != nil {
		return fmt.Errorf("recording a refund: %w", err)
	}
	return nil
}

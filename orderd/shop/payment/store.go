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
)

const selectPayments = `SELECT payment_id, order_id, buyer_id, provider, method, reference, state, version, amount, currency, redirect_url,
	transaction_id, failure, created_at, expires_at, succeeded_at, paid_at, next_query_at FROM payments `

var errNotFound = errors.New("payment not found")

func load(ctx context.Context, q database.Querier, condition string, args ...any) ([]*Payment, error) {
	rows, err := q.Query(ctx, selectPayments+condition, args...)
	if err != nil {
		return nil, fmt.Errorf("reading payments: %w", err)
	}
	payments, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (*Payment, error) {
		var p Payment
		err := row.Scan(&p.ID, &p.OrderID, &p.BuyerID, &p.Provider, &p.Method, &p.Reference, &p.State, &p.Version,
			&p.Amount, &p.Currency, &p.RedirectURL, &p.TransactionID, &p.Failure,
			&p.CreatedAt, &p.ExpiresAt, &p.SucceededAt, &p.PaidAt, &p.NextQueryAt)
		p.stored = p.Version
		return &p, err
	})
	if err != nil {
		return nil, fmt.Errorf("reading payments: %w", err)
	}
	return payments, nil
}

// lock reads payments and keeps their rows locked until the transaction ends, in the order of their
// ids.
func lock(ctx context.Context, tx pgx.Tx, ids []uuid.UUID) ([]*Payment, error) {
	return load(ctx, tx, "WHERE payment_id = ANY ($1) ORDER BY payment_id FOR UPDATE", ids)
}

// one is the only payment that was read, or errNotFound.
func one(payments []*Payment, err error) (*Payment, error) {
	if err != nil {
		return nil, err
	}
	if len(payments) == 0 {
		return nil, errNotFound
	}
	return payments[0], nil
}

// lockOne is lock for one payment, or errNotFound.
func lockOne(ctx context.Context, tx pgx.Tx, id uuid.UUID) (*Payment, error) {
	return one(lock(ctx, tx, []uuid.UUID{id}))
}

// get reads a payment, or errNotFound.
func get(ctx context.Context, q database.Querier, id uuid.UUID) (*Payment, error) {
	return one(load(ctx, q, "WHERE payment_id = $1", id))
}

// getOf reads a buyer's payment, or errNotFound.
func getOf(ctx context.Context, q database.Querier, buyerID string, id uuid.UUID) (*Payment, error) {
	return one(load(ctx, q, "WHERE payment_id = $1 AND buyer_id = $2", id, buyerID))
}

// duePayments are those of a bucket whose providers are to be asked now, at most limit.
func duePayments(ctx context.Context, q database.Querier, bucket int64, now time.Time, limit int) ([]*Payment, error) {
	return load(ctx, q, `WHERE bucket = $1 AND next_query_at IS NOT NULL AND next_query_at <= $2
		ORDER BY next_query_at, payment_id LIMIT $3`, bucket, now, limit)
}

func queueInsert(b *pgx.Batch, p *Payment) {
	b.Queue(
		`INSERT INTO payments (payment_id, order_id, buyer_id, provider, method, reference, state, version, amount, currency, redirect_url, transaction_id,
			created_at, expires_at, bucket, next_query_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)`,
		p.ID,
		p.OrderID,
		p.BuyerID,
		p.Provider,
		p.Method,
		p.Reference,
		string(p.State),
		p.Version,
		p.Amount,
		p.Currency,
		p.RedirectURL,
		p.TransactionID,
		p.CreatedAt,
		p.ExpiresAt,
		lease.Bucket(p.OrderID),
		p.NextQueryAt,
	)
}

// queueUpdates writes the payments' new states; the batch fails unless each is as it was read.
func queueUpdates(b *pgx.Batch, payments []*Payment) {
	n := len(payments)
	ids, states, before, versions := make([]uuid.UUID, n), make([]string, n), make([]int64, n), make([]int64, n)
	urls, references, transactions, failures := make([]string, n), make([]string, n), make([]string, n), make([]string, n)
	succeeded, paid, next := make([]*time.Time, n), make([]*time.Time, n), make([]*time.Time, n)
	for i, p := range payments {
		ids[i], states[i], before[i], versions[i] = p.ID, string(p.State), p.stored, p.Version
		urls[i], references[i], transactions[i], failures[i] = p.RedirectURL, p.Reference, p.TransactionID, p.Failure
		succeeded[i], paid[i], next[i] = p.SucceededAt, p.PaidAt, p.NextQueryAt
	}
	b.Queue(
		`UPDATE payments SET state = v.state, version = v.version, redirect_url = v.redirect_url, reference = v.reference, transaction_id = v.transaction_id,
			failure = v.failure, succeeded_at = v.succeeded_at, paid_at = v.paid_at, next_query_at = v.next_query_at
		FROM unnest($1::uuid[], $2::text[], $3::bigint[], $4::bigint[], $5::text[], $6::text[], $7::text[], $8::text[], $9::timestamptz[], $10::timestamptz[],
				$11::timestamptz[])
			AS v (payment_id, state, stored, version, redirect_url, reference, transaction_id, failure, succeeded_at, paid_at, next_query_at)
		WHERE payments.payment_id = v.payment_id AND payments.version = v.stored`,
		ids,
		states,
		before,
		versions,
		urls,
		references,
		transactions,
		failures,
		succeeded,
		paid,
		next,
	).Exec(database.MustChange(n))
}

// The tables of histories, each with its first column, for [queueHistory].
const (
	paymentHistory = "payment_history (payment_id"
	refundHistory  = "refund_history (refund_id"
)

// queueHistory writes rows of a history.
func queueHistory(b *pgx.Batch, table string, changes ...change) {
	n := len(changes)
	ids, versions, ats := make([]uuid.UUID, n), make([]int64, n), make([]time.Time, n)
	events, froms, tos := make([]string, n), make([]string, n), make([]string, n)
	actors, reasons := make([]string, n), make([]string, n)
	for i, c := range changes {
		ids[i], versions[i], ats[i] = c.id, c.version, c.at
		events[i], froms[i], tos[i] = string(c.event), string(c.from), string(c.to)
		actors[i], reasons[i] = c.actor, c.reason
	}
	b.Queue("INSERT INTO "+table+`, version, event, from_state, to_state, actor, reason, at)
		SELECT id, version, event, from_state, to_state, actor, reason, at
		FROM unnest($1::uuid[], $2::bigint[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::timestamptz[])
			AS h (id, version, event, from_state, to_state, actor, reason, at)`,
		ids, versions, events, froms, tos, actors, reasons, ats)
}

// success is the success of a payment, as its history has it.
type success struct {
	PaymentID uuid.UUID
	Version   int64
	At        time.Time
	Reason    string
}

// readSuccesses are the successes that the payments' histories have, by payment.
func readSuccesses(ctx context.Context, q database.Querier, payments []uuid.UUID) (map[uuid.UUID]success, error) {
	rows, err := q.Query(ctx, `SELECT payment_id, version, at, reason FROM payment_history
		WHERE payment_id = ANY ($1) AND to_state = 'SUCCEEDED'`, payments)
	if err != nil {
		return nil, fmt.Errorf("reading payments' histories: %w", err)
	}
	found, err := pgx.CollectRows(rows, pgx.RowToStructByPos[success])
	if err != nil {
		return nil, fmt.Errorf("reading payments' histories: %w", err)
	}
	out := make(map[uuid.UUID]success, len(found))
	for _, s := range found {
		out[s.PaymentID] = s
	}
	return out, nil
}

// hurry has the open payments of orders asked about at once, but for those that the caller has just
// changed. It is a statement of its own after the change of the orders: a lost one costs the time
// until the payments are asked about anyway.
func hurry(ctx context.Context, q database.Querier, at time.Time, orders []uuid.UUID, changed ...uuid.UUID) error {
	// An empty list would be sent as NULL, and no row passes a comparison with NULL.
	changed = append(changed, uuid.Nil)
	_, err := q.Exec(ctx, `UPDATE payments SET next_query_at = $1
		WHERE order_id = ANY ($2) AND payment_id <> ALL ($3) AND state IN ('CREATED', 'PENDING') AND next_query_at > $1`,
		at, orders, changed)
	if err != nil {
		return fmt.Errorf("having open payments asked about at once: %w", err)
	}
	return nil
}

// reschedule sets when the payment is asked about again, unless it has changed meanwhile.
func (s *Service) reschedule(ctx context.Context, p *Payment, next time.Time) error {
	_, err := s.pool.Exec(ctx, `UPDATE payments SET next_query_at = $3
		WHERE payment_id = $1 AND version = $2 AND next_query_at IS NOT NULL`, p.ID, p.stored, database.Stamp(next))
	if err != nil {
		return fmt.Errorf("rescheduling payment %s: %w", p.ID, err)
	}
	return nil
}

// stopAsking ends the queries of a payment whose state does not change any more.
func (s *Service) stopAsking(ctx context.Context, p *Payment) error {
	_, err := s.pool.Exec(ctx, "UPDATE payments SET next_query_at = NULL WHERE payment_id = $1", p.ID)
	if err != nil {
		return fmt.Errorf("ending the queries of payment %s: %w", p.ID, err)
	}
	return nil
}

// countOf is how many payments an order has.
func countOf(ctx context.Context, q database.Querier, orderID uuid.UUID) (n int, err error) {
	if err := q.QueryRow(ctx, "SELECT count(*) FROM payments WHERE order_id = $1", orderID).Scan(&n); err != nil {
		return 0, fmt.Errorf("counting payments: %w", err)
	}
	return n, nil
}

// OfOrders are the payments of orders, newest first; q is a pool or a transaction.
func OfOrders(
	ctx context.Context, q database.Querier, ids []uuid.UUID,
) (map[uuid.UUID][]*paymentv1.Payment, error) {
	list, err := load(ctx, q, "WHERE order_id = ANY ($1) ORDER BY created_at DESC, payment_id DESC", ids)
	if err != nil {
		return nil, err
	}
	found := map[uuid.UUID][]*paymentv1.Payment{}
	for _, p := range list {
		found[p.OrderID] = append(found[p.OrderID], p.proto())
	}
	return found, nil
}

// Surplus are the providers' transactions of orders that do not count and go back to the buyer, such as the second one
// of a payment.
func Surplus(ctx context.Context, q database.Querier, ids []uuid.UUID) (map[uuid.UUID][]string, error) {
	rows, err := q.Query(ctx,
		"SELECT DISTINCT order_id, paid_by FROM refunds WHERE order_id = ANY ($1) ORDER BY order_id, paid_by", ids)
	if err != nil {
		return nil, fmt.Errorf("reading surplus transactions: %w", err)
	}
	found := map[uuid.UUID][]string{}
	var id uuid.UUID
	var transaction string
	if _, err = pgx.ForEachRow(rows, []any{&id, &transaction}, func() error {
		found[id] = append(found[id], transaction)
		return nil
	}); err != nil {
		return nil, fmt.Errorf("reading surplus transactions: %w", err)
	}
	return found, nil
}

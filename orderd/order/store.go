package order

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/orderd-dev/orderd/orderd/lease"
	"github.com/orderd-dev/orderd/orderd/outbox"
)

// Store keeps orders. Its methods are safe for concurrent use.
type Store struct {
	pool    *pgxpool.Pool
	now     func() time.Time
	log     *slog.Logger
	metrics *metrics
}

// NewStore takes the database, a clock, a logger and, unless nil, where to register its metrics.
func NewStore(pool *pgxpool.Pool, now func() time.Time, log *slog.Logger, reg prometheus.Registerer) (*Store, error) {
	m, err := newMetrics(reg)
	if err != nil {
		return nil, err
	}
	return &Store{pool: pool, now: now, log: log, metrics: m}, nil
}

// querier is a pool or a transaction.
type querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
}

const selectOrders = `SELECT order_id, buyer_id, state, version, currency, total, promotion_uid, promotion,
	created_at, expires_at, paid_at, cancelled_at, cancel_reason FROM orders `

// load reads the orders that a condition finds, with their lines, in the query's order.
func load(ctx context.Context, q querier, condition string, args ...any) ([]*Order, error) {
	rows, err := q.Query(ctx, selectOrders+condition, args...)
	if err != nil {
		return nil, fmt.Errorf("reading orders: %w", err)
	}
	orders, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (*Order, error) {
		o := &Order{}
		err := row.Scan(&o.ID, &o.BuyerID, &o.State, &o.Version, &o.Currency, &o.Total, &o.PromotionUID, &o.Promotion,
			&o.CreatedAt, &o.ExpiresAt, &o.PaidAt, &o.CancelledAt, &o.CancelReason)
		return o, err
	})
	if err != nil {
		return nil, fmt.Errorf("reading orders: %w", err)
	}
	return orders, loadLines(ctx, q, orders)
}

func loadLines(ctx context.Context, q querier, orders []*Order) error {
	if len(orders) == 0 {
		return nil
	}
	byID := make(map[uuid.UUID]*Order, len(orders))
	ids := make([]uuid.UUID, len(orders))
	for i, o := range orders {
		byID[o.ID], ids[i] = o, o.ID
	}
	rows, err := q.Query(ctx, "SELECT order_id, sku, title, quantity, unit_price FROM order_lines WHERE order_id = ANY ($1) ORDER BY order_id, line", ids)
	if err != nil {
		return fmt.Errorf("reading order lines: %w", err)
	}
	var id uuid.UUID
	var l Line
	_, err = pgx.ForEachRow(rows, []any{&id, &l.SKU, &l.Title, &l.Quantity, &l.UnitPrice}, func() error {
		byID[id].Lines = append(byID[id].Lines, l)
		return nil
	})
	if err != nil {
		return fmt.Errorf("reading order lines: %w", err)
	}
	return nil
}

// lock reads orders and keeps their rows locked until the transaction ends, in the order of their ids.
func lock(ctx context.Context, tx pgx.Tx, ids []uuid.UUID) ([]*Order, error) {
	return load(ctx, tx, "WHERE order_id = ANY ($1) ORDER BY order_id FOR UPDATE", ids)
}

// ErrNotFound says that the buyer has no such order.
var ErrNotFound = errors.New("order not found")

// Get reads a buyer's order, or ErrNotFound.
func (s *Store) Get(ctx context.Context, buyerID string, id uuid.UUID) (*Order, error) {
	orders, err := load(ctx, s.pool, "WHERE order_id = $1 AND buyer_id = $2", id, buyerID)
	if err != nil {
		return nil, err
	}
	if len(orders) == 0 {
		return nil, ErrNotFound
	}
	return orders[0], nil
}

// Due is what there is to pay for an order.
type Due struct {
	State State
	// Amount in the currency's minor unit.
	Amount    int64
	Currency  string
	ExpiresAt time.Time
}

// GetDue reads what a buyer's order costs, without its lines, or ErrNotFound; q is a pool or a transaction.
func GetDue(ctx context.Context, q querier, buyerID string, id uuid.UUID) (Due, error) {
	rows, err := q.Query(ctx, "SELECT state, total, currency, expires_at FROM orders WHERE order_id = $1 AND buyer_id = $2", id, buyerID)
	if err != nil {
		return Due{}, fmt.Errorf("reading an order: %w", err)
	}
	due, err := pgx.CollectExactlyOneRow(rows, pgx.RowToStructByPos[Due])
	if errors.Is(err, pgx.ErrNoRows) {
		return Due{}, ErrNotFound
	}
	if err != nil {
		return Due{}, fmt.Errorf("reading an order: %w", err)
	}
	return due, nil
}

// insertSQL returns the orders that were not there before.
const insertSQL = `INSERT INTO orders (order_id, buyer_id, state, version, currency, total, promotion_uid, promotion, bucket, created_at, expires_at)
	SELECT order_id, buyer_id, state, version, currency, total, promotion_uid, promotion, bucket, created_at, expires_at
	FROM unnest($1::uuid[], $2::text[], $3::text[], $4::bigint[], $5::text[], $6::bigint[], $7::text[], $8::text[], $9::bigint[], $10::timestamptz[], $11::timestamptz[])
		AS o (order_id, buyer_id, state, version, currency, total, promotion_uid, promotion, bucket, created_at, expires_at)
	ON CONFLICT (order_id) DO NOTHING RETURNING order_id`

func insertArgs(orders []*Order) []any {
	n := len(orders)
	ids, versions, totals, buckets := make([]uuid.UUID, n), make([]int64, n), make([]int64, n), make([]int64, n)
	buyers, states, currencies, uids, promotions := make([]string, n), make([]string, n), make([]string, n), make([]string, n), make([]string, n)
	created, expires := make([]time.Time, n), make([]time.Time, n)
	for i, o := range orders {
		ids[i], versions[i], totals[i], buckets[i] = o.ID, o.Version, o.Total, lease.Bucket(o.ID)
		buyers[i], states[i], currencies[i], uids[i], promotions[i] = o.BuyerID, string(o.State), o.Currency, o.PromotionUID, o.Promotion
		created[i], expires[i] = o.CreatedAt, o.ExpiresAt
	}
	return []any{ids, buyers, states, versions, currencies, totals, uids, promotions, buckets, created, expires}
}

func queueLines(b *pgx.Batch, orders []*Order) {
	var ids []uuid.UUID
	var numbers, quantities, prices []int64
	var skus, titles []string
	for _, o := range orders {
		for i, l := range o.Lines {
			ids, numbers = append(ids, o.ID), append(numbers, int64(i+1))
			skus, titles = append(skus, l.SKU), append(titles, l.Title)
			quantities, prices = append(quantities, l.Quantity), append(prices, l.UnitPrice)
		}
	}
	b.Queue(`INSERT INTO order_lines (order_id, line, sku, title, quantity, unit_price)
		SELECT order_id, line, sku, title, quantity, unit_price
		FROM unnest($1::uuid[], $2::bigint[], $3::text[], $4::text[], $5::bigint[], $6::bigint[])
			AS l (order_id, line, sku, title, quantity, unit_price)`, ids, numbers, skus, titles, quantities, prices)
}

// change is one order's step in its life cycle, made by step and written by queueChanges.
type change struct {
	order         *Order
	event         Event
	from          State
	actor, reason string
	at            time.Time
}

// step takes an order through an event, in memory; who and why go to its history.
func step(o *Order, event Event, at time.Time, actor, reason string) (change, error) {
	to, err := transitions.Next(o.State, event)
	if err != nil {
		return change{}, err
	}
	c := change{order: o, event: event, from: o.State, actor: actor, reason: reason, at: at}
	o.State = to
	o.Version++
	switch to {
	case Paid:
		o.PaidAt, o.CancelledAt, o.CancelReason = &at, nil, ""
	case Cancelled:
		o.CancelledAt, o.CancelReason = &at, reason
	}
	return c, nil
}

// queueUpdates writes the orders' new states; the batch fails unless each was at the version before.
func queueUpdates(b *pgx.Batch, changes []change) {
	n := len(changes)
	ids, states, versions, reasons := make([]uuid.UUID, n), make([]string, n), make([]int64, n), make([]string, n)
	paid, cancelled := make([]*time.Time, n), make([]*time.Time, n)
	for i, c := range changes {
		ids[i], states[i], versions[i], reasons[i] = c.order.ID, string(c.order.State), c.order.Version, c.order.CancelReason
		paid[i], cancelled[i] = c.order.PaidAt, c.order.CancelledAt
	}
	b.Queue(`UPDATE orders SET state = v.state, version = v.version, paid_at = v.paid_at, cancelled_at = v.cancelled_at, cancel_reason = v.cancel_reason
		FROM unnest($1::uuid[], $2::text[], $3::bigint[], $4::timestamptz[], $5::timestamptz[], $6::text[])
			AS v (order_id, state, version, paid_at, cancelled_at, cancel_reason)
		WHERE orders.order_id = v.order_id AND orders.version = v.version - 1`,
		ids, states, versions, paid, cancelled, reasons).Exec(mustChange(n))
}

// queueRecords writes the changes' history and events.
func queueRecords(b *pgx.Batch, changes []change) error {
	n := len(changes)
	ids, versions, ats := make([]uuid.UUID, n), make([]int64, n), make([]time.Time, n)
	events, froms, tos, actors, reasons := make([]string, n), make([]string, n), make([]string, n), make([]string, n), make([]string, n)
	published := make([]outbox.Event, n)
	for i, c := range changes {
		ids[i], versions[i], ats[i] = c.order.ID, c.order.Version, c.at
		events[i], froms[i], tos[i], actors[i], reasons[i] = string(c.event), string(c.from), string(c.order.State), c.actor, c.reason
		published[i] = c.published()
	}
	b.Queue(`INSERT INTO order_history (order_id, version, event, from_state, to_state, actor, reason, at)
		SELECT order_id, version, event, from_state, to_state, actor, reason, at
		FROM unnest($1::uuid[], $2::bigint[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::timestamptz[])
			AS h (order_id, version, event, from_state, to_state, actor, reason, at)`,
		ids, versions, events, froms, tos, actors, reasons, ats)
	return outbox.Queue(b, published)
}

package order

import (
	"context"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// idRange is where a buyer's orders are, from first to below what was read: one range of the primary
// key. Another buyer whose hash is the same is told apart by name.
type idRange struct {
	buyerID      string
	first, below uuid.UUID
}

const inRange = "WHERE order_id >= $1 AND order_id < $2 AND buyer_id = $3 ORDER BY order_id DESC LIMIT $4"

func (r idRange) args(limit int) []any { return []any{r.first, r.below, r.buyerID, limit} }

// list reads the newest orders of a range.
func (s *Store) list(ctx context.Context, r idRange, limit int) ([]*Order, error) {
	return load(ctx, s.pool, inRange, r.args(limit)...)
}

// glance reads as much of the newest orders of a range as their groups hang on.
func (s *Store) glance(ctx context.Context, r idRange, limit int) ([]glance, error) {
	rows, err := s.pool.Query(ctx, "SELECT order_id, state, paid_at IS NOT NULL FROM orders "+inRange, r.args(limit)...)
	if err != nil {
		return nil, fmt.Errorf("looking at orders: %w", err)
	}
	seen, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (g glance, err error) {
		err = row.Scan(&g.id, &g.state, &g.paid)
		return g, err
	})
	if err != nil {
		return nil, fmt.Errorf("looking at orders: %w", err)
	}
	return seen, nil
}

// newestFirst reads orders by falling id.
func (s *Store) newestFirst(ctx context.Context, ids []uuid.UUID) ([]*Order, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	return load(ctx, s.pool, "WHERE order_id = ANY ($1) ORDER BY order_id DESC", ids)
}

// refundsPending are those of the orders that have a granted refund that is not paid back.
func (s *Store) refundsPending(ctx context.Context, ids []uuid.UUID) (map[uuid.UUID]bool, error) {
	rows, err := s.pool.Query(ctx,
		"SELECT DISTINCT order_id FROM order_lines WHERE order_id = ANY ($1) AND refunded < refund_granted", ids)
	if err != nil {
		return nil, fmt.Errorf("looking for refunds: %w", err)
	}
	pending := map[uuid.UUID]bool{}
	var id uuid.UUID
	if _, err := pgx.ForEachRow(rows, []any{&id}, func() error { pending[id] = true; return nil }); err != nil {
		return nil, fmt.Errorf("looking for refunds: %w", err)
	}
	return pending, nil
}

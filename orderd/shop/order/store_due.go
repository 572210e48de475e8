package order

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// expiredUntil finds unpaid orders of a bucket whose time to pay was over by then,
// the longest over first.
func (s *Store) expiredUntil(ctx context.Context, bucket int64, then time.Time, limit int) ([]uuid.UUID, error) {
	const query = `SELECT order_id FROM orders WHERE bucket = $1 AND state = 'PENDING_PAYMENT' AND expires_at <= $2
		ORDER BY expires_at, order_id LIMIT $3`
	ids, err := s.find(ctx, query, bucket, then, limit)
	if err != nil {
		return nil, fmt.Errorf("looking for expired orders: %w", err)
	}
	return ids, nil
}

// deliveredUntil finds orders of a bucket that were delivered by then and are not
// complete, the oldest first.
func (s *Store) deliveredUntil(ctx context.Context, bucket int64, then time.Time, limit int) ([]uuid.UUID, error) {
	const query = `SELECT order_id FROM orders WHERE bucket = $1 AND state = 'DELIVERED' AND delivered_at <= $2
		ORDER BY delivered_at, order_id LIMIT $3`
	ids, err := s.find(ctx, query, bucket, then, limit)
	if err != nil {
		return nil, fmt.Errorf("looking for orders to complete: %w", err)
	}
	return ids, nil
}

func (s *Store) find(ctx context.Context, query string, args ...any) ([]uuid.UUID, error) {
	rows, err := s.pool.Query(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[uuid.UUID])
}

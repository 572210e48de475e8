package order

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/orderd-dev/orderd/orderd/kit/lease"
)

func queueReleases(b *pgx.Batch, orders []*Order, at time.Time) {
	n := len(orders)
	ids, buckets := make([]uuid.UUID, n), make([]int64, n)
	uids, buyers, reasons := make([]string, n), make([]string, n), make([]string, n)
	for i, o := range orders {
		ids[i], buckets[i], uids[i], buyers[i], reasons[i] = o.ID, lease.Bucket(
			o.ID,
		), o.PromotionUID, o.BuyerID, o.CancelReason
	}
	b.Queue(
		`INSERT INTO flash_releases (order_id, promotion_uid, buyer_id, reason, bucket, outcome, attempts, next_attempt_at, created_at)
		SELECT order_id, promotion_uid, buyer_id, reason, bucket, 'PENDING', 0, $6::timestamptz, $6::timestamptz
		FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::bigint[]) AS r (order_id, promotion_uid, buyer_id, reason, bucket)
		ON CONFLICT (order_id) DO NOTHING`,
		ids,
		uids,
		buyers,
		reasons,
		buckets,
		at,
	)
}

// releasesDue finds releases of a bucket whose turn has come, the longest due first.
func (s *Store) releasesDue(ctx context.Context, bucket int64, limit int) ([]release, error) {
	rows, err := s.pool.Query(ctx,
		`SELECT order_id, promotion_uid, buyer_id, reason, attempts, reservation FROM flash_releases
		WHERE bucket = $1 AND outcome = 'PENDING' AND next_attempt_at <= $2 ORDER BY next_attempt_at, order_id LIMIT $3`,
		bucket, s.now(), limit)
	if err != nil {
		return nil, fmt.Errorf("looking for releases: %w", err)
	}
	due, err := pgx.CollectRows(rows, pgx.RowToStructByPos[release])
	if err != nil {
		return nil, fmt.Errorf("looking for releases: %w", err)
	}
	return due, nil
}

func setOutcome(ctx context.Context, tx pgx.Tx, releases []release, outcome string) error {
	if len(releases) == 0 {
		return nil
	}
	_, err := tx.Exec(ctx, "UPDATE flash_releases SET outcome = $2 WHERE order_id = ANY ($1) AND outcome = 'PENDING'",
		orderIDs(releases), outcome)
	return err
}

// postpone puts failed releases off, longer each time.
func (s *Store) postpone(ctx context.Context, failed []release) error {
	if len(failed) == 0 {
		return nil
	}
	next := make([]time.Time, len(failed))
	for i, f := range failed {
		next[i] = s.now().Add(releaseBackoff.Delay(int(f.Attempts) + 1))
	}
	_, err := s.pool.Exec(ctx,
		`UPDATE flash_releases SET attempts = flash_releases.attempts + 1, next_attempt_at = v.next_attempt_at
		FROM unnest($1::uuid[], $2::timestamptz[]) AS v (order_id, next_attempt_at)
		WHERE flash_releases.order_id = v.order_id AND flash_releases.outcome = 'PENDING'`, orderIDs(failed), next)
	if err != nil {
		return fmt.Errorf("putting releases off: %w", err)
	}
	return nil
}

func orderIDs(releases []release) []uuid.UUID {
	ids := make([]uuid.UUID, len(releases))
	for i, r := range releases {
		ids[i] = r.OrderID
	}
	return ids
}

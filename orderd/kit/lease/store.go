package lease

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// Each statement stands alone, is its own transaction, and carries its condition.
const (
	announceSQL = `INSERT INTO lease_workers (kind, worker, expires_at) VALUES ($1, $2, $3)
		ON CONFLICT (kind, worker) DO UPDATE SET expires_at = excluded.expires_at`
	workersSQL = "SELECT count(*) FROM lease_workers WHERE kind = $1 AND expires_at > $2"
	forgetSQL  = "DELETE FROM lease_workers WHERE kind = $1 AND (worker = $2 OR expires_at <= $3)"
	renewSQL   = "UPDATE leases SET expires_at = $3 WHERE kind = $1 AND owner = $2 AND bucket = ANY ($4) RETURNING bucket"
	acquireSQL = `INSERT INTO leases (kind, bucket, owner, expires_at) VALUES ($1, $2, $3, $4)
		ON CONFLICT (kind, bucket) DO UPDATE SET owner = excluded.owner, expires_at = excluded.expires_at
		WHERE leases.expires_at <= $5 OR leases.owner = excluded.owner
		RETURNING bucket`
	giveUpSQL = "DELETE FROM leases WHERE kind = $1 AND owner = $2 AND bucket = ANY ($3)"
	listSQL   = "SELECT bucket, owner, expires_at FROM leases WHERE kind = $1 ORDER BY bucket"
)

// Those of a census, by the database's clock.
const (
	enterSQL = `INSERT INTO lease_workers (kind, worker, expires_at)
		VALUES ($1, $2, now() + $3::bigint * interval '1 millisecond')
		ON CONFLICT (kind, worker) DO UPDATE SET expires_at = excluded.expires_at`
	liveSQL = "SELECT count(*) FROM lease_workers WHERE kind = $1 AND expires_at > now()"
	exitSQL = "DELETE FROM lease_workers WHERE kind = $1 AND (worker = $2 OR expires_at <= now())"
)

func (h *Holder) announce(ctx context.Context, now time.Time) (workers int, err error) {
	if _, err := h.pool.Exec(ctx, announceSQL, h.kind, h.worker, now.Add(h.ttl)); err != nil {
		return 0, fmt.Errorf("announcing the worker: %w", err)
	}
	if err := h.pool.QueryRow(ctx, workersSQL, h.kind, now).Scan(&workers); err != nil {
		return 0, fmt.Errorf("counting workers: %w", err)
	}
	return workers, nil
}

func (h *Holder) renew(ctx context.Context, now time.Time, buckets []int64) ([]int64, error) {
	rows, err := h.pool.Query(ctx, renewSQL, h.kind, h.worker, now.Add(h.ttl), buckets)
	if err != nil {
		return nil, fmt.Errorf("renewing leases: %w", err)
	}
	kept, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	if err != nil {
		return nil, fmt.Errorf("renewing leases: %w", err)
	}
	return kept, nil
}

func (h *Holder) acquire(ctx context.Context, now time.Time, bucket int64) (bool, error) {
	var got int64
	err := h.pool.QueryRow(ctx, acquireSQL, h.kind, bucket, h.worker, now.Add(h.ttl), now).Scan(&got)
	if errors.Is(err, pgx.ErrNoRows) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("acquiring a lease: %w", err)
	}
	return true, nil
}

func (h *Holder) giveUp(ctx context.Context, buckets []int64) error {
	if _, err := h.pool.Exec(ctx, giveUpSQL, h.kind, h.worker, buckets); err != nil {
		return fmt.Errorf("giving leases up: %w", err)
	}
	return nil
}

func (h *Holder) list(ctx context.Context) ([]row, error) {
	rows, err := h.pool.Query(ctx, listSQL, h.kind)
	if err != nil {
		return nil, fmt.Errorf("listing leases: %w", err)
	}
	out, err := pgx.CollectRows(rows, pgx.RowToStructByPos[row])
	if err != nil {
		return nil, fmt.Errorf("listing leases: %w", err)
	}
	return out, nil
}

// leave gives everything up, so that others need not wait for the expiry.
func (h *Holder) leave(ctx context.Context, now time.Time) error {
	all := make([]int64, Buckets)
	for i := range all {
		all[i] = int64(i)
	}
	if err := h.giveUp(ctx, all); err != nil {
		return err
	}
	if _, err := h.pool.Exec(ctx, forgetSQL, h.kind, h.worker, now); err != nil {
		return fmt.Errorf("forgetting the worker: %w", err)
	}
	return nil
}

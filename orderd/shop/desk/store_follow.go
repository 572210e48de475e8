package desk

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/orderd-dev/orderd/orderd/kit/database"
	"github.com/orderd-dev/orderd/orderd/kit/lease"
	"github.com/orderd-dev/orderd/orderd/kit/metric"
)

// MarkStale has the orders' rows made anew soon after the transaction, by a [Follower]. It waits for nobody, and
// nothing of the desk can refuse it.
func MarkStale(ctx context.Context, tx pgx.Tx, ids []uuid.UUID) error {
	if _, err := tx.Exec(ctx, "INSERT INTO desk_stale (order_id) SELECT unnest($1::uuid[])", ids); err != nil {
		return fmt.Errorf("telling the desk of orders: %w", err)
	}
	return nil
}

// FollowerOptions of a [Follower]. Pool, Clock and those of the worker have to be set.
type FollowerOptions struct {
	lease.WorkerOptions

	Pool  *pgxpool.Pool
	Clock func() time.Time
}

// Follower makes those rows anew that no event is about: what was marked by [MarkStale]; and, since it walks through
// all orders again and again, what was there before the desk was, what an earlier version made, and what events were
// lost of. One bucket has the former, another the latter.
type Follower struct {
	pool  *pgxpool.Pool
	now   func() time.Time
	log   *slog.Logger
	loop  *lease.Loop
	found *prometheus.CounterVec

	mu sync.Mutex
	// next is when the walk goes on at the earliest, as far as it is known here.
	next time.Time
}

const (
	// kindFollow is the follower's lease.
	kindFollow = "desk"
	// The buckets with work.
	bucketStale, bucketWalk = 0, 1
	// walked is how many orders one look of the walk compares, and refreshed how many rows one transaction makes.
	walked, refreshed = 1000, 64
	// walkPause is between two walks through all orders.
	walkPause = 6 * time.Hour
)

// NewFollower makes a follower; Run starts it. An error is the registerer's.
func NewFollower(o FollowerOptions) (*Follower, error) {
	f := &Follower{pool: o.Pool, now: o.Clock, log: o.Logger, found: prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "orderd_desk_rows_made_total",
		Help: "Rows of the desk that were made anew without an event: stale (was told) or walk (found to differ).",
	}, []string{"by"})}
	f.found.WithLabelValues("stale")
	f.found.WithLabelValues("walk")
	if err := metric.Register(o.Registerer, kindFollow, f.found); err != nil {
		return nil, err
	}
	var err error
	f.loop, err = o.NewLoop(o.Pool, o.Clock, lease.Job{Kind: kindFollow, Work: f.work})
	return f, err
}

// Run follows until ctx ends and returns nil.
func (f *Follower) Run(ctx context.Context) error { return f.loop.Run(ctx) }

func (f *Follower) work(ctx context.Context, bucket int64) (bool, error) {
	switch bucket {
	case bucketStale:
		return f.stale(ctx)
	case bucketWalk:
		// Never more at once: a walk takes its time.
		return false, f.walk(ctx)
	}
	return false, nil
}

// stale makes the rows of orders that were marked.
func (f *Follower) stale(ctx context.Context) (more bool, err error) {
	n, err := f.staleRows(ctx, refreshed)
	if err != nil && database.ClassOf(err) == database.Final && ctx.Err() == nil {
		// One that cannot be made must not keep the others from theirs.
		_, err = f.staleRows(ctx, 1)
		if err != nil && database.ClassOf(err) == database.Final && ctx.Err() == nil {
			f.log.Error("the desk cannot have an order that it was told of", "error", err)
			_, err = f.pool.Exec(ctx, `DELETE FROM desk_stale WHERE stale_id IN (
				SELECT stale_id FROM desk_stale ORDER BY stale_id LIMIT 1)`)
		}
		return err == nil, err
	}
	return err == nil && n == refreshed, err
}

// staleRows makes up to most rows, and tells how many.
func (f *Follower) staleRows(ctx context.Context, most int) (n int, err error) {
	err = database.ExecuteTx(ctx, f.pool, func(tx *database.Tx) error {
		rows, err := tx.Query(ctx, `DELETE FROM desk_stale WHERE stale_id IN (
			SELECT stale_id FROM desk_stale ORDER BY stale_id LIMIT $1) RETURNING order_id`, most)
		if err != nil {
			return fmt.Errorf("taking stale orders: %w", err)
		}
		ids, err := pgx.CollectRows(rows, pgx.RowTo[uuid.UUID])
		if err != nil {
			return fmt.Errorf("taking stale orders: %w", err)
		}
		if n = len(ids); n == 0 {
			return nil
		}
		return Refresh(ctx, tx, ids)
	})
	if err == nil {
		f.found.WithLabelValues("stale").Add(float64(n))
	}
	return n, err
}

// walk compares the next orders with their rows, and makes those anew that differ.
func (f *Follower) walk(ctx context.Context) error {
	f.mu.Lock()
	next := f.next
	f.mu.Unlock()
	if f.now().Before(next) {
		return nil
	}
	after, next, err := f.place(ctx)
	if err != nil {
		return err
	}
	if !f.now().Before(next) {
		last, seen, differ, err := f.compare(ctx, after)
		if err != nil {
			return err
		}
		if err := f.mend(ctx, differ); err != nil {
			return err
		}
		if seen < walked {
			last, next = uuid.Nil, f.now().Add(walkPause)
		}
		if err := f.keep(ctx, last, next); err != nil {
			return err
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.next = next
	return nil
}

// mend makes rows anew. One that cannot be made is left.
func (f *Follower) mend(ctx context.Context, ids []uuid.UUID) error {
	refresh := func(part ...uuid.UUID) error {
		err := database.ExecuteTx(ctx, f.pool, func(tx *database.Tx) error { return Refresh(ctx, tx, part) })
		if err == nil {
			f.found.WithLabelValues("walk").Add(float64(len(part)))
		}
		return err
	}
	for part := range slices.Chunk(ids, refreshed) {
		err := refresh(part...)
		if err == nil {
			continue
		}
		if database.ClassOf(err) != database.Final || ctx.Err() != nil {
			return err
		}
		for _, id := range part {
			err := refresh(id)
			if err != nil && (database.ClassOf(err) != database.Final || ctx.Err() != nil) {
				return err
			}
			if err != nil {
				f.log.Error("the desk cannot have an order", "order", id, "error", err)
			}
		}
	}
	return nil
}

// place is where the walk goes on, and when: at its beginning, at once, if it has not begun or other code has walked.
func (f *Follower) place(ctx context.Context) (after uuid.UUID, next time.Time, err error) {
	var by int64
	err = f.pool.QueryRow(ctx, "SELECT after, next_at, made FROM desk_walk WHERE name = 'orders'").Scan(&after, &next, &by)
	if errors.Is(err, pgx.ErrNoRows) || err == nil && by != maker {
		return uuid.Nil, time.Time{}, nil
	}
	if err != nil {
		return uuid.Nil, time.Time{}, fmt.Errorf("reading how far the desk's walk is: %w", err)
	}
	return after, next, nil
}

func (f *Follower) keep(ctx context.Context, after uuid.UUID, next time.Time) error {
	_, err := f.pool.Exec(ctx, `INSERT INTO desk_walk (name, after, next_at, made) VALUES ('orders', $1, $2, $3)
		ON CONFLICT (name) DO UPDATE SET after = excluded.after, next_at = excluded.next_at, made = excluded.made`,
		after, database.Stamp(next), maker)
	if err != nil {
		return fmt.Errorf("writing how far the desk's walk is: %w", err)
	}
	return nil
}

// compare looks at the next orders: the last one's id, how many they are, and those whose rows are not what they were
// made from now.
func (f *Follower) compare(
	ctx context.Context, after uuid.UUID,
) (last uuid.UUID, seen int, differ []uuid.UUID, err error) {
	rows, err := f.pool.Query(ctx, `SELECT o.order_id, d.order_id IS NULL OR d.version <> o.version OR d.made <> $1
		FROM (SELECT order_id, version FROM orders WHERE order_id > $2 ORDER BY order_id LIMIT $3) AS o
		LEFT JOIN desk_orders AS d ON d.order_id = o.order_id ORDER BY o.order_id`, maker, after, walked)
	if err != nil {
		return uuid.Nil, 0, nil, fmt.Errorf("comparing orders with the desk: %w", err)
	}
	var differs bool
	if _, err = pgx.ForEachRow(rows, []any{&last, &differs}, func() error {
		if seen++; differs {
			differ = append(differ, last)
		}
		return nil
	}); err != nil {
		return uuid.Nil, 0, nil, fmt.Errorf("comparing orders with the desk: %w", err)
	}
	return last, seen, differ, nil
}

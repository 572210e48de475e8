package consume

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/orderd-dev/orderd/orderd/kit/database"
)

// What became of an event, as it is stored. Nothing is there before the first failure or success.
const (
	outcomeFailed = "FAILED"
	outcomeDone   = "DONE"
	outcomeDead   = "DEAD"
)

// key of an event in the inbox of one consumer.
type key struct {
	bucket int64
	id     string
}

// record is what the inbox says of an event.
type record struct {
	outcome  string
	attempts int64
	reason   string
	at       time.Time
}

func columns(keys []key) (buckets []int64, ids []string) {
	buckets, ids = make([]int64, len(keys)), make([]string, len(keys))
	for i, k := range keys {
		buckets[i], ids[i] = k.bucket, k.id
	}
	return buckets, ids
}

// claim marks events as done and returns those that were not before. Whoever comes second
// waits here for the first's commit. A dead letter is claimed only by its replay. keys are
// sorted and have no duplicates.
func claim(
	ctx context.Context, tx pgx.Tx, consumer string, at time.Time, keys []key, replay bool,
) (map[key]bool, error) {
	buckets, ids := columns(keys)
	rows, err := tx.Query(
		ctx,
		`INSERT INTO consumed_events (bucket, consumer, event_id, outcome, attempts, error, changed_at)
		SELECT bucket, $1::text, event_id, '`+outcomeDone+`', 0, '', $2::timestamptz FROM unnest($3::bigint[], $4::text[]) AS e (bucket, event_id)
		ON CONFLICT (bucket, consumer, event_id) DO UPDATE SET outcome = excluded.outcome, error = '', changed_at = excluded.changed_at
		WHERE consumed_events.outcome = '`+outcomeFailed+`' OR (consumed_events.outcome = '`+outcomeDead+`' AND $5::bool)
		RETURNING bucket, event_id`,
		consumer,
		at,
		buckets,
		ids,
		replay,
	)
	if err != nil {
		return nil, fmt.Errorf("claiming events: %w", err)
	}
	claimed := make(map[key]bool, len(keys))
	var k key
	_, err = pgx.ForEachRow(rows, []any{&k.bucket, &k.id}, func() error { claimed[k] = true; return nil })
	if err != nil {
		return nil, fmt.Errorf("claiming events: %w", err)
	}
	return claimed, nil
}

// find returns what the inbox says of events; those it does not know are not in the answer.
func find(ctx context.Context, q database.Querier, consumer string, keys []key) (map[key]record, error) {
	buckets, ids := columns(keys)
	rows, err := q.Query(ctx, `SELECT c.bucket, c.event_id, c.outcome, c.attempts, c.error, c.changed_at
		FROM unnest($2::bigint[], $3::text[]) AS e (bucket, event_id)
		JOIN consumed_events AS c ON c.bucket = e.bucket AND c.consumer = $1 AND c.event_id = e.event_id`, consumer, buckets, ids)
	if err != nil {
		return nil, fmt.Errorf("looking for events: %w", err)
	}
	found := make(map[key]record, len(keys))
	var k key
	var r record
	_, err = pgx.ForEachRow(rows, []any{&k.bucket, &k.id, &r.outcome, &r.attempts, &r.reason, &r.at},
		func() error { found[k] = r; return nil })
	if err != nil {
		return nil, fmt.Errorf("looking for events: %w", err)
	}
	return found, nil
}

// failure is one failed attempt.
type failure struct {
	key    key
	at     time.Time
	reason string
	// dead is set where it was the last, however many there were.
	dead   bool
	replay bool
}

// fail counts a failure and decides whether the event is dead. That is final, before anything says
// so to others; only a replay, which counts anew, gets it back. known is false if the event is
// done or dead already.
func fail(
	ctx context.Context, pool *pgxpool.Pool, consumer string, f failure, maxAttempts int,
) (r record, known bool, err error) {
	r = record{reason: f.reason, at: f.at}
	err = pool.QueryRow(
		ctx,
		`INSERT INTO consumed_events (bucket, consumer, event_id, outcome, attempts, error, changed_at)
		VALUES ($1, $2, $3, CASE WHEN $6::bool OR $7::bigint <= 1 THEN '`+outcomeDead+`' ELSE '`+outcomeFailed+`' END, 1, $4, $5)
		ON CONFLICT (bucket, consumer, event_id) DO UPDATE SET
			outcome = CASE WHEN $6::bool OR (consumed_events.outcome = '`+outcomeFailed+`' AND consumed_events.attempts + 1 >= $7::bigint) THEN '`+outcomeDead+`' ELSE excluded.outcome END,
			attempts = CASE WHEN consumed_events.outcome = '`+outcomeFailed+`' THEN consumed_events.attempts + 1 ELSE 1 END,
			error = excluded.error, changed_at = excluded.changed_at
		WHERE consumed_events.outcome = '`+outcomeFailed+`' OR (consumed_events.outcome = '`+outcomeDead+`' AND $8::bool)
		RETURNING outcome, attempts`,
		f.key.bucket,
		consumer,
		f.key.id,
		f.reason,
		f.at,
		f.dead,
		maxAttempts,
		f.replay,
	).Scan(&r.outcome, &r.attempts)
	if errors.Is(err, pgx.ErrNoRows) {
		return record{}, false, nil
	}
	if err != nil {
		return record{}, false, fmt.Errorf("counting a failure: %w", err)
	}
	return r, true, nil
}

// complete marks delivered events as done.
func complete(ctx context.Context, pool *pgxpool.Pool, consumer string, at time.Time, keys []key) error {
	buckets, ids := columns(keys)
	_, err := pool.Exec(
		ctx,
		`INSERT INTO consumed_events (bucket, consumer, event_id, outcome, attempts, error, changed_at)
		SELECT bucket, $1::text, event_id, '`+outcomeDone+`', 0, '', $2::timestamptz FROM unnest($3::bigint[], $4::text[]) AS e (bucket, event_id)
		ON CONFLICT (bucket, consumer, event_id) DO UPDATE SET outcome = excluded.outcome, error = '', changed_at = excluded.changed_at`,
		consumer,
		at,
		buckets,
		ids,
	)
	if err != nil {
		return fmt.Errorf("marking events as done: %w", err)
	}
	return nil
}

// sweep deletes what is older than before among up to limit keys of a bucket after the given one.
// It returns the last key it looked at, and false if there are none after it.
func sweep(
	ctx context.Context, pool *pgxpool.Pool, bucket int64, after position, before time.Time, limit int,
) (last position, more bool, err error) {
	rows, err := pool.Query(ctx, `SELECT consumer, event_id, changed_at < $4 FROM consumed_events
		WHERE bucket = $1 AND (consumer, event_id) > ($2::text, $3::text) ORDER BY consumer, event_id LIMIT $5`, bucket, after.consumer, after.id, before, limit)
	if err != nil {
		return after, false, fmt.Errorf("looking for old inbox keys: %w", err)
	}
	last = after
	var consumers, ids []string
	seen, old := 0, false
	_, err = pgx.ForEachRow(rows, []any{&last.consumer, &last.id, &old}, func() error {
		seen++
		if old {
			consumers, ids = append(consumers, last.consumer), append(ids, last.id)
		}
		return nil
	})
	if err != nil {
		return after, false, fmt.Errorf("looking for old inbox keys: %w", err)
	}
	if len(ids) > 0 {
		_, err := pool.Exec(ctx,
			`DELETE FROM consumed_events WHERE bucket = $1 AND changed_at < $4 AND (consumer, event_id) IN
			(SELECT consumer, event_id FROM unnest($2::text[], $3::text[]) AS d (consumer, event_id))`, bucket, consumers, ids,
			before)
		if err != nil {
			return after, false, fmt.Errorf("deleting old inbox keys: %w", err)
		}
	}
	return last, seen == limit, nil
}

package retention

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/orderd-dev/orderd/orderd/kit/lease"
	"github.com/orderd-dev/orderd/test/kit/testdb"
)

func count(t *testing.T, pool *pgxpool.Pool, table string) int64 {
	t.Helper()
	var n int64
	if err := pool.QueryRow(context.Background(), "SELECT count(*) FROM "+table).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

func TestOldRowsGo(t *testing.T) {
	pool, ctx := testdb.NewPool(t), context.Background()
	now := time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)
	// Every third row is older than it is kept.
	const rows = 2500
	for table, insert := range map[string]string{
		"requests": `INSERT INTO requests (scope, request_id, hash, response, created_at)
			SELECT 'buyer:' || (i % 7)::text, i::text, '', '', CASE WHEN i % 3 = 0 THEN $2::timestamptz ELSE $3::timestamptz END FROM generate_series(1, $1::bigint) AS g (i)`,
		"payment_notifications": `INSERT INTO payment_notifications (provider, transaction_id, payment_id, raw, received_at)
			SELECT 'sandbox', i::text, gen_random_uuid(), '', CASE WHEN i % 3 = 0 THEN $2::timestamptz ELSE $3::timestamptz END FROM generate_series(1, $1::bigint) AS g (i)`,
	} {
		if _, err := pool.Exec(ctx, insert, rows, now.Add(-DefaultNotifications-time.Hour),
			now.Add(-DefaultRequests+time.Hour)); err != nil {
			t.Fatalf("%s: %v", table, err)
		}
	}
	c, err := New(
		Options{Pool: pool, Worker: "w", Clock: func() time.Time { return now }, Logger: slog.New(slog.DiscardHandler)},
	)
	if err != nil {
		t.Fatal(err)
	}
	round := func() (pages int) {
		for bucket := range int64(lease.Buckets) {
			for more := true; more; pages++ {
				if more, err = c.work(ctx, bucket); err != nil {
					t.Fatal(err)
				}
			}
		}
		return pages
	}
	// Three pages a table, and a look at each of the other buckets.
	if got, want := round(), 2*3+lease.Buckets-2; got != want {
		t.Errorf("%d pages, want %d", got, want)
	}
	for _, table := range []string{"requests", "payment_notifications"} {
		if got, want := count(t, pool, table), int64(rows-rows/3); got != want {
			t.Errorf("%s has %d rows, want %d", table, got, want)
		}
	}
	// The next walk waits; by then the younger requests are old.
	now = now.Add(pause - time.Minute)
	round()
	if got := count(t, pool, "requests"); got == 0 {
		t.Error("the next walk began too early")
	}
	now = now.Add(2 * time.Minute)
	round()
	if got := count(t, pool, "requests"); got != 0 {
		t.Errorf("%d requests are left", got)
	}
	if got := count(t, pool, "payment_notifications"); got == 0 {
		t.Error("notifications went with the requests")
	}
}

func TestTheAuditForgetsInTheEnd(t *testing.T) {
	pool, ctx := testdb.NewPool(t), context.Background()
	now := time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)
	if _, err := pool.Exec(ctx, `INSERT INTO audit_entries (at, entry_id, subject, roles, procedure, request_id, request, outcome)
		SELECT $1::timestamptz - i * interval '1 day', gen_random_uuid(), 'sam', '{}', 'p', '', '', 'OK'
		FROM generate_series(1, 500) AS g (i), generate_series(1, 12)`, now); err != nil {
		t.Fatal(err)
	}
	c, err := New(
		Options{Pool: pool, Worker: "w", Clock: func() time.Time { return now }, Logger: slog.New(slog.DiscardHandler)},
	)
	if err != nil {
		t.Fatal(err)
	}
	rounds := 1
	for more := true; more; rounds++ {
		if more, err = c.work(ctx, int64(len(c.tables))); err != nil {
			t.Fatal(err)
		}
	}
	// 1,200 of them are older than 400 days.
	if got := count(t, pool, "audit_entries"); got != 4800 || rounds != 3 {
		t.Errorf("%d entries are left after %d rounds, want 4800 after 3", got, rounds)
	}
}

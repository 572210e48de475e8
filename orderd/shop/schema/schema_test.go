package schema_test

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/orderd-dev/orderd/orderd/kit/database"
	"github.com/orderd-dev/orderd/orderd/shop/schema"
	"github.com/orderd-dev/orderd/test/kit/testdb"
)

func TestMigrateManyAtOnceAndAgain(t *testing.T) {
	ctx, url := context.Background(), testdb.New(t)
	pool, err := database.Open(ctx, url, 4)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	if done, err := schema.Migrated(ctx, pool); err != nil || done {
		t.Fatalf("before: migrated %t, %v", done, err)
	}
	var wg sync.WaitGroup
	errs := make([]error, 3)
	for i := range errs {
		wg.Go(func() { errs[i] = schema.Migrate(ctx, url, slog.New(slog.DiscardHandler)) })
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	if done, err := schema.Migrated(ctx, pool); err != nil || !done {
		t.Fatalf("after: migrated %t, %v", done, err)
	}
	var twice int
	const versions = "SELECT count(*) - count(DISTINCT version_id) FROM goose_db_version"
	if err := pool.QueryRow(ctx, versions).Scan(&twice); err != nil || twice != 0 {
		t.Errorf("%d versions are recorded twice, %v", twice, err)
	}
	key, err := database.OrderIDKey(ctx, pool)
	if err != nil || len(key) != 64 {
		t.Fatalf("key %q, %v", key, err)
	}
	if err := schema.Migrate(ctx, url, slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
	if again, err := database.OrderIDKey(ctx, pool); err != nil || again != key {
		t.Fatalf("the key changed to %q, %v", again, err)
	}
}

func TestAPaidOrderHasItsPayment(t *testing.T) {
	ctx, pool := context.Background(), testdb.NewPool(t)
	const insert = `INSERT INTO orders (order_id, buyer_id, state, version, currency, total, promotion_uid, promotion,
			bucket, created_at, expires_at, paid_at, payment_id)
		VALUES (gen_random_uuid(), 'ann', $1, 2, 'CNY', $2, '', '', 0, now(), now(),
			CASE WHEN $3::boolean THEN now() END, CASE WHEN $4::boolean THEN gen_random_uuid() END)`
	for _, tt := range []struct {
		name          string
		state         string
		total         int64
		paid, payment bool
		refused       bool
	}{
		{"unpaid", "PENDING_PAYMENT", 100, false, false, false},
		{"paid", "PAID", 100, true, true, false},
		{"paid, with nothing to pay", "PAID", 0, true, false, false},
		{"cancelled unpaid", "CANCELLED", 100, false, false, false},
		{"paid, by nothing", "PAID", 100, true, false, true},
		{"cancelled after it was paid, by nothing", "CANCELLED", 1, true, false, true},
	} {
		_, err := pool.Exec(ctx, insert, tt.state, tt.total, tt.paid, tt.payment)
		var pg *pgconn.PgError
		refused := errors.As(err, &pg) && pg.Code == "23514" && pg.ConstraintName == "orders_paid_has_payment"
		if refused != tt.refused || err != nil && !refused {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}

package desk

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/orderd-dev/orderd/test/kit/testdb"
)

// fill makes the rows of many orders: of 500 buyers, one a minute up to noon.
func fill(t *testing.T, pool *pgxpool.Pool) {
	t.Helper()
	for _, statement := range []string{
		`INSERT INTO desk_orders (order_id, number, buyer_id, state, fulfilment, refund, return_state, created_at, paid_at,
				currency, total, phone, recipient, promotion, provider, method, channel, has_note, made)
			SELECT md5(i::text)::uuid, i::text, 'buyer-' || i % 500,
				(ARRAY['COMPLETED', 'COMPLETED', 'COMPLETED', 'CANCELLED', 'PAID', 'SHIPPED', 'PENDING_PAYMENT',
					'DELIVERED'])[1 + i % 8],
				(ARRAY['DELIVERED', 'DELIVERED', 'DELIVERED', 'UNFULFILLED', 'SHIPPED'])[1 + i % 5],
				CASE WHEN i % 50 = 0 THEN 'PENDING' ELSE 'NONE' END, CASE WHEN i % 60 = 0 THEN 'REQUESTED' ELSE '' END,
				'2026-11-30T12:00:00Z'::timestamptz - i * interval '1 minute',
				CASE WHEN i % 8 < 3 THEN '2026-11-30T12:01:00Z'::timestamptz - i * interval '1 minute' END, 'CNY', i,
				lpad((i % 9000)::text, 8, '0'), 'name ' || i % 9000, CASE WHEN i % 100 = 0 THEN 'spring' ELSE '' END,
				(ARRAY['sandbox', 'stripe', 'alipay', ''])[1 + i % 4], 'card', (ARRAY['web', 'app', ''])[1 + i % 3], i % 300 = 0, 1
			FROM generate_series(1, 20000) AS i`,
		`INSERT INTO desk_terms (order_id, kind, term, created_at)
			SELECT d.order_id, k.kind, CASE k.kind WHEN 'sku' THEN 'sku-' || d.total % 700 WHEN 'tag' THEN 'tag-' || d.total % 40
				WHEN 'attribute' THEN 'campaign=' || d.total % 90 ELSE k.kind || d.total END, d.created_at
			FROM desk_orders AS d, unnest(ARRAY['sku', 'tag', 'coupon', 'transaction', 'tracking', 'attribute']) AS k (kind)`,
		"ANALYZE desk_orders", "ANALYZE desk_terms",
	} {
		if _, err := pool.Exec(context.Background(), statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
}

// explain is how the database would read a page.
func explain(t *testing.T, pool *pgxpool.Pool, q *query, after position, oldest bool) string {
	t.Helper()
	sql, args := q.sql(after, oldest, 21)
	rows, err := pool.Query(context.Background(), "EXPLAIN "+sql, args...)
	if err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return strings.Join(lines, "\n")
}

// Every single filter reads a range of the index that is meant for it, in its order, on the first page and behind it.
func TestEveryFilterHasItsIndex(t *testing.T) {
	pool := testdb.NewPool(t)
	var version string
	if err := pool.QueryRow(context.Background(), "SELECT version()").Scan(&version); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(version, "CockroachDB") {
		t.Skip("its plans are written in another way")
	}
	fill(t, pool)
	someTime := position{noon.Add(-7 * 24 * time.Hour), uuid.MustParse("7fffffff-0000-4000-8000-000000000000")}
	for name, index := range map[string]string{
		"buyer": "desk_orders_buyer", "phone": "desk_orders_phone", "recipient": "desk_orders_recipient",
		"transaction": "desk_terms_term", "tracking": "desk_terms_term", "coupon": "desk_terms_term",
		"attribute": "desk_terms_term", "tags": "desk_terms_term", "sku": "desk_terms_term",
		"promotion": "desk_orders_promotion", "returns": "desk_orders_return", "refund": "desk_orders_refund",
		"no refund": "desk_orders_created", "unpaid": "desk_orders_state", "fulfilment": "desk_orders_fulfilment",
		"provider": "desk_orders_provider", "channel": "desk_orders_channel", "state": "desk_orders_state",
		"placed": "desk_orders_created", "paid": "desk_orders_paid", "method": "desk_orders_created",
		"total": "desk_orders_created", "note": "desk_orders_noted", "no note": "desk_orders_created",
		"nothing": "desk_orders_created",
	} {
		q := newQuery(singles[name], noon)
		for _, after := range []position{{}, someTime} {
			for _, oldest := range []bool{false, true} {
				plan := explain(t, pool, q, after, oldest)
				if !strings.Contains(plan, index+" ") || strings.Contains(plan, "Seq Scan") {
					t.Errorf("%s, oldest first: %t, behind %v: no %s:\n%s", name, oldest, after.at, index, plan)
				}
			}
		}
	}
}

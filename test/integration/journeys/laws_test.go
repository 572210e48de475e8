package journeys

import (
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/orderd-dev/orderd/test/kit/testdb"
)

// testID is a UUID that ends with n.
func testID(n int) string { return fmt.Sprintf("00000000-0000-0000-0000-%012d", n) }

// Order 1 is paid by payment 2, of which 30 of 100 went back. Payment 3, which came second,
// went back as a whole.
var twicePaid = []string{
	`INSERT INTO orders (order_id, buyer_id, state, version, currency, total, promotion_uid, promotion, bucket,
			created_at, expires_at, paid_at, payment_id)
		VALUES ('` + testID(1) + `', 'ann', 'PAID', 2, 'CNY', 100, '', '', 0, now(), now(), now(), '` + testID(2) + `')`,
	`INSERT INTO order_lines (order_id, line, sku, title, quantity, unit_price, discount, freight, tax, refunded)
		VALUES ('` + testID(1) + `', 1, 'a', 'A', 1, 50, 0, 0, 0, 10), ('` + testID(1) + `', 2, 'b', 'B', 1, 50, 0, 0, 0, 20)`,
	`INSERT INTO payments (payment_id, order_id, buyer_id, provider, method, reference, state, version, amount, currency,
			redirect_url, transaction_id, bucket, created_at, expires_at)
		VALUES ('` + testID(2) + `', '` + testID(1) + `', 'ann', 'sandbox', '', '', 'SUCCEEDED', 3, 100, 'CNY', '', 't2', 0, now(), now()),
			('` + testID(3) + `', '` + testID(1) + `', 'ann', 'sandbox', '', '', 'SUCCEEDED', 3, 100, 'CNY', '', 't3', 0,
			now(), now())`,
	`INSERT INTO sandbox_transactions (payment_id, refund_id, state, transaction_id, amount, currency, at)
		VALUES ('` + testID(2) + `', '` + testID(0) + `', 'PAID', 't2', 100, 'CNY', now()),
			('` + testID(2) + `', '` + testID(12) + `', 'REFUNDED', 'r2', 30, 'CNY', now()),
			('` + testID(3) + `', '` + testID(0) + `', 'PAID', 't3', 100, 'CNY', now()),
			('` + testID(3) + `', '` + testID(13) + `', 'REFUNDED', 'r3', 100, 'CNY', now())`,
}

// Order 1 is unpaid and has locked coupon 4; order 5 was cancelled, and its coupon 6 is free again.
var couponed = []string{
	`INSERT INTO orders (order_id, buyer_id, state, version, currency, total, promotion_uid, promotion, bucket,
			created_at, expires_at, coupon_ids)
		VALUES ('` + testID(1) + `', 'ann', 'PENDING_PAYMENT', 1, 'CNY', 100, '', '', 0, now(), now(), '{` + testID(4) + `}'),
			('` + testID(5) + `', 'bob', 'CANCELLED', 2, 'CNY', 100, '', '', 0, now(), now(), '{` + testID(6) + `}')`,
	`INSERT INTO coupons (coupon_id, buyer_id, template, revision, state, version, amount, valid_from, valid_until, order_id, claimed_at)
		VALUES ('` + testID(4) + `', 'ann', 't', 1, 'LOCKED', 2, 5, now(), now(), '` + testID(1) + `', now()),
			('` + testID(6) + `', 'bob', 't', 1, 'AVAILABLE', 3, 5, now(), now(), NULL, now())`,
}

func TestLawsFindWhatBreaksThem(t *testing.T) {
	const (
		kept  = "the provider keeps of each payment what the order keeps"
		owned = "the coupon of a living order is its own"
	)
	for _, tt := range []struct {
		name, law string
		rows      []string
		fault     string
		want      []string
	}{
		{"nothing", kept, twicePaid, "SELECT 1", []string{}},
		{
			"a refund that the provider does not know", kept, twicePaid,
			"UPDATE order_lines SET refunded = 11 WHERE line = 1", []string{testID(2) + " 70"},
		},
		{
			"a second payment that was kept", kept, twicePaid,
			"DELETE FROM sandbox_transactions WHERE transaction_id = 'r3'", []string{testID(3) + " 100"},
		},
		{
			"an order that has lost its lines", kept, twicePaid,
			"DELETE FROM order_lines", []string{testID(2) + " 70"},
		},
		{"nothing", owned, couponed, "SELECT 1", []string{}},
		{
			"a coupon that was freed", owned, couponed,
			"UPDATE coupons SET state = 'AVAILABLE' WHERE state = 'LOCKED'", []string{testID(1)},
		},
		{
			"a coupon of another order", owned, couponed,
			"UPDATE coupons SET order_id = '" + testID(5) + "' WHERE state = 'LOCKED'", []string{testID(1)},
		},
		{
			"an order that lives again without its coupon", owned, couponed,
			"UPDATE orders SET state = 'PENDING_PAYMENT'", []string{testID(5)},
		},
	} {
		t.Run(tt.law+": "+tt.name, func(t *testing.T) {
			ctx, pool := t.Context(), testdb.NewPool(t)
			for _, statement := range slices.Concat(tt.rows, []string{tt.fault}) {
				if _, err := pool.Exec(ctx, statement); err != nil {
					t.Fatal(err)
				}
			}
			rows, err := pool.Query(ctx, laws[tt.law])
			if err != nil {
				t.Fatal(err)
			}
			found, err := pgx.CollectRows(rows, pgx.RowTo[string])
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, found); diff != "" {
				t.Error(diff)
			}
		})
	}
}

package order

import (
	"maps"
	"slices"

	"github.com/jackc/pgx/v5"
)

// queueUnpaid adds orders to what their buyers have not paid, and so locks the buyers' rows, by their
// ids, until the transaction ends; before has what it was once the batch was sent.
//
// It is one statement by the primary key, so that its cost does not follow how many orders there are
// and PostgreSQL has no choice of a plan.
func queueUnpaid(b *pgx.Batch, more, before unpaid) {
	if len(more) == 0 {
		return
	}
	buyers, orders, units := more.columns()
	b.Queue(`INSERT INTO order_buyers (buyer_id, orders, units)
		SELECT buyer_id, orders, units FROM unnest($1::text[], $2::bigint[], $3::bigint[]) AS m (buyer_id, orders, units) ORDER BY buyer_id
		ON CONFLICT (buyer_id) DO UPDATE SET orders = order_buyers.orders + excluded.orders, units = order_buyers.units + excluded.units
		RETURNING buyer_id, orders, units`, buyers, orders, units).Query(func(rows pgx.Rows) error {
		var buyer string
		var after amount
		_, err := pgx.ForEachRow(rows, []any{&buyer, &after.orders, &after.units}, func() error {
			before[buyer] = after.minus(more[buyer])
			return nil
		})
		return err
	})
}

// queueLess takes orders from what their buyers have not paid. Their rows are locked first, by
// their ids, because an update locks in an order of its own.
//
// It takes no more than there is: an order that was placed before anything was counted is not in it.
func queueLess(b *pgx.Batch, less unpaid) {
	if len(less) == 0 {
		return
	}
	queueLockBuyers(b, less)
	buyers, orders, units := less.columns()
	b.Queue(`UPDATE order_buyers SET orders = greatest(order_buyers.orders - l.orders, 0), units = greatest(order_buyers.units - l.units, 0)
		FROM unnest($1::text[], $2::bigint[], $3::bigint[]) AS l (buyer_id, orders, units)
		WHERE order_buyers.buyer_id = l.buyer_id`, buyers, orders, units)
}

// queueLockBuyers locks the rows of buyers, for who locks stock before it says what is paid.
func queueLockBuyers(b *pgx.Batch, of unpaid) {
	if len(of) > 0 {
		b.Queue("SELECT buyer_id FROM order_buyers WHERE buyer_id = ANY ($1) ORDER BY buyer_id FOR UPDATE",
			slices.Sorted(maps.Keys(of)))
	}
}

// columns are the buyers' ids, sorted, and what they have.
func (u unpaid) columns() (buyers []string, orders, units []int64) {
	buyers = slices.Sorted(maps.Keys(u))
	orders, units = make([]int64, len(buyers)), make([]int64, len(buyers))
	for i, buyer := range buyers {
		orders[i], units[i] = u[buyer].orders, u[buyer].units
	}
	return buyers, orders, units
}

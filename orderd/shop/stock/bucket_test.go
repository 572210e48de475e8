package stock_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"pgregory.net/rapid"

	"github.com/orderd-dev/orderd/orderd/kit/database"
	"github.com/orderd-dev/orderd/orderd/shop/stock"
	"github.com/orderd-dev/orderd/test/kit/testdb"
)

func spread(t *testing.T, pool *pgxpool.Pool, ref, sku string, buckets int64) {
	t.Helper()
	err := database.ExecuteTx(context.Background(), pool, func(tx *database.Tx) error {
		return stock.Spread(context.Background(), tx, ref, sku, buckets)
	})
	if err != nil {
		t.Fatal(err)
	}
}

// available is what is in each bucket.
func available(t *testing.T, pool *pgxpool.Pool, sku string) []int64 {
	t.Helper()
	rows, err := pool.Query(context.Background(), "SELECT available FROM stock WHERE sku = $1 ORDER BY bucket", sku)
	if err != nil {
		t.Fatal(err)
	}
	out, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	if err != nil {
		t.Fatal(err)
	}
	return out
}

type failer interface {
	Helper()
	Fatal(args ...any)
	Fatalf(format string, args ...any)
}

// proven fails unless every bucket of every SKU is the sum of its movements.
func proven(t failer, pool *pgxpool.Pool) {
	t.Helper()
	var wrong int64
	err := pool.QueryRow(context.Background(), `SELECT count(*) FROM stock s FULL JOIN
		(SELECT sku, bucket, sum(available)::bigint AS available, sum(reserved)::bigint AS reserved, sum(deducted)::bigint AS deducted
			FROM stock_movements GROUP BY sku, bucket) m ON m.sku = s.sku AND m.bucket = s.bucket
		WHERE coalesce(s.available, -1) <> coalesce(m.available, 0) OR coalesce(s.reserved, -1) <> coalesce(m.reserved, 0)
			OR coalesce(s.deducted, -1) <> coalesce(m.deducted, 0)`).Scan(&wrong)
	if err != nil {
		t.Fatal(err)
	}
	if wrong > 0 {
		t.Fatalf("%d buckets are not the sum of their movements", wrong)
	}
}

// reserve reserves as placing does: with the buckets it remembers, and with all if
// they are not enough.
func reserve(
	pool *pgxpool.Pool, shelves *stock.Shelves, orderID string, lines ...stock.Quantity,
) ([]stock.Shortage, error) {
	ctx := context.Background()
	wanted := stock.Wanted{}
	for _, l := range lines {
		wanted[l.SKU] += l.Quantity
	}
	var short []stock.Shortage
	var hold *stock.Hold
	errPartial := errors.New("partial")
	run := func(all bool) error {
		return database.ExecuteTx(ctx, pool, func(tx *database.Tx) error {
			var b pgx.Batch
			hold = shelves.Lock(&b, wanted, orderID, all)
			if err := tx.SendBatch(ctx, &b).Close(); err != nil {
				return err
			}
			if short = hold.Reserve(orderID, lines); hold.Partial() {
				return errPartial
			}
			b = pgx.Batch{}
			hold.Write(&b)
			return tx.SendBatch(ctx, &b).Close()
		})
	}
	err := run(false)
	if errors.Is(err, errPartial) {
		err = run(true)
	}
	if err == nil {
		hold.Remember()
	}
	return short, err
}

func TestSpreadingStock(t *testing.T) {
	ctx, pool := context.Background(), testdb.NewPool(t)
	seed(t, pool, stock.Quantity{SKU: "tea", Quantity: 10})
	spread(t, pool, "s1", "tea", 4)
	if diff := cmp.Diff([]int64{3, 3, 2, 2}, available(t, pool, "tea")); diff != "" {
		t.Fatal(diff)
	}
	adjust := func(ref string, units int64) error {
		return database.ExecuteTx(ctx, pool, func(tx *database.Tx) error {
			return stock.Adjust(ctx, tx, ref, stock.Quantity{SKU: "tea", Quantity: units})
		})
	}
	if err := adjust("a1", 6); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]int64{4, 4, 4, 4}, available(t, pool, "tea")); diff != "" {
		t.Fatal(diff)
	}
	var short *stock.InsufficientError
	if err := adjust("a2", -17); !errors.As(err, &short) || short.Missing[0].Quantity != 1 {
		t.Fatalf("taking out too much: %v", err)
	}
	if err := adjust("a3", -13); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(stock.Levels{Available: 3}, levels(t, pool, "tea")); diff != "" {
		t.Fatal(diff)
	}
	spread(t, pool, "s2", "tea", 2)
	if diff := cmp.Diff([]int64{2, 1, 0, 0}, available(t, pool, "tea")); diff != "" {
		t.Fatal(diff)
	}
	if n, err := stock.Buckets(ctx, pool, "tea"); err != nil || n != 2 {
		t.Fatalf("%d buckets, %v", n, err)
	}
	proven(t, pool)
	err := database.ExecuteTx(ctx, pool, func(tx *database.Tx) error { return stock.Spread(ctx, tx, "s3", "ghost", 2) })
	var unknown *stock.UnknownSKUError
	if !errors.As(err, &unknown) {
		t.Fatalf("spreading what there is none of: %v", err)
	}
}

// A promotion, and a payment that comes late, take what they need from as many buckets as it takes.
func TestSpreadStockIsTakenWhole(t *testing.T) {
	ctx, pool := context.Background(), testdb.NewPool(t)
	seed(t, pool, stock.Quantity{SKU: "tea", Quantity: 12})
	spread(t, pool, "s", "tea", 4)
	for range 2 {
		if err := stock.Allocate(ctx, pool, "sale", []stock.Quantity{{SKU: "tea", Quantity: 8}}); err != nil {
			t.Fatal(err)
		}
	}
	if err := apply(t, pool, stock.Take("o1", stock.Quantity{SKU: "tea", Quantity: 4})); err != nil {
		t.Fatal(err)
	}
	if err := apply(t, pool, stock.Restock("o1", "cancel", stock.Quantity{SKU: "tea", Quantity: 4}),
		stock.Deduct("flash", stock.Quantity{SKU: "tea", Quantity: 3})); err != nil {
		t.Fatal(err)
	}
	if err := stock.ReturnUnsold(ctx, pool, "sale", []stock.Quantity{{SKU: "tea", Quantity: 5}}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(stock.Levels{Available: 9, Deducted: 3}, levels(t, pool, "tea")); diff != "" {
		t.Fatal(diff)
	}
	proven(t, pool)
}

// Whatever is reserved, paid, released, spread or added in whatever order, an order gets its units
// if and only if all buckets together have them, and every bucket is the sum of its movements.
func TestBucketsAreOneStock(t *testing.T) {
	pool := testdb.NewPool(t)
	runs := 0
	rapid.Check(t, func(rt *rapid.T) {
		runs++
		sku := fmt.Sprintf("sku%d", runs)
		units := rapid.Int64Range(0, 30).Draw(rt, "units")
		seed(t, pool, stock.Quantity{SKU: sku, Quantity: units})
		shelves := stock.NewShelves()
		want := stock.Levels{Available: units}
		held := map[string]int64{}
		n := 0
		pick := func(rt *rapid.T) string {
			if len(held) == 0 {
				rt.Skip("nothing is reserved yet")
			}
			var ids []string
			for i := range n {
				if id := fmt.Sprintf("%s-%d", sku, i); held[id] > 0 {
					ids = append(ids, id)
				}
			}
			return rapid.SampledFrom(ids).Draw(rt, "order")
		}
		rt.Repeat(map[string]func(*rapid.T){
			"reserve": func(rt *rapid.T) {
				id, q := fmt.Sprintf("%s-%d", sku, n), rapid.Int64Range(1, 8).Draw(rt, "quantity")
				n++
				short, err := reserve(pool, shelves, id, stock.Quantity{SKU: sku, Quantity: q})
				if err != nil {
					rt.Fatal(err)
				}
				if fits := want.Available >= q; fits != (short == nil) || !fits && short[0].Left != want.Available {
					rt.Fatalf("%d of %d: %v", q, want.Available, short)
				}
				if short == nil {
					held[id] = q
					want.Available, want.Reserved = want.Available-q, want.Reserved+q
				}
			},
			"deduct": func(rt *rapid.T) {
				id := pick(rt)
				if err := apply(t, pool, stock.Deduct(id, stock.Quantity{SKU: sku, Quantity: held[id]})); err != nil {
					rt.Fatal(err)
				}
				want.Reserved, want.Deducted = want.Reserved-held[id], want.Deducted+held[id]
				delete(held, id)
			},
			"release": func(rt *rapid.T) {
				id := pick(rt)
				if err := apply(t, pool, stock.Release(id, stock.Quantity{SKU: sku, Quantity: held[id]})); err != nil {
					rt.Fatal(err)
				}
				want.Reserved, want.Available = want.Reserved-held[id], want.Available+held[id]
				delete(held, id)
			},
			"spread": func(rt *rapid.T) {
				n++
				spread(t, pool, fmt.Sprintf("%s-spread-%d", sku, n), sku, rapid.Int64Range(1, 6).Draw(rt, "buckets"))
			},
			"": func(rt *rapid.T) {
				if diff := cmp.Diff(want, levels(t, pool, sku)); diff != "" {
					rt.Fatal(diff)
				}
				proven(rt, pool)
			},
		})
	})
}

// Two processes that each remember their own buckets never oversell, and leave nothing unsold.
func TestSpreadStockUnderConcurrency(t *testing.T) {
	pool := testdb.NewPool(t)
	const stocked, orders = 50, 120
	seed(t, pool, stock.Quantity{SKU: "hot", Quantity: stocked}, stock.Quantity{SKU: "cold", Quantity: orders})
	spread(t, pool, "s", "hot", 8)
	processes := []*stock.Shelves{stock.NewShelves(), stock.NewShelves()}
	var wg sync.WaitGroup
	var mu sync.Mutex
	placed := 0
	for i := range orders {
		wg.Go(func() {
			short, err := reserve(pool, processes[i%2], fmt.Sprintf("o%d", i), stock.Quantity{SKU: "hot", Quantity: 1},
				stock.Quantity{SKU: "cold", Quantity: 1})
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				t.Error(err)
			}
			if short == nil {
				placed++
			}
		})
	}
	wg.Wait()
	if placed != stocked {
		t.Errorf("%d orders, want %d", placed, stocked)
	}
	if diff := cmp.Diff(stock.Levels{Reserved: stocked}, levels(t, pool, "hot")); diff != "" {
		t.Error(diff)
	}
	proven(t, pool)
}

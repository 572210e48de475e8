package stock

import (
	"context"
	"fmt"
	"hash/fnv"
	"strconv"

	"github.com/jackc/pgx/v5"

	"github.com/orderd-dev/orderd/orderd/kit/money"
)

// MaxBuckets is over how many rows a SKU's stock can be spread.
const MaxBuckets = 64

// bucket is one of a SKU's rows; the levels are in it.
type bucket struct {
	SKU    string
	Bucket int64
	Levels Levels
	// Spread, on bucket 0, is over how many buckets stock is to be spread.
	Spread int64
}

// held are the rows of SKUs that a transaction has locked, all of them, by SKU and by rising bucket.
type held map[string][]*bucket

func sum(rows []*bucket) Levels {
	var out Levels
	for _, r := range rows {
		out.Available += r.Levels.Available
		out.Reserved += r.Levels.Reserved
		out.Deducted += r.Levels.Deducted
	}
	return out
}

// place gives every movement that takes available units a bucket that has them, and puts movements
// between buckets before it where no bucket has enough. A movement whose SKU has too little stays
// where it is, and will be refused.
func (h held) place(movements []Movement) []Movement {
	var out []Movement
	for _, m := range movements {
		rows := h[m.sku]
		if !m.takes() || len(rows) == 0 {
			out = append(out, m)
			continue
		}
		target := rows[0]
		if !m.promotes() {
			target = enough(rows, start(m.ref, len(rows)), -m.available)
		}
		out = append(out, gather(rows, target, m)...)
		m.bucket = target.Bucket
		target.Levels.Available += m.available
		out = append(out, m)
	}
	return out
}

// start spreads what refs take over the buckets.
func start(ref string, buckets int) int {
	h := fnv.New32a()
	// A hash's Write never fails.
	_, _ = h.Write([]byte(ref))
	return int(h.Sum32() % uint32(buckets))
}

// enough is the first bucket from a place on that has the units, or the one there.
func enough(rows []*bucket, from int, units int64) *bucket {
	for i := range rows {
		if r := rows[(from+i)%len(rows)]; r.Levels.Available >= units {
			return r
		}
	}
	return rows[from]
}

// gather moves what a movement lacks in its bucket there from others, or nothing if all of them
// have too little. What moves is named after the movement, so that it happens once as it does.
func gather(rows []*bucket, target *bucket, m Movement) []Movement {
	missing := -m.available - target.Levels.Available
	if missing <= 0 || sum(rows).Available < -m.available {
		return nil
	}
	var out []Movement
	for _, r := range rows {
		if r == target || r.Levels.Available == 0 || missing == 0 {
			continue
		}
		units := min(missing, r.Levels.Available)
		missing -= units
		r.Levels.Available -= units
		target.Levels.Available += units
		way := fmt.Sprintf("%s:%d>%d:", m.kind, r.Bucket, target.Bucket)
		out = append(out,
			Movement{ref: m.ref, kind: way + "OUT", sku: m.sku, available: -units, bucket: r.Bucket},
			Movement{ref: m.ref, kind: way + "IN", sku: m.sku, available: units, bucket: target.Bucket})
	}
	return out
}

// Adjust puts units in stock, spread over the SKU's buckets, or takes available ones out if the
// quantity is negative; ref is the request's key. Errors are Apply's.
func Adjust(ctx context.Context, tx pgx.Tx, ref string, q Quantity) error {
	if err := Apply(ctx, tx, []Movement{Add(ref, q)}); err != nil || q.Quantity < 0 {
		return err
	}
	found, err := hold(ctx, tx, []string{q.SKU})
	if err != nil {
		return err
	}
	return even(ctx, tx, ref, found[q.SKU])
}

// Spread spreads a SKU's available units evenly over so many buckets, from 1 to MaxBuckets, and
// those that Adjust will add; ref is the request's key. What is reserved and sold stays where it
// is. More buckets let more transactions reserve at once; each that needs more than a bucket has
// touches several. An *UnknownSKUError says that there is no such SKU.
func Spread(ctx context.Context, tx pgx.Tx, ref, sku string, buckets int64) error {
	if buckets < 1 || buckets > MaxBuckets {
		return fmt.Errorf("stock of %s cannot be spread over %d buckets", sku, buckets)
	}
	if err := writeSpread(ctx, tx, sku, buckets); err != nil {
		return err
	}
	found, err := hold(ctx, tx, []string{sku})
	if err != nil {
		return err
	}
	return even(ctx, tx, ref, found[sku])
}

// even moves available units so that the first buckets have the same, give or take one, and those
// beyond the spread nothing.
func even(ctx context.Context, tx pgx.Tx, ref string, rows []*bucket) error {
	if len(rows) < 2 {
		return nil
	}
	weights := make([]int64, len(rows))
	for i, r := range rows {
		if r.Bucket < rows[0].Spread {
			weights[i] = 1
		}
	}
	var moves []Movement
	for i, share := range money.Split(sum(rows).Available, weights) {
		if delta := share - rows[i].Levels.Available; delta != 0 {
			b := rows[i].Bucket
			moves = append(moves,
				Movement{ref: ref, kind: "SPREAD:" + strconv.FormatInt(b, 10), sku: rows[i].SKU, available: delta, bucket: b})
		}
	}
	if len(moves) == 0 {
		return nil
	}
	var b pgx.Batch
	var refused []string
	queueMovements(&b, moves).Query(func(found pgx.Rows) error {
		var err error
		refused, err = pgx.CollectRows(found, pgx.RowTo[string])
		return err
	})
	if err := tx.SendBatch(ctx, &b).Close(); err != nil {
		return fmt.Errorf("spreading stock: %w", err)
	}
	if len(refused) > 0 {
		return fmt.Errorf("stock of %v changed while it was locked", refused)
	}
	return nil
}

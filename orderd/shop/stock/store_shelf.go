package stock

import (
	"github.com/jackc/pgx/v5"

	"github.com/orderd-dev/orderd/orderd/kit/database"
)

// queueLock locks the SKUs' buckets but those to skip, which skip and buckets name together; rows has
// them once the batch was sent.
func queueLock(b *pgx.Batch, skus, skip []string, buckets []int64, rows *held) {
	read := func(found pgx.Rows) error {
		var err error
		*rows, err = collect(found)
		return err
	}
	if len(skip) == 0 {
		b.Queue(lockSQL, skus).Query(read)
		return
	}
	b.Queue(`SELECT sku, bucket, available, reserved, deducted, spread FROM stock WHERE sku = ANY ($1)
		AND (sku, bucket) NOT IN (SELECT sku, bucket FROM unnest($2::text[], $3::bigint[]) AS e (sku, bucket))
		ORDER BY sku, bucket FOR UPDATE`, skus, skip, buckets).Query(read)
}

// Write queues what was reserved.
func (h *Hold) Write(b *pgx.Batch) {
	if len(h.moves) == 0 {
		return
	}
	n := len(h.moves)
	refs, kinds, skus := make([]string, n), make([]string, n), make([]string, n)
	available, reserved, buckets := make([]int64, n), make([]int64, n), make([]int64, n)
	type key struct {
		sku    string
		bucket int64
	}
	changed := map[key][2]int64{}
	for i, m := range h.moves {
		refs[i], kinds[i], skus[i] = m.ref, m.kind, m.sku
		available[i], reserved[i], buckets[i] = m.available, m.reserved, m.bucket
		k := key{m.sku, m.bucket}
		d := changed[k]
		changed[k] = [2]int64{d[0] + m.available, d[1] + m.reserved}
	}
	b.Queue(`INSERT INTO stock_movements (ref, kind, sku, available, reserved, deducted, bucket, created_at)
		SELECT ref, kind, sku, available, reserved, 0, bucket, now()
		FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[], $5::bigint[], $6::bigint[]) AS m (ref, kind, sku, available, reserved, bucket)`,
		refs, kinds, skus, available, reserved, buckets)
	skus, available, reserved, buckets = nil, nil, nil, nil
	for k, d := range changed {
		skus, buckets = append(skus, k.sku), append(buckets, k.bucket)
		available, reserved = append(available, d[0]), append(reserved, d[1])
	}
	b.Queue(`UPDATE stock SET available = stock.available + v.available, reserved = stock.reserved + v.reserved
		FROM unnest($1::text[], $2::bigint[], $3::bigint[], $4::bigint[]) AS v (sku, bucket, available, reserved)
		WHERE stock.sku = v.sku AND stock.bucket = v.bucket AND stock.available + v.available >= 0 AND stock.reserved + v.reserved >= 0`,
		skus, buckets, available, reserved).Exec(database.MustChange(len(skus)))
}

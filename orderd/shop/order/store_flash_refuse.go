package order

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/orderd-dev/orderd/orderd/kit/database"
	"github.com/orderd-dev/orderd/orderd/kit/lease"
)

// placeholderSQL takes the orders' places, so that a transaction that writes one of them at the
// same moment and this one do not both commit: the second waits for the first at the primary key.
// It returns the orders that are not written.
const placeholderSQL = `INSERT INTO orders (order_id, buyer_id, state, version, currency, total, promotion_uid, promotion, bucket, created_at, expires_at)
	SELECT order_id, '', 'CANCELLED', 0, '', 0, '', '', 0, $2::timestamptz, $2::timestamptz FROM unnest($1::uuid[]) AS o (order_id)
	ON CONFLICT (order_id) DO NOTHING RETURNING order_id`

const refuseSQL = `INSERT INTO flash_releases (order_id, promotion_uid, buyer_id, reason, bucket, outcome, attempts, next_attempt_at, created_at, reservation, refusal)
	SELECT order_id, promotion_uid, '', 'UNWRITABLE', bucket, 'PENDING', 0, $6::timestamptz, $6::timestamptz, reservation, refusal
	FROM unnest($1::uuid[], $2::text[], $3::bigint[], $4::bytea[], $5::text[]) AS r (order_id, promotion_uid, bucket, reservation, refusal)
	ON CONFLICT (order_id) DO NOTHING`

// refuse takes the places of those of the orders that are not written, which are in the order of
// their ids, and returns them.
func refuse(ctx context.Context, tx *database.Tx, orders []unwritableRow, now time.Time) (map[uuid.UUID]bool, error) {
	byID := make(map[uuid.UUID]unwritableRow, len(orders))
	ids := make([]uuid.UUID, len(orders))
	for i, u := range orders {
		byID[u.OrderID], ids[i] = u, u.OrderID
	}
	found, err := tx.Query(ctx, placeholderSQL, ids, now)
	if err != nil {
		return nil, err
	}
	unwritten, err := pgx.CollectRows(found, pgx.RowTo[uuid.UUID])
	if err != nil || len(unwritten) == 0 {
		return nil, err
	}
	slices.SortFunc(unwritten, compareIDs)
	n := len(unwritten)
	refused, uids, buckets := make(map[uuid.UUID]bool, n), make([]string, n), make([]int64, n)
	reservations, reasons := make([][]byte, n), make([]string, n)
	for i, id := range unwritten {
		u := byID[id]
		refused[id], uids[i], buckets[i], reservations[i], reasons[i] = true, u.promotionUID, lease.Bucket(
			id,
		), u.Reservation, u.reason
	}
	var b pgx.Batch
	b.Queue("DELETE FROM orders WHERE order_id = ANY ($1)", unwritten)
	b.Queue(refuseSQL, unwritten, uids, buckets, reservations, reasons, now)
	return refused, tx.SendBatch(ctx, &b).Close()
}

// queueRefused asks which of the orders were refused before. It has to come after the statement
// that writes them, see placeholderSQL.
func queueRefused(b *pgx.Batch, ids []uuid.UUID, into map[uuid.UUID]string) {
	b.Queue("SELECT order_id, refusal FROM flash_releases WHERE order_id = ANY ($1) AND reservation IS NOT NULL",
		ids).Query(func(rows pgx.Rows) error {
		var id uuid.UUID
		var refusal string
		_, err := pgx.ForEachRow(rows, []any{&id, &refusal}, func() error {
			into[id] = cmp.Or(refusal, "it was refused before")
			return nil
		})
		return err
	})
}

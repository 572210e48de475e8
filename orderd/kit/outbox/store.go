package outbox

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"google.golang.org/protobuf/proto"

	"github.com/orderd-dev/orderd/orderd/kit/lease"
)

// Queue adds the events' rows to a batch of the transaction that makes the changes.
func Queue(b *pgx.Batch, events []Event) error {
	if len(events) == 0 {
		return nil
	}
	var buckets, versions []int64
	var ids []uuid.UUID
	var names, types []string
	var payloads [][]byte
	var ats []time.Time
	for _, e := range events {
		typeName := string(e.Payload.ProtoReflect().Descriptor().FullName())
		if want := NameOf(typeName); e.Name != want {
			return fmt.Errorf("event %s of order %s: %s is published as %s, which consumers go by", e.Name, e.OrderID, typeName,
				want)
		}
		payload := e.Encoded
		if payload == nil {
			var err error
			if payload, err = proto.Marshal(e.Payload); err != nil {
				return fmt.Errorf("event %s of order %s: %w", e.Name, e.OrderID, err)
			}
		}
		buckets, versions, ids = append(buckets, lease.Bucket(e.OrderID)), append(versions, e.Version), append(ids, e.OrderID)
		names, types = append(names, e.Name), append(types, typeName)
		payloads, ats = append(payloads, payload), append(ats, e.At)
	}
	b.Queue(`INSERT INTO outbox (bucket, order_id, version, event, type, payload, created_at)
		SELECT bucket, order_id, version, event, type, payload, created_at
		FROM unnest($1::bigint[], $2::uuid[], $3::bigint[], $4::text[], $5::text[], $6::bytea[], $7::timestamptz[])
			AS e (bucket, order_id, version, event, type, payload, created_at)`,
		buckets, ids, versions, names, types, payloads, ats)
	return nil
}

func (r *Relay) remove(ctx context.Context, bucket int64, published []*row) error {
	if len(published) == 0 {
		return nil
	}
	ids, versions := make([]uuid.UUID, len(published)), make([]int64, len(published))
	for i, p := range published {
		ids[i], versions[i] = p.OrderID, p.Version
	}
	_, err := r.pool.Exec(ctx, `DELETE FROM outbox WHERE bucket = $1 AND (order_id, version) IN
		(SELECT order_id, version FROM unnest($2::uuid[], $3::bigint[]) AS d (order_id, version))`, bucket, ids, versions)
	if err != nil {
		return fmt.Errorf("deleting published events: %w", err)
	}
	return nil
}

// read returns a batch of a bucket's rows behind a position, by order and version.
func (r *Relay) read(ctx context.Context, bucket int64, after position) ([]*row, error) {
	found, err := r.pool.Query(ctx, `SELECT order_id, version, event, type, payload, created_at FROM outbox
		WHERE bucket = $1 AND (order_id, version) > ($2::uuid, $3::bigint) ORDER BY order_id, version LIMIT $4`,
		bucket, after.orderID, after.version, relayBatch)
	if err != nil {
		return nil, fmt.Errorf("reading the outbox: %w", err)
	}
	rows, err := pgx.CollectRows(found, pgx.RowToAddrOfStructByPos[row])
	if err != nil {
		return nil, fmt.Errorf("reading the outbox: %w", err)
	}
	return rows, nil
}

// waiting counts what waits in the buckets this relay leases, up to maxLag, and says since when; nil
// if nothing does.
func (r *Relay) waiting(ctx context.Context) (count int64, oldest *time.Time, err error) {
	err = r.pool.QueryRow(ctx, `SELECT count(*), min(created_at) FROM
		(SELECT created_at FROM outbox WHERE bucket = ANY ($1) LIMIT $2) AS w`,
		r.loop.Held(), maxLag).Scan(&count, &oldest)
	return count, oldest, err
}

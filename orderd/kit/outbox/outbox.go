// Package outbox publishes what happened to orders: rows written in the transaction of the change are
// relayed to the JetStream stream ORDER_EVENTS, in order per order, each at least once and with an id
// by which a second time is recognised.
package outbox

import (
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"google.golang.org/protobuf/proto"

	"github.com/orderd-dev/orderd/orderd/kit/lease"
)

// Event is one change of an order.
type Event struct {
	OrderID uuid.UUID
	// Version of the order after the change; with the order id it is the event's id.
	Version int64
	// Name is the event's token in its subject: NameOf its payload's type.
	Name string
	// Payload is the protobuf event; its full name is the event's type.
	Payload proto.Message
	// Encoded is the payload as bytes, where they are there already.
	Encoded []byte
	At      time.Time
}

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

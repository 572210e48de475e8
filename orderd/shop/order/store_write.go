package order

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/orderd-dev/orderd/orderd/kit/database"
	"github.com/orderd-dev/orderd/orderd/kit/lease"
	"github.com/orderd-dev/orderd/orderd/kit/outbox"
)

// insertSQL returns the orders that were not there before.
const insertSQL = `INSERT INTO orders (order_id, buyer_id, state, version, currency, total, discount, freight, tax, promotion_uid, promotion,
		address, delivery_method, invoice, coupon_ids, bucket, created_at, expires_at,
		channel, attributes, buyer_message, gift_note)
	SELECT order_id, buyer_id, state, version, currency, total, discount, freight, tax, promotion_uid, promotion,
		address::jsonb, delivery_method, invoice::jsonb, coupon_ids::uuid[], bucket, created_at, expires_at,
		channel, attributes::jsonb, buyer_message, gift_note
	FROM unnest($1::uuid[], $2::text[], $3::text[], $4::bigint[], $5::text[], $6::bigint[], $7::bigint[], $8::bigint[], $9::bigint[], $10::text[], $11::text[],
			$12::text[], $13::text[], $14::text[], $15::text[], $16::bigint[], $17::timestamptz[], $18::timestamptz[],
			$19::text[], $20::text[], $21::text[], $22::text[])
		AS o (order_id, buyer_id, state, version, currency, total, discount, freight, tax, promotion_uid, promotion,
			address, delivery_method, invoice, coupon_ids, bucket, created_at, expires_at,
			channel, attributes, buyer_message, gift_note)
	ON CONFLICT (order_id) DO NOTHING RETURNING order_id`

func insertArgs(orders []*Order) ([]any, error) {
	n := len(orders)
	ids, versions, buckets := make([]uuid.UUID, n), make([]int64, n), make([]int64, n)
	totals, discounts, freights, taxes := make([]int64, n), make([]int64, n), make([]int64, n), make([]int64, n)
	buyers, states, currencies := make([]string, n), make([]string, n), make([]string, n)
	uids, promotions := make([]string, n), make([]string, n)
	addresses, invoices, methods, coupons := make([]*string, n), make([]*string, n), make([]string, n), make([]string, n)
	created, expires := make([]time.Time, n), make([]time.Time, n)
	channels, attributes := make([]string, n), make([]*string, n)
	messages, gifts := make([]string, n), make([]string, n)
	var err error
	for i, o := range orders {
		ids[i], versions[i], buckets[i] = o.ID, o.Version, lease.Bucket(o.ID)
		totals[i], discounts[i], freights[i], taxes[i] = o.Total, o.Discount, o.Freight, o.Tax
		buyers[i], states[i], currencies[i] = o.BuyerID, string(o.State), o.Currency
		uids[i], promotions[i] = o.PromotionUID, o.Promotion
		if addresses[i], err = asJSON(o.Address); err != nil {
			return nil, err
		}
		if invoices[i], err = asJSON(o.Invoice); err != nil {
			return nil, err
		}
		methods[i], coupons[i] = o.DeliveryMethod, arrayText(o.CouponIDs)
		created[i], expires[i] = o.CreatedAt, o.ExpiresAt
		channels[i], messages[i], gifts[i] = o.Channel, o.BuyerMessage, o.GiftNote
		if len(o.Attributes) > 0 {
			raw, err := json.Marshal(o.Attributes)
			if err != nil {
				return nil, fmt.Errorf("storing attributes: %w", err)
			}
			text := string(raw)
			attributes[i] = &text
		}
	}
	return []any{
		ids, buyers, states, versions, currencies, totals, discounts, freights, taxes, uids, promotions,
		addresses, methods, invoices, coupons, buckets, created, expires,
		channels, attributes, messages, gifts,
	}, nil
}

// arrayText is an array as SQL text, because unnest flattens arrays of arrays.
func arrayText(ids []uuid.UUID) string {
	if len(ids) == 0 {
		return "{}"
	}
	parts := make([]string, len(ids))
	for i, id := range ids {
		parts[i] = id.String()
	}
	return "{" + strings.Join(parts, ",") + "}"
}

func queueLines(b *pgx.Batch, orders []*Order) {
	var ids []uuid.UUID
	var numbers, quantities, prices, discounts, freights, taxes []int64
	var skus, titles []string
	for _, o := range orders {
		for i, l := range o.Lines {
			ids, numbers = append(ids, o.ID), append(numbers, int64(i+1))
			skus, titles = append(skus, l.SKU), append(titles, l.Title)
			quantities, prices = append(quantities, l.Quantity), append(prices, l.UnitPrice)
			discounts, freights, taxes = append(discounts, l.Discount), append(freights, l.Freight), append(taxes, l.Tax)
		}
	}
	b.Queue(`INSERT INTO order_lines (order_id, line, sku, title, quantity, unit_price, discount, freight, tax)
		SELECT order_id, line, sku, title, quantity, unit_price, discount, freight, tax
		FROM unnest($1::uuid[], $2::bigint[], $3::text[], $4::text[], $5::bigint[], $6::bigint[], $7::bigint[], $8::bigint[], $9::bigint[])
			AS l (order_id, line, sku, title, quantity, unit_price, discount, freight, tax)`,
		ids, numbers, skus, titles, quantities, prices, discounts, freights, taxes)
}

// queueUpdates writes the changed orders' new states; the batch fails unless each was
// at the version before.
func queueUpdates(b *pgx.Batch, changes []change) {
	n := len(changes)
	seen := make(map[uuid.UUID]bool, n)
	var ids []uuid.UUID
	var states, reasons []string
	var before, versions []int64
	var payments []*uuid.UUID
	var paid, cancelled, shipped, delivered, completed []*time.Time
	for _, c := range changes {
		o := c.order
		if seen[o.ID] {
			continue
		}
		seen[o.ID] = true
		ids, states, reasons = append(ids, o.ID), append(states, string(o.State)), append(reasons, o.CancelReason)
		before, versions, payments = append(before, c.version-1), append(versions, o.Version), append(payments, o.PaymentID)
		paid, cancelled = append(paid, o.PaidAt), append(cancelled, o.CancelledAt)
		shipped, delivered, completed = append(shipped, o.ShippedAt), append(delivered, o.DeliveredAt), append(completed,
			o.CompletedAt)
	}
	b.Queue(
		`UPDATE orders SET state = v.state, version = v.version, paid_at = v.paid_at, cancelled_at = v.cancelled_at, cancel_reason = v.cancel_reason,
			payment_id = v.payment_id, shipped_at = v.shipped_at, delivered_at = v.delivered_at, completed_at = v.completed_at
		FROM unnest($1::uuid[], $2::text[], $3::bigint[], $4::bigint[], $5::timestamptz[], $6::timestamptz[], $7::text[], $8::uuid[],
				$9::timestamptz[], $10::timestamptz[], $11::timestamptz[])
			AS v (order_id, state, before, version, paid_at, cancelled_at, cancel_reason, payment_id, shipped_at, delivered_at, completed_at)
		WHERE orders.order_id = v.order_id AND orders.version = v.before`,
		ids,
		states,
		before,
		versions,
		paid,
		cancelled,
		reasons,
		payments,
		shipped,
		delivered,
		completed,
	).Exec(database.MustChange(len(ids)))
}

// queueCounts writes what is partial on the lines of orders whose rows are locked.
func queueCounts(b *pgx.Batch, orders ...*Order) {
	var ids []uuid.UUID
	var numbers, shipping, shipped, delivered, returned, withdrawn, granted, refunded []int64
	for _, o := range orders {
		for i, l := range o.Lines {
			ids, numbers = append(ids, o.ID), append(numbers, int64(i+1))
			shipping, shipped, delivered = append(shipping, l.Shipping), append(shipped, l.Shipped), append(delivered,
				l.Delivered)
			returned, withdrawn = append(returned, l.Returned), append(withdrawn, l.Withdrawn)
			granted, refunded = append(granted, l.RefundGranted), append(refunded, l.Refunded)
		}
	}
	b.Queue(
		`UPDATE order_lines SET shipping = v.shipping, shipped = v.shipped, delivered = v.delivered, returned = v.returned,
			withdrawn = v.withdrawn, refund_granted = v.refund_granted, refunded = v.refunded
		FROM unnest($1::uuid[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[], $8::bigint[], $9::bigint[])
			AS v (order_id, line, shipping, shipped, delivered, returned, withdrawn, refund_granted, refunded)
		WHERE order_lines.order_id = v.order_id AND order_lines.line = v.line`,
		ids,
		numbers,
		shipping,
		shipped,
		delivered,
		returned,
		withdrawn,
		granted,
		refunded,
	).Exec(database.MustChange(len(ids)))
}

// queueRecords writes the changes' history and events.
func queueRecords(b *pgx.Batch, changes []change) error {
	n := len(changes)
	ids, versions, ats := make([]uuid.UUID, n), make([]int64, n), make([]time.Time, n)
	events, froms, tos := make([]string, n), make([]string, n), make([]string, n)
	actors, reasons := make([]string, n), make([]string, n)
	var published []outbox.Event
	for i, c := range changes {
		ids[i], versions[i], ats[i] = c.order.ID, c.version, c.at
		events[i], froms[i], tos[i], actors[i], reasons[i] = string(c.event), string(c.from), string(c.to), c.actor, c.reason
		if e, ok := c.published(); ok {
			published = append(published, e)
		}
	}
	b.Queue(`INSERT INTO order_history (order_id, version, event, from_state, to_state, actor, reason, at)
		SELECT order_id, version, event, from_state, to_state, actor, reason, at
		FROM unnest($1::uuid[], $2::bigint[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::timestamptz[])
			AS h (order_id, version, event, from_state, to_state, actor, reason, at)`,
		ids, versions, events, froms, tos, actors, reasons, ats)
	return outbox.Queue(b, published)
}

// write writes changes of locked orders, with their history and events, and what else is queued.
// The changes are counted once they are committed.
func (s *Store) write(ctx context.Context, tx *database.Tx, b *pgx.Batch, changes []change) error {
	if len(changes) > 0 {
		queueUpdates(b, changes)
		if err := queueRecords(b, changes); err != nil {
			return err
		}
		queueLess(b, noLongerUnpaid(changes))
	}
	if b.Len() == 0 {
		return nil
	}
	if err := tx.SendBatch(ctx, b).Close(); err != nil {
		return fmt.Errorf("writing orders: %w", err)
	}
	tx.AfterCommit(func() { s.metrics.count(changes) })
	return nil
}

// asJSON is a message as it is stored; nothing for nil.
func asJSON[M interface {
	comparable
	proto.Message
}](m M) (*string, error) {
	var none M
	if m == none {
		return nil, nil
	}
	raw, err := protojson.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("storing %s: %w", m.ProtoReflect().Descriptor().FullName(), err)
	}
	text := string(raw)
	return &text, nil
}

// insertNew writes the orders that are not there yet and returns those.
func insertNew(ctx context.Context, tx pgx.Tx, wanted []change) ([]change, error) {
	args, err := insertArgs(ordersOf(wanted))
	if err != nil {
		return nil, err
	}
	rows, err := tx.Query(ctx, insertSQL, args...)
	if err != nil {
		return nil, fmt.Errorf("writing orders: %w", err)
	}
	ids, err := pgx.CollectRows(rows, pgx.RowTo[uuid.UUID])
	if err != nil {
		return nil, fmt.Errorf("writing orders: %w", err)
	}
	isNew := make(map[uuid.UUID]bool, len(ids))
	for _, id := range ids {
		isNew[id] = true
	}
	return slices.DeleteFunc(slices.Clone(wanted), func(c change) bool { return !isNew[c.order.ID] }), nil
}

// queueVersion writes a locked order's version, which was raised by one.
func queueVersion(b *pgx.Batch, o *Order) {
	b.Queue("UPDATE orders SET version = $2::bigint WHERE order_id = $1 AND version = $2::bigint - 1", o.ID, o.Version).
		Exec(database.MustChange(1))
}

func queueDelivery(b *pgx.Batch, o *Order) error {
	text, err := asJSON(o.Address)
	if err != nil {
		return fmt.Errorf("address of order %s: %w", o.ID, err)
	}
	b.Queue("UPDATE orders SET address = $2::text::jsonb, delivery_method = $3 WHERE order_id = $1", o.ID, text,
		o.DeliveryMethod).
		Exec(database.MustChange(1))
	return nil
}

// queueTags writes a locked order's tags.
func queueTags(b *pgx.Batch, o *Order) {
	b.Queue("UPDATE orders SET tags = $2 WHERE order_id = $1", o.ID, o.Tags).Exec(database.MustChange(1))
}

// queueNote writes a note of the order's present version.
func queueNote(b *pgx.Batch, o *Order, n Note) {
	b.Queue("INSERT INTO order_notes (order_id, version, text, author, at) VALUES ($1, $2, $3, $4, $5)",
		o.ID, o.Version, n.Text, n.Author, n.At).Exec(database.MustChange(1))
}

package desk

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"google.golang.org/protobuf/proto"

	orderv1 "github.com/orderd-dev/orderd/api/gen/orderd/order/v1"
	paymentv1 "github.com/orderd-dev/orderd/api/gen/orderd/payment/v1"
	returnsv1 "github.com/orderd-dev/orderd/api/gen/orderd/returns/v1"
	"github.com/orderd-dev/orderd/orderd/kit/consume"
	"github.com/orderd-dev/orderd/orderd/kit/database"
	"github.com/orderd-dev/orderd/orderd/shop/order"
	"github.com/orderd-dev/orderd/orderd/shop/payment"
	"github.com/orderd-dev/orderd/orderd/shop/returns"
	"github.com/orderd-dev/orderd/orderd/shop/shipment"
)

// ConsumerName is the name of the consumer whose effect Follow is.
const ConsumerName = "desk"

// maker is the number of the code that makes rows: raise it when it makes others from the same orders, and all are made
// anew.
const maker = 1

// Batch is how many events one transaction best has.
const Batch = 64

// Types are the events that Follow has to see: all about orders.
func Types() []string {
	var names []string
	for _, m := range []proto.Message{
		&orderv1.OrderPlaced{}, &orderv1.OrderPaid{}, &orderv1.OrderCancelled{}, &orderv1.OrderDeliverySet{},
		&orderv1.OrderShipped{}, &orderv1.OrderDelivered{}, &orderv1.OrderCompleted{}, &orderv1.OrderRefunded{},
		&orderv1.OrderRefundGranted{}, &orderv1.OrderReturnChanged{}, &orderv1.OrderTagged{}, &orderv1.OrderNoted{},
		&orderv1.OrderInvoiceChanged{},
	} {
		names = append(names, string(m.ProtoReflect().Descriptor().FullName()))
	}
	return names
}

// Follow brings the rows of the events' orders up to what the database says of them now. It is a consumer's effect.
// What the events themselves say is not looked at.
func Follow(ctx context.Context, tx *database.Tx, events []consume.Event) error {
	ids := make([]uuid.UUID, len(events))
	for i, e := range events {
		ids[i] = e.OrderID
	}
	return Refresh(ctx, tx, ids)
}

// Refresh makes the orders' rows anew. They are locked before the orders are read, so that of two at once the later one
// has read what the earlier one could not have.
func Refresh(ctx context.Context, tx pgx.Tx, ids []uuid.UUID) error {
	ids = slices.Clone(ids)
	slices.SortFunc(ids, func(a, b uuid.UUID) int { return bytes.Compare(a[:], b[:]) })
	ids = slices.Compact(ids)
	if _, err := tx.Exec(ctx, `INSERT INTO desk_orders (order_id) SELECT unnest($1::uuid[])
		ON CONFLICT (order_id) DO UPDATE SET order_id = excluded.order_id`, ids); err != nil {
		return fmt.Errorf("locking the desk's rows: %w", err)
	}
	rows, err := read(ctx, tx, ids)
	if err != nil {
		return err
	}
	var b pgx.Batch
	if gone := without(ids, rows); len(gone) > 0 {
		b.Queue("DELETE FROM desk_orders WHERE order_id = ANY ($1)", gone)
		b.Queue("DELETE FROM desk_terms WHERE order_id = ANY ($1)", gone)
	}
	queueRows(&b, rows)
	queueTerms(&b, rows)
	if err := tx.SendBatch(ctx, &b).Close(); err != nil {
		return fmt.Errorf("writing the desk's rows: %w", err)
	}
	return nil
}

// without are the ids that no row is of.
func without(ids []uuid.UUID, rows []*row) []uuid.UUID {
	there := map[uuid.UUID]bool{}
	for _, r := range rows {
		there[r.id] = true
	}
	return slices.DeleteFunc(slices.Clone(ids), func(id uuid.UUID) bool { return there[id] })
}

// row is what an order is found by.
type row struct {
	id               uuid.UUID
	order            *orderv1.Order
	returnState      string
	phone, recipient string
	provider, method string
	hasNote          bool
	terms            []term
}

type term struct{ kind, text string }

// read what the domains say of orders; those that are not there are left out.
func read(ctx context.Context, q database.Querier, ids []uuid.UUID) ([]*row, error) {
	orders, err := order.Read(ctx, q, ids)
	if err != nil {
		return nil, err
	}
	payments, err := payment.OfOrders(ctx, q, ids)
	if err != nil {
		return nil, err
	}
	surplus, err := payment.Surplus(ctx, q, ids)
	if err != nil {
		return nil, err
	}
	shipments, err := shipment.OfOrders(ctx, q, ids)
	if err != nil {
		return nil, err
	}
	returned, err := returns.OfOrders(ctx, q, ids)
	if err != nil {
		return nil, err
	}
	noted, err := order.Noted(ctx, q, ids)
	if err != nil {
		return nil, err
	}
	var rows []*row
	for _, id := range ids {
		o := orders[id]
		if o == nil {
			continue
		}
		r := &row{
			id: id, order: o, hasNote: noted[id], returnState: openReturn(returned[id]),
			phone: phoneKey(o.GetAddress().GetPhone()), recipient: nameKey(o.GetAddress().GetRecipient()),
		}
		r.findTerms()
		for _, p := range payments[id] {
			r.paid(p)
		}
		for _, transaction := range surplus[id] {
			r.add(kindTransaction, transaction)
		}
		for _, sh := range shipments[id] {
			r.add(kindTracking, trackingKey(sh.GetTrackingNumber()))
		}
		for _, ret := range returned[id] {
			r.add(kindTracking, trackingKey(ret.GetTrackingNumber()))
		}
		rows = append(rows, r)
	}
	return rows, nil
}

// openReturn is the state of the return that somebody has to do something about: the newest open one, else the newest.
// The list has the newest first.
func openReturn(list []*returnsv1.Return) string {
	if len(list) == 0 {
		return ""
	}
	i := max(0, slices.IndexFunc(list, func(r *returnsv1.Return) bool { return returns.Open(r.GetState()) }))
	return strings.TrimPrefix(list[i].GetState().String(), "RETURN_STATE_")
}

func (r *row) findTerms() {
	for _, l := range r.order.GetLines() {
		r.add(kindSKU, l.GetSku())
	}
	for _, t := range r.order.GetTags() {
		r.add(kindTag, t)
	}
	for _, c := range r.order.GetCouponIds() {
		r.add(kindCoupon, c)
	}
	for key, value := range r.order.GetAttributes() {
		r.add(kindAttribute, attributeTerm(key, value))
	}
}

// paid notes a payment, and the provider and method if it is the one that counts.
func (r *row) paid(p *paymentv1.Payment) {
	r.add(kindTransaction, p.GetTransactionId())
	if p.GetPaymentId() == r.order.GetPaymentId() {
		r.provider, r.method = p.GetProvider(), p.GetMethod()
	}
}

func (r *row) add(kind, text string) {
	if t := (term{kind, text}); text != "" && !slices.Contains(r.terms, t) {
		r.terms = append(r.terms, t)
	}
}

func queueRows(b *pgx.Batch, rows []*row) {
	n := len(rows)
	ids, totals, versions, notes := make([]uuid.UUID, n), make([]int64, n), make([]int64, n), make([]bool, n)
	created, paid := make([]time.Time, n), make([]*time.Time, n)
	texts := make([][]string, 14)
	for i, r := range rows {
		o := r.order
		ids[i], totals[i], notes[i], created[i] = r.id, o.GetTotal().GetAmount(), r.hasNote, o.GetCreatedAt().AsTime()
		versions[i] = o.GetVersion()
		if o.GetPaidAt() != nil {
			at := o.GetPaidAt().AsTime()
			paid[i] = &at
		}
		for k, text := range []string{
			o.GetNumber(), o.GetBuyerId(), strings.TrimPrefix(o.GetState().String(), "ORDER_STATE_"),
			strings.TrimPrefix(o.GetFulfilmentStatus().String(), "FULFILMENT_STATUS_"),
			strings.TrimPrefix(o.GetRefundStatus().String(), "REFUND_STATUS_"), r.returnState, o.GetTotal().GetCurrency(),
			r.phone, r.recipient, o.GetPromotion(), r.provider, r.method, o.GetChannel(),
		} {
			texts[k] = append(texts[k], text)
		}
	}
	b.Queue(`UPDATE desk_orders SET number = v.number, buyer_id = v.buyer_id, state = v.state, fulfilment = v.fulfilment,
			refund = v.refund, return_state = v.return_state, currency = v.currency, phone = v.phone, recipient = v.recipient,
			promotion = v.promotion, provider = v.provider, method = v.method, channel = v.channel, total = v.total,
			has_note = v.has_note, created_at = v.created_at, paid_at = v.paid_at, version = v.version, made = $20
		FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[],
				$9::text[], $10::text[], $11::text[], $12::text[], $13::text[], $14::text[], $15::bigint[], $16::boolean[],
				$17::timestamptz[], $18::timestamptz[], $19::bigint[])
			AS v (order_id, number, buyer_id, state, fulfilment, refund, return_state, currency, phone, recipient, promotion,
				provider, method, channel, total, has_note, created_at, paid_at, version)
		WHERE desk_orders.order_id = v.order_id`,
		ids, texts[0], texts[1], texts[2], texts[3], texts[4], texts[5], texts[6], texts[7], texts[8], texts[9],
		texts[10], texts[11], texts[12], totals, notes, created, paid, versions, maker).Exec(database.MustChange(n))
}

func queueTerms(b *pgx.Batch, rows []*row) {
	var orders, ids []uuid.UUID
	var kinds, texts []string
	var created []time.Time
	for _, r := range rows {
		orders = append(orders, r.id)
		for _, t := range r.terms {
			ids, kinds, texts = append(ids, r.id), append(kinds, t.kind), append(texts, t.text)
			created = append(created, r.order.GetCreatedAt().AsTime())
		}
	}
	b.Queue(`DELETE FROM desk_terms WHERE order_id = ANY ($1) AND (order_id, kind, term) NOT IN (
		SELECT order_id, kind, term FROM unnest($2::uuid[], $3::text[], $4::text[]) AS v (order_id, kind, term))`,
		orders, ids, kinds, texts)
	b.Queue(`INSERT INTO desk_terms (order_id, kind, term, created_at) SELECT order_id, kind, term, created_at
		FROM unnest($1::uuid[], $2::text[], $3::text[], $4::timestamptz[]) AS v (order_id, kind, term, created_at)
		ON CONFLICT DO NOTHING`, ids, kinds, texts, created)
}

package desk_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"google.golang.org/protobuf/encoding/protojson"

	addressv1 "github.com/orderd-dev/orderd/api/gen/orderd/address/v1"
	orderv1 "github.com/orderd-dev/orderd/api/gen/orderd/order/v1"
	"github.com/orderd-dev/orderd/orderd/kit/database"
	"github.com/orderd-dev/orderd/orderd/kit/lease"
	"github.com/orderd-dev/orderd/orderd/shop/order"
)

// What samples are made of: few of each, so that filters of several things find some.
var (
	someBuyers     = []string{"ann", "bob", "cat"}
	someStates     = []string{"PENDING_PAYMENT", "PAID", "SHIPPED", "DELIVERED", "COMPLETED", "CANCELLED"}
	someSKUs       = []string{"tea", "cup", "pot", "jar"}
	someTags       = []string{"vip", "fragile", "call"}
	someChannels   = []string{"", "web", "app"}
	somePromotions = []string{"", "", "spring"}
	someProviders  = []string{"sandbox", "stripe"}
	someMethods    = []string{"card", "native"}
	someCurrencies = []string{"CNY", "EUR"}
	someReturns    = []string{"REQUESTED", "APPROVED", "REFUNDED"}
	someValues     = []string{"a", "b=c"}
	somePeople     = []*addressv1.Address{
		nil,
		{Recipient: "Ann Lee", Phone: "+86 138 0013 8000", Country: "CN", City: "Hangzhou", Street: "1 West Lake"},
		{Recipient: "José", Phone: "13900139000", Country: "CN", City: "Hangzhou", Street: "2 West Lake"},
		{Recipient: "李雷", Phone: "12345", Country: "CN", City: "Hangzhou", Street: "3 West Lake"},
	}
	someCoupons = []uuid.UUID{
		uuid.MustParse("c0000000-0000-4000-8000-00000000000a"), uuid.MustParse("c0000000-0000-4000-8000-00000000000b"),
	}
)

// sample is an order as the spec has made it, and what of it the desk should know.
type sample struct {
	id                           uuid.UUID
	buyer, state                 string
	created                      time.Time
	paidAt                       *time.Time
	currency                     string
	total                        int64
	address                      *addressv1.Address
	promotion, channel           string
	attributes                   map[string]string
	tags, skus                   []string
	coupons                      []uuid.UUID
	notes                        int
	provider, method             string
	transactions, tracking       []string
	returned                     string
	fulfilment, refund           string
	shipped, delivered, refunded int64
}

func pick[T any](r *rand.Rand, of []T) T { return of[r.IntN(len(of))] }

// some are some of them, each once, in their order.
func some[T any](r *rand.Rand, of []T) []T {
	out := []T{}
	for _, x := range of {
		if r.IntN(3) == 0 {
			out = append(out, x)
		}
	}
	return out
}

// randomSample is one of the minutes after begin: many have the same time.
func randomSample(r *rand.Rand, n int, begin time.Time) *sample {
	s := &sample{
		id: uuid.New(), buyer: pick(r, someBuyers), state: pick(r, someStates), currency: pick(r, someCurrencies),
		total: r.Int64N(20), address: pick(r, somePeople), promotion: pick(r, somePromotions), channel: pick(r, someChannels),
		tags: some(r, someTags), coupons: some(r, someCoupons), notes: max(0, r.IntN(4)-2),
		created: begin.Add(time.Duration(r.IntN(60)) * time.Minute), attributes: map[string]string{},
	}
	if s.skus = some(r, someSKUs); len(s.skus) == 0 {
		s.skus = []string{pick(r, someSKUs)}
	}
	for _, key := range some(r, []string{"campaign", "clerk"}) {
		s.attributes[key] = pick(r, someValues)
	}
	if s.state != "PENDING_PAYMENT" && (s.state != "CANCELLED" || r.IntN(2) == 0) {
		at := s.created.Add(time.Duration(r.IntN(60)) * time.Minute)
		s.paidAt = &at
		s.provider, s.method = pick(r, someProviders), pick(r, someMethods)
		s.transactions = []string{fmt.Sprintf("tx-%d", n%40)}
		s.refunded = r.Int64N(2) * r.Int64N(s.total+1)
	}
	if s.state == "SHIPPED" || s.state == "DELIVERED" || s.state == "COMPLETED" {
		s.tracking = []string{fmt.Sprintf("SF-%d", n%40)}
		if s.shipped = 1; s.state != "SHIPPED" {
			s.delivered = 1
		}
		if r.IntN(3) == 0 {
			s.returned = pick(r, someReturns)
		}
	}
	return s
}

// queue writes the sample to the domains' tables.
func (s *sample) queue(b *pgx.Batch) {
	GinkgoHelper()
	var address *string
	if s.address != nil {
		raw, err := protojson.Marshal(s.address)
		Expect(err).NotTo(HaveOccurred())
		text := string(raw)
		address = &text
	}
	attributes, err := json.Marshal(s.attributes)
	Expect(err).NotTo(HaveOccurred())
	var payment *uuid.UUID
	if s.paidAt != nil {
		id := uuid.New()
		payment = &id
	}
	b.Queue(`INSERT INTO orders (order_id, buyer_id, state, version, currency, total, promotion_uid, promotion, address,
			coupon_ids, payment_id, bucket, created_at, expires_at, paid_at, channel, attributes, tags)
		VALUES ($1, $2, $3, 1, $4, $5, $6, $6, $7::text::jsonb, $8, $9, $10, $11, $11, $12, $13, $14::text::jsonb, $15)`,
		s.id, s.buyer, s.state, s.currency, s.total, s.promotion, address, s.coupons, payment, lease.Bucket(s.id),
		s.created, s.paidAt, s.channel, string(attributes), s.tags)
	for i, sku := range s.skus {
		price := int64(0)
		if i == 0 {
			price = s.total
		}
		b.Queue(`INSERT INTO order_lines (order_id, line, sku, title, quantity, unit_price, discount, freight, tax,
				shipped, delivered, refund_granted, refunded)
			VALUES ($1, $2, $3, $3, 1, $4, 0, 0, 0, $5, $6, $7, $7)`,
			s.id, i+1, sku, price, s.shipped, s.delivered, s.refunded*int64(1-min(i, 1)))
	}
	for i := range s.notes {
		b.Queue("INSERT INTO order_notes (order_id, version, text, author, at) VALUES ($1, $2, 'hm', 'sam', $3)",
			s.id, i+2, s.created)
	}
	s.queueBeside(b, payment)
}

// queueBeside writes what other domains have of it: a payment that failed beside the one that counts, a parcel, and of
// returns an older one beside the newest.
func (s *sample) queueBeside(b *pgx.Batch, payment *uuid.UUID) {
	const insertPayment = `INSERT INTO payments (payment_id, order_id, buyer_id, provider, method, reference, state,
			version, amount, currency, redirect_url, transaction_id, bucket, created_at, expires_at)
		VALUES ($1, $2, $3, $4, $5, '', $6, 1, $7, $8, '', $9, 0, $10, $10)`
	b.Queue(insertPayment, uuid.New(), s.id, s.buyer, "alipay", "page", "FAILED", s.total, s.currency, "", s.created)
	if payment != nil {
		b.Queue(insertPayment, *payment, s.id, s.buyer, s.provider, s.method, "SUCCEEDED", s.total, s.currency,
			s.transactions[0], s.created)
	}
	for _, number := range s.tracking {
		b.Queue(`INSERT INTO shipments (shipment_id, order_id, buyer_id, source, carrier, tracking_number, state, version,
				exception, address, delivery_method, bucket, work, due_at, attempts, events, created_at)
			VALUES ($1, $2, $3, 'order', 'swift', $4, 'IN_TRANSIT', 1, '', '{}', 'post', 0, '', $5, 0, 0, $5)`,
			uuid.New(), s.id, s.buyer, number, s.created)
	}
	if s.returned == "" {
		return
	}
	// An open one counts, though there is a newer one; else the newest.
	states := []string{"REJECTED", s.returned}
	if slices.Contains([]string{"REQUESTED", "APPROVED", "IN_TRANSIT", "RECEIVED"}, s.returned) {
		states = []string{s.returned, "REJECTED"}
	}
	for i, state := range states {
		b.Queue(`INSERT INTO returns (return_id, order_id, buyer_id, kind, unshipped, state, version, reason, description,
				pictures, rejection, carrier, tracking_number, currency, created_at, updated_at)
			VALUES ($1, $2, $3, 'REFUND_ONLY', false, $4, 1, 'DAMAGED', '', '{}', '', '', '', $5, $6, $6)`,
			uuid.New(), s.id, s.buyer, state, s.currency, s.created.Add(time.Duration(i)*time.Minute))
	}
}

// store writes samples and has the desk know them.
func (w *world) store(ctx context.Context, samples ...*sample) {
	GinkgoHelper()
	var b pgx.Batch
	var ids []uuid.UUID
	for _, s := range samples {
		s.queue(&b)
		ids = append(ids, s.id)
	}
	Expect(w.tx(ctx, func(tx *database.Tx) error { return tx.SendBatch(ctx, &b).Close() })).To(Succeed())
	w.follow(ctx, ids...)
	orders, err := order.Read(ctx, w.pool, ids)
	Expect(err).NotTo(HaveOccurred())
	for _, s := range samples {
		o := orders[s.id]
		s.fulfilment = orderv1.FulfilmentStatus_name[int32(o.GetFulfilmentStatus())]
		s.refund = orderv1.RefundStatus_name[int32(o.GetRefundStatus())]
	}
}

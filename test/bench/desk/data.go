package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/orderd-dev/orderd/orderd/kit/lease"
	"github.com/orderd-dev/orderd/orderd/kit/orderid"
)

// The shape of the data.
const (
	// buyers have some orders each.
	ordersPerBuyer = 20
	skus           = 5_000
	// perDay is how many orders a day has: that of a shop of a million a day.
	perDay = 1_000_000
	// chunk is how many orders are written at once.
	chunk = 50_000
)

// newest is when the last of all orders was placed, so that each run has the same data.
var newest = time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC)

// made is one order of the data set, by its number from 0: the same in each run.
type made struct {
	id                 uuid.UUID
	buyer, sku, state  string
	fulfilment, refund string
	at                 time.Time
	total              int64
	paid, shipped      *time.Time
	phone, recipient   string
	provider, channel  string
	promotion, tag     string
	transaction        string
	tracking           string
	hasNote            bool
	payment, parcel    uuid.UUID
}

// order makes the n-th order of a data set that has most in the end.
func order(n, most int64) made {
	r := rand.New(rand.NewPCG(uint64(n), 7))
	buyer := r.Int64N(max(1, most/ordersPerBuyer))
	at := newest.Add(-time.Duration(most-n) * (24 * time.Hour / perDay))
	m := made{
		id: clustered(buyer, at, r.Uint32()), buyer: fmt.Sprintf("buyer-%09d", buyer), at: at,
		sku: fmt.Sprintf("sku-%04d", r.IntN(skus)), total: 1000 + r.Int64N(100_000), state: "COMPLETED",
		fulfilment: "DELIVERED", refund: "NONE", phone: fmt.Sprintf("%08d", buyer%100_000_000),
		recipient: fmt.Sprintf("recipient %d", buyer), provider: pick(r, "wechatpay", "wechatpay", "alipay", "stripe"),
		channel: pick(r, "app", "app", "app", "web", "mini-program"), payment: random(r), parcel: random(r),
		transaction: fmt.Sprintf("t-%012d", n), tracking: fmt.Sprintf("p-%012d", n), hasNote: r.IntN(100) == 0,
	}
	if r.IntN(10) == 0 {
		m.promotion = fmt.Sprintf("sale-%d", n/perDay)
	}
	if r.IntN(200) == 0 {
		m.tag = pick(r, "vip", "gift", "check")
	}
	paid, shipped := at.Add(time.Minute), at.Add(time.Hour)
	m.paid, m.shipped = &paid, &shipped
	// The newest are still under way.
	switch left := most - n; {
	case r.IntN(20) == 0:
		m.state, m.fulfilment, m.paid, m.shipped = "CANCELLED", "UNFULFILLED", nil, nil
	case left < 3_000:
		m.state, m.fulfilment, m.paid, m.shipped = "PENDING_PAYMENT", "UNFULFILLED", nil, nil
	case left < 30_000:
		m.state, m.fulfilment, m.shipped = "PAID", "UNFULFILLED", nil
	case left < 90_000:
		m.state, m.fulfilment = "SHIPPED", "SHIPPED"
	case r.IntN(50) == 0:
		m.refund = "REFUNDED"
	}
	if m.paid == nil {
		m.provider, m.transaction = "", ""
	}
	if m.shipped == nil {
		m.tracking = ""
	}
	return m
}

func pick(r *rand.Rand, of ...string) string { return of[r.IntN(len(of))] }

func random(r *rand.Rand) uuid.UUID {
	var id uuid.UUID
	binary.BigEndian.PutUint64(id[:8], r.Uint64())
	binary.BigEndian.PutUint64(id[8:], r.Uint64())
	return id
}

// clustered is an id as orderid makes them: its buyer's lie together, in the order of time.
func clustered(buyer int64, at time.Time, low uint32) uuid.UUID {
	var id uuid.UUID
	ms := uint64(at.UnixMilli())
	binary.BigEndian.PutUint64(id[:8], uint64(buyer)*0x9e3779b97f4a7c15)
	binary.BigEndian.PutUint16(id[6:8], 0x8000|uint16(ms>>36&0x0fff))
	binary.BigEndian.PutUint64(id[8:], 1<<63|ms&(1<<36-1)<<26|uint64(low)&(1<<26-1))
	return id
}

// table is how one table is filled: rows of one order.
type table struct {
	name    string
	columns string
	rows    func(made) [][]any
}

var tables = []table{
	{"orders", "order_id buyer_id state version currency total promotion_uid promotion delivery_method bucket " +
		"created_at expires_at paid_at shipped_at payment_id channel", func(m made) [][]any {
		var payment *uuid.UUID
		if m.paid != nil {
			payment = &m.payment
		}
		return [][]any{{
			m.id, m.buyer, m.state, int64(4), "EUR", m.total, m.promotion, m.promotion, "parcel", lease.Bucket(m.id), m.at,
			m.at.Add(30 * time.Minute), m.paid, m.shipped, payment, m.channel,
		}}
	}},
	{"order_lines", "order_id line sku title quantity unit_price discount freight tax", func(m made) [][]any {
		return [][]any{{m.id, int64(1), m.sku, "SKU " + m.sku, int64(1), m.total, int64(0), int64(0), int64(0)}}
	}},
	{"order_history", "order_id version event from_state to_state actor reason at", func(m made) [][]any {
		var out [][]any
		for i, event := range []string{"place", "pay", "ship", "deliver"} {
			out = append(out, []any{m.id, int64(i + 1), event, "", m.state, "buyer", "", m.at})
		}
		return out
	}},
	{"payments", "payment_id order_id buyer_id provider method reference state version amount currency redirect_url " +
		"transaction_id bucket created_at expires_at succeeded_at", func(m made) [][]any {
		if m.paid == nil {
			return nil
		}
		return [][]any{{
			m.payment, m.id, m.buyer, m.provider, "native", m.transaction, "SUCCEEDED", int64(2), m.total, "EUR", "",
			m.transaction, lease.Bucket(m.payment), m.at, m.at.Add(time.Hour), m.paid,
		}}
	}},
	{"shipments", "shipment_id order_id buyer_id source carrier tracking_number state version exception address " +
		"delivery_method bucket work due_at attempts events created_at shipped_at", func(m made) [][]any {
		if m.shipped == nil {
			return nil
		}
		return [][]any{{
			m.parcel, m.id, m.buyer, "order", "express", m.tracking, "DELIVERED", int64(3), "", "{}", "parcel",
			lease.Bucket(m.parcel), "", m.at, int64(0), int64(0), m.at, m.shipped,
		}}
	}},
	{"desk_orders", "order_id number buyer_id state fulfilment refund created_at paid_at currency total phone recipient " +
		"promotion provider method channel has_note version made", func(m made) [][]any {
		method := ""
		if m.provider != "" {
			method = "native"
		}
		return [][]any{{
			m.id, orderid.Number(m.id), m.buyer, m.state, m.fulfilment, m.refund, m.at, m.paid, "EUR", m.total, m.phone,
			m.recipient, m.promotion, m.provider, method, m.channel, m.hasNote, int64(4), 1,
		}}
	}},
	{"desk_terms", "order_id kind term created_at", func(m made) [][]any {
		var out [][]any
		for _, t := range [][2]string{
			{"sku", m.sku}, {"transaction", m.transaction}, {"tracking", m.tracking}, {"tag", m.tag},
		} {
			if t[1] != "" {
				out = append(out, []any{m.id, t[0], t[1], m.at})
			}
		}
		return out
	}},
}

// fill brings a database to the first upTo orders of the data set. It goes on where another run ended.
func fill(ctx context.Context, pool *pgxpool.Pool, upTo, most int64) error {
	const counter = "CREATE TABLE IF NOT EXISTS bench_filled (most bigint PRIMARY KEY, orders bigint NOT NULL)"
	if _, err := pool.Exec(ctx, counter); err != nil {
		return err
	}
	have := int64(0)
	err := pool.QueryRow(ctx, "SELECT orders FROM bench_filled WHERE most = $1", most).Scan(&have)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return err
	}
	began := time.Now()
	for first := have; first < upTo; first += chunk {
		last := min(first+chunk, upTo)
		if err := write(ctx, pool, first, last, most); err != nil {
			return err
		}
		if last%(20*chunk) == 0 || last == upTo {
			fmt.Printf("%d of %d orders are there after %s\n", last, upTo, time.Since(began).Round(time.Second))
		}
	}
	if have < upTo {
		_, err = pool.Exec(ctx, "VACUUM ANALYZE")
	}
	return err
}

// write a chunk in one transaction.
func write(ctx context.Context, pool *pgxpool.Pool, first, last, most int64) error {
	return pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
		for _, t := range tables {
			var rows [][]any
			for n := first; n < last; n++ {
				rows = append(rows, t.rows(order(n, most))...)
			}
			columns := strings.Fields(t.columns)
			if _, err := tx.CopyFrom(ctx, pgx.Identifier{t.name}, columns, pgx.CopyFromRows(rows)); err != nil {
				return fmt.Errorf("filling %s: %w", t.name, err)
			}
		}
		_, err := tx.Exec(ctx, `INSERT INTO bench_filled VALUES ($1, $2)
			ON CONFLICT (most) DO UPDATE SET orders = excluded.orders`, most, last)
		return err
	})
}

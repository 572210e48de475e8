package payment_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"pgregory.net/rapid"

	orderv1 "github.com/orderd-dev/orderd/api/gen/orderd/order/v1"
	paymentv1 "github.com/orderd-dev/orderd/api/gen/orderd/payment/v1"
	"github.com/orderd-dev/orderd/orderd/shop/payment"
	"github.com/orderd-dev/orderd/orderd/shop/stock"
)

// journey is a day of random buyers at a provider that loses every third call, on the way there or
// back, and refuses some.
type journey struct {
	*shop
	orders   []*orderv1.Order
	requests []*paymentv1.CreatePaymentRequest
	pages    []string
}

// Whatever the buyers and the provider do, in the end the money that the provider keeps is that of
// the orders that are PAID, to the minor unit, nothing is left open, and the statement agrees.
func TestMoneyIsKeptForPaidOrdersAndNothingElse(t *testing.T) {
	s := newShop(t)
	s.sell(10_000)
	rapid.Check(t, func(t *rapid.T) {
		s.tb = t
		j := &journey{shop: s}
		noise := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "noise"), 1))
		j.misbehave(noise)
		for range rapid.IntRange(5, 40).Draw(t, "steps") {
			j.step(t)
		}
		j.settleDown()
		j.audit(t)
	})
}

// misbehave has calls fail. The provider is called by several goroutines at once.
func (j *journey) misbehave(noise *rand.Rand) {
	var mu sync.Mutex
	verdict := func() int {
		mu.Lock()
		defer mu.Unlock()
		return noise.IntN(12)
	}
	j.faults.set(func(call string) error {
		switch n := verdict(); {
		case n < 2:
			return errLost
		case n == 2 && call == "refund":
			return &payment.RefusedError{Reason: "NOT_ENOUGH"}
		}
		return nil
	}, func(string) error {
		if verdict() < 2 {
			return errLost
		}
		return nil
	})
}

func (j *journey) step(t *rapid.T) {
	ctx := context.Background()
	action := rapid.SampledFrom([]string{
		"place", "charge", "charge", "again", "pay", "pay", "cancel", "expire", "poll", "refund", "wait", "lose",
	}).Draw(t, "action")
	pick := rapid.IntRange(0, 1<<20).Draw(t, "pick")
	switch action {
	case "place":
		j.orders = append(j.orders, j.place(fmt.Sprintf("b%d", pick%3), int64(pick%4)+1))
	case "charge":
		if len(j.orders) > 0 {
			req := j.request(j.orders[pick%len(j.orders)])
			j.requests = append(j.requests, req)
			j.create(ctx, req)
		}
	case "again":
		if len(j.requests) > 0 {
			j.create(ctx, j.requests[pick%len(j.requests)])
		}
	case "pay":
		if len(j.pages) > 0 {
			j.pay(j.pages[pick%len(j.pages)])
		}
	case "cancel":
		if len(j.orders) > 0 {
			j.cancel(j.orders[pick%len(j.orders)])
		}
	case "expire":
		j.expire(ctx)
	case "poll":
		j.poll()
	case "refund":
		j.refund()
	case "wait":
		j.clock.advance(time.Duration(pick%40) * time.Minute)
	case "lose":
		j.lost.Store(pick%2 == 0)
	}
}

// create may fail in every way; what it answers is a page to pay on.
func (j *journey) create(ctx context.Context, req *paymentv1.CreatePaymentRequest) {
	answer, err := j.service.CreatePayment(ctx, req)
	if err == nil && answer.GetRedirectUrl() != "" {
		j.pages = append(j.pages, answer.GetRedirectUrl())
	}
}

func (j *journey) expire(ctx context.Context) {
	var ids []uuid.UUID
	for _, o := range j.orders {
		ids = append(ids, uuid.MustParse(o.GetOrderId()))
	}
	j.must(j.store.Expire(ctx, ids, j.clock.now()))
}

// settleDown lets the provider behave, and the workers do all they have to.
func (j *journey) settleDown() {
	j.lost.Store(false)
	j.faults.set(nil, nil)
	for range 30 {
		j.clock.advance(4 * time.Hour)
		j.expire(context.Background())
		j.poll()
		j.refund()
	}
}

func (j *journey) audit(t *rapid.T) {
	ctx := context.Background()
	for _, o := range j.orders {
		var kept int64
		j.must(j.pool.QueryRow(ctx, `SELECT coalesce(sum(CASE
				WHEN x.state = 'PAID' THEN x.amount WHEN x.state = 'REFUNDED' THEN -x.amount ELSE 0 END), 0)::bigint
			FROM sandbox_transactions AS x JOIN payments AS p ON p.payment_id = x.payment_id
			WHERE p.order_id = $1`, o.GetOrderId()).Scan(&kept))
		now, want := j.order(o), int64(0)
		switch now.GetState() {
		case paid:
			want = now.GetTotal().GetAmount()
		case cancelled:
		default:
			t.Fatalf("order %s is %s in the end", o.GetOrderId(), now.GetState())
		}
		if kept != want {
			t.Fatalf("the provider keeps %d of order %s, which is %s and of %d",
				kept, o.GetOrderId(), now.GetState(), now.GetTotal().GetAmount())
		}
	}
	for table, open := range map[string]string{
		"payments": "state IN ('CREATED', 'PENDING') OR next_query_at IS NOT NULL",
		"refunds":  "state <> 'SUCCEEDED' OR next_attempt_at IS NOT NULL",
	} {
		if n := j.count(table, open); n != 0 {
			t.Fatalf("%d %s are open in the end", n, table)
		}
	}
	var sold int64
	j.must(j.pool.QueryRow(ctx, `SELECT coalesce(sum(l.quantity), 0)::bigint
		FROM order_lines AS l JOIN orders AS o ON o.order_id = l.order_id WHERE o.state = 'PAID'`).Scan(&sold))
	levels, err := stock.Get(ctx, j.pool, "tea")
	j.must(err)
	if want := (stock.Levels{Available: 10_000 - sold, Deducted: sold}); levels != want {
		t.Fatalf("stock is %+v, want %+v", levels, want)
	}
	j.must(j.days.Round(ctx))
	// What the provider had first, and we learned of later, is a difference of that day; nothing
	// else may be.
	if n := j.count("reconciliation_differences", "kind <> 'STATE_DIFFERS'"); n != 0 {
		t.Fatalf("%d differences to the statements", n)
	}
}

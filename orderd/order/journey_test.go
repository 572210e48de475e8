package order_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	mathrand "math/rand/v2"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"pgregory.net/rapid"

	orderv1 "github.com/orderd-dev/orderd/api/gen/orderd/order/v1"
	"github.com/orderd-dev/orderd/orderd/database"
	"github.com/orderd-dev/orderd/orderd/order"
	"github.com/orderd-dev/orderd/orderd/orderid"
	"github.com/orderd-dev/orderd/orderd/quote"
	"github.com/orderd-dev/orderd/orderd/rpcerr"
	"github.com/orderd-dev/orderd/orderd/stock"
	"github.com/orderd-dev/orderd/test/testdb"
)

const journeyTimeout = 30 * time.Minute

// refunds keeps granted refunds in a table of its own, as payment does.
type refunds struct{}

const createRefunds = `CREATE TABLE wishes (order_id uuid, key text, payment_id uuid, amount bigint, PRIMARY KEY (order_id, key))`

// InsertRefund is order.Refunder's.
func (refunds) InsertRefund(ctx context.Context, tx pgx.Tx, w order.RefundWish) error {
	_, err := tx.Exec(ctx, "INSERT INTO wishes (order_id, key, payment_id, amount) VALUES ($1, $2, $3, $4) ON CONFLICT (order_id, key) DO NOTHING", w.OrderID, w.Key, w.PaymentID, w.Amount)
	return err
}

// shop is what the journeys have in common.
type shop struct {
	pool    *pgxpool.Pool
	store   *order.Store
	service *order.Service
	tokens  *quote.Tokens
	now     time.Time
	shops   int
}

func newShop(t testing.TB) *shop {
	t.Helper()
	s := &shop{pool: testdb.NewPool(t), now: time.UnixMilli(1_800_000_000_000)}
	clock := func() time.Time { return s.now }
	if _, err := s.pool.Exec(context.Background(), createRefunds); err != nil {
		t.Fatal(err)
	}
	var err error
	if s.store, err = order.NewStore(order.Options{Pool: s.pool, Clock: clock, Logger: slog.New(slog.DiscardHandler), Refunder: refunds{}}); err != nil {
		t.Fatal(err)
	}
	if s.tokens, err = quote.NewTokens([]byte("0123456789abcdef"), journeyTimeout); err != nil {
		t.Fatal(err)
	}
	s.service = s.pod(t, 0)
	return s
}

// pod is one more process that places orders in the shop, so many in a transaction.
func (s *shop) pod(t testing.TB, batch int) *order.Service {
	t.Helper()
	clock := func() time.Time { return s.now }
	ids, err := orderid.NewGenerator([]byte("0123456789abcdef"), clock, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	store, err := order.NewStore(order.Options{Pool: s.pool, Clock: clock, Logger: slog.New(slog.DiscardHandler), Refunder: refunds{}})
	if err != nil {
		t.Fatal(err)
	}
	return order.NewService(order.ServiceOptions{
		Store: store, IDs: ids, Tokens: s.tokens, PaymentTimeout: journeyTimeout, MaxBatch: batch, Random: mathrand.New(mathrand.NewPCG(1, 2)),
	})
}

func (s *shop) tx(fn func(context.Context, pgx.Tx) error) error {
	ctx := context.Background()
	return database.ExecuteTx(ctx, s.pool, func(tx pgx.Tx) error { return fn(ctx, tx) })
}

func (s *shop) stocked(sku string, quantity int64) error {
	return s.tx(func(ctx context.Context, tx pgx.Tx) error {
		_, err := tx.Exec(ctx, "INSERT INTO skus (sku, title, unit_price, currency, on_sale, updated_at) VALUES ($1, $1, 100, 'CNY', true, now())", sku)
		if err != nil {
			return err
		}
		if err := stock.Create(ctx, tx, sku); err != nil {
			return err
		}
		return stock.Apply(ctx, tx, []stock.Movement{stock.Add("stocked", stock.Quantity{SKU: sku, Quantity: quantity})})
	})
}

// model is what a journey expects: it predicts every answer.
type model struct {
	levels map[string]stock.Levels
	orders []*placed
}

type placed struct {
	id    string
	buyer string
	lines map[string]int64
	state orderv1.OrderState
	// paid stays when a paid order is cancelled.
	paid bool
}

func (m *model) fits(lines map[string]int64) bool {
	for sku, q := range lines {
		if m.levels[sku].Available < q {
			return false
		}
	}
	return true
}

func (m *model) move(lines map[string]int64, available, reserved, deducted int64) {
	for sku, q := range lines {
		l := m.levels[sku]
		m.levels[sku] = stock.Levels{Available: l.Available + available*q, Reserved: l.Reserved + reserved*q, Deducted: l.Deducted + deducted*q}
	}
}

const (
	unpaid    = orderv1.OrderState_ORDER_STATE_PENDING_PAYMENT
	paid      = orderv1.OrderState_ORDER_STATE_PAID
	cancelled = orderv1.OrderState_ORDER_STATE_CANCELLED
)

// Whatever buyers do in whatever order, every answer is the predicted one, stock is what the model says, and the
// movements sum to it.
func TestJourneysKeepStockRight(t *testing.T) {
	s := newShop(t)
	rapid.Check(t, func(t *rapid.T) {
		s.shops++
		skus := []string{fmt.Sprintf("a%d", s.shops), fmt.Sprintf("b%d", s.shops)}
		m := &model{levels: map[string]stock.Levels{}}
		for _, sku := range skus {
			q := rapid.Int64Range(1, 6).Draw(t, "stock")
			if err := s.stocked(sku, q); err != nil {
				t.Fatal(err)
			}
			m.levels[sku] = stock.Levels{Available: q}
		}
		pick := func(t *rapid.T) *placed {
			if len(m.orders) == 0 {
				t.Skip("no order yet")
			}
			return rapid.SampledFrom(m.orders).Draw(t, "order")
		}
		t.Repeat(map[string]func(*rapid.T){
			"place":  func(t *rapid.T) { s.place(t, m, skus) },
			"cancel": func(t *rapid.T) { s.cancel(t, m, pick(t)) },
			"pay":    func(t *rapid.T) { s.pay(t, m, pick(t), pick(t)) },
			"expire": func(t *rapid.T) { s.expire(t, m, pick(t)) },
			"":       func(t *rapid.T) { s.check(t, m, skus) },
		})
	})
}

func (s *shop) place(t *rapid.T, m *model, skus []string) {
	lines := map[string]int64{}
	var asked []*orderv1.PlaceOrderLine
	for _, sku := range rapid.Permutation(skus).Draw(t, "skus")[:rapid.IntRange(1, len(skus)).Draw(t, "lines")] {
		lines[sku] = rapid.Int64Range(1, 3).Draw(t, "quantity")
		asked = append(asked, &orderv1.PlaceOrderLine{Sku: sku, Quantity: lines[sku]})
	}
	buyer := rapid.SampledFrom([]string{"ann", "bob"}).Draw(t, "buyer")
	req := &orderv1.PlaceOrderRequest{RequestId: uuid.NewString(), BuyerId: buyer, Lines: asked}
	answer, err := s.service.PlaceOrder(context.Background(), req)
	if !m.fits(lines) {
		if rpcerr.Reason(err) != "INSUFFICIENT_STOCK" {
			t.Fatalf("placing %v: %v, want INSUFFICIENT_STOCK", lines, err)
		}
		return
	}
	if err != nil {
		t.Fatalf("placing %v: %v", lines, err)
	}
	again, err := s.service.PlaceOrder(context.Background(), req)
	if err != nil || again.GetOrder().GetOrderId() != answer.GetOrder().GetOrderId() {
		t.Fatalf("again: %v, %v; want %v", again, err, answer)
	}
	m.move(lines, -1, 1, 0)
	m.orders = append(m.orders, &placed{id: answer.GetOrder().GetOrderId(), buyer: buyer, lines: lines, state: unpaid})
}

func (s *shop) cancel(t *rapid.T, m *model, o *placed) {
	_, err := s.service.CancelOrder(context.Background(), &orderv1.CancelOrderRequest{RequestId: uuid.NewString(), BuyerId: o.buyer, OrderId: o.id})
	if err != nil {
		t.Fatal(err)
	}
	if o.state == paid {
		m.move(o.lines, 1, 0, -1)
		o.state = cancelled
		return
	}
	m.cancelled(o)
}

func (m *model) cancelled(o *placed) {
	if o.state == unpaid {
		m.move(o.lines, 1, -1, 0)
		o.state = cancelled
	}
}

// pay pays two orders, perhaps the same, in one transaction.
func (s *shop) pay(t *rapid.T, m *model, orders ...*placed) {
	var payments []order.Payment
	var want []order.PaymentOutcome
	for _, o := range orders {
		payments = append(payments, order.Payment{OrderID: uuid.MustParse(o.id), PaymentID: uuid.New(), Actor: "test"})
		switch {
		case o.paid:
			want = append(want, order.AlreadyPaid)
		case o.state == cancelled && !m.fits(o.lines):
			want = append(want, order.StockGone)
		case o.state == cancelled:
			m.move(o.lines, -1, 0, 1)
			o.state, o.paid = paid, true
			want = append(want, order.Applied)
		default:
			m.move(o.lines, 0, -1, 1)
			o.state, o.paid = paid, true
			want = append(want, order.Applied)
		}
	}
	var got []order.PaymentOutcome
	err := s.tx(func(ctx context.Context, tx pgx.Tx) error {
		var err error
		got, _, err = s.store.MarkPaid(ctx, tx, s.now, payments)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatal(diff)
	}
}

func (s *shop) expire(t *rapid.T, m *model, o *placed) {
	if err := s.store.Expire(context.Background(), []uuid.UUID{uuid.MustParse(o.id)}, s.now); err != nil {
		t.Fatal(err)
	}
	// Not yet due, whatever its state: nothing happens.
	s.check(t, m, nil)
	if err := s.store.Expire(context.Background(), []uuid.UUID{uuid.MustParse(o.id)}, s.now.Add(journeyTimeout)); err != nil {
		t.Fatal(err)
	}
	m.cancelled(o)
}

func (s *shop) check(t *rapid.T, m *model, skus []string) {
	ctx := context.Background()
	for _, o := range m.orders {
		got, err := s.store.Get(ctx, o.buyer, uuid.MustParse(o.id))
		if err != nil {
			t.Fatal(err)
		}
		if "ORDER_STATE_"+string(got.State) != o.state.String() {
			t.Fatalf("order %s is %s, want %s", o.id, got.State, o.state)
		}
	}
	for _, sku := range skus {
		got, err := stock.Get(ctx, s.pool, sku)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(m.levels[sku], got); diff != "" {
			t.Fatalf("stock of %s: (-want +got)\n%s", sku, diff)
		}
		var sums stock.Levels
		err = s.pool.QueryRow(ctx, "SELECT sum(available)::bigint, sum(reserved)::bigint, sum(deducted)::bigint FROM stock_movements WHERE sku = $1", sku).
			Scan(&sums.Available, &sums.Reserved, &sums.Deducted)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(got, sums); diff != "" {
			t.Fatalf("movements of %s: (-stock +sums)\n%s", sku, diff)
		}
	}
}

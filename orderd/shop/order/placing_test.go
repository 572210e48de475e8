package order_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"connectrpc.com/connect/v2"
	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"

	orderv1 "github.com/orderd-dev/orderd/api/gen/orderd/order/v1"
	quotev1 "github.com/orderd-dev/orderd/api/gen/orderd/quote/v1"
	"github.com/orderd-dev/orderd/orderd/kit/database"
	"github.com/orderd-dev/orderd/orderd/kit/rpcerr"
	"github.com/orderd-dev/orderd/orderd/shop/order"
	"github.com/orderd-dev/orderd/orderd/shop/quote"
	"github.com/orderd-dev/orderd/orderd/shop/stock"
)

func line(sku string, quantity int64) *orderv1.PlaceOrderLine {
	return &orderv1.PlaceOrderLine{Sku: sku, Quantity: quantity}
}

// order is an order of Ann's.
func (s *shop) order(t testing.TB, lines ...*orderv1.PlaceOrderLine) *orderv1.Order {
	t.Helper()
	answer, err := s.service.PlaceOrder(context.Background(),
		&orderv1.PlaceOrderRequest{RequestId: uuid.NewString(), BuyerId: "ann", Lines: lines})
	if err != nil {
		t.Fatal(err)
	}
	return answer.GetOrder()
}

func (s *shop) reprice(t testing.TB, sku string, price int64) {
	t.Helper()
	if _, err := s.pool.Exec(context.Background(), "UPDATE skus SET unit_price = $2 WHERE sku = $1", sku,
		price); err != nil {
		t.Fatal(err)
	}
}

func (s *shop) count(t testing.TB, table string) int {
	t.Helper()
	var n int
	if err := s.pool.QueryRow(context.Background(), "SELECT count(*) FROM "+table).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// Two pods' buyers want a hot SKU, spread over buckets, together with others that there is enough
// of. Who gets none does not keep others from their orders, and nothing is oversold or left unsold.
func TestHotSKU(t *testing.T) {
	s := newShop(t)
	const stocked, buyers = 40, 160
	for sku, units := range map[string]int64{"hot": stocked, "tea": 1000} {
		if err := s.stocked(sku, units); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.tx(
		func(ctx context.Context, tx *database.Tx) error { return stock.Spread(ctx, tx, "s", "hot", 8) },
	); err != nil {
		t.Fatal(err)
	}
	pods := []*order.Service{s.service, s.pod(t, 7), s.pod(t, 1)}
	var mu sync.Mutex
	var wg sync.WaitGroup
	outcomes := map[string]int{}
	for i := range buyers {
		wg.Go(func() {
			lines := []*orderv1.PlaceOrderLine{line("tea", 1)}
			if i%2 == 0 {
				lines = append(lines, line("hot", 1))
			}
			_, err := pods[i%len(pods)].PlaceOrder(context.Background(),
				&orderv1.PlaceOrderRequest{RequestId: "r", BuyerId: fmt.Sprintf("b%d", i), Lines: lines})
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err == nil:
				outcomes[fmt.Sprint("placed ", len(lines))]++
			case rpcerr.Reason(err) == "INSUFFICIENT_STOCK" && len(lines) == 2:
				outcomes["refused"]++
			default:
				t.Errorf("order %d: %v", i, err)
			}
		})
	}
	wg.Wait()
	if outcomes["placed 1"] != buyers/2 || outcomes["placed 2"] != stocked || outcomes["refused"] != buyers/2-stocked {
		t.Errorf("%v", outcomes)
	}
	for sku, want := range map[string]stock.Levels{
		"hot": {Reserved: stocked}, "tea": {Available: 1000 - buyers/2 - stocked, Reserved: buyers/2 + stocked},
	} {
		if got, err := stock.Get(context.Background(), s.pool, sku); err != nil || got != want {
			t.Errorf("%s: %+v, %v", sku, got, err)
		}
	}
	for table, want := range map[string]int{
		"orders": buyers/2 + stocked, "requests": buyers/2 + stocked, "order_lines": buyers/2 + 2*stocked,
		"outbox": buyers/2 + stocked,
	} {
		if got := s.count(t, table); got != want {
			t.Errorf("%d %s, want %d", got, table, want)
		}
	}
}

func TestShortageSaysWhatIsLeft(t *testing.T) {
	s := newShop(t)
	for sku, units := range map[string]int64{"cup": 2, "pot": 0, "tea": 9} {
		if err := s.stocked(sku, units); units > 0 && err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.pool.Exec(
		context.Background(),
		"INSERT INTO skus (sku, title, unit_price, currency, on_sale, updated_at) VALUES ('new', 'new', 1, 'CNY', true, now())",
	); err != nil {
		t.Fatal(err)
	}
	_, err := s.service.PlaceOrder(context.Background(), &orderv1.PlaceOrderRequest{
		RequestId: "r", BuyerId: "ann", Lines: []*orderv1.PlaceOrderLine{line("tea", 9), line("cup", 3), line("new", 1)},
	})
	if connect.CodeOf(err) != connect.CodeResourceExhausted || rpcerr.Reason(err) != "INSUFFICIENT_STOCK" {
		t.Fatal(err)
	}
	got, ok := rpcerr.Detail[*orderv1.StockShortage](err)
	want := &orderv1.StockShortage{Lines: []*orderv1.ShortLine{{Sku: "cup", Wanted: 3, Left: 2}, {Sku: "new", Wanted: 1}}}
	if !ok || !proto.Equal(got, want) {
		t.Errorf("%v", got)
	}
	if n := s.count(t, "requests"); n != 0 {
		t.Errorf("%d request ids are taken", n)
	}
}

func TestPlacingAQuote(t *testing.T) {
	s := newShop(t)
	ctx := context.Background()
	if err := s.stocked("tea", 9); err != nil {
		t.Fatal(err)
	}
	in := quote.Input{BuyerID: "ann", Lines: []quote.Line{{SKU: "tea", Quantity: 2}}}
	facts, err := quote.Load(ctx, s.pool, []quote.Input{in})
	if err != nil {
		t.Fatal(err)
	}
	q, err := facts.Compute(in, s.now)
	if err != nil {
		t.Fatal(err)
	}
	token, _, err := s.tokens.Sign(in, q, s.now)
	if err != nil {
		t.Fatal(err)
	}
	place := func(id, buyer, token string) (*orderv1.PlaceOrderResponse, error) {
		return s.service.PlaceOrder(ctx, &orderv1.PlaceOrderRequest{RequestId: id, BuyerId: buyer, QuoteToken: token})
	}
	first, err := place("r1", "ann", token)
	if err != nil || first.GetOrder().GetTotal().GetAmount() != 200 {
		t.Fatalf("%v, %v", first, err)
	}
	if _, err := place("r1", "bob", token); rpcerr.Reason(err) != "QUOTE_INVALID" {
		t.Errorf("another buyer's: %v", err)
	}
	s.reprice(t, "tea", 150)
	_, err = place("r2", "ann", token)
	renewed, ok := rpcerr.Detail[*quotev1.Quote](err)
	if rpcerr.Reason(err) != "PRICE_CHANGED" || !ok || renewed.GetTotal().GetAmount() != 300 {
		t.Fatalf("after the price has changed: %v, %v", err, renewed)
	}
	if second, err := place("r2", "ann", renewed.GetToken()); err != nil ||
		second.GetOrder().GetTotal().GetAmount() != 300 {
		t.Errorf("the new quote: %v, %v", second, err)
	}
	s.now = s.now.Add(2 * journeyTimeout)
	if _, err := place("r3", "ann", renewed.GetToken()); rpcerr.Reason(err) != "QUOTE_EXPIRED" {
		t.Errorf("after its time: %v", err)
	}
	if again, err := place("r1", "ann", token); err != nil || !proto.Equal(again, first) {
		t.Errorf("the first request again: %v, %v", again, err)
	}
}

// The same request id many times at once, with the same body and with another, is one order, and
// the other bodies are refused.
func TestOneRequestIDAtOnce(t *testing.T) {
	s := newShop(t)
	if err := s.stocked("tea", 100); err != nil {
		t.Fatal(err)
	}
	pods := []*order.Service{s.service, s.pod(t, 0)}
	for round := range 5 {
		var wg sync.WaitGroup
		var mu sync.Mutex
		ids := map[int64]map[string]bool{1: {}, 2: {}}
		reused := map[int64]int{}
		for i := range 20 {
			wg.Go(func() {
				q := int64(1 + i%2)
				answer, err := pods[i/2%2].PlaceOrder(context.Background(), &orderv1.PlaceOrderRequest{
					RequestId: fmt.Sprint("r", round), BuyerId: "ann", Lines: []*orderv1.PlaceOrderLine{line("tea", q)},
				})
				mu.Lock()
				defer mu.Unlock()
				switch {
				case err == nil:
					ids[q][answer.GetOrder().GetOrderId()] = true
				case rpcerr.Reason(err) == "REQUEST_ID_REUSED":
					reused[q]++
				default:
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if len(ids[1])+len(ids[2]) != 1 || reused[1]+reused[2] != 10 {
			t.Errorf("orders %v, refused %v", ids, reused)
		}
	}
	if n := s.count(t, "orders"); n != 5 {
		t.Errorf("%d orders, want 5", n)
	}
}

// granted is what is granted of an order in a transaction of its own.
func (s *shop) granted(g order.Grant) (granted order.Granted, err error) {
	err = s.tx(func(ctx context.Context, tx *database.Tx) error {
		granted, err = s.store.GrantRefund(ctx, tx, s.now, g)
		return err
	})
	return granted, err
}

// Ten refunds at once for the same units: no more is granted than was paid.
func TestRefundsAtOnce(t *testing.T) {
	s := newShop(t)
	if err := s.stocked("tea", 9); err != nil {
		t.Fatal(err)
	}
	o := s.order(t, line("tea", 7))
	id := uuid.MustParse(o.GetOrderId())
	s.paid(t, id)
	var wg sync.WaitGroup
	var mu sync.Mutex
	var sum int64
	granted := 0
	for i := range 10 {
		wg.Go(func() {
			g, err := s.granted(order.Grant{
				OrderID: id,
				Key:     fmt.Sprint("k", i),
				Lines:   []order.LineQuantity{{Line: 1, Quantity: 2}},
				Reason:  "test",
				Actor:   "test",
				Restock: true,
			})
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err == nil:
				granted, sum = granted+1, sum+g.Amount
			case !errors.Is(err, order.ErrRefundExceeds):
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if granted != 3 || sum != 600 {
		t.Errorf("%d grants of %d", granted, sum)
	}
	for range 2 {
		g, err := s.granted(order.Grant{
			OrderID: id,
			Key:     "last",
			Lines:   []order.LineQuantity{{Line: 1, Quantity: 1}},
			Reason:  "test",
			Actor:   "test",
		})
		if err != nil {
			t.Fatal(err)
		}
		if g.Amount != 100 {
			t.Errorf("%+v", g)
		}
	}
	var wishes int64
	if err := s.pool.QueryRow(context.Background(), "SELECT sum(amount)::bigint FROM wishes").Scan(&wishes); err != nil ||
		wishes != 700 {
		t.Errorf("refunds of %d, %v", wishes, err)
	}
	got, err := s.store.Get(context.Background(), "ann", id)
	if err != nil || got.State != order.Cancelled || got.CancelReason != "REFUNDED" {
		t.Errorf("%+v, %v", got, err)
	}
	if levels, err := stock.Get(context.Background(), s.pool, "tea"); err != nil ||
		levels != (stock.Levels{Available: 8, Deducted: 1}) {
		t.Errorf("%+v, %v", levels, err)
	}
}

func (s *shop) paid(t testing.TB, id uuid.UUID) {
	t.Helper()
	err := s.tx(func(ctx context.Context, tx *database.Tx) error {
		outcomes, err := s.store.MarkPaid(ctx, tx, s.now,
			[]order.Payment{{OrderID: id, PaymentID: uuid.New(), Actor: "test"}})
		if err == nil && outcomes[0] != order.Applied {
			err = fmt.Errorf("payment: %s", outcomes[0])
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

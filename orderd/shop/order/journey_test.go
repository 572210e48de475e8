package order_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"connectrpc.com/connect/v2"
	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"pgregory.net/rapid"

	orderv1 "github.com/orderd-dev/orderd/api/gen/orderd/order/v1"
	quotev1 "github.com/orderd-dev/orderd/api/gen/orderd/quote/v1"
	"github.com/orderd-dev/orderd/orderd/kit/database"
	"github.com/orderd-dev/orderd/orderd/kit/lifecycle"
	"github.com/orderd-dev/orderd/orderd/kit/rpcerr"
	"github.com/orderd-dev/orderd/orderd/shop/order"
	"github.com/orderd-dev/orderd/orderd/shop/stock"
)

// Whatever buyers, payments, parcels and refunds do in whatever order, every answer is the
// predicted one, stock is what the model says, the movements sum to it, and what was paid is what
// is kept and what went back.
func TestJourneysKeepStockAndMoneyRight(t *testing.T) {
	s := newShop(t)
	rapid.Check(t, func(t *rapid.T) {
		s.shops++
		skus := []string{fmt.Sprintf("a%d", s.shops), fmt.Sprintf("b%d", s.shops)}
		m := &model{levels: map[string]stock.Levels{}}
		for _, sku := range skus {
			q := rapid.Int64Range(1, 8).Draw(t, "stock")
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
			"place":   func(t *rapid.T) { s.place(t, m, skus) },
			"cancel":  func(t *rapid.T) { s.cancel(t, m, pick(t)) },
			"pay":     func(t *rapid.T) { s.pay(t, m, pick(t), pick(t)) },
			"expire":  func(t *rapid.T) { s.expire(t, m, pick(t)) },
			"ship":    func(t *rapid.T) { s.ship(t, pick(t)) },
			"deliver": func(t *rapid.T) { s.deliver(t, pick(t)) },
			"refund":  func(t *rapid.T) { s.refund(t, m, pick(t)) },
			"repay":   func(t *rapid.T) { s.repay(t, pick(t)) },
			"confirm": func(t *rapid.T) { s.confirm(t, pick(t)) },
			"":        func(t *rapid.T) { s.check(t, m, skus) },
		})
	})
}

func (s *shop) place(t *rapid.T, m *model, skus []string) {
	var lines []*units
	var asked []*orderv1.PlaceOrderLine
	for _, sku := range rapid.Permutation(skus).Draw(t, "skus")[:rapid.IntRange(1, len(skus)).Draw(t, "lines")] {
		u := &units{sku: sku, quantity: rapid.Int64Range(1, 3).Draw(t, "quantity")}
		lines = append(lines, u)
		asked = append(asked, line(sku, u.quantity))
	}
	buyer := rapid.SampledFrom([]string{"ann", "bob"}).Draw(t, "buyer")
	req := &orderv1.PlaceOrderRequest{
		RequestId: uuid.NewString(),
		BuyerId:   buyer,
		Lines:     asked,
		Delivery:  &quotev1.Delivery{Address: home("Yunnan")},
	}
	answer, err := s.service.PlaceOrder(context.Background(), req)
	if !m.fits(lines) {
		if rpcerr.Reason(err) != "INSUFFICIENT_STOCK" {
			t.Fatalf("placing %v: %v, want INSUFFICIENT_STOCK", asked, err)
		}
		return
	}
	if err != nil {
		t.Fatalf("placing %v: %v", asked, err)
	}
	again, err := s.service.PlaceOrder(context.Background(), req)
	if err != nil || again.GetOrder().GetOrderId() != answer.GetOrder().GetOrderId() {
		t.Fatalf("again: %v, %v; want %v", again, err, answer)
	}
	m.move(lines, -1, 1, 0)
	o := &placed{
		id:     answer.GetOrder().GetOrderId(),
		buyer:  buyer,
		units:  lines,
		state:  unpaid,
		total:  answer.GetOrder().GetTotal().GetAmount(),
		grants: map[string]int64{},
	}
	var sum int64
	for i, l := range answer.GetOrder().GetLines() {
		lines[i].total = l.GetTotal().GetAmount()
		sum += lines[i].total
	}
	pieces := o.sum(func(u *units) int64 { return u.quantity })
	if o.total != sum || o.total != 100*pieces+7+3*(pieces-1) {
		t.Fatalf("%d pieces cost %d, and the lines %d", pieces, o.total, sum)
	}
	m.orders = append(m.orders, o)
}

func (s *shop) cancel(t *rapid.T, m *model, o *placed) {
	_, err := s.service.CancelOrder(context.Background(),
		&orderv1.CancelOrderRequest{RequestId: uuid.NewString(), BuyerId: o.buyer, OrderId: o.id})
	switch o.state {
	case unpaid:
		m.move(o.units, 1, -1, 0)
		o.state = cancelled
	case paid:
		var rest []order.LineQuantity
		for i, u := range o.units {
			if q := u.quantity - u.returned; q > 0 {
				rest = append(rest, order.LineQuantity{Line: int64(i + 1), Quantity: q})
			}
		}
		o.grants["cancel"] = o.grant(m, rest, false, true)
		o.state = cancelled
	case cancelled:
	default:
		if connect.CodeOf(err) != connect.CodeFailedPrecondition {
			t.Fatalf("cancelling a shipped order: %v", err)
		}
		return
	}
	if err != nil {
		t.Fatal(err)
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
		case o.state == cancelled && !m.fits(o.units):
			want = append(want, order.StockGone)
		case o.state == cancelled:
			m.move(o.units, -1, 0, 1)
			o.state, o.paid = paid, true
			want = append(want, order.Applied)
		default:
			m.move(o.units, 0, -1, 1)
			o.state, o.paid = paid, true
			want = append(want, order.Applied)
		}
	}
	var got []order.PaymentOutcome
	err := s.tx(func(ctx context.Context, tx *database.Tx) error {
		var err error
		got, err = s.store.MarkPaid(ctx, tx, s.now, payments)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatal(diff)
	}
}

// expire looks for the end of the time to pay, before it or after it.
func (s *shop) expire(t *rapid.T, m *model, o *placed) {
	at := s.now
	if rapid.Bool().Draw(t, "late") {
		at = at.Add(journeyTimeout)
	}
	if err := s.store.Expire(context.Background(), []uuid.UUID{uuid.MustParse(o.id)}, at); err != nil {
		t.Fatal(err)
	}
	if at != s.now && o.state == unpaid {
		m.move(o.units, 1, -1, 0)
		o.state = cancelled
	}
}

// some draws some of the units that of says there are of each line, perhaps too many.
func some(t *rapid.T, o *placed, of func(*units) int64) (lines []order.LineQuantity, fits bool) {
	fits = true
	for i, u := range o.units {
		if q := rapid.Int64Range(0,
			of(u)+rapid.SampledFrom([]int64{0, 0, 0, 1}).Draw(t, "too many")).Draw(t, "units"); q > 0 {
			lines = append(lines, order.LineQuantity{Line: int64(i + 1), Quantity: q})
			fits = fits && q <= of(u)
		}
	}
	return lines, fits
}

// ship takes units of an order into a parcel that leaves, or is given up after all.
func (s *shop) ship(t *rapid.T, o *placed) {
	lines, fits := some(t, o, (*units).left)
	if len(lines) == 0 {
		return
	}
	leaves := rapid.Bool().Draw(t, "leaves")
	err := s.tx(func(ctx context.Context, tx *database.Tx) error {
		id := uuid.MustParse(o.id)
		if _, err := s.store.ReserveShipment(ctx, tx, s.now, id, lines); err != nil {
			return err
		}
		if leaves {
			return s.store.RecordShipped(ctx, tx, s.now, id, uuid.New(), lines, "test")
		}
		return s.store.UnreserveShipment(ctx, tx, s.now, id, lines)
	})
	var refused *lifecycle.RefusedError
	switch {
	case o.state != paid && o.state != shipped:
		if !errors.As(err, &refused) {
			t.Fatalf("shipping in %s: %v", o.state, err)
		}
	case !fits:
		if !errors.Is(err, order.ErrNothingLeft) {
			t.Fatalf("shipping %v: %v", lines, err)
		}
	case err != nil:
		t.Fatal(err)
	case leaves:
		for _, l := range lines {
			o.units[l.Line-1].shipped += l.Quantity
		}
		o.state = shipped
	}
}

func (s *shop) deliver(t *rapid.T, o *placed) {
	lines, fits := some(t, o, func(u *units) int64 { return u.shipped - u.delivered })
	if len(lines) == 0 {
		return
	}
	err := s.tx(func(ctx context.Context, tx *database.Tx) error {
		return s.store.RecordDelivered(ctx, tx, s.now, uuid.MustParse(o.id), uuid.New(), lines, "test")
	})
	var refused *lifecycle.RefusedError
	switch {
	case o.state == completed:
		if err != nil {
			t.Fatal(err)
		}
	case o.state != shipped && o.state != delivered:
		if !errors.As(err, &refused) {
			t.Fatalf("delivering in %s: %v", o.state, err)
		}
	case !fits:
		if !errors.Is(err, order.ErrQuantity) {
			t.Fatalf("delivering %v: %v", lines, err)
		}
	case err != nil:
		t.Fatal(err)
	default:
		for _, l := range lines {
			o.units[l.Line-1].delivered += l.Quantity
		}
		if o.arrived() {
			o.state = delivered
		}
	}
}

func (s *shop) refund(t *rapid.T, m *model, o *placed) {
	lines, fits := some(t, o, func(u *units) int64 { return u.quantity - u.returned })
	if len(lines) == 0 {
		return
	}
	o.keys++
	g := order.Grant{
		OrderID: uuid.MustParse(o.id), Key: fmt.Sprint("return ", o.keys), Lines: lines, Reason: "test", Actor: "test",
		Restock: rapid.Bool().Draw(t, "restock"), Left: rapid.Bool().Draw(t, "left"),
	}
	granted, err := s.granted(g)
	var refused *lifecycle.RefusedError
	switch {
	case !o.refundable():
		if !errors.As(err, &refused) {
			t.Fatalf("refunding in %s: %v", o.state, err)
		}
	case !fits:
		if !errors.Is(err, order.ErrRefundExceeds) {
			t.Fatalf("refunding %v: %v", lines, err)
		}
	case err != nil:
		t.Fatal(err)
	default:
		want := o.grant(m, lines, g.Left, g.Restock)
		if granted.Amount != want {
			t.Fatalf("%v: %d granted, want %d", lines, granted.Amount, want)
		}
		o.grants[g.Key] = want
	}
}

// repay tells of every refund that the provider has paid it back, twice.
func (s *shop) repay(t *rapid.T, o *placed) {
	for key, amount := range o.grants {
		for range 2 {
			err := s.tx(func(ctx context.Context, tx *database.Tx) error {
				return s.store.RecordRefunded(ctx, tx, s.now, uuid.MustParse(o.id), key, uuid.New(), amount)
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		o.refunded += amount
	}
	clear(o.grants)
}

func (s *shop) confirm(t *rapid.T, o *placed) {
	_, err := s.service.ConfirmReceipt(context.Background(),
		&orderv1.ConfirmReceiptRequest{RequestId: uuid.NewString(), BuyerId: o.buyer, OrderId: o.id})
	switch {
	case o.state == completed, o.state == delivered, o.state == shipped && o.toShip() == 0:
		if err != nil {
			t.Fatal(err)
		}
		if o.state != completed {
			for _, u := range o.units {
				u.delivered = u.shipped
			}
		}
		o.state = completed
	default:
		if rpcerr.Reason(err) != "ORDER_STATE_CONFLICT" {
			t.Fatalf("confirming in %s: %v", o.state, err)
		}
	}
}

package shipment_test

import (
	"context"
	"crypto/rand"
	"log/slog"
	"testing"

	"github.com/google/uuid"
	"pgregory.net/rapid"

	shipmentv1 "github.com/orderd-dev/orderd/api/gen/orderd/shipment/v1"
	"github.com/orderd-dev/orderd/orderd/kit/rpcerr"
	"github.com/orderd-dev/orderd/orderd/shop/order"
	"github.com/orderd-dev/orderd/orderd/shop/shipment"
	"github.com/orderd-dev/orderd/orderd/shop/shipment/carrier"
	"github.com/orderd-dev/orderd/test/kit/testdb"
	"github.com/orderd-dev/orderd/test/kit/testorder"
)

const (
	requested = shipmentv1.ShipmentState_SHIPMENT_STATE_REQUESTED
	inTransit = shipmentv1.ShipmentState_SHIPMENT_STATE_IN_TRANSIT
	delivered = shipmentv1.ShipmentState_SHIPMENT_STATE_DELIVERED
	exception = shipmentv1.ShipmentState_SHIPMENT_STATE_EXCEPTION
)

// model is what a journey expects of one order: it predicts every answer.
type model struct {
	order    uuid.UUID
	state    order.State
	bought   []int64
	refunded []int64
	parcels  []*parcel
}

type parcel struct {
	id    string
	state shipmentv1.ShipmentState
	lines map[int64]int64
	left  bool
}

// in are the units of a line in parcels of some kind.
func (m *model) in(line int64, which func(*parcel) bool) (sum int64) {
	for _, p := range m.parcels {
		if which(p) {
			sum += p.lines[line]
		}
	}
	return sum
}

func waiting(p *parcel) bool { return p.state == requested }
func left(p *parcel) bool    { return p.left }
func arrived(p *parcel) bool { return p.state == delivered }

// free are the units of a line that no parcel has or had and that are not refunded.
func (m *model) free(line int64) int64 {
	return m.bought[line-1] - m.refunded[line-1] - m.in(line, waiting) - m.in(line, left)
}

func (m *model) settle() {
	done := true
	var refunded, bought int64
	for i := range m.bought {
		n := int64(i + 1)
		done = done && m.free(n) == 0 && m.in(n, waiting) == 0 && m.in(n, arrived) == m.bought[i]-m.refunded[i]
		refunded, bought = refunded+m.refunded[i], bought+m.bought[i]
	}
	switch {
	case m.state == order.Shipped && done:
		m.state = order.Delivered
	case m.state == order.Paid && refunded == bought:
		m.state = order.Cancelled
	}
}

// told is what an event does to a parcel, and through it to the order.
func (m *model) told(p *parcel, code carrier.Code) {
	arrives, fails := code == carrier.Delivered, code.Failed()
	if p.state == requested && (code.Left() || arrives || fails) {
		p.state, p.left, m.state = inTransit, true, order.Shipped
	}
	switch {
	case arrives && (p.state == inTransit || p.state == exception && p.left):
		p.state = delivered
	case fails && p.state == inTransit:
		p.state = exception
	}
	m.settle()
}

type shop struct {
	*testorder.Shop
	service *shipment.Service
}

// However an order is split, moved, taken back and refunded: every answer is the predicted one, and
// no unit is shipped twice.
func TestSplitShipments(t *testing.T) {
	ctx := context.Background()
	orders, err := testorder.New(ctx, testdb.NewPool(t))
	if err != nil {
		t.Fatal(err)
	}
	// Nobody calls it here: no worker runs.
	c, err := carrier.NewHTTP(carrier.HTTPOptions{
		Name:   "swift",
		URL:    "http://127.0.0.1:1",
		Key:    []byte("0123456789abcdef"),
		Clock:  orders.Clock.Now,
		Random: rand.Reader,
	})
	if err != nil {
		t.Fatal(err)
	}
	store, err := shipment.NewStore(shipment.Options{
		Pool:     orders.Pool,
		Orders:   orders.Orders,
		Carriers: []carrier.Carrier{c},
		Clock:    orders.Clock.Now,
		Random:   rand.Reader,
		Logger:   slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	s := &shop{orders, shipment.NewService(store)}
	rapid.Check(t, func(t *rapid.T) {
		m := &model{state: order.Paid, bought: rapid.SliceOfN(rapid.Int64Range(1, 5), 1, 3).Draw(t, "bought")}
		m.refunded = make([]int64, len(m.bought))
		lines := make([]testorder.Line, len(m.bought))
		for i, q := range m.bought {
			lines[i] = testorder.Line{Quantity: q, UnitPrice: 10}
		}
		if m.order, err = s.Paid(ctx, "ann", true, lines...); err != nil {
			t.Fatal(err)
		}
		t.Repeat(map[string]func(*rapid.T){
			"create":   func(t *rapid.T) { s.create(ctx, t, m) },
			"told":     func(t *rapid.T) { s.told(ctx, t, m) },
			"cancel":   func(t *rapid.T) { s.cancel(ctx, t, m) },
			"withdraw": func(t *rapid.T) { s.withdraw(ctx, t, m) },
			"":         func(t *rapid.T) { s.check(ctx, t, m) },
		})
	})
}

func (s *shop) create(ctx context.Context, t *rapid.T, m *model) {
	req := &shipmentv1.CreateShipmentRequest{RequestId: uuid.NewString(), OrderId: m.order.String()}
	p := &parcel{state: requested, lines: map[int64]int64{}}
	want, free := "", int64(0)
	for i := range m.bought {
		n := int64(i + 1)
		free += m.free(n)
		// None: all that is left.
		if q := rapid.Int64Range(0, 3).Draw(t, "quantity"); q > 0 {
			req.Lines = append(req.Lines, &shipmentv1.ShipmentLineQuantity{Line: n, Quantity: q})
			p.lines[n] = q
			if q > m.free(n) {
				want = "NOTHING_LEFT_TO_SHIP"
			}
		}
	}
	if len(req.GetLines()) == 0 {
		for i := range m.bought {
			p.lines[int64(i+1)] = m.free(int64(i + 1))
		}
		if free == 0 {
			want = "NOTHING_LEFT_TO_SHIP"
		}
	}
	if m.state != order.Paid && m.state != order.Shipped {
		want = "ORDER_STATE_CONFLICT"
	}
	answer, err := s.service.CreateShipment(ctx, req)
	if rpcerr.Reason(err) != want || (err == nil) != (want == "") {
		t.Fatalf("%v: %v, want %q", req.GetLines(), err, want)
	}
	if err != nil {
		return
	}
	again, err := s.service.CreateShipment(ctx, req)
	if err != nil || again.GetShipment().GetShipmentId() != answer.GetShipment().GetShipmentId() {
		t.Fatalf("again: %v, %v", again, err)
	}
	p.id = answer.GetShipment().GetShipmentId()
	m.parcels = append(m.parcels, p)
}

func (m *model) pick(t *rapid.T) *parcel {
	if len(m.parcels) == 0 {
		t.Skip("no parcel yet")
	}
	return rapid.SampledFrom(m.parcels).Draw(t, "parcel")
}

func (s *shop) told(ctx context.Context, t *rapid.T, m *model) {
	p := m.pick(t)
	code := rapid.SampledFrom([]carrier.Code{
		carrier.Accepted,
		carrier.Collected,
		carrier.AttemptFailed,
		carrier.Delivered,
		carrier.Lost,
		carrier.Information,
	}).Draw(t, "code")
	m.told(p, code)
	answer, err := s.service.RecordShipmentEvent(ctx, &shipmentv1.RecordShipmentEventRequest{
		RequestId:  uuid.NewString(),
		ShipmentId: p.id,
		Code:       shipmentv1.ShipmentEventCode(shipmentv1.ShipmentEventCode_value["SHIPMENT_EVENT_CODE_"+string(code)]),
	})
	if err != nil || answer.GetShipment().GetState() != p.state {
		t.Fatalf("%s: %v, %v; want %s", code, answer, err, p.state)
	}
}

func (s *shop) cancel(ctx context.Context, t *rapid.T, m *model) {
	p := m.pick(t)
	want := "SHIPMENT_STATE_CONFLICT"
	if p.state == requested {
		want, p.state = "", exception
	}
	_, err := s.service.CancelShipment(ctx,
		&shipmentv1.CancelShipmentRequest{RequestId: uuid.NewString(), ShipmentId: p.id})
	if rpcerr.Reason(err) != want {
		t.Fatalf("%v, want %q", err, want)
	}
}

func (s *shop) withdraw(ctx context.Context, t *rapid.T, m *model) {
	n := rapid.Int64Range(1, int64(len(m.bought))).Draw(t, "line")
	if m.free(n) == 0 || m.state != order.Paid && m.state != order.Shipped {
		t.Skip("nothing to withdraw")
	}
	q := rapid.Int64Range(1, m.free(n)).Draw(t, "quantity")
	if err := s.Withdraw(ctx, m.order, uuid.NewString(), order.LineQuantity{Line: n, Quantity: q}); err != nil {
		t.Fatal(err)
	}
	m.refunded[n-1] += q
	m.settle()
}

func (s *shop) check(ctx context.Context, t *rapid.T, m *model) {
	o, err := s.Get(ctx, "ann", m.order)
	if err != nil {
		t.Fatal(err)
	}
	if o.State != m.state {
		t.Fatalf("the order is %s, want %s", o.State, m.state)
	}
	for i, l := range o.Lines {
		n := int64(i + 1)
		if l.Shipping != m.in(n, waiting) || l.Shipped != m.in(n, left) || l.Delivered != m.in(n, arrived) {
			t.Fatalf("line %d: %+v; want %d waiting, %d left, %d arrived", n, l, m.in(n, waiting), m.in(n, left),
				m.in(n, arrived))
		}
		if l.Shipping+l.Shipped+l.Withdrawn > l.Quantity {
			t.Fatalf("line %d: %+v is more than was bought", n, l)
		}
	}
	answer, err := s.service.ListOrderShipments(ctx,
		&shipmentv1.ListOrderShipmentsRequest{BuyerId: "ann", OrderId: m.order.String()})
	if err != nil || len(answer.GetShipments()) != len(m.parcels) {
		t.Fatalf("%d shipments, %v; want %d", len(answer.GetShipments()), err, len(m.parcels))
	}
	states := map[string]shipmentv1.ShipmentState{}
	for _, sh := range answer.GetShipments() {
		states[sh.GetShipmentId()] = sh.GetState()
	}
	for _, p := range m.parcels {
		if states[p.id] != p.state {
			t.Fatalf("shipment %s is %s, want %s", p.id, states[p.id], p.state)
		}
	}
}

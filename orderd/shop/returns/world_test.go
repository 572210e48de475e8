package returns_test

import (
	"context"
	"crypto/rand"
	"log/slog"
	"testing"

	"pgregory.net/rapid"

	orderv1 "github.com/orderd-dev/orderd/api/gen/orderd/order/v1"
	shipmentv1 "github.com/orderd-dev/orderd/api/gen/orderd/shipment/v1"
	"github.com/orderd-dev/orderd/orderd/kit/database"
	"github.com/orderd-dev/orderd/orderd/kit/rpcerr"
	"github.com/orderd-dev/orderd/orderd/shop/order"
	"github.com/orderd-dev/orderd/orderd/shop/returns"
	"github.com/orderd-dev/orderd/orderd/shop/shipment"
	"github.com/orderd-dev/orderd/orderd/shop/shipment/carrier"
	"github.com/orderd-dev/orderd/test/kit/testdb"
	"github.com/orderd-dev/orderd/test/kit/testorder"
)

// world is what all journeys share.
type world struct {
	*testorder.Shop
	store     *shipment.Store
	shipments *shipment.Service
	returns   *returns.Service
}

func newWorld(ctx context.Context, t *testing.T) *world {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	shop, err := testorder.New(ctx, testdb.NewPool(t))
	must(err)
	// Nobody calls it here: no worker runs.
	c, err := carrier.NewHTTP(carrier.HTTPOptions{
		Name:   "swift",
		URL:    "http://127.0.0.1:1",
		Key:    []byte("0123456789abcdef"),
		Clock:  shop.Clock.Now,
		Random: rand.Reader,
	})
	must(err)
	w := &world{Shop: shop}
	w.store, err = shipment.NewStore(shipment.Options{
		Pool:     shop.Pool,
		Orders:   shop.Orders,
		Carriers: []carrier.Carrier{c},
		Clock:    shop.Clock.Now,
		Random:   rand.Reader,
		Logger:   slog.New(slog.DiscardHandler),
	})
	must(err)
	w.shipments = shipment.NewService(w.store)
	w.returns, err = returns.NewService(
		returns.Options{Pool: shop.Pool, Orders: shop.Orders, Parcels: w.store, Clock: shop.Clock.Now, Random: rand.Reader},
	)
	must(err)
	return w
}

// begin is a paid order whose parcel is requested.
func (w *world) begin(ctx context.Context, t *rapid.T) *model {
	m := &model{state: order.Paid}
	var lines []testorder.Line
	for range rapid.IntRange(1, 2).Draw(t, "lines") {
		l := testorder.Line{
			Quantity:  rapid.Int64Range(1, 4).Draw(t, "quantity"),
			UnitPrice: rapid.Int64Range(3, 50).Draw(t, "price"),
			Discount:  rapid.Int64Range(0, 3).Draw(t, "discount"),
			Freight:   rapid.Int64Range(0, 9).Draw(t, "freight"),
		}
		lines = append(lines, l)
		m.lines = append(m.lines, &unit{bought: l.Quantity, total: l.Quantity*l.UnitPrice - l.Discount + l.Freight})
	}
	var err error
	if m.order, err = w.Paid(ctx, "ann", true, lines...); err != nil {
		t.Fatal(err)
	}
	err = database.ExecuteTx(ctx, w.Pool, func(tx *database.Tx) error {
		return w.store.RequestForPaid(ctx, tx,
			&orderv1.OrderPaid{Order: &orderv1.Order{OrderId: m.order.String(), Version: 2}}, w.Clock.Now())
	})
	if err != nil {
		t.Fatal(err)
	}
	m.again()
	w.name(ctx, t, m)
	return m
}

// name learns the ids of new parcels and checks that there are as many as expected.
func (w *world) name(ctx context.Context, t *rapid.T, m *model) {
	answer, err := w.shipments.ListOrderShipments(ctx,
		&shipmentv1.ListOrderShipmentsRequest{BuyerId: "ann", OrderId: m.order.String()})
	if err != nil {
		t.Fatal(err)
	}
	got := answer.GetShipments()
	if len(got) != len(m.parcels) {
		t.Fatalf("%d parcels, want %d", len(got), len(m.parcels))
	}
	known := map[string]*parcel{}
	for _, p := range m.parcels {
		if p.id != "" {
			known[p.id] = p
		}
	}
	for _, sh := range got {
		p := known[sh.GetShipmentId()]
		if p == nil {
			// Only the last can be new.
			p = m.parcels[len(m.parcels)-1]
			p.id = sh.GetShipmentId()
		}
		if "SHIPMENT_STATE_"+p.state != sh.GetState().String() {
			t.Fatalf("parcel %s is %s, want %s", p.id, sh.GetState(), p.state)
		}
	}
}

func expect(t *rapid.T, err error, want string) {
	t.Helper()
	if (err == nil) != (want == "") || rpcerr.Reason(err) != want {
		t.Fatalf("%v, want %q", err, want)
	}
}

package returns_test

import (
	"context"
	"crypto/rand"
	"log/slog"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"google.golang.org/protobuf/proto"

	moneyv1 "github.com/orderd-dev/orderd/api/gen/orderd/money/v1"
	orderv1 "github.com/orderd-dev/orderd/api/gen/orderd/order/v1"
	returnsv1 "github.com/orderd-dev/orderd/api/gen/orderd/returns/v1"
	shipmentv1 "github.com/orderd-dev/orderd/api/gen/orderd/shipment/v1"
	"github.com/orderd-dev/orderd/orderd/kit/database"
	"github.com/orderd-dev/orderd/orderd/shop/order"
	"github.com/orderd-dev/orderd/orderd/shop/returns"
	"github.com/orderd-dev/orderd/orderd/shop/shipment"
	"github.com/orderd-dev/orderd/orderd/shop/shipment/carrier"
	"github.com/orderd-dev/orderd/test/kit/testdb"
	"github.com/orderd-dev/orderd/test/kit/testorder"
)

const (
	buyer       = "ann"
	connections = 16
)

const (
	refundOnly = returnsv1.ReturnKind_RETURN_KIND_REFUND_ONLY
	withParcel = returnsv1.ReturnKind_RETURN_KIND_WITH_PARCEL
)

// world is a shop that takes returns.
type world struct {
	pool      *pgxpool.Pool
	shop      *testorder.Shop
	store     *shipment.Store
	shipments *shipment.Service
	returns   *returns.Service
}

func newWorld(ctx context.Context) *world {
	GinkgoHelper()
	pool, err := database.Open(ctx, testdb.NewMigrated(GinkgoTB()), connections)
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(pool.Close)
	return worldOn(ctx, pool)
}

// worldOn is another shop on the same database.
func worldOn(ctx context.Context, pool *pgxpool.Pool) *world {
	GinkgoHelper()
	w := &world{pool: pool}
	var err error
	w.shop, err = testorder.New(ctx, w.pool)
	Expect(err).NotTo(HaveOccurred())
	// Nobody calls it here: no worker runs.
	c, err := carrier.NewHTTP(carrier.HTTPOptions{
		Name:   "swift",
		URL:    "http://127.0.0.1:1",
		Key:    []byte("a key that only the tests have"),
		Clock:  w.shop.Clock.Now,
		Random: rand.Reader,
	})
	Expect(err).NotTo(HaveOccurred())
	w.store, err = shipment.NewStore(shipment.Options{
		Pool:     w.pool,
		Orders:   w.shop.Orders,
		Carriers: []carrier.Carrier{c},
		Clock:    w.shop.Clock.Now,
		Random:   rand.Reader,
		Logger:   slog.New(slog.DiscardHandler),
	})
	Expect(err).NotTo(HaveOccurred())
	w.shipments = shipment.NewService(w.store)
	w.returns, err = returns.NewService(
		returns.Options{Pool: w.pool, Orders: w.shop.Orders, Parcels: w.store, Clock: w.shop.Clock.Now, Random: rand.Reader},
	)
	Expect(err).NotTo(HaveOccurred())
	return w
}

// paid makes a paid order whose parcel is requested.
func (w *world) paid(ctx context.Context, lines ...testorder.Line) uuid.UUID {
	GinkgoHelper()
	id, err := w.shop.Paid(ctx, buyer, true, lines...)
	Expect(err).NotTo(HaveOccurred())
	event := &orderv1.OrderPaid{Order: &orderv1.Order{OrderId: id.String(), Version: 2}}
	Expect(database.ExecuteTx(ctx, w.pool, func(tx *database.Tx) error {
		return w.store.RequestForPaid(ctx, tx, event, w.shop.Clock.Now())
	})).To(Succeed())
	return id
}

// parcels are an order's, oldest first.
func (w *world) parcels(ctx context.Context, id uuid.UUID) []*shipmentv1.Shipment {
	GinkgoHelper()
	answer, err := w.shipments.ListOrderShipments(ctx,
		&shipmentv1.ListOrderShipmentsRequest{BuyerId: buyer, OrderId: id.String()})
	Expect(err).NotTo(HaveOccurred())
	return answer.GetShipments()
}

// told says that something happened to an order's last parcel.
func (w *world) told(ctx context.Context, id uuid.UUID, code shipmentv1.ShipmentEventCode) {
	GinkgoHelper()
	all := w.parcels(ctx, id)
	_, err := w.shipments.RecordShipmentEvent(ctx, &shipmentv1.RecordShipmentEventRequest{
		RequestId:  uuid.NewString(),
		ShipmentId: all[len(all)-1].GetShipmentId(),
		Code:       code,
	})
	Expect(err).NotTo(HaveOccurred())
}

func (w *world) delivered(ctx context.Context, lines ...testorder.Line) uuid.UUID {
	GinkgoHelper()
	id := w.paid(ctx, lines...)
	w.told(ctx, id, shipmentv1.ShipmentEventCode_SHIPMENT_EVENT_CODE_DELIVERED)
	Expect(w.order(ctx, id).State).To(Equal(order.Delivered))
	return id
}

func (w *world) order(ctx context.Context, id uuid.UUID) *order.Order {
	GinkgoHelper()
	o, err := w.shop.Get(ctx, buyer, id)
	Expect(err).NotTo(HaveOccurred())
	return o
}

func (w *world) request(
	ctx context.Context, id uuid.UUID, kind returnsv1.ReturnKind, lines ...*returnsv1.ReturnLineQuantity,
) (*returnsv1.Return, error) {
	answer, err := w.returns.RequestReturn(ctx, wanted(id, kind, lines...))
	return answer.GetReturn(), err
}

func wanted(
	id uuid.UUID, kind returnsv1.ReturnKind, lines ...*returnsv1.ReturnLineQuantity,
) *returnsv1.RequestReturnRequest {
	return &returnsv1.RequestReturnRequest{
		RequestId: uuid.NewString(), BuyerId: buyer, OrderId: id.String(), Kind: kind, Lines: lines,
		Reason: returnsv1.ReturnReason_RETURN_REASON_DAMAGED, Description: "broken", Pictures: []string{"pictures/1"},
	}
}

func (w *world) approved(
	ctx context.Context, id uuid.UUID, kind returnsv1.ReturnKind, lines ...*returnsv1.ReturnLineQuantity,
) string {
	GinkgoHelper()
	r, err := w.request(ctx, id, kind, lines...)
	Expect(err).NotTo(HaveOccurred())
	_, err = w.returns.ApproveReturn(ctx,
		&returnsv1.ApproveReturnRequest{RequestId: uuid.NewString(), ReturnId: r.GetReturnId()})
	Expect(err).NotTo(HaveOccurred())
	return r.GetReturnId()
}

func (w *world) refund(ctx context.Context, id string, amount *int64) (*returnsv1.Return, error) {
	req := &returnsv1.RefundReturnRequest{RequestId: uuid.NewString(), ReturnId: id}
	if amount != nil {
		req.Amount = &moneyv1.Money{Amount: *amount, Currency: testorder.Currency}
	}
	answer, err := w.returns.RefundReturn(ctx, req)
	return answer.GetReturn(), err
}

// steps are the events in a return's history.
func (w *world) steps(ctx context.Context, id string) []string {
	GinkgoHelper()
	answer, err := w.returns.GetReturnHistory(ctx, &returnsv1.GetReturnHistoryRequest{ReturnId: id})
	Expect(err).NotTo(HaveOccurred())
	var out []string
	for _, c := range answer.GetChanges() {
		out = append(out, c.GetEvent())
	}
	return out
}

// announced are the states in the return events in the outbox, in order.
func (w *world) announced(ctx context.Context, id string) []string {
	GinkgoHelper()
	rows, err := w.pool.Query(ctx, "SELECT payload FROM outbox WHERE event = 'return_changed' ORDER BY order_id, version")
	Expect(err).NotTo(HaveOccurred())
	payloads, err := pgx.CollectRows(rows, pgx.RowTo[[]byte])
	Expect(err).NotTo(HaveOccurred())
	var out []string
	for _, p := range payloads {
		e := &orderv1.OrderReturnChanged{}
		Expect(proto.Unmarshal(p, e)).To(Succeed())
		if e.GetReturnId() == id {
			out = append(out, e.GetState())
		}
	}
	return out
}

func (w *world) refunds(ctx context.Context, id uuid.UUID) int64 {
	GinkgoHelper()
	sum, err := w.shop.Refunds(ctx, id)
	Expect(err).NotTo(HaveOccurred())
	return sum
}

func line(number, quantity int64) *returnsv1.ReturnLineQuantity {
	return &returnsv1.ReturnLineQuantity{Line: number, Quantity: quantity}
}

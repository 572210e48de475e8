package desk_test

import (
	"context"
	"crypto/rand"
	"maps"
	mathrand "math/rand/v2"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	accessv1 "github.com/orderd-dev/orderd/api/gen/orderd/access/v1"
	couponv1 "github.com/orderd-dev/orderd/api/gen/orderd/coupon/v1"
	deskv1 "github.com/orderd-dev/orderd/api/gen/orderd/desk/v1"
	orderv1 "github.com/orderd-dev/orderd/api/gen/orderd/order/v1"
	"github.com/orderd-dev/orderd/orderd/kit/auth"
	"github.com/orderd-dev/orderd/orderd/kit/database"
	"github.com/orderd-dev/orderd/orderd/kit/orderid"
	"github.com/orderd-dev/orderd/orderd/kit/rpcerr"
	"github.com/orderd-dev/orderd/orderd/shop/coupon"
	"github.com/orderd-dev/orderd/orderd/shop/desk"
	"github.com/orderd-dev/orderd/orderd/shop/order"
	"github.com/orderd-dev/orderd/orderd/shop/quote"
	"github.com/orderd-dev/orderd/orderd/shop/stock"
	"github.com/orderd-dev/orderd/test/kit/testdb"
	"github.com/orderd-dev/orderd/test/kit/testorder"
)

const (
	buyer       = "ann"
	tea         = "tea"
	connections = 16
	payTimeout  = time.Hour
)

func shopKey() []byte { return []byte("0123456789abcdef") }

// world is a shop's database with the desk on it. Nothing works in the background: follow is the consumer.
type world struct {
	url     string
	pool    *pgxpool.Pool
	shop    *testorder.Shop
	service *desk.Service
	orders  *order.Service
	coupons *coupon.Service
}

func newWorld(ctx context.Context) *world {
	GinkgoHelper()
	w := &world{url: testdb.NewMigrated(GinkgoTB())}
	var err error
	w.pool, err = database.Open(ctx, w.url, connections)
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(w.pool.Close)
	w.shop, err = testorder.New(ctx, w.pool)
	Expect(err).NotTo(HaveOccurred())
	w.service = w.bounded(0, 0)
	ids, err := orderid.NewGenerator(shopKey(), w.shop.Clock.Now, rand.Reader)
	Expect(err).NotTo(HaveOccurred())
	tokens, err := quote.NewTokens(shopKey(), payTimeout)
	Expect(err).NotTo(HaveOccurred())
	w.orders = order.NewService(order.ServiceOptions{
		Store: w.shop.Orders, IDs: ids, Tokens: tokens, PaymentTimeout: payTimeout,
		Random: mathrand.New(mathrand.NewPCG(1, 2)),
	})
	w.coupons = coupon.NewService(coupon.NewStore(coupon.StoreOptions{
		Pool: w.pool, Clock: w.shop.Clock.Now, Random: rand.Reader,
	}))
	return w
}

// bounded is the desk with other bounds of what it looks at; 0: its own.
func (w *world) bounded(most, first int) *desk.Service {
	return desk.NewService(desk.Options{
		Pool: w.pool, Orders: w.shop.Orders, Clock: w.shop.Clock.Now, MostScanned: most, FirstScanned: first,
	})
}

// as is a context of a call by somebody with a role.
func as(ctx context.Context, subject string, role accessv1.Role) context.Context {
	roles := auth.RolesOf(role)
	return auth.WithCaller(ctx, auth.Caller{Subject: subject, Roles: roles, Acting: roles})
}

func support(ctx context.Context) context.Context { return as(ctx, "sam", accessv1.Role_ROLE_SUPPORT) }

// follow brings the desk up to date with orders, as its consumer does.
func (w *world) follow(ctx context.Context, ids ...uuid.UUID) {
	GinkgoHelper()
	Expect(w.tx(ctx, func(tx *database.Tx) error { return desk.Refresh(ctx, tx, ids) })).To(Succeed())
}

func (w *world) tx(ctx context.Context, do func(*database.Tx) error) error {
	return database.ExecuteTx(ctx, w.pool, do)
}

func (w *world) exec(ctx context.Context, sql string, args ...any) {
	GinkgoHelper()
	_, err := w.pool.Exec(ctx, sql, args...)
	Expect(err).NotTo(HaveOccurred(), sql)
}

// texts are the rows of a query with one text each.
func (w *world) texts(ctx context.Context, sql string, args ...any) []string {
	GinkgoHelper()
	rows, err := w.pool.Query(ctx, sql, args...)
	Expect(err).NotTo(HaveOccurred(), sql)
	out, err := pgx.CollectRows(rows, pgx.RowTo[string])
	Expect(err).NotTo(HaveOccurred(), sql)
	return out
}

// index is all that the desk's tables have.
func (w *world) index(ctx context.Context) []map[string]any {
	GinkgoHelper()
	var all []map[string]any
	for _, sql := range []string{
		"SELECT * FROM desk_orders ORDER BY order_id", "SELECT * FROM desk_terms ORDER BY order_id, kind, term",
	} {
		rows, err := w.pool.Query(ctx, sql)
		Expect(err).NotTo(HaveOccurred())
		list, err := pgx.CollectRows(rows, pgx.RowToMap)
		Expect(err).NotTo(HaveOccurred())
		all = append(all, list...)
	}
	return all
}

// anew makes the desk's tables from nothing.
func (w *world) anew(ctx context.Context) {
	GinkgoHelper()
	w.exec(ctx, "DELETE FROM desk_orders")
	w.exec(ctx, "DELETE FROM desk_terms")
	var ids []uuid.UUID
	for _, text := range w.texts(ctx, "SELECT order_id::text FROM orders") {
		ids = append(ids, uuid.MustParse(text))
	}
	w.follow(ctx, ids...)
}

// paid is a paid order of the buyer's with an address, known to the desk.
func (w *world) paid(ctx context.Context, lines ...testorder.Line) *orderv1.Order {
	GinkgoHelper()
	id, err := w.shop.Paid(ctx, buyer, true, lines...)
	Expect(err).NotTo(HaveOccurred())
	w.follow(ctx, id)
	return w.order(ctx, id.String())
}

// order is an order as support sees it.
func (w *world) order(ctx context.Context, id string) *orderv1.Order {
	GinkgoHelper()
	return w.story(support(ctx), id).GetOrder()
}

func (w *world) story(ctx context.Context, id string) *deskv1.FindOrderResponse {
	GinkgoHelper()
	found, err := w.service.FindOrder(ctx, &deskv1.FindOrderRequest{Key: &deskv1.FindOrderRequest_OrderId{OrderId: id}})
	Expect(err).NotTo(HaveOccurred())
	return found
}

// stocked makes tea, 10 of it.
func (w *world) stocked(ctx context.Context) {
	GinkgoHelper()
	Expect(w.tx(ctx, func(tx *database.Tx) error {
		if _, err := tx.Exec(ctx, `INSERT INTO skus (sku, title, unit_price, currency, on_sale, updated_at)
			VALUES ($1, $1, 100, 'CNY', true, now())`, tea); err != nil {
			return err
		}
		if err := stock.Create(ctx, tx, tea); err != nil {
			return err
		}
		return stock.Apply(ctx, tx, []stock.Movement{stock.Add("stocked", stock.Quantity{SKU: tea, Quantity: 10})})
	})).To(Succeed())
}

func (w *world) levels(ctx context.Context, sku string) stock.Levels {
	GinkgoHelper()
	levels, err := stock.Get(ctx, w.pool, sku)
	Expect(err).NotTo(HaveOccurred())
	return levels
}

// claim gives the buyer a coupon of 30 that comes back with its order.
func (w *world) claim(ctx context.Context) string {
	GinkgoHelper()
	name := uuid.NewString()
	_, err := w.coupons.UpsertCouponTemplate(ctx, &couponv1.UpsertCouponTemplateRequest{
		RequestId: name, Template: &couponv1.CouponTemplate{
			Name: name, Title: "30 off", Currency: "CNY",
			Benefit:       &couponv1.CouponTemplate_Fixed{Fixed: &couponv1.Fixed{Amount: 30}},
			Validity:      &couponv1.Validity{Days: 7},
			LimitPerBuyer: 10, Budget: &couponv1.Budget{Coupons: 100}, Claimable: true, ReturnedOnCancel: true,
		},
	})
	Expect(err).NotTo(HaveOccurred())
	answer, err := w.coupons.ClaimCoupon(ctx,
		&couponv1.ClaimCouponRequest{RequestId: uuid.NewString(), BuyerId: buyer, Template: name})
	Expect(err).NotTo(HaveOccurred())
	return answer.GetCoupon().GetCouponId()
}

// place is an unpaid order of tea in the standard lane.
func (w *world) place(ctx context.Context, quantity int64, coupons ...string) *orderv1.Order {
	GinkgoHelper()
	answer, err := w.orders.PlaceOrder(ctx, &orderv1.PlaceOrderRequest{
		RequestId: uuid.NewString(), BuyerId: buyer, CouponIds: coupons,
		Lines: []*orderv1.PlaceOrderLine{{Sku: tea, Quantity: quantity}},
	})
	Expect(err).NotTo(HaveOccurred())
	return answer.GetOrder()
}

// pay marks an order as paid.
func (w *world) pay(ctx context.Context, id string) {
	GinkgoHelper()
	Expect(w.tx(ctx, func(tx *database.Tx) error {
		_, err := w.shop.Orders.MarkPaid(ctx, tx, w.shop.Clock.Now(), []order.Payment{
			{OrderID: uuid.MustParse(id), PaymentID: uuid.New(), Actor: "test"},
		})
		return err
	})).To(Succeed())
}

// refused checks an error's reason and metadata.
func refused(err error, reason string, metadata map[string]string) {
	GinkgoHelper()
	Expect(err).To(HaveOccurred())
	Expect(rpcerr.Reason(err)).To(Equal(reason), "%v", err)
	have := rpcerr.Metadata(err)
	for _, key := range slices.Sorted(maps.Keys(metadata)) {
		Expect(have).To(HaveKeyWithValue(key, metadata[key]), "%v", err)
	}
}

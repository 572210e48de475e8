package reward_test

import (
	"context"
	"crypto/rand"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	couponv1 "github.com/orderd-dev/orderd/api/gen/orderd/coupon/v1"
	moneyv1 "github.com/orderd-dev/orderd/api/gen/orderd/money/v1"
	orderv1 "github.com/orderd-dev/orderd/api/gen/orderd/order/v1"
	rewardv1 "github.com/orderd-dev/orderd/api/gen/orderd/reward/v1"
	"github.com/orderd-dev/orderd/orderd/kit/consume"
	"github.com/orderd-dev/orderd/orderd/kit/database"
	"github.com/orderd-dev/orderd/orderd/shop/coupon"
	"github.com/orderd-dev/orderd/orderd/shop/order"
	"github.com/orderd-dev/orderd/orderd/shop/reward"
	"github.com/orderd-dev/orderd/test/kit/testdb"
)

// shop is campaigns and coupons on a database of their own, at a time that stands still.
type shop struct {
	pool    *pgxpool.Pool
	coupons *coupon.Service
	rewards *reward.Service
	store   *reward.Store
	now     time.Time
}

func newShop(t testing.TB) *shop {
	t.Helper()
	return newShopOn(testdb.NewPool(t))
}

func newShopOn(pool *pgxpool.Pool) *shop {
	s := &shop{pool: pool, now: time.UnixMilli(1_800_000_000_000).UTC()}
	clock := func() time.Time { return s.now }
	coupons := coupon.NewStore(coupon.StoreOptions{Pool: s.pool, Clock: clock, Random: rand.Reader})
	s.coupons = coupon.NewService(coupons)
	s.store = reward.NewStore(reward.StoreOptions{Pool: s.pool, Coupons: coupons, Clock: clock})
	s.rewards = reward.NewService(s.store)
	return s
}

// template makes coupons that are only granted, so many of them.
func (s *shop) template(t testing.TB, name string, coupons, limit int64) {
	t.Helper()
	s.put(t, &couponv1.CouponTemplate{
		Name:          name,
		Title:         name,
		Currency:      "CNY",
		Benefit:       &couponv1.CouponTemplate_Fixed{Fixed: &couponv1.Fixed{Amount: 100}},
		Validity:      &couponv1.Validity{Days: 7},
		LimitPerBuyer: limit,
		Budget:        &couponv1.Budget{Coupons: coupons},
	})
}

func (s *shop) put(t testing.TB, template *couponv1.CouponTemplate) {
	t.Helper()
	if _, err := s.coupons.UpsertCouponTemplate(context.Background(),
		&couponv1.UpsertCouponTemplateRequest{RequestId: uuid.NewString(), Template: template}); err != nil {
		t.Fatal(err)
	}
}

// campaign grants a coupon of the template for every order that is paid within an
// hour of now, to so many.
func (s *shop) campaign(t testing.TB, name, template string, budget int64, change func(*rewardv1.Campaign)) {
	t.Helper()
	c := &rewardv1.Campaign{
		Name: name, Title: name, From: timestamppb.New(s.now.Add(-time.Hour)), Until: timestamppb.New(s.now.Add(time.Hour)),
		Template: template, Quantity: 1, Budget: budget,
	}
	if change != nil {
		change(c)
	}
	if _, err := s.rewards.UpsertCampaign(context.Background(),
		&rewardv1.UpsertCampaignRequest{RequestId: uuid.NewString(), Campaign: c}); err != nil {
		t.Fatal(err)
	}
}

// order is one that has just been paid.
func (s *shop) order(buyer string) *orderv1.Order {
	return &orderv1.Order{
		OrderId: uuid.NewString(), BuyerId: buyer, State: orderv1.OrderState_ORDER_STATE_PAID, PaidAt: timestamppb.New(s.now),
		Total: &moneyv1.Money{Amount: 5000, Currency: "CNY"}, Lines: []*orderv1.OrderLine{{Sku: "tea-1", Quantity: 1}},
	}
}

func (s *shop) handle(o *orderv1.Order, m proto.Message) error {
	return s.handleAll(event(o, m))
}

func (s *shop) handleAll(events ...consume.Event) error {
	ctx := context.Background()
	if err := s.keep(ctx, events...); err != nil {
		return err
	}
	return database.ExecuteTx(ctx, s.pool, func(tx *database.Tx) error { return s.store.Handle(ctx, tx, events) })
}

// keep has the database say of the orders what their events say.
func (s *shop) keep(ctx context.Context, events ...consume.Event) error {
	var b pgx.Batch
	for _, e := range events {
		o := e.Message.(interface{ GetOrder() *orderv1.Order }).GetOrder()
		var cancelled *time.Time
		state, refunded := order.Paid, int64(0)
		if _, is := e.Message.(*orderv1.OrderCancelled); is && o.GetPaidAt() != nil {
			state, cancelled = order.Cancelled, &s.now
		}
		switch o.GetRefundStatus() {
		case orderv1.RefundStatus_REFUND_STATUS_REFUNDED:
			refunded = o.GetTotal().GetAmount()
		case orderv1.RefundStatus_REFUND_STATUS_PARTIALLY_REFUNDED:
			refunded = 1
		}
		b.Queue(`INSERT INTO orders (order_id, buyer_id, state, version, currency, total, promotion_uid, promotion, bucket,
			created_at, expires_at, paid_at, payment_id, cancelled_at)
			VALUES ($1, $2, $3, 2, $4, $5, '', $6, 0, $7, $7, $7, $1, $8) ON CONFLICT (order_id) DO NOTHING`,
			e.OrderID, o.GetBuyerId(), string(state), o.GetTotal().GetCurrency(), o.GetTotal().GetAmount(), o.GetPromotion(),
			s.now, cancelled)
		for i, l := range o.GetLines() {
			b.Queue(`INSERT INTO order_lines (order_id, line, sku, title, quantity, unit_price, discount, freight, tax)
				VALUES ($1, $2, $3, $3, $4, 0, 0, 0, 0) ON CONFLICT (order_id, line) DO NOTHING`,
				e.OrderID, i+1, l.GetSku(), l.GetQuantity())
		}
		if cancelled != nil {
			b.Queue("UPDATE orders SET state = 'CANCELLED', cancelled_at = $2 WHERE order_id = $1", e.OrderID, s.now)
		}
		if refunded > 0 {
			b.Queue("UPDATE order_lines SET refund_granted = $2, refunded = $2 WHERE order_id = $1", e.OrderID, refunded)
		}
	}
	return s.pool.SendBatch(ctx, &b).Close()
}

func event(o *orderv1.Order, m proto.Message) consume.Event {
	return consume.Event{
		ID:      o.GetOrderId() + ".2",
		Type:    string(m.ProtoReflect().Descriptor().FullName()),
		OrderID: uuid.MustParse(o.GetOrderId()),
		Message: m,
	}
}

func (s *shop) paid(t *testing.T, o *orderv1.Order) {
	t.Helper()
	if err := s.handle(o, &orderv1.OrderPaid{Order: o}); err != nil {
		t.Fatal(err)
	}
}

// outcomes are what came of an order, by campaign.
func (s *shop) outcomes(t *testing.T, o *orderv1.Order) map[string]string {
	t.Helper()
	answer, err := s.rewards.ListGrants(context.Background(), &rewardv1.ListGrantsRequest{OrderId: o.GetOrderId()})
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for _, g := range answer.GetGrants() {
		out[g.GetCampaign()] = g.GetOutcome()
	}
	return out
}

// has is how many coupons ann has in a state.
func (s *shop) has(t *testing.T, state couponv1.CouponState) int {
	t.Helper()
	answer, err := s.coupons.ListCoupons(context.Background(),
		&couponv1.ListCouponsRequest{BuyerId: "ann", State: state, PageSize: 100})
	if err != nil {
		t.Fatal(err)
	}
	return len(answer.GetCoupons())
}

// spent of a campaign's budget and of a template's.
func (s *shop) spent(t *testing.T, campaign, template string) (int64, int64) {
	t.Helper()
	c, err := s.rewards.GetCampaign(context.Background(), &rewardv1.GetCampaignRequest{Name: campaign})
	if err != nil {
		t.Fatal(err)
	}
	k, err := s.coupons.GetCouponTemplate(context.Background(), &couponv1.GetCouponTemplateRequest{Name: template})
	if err != nil {
		t.Fatal(err)
	}
	return c.GetCampaign().GetSpent(), k.GetTemplate().GetSpent()
}

const (
	available = couponv1.CouponState_COUPON_STATE_AVAILABLE
	revoked   = couponv1.CouponState_COUPON_STATE_REVOKED
)

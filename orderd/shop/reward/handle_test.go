package reward_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	couponv1 "github.com/orderd-dev/orderd/api/gen/orderd/coupon/v1"
	moneyv1 "github.com/orderd-dev/orderd/api/gen/orderd/money/v1"
	orderv1 "github.com/orderd-dev/orderd/api/gen/orderd/order/v1"
	rewardv1 "github.com/orderd-dev/orderd/api/gen/orderd/reward/v1"
	"github.com/orderd-dev/orderd/orderd/kit/consume"
	"github.com/orderd-dev/orderd/orderd/kit/database"
	"github.com/orderd-dev/orderd/orderd/kit/rpcerr"
	"github.com/orderd-dev/orderd/orderd/shop/coupon"
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
	return database.ExecuteTx(ctx, s.pool, func(tx *database.Tx) error { return s.store.Handle(ctx, tx, events) })
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

func TestAnOrderIsRewardedOnce(t *testing.T) {
	s := newShop(t)
	s.template(t, "thanks", 100, 100)
	s.campaign(t, "spring", "thanks", 100, func(c *rewardv1.Campaign) { c.Quantity = 2 })
	o := s.order("ann")
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			if err := s.handle(o, &orderv1.OrderPaid{Order: o}); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if n := s.has(t, available); n != 2 {
		t.Errorf("ann has %d coupons, want 2", n)
	}
	if diff := cmp.Diff(map[string]string{"spring": "GRANTED"}, s.outcomes(t, o)); diff != "" {
		t.Errorf("outcomes (-want +got):\n%s", diff)
	}
	// A campaign that begins later sees only what is handled later: a replay of the event.
	s.campaign(t, "summer", "thanks", 100, nil)
	s.paid(t, o)
	if n := s.has(t, available); n != 3 {
		t.Errorf("ann has %d coupons, want 3", n)
	}
}

func TestWhyThereIsNoReward(t *testing.T) {
	s := newShop(t)
	s.template(t, "few", 1, 10)
	s.template(t, "one-each", 100, 1)
	s.template(t, "off", 100, 10)
	s.campaign(t, "a-few", "few", 100, nil)
	s.campaign(t, "b-small", "one-each", 1, nil)
	s.campaign(t, "c-each", "one-each", 100, nil)
	s.campaign(t, "d-off", "off", 100, nil)
	s.campaign(t, "e-over", "few", 100, func(c *rewardv1.Campaign) { c.Until = timestamppb.New(s.now) })
	s.campaign(t, "f-two", "one-each", 100, func(c *rewardv1.Campaign) { c.Quantity = 2 })
	if _, err := s.coupons.SwitchCouponTemplate(context.Background(),
		&couponv1.SwitchCouponTemplateRequest{RequestId: "r", Name: "off"}); err != nil {
		t.Fatal(err)
	}
	first, second := s.order("ann"), s.order("bob")
	s.paid(t, first)
	s.paid(t, second)
	want := map[string]string{
		"a-few":   "GRANTED",
		"b-small": "GRANTED",
		"c-each":  "LIMIT_PER_BUYER",
		"d-off":   "TEMPLATE_OFF",
		"f-two":   "LIMIT_PER_BUYER",
	}
	if diff := cmp.Diff(want, s.outcomes(t, first)); diff != "" {
		t.Errorf("ann's (-want +got):\n%s", diff)
	}
	want = map[string]string{
		"a-few":   "COUPON_EXHAUSTED",
		"b-small": "BUDGET_EXHAUSTED",
		"c-each":  "GRANTED",
		"d-off":   "TEMPLATE_OFF",
		"f-two":   "LIMIT_PER_BUYER",
	}
	if diff := cmp.Diff(want, s.outcomes(t, second)); diff != "" {
		t.Errorf("bob's (-want +got):\n%s", diff)
	}
	// What was refused took nothing, neither from the campaign nor from the template.
	for campaign, want := range map[string][2]int64{"a-few": {1, 1}, "c-each": {1, 2}, "d-off": {0, 0}, "f-two": {0, 2}} {
		template := map[string]string{"a-few": "few", "c-each": "one-each", "d-off": "off", "f-two": "one-each"}[campaign]
		if c, k := s.spent(t, campaign, template); c != want[0] || k != want[1] {
			t.Errorf("%s: %d spent, its template %d; want %v", campaign, c, k, want)
		}
	}
}

// Many orders at once, a campaign and an envelope too small for all of them: the budgets hold, and
// what was given sums to what was taken.
func TestBudgetsHoldForManyOrders(t *testing.T) {
	const orders, parts, pool, budget = 60, 20, 999, 30
	s := newShop(t)
	s.template(t, "thanks", 1000, 1000)
	s.put(t, &couponv1.CouponTemplate{
		Name: "lucky", Title: "lucky", Currency: "CNY", Validity: &couponv1.Validity{Days: 7}, LimitPerBuyer: 5,
		Benefit: &couponv1.CouponTemplate_RedEnvelope{RedEnvelope: &couponv1.RedEnvelope{Pool: pool, Parts: parts}},
	})
	s.campaign(t, "envelopes", "lucky", 1000, nil)
	s.campaign(t, "first-come", "thanks", budget, nil)
	var all sync.WaitGroup
	for i := range orders / 10 {
		var events []consume.Event
		for k := range 10 {
			o := s.order(fmt.Sprintf("buyer%d", (10*i+k)%30))
			events = append(events, event(o, &orderv1.OrderPaid{Order: o}))
		}
		// Each of them twice, as after a consumer's death.
		for range 2 {
			all.Go(func() {
				if err := s.handleAll(events...); err != nil {
					t.Error(err)
				}
			})
		}
	}
	all.Wait()
	if c, k := s.spent(t, "envelopes", "lucky"); c != parts || k != parts {
		t.Errorf("envelopes: %d spent, %d parts; want %d", c, k, parts)
	}
	if c, k := s.spent(t, "first-come", "thanks"); c != budget || k != budget {
		t.Errorf("first-come: %d spent, %d coupons; want %d", c, k, budget)
	}
	var sum int64
	if err := s.pool.QueryRow(context.Background(),
		"SELECT sum(amount)::bigint FROM coupons WHERE template = 'lucky'").Scan(&sum); err != nil ||
		sum != pool {
		t.Errorf("the parts sum to %d, %v; want %d", sum, err, pool)
	}
	seen := map[string]bool{}
	var token string
	for page := 0; page == 0 || token != ""; page++ {
		answer, err := s.rewards.ListGrants(context.Background(),
			&rewardv1.ListGrantsRequest{Campaign: "envelopes", PageSize: 7, PageToken: token})
		if err != nil {
			t.Fatal(err)
		}
		for _, g := range answer.GetGrants() {
			seen[g.GetOrderId()] = true
		}
		token = answer.GetNextPageToken()
	}
	if len(seen) != orders {
		t.Errorf("%d orders are listed, want %d", len(seen), orders)
	}
}

// Marketing changes the campaigns while orders are handled: every order is held against one of
// their rules, and none fails.
func TestCampaignsThatChangeMeanwhile(t *testing.T) {
	s := newShop(t)
	s.template(t, "thanks", 1000, 1000)
	names := []string{"a", "b", "c"}
	for _, name := range names {
		s.campaign(t, name, "thanks", 1000, nil)
	}
	var orders []*orderv1.Order
	var all sync.WaitGroup
	for i := range 40 {
		o := s.order("ann")
		orders = append(orders, o)
		all.Go(func() {
			if err := s.handle(o, &orderv1.OrderPaid{Order: o}); err != nil {
				t.Error(err)
			}
		})
		all.Go(func() {
			s.campaign(t, names[i%len(names)], "thanks", int64(1000+i),
				func(c *rewardv1.Campaign) { c.Quantity = int64(1 + i%2) })
		})
	}
	all.Wait()
	for _, o := range orders {
		if diff := cmp.Diff(map[string]string{"a": "GRANTED", "b": "GRANTED", "c": "GRANTED"}, s.outcomes(t, o)); diff != "" {
			t.Errorf("outcomes (-want +got):\n%s", diff)
		}
	}
	for _, name := range names {
		if spent, _ := s.spent(t, name, "thanks"); spent != int64(len(orders)) {
			t.Errorf("%s: %d spent, want %d", name, spent, len(orders))
		}
	}
}

func TestOnlyTheFirstOrder(t *testing.T) {
	s := newShop(t)
	s.template(t, "welcome", 100, 100)
	s.campaign(t, "newcomers", "welcome", 100,
		func(c *rewardv1.Campaign) { c.Condition = &rewardv1.Condition{FirstOrder: true} })
	var all sync.WaitGroup
	for range 6 {
		o := s.order("ann")
		all.Go(func() {
			if err := s.handle(o, &orderv1.OrderPaid{Order: o}); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if n := s.has(t, available); n != 1 {
		t.Errorf("ann has %d coupons for her first order", n)
	}
}

func TestCategoriesComeFromTheCatalog(t *testing.T) {
	s := newShop(t)
	_, err := s.pool.Exec(context.Background(),
		`INSERT INTO skus (sku, title, unit_price, currency, on_sale, category, updated_at)
		VALUES ('tea-1', 'Tea', 100, 'CNY', true, 'tea', now())`)
	if err != nil {
		t.Fatal(err)
	}
	s.template(t, "thanks", 100, 100)
	s.campaign(t, "tea", "thanks", 100,
		func(c *rewardv1.Campaign) { c.Condition = &rewardv1.Condition{Categories: []string{"tea"}} })
	s.campaign(t, "cups", "thanks", 100,
		func(c *rewardv1.Campaign) { c.Condition = &rewardv1.Condition{Categories: []string{"cups"}} })
	o := s.order("ann")
	s.paid(t, o)
	if diff := cmp.Diff(map[string]string{"tea": "GRANTED"}, s.outcomes(t, o)); diff != "" {
		t.Errorf("outcomes (-want +got):\n%s", diff)
	}
}

func TestWhatComesBackWithTheOrder(t *testing.T) {
	refundedInFull := func(o *orderv1.Order) proto.Message {
		o.RefundStatus = orderv1.RefundStatus_REFUND_STATUS_REFUNDED
		return &orderv1.OrderRefunded{Order: o}
	}
	tests := []struct {
		name string
		then func(*orderv1.Order) proto.Message
		want map[couponv1.CouponState]int
	}{
		{
			"cancelled after payment",
			func(o *orderv1.Order) proto.Message { return &orderv1.OrderCancelled{Order: o} },
			map[couponv1.CouponState]int{available: 1, revoked: 1},
		},
		{"refunded in full", refundedInFull, map[couponv1.CouponState]int{available: 1, revoked: 1}},
		{"refunded in part", func(o *orderv1.Order) proto.Message {
			o.RefundStatus = orderv1.RefundStatus_REFUND_STATUS_PARTIALLY_REFUNDED
			return &orderv1.OrderRefunded{Order: o}
		}, map[couponv1.CouponState]int{available: 2, revoked: 0}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := newShop(t)
			s.template(t, "thanks", 100, 100)
			s.campaign(t, "kept", "thanks", 100, nil)
			s.campaign(t, "taken", "thanks", 100, func(c *rewardv1.Campaign) { c.TakenBack = true })
			o := s.order("ann")
			s.paid(t, o)
			for range 2 {
				if err := s.handle(o, test.then(o)); err != nil {
					t.Fatal(err)
				}
			}
			for state, want := range test.want {
				if got := s.has(t, state); got != want {
					t.Errorf("%s: %d coupons, want %d", state, got, want)
				}
			}
		})
	}
	t.Run("the end is heard of before the payment", func(t *testing.T) {
		s := newShop(t)
		s.template(t, "thanks", 100, 100)
		s.campaign(t, "kept", "thanks", 100, nil)
		o := s.order("ann")
		if err := s.handle(o, refundedInFull(o)); err != nil {
			t.Fatal(err)
		}
		s.paid(t, o)
		if n := s.has(t, available); n != 0 {
			t.Errorf("ann has %d coupons", n)
		}
	})
	t.Run("the payment and the end are handled together", func(t *testing.T) {
		s := newShop(t)
		s.template(t, "thanks", 100, 100)
		s.campaign(t, "taken", "thanks", 100, func(c *rewardv1.Campaign) { c.TakenBack = true })
		o, other := s.order("ann"), s.order("bob")
		if err := s.handleAll(event(o, &orderv1.OrderPaid{Order: o}), event(o, &orderv1.OrderPaid{Order: o}),
			event(other, &orderv1.OrderPaid{Order: other}), event(o, refundedInFull(proto.CloneOf(o)))); err != nil {
			t.Fatal(err)
		}
		if a, r := s.has(t, available), s.has(t, revoked); a != 0 || r != 1 {
			t.Errorf("ann has %d coupons, %d were taken back", a, r)
		}
		if diff := cmp.Diff(map[string]string{"taken": "GRANTED"}, s.outcomes(t, other)); diff != "" {
			t.Errorf("bob's (-want +got):\n%s", diff)
		}
	})
	t.Run("an unpaid order that expires", func(t *testing.T) {
		s := newShop(t)
		s.template(t, "thanks", 100, 100)
		s.campaign(t, "kept", "thanks", 100, nil)
		o := s.order("ann")
		unpaid := proto.CloneOf(o)
		unpaid.PaidAt = nil
		if err := s.handle(o, &orderv1.OrderCancelled{Order: unpaid}); err != nil {
			t.Fatal(err)
		}
		// Its payment comes late, and is taken.
		s.paid(t, o)
		if n := s.has(t, available); n != 1 {
			t.Errorf("ann has %d coupons", n)
		}
	})
}

func TestCampaignsAreKeptInBounds(t *testing.T) {
	s := newShop(t)
	s.template(t, "thanks", 100, 100)
	ctx := context.Background()
	upsert := func(id, template string, budget int64) error {
		_, err := s.rewards.UpsertCampaign(ctx, &rewardv1.UpsertCampaignRequest{RequestId: id, Campaign: &rewardv1.Campaign{
			Name:     "c",
			Title:    "c",
			From:     timestamppb.New(s.now),
			Until:    timestamppb.New(s.now.Add(time.Hour)),
			Template: template,
			Quantity: 1,
			Budget:   budget,
		}})
		return err
	}
	if got := rpcerr.Reason(upsert("1", "nothing", 1)); got != "TEMPLATE_NOT_FOUND" {
		t.Errorf("a campaign of nothing: %s", got)
	}
	if err := upsert("2", "thanks", 2); err != nil {
		t.Fatal(err)
	}
	s.paid(t, s.order("ann"))
	s.paid(t, s.order("ann"))
	if got := rpcerr.Reason(upsert("3", "thanks", 1)); got != "BUDGET_SPENT" {
		t.Errorf("a budget below what is spent: %s", got)
	}
	if got := rpcerr.Reason(upsert("2", "thanks", 5)); got != "REQUEST_ID_REUSED" {
		t.Errorf("the id again for something else: %s", got)
	}
	off, err := s.rewards.SwitchCampaign(ctx, &rewardv1.SwitchCampaignRequest{RequestId: "4", Name: "c"})
	if err != nil || off.GetCampaign().GetOn() {
		t.Fatalf("switching off: %v, %v", off, err)
	}
	o := s.order("ann")
	s.paid(t, o)
	if got := s.outcomes(t, o); len(got) > 0 {
		t.Errorf("a campaign that is off: %v", got)
	}
	_, err = s.rewards.SwitchCampaign(ctx, &rewardv1.SwitchCampaignRequest{RequestId: "5", Name: "unknown"})
	if got := rpcerr.Reason(err); got != "CAMPAIGN_NOT_FOUND" {
		t.Errorf("switching nothing: %s", got)
	}
	if _, err := s.pool.Exec(ctx,
		`INSERT INTO reward_campaigns (name, revision, enabled, starts_at, ends_at, rule, created_at, updated_at)
		SELECT 'x' || i::text, 1, true, now(), $1::timestamptz, '', now(), now() FROM generate_series(1, 200) AS s (i)`,
		s.now.Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	_, err = s.rewards.SwitchCampaign(ctx, &rewardv1.SwitchCampaignRequest{RequestId: "6", Name: "c", On: true})
	if got := rpcerr.Reason(err); got != "TOO_MANY_CAMPAIGNS" {
		t.Errorf("one campaign too many: %v", err)
	}
}

func TestCampaignsAreListedByName(t *testing.T) {
	s := newShop(t)
	s.template(t, "thanks", 100, 100)
	for _, name := range []string{"b", "c", "a"} {
		s.campaign(t, name, "thanks", 100, nil)
	}
	var got []string
	var token string
	for page := 0; page == 0 || token != ""; page++ {
		answer, err := s.rewards.ListCampaigns(context.Background(),
			&rewardv1.ListCampaignsRequest{PageSize: 2, PageToken: token})
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range answer.GetCampaigns() {
			got = append(got, c.GetCampaign().GetName())
		}
		token = answer.GetNextPageToken()
	}
	if diff := cmp.Diff([]string{"a", "b", "c"}, got); diff != "" {
		t.Errorf("names (-want +got):\n%s", diff)
	}
	_, err := s.rewards.ListCampaigns(context.Background(), &rewardv1.ListCampaignsRequest{PageToken: "_w"})
	if got := rpcerr.Reason(err); got != "INVALID_PAGE_TOKEN" {
		t.Errorf("a made-up token: %v", err)
	}
	_, err = s.rewards.ListGrants(context.Background(), &rewardv1.ListGrantsRequest{Campaign: "a", PageToken: "YQ"})
	if got := rpcerr.Reason(err); got != "INVALID_PAGE_TOKEN" {
		t.Errorf("a made-up token of grants: %v", err)
	}
}

// BenchmarkHandle grants a coupon for every order, in transactions of Batch events, in two workers.
func BenchmarkHandle(b *testing.B) {
	s := newShop(b)
	s.template(b, "thanks", 1_000_000_000, 1000)
	s.campaign(b, "all", "thanks", 1_000_000_000, nil)
	b.SetParallelism(1)
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for more := true; more; {
			var events []consume.Event
			for range reward.Batch {
				if more = pb.Next(); !more {
					break
				}
				o := s.order(uuid.NewString())
				events = append(events, event(o, &orderv1.OrderPaid{Order: o}))
			}
			if err := s.handleAll(events...); err != nil {
				b.Error(err)
			}
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "orders/s")
}

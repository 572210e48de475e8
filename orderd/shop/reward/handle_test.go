package reward_test

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"google.golang.org/protobuf/types/known/timestamppb"

	couponv1 "github.com/orderd-dev/orderd/api/gen/orderd/coupon/v1"
	orderv1 "github.com/orderd-dev/orderd/api/gen/orderd/order/v1"
	rewardv1 "github.com/orderd-dev/orderd/api/gen/orderd/reward/v1"
	"github.com/orderd-dev/orderd/orderd/kit/consume"
	"github.com/orderd-dev/orderd/orderd/shop/reward"
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

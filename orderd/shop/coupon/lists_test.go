package coupon_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	couponv1 "github.com/orderd-dev/orderd/api/gen/orderd/coupon/v1"
)

// A list has every coupon once, those first that end first, and expired ones are told
// apart by the time alone.
func TestListsByState(t *testing.T) {
	s := newShop(t)
	for i := range 7 {
		name := fmt.Sprintf("t%d", i)
		s.upsert(t, fixed(name, func(t *couponv1.CouponTemplate) { t.Validity.Days = int64(1 + (i*3)%7) }))
		if _, err := s.claim(name, "ann"); err != nil {
			t.Fatal(err)
		}
	}
	s.now = s.now.Add(2*24*time.Hour + time.Hour)
	for state, want := range map[couponv1.CouponState]int{
		couponv1.CouponState_COUPON_STATE_AVAILABLE: 5,
		couponv1.CouponState_COUPON_STATE_EXPIRED:   2,
		couponv1.CouponState_COUPON_STATE_USED:      0,
	} {
		seen := map[string]bool{}
		var token string
		last := time.Time{}
		for page := 0; page == 0 || token != ""; page++ {
			answer, err := s.service.ListCoupons(context.Background(),
				&couponv1.ListCouponsRequest{BuyerId: "ann", State: state, PageSize: 2, PageToken: token})
			if err != nil {
				t.Fatal(err)
			}
			for _, c := range answer.GetCoupons() {
				if c.GetState() != state || seen[c.GetCouponId()] || c.GetValidUntil().AsTime().Before(last) {
					t.Errorf("%s: %v is listed after %v", state, c, last)
				}
				seen[c.GetCouponId()], last = true, c.GetValidUntil().AsTime()
			}
			token = answer.GetNextPageToken()
		}
		if len(seen) != want {
			t.Errorf("%s: %d coupons, want %d", state, len(seen), want)
		}
	}
	for _, token := range []string{"!", "AAAA", "__________________________________8"} {
		_, err := s.service.ListCoupons(context.Background(),
			&couponv1.ListCouponsRequest{BuyerId: "ann", State: 1, PageToken: token})
		wantReason(t, "a made-up token", err, "INVALID_PAGE_TOKEN")
	}
	templates, err := s.service.ListCouponTemplates(context.Background(),
		&couponv1.ListCouponTemplatesRequest{PageSize: 5})
	if err != nil {
		t.Fatal(err)
	}
	rest, err := s.service.ListCouponTemplates(context.Background(),
		&couponv1.ListCouponTemplatesRequest{PageSize: 5, PageToken: templates.GetNextPageToken()})
	if err != nil || len(templates.GetTemplates()) != 5 || len(rest.GetTemplates()) != 2 || rest.GetNextPageToken() != "" {
		t.Errorf("templates: %v, then %v, %v", templates, rest, err)
	}
}

func TestWhatABuyerCanClaim(t *testing.T) {
	s := newShop(t)
	for _, name := range []string{"a", "b", "c", "d"} {
		s.upsert(t, fixed(name, func(t *couponv1.CouponTemplate) { t.Budget.Coupons = 1 }))
	}
	s.upsert(t, fixed("b-granted", func(t *couponv1.CouponTemplate) { t.Claimable = false }))
	s.upsert(t, envelope("lucky", 10, 10))
	if _, err := s.service.SwitchCouponTemplate(context.Background(),
		&couponv1.SwitchCouponTemplateRequest{RequestId: "off", Name: "c"}); err != nil {
		t.Fatal(err)
	}
	for template, buyer := range map[string]string{"a": "ann", "b": "bob"} {
		if _, err := s.claim(template, buyer); err != nil {
			t.Fatal(err)
		}
	}
	type line struct {
		Name      string
		Had       int64
		Exhausted bool
	}
	var got []line
	var token string
	for page := 0; page == 0 || token != ""; page++ {
		answer, err := s.service.ListClaimableCoupons(context.Background(),
			&couponv1.ListClaimableCouponsRequest{BuyerId: "ann", PageSize: 2, PageToken: token})
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range answer.GetCoupons() {
			if c.GetTemplate().GetBudget() != nil || c.GetTemplate().GetRedEnvelope().GetPool() != 0 {
				t.Errorf("buyers see how much there is: %v", c)
			}
			got = append(got, line{c.GetTemplate().GetName(), c.GetHad(), c.GetExhausted()})
		}
		token = answer.GetNextPageToken()
	}
	want := []line{{"a", 1, true}, {"b", 0, true}, {"d", 0, false}, {"lucky", 0, false}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("claimable (-want +got):\n%s", diff)
	}
}

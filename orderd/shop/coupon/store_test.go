package coupon_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/timestamppb"

	couponv1 "github.com/orderd-dev/orderd/api/gen/orderd/coupon/v1"
)

func TestTemplatesChangeAndCouponsKeepTheirTerms(t *testing.T) {
	s := newShop(t)
	created := s.upsert(t, fixed("welcome", nil))
	want := &couponv1.CouponTemplateStatus{Template: fixed("welcome", nil), Revision: 1, On: true, Capacity: 10}
	if diff := cmp.Diff(want, created, protocmp.Transform()); diff != "" {
		t.Errorf("created (-want +got):\n%s", diff)
	}
	if again := s.upsert(t, fixed("welcome", nil)); again.GetRevision() != 1 {
		t.Errorf("the same terms again are revision %d", again.GetRevision())
	}
	first, err := s.claim("welcome", "ann")
	if err != nil {
		t.Fatal(err)
	}
	harder := fixed("welcome", func(t *couponv1.CouponTemplate) {
		t.Threshold, t.Budget = 9000, &couponv1.Budget{Coupons: 100, Money: 500 * 20}
	})
	if changed := s.upsert(t, harder); changed.GetRevision() != 2 || changed.GetCapacity() != 20 ||
		changed.GetSpent() != 1 {
		t.Errorf("changed to %v, want revision 2, of 20 coupons one spent", changed)
	}
	if _, err := s.claim("welcome", "bob"); err != nil {
		t.Fatal(err)
	}
	listed, err := s.service.ListCoupons(context.Background(),
		&couponv1.ListCouponsRequest{BuyerId: "ann", State: couponv1.CouponState_COUPON_STATE_AVAILABLE})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]*couponv1.Coupon{first}, listed.GetCoupons(), protocmp.Transform()); diff != "" {
		t.Errorf("what ann has (-claimed +listed):\n%s", diff)
	}
	if first.GetTerms().GetThreshold() != 0 || first.GetTerms().GetBudget() != nil {
		t.Errorf("ann's terms are %v", first.GetTerms())
	}

	_, err = s.service.UpsertCouponTemplate(
		context.Background(),
		&couponv1.UpsertCouponTemplateRequest{RequestId: "r1", Template: fixed("welcome",
			func(t *couponv1.CouponTemplate) { t.Budget.Coupons = 1 })},
	)
	wantReason(t, "a budget below what is spent", err, "BUDGET_SPENT")
	_, err = s.service.UpsertCouponTemplate(
		context.Background(),
		&couponv1.UpsertCouponTemplateRequest{RequestId: "r2", Template: fixed("welcome",
			func(t *couponv1.CouponTemplate) { t.GetFixed().Amount = 501 })},
	)
	wantReason(t, "another value", err, "TEMPLATE_VALUE_FIXED")
	_, err = s.service.UpsertCouponTemplate(
		context.Background(),
		&couponv1.UpsertCouponTemplateRequest{RequestId: "r3", Template: fixed("poor",
			func(t *couponv1.CouponTemplate) { t.Budget = &couponv1.Budget{Money: 499} })},
	)
	wantReason(t, "a budget of less than one", err, "BUDGET_TOO_SMALL")
}

func TestWhoCanClaim(t *testing.T) {
	s := newShop(t)
	early, late := timestamppb.New(s.now.Add(time.Hour)), timestamppb.New(s.now.Add(-time.Hour))
	tests := []struct {
		name   string
		change func(*couponv1.CouponTemplate)
		want   string
	}{
		{"anybody", nil, ""},
		{"only-granted", func(t *couponv1.CouponTemplate) { t.Claimable = false }, "NOT_CLAIMABLE"},
		{"too-early", func(t *couponv1.CouponTemplate) { t.ClaimFrom = early }, "NOT_CLAIMABLE"},
		{"just-in-time", func(t *couponv1.CouponTemplate) { t.ClaimFrom, t.ClaimUntil = timestamppb.New(s.now), early }, ""},
		{"too-late", func(t *couponv1.CouponTemplate) { t.ClaimUntil = timestamppb.New(s.now) }, "NOT_CLAIMABLE"},
		{
			"of-no-use-any-more",
			func(t *couponv1.CouponTemplate) { t.Validity = &couponv1.Validity{Until: late} },
			"NOT_CLAIMABLE",
		},
		{"for-later", func(t *couponv1.CouponTemplate) { t.Validity = &couponv1.Validity{From: early, Days: 1} }, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s.upsert(t, fixed(test.name, test.change))
			_, err := s.claim(test.name, "ann")
			wantReason(t, "claiming", err, test.want)
		})
	}
	_, err := s.claim("unknown", "ann")
	wantReason(t, "claiming of nothing", err, "TEMPLATE_NOT_FOUND")
	_, err = s.claim("anybody", "ann")
	wantReason(t, "claiming a second", err, "LIMIT_PER_BUYER")

	if _, err := s.service.SwitchCouponTemplate(context.Background(),
		&couponv1.SwitchCouponTemplateRequest{RequestId: "off", Name: "anybody"}); err != nil {
		t.Fatal(err)
	}
	_, err = s.claim("anybody", "bob")
	wantReason(t, "claiming what is off", err, "NOT_CLAIMABLE")
	if _, err := s.service.SwitchCouponTemplate(context.Background(),
		&couponv1.SwitchCouponTemplateRequest{RequestId: "on", Name: "anybody", On: true}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.claim("anybody", "bob"); err != nil {
		t.Errorf("claiming what is on again: %v", err)
	}
}

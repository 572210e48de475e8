package coupon_test

import (
	"strings"
	"testing"

	"buf.build/go/protovalidate"
	"google.golang.org/protobuf/types/known/timestamppb"

	couponv1 "github.com/orderd-dev/orderd/api/gen/orderd/coupon/v1"
)

// What reaches the service makes sense: it relies on it.
func TestWhichTemplatesMakeSense(t *testing.T) {
	tests := []struct {
		name   string
		change func(*couponv1.CouponTemplate)
		// want names the rule that refuses it.
		want string
	}{
		{"a fixed amount", func(*couponv1.CouponTemplate) {}, ""},
		{
			"a red envelope",
			func(t *couponv1.CouponTemplate) { t.Benefit, t.Budget = envelope("x", 3, 3).GetBenefit(), nil },
			"",
		},
		{"free freight up to a cap, for money", func(t *couponv1.CouponTemplate) {
			t.Benefit = &couponv1.CouponTemplate_FreeFreight{FreeFreight: &couponv1.FreeFreight{Cap: 10}}
			t.Budget = &couponv1.Budget{Money: 100}
		}, ""},
		{"no benefit", func(t *couponv1.CouponTemplate) { t.Benefit = nil }, "benefit"},
		{"nothing off", func(t *couponv1.CouponTemplate) { t.GetFixed().Amount = 0 }, "fixed.amount"},
		{"more than all off", func(t *couponv1.CouponTemplate) {
			t.Benefit = &couponv1.CouponTemplate_Percent{Percent: &couponv1.Percent{BasisPoints: 10_001, Cap: 1}}
		}, "basis_points"},
		{"a percentage without a cap", func(t *couponv1.CouponTemplate) {
			t.Benefit = &couponv1.CouponTemplate_Percent{Percent: &couponv1.Percent{BasisPoints: 100}}
		}, "percent.cap"},
		{"all freight there is, for money", func(t *couponv1.CouponTemplate) {
			t.Benefit, t.Budget = &couponv1.CouponTemplate_FreeFreight{
				FreeFreight: &couponv1.FreeFreight{},
			}, &couponv1.Budget{
				Money: 100,
			}
		}, "cap on the freight"},
		{
			"an envelope of less than it has parts",
			func(t *couponv1.CouponTemplate) { t.Benefit, t.Budget = envelope("x", 2, 3).GetBenefit(), nil },
			"one minor unit a part",
		},
		{
			"an envelope with a second budget",
			func(t *couponv1.CouponTemplate) { t.Benefit = envelope("x", 3, 3).GetBenefit() },
			"budget",
		},
		{"no budget", func(t *couponv1.CouponTemplate) { t.Budget = nil }, "budget"},
		{"an empty budget", func(t *couponv1.CouponTemplate) { t.Budget = &couponv1.Budget{} }, "budget"},
		{"valid for ever", func(t *couponv1.CouponTemplate) { t.Validity = &couponv1.Validity{} }, "until, days or both"},
		{"valid for no time", func(t *couponv1.CouponTemplate) {
			t.Validity = &couponv1.Validity{From: timestamppb.Now(), Until: &timestamppb.Timestamp{}}
		}, "until is after from"},
		{"claimed for no time", func(t *couponv1.CouponTemplate) {
			t.ClaimFrom, t.ClaimUntil = timestamppb.Now(), &timestamppb.Timestamp{}
		}, "claim_until is after"},
		{"a name with a NUL", func(t *couponv1.CouponTemplate) { t.Title = "a\x00b" }, "title"},
		{
			"a category twice",
			func(t *couponv1.CouponTemplate) { t.Scope = &couponv1.Scope{Categories: []string{"a", "a"}} },
			"categories",
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			err := protovalidate.Validate(
				&couponv1.UpsertCouponTemplateRequest{RequestId: "r", Template: fixed("x", test.change)},
			)
			if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
				t.Errorf("%v, want one about %q", err, test.want)
			}
		})
	}
}

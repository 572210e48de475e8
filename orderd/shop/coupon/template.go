package coupon

import (
	couponv1 "github.com/orderd-dev/orderd/api/gen/orderd/coupon/v1"
)

// termsOf are a template's terms as Evaluate uses them. The template is valid.
func termsOf(t *couponv1.CouponTemplate, revision int64) *Terms {
	terms := &Terms{
		Template:         t.GetName(),
		Revision:         revision,
		Title:            t.GetTitle(),
		Currency:         t.GetCurrency(),
		Threshold:        t.GetThreshold(),
		Categories:       t.GetScope().GetCategories(),
		SKUs:             t.GetScope().GetSkus(),
		StackingGroup:    t.GetStackingGroup(),
		ReturnedOnCancel: t.GetReturnedOnCancel(),
		ReturnedOnRefund: t.GetReturnedOnRefund(),
		source:           t,
	}
	switch b := t.GetBenefit().(type) {
	case *couponv1.CouponTemplate_Fixed:
		terms.Kind, terms.Amount = Fixed, b.Fixed.GetAmount()
	case *couponv1.CouponTemplate_Percent:
		terms.Kind, terms.BasisPoints, terms.Cap = Percent, b.Percent.GetBasisPoints(), b.Percent.GetCap()
	case *couponv1.CouponTemplate_FreeFreight:
		terms.Kind, terms.Cap = FreeFreight, b.FreeFreight.GetCap()
	case *couponv1.CouponTemplate_RedEnvelope:
		terms.Kind = RedEnvelope
	}
	return terms
}

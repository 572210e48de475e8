package quote

import (
	"errors"
	"time"

	"connectrpc.com/connect/v2"
	"github.com/google/uuid"

	"github.com/orderd-dev/orderd/orderd/kit/rpcerr"
	"github.com/orderd-dev/orderd/orderd/shop/coupon"
)

// discounts are what the named coupons take off each line.
func (f *Facts) discounts(q *Quote, in Input, now time.Time) ([]int64, error) {
	if len(in.CouponIDs) == 0 {
		return make([]int64, len(q.Lines)), nil
	}
	// The freight is not known yet. There must be some, lest a coupon be refused that takes
	// something off it; what it is does not change what is taken off the goods.
	basket := f.basket(q, 0)
	if in.Delivery != nil {
		basket.Freight = 1
	}
	evaluation, err := coupon.Evaluate(f.coupons[in.BuyerID], in.CouponIDs, basket, now)
	if err != nil {
		return nil, couponError(err)
	}
	discounts, _ := evaluation.Discounts(len(q.Lines))
	return discounts, nil
}

// applyCoupons writes down what each coupon does, now that the freight is known, and returns
// what they take off that.
func (f *Facts) applyCoupons(q *Quote, in Input, freight int64, now time.Time) (int64, error) {
	coupons := f.coupons[in.BuyerID]
	if len(coupons) == 0 && len(in.CouponIDs) == 0 {
		return 0, nil
	}
	evaluation, err := coupon.Evaluate(coupons, in.CouponIDs, f.basket(q, freight), now)
	if err != nil {
		return 0, couponError(err)
	}
	for _, a := range evaluation.Applied {
		q.CouponIDs = append(q.CouponIDs, a.ID)
	}
	for _, o := range evaluation.All {
		q.Coupons = append(q.Coupons,
			QuotedCoupon{ID: o.ID, Title: o.Title, Discount: o.Discount, Applied: o.Applied, Unusable: string(o.Unusable)})
	}
	_, off := evaluation.Discounts(len(q.Lines))
	return off, nil
}

func (f *Facts) basket(q *Quote, freight int64) coupon.Basket {
	basket := coupon.Basket{Currency: q.Currency, Freight: freight, Lines: make([]coupon.BasketLine, len(q.Lines))}
	for i, l := range q.Lines {
		basket.Lines[i] = coupon.BasketLine{SKU: l.SKU, Category: f.skus[l.SKU].Category, Amount: l.Amount}
	}
	return basket
}

func couponError(err error) error {
	var unusable *coupon.UnusableError
	if errors.As(err, &unusable) {
		return CouponUnusable(unusable)
	}
	return rpcerr.Internal(err)
}

// CouponUnusable is the error for a coupon that cannot be used for an order.
func CouponUnusable(u *coupon.UnusableError) error {
	metadata := []string{"coupon_id", u.CouponID.String(), "why", string(u.Why)}
	if u.LockedBy != uuid.Nil {
		metadata = append(metadata, "order_id", u.LockedBy.String())
	}
	return rpcerr.New(connect.CodeFailedPrecondition, rpcerr.ReasonCouponUnusable,
		"the coupon cannot be used for this order", metadata...)
}

package coupon_test

import (
	"time"

	"github.com/google/uuid"

	couponv1 "github.com/orderd-dev/orderd/api/gen/orderd/coupon/v1"
	"github.com/orderd-dev/orderd/orderd/shop/coupon"
)

// model is what a journey expects: it predicts every answer.
type model struct {
	templates []*terms
	coupons   []*held
	orders    []*order
	// claims that were answered, to be repeated.
	claims map[*couponv1.ClaimCouponRequest]string
}

type terms struct {
	name               string
	envelope           bool
	pool               int64
	left, limit        int64
	days               int64
	onCancel, onRefund bool
	had                map[string]int64
}

type held struct {
	id         uuid.UUID
	buyer      string
	terms      *terms
	state      coupon.State
	order      uuid.UUID
	amount     int64
	validUntil time.Time
	version    int64
}

func (h *held) to(state coupon.State, order uuid.UUID) {
	h.state, h.order = state, order
	h.version++
}

// refuses says why a buyer's order cannot have the coupon; nil if it can.
func (h *held) refuses(buyer string, now time.Time) *coupon.UnusableError {
	refused := &coupon.UnusableError{CouponID: h.id}
	switch {
	case h.buyer != buyer:
		refused.Why = coupon.NotFound
	case h.state == coupon.Locked:
		refused.Why, refused.LockedBy = coupon.IsLocked, h.order
	case h.state == coupon.Used:
		refused.Why = coupon.IsUsed
	case h.state == coupon.Revoked:
		refused.Why = coupon.IsRevoked
	case !now.Before(h.validUntil):
		refused.Why = coupon.IsExpired
	default:
		return nil
	}
	return refused
}

// order is what the coupons know of one: whether it has ended is the order's own business.
type order struct {
	id      uuid.UUID
	buyer   string
	coupons []*held
}

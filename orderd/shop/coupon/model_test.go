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

// order is what the coupons know of one: whether it has ended is the order's own business.
type order struct {
	id      uuid.UUID
	buyer   string
	coupons []*held
}

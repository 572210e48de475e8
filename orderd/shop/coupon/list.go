package coupon

import (
	"time"

	"github.com/google/uuid"
	"google.golang.org/protobuf/types/known/timestamppb"

	couponv1 "github.com/orderd-dev/orderd/api/gen/orderd/coupon/v1"
	moneyv1 "github.com/orderd-dev/orderd/api/gen/orderd/money/v1"
)

const defaultPageSize = 20

// position is a coupon's place in a list; the zero position is before all.
type position struct {
	validUntil time.Time
	id         uuid.UUID
}

// proto is the state's name in the API.
func (s State) proto() couponv1.CouponState {
	return couponv1.CouponState(couponv1.CouponState_value["COUPON_STATE_"+string(s)])
}

// proto is the coupon as its buyer sees it.
func (c *Coupon) proto(now time.Time) *couponv1.Coupon {
	out := &couponv1.Coupon{
		CouponId:   c.ID.String(),
		BuyerId:    c.BuyerID,
		State:      c.StateAt(now).proto(),
		Terms:      forBuyers(c.Terms.source),
		Revision:   c.Terms.Revision,
		ValidFrom:  timestamppb.New(c.ValidFrom),
		ValidUntil: timestamppb.New(c.ValidUntil),
		ClaimedAt:  timestamppb.New(c.ClaimedAt),
	}
	if amount, fixed := c.takesOff(); fixed {
		out.Amount = &moneyv1.Money{Amount: amount, Currency: c.Terms.Currency}
	}
	if c.OrderID != uuid.Nil {
		out.OrderId = c.OrderID.String()
	}
	return out
}

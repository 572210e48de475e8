package order

import (
	"context"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/orderd-dev/orderd/orderd/shop/coupon"
)

// useCoupons uses the coupons of orders that were paid: those that they hold, and of orders that
// had let go of them those that are still to be had. A late payment's are locked after stock,
// against the order of locks: it is rare, and a deadlock is run again.
func useCoupons(ctx context.Context, tx pgx.Tx, changes []change, at time.Time) error {
	var inTime []uuid.UUID
	var late []coupon.Wish
	for _, c := range changes {
		switch {
		case len(c.order.CouponIDs) == 0:
		case c.event == Pay:
			inTime = append(inTime, c.order.ID)
		case c.event == PayLate:
			late = append(late, coupon.Wish{OrderID: c.order.ID, BuyerID: c.order.BuyerID, CouponIDs: c.order.CouponIDs})
		}
	}
	if len(inTime) > 0 {
		if err := coupon.UseFor(ctx, tx, inTime, at); err != nil {
			return err
		}
	}
	if len(late) > 0 {
		return coupon.RelockFor(ctx, tx, late, at)
	}
	return nil
}

// returnCoupons gives the coupons of orders back that have ended, as their templates say for the
// cause.
func returnCoupons(ctx context.Context, tx pgx.Tx, orders []*Order, at time.Time, cause coupon.Cause) error {
	var ids []uuid.UUID
	for _, o := range orders {
		if len(o.CouponIDs) > 0 {
			ids = append(ids, o.ID)
		}
	}
	if len(ids) == 0 {
		return nil
	}
	return coupon.ReturnFor(ctx, tx, ids, at, cause)
}

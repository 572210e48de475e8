package coupon_test

import (
	"context"
	"testing"

	couponv1 "github.com/orderd-dev/orderd/api/gen/orderd/coupon/v1"
	"github.com/orderd-dev/orderd/orderd/kit/rpcerr"
)

// Another buyer's coupon is not there.
func TestAnothersHistory(t *testing.T) {
	s := newShop(t)
	s.upsert(t, fixed("one", nil))
	claimed, err := s.claim("one", "ann")
	if err != nil {
		t.Fatal(err)
	}
	req := &couponv1.GetCouponHistoryRequest{BuyerId: "ann", CouponId: claimed.GetCouponId()}
	answer, err := s.service.GetCouponHistory(context.Background(), req)
	if err != nil || len(answer.GetChanges()) != 1 || answer.GetChanges()[0].GetEvent() != "claim" {
		t.Errorf("ann's: %v, %v", answer, err)
	}
	req.BuyerId = "bob"
	_, err = s.service.GetCouponHistory(context.Background(), req)
	if got := rpcerr.Reason(err); got != "COUPON_NOT_FOUND" {
		t.Errorf("for bob: %v", err)
	}
}

package order

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/orderd-dev/orderd/orderd/kit/rpcerr"
	"github.com/orderd-dev/orderd/orderd/shop/coupon"
	"github.com/orderd-dev/orderd/orderd/shop/quote"
)

// Of two orders in one transaction that want a coupon the second is told of the first, unless that is not placed
// either: it then never was.
func TestARefusalNamesOnlyOrdersThatArePlaced(t *testing.T) {
	first := &candidate{order: &Order{ID: uuid.UUID{1}}}
	for name, tt := range map[string]struct {
		placed []*candidate
		want   string
	}{
		"the first is placed":     {[]*candidate{first}, first.order.ID.String()},
		"the first is not placed": {nil, ""},
	} {
		r := &placingRun{
			results: make([]placeResult, 2), placed: tt.placed,
			rivals: map[int]*coupon.UnusableError{1: {CouponID: uuid.UUID{9}, Why: coupon.IsLocked, LockedBy: first.order.ID}},
		}
		r.results[1].refused = quote.CouponUnusable(r.rivals[1])
		r.forget()
		metadata := rpcerr.Metadata(r.results[1].refused)
		want := map[string]string{"coupon_id": uuid.UUID{9}.String(), "why": "LOCKED"}
		if tt.want != "" {
			want["order_id"] = tt.want
		}
		if diff := cmp.Diff(want, metadata); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

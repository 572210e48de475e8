package coupon

import (
	"context"
	"time"

	"google.golang.org/protobuf/proto"

	couponv1 "github.com/orderd-dev/orderd/api/gen/orderd/coupon/v1"
	"github.com/orderd-dev/orderd/orderd/shop/coupon/budget"
)

// maxLooked templates are looked at for one page of those that can be claimed.
const maxLooked = 500

// claimable reads a page of the templates behind one that buyers can claim now, and what a buyer
// has had of them. The second result is where the next page goes on; empty at the end.
func (s *Store) claimable(
	ctx context.Context, buyerID, after string, now time.Time, size int,
) ([]*couponv1.ClaimableCoupon, string, error) {
	looked, err := enabledTemplatesAfter(ctx, s.pool, after, maxLooked)
	if err != nil {
		return nil, "", err
	}
	var found []*template
	next := ""
	for i, t := range looked {
		if t.claimableAt(now) {
			found = append(found, t)
		}
		if len(found) == size && i+1 < len(looked) || i+1 == maxLooked {
			next = t.name
			break
		}
	}
	out, err := s.claimables(ctx, buyerID, found)
	return out, next, err
}

func (s *Store) claimables(
	ctx context.Context, buyerID string, found []*template,
) ([]*couponv1.ClaimableCoupon, error) {
	if len(found) == 0 {
		return nil, nil
	}
	owners, names := make([]string, len(found)), make([]string, len(found))
	for i, t := range found {
		owners[i], names[i] = t.owner(), t.name
	}
	levels, err := budget.Levels(ctx, s.pool, owners)
	if err != nil {
		return nil, err
	}
	had, err := s.had(ctx, buyerID, names)
	if err != nil {
		return nil, err
	}
	out := make([]*couponv1.ClaimableCoupon, len(found))
	for i, t := range found {
		l := levels[t.owner()]
		out[i] = &couponv1.ClaimableCoupon{Template: forBuyers(t.source), Had: had[t.name], Exhausted: l.Spent >= l.Capacity}
	}
	return out, nil
}

// forBuyers is a template without how much there is for all buyers together.
func forBuyers(t *couponv1.CouponTemplate) *couponv1.CouponTemplate {
	out := proto.CloneOf(t)
	out.Budget = nil
	if out.GetRedEnvelope() != nil {
		out.Benefit = &couponv1.CouponTemplate_RedEnvelope{RedEnvelope: &couponv1.RedEnvelope{}}
	}
	return out
}

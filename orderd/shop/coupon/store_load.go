package coupon

import (
	"context"

	"github.com/google/uuid"

	"github.com/orderd-dev/orderd/orderd/kit/database"
)

// maxLoaded coupons a buyer are offered for one basket: those whose validity ends last, so that
// what has expired does not push out what has not.
const maxLoaded = 200

// Load reads what Evaluate needs, by buyer: up to 200 coupons of each of the buyers that are
// AVAILABLE, and the named ones whatever their state and whoever's they are, once each. One query;
// for orders that are placed, whose coupons are named, buyers can be nil.
func Load(ctx context.Context, q database.Querier, buyers []string, ids []uuid.UUID) (map[string][]Coupon, error) {
	if len(buyers) == 0 && len(ids) == 0 {
		return nil, nil
	}
	coupons, err := read(ctx, q, `WITH found AS (
			SELECT coupon_id FROM coupons WHERE coupon_id = ANY ($2::uuid[])
			UNION
			SELECT a.coupon_id FROM unnest($1::text[]) AS b (buyer_id) CROSS JOIN LATERAL (
				SELECT coupon_id FROM coupons WHERE coupons.buyer_id = b.buyer_id AND state = 'AVAILABLE'
				ORDER BY valid_until DESC, coupon_id DESC LIMIT $3) AS a
		)
		SELECT `+couponColumns+` FROM found JOIN coupons c ON c.coupon_id = found.coupon_id
			JOIN coupon_terms t ON t.template = c.template AND t.revision = c.revision
		ORDER BY c.buyer_id, c.valid_until, c.coupon_id`, buyers, ids, maxLoaded)
	if err != nil {
		return nil, err
	}
	byBuyer := make(map[string][]Coupon)
	for _, c := range coupons {
		byBuyer[c.BuyerID] = append(byBuyer[c.BuyerID], *c)
	}
	return byBuyer, nil
}

package coupon

import (
	"context"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"google.golang.org/protobuf/proto"

	couponv1 "github.com/orderd-dev/orderd/api/gen/orderd/coupon/v1"
	"github.com/orderd-dev/orderd/orderd/kit/database"
)

// maxLoaded coupons a buyer are offered for one basket: those whose validity ends last, so that
// what has expired does not push out what has not.
const maxLoaded = 200

const couponColumns = `c.coupon_id, c.buyer_id, c.state, c.version, c.amount, c.valid_from, c.valid_until, c.order_id,
	c.claimed_at, c.template, c.revision, t.terms`

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

// read collects the coupons that a query finds. Coupons of the same terms share them.
func read(ctx context.Context, q database.Querier, sql string, args ...any) ([]*Coupon, error) {
	rows, err := q.Query(ctx, sql, args...)
	if err != nil {
		return nil, fmt.Errorf("reading coupons: %w", err)
	}
	type key struct {
		template string
		revision int64
	}
	known := make(map[key]*Terms)
	coupons, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (*Coupon, error) {
		c := &Coupon{}
		var k key
		var orderID *uuid.UUID
		var raw []byte
		if err := row.Scan(&c.ID, &c.BuyerID, &c.State, &c.Version, &c.Amount, &c.ValidFrom, &c.ValidUntil, &orderID,
			&c.ClaimedAt, &k.template, &k.revision, &raw); err != nil {
			return nil, err
		}
		if orderID != nil {
			c.OrderID = *orderID
		}
		if c.Terms = known[k]; c.Terms == nil {
			if c.Terms, err = parseTerms(raw, k.revision); err != nil {
				return nil, err
			}
			known[k] = c.Terms
		}
		return c, nil
	})
	if err != nil {
		return nil, fmt.Errorf("reading coupons: %w", err)
	}
	return coupons, nil
}

func parseTerms(raw []byte, revision int64) (*Terms, error) {
	t := &couponv1.CouponTemplate{}
	if err := proto.Unmarshal(raw, t); err != nil {
		return nil, fmt.Errorf("reading a template's terms: %w", err)
	}
	return termsOf(t, revision), nil
}

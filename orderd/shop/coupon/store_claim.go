package coupon

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// queueCount counts one more coupon for the buyer, or fails the batch with errLimit.
func queueCount(b *pgx.Batch, t *template, buyerID string) {
	b.Queue(`INSERT INTO coupon_claims (buyer_id, template, claimed) VALUES ($1, $2, 1)
		ON CONFLICT (buyer_id, template) DO UPDATE SET claimed = coupon_claims.claimed + 1 WHERE coupon_claims.claimed < $3`,
		buyerID, t.name, t.source.GetLimitPerBuyer()).Exec(func(tag pgconn.CommandTag) error {
		if tag.RowsAffected() == 0 {
			return errLimit
		}
		return nil
	})
}

func queueCoupon(b *pgx.Batch, c *Coupon, part *int64) {
	b.Queue(
		`INSERT INTO coupons (coupon_id, buyer_id, template, revision, state, version, amount, part, valid_from, valid_until, claimed_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)`,
		c.ID,
		c.BuyerID,
		c.Terms.Template,
		c.Terms.Revision,
		string(c.State),
		c.Version,
		c.Amount,
		part,
		c.ValidFrom,
		c.ValidUntil,
		c.ClaimedAt,
	)
}

// had is how many coupons of templates a buyer has had.
func (s *Store) had(ctx context.Context, buyerID string, names []string) (map[string]int64, error) {
	rows, err := s.pool.Query(ctx,
		"SELECT template, claimed FROM coupon_claims WHERE buyer_id = $1 AND template = ANY ($2)", buyerID, names)
	if err != nil {
		return nil, fmt.Errorf("reading what a buyer has claimed: %w", err)
	}
	out := make(map[string]int64, len(names))
	var name string
	var n int64
	_, err = pgx.ForEachRow(rows, []any{&name, &n}, func() error {
		out[name] = n
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("reading what a buyer has claimed: %w", err)
	}
	return out, nil
}

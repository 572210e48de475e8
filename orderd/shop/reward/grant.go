package reward

import (
	"bytes"
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/orderd-dev/orderd/orderd/kit/database"
	"github.com/orderd-dev/orderd/orderd/shop/coupon"
	"github.com/orderd-dev/orderd/orderd/shop/coupon/budget"
)

// What came of an order in a campaign, beside the reasons of coupon.NotGrantedError.
const (
	outcomeGranted         = "GRANTED"
	outcomeRevoked         = "REVOKED"
	outcomeBudgetExhausted = "BUDGET_EXHAUSTED"
)

// actorRewards takes coupons back.
const actorRewards = "rewards"

// grant is what comes of one order in one campaign: a row of reward_grants.
type grant struct {
	campaign *campaign
	to       *paidOrder
	outcome  string
	coupons  []uuid.UUID
	unit     budget.Unit
}

// spendAll takes one from its campaign's budget for each grant, in the order of the campaigns'
// names; only when a bucket is empty and the next has to do can two of them meet in a deadlock,
// which is run again. If one of them has changed since it was read, the error is
// budget.ErrChanged, and nothing was taken; nor is any row of a budget still locked, which whoever
// changes a campaign may be waiting for.
func spendAll(ctx context.Context, tx pgx.Tx, grants []*grant) error {
	return budget.Attempt(func() error {
		return pgx.BeginFunc(ctx, tx, func(savepoint pgx.Tx) error {
			for _, g := range grants {
				unit, err := budget.Take(ctx, savepoint, g.campaign.owner(), g.campaign.revision, bucket(grants))
				g.outcome, g.unit = "", unit
				if errors.Is(err, budget.ErrExhausted) {
					g.outcome = outcomeBudgetExhausted
				} else if err != nil {
					return err
				}
			}
			return nil
		})
	})
}

// grantAll grants the coupons, in the order of their templates' names.
func (s *Store) grantAll(ctx context.Context, tx pgx.Tx, grants []*grant, now time.Time) error {
	byTemplate := slices.Clone(grants)
	slices.SortStableFunc(byTemplate, func(a, b *grant) int {
		return strings.Compare(a.campaign.rule.GetTemplate(), b.campaign.rule.GetTemplate())
	})
	for _, g := range byTemplate {
		if g.outcome != "" {
			continue
		}
		if err := s.grantOne(ctx, tx, g, bucket(grants), now); err != nil {
			return err
		}
	}
	return nil
}

// grantOne grants one order's coupons; if there are none to be had, the campaign gets its own back.
func (s *Store) grantOne(ctx context.Context, tx pgx.Tx, g *grant, bucket uint8, now time.Time) error {
	coupons, err := s.coupons.Grant(ctx, tx, coupon.GrantWish{
		Template: g.campaign.rule.GetTemplate(),
		BuyerID:  g.to.order.GetBuyerId(),
		Quantity: g.campaign.rule.GetQuantity(),
		Bucket:   bucket,
		Actor:    g.campaign.owner(),
		Reason:   "order " + g.to.id.String(),
	}, now)
	var refused *coupon.NotGrantedError
	if errors.As(err, &refused) {
		g.outcome = refused.Why
		return budget.PutBack(ctx, tx, g.campaign.owner(), g.unit)
	}
	g.outcome, g.coupons = outcomeGranted, coupons
	return err
}

// withdraw takes back what the order's campaigns want back, and sees to it that nothing is granted
// any more; reason is the event's type.
func (s *Store) withdraw(ctx context.Context, tx pgx.Tx, orderID uuid.UUID, reason string) error {
	if err := writeWithdrawn(ctx, tx, orderID); err != nil {
		return err
	}
	campaignOf, err := revocable(ctx, tx, orderID)
	if err != nil {
		return err
	}
	all := slices.SortedFunc(maps.Keys(campaignOf), func(a, b uuid.UUID) int { return bytes.Compare(a[:], b[:]) })
	back, err := coupon.RevokeFor(ctx, tx, all, database.Stamp(s.now()), actorRewards, reason)
	if err != nil || len(back) == 0 {
		return err
	}
	campaigns := make([]string, len(back))
	for i, id := range back {
		campaigns[i] = campaignOf[id]
	}
	return writeRevoked(ctx, tx, orderID, campaigns)
}

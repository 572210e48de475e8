package reward

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"google.golang.org/protobuf/types/known/timestamppb"

	rewardv1 "github.com/orderd-dev/orderd/api/gen/orderd/reward/v1"
	"github.com/orderd-dev/orderd/orderd/kit/database"
)

// granted tells which campaigns the orders have been through already.
func granted(ctx context.Context, tx pgx.Tx, paid []*paidOrder) (map[uuid.UUID][]string, error) {
	rows, err := tx.Query(ctx, "SELECT order_id, campaign FROM reward_grants WHERE order_id = ANY ($1)", idsOf(paid))
	if err != nil {
		return nil, fmt.Errorf("reading orders' grants: %w", err)
	}
	had := make(map[uuid.UUID][]string)
	var id uuid.UUID
	var campaign string
	_, err = pgx.ForEachRow(rows, []any{&id, &campaign}, func() error {
		had[id] = append(had[id], campaign)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("reading orders' grants: %w", err)
	}
	return had, nil
}

func writeGrants(ctx context.Context, tx pgx.Tx, grants []*grant, now time.Time) error {
	var b pgx.Batch
	for _, g := range grants {
		ids := g.coupons
		if ids == nil {
			ids = []uuid.UUID{}
		}
		b.Queue(
			`INSERT INTO reward_grants (order_id, campaign, revision, buyer_id, outcome, coupon_ids, taken_back, created_at)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`,
			g.to.id,
			g.campaign.name,
			g.campaign.revision,
			g.to.order.GetBuyerId(),
			g.outcome,
			ids,
			g.campaign.rule.GetTakenBack(),
			now,
		)
	}
	if err := tx.SendBatch(ctx, &b).Close(); err != nil {
		return fmt.Errorf("writing orders' grants: %w", err)
	}
	return nil
}

const selectGrants = "SELECT order_id, campaign, revision, buyer_id, outcome, coupon_ids, created_at FROM reward_grants "

// grantsOfOrder reads an order's grants behind a campaign, by campaign.
func (s *Store) grantsOfOrder(ctx context.Context, orderID, after string, limit int) ([]*rewardv1.Grant, error) {
	const condition = "WHERE order_id = $1 AND campaign > $2 ORDER BY campaign LIMIT $3"
	return readGrants(ctx, s.pool, selectGrants+condition, orderID, after, limit)
}

// grantsOfCampaign reads a campaign's grants behind an order, by order.
func (s *Store) grantsOfCampaign(
	ctx context.Context, campaign string, after uuid.UUID, limit int,
) ([]*rewardv1.Grant, error) {
	const condition = "WHERE campaign = $1 AND order_id > $2 ORDER BY order_id LIMIT $3"
	return readGrants(ctx, s.pool, selectGrants+condition, campaign, after, limit)
}

func readGrants(ctx context.Context, q database.Querier, sql string, args ...any) ([]*rewardv1.Grant, error) {
	rows, err := q.Query(ctx, sql, args...)
	if err != nil {
		return nil, fmt.Errorf("reading grants: %w", err)
	}
	found, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (*rewardv1.Grant, error) {
		g := &rewardv1.Grant{}
		var orderID uuid.UUID
		var coupons []uuid.UUID
		var at time.Time
		if err := row.Scan(&orderID, &g.Campaign, &g.Revision, &g.BuyerId, &g.Outcome, &coupons, &at); err != nil {
			return nil, err
		}
		g.OrderId, g.At = orderID.String(), timestamppb.New(at)
		for _, id := range coupons {
			g.CouponIds = append(g.CouponIds, id.String())
		}
		return g, nil
	})
	if err != nil {
		return nil, fmt.Errorf("reading grants: %w", err)
	}
	return found, nil
}

// revocable are the coupons that an order's campaigns want back, and whose each is.
func revocable(ctx context.Context, tx pgx.Tx, orderID uuid.UUID) (map[uuid.UUID]string, error) {
	rows, err := tx.Query(ctx,
		"SELECT campaign, coupon_ids FROM reward_grants WHERE order_id = $1 AND outcome = $2 AND taken_back",
		orderID, outcomeGranted)
	if err != nil {
		return nil, fmt.Errorf("reading the grants of order %s: %w", orderID, err)
	}
	campaignOf := make(map[uuid.UUID]string)
	var campaign string
	var ids []uuid.UUID
	_, err = pgx.ForEachRow(rows, []any{&campaign, &ids}, func() error {
		for _, id := range ids {
			campaignOf[id] = campaign
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("reading the grants of order %s: %w", orderID, err)
	}
	return campaignOf, nil
}

// writeRevoked stores that what the campaigns granted for an order was taken back.
func writeRevoked(ctx context.Context, tx pgx.Tx, orderID uuid.UUID, campaigns []string) error {
	_, err := tx.Exec(ctx, "UPDATE reward_grants SET outcome = $3 WHERE order_id = $1 AND campaign = ANY ($2)",
		orderID, campaigns, outcomeRevoked)
	if err != nil {
		return fmt.Errorf("writing the grants of order %s: %w", orderID, err)
	}
	return nil
}

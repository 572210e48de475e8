package reward

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// lockOrders makes the orders' rows, or waits for whoever has them, and leaves out the
// orders that have ended.
func lockOrders(ctx context.Context, tx pgx.Tx, paid []*paidOrder) ([]*paidOrder, error) {
	ids := idsOf(paid)
	rows, err := tx.Query(ctx,
		`INSERT INTO reward_orders (order_id, withdrawn) SELECT order_id, false FROM unnest($1::uuid[]) AS o (order_id)
		ON CONFLICT (order_id) DO UPDATE SET withdrawn = reward_orders.withdrawn RETURNING order_id, withdrawn`, ids)
	if err != nil {
		return nil, fmt.Errorf("locking orders' rewards: %w", err)
	}
	withdrawn := make(map[uuid.UUID]bool, len(ids))
	var id uuid.UUID
	var ended bool
	_, err = pgx.ForEachRow(rows, []any{&id, &ended}, func() error {
		withdrawn[id] = ended
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("locking orders' rewards: %w", err)
	}
	return slices.DeleteFunc(paid, func(p *paidOrder) bool { return withdrawn[p.id] }), nil
}

// readCampaignsOf remembers whose first order each is, and reads the campaigns that were on between two
// times, by name, and which of the orders are their buyers' first.
func readCampaignsOf(
	ctx context.Context, tx pgx.Tx, buyers []string, ids []uuid.UUID, earliest, latest time.Time,
) (campaigns []*campaign, first map[uuid.UUID]bool, err error) {
	first = make(map[uuid.UUID]bool, len(ids))
	var b pgx.Batch
	// Nobody could tell later which was the first, so it is kept also where no campaign asks. A
	// buyer's ids rise with time.
	b.Queue(`INSERT INTO reward_first_orders (buyer_id, order_id)
		SELECT buyer_id, order_id FROM unnest($1::text[], $2::uuid[]) AS o (buyer_id, order_id)
		ON CONFLICT (buyer_id) DO NOTHING`, buyers, ids)
	b.Queue("SELECT order_id FROM reward_first_orders WHERE buyer_id = ANY ($1)", buyers).Query(func(rows pgx.Rows) error {
		found, err := pgx.CollectRows(rows, pgx.RowTo[uuid.UUID])
		for _, id := range found {
			first[id] = true
		}
		return err
	})
	b.Queue(`SELECT name, revision, enabled, rule FROM reward_campaigns
		WHERE enabled AND starts_at <= $2 AND ends_at > $1 ORDER BY name`, earliest, latest).Query(func(rows pgx.Rows) error {
		campaigns, err = pgx.CollectRows(rows, scanCampaign)
		return err
	})
	if err := tx.SendBatch(ctx, &b).Close(); err != nil {
		return nil, nil, fmt.Errorf("looking for campaigns: %w", err)
	}
	return campaigns, first, nil
}

// writeWithdrawn keeps anything from being granted for the order any more.
func writeWithdrawn(ctx context.Context, tx pgx.Tx, orderID uuid.UUID) error {
	_, err := tx.Exec(ctx, `INSERT INTO reward_orders (order_id, withdrawn) VALUES ($1, true)
		ON CONFLICT (order_id) DO UPDATE SET withdrawn = true`, orderID)
	if err != nil {
		return fmt.Errorf("ending the rewards of order %s: %w", orderID, err)
	}
	return nil
}

package reward

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"google.golang.org/protobuf/proto"

	orderv1 "github.com/orderd-dev/orderd/api/gen/orderd/order/v1"
	"github.com/orderd-dev/orderd/orderd/kit/consume"
	"github.com/orderd-dev/orderd/orderd/kit/database"
	"github.com/orderd-dev/orderd/orderd/shop/catalog"
	"github.com/orderd-dev/orderd/orderd/shop/coupon/budget"
)

// Batch is how many events one transaction best has: what they take from a budget stays
// locked until its commit.
const Batch = 16

// Types are the events that Handle has to see.
func Types() []string {
	var names []string
	for _, m := range []proto.Message{&orderv1.OrderPaid{}, &orderv1.OrderCancelled{}, &orderv1.OrderRefunded{}} {
		names = append(names, string(m.ProtoReflect().Descriptor().FullName()))
	}
	return names
}

// Handle grants what campaigns promise for paid orders, and takes back what they want back of
// orders that were cancelled after payment or refunded in full. It is a consumer's effect, and
// repeatable: an order gets what a campaign gives once, because it holds the order's row while it
// looks, and (order, campaign) is a key. A budget that is exhausted is no error. The events of an
// order may come in any sequence.
//
// It takes locks in one sequence: buyers' and orders' rows, the campaigns' budgets by name, the
// coupons by their template's name; of a budget, if that has enough, from one bucket.
func (s *Store) Handle(ctx context.Context, tx *database.Tx, events []consume.Event) error {
	var paid []*paidOrder
	var ended []consume.Event
	seen := make(map[uuid.UUID]bool, len(events))
	for _, e := range events {
		switch m := e.Message.(type) {
		case *orderv1.OrderPaid:
			if !seen[e.OrderID] {
				paid = append(paid, &paidOrder{id: e.OrderID, order: m.GetOrder()})
			}
			seen[e.OrderID] = true
		case *orderv1.OrderCancelled:
			if m.GetOrder().GetPaidAt() != nil {
				ended = append(ended, e)
			}
		case *orderv1.OrderRefunded:
			if m.GetOrder().GetRefundStatus() == orderv1.RefundStatus_REFUND_STATUS_REFUNDED {
				ended = append(ended, e)
			}
		}
	}
	if len(paid) > 0 {
		if err := s.reward(ctx, tx, paid); err != nil {
			return err
		}
	}
	for _, e := range ended {
		if err := s.withdraw(ctx, tx, e.OrderID, e.Type); err != nil {
			return err
		}
	}
	return nil
}

// paidOrder is one order that is held against the campaigns.
type paidOrder struct {
	id    uuid.UUID
	order *orderv1.Order
	facts facts
}

func (s *Store) reward(ctx context.Context, tx pgx.Tx, paid []*paidOrder) error {
	campaigns, err := look(ctx, tx, paid)
	if err != nil {
		return err
	}
	// Most orders meet no campaign.
	paid = slices.DeleteFunc(paid, func(p *paidOrder) bool {
		return !slices.ContainsFunc(campaigns, func(c *campaign) bool { return c.met(p.order, p.facts) })
	})
	if len(paid) == 0 {
		return nil
	}
	if paid, err = hold(ctx, tx, paid); err != nil {
		return err
	}
	had, err := granted(ctx, tx, paid)
	if err != nil {
		return err
	}
	grants := matching(campaigns, paid, had)
	err = takeAll(ctx, tx, grants)
	if errors.Is(err, budget.ErrChanged) {
		// Marketing has changed one of the campaigns meanwhile; now it waits for us.
		if campaigns, err = share(ctx, tx, campaigns); err != nil {
			return err
		}
		grants = matching(campaigns, paid, had)
		err = takeAll(ctx, tx, grants)
	}
	if err != nil {
		return err
	}
	now := database.Stamp(s.now())
	if err := s.giveAll(ctx, tx, grants, now); err != nil {
		return err
	}
	return writeGrants(ctx, tx, grants, now)
}

// look reads what the orders have to be held against: the campaigns of the time they were paid in,
// by name, and what the conditions ask for.
func look(ctx context.Context, tx pgx.Tx, paid []*paidOrder) ([]*campaign, error) {
	n := len(paid)
	buyers, ids := make([]string, n), make([]uuid.UUID, n)
	earliest := database.Stamp(paid[0].order.GetPaidAt().AsTime())
	latest := earliest
	for i, p := range paid {
		buyers[i], ids[i] = p.order.GetBuyerId(), p.id
		at := database.Stamp(p.order.GetPaidAt().AsTime())
		if at.Before(earliest) {
			earliest = at
		}
		if at.After(latest) {
			latest = at
		}
	}
	var campaigns []*campaign
	first := make(map[uuid.UUID]bool, n)
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
	b.Queue(
		"SELECT name, revision, enabled, rule FROM reward_campaigns WHERE enabled AND starts_at <= $2 AND ends_at > $1 ORDER BY name",
		earliest,
		latest,
	).
		Query(func(rows pgx.Rows) error {
			var err error
			campaigns, err = pgx.CollectRows(rows, scanCampaign)
			return err
		})
	if err := tx.SendBatch(ctx, &b).Close(); err != nil {
		return nil, fmt.Errorf("looking for campaigns: %w", err)
	}
	categories, err := categoriesOf(ctx, tx, campaigns, paid)
	if err != nil {
		return nil, err
	}
	for _, p := range paid {
		p.facts = facts{first: first[p.id], categories: categories}
	}
	return campaigns, nil
}

// categoriesOf are those of the orders' SKUs, if a campaign asks for any.
func categoriesOf(ctx context.Context, tx pgx.Tx, campaigns []*campaign, paid []*paidOrder) (map[string]string, error) {
	if !asksForCategories(campaigns) {
		return nil, nil
	}
	var skus []string
	for _, p := range paid {
		for _, l := range p.order.GetLines() {
			skus = append(skus, l.GetSku())
		}
	}
	slices.Sort(skus)
	found, err := catalog.Find(ctx, tx, slices.Compact(skus))
	if err != nil {
		return nil, err
	}
	categories := make(map[string]string, len(found))
	for sku, known := range found {
		categories[sku] = known.Category
	}
	return categories, nil
}

// hold makes the orders' rows, or waits for whoever has them, and leaves out the
// orders that have ended.
func hold(ctx context.Context, tx pgx.Tx, paid []*paidOrder) ([]*paidOrder, error) {
	ids := idsOf(paid)
	rows, err := tx.Query(ctx,
		`INSERT INTO reward_orders (order_id, withdrawn) SELECT order_id, false FROM unnest($1::uuid[]) AS o (order_id)
		ON CONFLICT (order_id) DO UPDATE SET withdrawn = reward_orders.withdrawn RETURNING order_id, withdrawn`, ids)
	if err != nil {
		return nil, fmt.Errorf("holding orders' rewards: %w", err)
	}
	withdrawn := make(map[uuid.UUID]bool, len(ids))
	var id uuid.UUID
	var ended bool
	_, err = pgx.ForEachRow(rows, []any{&id, &ended}, func() error {
		withdrawn[id] = ended
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("holding orders' rewards: %w", err)
	}
	return slices.DeleteFunc(paid, func(p *paidOrder) bool { return withdrawn[p.id] }), nil
}

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

func idsOf(paid []*paidOrder) []uuid.UUID {
	ids := make([]uuid.UUID, len(paid))
	for i, p := range paid {
		ids[i] = p.id
	}
	return ids
}

// matching are the campaigns by name, and for each the orders that meet it and have
// not been through it.
func matching(campaigns []*campaign, paid []*paidOrder, had map[uuid.UUID][]string) []*grant {
	var grants []*grant
	for _, c := range campaigns {
		for _, p := range paid {
			if c.met(p.order, p.facts) && !slices.Contains(had[p.id], c.name) {
				grants = append(grants, &grant{campaign: c, to: p})
			}
		}
	}
	return grants
}

// share reads campaigns again, those that are still on, and keeps them from changing.
func share(ctx context.Context, tx pgx.Tx, campaigns []*campaign) ([]*campaign, error) {
	names := make([]string, len(campaigns))
	for i, c := range campaigns {
		names[i] = c.name
	}
	return read(ctx, tx, "WHERE name = ANY ($1) AND enabled ORDER BY name FOR SHARE", names)
}

// bucket is the one of its budgets that a transaction would have for all its grants.
func bucket(grants []*grant) uint8 {
	id := grants[0].to.id
	return id[len(id)-1]
}

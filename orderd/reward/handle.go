package reward

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"google.golang.org/protobuf/proto"

	orderv1 "github.com/orderd-dev/orderd/api/gen/orderd/order/v1"
	"github.com/orderd-dev/orderd/orderd/catalog"
	"github.com/orderd-dev/orderd/orderd/consume"
	"github.com/orderd-dev/orderd/orderd/coupon"
	"github.com/orderd-dev/orderd/orderd/coupon/budget"
)

// What came of an order in a campaign, beside the reasons of coupon.NotGrantedError.
const (
	granted         = "GRANTED"
	revoked         = "REVOKED"
	budgetExhausted = "BUDGET_EXHAUSTED"
)

// actorRewards takes coupons back.
const actorRewards = "rewards"

// Types are the events that Handle has to see.
func Types() []string {
	var names []string
	for _, m := range []proto.Message{&orderv1.OrderPaid{}, &orderv1.OrderCancelled{}, &orderv1.OrderRefunded{}} {
		names = append(names, string(m.ProtoReflect().Descriptor().FullName()))
	}
	return names
}

// Handle grants what campaigns promise for a paid order, and takes back what they want back of an order that was cancelled after
// payment or refunded in full. It is a consumer's effect, and repeatable: an order gets what a campaign gives once, because it holds the order's row while it
// looks, and (order, campaign) is a key. A budget that is exhausted is no error. The events of an order may come in any sequence.
//
// It takes locks in one sequence: the order's row, the campaigns' budgets by name, the coupons by their template's name. A transaction
// that handles several events, one after the other, does not, and may meet a deadlock, which is tried again.
func (s *Store) Handle(ctx context.Context, tx pgx.Tx, e consume.Event) error {
	switch m := e.Message.(type) {
	case *orderv1.OrderPaid:
		return s.reward(ctx, tx, e.OrderID, m.GetOrder())
	case *orderv1.OrderCancelled:
		if m.GetOrder().GetPaidAt() != nil {
			return s.withdraw(ctx, tx, e.OrderID, "order cancelled")
		}
	case *orderv1.OrderRefunded:
		if m.GetOrder().GetRefundStatus() == orderv1.RefundStatus_REFUND_STATUS_REFUNDED {
			return s.withdraw(ctx, tx, e.OrderID, "order refunded")
		}
	}
	return nil
}

// grant is one row of reward_grants.
type grant struct {
	campaign *campaign
	outcome  string
	coupons  []uuid.UUID
	unit     budget.Unit
}

func (s *Store) reward(ctx context.Context, tx pgx.Tx, orderID uuid.UUID, o *orderv1.Order) error {
	campaigns, f, err := s.look(ctx, tx, orderID, o)
	if err != nil {
		return err
	}
	grants := matching(campaigns, o, f)
	if len(grants) == 0 {
		return nil
	}
	withdrawn, err := hold(ctx, tx, orderID, false)
	if err != nil || withdrawn {
		return err
	}
	if grants, err = without(ctx, tx, orderID, grants); err != nil {
		return err
	}
	err = takeAll(ctx, tx, orderID, grants)
	if errors.Is(err, budget.ErrChanged) {
		// Marketing has changed one of the campaigns meanwhile; now it waits for us.
		if campaigns, err = share(ctx, tx, grants); err != nil {
			return err
		}
		grants = matching(campaigns, o, f)
		err = takeAll(ctx, tx, orderID, grants)
	}
	if err != nil {
		return err
	}
	now := stamp(s.now())
	byTemplate := slices.Clone(grants)
	slices.SortStableFunc(byTemplate, func(a, b *grant) int {
		return strings.Compare(a.campaign.rule.GetTemplate(), b.campaign.rule.GetTemplate())
	})
	for _, g := range byTemplate {
		if err := s.give(ctx, tx, g, orderID, o.GetBuyerId(), now); err != nil {
			return err
		}
	}
	return writeGrants(ctx, tx, orderID, o.GetBuyerId(), grants, now)
}

// matching are the campaigns that the order meets.
func matching(campaigns []*campaign, o *orderv1.Order, f facts) []*grant {
	var grants []*grant
	for _, c := range campaigns {
		if c.met(o, f) {
			grants = append(grants, &grant{campaign: c})
		}
	}
	return grants
}

// look reads what the order has to be held against: the campaigns whose time it was paid in, by name, and what their conditions ask for.
func (s *Store) look(ctx context.Context, tx pgx.Tx, orderID uuid.UUID, o *orderv1.Order) ([]*campaign, facts, error) {
	paid := stamp(o.GetPaidAt().AsTime())
	var campaigns []*campaign
	var first uuid.UUID
	var b pgx.Batch
	// Nobody could tell later which was the first, so it is kept also where no campaign asks.
	b.Queue("INSERT INTO reward_first_orders (buyer_id, order_id) VALUES ($1, $2) ON CONFLICT (buyer_id) DO NOTHING", o.GetBuyerId(), orderID)
	b.Queue("SELECT order_id FROM reward_first_orders WHERE buyer_id = $1", o.GetBuyerId()).QueryRow(func(row pgx.Row) error {
		return row.Scan(&first)
	})
	b.Queue("SELECT name, revision, enabled, rule FROM reward_campaigns WHERE enabled AND starts_at <= $1 AND ends_at > $1 ORDER BY name", paid).
		Query(func(rows pgx.Rows) error {
			var err error
			campaigns, err = pgx.CollectRows(rows, scanCampaign)
			return err
		})
	if err := tx.SendBatch(ctx, &b).Close(); err != nil {
		return nil, facts{}, fmt.Errorf("looking for campaigns: %w", err)
	}
	f := facts{first: first == orderID}
	if !asksForCategories(campaigns) {
		return campaigns, f, nil
	}
	skus := make([]string, len(o.GetLines()))
	for i, l := range o.GetLines() {
		skus[i] = l.GetSku()
	}
	found, err := catalog.Find(ctx, tx, skus)
	if err != nil {
		return nil, facts{}, err
	}
	f.categories = make(map[string]string, len(found))
	for sku, known := range found {
		f.categories[sku] = known.Category
	}
	return campaigns, f, nil
}

// hold makes the order's row, or waits for whoever has it, and tells whether the order has ended; withdraw says that it has.
func hold(ctx context.Context, tx pgx.Tx, orderID uuid.UUID, withdraw bool) (bool, error) {
	var withdrawn bool
	err := tx.QueryRow(ctx, `INSERT INTO reward_orders (order_id, withdrawn) VALUES ($1, $2)
		ON CONFLICT (order_id) DO UPDATE SET withdrawn = reward_orders.withdrawn OR excluded.withdrawn RETURNING withdrawn`, orderID, withdraw).Scan(&withdrawn)
	if err != nil {
		return false, fmt.Errorf("holding the rewards of order %s: %w", orderID, err)
	}
	return withdrawn, nil
}

// without leaves out the campaigns that the order has been through already.
func without(ctx context.Context, tx pgx.Tx, orderID uuid.UUID, grants []*grant) ([]*grant, error) {
	rows, err := tx.Query(ctx, "SELECT campaign FROM reward_grants WHERE order_id = $1", orderID)
	if err != nil {
		return nil, fmt.Errorf("reading the grants of order %s: %w", orderID, err)
	}
	had, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, fmt.Errorf("reading the grants of order %s: %w", orderID, err)
	}
	return slices.DeleteFunc(grants, func(g *grant) bool { return slices.Contains(had, g.campaign.name) }), nil
}

// takeAll takes one from each campaign's budget, in the order of the campaigns' names. If one of them has changed since it was
// read, the error is budget.ErrChanged, and nothing was taken.
func takeAll(ctx context.Context, tx pgx.Tx, orderID uuid.UUID, grants []*grant) error {
	for i, g := range grants {
		unit, err := budget.Take(ctx, tx, g.campaign.owner(), g.campaign.revision, orderID[len(orderID)-1])
		switch {
		case err == nil:
			g.unit = unit
		case errors.Is(err, budget.ErrExhausted):
			g.outcome = budgetExhausted
		case errors.Is(err, budget.ErrChanged):
			if undone := putBack(ctx, tx, grants[:i]); undone != nil {
				return undone
			}
			return err
		default:
			return err
		}
	}
	return nil
}

func putBack(ctx context.Context, tx pgx.Tx, grants []*grant) error {
	for _, g := range grants {
		if g.outcome == budgetExhausted {
			continue
		}
		if err := budget.PutBack(ctx, tx, g.campaign.owner(), g.unit); err != nil {
			return err
		}
	}
	return nil
}

// share reads the grants' campaigns again, those that are still on, and keeps them from changing.
func share(ctx context.Context, tx pgx.Tx, grants []*grant) ([]*campaign, error) {
	names := make([]string, len(grants))
	for i, g := range grants {
		names[i] = g.campaign.name
	}
	return read(ctx, tx, "WHERE name = ANY ($1) AND enabled ORDER BY name FOR SHARE", names)
}

// give grants the coupons; if there are none to be had, the campaign gets its own back.
func (s *Store) give(ctx context.Context, tx pgx.Tx, g *grant, orderID uuid.UUID, buyerID string, now time.Time) error {
	if g.outcome != "" {
		return nil
	}
	coupons, err := s.coupons.Grant(ctx, tx, coupon.GrantWish{
		Template: g.campaign.rule.GetTemplate(), BuyerID: buyerID, Quantity: g.campaign.rule.GetQuantity(),
		Actor: g.campaign.owner(), Reason: "order " + orderID.String(),
	}, now)
	var refused *coupon.NotGrantedError
	if errors.As(err, &refused) {
		g.outcome = refused.Why
		return budget.PutBack(ctx, tx, g.campaign.owner(), g.unit)
	}
	g.outcome, g.coupons = granted, coupons
	return err
}

func writeGrants(ctx context.Context, tx pgx.Tx, orderID uuid.UUID, buyerID string, grants []*grant, now time.Time) error {
	var b pgx.Batch
	for _, g := range grants {
		ids := g.coupons
		if ids == nil {
			ids = []uuid.UUID{}
		}
		b.Queue(`INSERT INTO reward_grants (order_id, campaign, revision, buyer_id, outcome, coupon_ids, taken_back, created_at)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`,
			orderID, g.campaign.name, g.campaign.revision, buyerID, g.outcome, ids, g.campaign.rule.GetTakenBack(), now)
	}
	if err := tx.SendBatch(ctx, &b).Close(); err != nil {
		return fmt.Errorf("writing the grants of order %s: %w", orderID, err)
	}
	return nil
}

// withdraw takes back what the order's campaigns want back, and sees to it that nothing is granted any more.
func (s *Store) withdraw(ctx context.Context, tx pgx.Tx, orderID uuid.UUID, reason string) error {
	if _, err := hold(ctx, tx, orderID, true); err != nil {
		return err
	}
	rows, err := tx.Query(ctx, "SELECT campaign, coupon_ids FROM reward_grants WHERE order_id = $1 AND outcome = $2 AND taken_back", orderID, granted)
	if err != nil {
		return fmt.Errorf("reading the grants of order %s: %w", orderID, err)
	}
	campaignOf := make(map[uuid.UUID]string)
	var campaign string
	var ids, all []uuid.UUID
	_, err = pgx.ForEachRow(rows, []any{&campaign, &ids}, func() error {
		for _, id := range ids {
			campaignOf[id] = campaign
		}
		all = append(all, ids...)
		return nil
	})
	if err != nil {
		return fmt.Errorf("reading the grants of order %s: %w", orderID, err)
	}
	back, err := coupon.RevokeFor(ctx, tx, all, stamp(s.now()), actorRewards, reason)
	if err != nil || len(back) == 0 {
		return err
	}
	campaigns := make([]string, len(back))
	for i, id := range back {
		campaigns[i] = campaignOf[id]
	}
	if _, err := tx.Exec(ctx, "UPDATE reward_grants SET outcome = $3 WHERE order_id = $1 AND campaign = ANY ($2)", orderID, campaigns, revoked); err != nil {
		return fmt.Errorf("writing the grants of order %s: %w", orderID, err)
	}
	return nil
}

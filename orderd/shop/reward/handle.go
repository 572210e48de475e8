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
	"github.com/orderd-dev/orderd/orderd/shop/order"
)

// ConsumerName is the name of the consumer whose effect Handle is.
const ConsumerName = "reward"

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
// repeatable: an order gets what a campaign gives once, because the order's row is locked while it
// looks, and (order, campaign) is a key. A budget that is exhausted is no error. The events of an
// order may come in any sequence.
//
// An event is not believed: whoever may publish one could give coupons away. What the order is worth, and
// whose it is, is read from the database; an event that says what is not so there never has an effect.
//
// It takes locks in one sequence: buyers' and orders' rows, the campaigns' budgets by name, the
// coupons by their template's name; of a budget, if that has enough, from one bucket.
func (s *Store) Handle(ctx context.Context, tx *database.Tx, events []consume.Event) error {
	ids := make([]uuid.UUID, len(events))
	for i, e := range events {
		ids[i] = e.OrderID
	}
	orders, err := order.Read(ctx, tx, ids)
	if err != nil {
		return err
	}
	var paid []*paidOrder
	var ended []consume.Event
	seen := make(map[uuid.UUID]bool, len(events))
	for _, e := range events {
		if err := disproved(e, orders[e.OrderID]); err != nil {
			return consume.Permanent(fmt.Errorf("event %s is not believed: %w", e.ID, err))
		}
		switch m := e.Message.(type) {
		case *orderv1.OrderPaid:
			if !seen[e.OrderID] {
				paid = append(paid, &paidOrder{id: e.OrderID, order: orders[e.OrderID]})
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

// disproved says which field of an event is not so in the database; known is the order there, or nil.
func disproved(e consume.Event, known *orderv1.Order) error {
	if known == nil {
		return errors.New("order_id: there is no such order")
	}
	claimed := e.Message.(interface{ GetOrder() *orderv1.Order }).GetOrder()
	if claimed.GetBuyerId() != known.GetBuyerId() {
		return errors.New("buyer_id: the order is another buyer's")
	}
	switch e.Message.(type) {
	case *orderv1.OrderPaid:
		if known.GetPaidAt() == nil {
			return errors.New("paid_at: the order is not paid")
		}
	case *orderv1.OrderCancelled:
		// One that expired may have been paid late, and goes on.
		if claimed.GetPaidAt() != nil && known.GetCancelledAt() == nil {
			return errors.New("cancelled_at: the order is not cancelled")
		}
	case *orderv1.OrderRefunded:
		const refunded = orderv1.RefundStatus_REFUND_STATUS_REFUNDED
		if claimed.GetRefundStatus() == refunded && known.GetRefundStatus() != refunded {
			return errors.New("refund_status: the order is not refunded in full")
		}
	}
	return nil
}

// paidOrder is one order that is compared with the campaigns.
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
	if paid, err = lockOrders(ctx, tx, paid); err != nil {
		return err
	}
	had, err := granted(ctx, tx, paid)
	if err != nil {
		return err
	}
	grants := matching(campaigns, paid, had)
	err = spendAll(ctx, tx, grants)
	if errors.Is(err, budget.ErrChanged) {
		// Marketing has changed one of the campaigns meanwhile; now it waits for us.
		if campaigns, err = share(ctx, tx, campaigns); err != nil {
			return err
		}
		grants = matching(campaigns, paid, had)
		err = spendAll(ctx, tx, grants)
	}
	if err != nil {
		return err
	}
	now := database.Stamp(s.now())
	if err := s.grantAll(ctx, tx, grants, now); err != nil {
		return err
	}
	return writeGrants(ctx, tx, grants, now)
}

// look reads what the orders have to be compared with: the campaigns of the time they were paid in,
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
	campaigns, first, err := readCampaignsOf(ctx, tx, buyers, ids, earliest, latest)
	if err != nil {
		return nil, err
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

// bucket is the one of its budgets that a transaction would have for all its grants.
func bucket(grants []*grant) uint8 {
	id := grants[0].to.id
	return id[len(id)-1]
}

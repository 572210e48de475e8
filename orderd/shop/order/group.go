package order

import (
	"context"
	"slices"

	"github.com/google/uuid"

	orderv1 "github.com/orderd-dev/orderd/api/gen/orderd/order/v1"
)

// Returns knows the returns of orders.
type Returns interface {
	// Open are those of the orders that have a return that has not ended.
	Open(ctx context.Context, orderIDs []uuid.UUID) (map[uuid.UUID]bool, error)
}

// glance is what the groups of an order hang on.
type glance struct {
	id    uuid.UUID
	state State
	paid  bool
	// afterSale is only known where it was looked for.
	afterSale bool
}

// in tells whether the order is in the group.
func (g glance) in(group orderv1.OrderGroup) bool {
	if group == orderv1.OrderGroup_ORDER_GROUP_AFTER_SALE {
		return g.afterSale
	}
	return group == groupOf(g.state)
}

// groupOf is the group that an order is in by its state.
func groupOf(s State) orderv1.OrderGroup {
	switch s {
	case PendingPayment:
		return orderv1.OrderGroup_ORDER_GROUP_TO_PAY
	case Paid:
		return orderv1.OrderGroup_ORDER_GROUP_TO_SHIP
	case Shipped, Delivered:
		return orderv1.OrderGroup_ORDER_GROUP_TO_RECEIVE
	case Completed, Cancelled:
		return orderv1.OrderGroup_ORDER_GROUP_CLOSED
	}
	return orderv1.OrderGroup_ORDER_GROUP_UNSPECIFIED
}

// groups are all there are, in the enum's order.
func groups() []orderv1.OrderGroup {
	var all []orderv1.OrderGroup
	for value := range orderv1.OrderGroup_name {
		if group := orderv1.OrderGroup(value); group != orderv1.OrderGroup_ORDER_GROUP_UNSPECIFIED {
			all = append(all, group)
		}
	}
	slices.Sort(all)
	return all
}

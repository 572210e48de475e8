package order

import (
	"strings"
	"time"

	orderv1 "github.com/orderd-dev/orderd/api/gen/orderd/order/v1"
	"github.com/orderd-dev/orderd/orderd/kit/auth"
)

// change is one order's step in its life cycle, made by step and written by write.
type change struct {
	order         *Order
	event         Event
	from, to      State
	actor, reason string
	at            time.Time
	// version of the order after the step.
	version int64
	about   about
	// alone: no other event tells of it.
	alone bool
	// placed is the event of a placed order, encoded its bytes, where they are there already.
	placed  *orderv1.OrderPlaced
	encoded []byte
}

// about is what the event of a change tells besides the order.
type about struct {
	shipmentID, refundID string
	amount               int64
}

// step takes an order through an event, in memory; who and why go to its history.
func step(o *Order, event Event, at time.Time, actor, reason string) (change, error) {
	to, err := transitions.Next(o.State, event)
	if err != nil {
		return change{}, err
	}
	c := change{
		order:   o,
		event:   event,
		from:    o.State,
		to:      to,
		actor:   actor,
		reason:  reason,
		at:      at,
		version: o.Version + 1,
	}
	o.State = to
	o.Version++
	if c.from == to {
		return c, nil
	}
	switch to {
	case Paid:
		o.PaidAt, o.CancelledAt, o.CancelReason = &at, nil, ""
	case Cancelled:
		o.CancelledAt, o.CancelReason = &at, cancelReason(event, actor, reason)
	case Shipped:
		o.ShippedAt = &at
	case Delivered:
		o.DeliveredAt = &at
	case Completed:
		o.CompletedAt = &at
	}
	return c, nil
}

// cancelReason is what buyers and statistics see of a change's reason, which staff write in their own words where they
// cancel.
func cancelReason(event Event, actor, reason string) string {
	if event == Cancel && strings.HasPrefix(actor, auth.ActorStaff) {
		return reasonStaff
	}
	return reason
}

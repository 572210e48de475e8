package order

import (
	"fmt"

	"github.com/jackc/pgx/v5/pgconn"

	orderv1 "github.com/orderd-dev/orderd/api/gen/orderd/order/v1"
	"github.com/orderd-dev/orderd/orderd/outbox"
)

// The names of the events in their subjects.
const (
	eventPlaced    = "placed"
	eventPaid      = "paid"
	eventCancelled = "cancelled"
)

// published is the change as others learn of it.
func (c change) published() outbox.Event {
	e := outbox.Event{OrderID: c.order.ID, Version: c.order.Version, At: c.at}
	o := c.order.proto()
	switch c.order.State {
	case Paid:
		e.Name, e.Payload = eventPaid, &orderv1.OrderPaid{Order: o}
	case Cancelled:
		e.Name, e.Payload = eventCancelled, &orderv1.OrderCancelled{Order: o}
	default:
		e.Name, e.Payload = eventPlaced, &orderv1.OrderPlaced{Order: o}
	}
	return e
}

// mustChange fails a batch whose statement did not change as many rows as it has to.
func mustChange(rows int) func(pgconn.CommandTag) error {
	return func(tag pgconn.CommandTag) error {
		if tag.RowsAffected() != int64(rows) {
			return fmt.Errorf("%d rows changed, want %d", tag.RowsAffected(), rows)
		}
		return nil
	}
}

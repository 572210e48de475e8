package order

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"google.golang.org/protobuf/proto"

	orderv1 "github.com/orderd-dev/orderd/api/gen/orderd/order/v1"
	"github.com/orderd-dev/orderd/orderd/kit/database"
	"github.com/orderd-dev/orderd/orderd/kit/outbox"
)

// The names of the events in their subjects.
const (
	eventPlaced      = "placed"
	eventPaid        = "paid"
	eventCancelled   = "cancelled"
	eventDeliverySet = "delivery_set"
	eventShipped     = "shipped"
	eventDelivered   = "delivered"
	eventCompleted   = "completed"
	eventGranted     = "refund_granted"
	eventRefunded    = "refunded"
	eventTagged      = "tagged"
	eventNoted       = "noted"
)

// published is the change as others learn of it, and whether they do.
func (c change) published() (outbox.Event, bool) {
	e := outbox.Event{OrderID: c.order.ID, Version: c.version, At: c.at}
	if c.event == GrantRefund && !c.alone {
		// The buyer's money, or the return that asked for it, has an event of its own.
		return e, false
	}
	if c.placed != nil {
		e.Name, e.Payload, e.Encoded = eventPlaced, c.placed, c.encoded
		return e, true
	}
	o, why := c.order.full(), &orderv1.Cause{Actor: c.actor, Reason: c.reason}
	switch c.event {
	case Place:
		e.Name, e.Payload = eventPlaced, &orderv1.OrderPlaced{Order: o}
	case Pay, PayLate:
		e.Name, e.Payload = eventPaid, &orderv1.OrderPaid{Order: o}
	case Cancel, Expire, Withdraw:
		e.Name, e.Payload = eventCancelled, &orderv1.OrderCancelled{Order: o, Cause: why}
	case SetDelivery:
		e.Name, e.Payload = eventDeliverySet, &orderv1.OrderDeliverySet{Order: o, Cause: why}
	case Ship:
		e.Name, e.Payload = eventShipped, &orderv1.OrderShipped{Order: o, ShipmentId: c.about.shipmentID}
	case Arrive, Deliver:
		e.Name, e.Payload = eventDelivered, &orderv1.OrderDelivered{Order: o, ShipmentId: c.about.shipmentID}
	case Confirm, Complete:
		e.Name, e.Payload = eventCompleted, &orderv1.OrderCompleted{Order: o}
	case GrantRefund:
		e.Name, e.Payload = eventGranted, &orderv1.OrderRefundGranted{Order: o, Cause: why}
	case Tag:
		e.Name, e.Payload = eventTagged, &orderv1.OrderTagged{Order: o, Cause: why}
	case AddNote:
		e.Name, e.Payload = eventNoted, &orderv1.OrderNoted{Order: o, Cause: why}
	case Refund:
		e.Name, e.Payload = eventRefunded, &orderv1.OrderRefunded{
			Order:    o,
			RefundId: c.about.refundID,
			Amount:   c.order.money(c.about.amount),
		}
	}
	return e, true
}

// Announce publishes an event about an order whose state it does not change: it raises the order's
// version, which numbers the event. name is its token in the subject (order.events.<name>.<order
// id>), and payload makes it from the order as it then is. The order's row is locked until the
// transaction ends. ErrNotFound if there is no such order.
func (s *Store) Announce(
	ctx context.Context,
	tx pgx.Tx,
	at time.Time,
	orderID uuid.UUID,
	name string,
	payload func(*orderv1.Order) proto.Message,
) error {
	o, err := lockOne(ctx, tx, orderID)
	if err != nil {
		return err
	}
	o.Version++
	var b pgx.Batch
	queueVersion(&b, o)
	err = outbox.Queue(&b,
		[]outbox.Event{{OrderID: o.ID, Version: o.Version, Name: name, Payload: payload(o.full()), At: database.Stamp(at)}})
	if err != nil {
		return err
	}
	if err := tx.SendBatch(ctx, &b).Close(); err != nil {
		return fmt.Errorf("announcing %s of order %s: %w", name, orderID, err)
	}
	return nil
}

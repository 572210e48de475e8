// Package outbox publishes what happened to orders: rows written in the transaction of the change are
// relayed to the JetStream stream ORDER_EVENTS, in order per order, each at least once and with an id
// by which a second time is recognised.
package outbox

import (
	"time"

	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"
)

// Event is one change of an order.
type Event struct {
	OrderID uuid.UUID
	// Version of the order after the change; with the order id it is the event's id.
	Version int64
	// Name is the event's token in its subject: NameOf its payload's type.
	Name string
	// Payload is the protobuf event; its full name is the event's type.
	Payload proto.Message
	// Encoded is the payload as bytes, where they are there already.
	Encoded []byte
	At      time.Time
}

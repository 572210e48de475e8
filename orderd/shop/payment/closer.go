package payment

import (
	"context"

	"github.com/google/uuid"

	orderv1 "github.com/orderd-dev/orderd/api/gen/orderd/order/v1"
	"github.com/orderd-dev/orderd/orderd/kit/consume"
	"github.com/orderd-dev/orderd/orderd/kit/database"
)

// CloserName is the name of the [Closer]'s durable consumer.
const CloserName = "payment"

// Closer is a consumer of orders' events: it has the open payments of cancelled orders closed at
// their providers at once, and not when they would have been asked about anyway.
type Closer struct{ service *Service }

// NewCloser makes the consumer of a service's payments.
func NewCloser(s *Service) *Closer { return &Closer{service: s} }

// Types are the full names of the events that it reads.
func (c *Closer) Types() []string {
	return []string{string((&orderv1.OrderCancelled{}).ProtoReflect().Descriptor().FullName())}
}

// Handle is a [consume.Effect]. A [Poller] does the closing.
func (c *Closer) Handle(ctx context.Context, tx *database.Tx, e consume.Event) error {
	return hurry(ctx, tx, database.Stamp(c.service.now()), []uuid.UUID{e.OrderID})
}

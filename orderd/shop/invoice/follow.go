package invoice

import (
	"context"
	"fmt"

	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"

	orderv1 "github.com/orderd-dev/orderd/api/gen/orderd/order/v1"
	"github.com/orderd-dev/orderd/orderd/kit/consume"
	"github.com/orderd-dev/orderd/orderd/kit/database"
	"github.com/orderd-dev/orderd/orderd/shop/order"
)

// ConsumerName is the name of the consumer whose effect Follow is.
const ConsumerName = "invoice"

// Batch is how many events one transaction best has: most orders have no invoice, and are only read; the others stay
// locked until its commit.
const Batch = 16

// Types are the events that Follow has to see: payments, and whatever gives money back.
func Types() []string {
	var names []string
	for _, m := range []proto.Message{
		&orderv1.OrderPaid{}, &orderv1.OrderCancelled{}, &orderv1.OrderRefundGranted{}, &orderv1.OrderRefunded{},
		&orderv1.OrderReturnChanged{},
	} {
		names = append(names, string(m.ProtoReflect().Descriptor().FullName()))
	}
	return names
}

// Follow makes the invoice that was asked for when an order was placed, once it is paid; ends one that is asked for
// when nothing is left to be on it; and marks one that is issued for more than is left. It is a consumer's effect.
// What the events say is not looked at: events may come in any sequence, more than once, or say what is not so.
func (s *Service) Follow(ctx context.Context, tx *database.Tx, events []consume.Event) error {
	var ids []uuid.UUID
	seen := make(map[uuid.UUID]bool, len(events))
	for _, e := range events {
		if !seen[e.OrderID] {
			seen[e.OrderID] = true
			ids = append(ids, e.OrderID)
		}
	}
	wanted, err := s.concerned(ctx, tx, ids)
	if err != nil {
		return err
	}
	// Events come sorted by order id, which is the sequence of locks.
	for _, id := range wanted {
		if err := s.followOne(ctx, tx, id); err != nil {
			return fmt.Errorf("invoice of order %s: %w", id, err)
		}
	}
	return nil
}

// concerned are those of the orders that have an invoice, or were placed with the wish for one; most have neither,
// and are not locked. What was asked for meanwhile has seen the order as it is.
func (s *Service) concerned(ctx context.Context, tx *database.Tx, ids []uuid.UUID) ([]uuid.UUID, error) {
	orders, err := order.Read(ctx, tx, ids)
	if err != nil {
		return nil, err
	}
	invoices, err := ofOrders(ctx, tx, ids)
	if err != nil {
		return nil, err
	}
	has := make(map[uuid.UUID]bool, len(invoices))
	for _, i := range invoices {
		has[i.OrderID] = true
	}
	var wanted []uuid.UUID
	for _, id := range ids {
		if o := orders[id]; o != nil && (has[id] || o.GetInvoice() != nil) {
			wanted = append(wanted, id)
		}
	}
	return wanted, nil
}

func (s *Service) followOne(ctx context.Context, tx *database.Tx, id uuid.UUID) error {
	o, err := order.Lock(ctx, tx, id)
	if err != nil {
		return err
	}
	had, err := lockAll(ctx, tx, id)
	if err != nil {
		return err
	}
	at, left := database.Stamp(s.now()), leftOf(o)
	if len(had) == 0 {
		if o.Invoice == nil || left <= 0 || !invoiced(o.State) {
			return nil
		}
		_, err := s.create(ctx, tx, at, o, newWish(o.Invoice), actorOrder)
		return err
	}
	open := openOf(had)
	switch {
	case open == nil:
		return nil
	case open.State == Requested && left <= 0:
		w := s.newWork(tx, at, o, open)
		open.Reason = reasonNothingLeft
		if err := w.step(Reject, actorOrder, reasonNothingLeft); err != nil {
			return err
		}
		return w.write(ctx)
	case open.exceeds(left) && !open.Exceeds:
		open.Exceeds = true
		return update(ctx, tx, open, nil)
	}
	return nil
}

package desk

import (
	"context"

	"github.com/google/uuid"

	deskv1 "github.com/orderd-dev/orderd/api/gen/orderd/desk/v1"
	"github.com/orderd-dev/orderd/orderd/shop/invoice"
	"github.com/orderd-dev/orderd/orderd/shop/payment"
	"github.com/orderd-dev/orderd/orderd/shop/returns"
	"github.com/orderd-dev/orderd/orderd/shop/shipment"
)

// beside adds what other domains have of an order.
func (s *Service) beside(ctx context.Context, id uuid.UUID, answer *deskv1.FindOrderResponse) error {
	ids := []uuid.UUID{id}
	payments, err := payment.OfOrders(ctx, s.pool, ids)
	if err != nil {
		return err
	}
	answer.Payments = payments[id]
	if answer.Refunds, err = payment.RefundsOf(ctx, s.pool, id); err != nil {
		return err
	}
	shipments, err := shipment.OfOrders(ctx, s.pool, ids)
	if err != nil {
		return err
	}
	returned, err := returns.OfOrders(ctx, s.pool, ids)
	if err != nil {
		return err
	}
	answer.Shipments, answer.Returns = shipments[id], returned[id]
	answer.Invoices, err = invoice.OfOrder(ctx, s.pool, id)
	return err
}

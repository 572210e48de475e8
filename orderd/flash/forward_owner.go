package flash

import (
	"context"

	"github.com/google/uuid"

	flashv1 "github.com/orderd-dev/orderd/api/gen/orderd/flash/v1"
	"github.com/orderd-dev/orderd/orderd/flash/owner"
	"github.com/orderd-dev/orderd/orderd/flash/sale"
)

// reserveMany has an owner answer requests without waiting for it.
func reserveMany(ctx context.Context, o *owner.Owner, requests []*flashv1.PlaceFlashOrderRequest, answer answerFunc) {
	if many, ok := any(o).(interface {
		ReserveMany(context.Context, []*flashv1.PlaceFlashOrderRequest, func(int, *flashv1.PlaceFlashOrderResponse, error))
	}); ok {
		many.ReserveMany(ctx, requests, answer)
		return
	}
	for i, request := range requests {
		go func() {
			response, err := o.Reserve(ctx, request)
			answer(i, response, err)
		}()
	}
}

// findAt asks an owner for an order by its id.
func findAt(ctx context.Context, o *owner.Owner, request *flashv1.LookupRequest) (*flashv1.LookupResponse, error) {
	id, err := orderID(request.GetOrderId())
	if err != nil {
		return nil, err
	}
	finder, ok := any(o).(interface {
		Find(context.Context, string, uuid.UUID) (*flashv1.Reservation, flashv1.FlashOrderState, error)
	})
	if !ok {
		return nil, sale.PartitionMoving(retryDelay)
	}
	reservation, state, err := finder.Find(ctx, request.GetBuyerId(), id)
	if err != nil {
		return nil, err
	}
	return &flashv1.LookupResponse{Response: &flashv1.GetFlashOrderResponse{State: state}, Reservation: reservation}, nil
}

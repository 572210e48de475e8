package main

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"google.golang.org/protobuf/types/known/timestamppb"

	flashv1 "github.com/orderd-dev/orderd/api/gen/orderd/flash/v1"
	"github.com/orderd-dev/orderd/api/gen/orderd/flash/v1/flashv1connect"
)

// limitPerBuyer of the sold SKU, units.
const limitPerBuyer = 5

// peer is the FlashService that stands in a pod's place; nil for the pod's own.
func peer(ctx context.Context, s spec) (flashv1connect.FlashServiceHandler, error) {
	switch s.Kind {
	case kindPod:
		return nil, nil //nolint:nilnil // None is an answer.
	case kindNoop:
		return newNothing(), nil
	case kindDisk:
		return newDisk(ctx, s.Store)
	case kindRedis:
		return newRecipe(ctx, s.Backend)
	case kindSQL:
		return newTable(ctx, s.Backend)
	default:
		return nil, fmt.Errorf("there is no kind %q", s.Kind)
	}
}

// nothing is the handler that does nothing: it answers at once, as if it had taken the order.
type nothing struct {
	flashv1connect.UnimplementedFlashServiceHandler

	answer *flashv1.PlaceFlashOrderResponse
}

func newNothing() nothing { return nothing{answer: accepted(uuid.New())} }

func (n nothing) PlaceFlashOrder(
	context.Context, *flashv1.PlaceFlashOrderRequest,
) (*flashv1.PlaceFlashOrderResponse, error) {
	return n.answer, nil
}

func accepted(id uuid.UUID) *flashv1.PlaceFlashOrderResponse {
	return &flashv1.PlaceFlashOrderResponse{
		OrderId:    id.String(),
		State:      flashv1.FlashOrderState_FLASH_ORDER_STATE_ACCEPTED,
		AcceptedAt: timestamppb.New(time.Now()),
	}
}

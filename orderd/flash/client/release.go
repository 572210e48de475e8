package client

import (
	"context"
	"fmt"

	"connectrpc.com/connect/v2"
	"github.com/google/uuid"

	flashv1 "github.com/orderd-dev/orderd/api/gen/orderd/flash/v1"
	"github.com/orderd-dev/orderd/api/gen/orderd/flash/v1/flashv1connect"
)

// Releaser gives the stock of cancelled and expired flash orders back to their sale, through any
// pod of the flash pool.
type Releaser struct {
	peers flashv1connect.PeerServiceClient
}

// NewReleaser takes the base URL of the flash pool's PeerService. It connects when it is first used.
func NewReleaser(peerURL string, known ...connect.ClientInterceptor) *Releaser {
	return &Releaser{peers: NewPeerService(NewHTTP(), peerURL, known...)}
}

// Release is idempotent by order id. RELEASED: the stock is back in the sale. CLOSED: the sale
// ended with the order in it, and the stock is the caller's to credit, once. After an error, ask
// again later. A call takes no longer than [Timeout].
func (r *Releaser) Release(
	ctx context.Context, promotionUID, buyerID string, orderID uuid.UUID, reason flashv1.ReleaseReason,
) (flashv1.ReleaseOutcome, error) {
	ctx, cancel := context.WithTimeout(ctx, Timeout)
	defer cancel()
	response, err := r.peers.Release(ctx, &flashv1.ReleaseRequest{
		PromotionUid: promotionUID, BuyerId: buyerID, OrderId: orderID[:], Reason: reason,
	})
	if err != nil {
		return flashv1.ReleaseOutcome_RELEASE_OUTCOME_UNSPECIFIED,
			fmt.Errorf("releasing order %s to its sale: %w", orderID, err)
	}
	return response.GetOutcome(), nil
}

package client

import (
	"context"
	"errors"
	"fmt"

	"connectrpc.com/connect/v2"
	"github.com/google/uuid"
	"github.com/nats-io/nats.go/jetstream"

	flashv1 "github.com/orderd-dev/orderd/api/gen/orderd/flash/v1"
	"github.com/orderd-dev/orderd/api/gen/orderd/flash/v1/flashv1connect"
	"github.com/orderd-dev/orderd/orderd/flash/prepare"
	"github.com/orderd-dev/orderd/orderd/flash/watch"
	"github.com/orderd-dev/orderd/orderd/kit/rpcerr"
)

// findAttempts is how often a question is put: the first may go to a pod that has just gone.
const findAttempts = 2

// Finder asks any pod of the flash pool for orders that it accepted.
type Finder struct {
	peers flashv1connect.PeerServiceClient
	js    jetstream.JetStream
}

// NewFinder takes the base URL of the flash pool's PeerService. It connects when it is first used.
func NewFinder(peerURL string, js jetstream.JetStream, known ...connect.ClientInterceptor) *Finder {
	return &Finder{peers: NewPeerService(NewHTTP(), peerURL, known...), js: js}
}

// Find returns an order with what became of it; nil if no promotion whose log is kept has it. A
// shop may have no flash pods: if none answers, and no promotion was ever prepared or all are gone,
// there is no such order. Any other error leaves it open.
func (f *Finder) Find(ctx context.Context, buyerID string, id uuid.UUID) (*flashv1.FindOrderResponse, error) {
	var err error
	for range findAttempts {
		var found *flashv1.FindOrderResponse
		found, err = f.peers.FindOrder(ctx, &flashv1.FindOrderRequest{BuyerId: buyerID, OrderId: id[:]})
		if err == nil {
			return found, nil
		}
		if rpcerr.Reason(err) == rpcerr.ReasonOrderNotFound {
			return nil, nil
		}
		if ctx.Err() != nil {
			break
		}
	}
	if none, noneErr := f.noPromotions(ctx); none {
		return nil, nil
	} else if noneErr != nil {
		err = errors.Join(err, noneErr)
	}
	return nil, fmt.Errorf("looking for order %s in the flash lane: %w", id, err)
}

// noPromotions tells whether the flash lane has nothing to sell, and nothing that it sold.
func (f *Finder) noPromotions(ctx context.Context) (bool, error) {
	bucket, err := f.js.KeyValue(ctx, prepare.PromotionsBucket)
	if errors.Is(err, jetstream.ErrBucketNotFound) {
		return true, nil
	}
	if err != nil {
		return false, fmt.Errorf("finding the promotions: %w", err)
	}
	none, err := watch.Empty(ctx, bucket)
	if err != nil {
		return false, fmt.Errorf("listing the promotions: %w", err)
	}
	return none, nil
}

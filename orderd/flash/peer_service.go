package flash

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"connectrpc.com/connect/v2"
	"github.com/nats-io/nats.go/jetstream"

	flashv1 "github.com/orderd-dev/orderd/api/gen/orderd/flash/v1"
	"github.com/orderd-dev/orderd/api/gen/orderd/flash/v1/flashv1connect"
	"github.com/orderd-dev/orderd/orderd/flash/owner"
	"github.com/orderd-dev/orderd/orderd/flash/plog"
	"github.com/orderd-dev/orderd/orderd/flash/refusal"
)

// partitionHeader marks a release that a pod forwarded to the owner of the partition: it is not forwarded again.
const partitionHeader = "Orderd-Partition"

// PeerService answers the pool's other pods, and workers.
type PeerService struct {
	pool *Pool
}

var _ flashv1connect.PeerServiceHandler = PeerService{}

// PeerService is for a port that only orderd's own pods reach.
func (p *Pool) PeerService() PeerService { return PeerService{pool: p} }

// mine is the owner of a partition that this pod runs.
func (s PeerService) mine(uid string, n int32) (*owner.Owner, error) {
	promo := s.pool.view.Load().byUID[uid]
	if promo == nil || n < 0 || n >= promo.sale.GetPartitions() {
		return nil, refusal.NotOwner()
	}
	if o := s.pool.local(promo, n); o != nil {
		return o, nil
	}
	return nil, refusal.NotOwner()
}

// Lookup implements PeerService.
func (s PeerService) Lookup(ctx context.Context, request *flashv1.LookupRequest) (*flashv1.LookupResponse, error) {
	o, err := s.mine(request.GetPromotionUid(), request.GetPartition())
	if err != nil {
		return nil, err
	}
	if request.GetRequest() == nil {
		return findAt(ctx, o, request)
	}
	response, err := o.Lookup(ctx, request.GetRequest())
	if err != nil {
		return nil, err
	}
	return &flashv1.LookupResponse{Response: response}, nil
}

// Transfer implements PeerService.
func (s PeerService) Transfer(ctx context.Context, request *flashv1.TransferRequest) (*flashv1.TransferResponse, error) {
	o, err := s.mine(request.GetPromotionUid(), request.GetFromPartition())
	if err != nil {
		return nil, err
	}
	return o.Transfer(ctx, request)
}

// Release implements PeerService.
func (s PeerService) Release(ctx context.Context, request *flashv1.ReleaseRequest) (*flashv1.ReleaseResponse, error) {
	id, err := orderID(request.GetOrderId())
	if err != nil {
		return nil, err
	}
	promo := s.pool.view.Load().byUID[request.GetPromotionUid()]
	if promo == nil {
		return s.pool.releaseUnknown(ctx, request.GetPromotionUid())
	}
	here := func(ctx context.Context, o *owner.Owner) (*flashv1.ReleaseResponse, error) {
		outcome, err := o.Release(ctx, id, request.GetReason())
		if err != nil {
			return nil, err
		}
		return &flashv1.ReleaseResponse{Outcome: outcome}, nil
	}
	if call, ok := connect.CallInfoForServerContext(ctx); ok && call.RequestHeader().Has(partitionHeader) {
		n, err := strconv.ParseInt(call.RequestHeader().Get(partitionHeader), 10, 32)
		if err != nil {
			return nil, refusal.NotOwner()
		}
		o, err := s.mine(request.GetPromotionUid(), int32(n))
		if err != nil {
			return nil, err
		}
		return here(ctx, o)
	}
	// The order is in one of the promotion's streams; the owners of the others do not know it.
	return ask(ctx, s.pool.buyersPartitions(promo, request.GetBuyerId()), func(ctx context.Context, at question) (*flashv1.ReleaseResponse, error) {
		return again(ctx, s.pool, promo, at.partition, here, func(ctx context.Context, client flashv1connect.PeerServiceClient) (*flashv1.ReleaseResponse, error) {
			ctx, call := connect.NewClientContext(ctx)
			call.RequestHeader().Set(partitionHeader, strconv.Itoa(int(at.partition)))
			return client.Release(ctx, request)
		})
	})
}

// releaseUnknown is for a promotion that has no key. If its stream is gone as well, the sale was settled
// with the order in it; else the promotion comes or goes at this moment.
func (p *Pool) releaseUnknown(ctx context.Context, uid string) (*flashv1.ReleaseResponse, error) {
	if !p.view.Load().synced {
		return nil, refusal.PartitionMoving(p.jitter(retryDelay))
	}
	_, err := p.JetStream.Stream(ctx, plog.StreamNames(uid, 1)[0])
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return &flashv1.ReleaseResponse{Outcome: flashv1.ReleaseOutcome_RELEASE_OUTCOME_CLOSED}, nil
	}
	if err != nil {
		p.Logger.Warn("release of an unknown promotion", "promotion", uid, "error", fmt.Errorf("finding its stream: %w", err))
	}
	return nil, refusal.PartitionMoving(p.jitter(retryDelay))
}

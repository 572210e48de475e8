package pod

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"time"

	"connectrpc.com/connect/v2"
	"github.com/google/uuid"
	"github.com/nats-io/nats.go/jetstream"
	"google.golang.org/protobuf/types/known/timestamppb"

	flashv1 "github.com/orderd-dev/orderd/api/gen/orderd/flash/v1"
	"github.com/orderd-dev/orderd/api/gen/orderd/flash/v1/flashv1connect"
	"github.com/orderd-dev/orderd/orderd/flash/owner"
	"github.com/orderd-dev/orderd/orderd/flash/plog"
	"github.com/orderd-dev/orderd/orderd/flash/refusal"
	"github.com/orderd-dev/orderd/orderd/flash/route"
	"github.com/orderd-dev/orderd/orderd/kit/rpcerr"
)

// partitionHeader marks a release that a pod forwarded to the owner of the partition: it is
// not forwarded again.
const partitionHeader = "Orderd-Partition"

// PeerService answers the pool's other pods, and workers. Get it from [Pod.PeerService].
type PeerService struct {
	views   *views
	owners  *ownerSet
	router  *route.Router
	streams *callStreams
	// ready is [Pod.Ready].
	ready func() error
	js    jetstream.JetStream
	log   *slog.Logger
}

var _ flashv1connect.PeerServiceHandler = (*PeerService)(nil)

// localOwner is the owner of a partition that this pod runs.
func (s *PeerService) localOwner(uid string, n int32) (*owner.Owner, error) {
	if promo := s.views.load().byUID[uid]; promo != nil {
		if target, ok := promo.Target(n); ok {
			if o := s.owners.local(target); o != nil {
				return o, nil
			}
		}
	}
	return nil, refusal.NotOwner()
}

// Lookup implements PeerService.
func (s *PeerService) Lookup(ctx context.Context, request *flashv1.LookupRequest) (*flashv1.LookupResponse, error) {
	o, err := s.localOwner(request.GetPromotionUid(), request.GetPartition())
	if err != nil {
		return nil, err
	}
	if request.GetRequest() == nil {
		return lookUpByID(ctx, o, request)
	}
	response, err := o.Lookup(ctx, request.GetRequest())
	if err != nil {
		return nil, err
	}
	return &flashv1.LookupResponse{Response: response}, nil
}

// Transfer implements PeerService.
func (s *PeerService) Transfer(
	ctx context.Context, request *flashv1.TransferRequest,
) (*flashv1.TransferResponse, error) {
	o, err := s.localOwner(request.GetPromotionUid(), request.GetFromPartition())
	if err != nil {
		return nil, err
	}
	return o.Transfer(ctx, request)
}

// FindOrder implements PeerService.
func (s *PeerService) FindOrder(
	ctx context.Context, request *flashv1.FindOrderRequest,
) (*flashv1.FindOrderResponse, error) {
	if _, err := orderID(request.GetOrderId()); err != nil {
		return nil, err
	}
	// A pod that is not ready may lack promotions that others sell.
	if err := s.ready(); err != nil && !errors.Is(err, ErrDraining) {
		return nil, s.router.Moving()
	}
	var targets []route.Target
	for _, promo := range s.views.load().byUID {
		if promo.GetOpen() || promo.GetClosed() {
			targets = append(targets, promo.BuyersPartitions(request.GetBuyerId())...)
		}
	}
	found, err := route.AskAny(ctx, targets,
		func(ctx context.Context, target route.Target) (*flashv1.FindOrderResponse, error) {
			return s.findAt(ctx, target, request)
		})
	if err != nil && rpcerr.Reason(err) != rpcerr.ReasonOrderNotFound {
		return nil, s.router.Moving()
	}
	return found, err
}

// findAt asks the owner of a partition for an order.
func (s *PeerService) findAt(
	ctx context.Context, target route.Target, request *flashv1.FindOrderRequest,
) (*flashv1.FindOrderResponse, error) {
	promo := target.Placed
	lookup := &flashv1.LookupRequest{
		PromotionUid: promo.GetUid(), Partition: target.Partition,
		BuyerId: request.GetBuyerId(), OrderId: request.GetOrderId(),
	}
	response, err := route.Ask(ctx, s.router, target, route.Question[*flashv1.LookupResponse]{
		ToOwner: func(ctx context.Context, o *owner.Owner) (*flashv1.LookupResponse, error) {
			return lookUpByID(ctx, o, lookup)
		},
		ToPeer: func(ctx context.Context, peer flashv1connect.PeerServiceClient) (*flashv1.LookupResponse, error) {
			return peer.Lookup(ctx, lookup)
		},
	})
	if err != nil {
		return nil, err
	}
	return &flashv1.FindOrderResponse{
		PromotionUid: promo.GetUid(), Promotion: promo.GetName(),
		Reservation: response.GetReservation(), State: response.GetResponse().GetState(),
	}, nil
}

func orderID(raw []byte) (uuid.UUID, error) {
	id, err := uuid.FromBytes(raw)
	if err != nil {
		return id, invalid("order_id", "must be 16 bytes")
	}
	return id, nil
}

// lookUpByID asks an owner for an order by its id.
func lookUpByID(ctx context.Context, o *owner.Owner, request *flashv1.LookupRequest) (*flashv1.LookupResponse, error) {
	id, err := orderID(request.GetOrderId())
	if err != nil {
		return nil, err
	}
	reservation, state, err := o.Find(ctx, request.GetBuyerId(), id)
	if err != nil {
		return nil, err
	}
	return &flashv1.LookupResponse{
		Response: &flashv1.GetFlashOrderResponse{
			OrderId: id.String(), State: state,
			AcceptedAt: timestamppb.New(time.UnixMilli(reservation.GetAcceptedAtUnixMs())),
		},
		Reservation: reservation,
	}, nil
}

// Release implements PeerService.
func (s *PeerService) Release(ctx context.Context, request *flashv1.ReleaseRequest) (*flashv1.ReleaseResponse, error) {
	id, err := orderID(request.GetOrderId())
	if err != nil {
		return nil, err
	}
	promo := s.views.load().byUID[request.GetPromotionUid()]
	if promo == nil {
		return s.releaseUnknown(ctx, request.GetPromotionUid())
	}
	toOwner := func(ctx context.Context, o *owner.Owner) (*flashv1.ReleaseResponse, error) {
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
		o, err := s.localOwner(request.GetPromotionUid(), int32(n))
		if err != nil {
			return nil, err
		}
		return toOwner(ctx, o)
	}
	// The order is in one of the promotion's streams; the owners of the others do not know it.
	targets := promo.BuyersPartitions(request.GetBuyerId())
	return route.AskAny(ctx, targets, func(ctx context.Context, target route.Target) (*flashv1.ReleaseResponse, error) {
		return route.Ask(ctx, s.router, target, route.Question[*flashv1.ReleaseResponse]{
			ToOwner: toOwner,
			ToPeer: func(ctx context.Context, peer flashv1connect.PeerServiceClient) (*flashv1.ReleaseResponse, error) {
				ctx, call := connect.NewClientContext(ctx)
				call.RequestHeader().Set(partitionHeader, strconv.Itoa(int(target.Partition)))
				return peer.Release(ctx, request)
			},
		})
	})
}

// releaseUnknown is for a promotion that has no key. If its stream is gone as well, the sale was
// settled with the order in it; else the promotion comes or goes at this moment.
func (s *PeerService) releaseUnknown(ctx context.Context, uid string) (*flashv1.ReleaseResponse, error) {
	if !s.views.load().synced {
		return nil, s.router.Moving()
	}
	_, err := s.js.Stream(ctx, plog.StreamNames(uid, 1)[0])
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return &flashv1.ReleaseResponse{Outcome: flashv1.ReleaseOutcome_RELEASE_OUTCOME_CLOSED}, nil
	}
	if err != nil {
		s.log.Warn("release of an unknown promotion", "promotion", uid, "error", fmt.Errorf("finding its stream: %w", err))
	}
	return nil, s.router.Moving()
}

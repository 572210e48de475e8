package flash

import (
	"context"
	"errors"
	"sync"
	"time"

	"connectrpc.com/connect/v2"
	"github.com/google/uuid"
	"google.golang.org/protobuf/types/known/timestamppb"

	flashv1 "github.com/orderd-dev/orderd/api/gen/orderd/flash/v1"
	"github.com/orderd-dev/orderd/api/gen/orderd/flash/v1/flashv1connect"
	"github.com/orderd-dev/orderd/orderd/flash/owner"
	"github.com/orderd-dev/orderd/orderd/flash/refusal"
	"github.com/orderd-dev/orderd/orderd/rpcerr"
)

// asksMax is how many owners are asked at once for one order.
const asksMax = 8

// question is for the owner of a partition.
type question struct {
	promotion *placed
	partition int32
}

// buyersPartitions are those that may know an order of the buyer: one of each of the promotion's streams.
func (p *Pool) buyersPartitions(s *placed, buyer string) []question {
	questions := make([]question, max(1, len(s.sale.GetStreams())))
	for k := range questions {
		questions[k] = question{s, s.sale.Partition(buyer, int32(k))}
	}
	return questions
}

// ask puts the questions until one is answered with an order. It is not there only if each said so.
func ask[T any](ctx context.Context, questions []question, put func(context.Context, question) (T, error)) (T, error) {
	if len(questions) == 1 {
		return put(ctx, questions[0])
	}
	asking, cancel := context.WithCancel(ctx)
	defer cancel()
	type answer struct {
		found T
		err   error
	}
	answers := make(chan answer, len(questions))
	slots := make(chan struct{}, asksMax)
	var group sync.WaitGroup
	defer group.Wait()
	group.Go(func() {
		for _, q := range questions {
			slots <- struct{}{}
			group.Go(func() {
				defer func() { <-slots }()
				found, err := put(asking, q)
				answers <- answer{found, err}
			})
		}
	})
	var none T
	var open error
	for range questions {
		a := <-answers
		if a.err == nil {
			cancel()
			return a.found, nil
		}
		if rpcerr.Reason(a.err) != refusal.ReasonOrderNotFound {
			open = a.err
		}
	}
	if open != nil {
		return none, open
	}
	return none, refusal.OrderNotFound()
}

// FindOrder implements PeerService.
func (s PeerService) FindOrder(ctx context.Context, request *flashv1.FindOrderRequest) (*flashv1.FindOrderResponse, error) {
	p := s.pool
	if _, err := orderID(request.GetOrderId()); err != nil {
		return nil, err
	}
	// A pod that is not ready may lack promotions that others sell.
	if err := p.Ready(); err != nil && !errors.Is(err, ErrDraining) {
		return nil, refusal.PartitionMoving(p.jitter(retryDelay))
	}
	var questions []question
	for _, promo := range p.view.Load().byUID {
		if promo.sale.GetOpen() || promo.sale.GetClosed() {
			questions = append(questions, p.buyersPartitions(promo, request.GetBuyerId())...)
		}
	}
	found, err := ask(ctx, questions, func(ctx context.Context, at question) (*flashv1.FindOrderResponse, error) {
		lookup := &flashv1.LookupRequest{
			PromotionUid: at.promotion.sale.GetUid(), Partition: at.partition, BuyerId: request.GetBuyerId(), OrderId: request.GetOrderId(),
		}
		response, err := again(ctx, p, at.promotion, at.partition,
			func(ctx context.Context, o *owner.Owner) (*flashv1.LookupResponse, error) {
				return findAt(ctx, o, lookup)
			},
			func(ctx context.Context, client flashv1connect.PeerServiceClient) (*flashv1.LookupResponse, error) {
				return client.Lookup(ctx, lookup)
			})
		if err != nil {
			return nil, err
		}
		return &flashv1.FindOrderResponse{
			PromotionUid: at.promotion.sale.GetUid(), Promotion: at.promotion.sale.GetName(),
			Reservation: response.GetReservation(), State: response.GetResponse().GetState(),
		}, nil
	})
	if err != nil && rpcerr.Reason(err) != refusal.ReasonOrderNotFound {
		return nil, refusal.PartitionMoving(p.jitter(retryDelay))
	}
	return found, err
}

func orderID(raw []byte) (uuid.UUID, error) {
	id, err := uuid.FromBytes(raw)
	if err != nil {
		return id, rpcerr.New(connect.CodeInvalidArgument, "INVALID_REQUEST", "order_id: must be 16 bytes")
	}
	return id, nil
}

// findAt asks an owner for an order by its id.
func findAt(ctx context.Context, o *owner.Owner, request *flashv1.LookupRequest) (*flashv1.LookupResponse, error) {
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
			OrderId: id.String(), State: state, AcceptedAt: timestamppb.New(time.UnixMilli(reservation.GetAcceptedAtUnixMs())),
		},
		Reservation: reservation,
	}, nil
}

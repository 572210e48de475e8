package flash

import (
	"context"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	flashv1 "github.com/orderd-dev/orderd/api/gen/orderd/flash/v1"
	"github.com/orderd-dev/orderd/api/gen/orderd/flash/v1/flashv1connect"
	moneyv1 "github.com/orderd-dev/orderd/api/gen/orderd/money/v1"
	"github.com/orderd-dev/orderd/orderd/flash/owner"
	"github.com/orderd-dev/orderd/orderd/flash/partition"
	"github.com/orderd-dev/orderd/orderd/flash/sale"
	"github.com/orderd-dev/orderd/orderd/rpcerr"
)

// soldOutTTL is how long GetPromotion shows an item that a partition found sold out as such: releases may
// bring stock back.
const soldOutTTL = time.Second

type soldOutKey struct{ uid, sku string }

// Service is the FlashService of a pod.
type Service struct {
	flashv1connect.UnimplementedFlashServiceHandler
	pool *Pool
}

var _ flashv1connect.FlashServiceHandler = Service{}

// FlashService takes buyers' requests. Requests must be valid by the proto's rules.
func (p *Pool) FlashService() Service { return Service{pool: p} }

// PlaceFlashOrder implements FlashService.
func (s Service) PlaceFlashOrder(ctx context.Context, request *flashv1.PlaceFlashOrderRequest) (*flashv1.PlaceFlashOrderResponse, error) {
	p := s.pool
	promo := p.view.Load().byName[request.GetPromotion()]
	if err := p.refuseEarly(promo, request); err != nil {
		p.metrics.refused.WithLabelValues(rpcerr.Reason(err)).Inc()
		return nil, err
	}
	n, err := promo.sale.Route(request)
	if err != nil {
		return nil, err
	}
	response, err := again(ctx, p, promo, n,
		func(ctx context.Context, o *owner.Owner) (*flashv1.PlaceFlashOrderResponse, error) {
			return o.Reserve(ctx, request)
		},
		func(ctx context.Context, client flashv1connect.PeerServiceClient) (*flashv1.PlaceFlashOrderResponse, error) {
			response, err := client.Reserve(ctx, &flashv1.ReserveRequest{PromotionUid: promo.sale.GetUid(), Partition: n, Request: request})
			return response.GetResponse(), err
		})
	if sku := sale.SoldOutSKU(err); sku != "" {
		p.soldOut.Store(soldOutKey{promo.sale.GetUid(), sku}, p.Clock().Add(soldOutTTL))
	}
	return response, err
}

// refuseEarly is what can be said without the buyer's partition. Once the sale has started only the
// partition knows whether a request is the retry of one that was accepted, which gets its order whatever
// the sale has come to since.
func (p *Pool) refuseEarly(promo *promotion, request *flashv1.PlaceFlashOrderRequest) error {
	if promo == nil {
		return sale.PromotionNotFound()
	}
	if _, err := promo.sale.Route(request); err != nil {
		return err
	}
	if p.Clock().Before(promo.sale.Start()) {
		return sale.NotStarted(promo.sale.Start())
	}
	if !promo.sale.GetOpen() {
		return sale.PartitionMoving(p.jitter(retryDelay))
	}
	return nil
}

func (p *Pool) knownSoldOut(uid, sku string, now time.Time) bool {
	until, ok := p.soldOut.Load(soldOutKey{uid, sku})
	return ok && now.Before(until.(time.Time))
}

// GetFlashOrder implements FlashService.
func (s Service) GetFlashOrder(ctx context.Context, request *flashv1.GetFlashOrderRequest) (*flashv1.GetFlashOrderResponse, error) {
	p := s.pool
	promo := p.view.Load().byName[request.GetPromotion()]
	if promo == nil {
		return nil, sale.PromotionNotFound()
	}
	if !promo.sale.GetOpen() && !promo.sale.GetClosed() {
		return nil, sale.OrderNotFound()
	}
	n := partition.ForBuyer(request.GetBuyerId(), promo.sale.GetPartitions())
	return again(ctx, p, promo, n,
		func(ctx context.Context, o *owner.Owner) (*flashv1.GetFlashOrderResponse, error) {
			return o.Lookup(ctx, request)
		},
		func(ctx context.Context, client flashv1connect.PeerServiceClient) (*flashv1.GetFlashOrderResponse, error) {
			response, err := client.Lookup(ctx, &flashv1.LookupRequest{PromotionUid: promo.sale.GetUid(), Partition: n, Request: request})
			return response.GetResponse(), err
		})
}

// GetPromotion implements FlashService.
func (s Service) GetPromotion(_ context.Context, request *flashv1.GetPromotionRequest) (*flashv1.GetPromotionResponse, error) {
	p := s.pool
	promo := p.view.Load().byName[request.GetPromotion()]
	if promo == nil {
		return nil, sale.PromotionNotFound()
	}
	now := p.Clock()
	response := &flashv1.GetPromotionResponse{
		Promotion: promo.sale.GetName(), Paused: promo.sale.GetPaused(),
		StartTime: timestamppb.New(promo.sale.Start()), EndTime: timestamppb.New(time.UnixMilli(promo.sale.GetEndUnixMs())),
		Items: make([]*flashv1.PromotionItem, len(promo.sale.GetItems())),
	}
	for i, item := range promo.sale.GetItems() {
		response.Items[i] = &flashv1.PromotionItem{
			Sku: item.GetSku(), LimitPerBuyer: item.GetLimitPerBuyer(), Off: item.GetOff(),
			Price:   &moneyv1.Money{Currency: promo.sale.GetCurrency(), Amount: item.GetUnitPrice()},
			SoldOut: p.knownSoldOut(promo.sale.GetUid(), item.GetSku(), now),
		}
	}
	return response, nil
}

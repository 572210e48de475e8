package flash

import (
	"context"
	"strconv"
	"time"

	"connectrpc.com/connect/v2"
	"google.golang.org/protobuf/types/known/timestamppb"

	flashv1 "github.com/orderd-dev/orderd/api/gen/orderd/flash/v1"
	"github.com/orderd-dev/orderd/api/gen/orderd/flash/v1/flashv1connect"
	moneyv1 "github.com/orderd-dev/orderd/api/gen/orderd/money/v1"
	"github.com/orderd-dev/orderd/orderd/flash/owner"
	"github.com/orderd-dev/orderd/orderd/flash/placement"
	"github.com/orderd-dev/orderd/orderd/flash/promotion"
	"github.com/orderd-dev/orderd/orderd/flash/refusal"
	"github.com/orderd-dev/orderd/orderd/rpcerr"
)

// attemptHeader is what Envoy counts the attempts of a request in, the first is 1.
const attemptHeader = "X-Envoy-Attempt-Count"

// Service is the FlashService of a pod.
type Service struct {
	pool *Pool
}

var _ flashv1connect.FlashServiceHandler = Service{}

// FlashService takes buyers' requests. Requests must be valid by the proto's rules; PlaceFlashOrders checks its requests itself.
func (p *Pool) FlashService() Service { return Service{pool: p} }

// PlaceFlashOrder implements FlashService.
func (s Service) PlaceFlashOrder(ctx context.Context, request *flashv1.PlaceFlashOrderRequest) (*flashv1.PlaceFlashOrderResponse, error) {
	p := s.pool
	v := p.view.Load()
	promo := v.byName[request.GetPromotion()]
	now, known := p.now()
	n, err := p.enter(promo, request, now, known, request.GetFirstAttempt() && !triedBefore(ctx))
	if err != nil {
		return nil, err
	}
	if len(v.members) > 1 {
		hint(ctx, promo, n)
	}
	return p.placeOne(ctx, promo, n, request)
}

// triedBefore says that a gateway has tried the request before.
func triedBefore(ctx context.Context) bool {
	call, ok := connect.CallInfoForServerContext(ctx)
	if !ok {
		return false
	}
	attempt := call.RequestHeader().Get(attemptHeader)
	if attempt == "" {
		return false
	}
	n, err := strconv.Atoi(attempt)
	return err != nil || n > 1
}

// hint tells the caller the route of a partition, by which a gateway comes to its owner at once, unless the caller came by it.
func hint(ctx context.Context, s *placed, n int32) {
	call, ok := connect.CallInfoForServerContext(ctx)
	if ok && int(n) < len(s.routes) && call.RequestHeader().Get(placement.RouteHeader) != s.routes[n] {
		call.ResponseHeader().Set(placement.RouteHeader, s.routes[n])
	}
}

// enter is the partition of a request, or a refusal that needs no partition. Counts refusals.
func (p *Pool) enter(s *placed, request *flashv1.PlaceFlashOrderRequest, now time.Time, known, first bool) (int32, error) {
	n, err := p.mayEnter(s, request, now, known, first)
	if err != nil {
		p.metrics.refused.WithLabelValues(rpcerr.Reason(err)).Inc()
	}
	return n, err
}

// mayEnter decides by what any pod knows. Once the sale has started only the partition knows whether a request is the retry of one that was
// accepted, which gets its order whatever the sale has come to since; unless the caller says that it is no retry.
func (p *Pool) mayEnter(s *placed, request *flashv1.PlaceFlashOrderRequest, now time.Time, known, first bool) (int32, error) {
	if s == nil {
		return 0, p.notFound()
	}
	n, err := s.sale.Route(request)
	switch {
	case err != nil:
		return 0, err
	case !known:
		return 0, refusal.PartitionMoving(p.jitter(retryDelay))
	case !s.sale.Started(now):
		return 0, s.sale.NotStarted()
	case !s.sale.GetOpen():
		return 0, refusal.PartitionMoving(p.jitter(retryDelay))
	}
	if first {
		if err := s.sale.Admit(now, request); err != nil {
			return 0, err
		}
		if err := p.knownSoldOut(s.sale, request); err != nil {
			return 0, err
		}
	}
	return n, p.admitted(s.sale, request)
}

// notFound is the refusal of a promotion that the pod does not know. Before it has read them all it may be there.
func (p *Pool) notFound() error {
	if !p.view.Load().synced {
		return refusal.PartitionMoving(p.jitter(retryDelay))
	}
	return p.peers.promotionNotFound
}

// knownSoldOut refuses an item that some pod proved to be sold out.
func (p *Pool) knownSoldOut(s *promotion.Promotion, request *flashv1.PlaceFlashOrderRequest) error {
	for _, item := range request.GetItems() {
		left, ok := p.soldOutMark(s.GetUid(), item.GetSku())
		if !ok || item.GetQuantity() <= left {
			continue
		}
		if i, there := s.Index(item.GetSku()); there && left == 0 {
			return s.SoldOut(i)
		}
		return refusal.SoldOut(item.GetSku(), left)
	}
	return nil
}

// admitted refuses a request without a token for each of its items, where the promotion asks for them.
func (p *Pool) admitted(s *promotion.Promotion, request *flashv1.PlaceFlashOrderRequest) error {
	if !s.GetAdmissionRequired() {
		return nil
	}
	tokens := request.GetAdmissionTokens()
	for _, item := range request.GetItems() {
		if len(tokens) == 0 || p.Admission == nil {
			return refusal.AdmissionRequired(item.GetSku())
		}
		valid := false
		for i := 0; i < len(tokens) && !valid; i++ {
			valid = p.Admission.Valid(s.GetUid(), request.GetBuyerId(), item.GetSku(), tokens[i])
		}
		if !valid {
			return refusal.AdmissionInvalid(item.GetSku())
		}
	}
	return nil
}

// AdmitBuyers implements FlashService.
func (s Service) AdmitBuyers(_ context.Context, request *flashv1.AdmitBuyersRequest) (*flashv1.AdmitBuyersResponse, error) {
	p := s.pool
	promo := p.view.Load().byName[request.GetPromotion()]
	if promo == nil {
		return nil, p.notFound()
	}
	if !promo.sale.GetAdmissionRequired() || p.Admission == nil {
		return nil, refusal.AdmissionNotRequired()
	}
	now, known := p.now()
	if !known {
		return nil, refusal.PartitionMoving(p.jitter(retryDelay))
	}
	if end := time.UnixMilli(promo.sale.GetAdmissionEndUnixMs()).UTC(); !now.Before(end) {
		return nil, refusal.AdmissionClosed(end)
	}
	response := &flashv1.AdmitBuyersResponse{Tokens: make([]string, len(request.GetAdmissions()))}
	for i, admission := range request.GetAdmissions() {
		if promo.sale.Item(admission.GetSku()) == nil {
			return nil, refusal.ItemNotFound(admission.GetSku())
		}
		response.Tokens[i] = p.Admission.Token(promo.sale.GetUid(), admission.GetBuyerId(), admission.GetSku())
	}
	return response, nil
}

// GetFlashOrder implements FlashService. A request id is unique within a stream, so the buyer's partition of each is asked.
func (s Service) GetFlashOrder(ctx context.Context, request *flashv1.GetFlashOrderRequest) (*flashv1.GetFlashOrderResponse, error) {
	p := s.pool
	promo := p.view.Load().byName[request.GetPromotion()]
	if promo == nil {
		return nil, p.notFound()
	}
	if !promo.sale.GetOpen() && !promo.sale.GetClosed() {
		return nil, refusal.OrderNotFound()
	}
	return ask(ctx, p.buyersPartitions(promo, request.GetBuyerId()), func(ctx context.Context, at question) (*flashv1.GetFlashOrderResponse, error) {
		if len(promo.sale.GetStreams()) <= 1 {
			hint(ctx, at.promotion, at.partition)
		}
		return again(ctx, p, at.promotion, at.partition,
			func(ctx context.Context, o *owner.Owner) (*flashv1.GetFlashOrderResponse, error) {
				return o.Lookup(ctx, request)
			},
			func(ctx context.Context, client flashv1connect.PeerServiceClient) (*flashv1.GetFlashOrderResponse, error) {
				response, err := client.Lookup(ctx, &flashv1.LookupRequest{PromotionUid: at.promotion.sale.GetUid(), Partition: at.partition, Request: request})
				return response.GetResponse(), err
			})
	})
}

// GetPromotion implements FlashService.
func (s Service) GetPromotion(_ context.Context, request *flashv1.GetPromotionRequest) (*flashv1.GetPromotionResponse, error) {
	p := s.pool
	promo := p.view.Load().byName[request.GetPromotion()]
	if promo == nil {
		return nil, p.notFound()
	}
	response := &flashv1.GetPromotionResponse{
		Promotion: promo.sale.GetName(), Paused: promo.sale.GetPaused(),
		StartTime: timestamppb.New(promo.sale.Start()), EndTime: timestamppb.New(time.UnixMilli(promo.sale.GetEndUnixMs())),
		Items: make([]*flashv1.PromotionItem, len(promo.sale.GetItems())), AdmissionRequired: promo.sale.GetAdmissionRequired(),
		Partitions: promo.sale.PerStream(), Routes: promo.routes,
	}
	for i, item := range promo.sale.GetItems() {
		left, soldOut := p.soldOutMark(promo.sale.GetUid(), item.GetSku())
		response.Items[i] = &flashv1.PromotionItem{
			Sku: item.GetSku(), LimitPerBuyer: item.GetLimitPerBuyer(), Off: item.GetOff(),
			Price:   &moneyv1.Money{Currency: promo.sale.GetCurrency(), Amount: item.GetUnitPrice()},
			SoldOut: soldOut && left == 0, FirstPartition: item.GetStream() * promo.sale.PerStream(),
		}
	}
	return response, nil
}

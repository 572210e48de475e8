package pod

import (
	"context"
	"strconv"
	"time"

	"connectrpc.com/connect/v2"
	"google.golang.org/protobuf/types/known/timestamppb"

	flashv1 "github.com/orderd-dev/orderd/api/gen/orderd/flash/v1"
	"github.com/orderd-dev/orderd/api/gen/orderd/flash/v1/flashv1connect"
	moneyv1 "github.com/orderd-dev/orderd/api/gen/orderd/money/v1"
	"github.com/orderd-dev/orderd/orderd/flash/admission"
	"github.com/orderd-dev/orderd/orderd/flash/owner"
	"github.com/orderd-dev/orderd/orderd/flash/placement"
	"github.com/orderd-dev/orderd/orderd/flash/refusal"
	"github.com/orderd-dev/orderd/orderd/flash/route"
)

// attemptHeader is what Envoy counts the attempts of a request in, the first is 1.
const attemptHeader = "X-Envoy-Attempt-Count"

// Service is the FlashService of a pod. Get it from [Pod.FlashService].
type Service struct {
	check   *precheck
	views   *views
	router  *route.Router
	streams *callStreams
	soldOut func(uid, sku string) (left int64, ok bool)
	// admission makes admission tokens; nil: no promotion asks for them.
	admission *admission.Signer
}

var _ flashv1connect.FlashServiceHandler = (*Service)(nil)

// PlaceFlashOrder implements FlashService. It keeps a time of its own, however long ctx lasts: see
// [route.Router.PlaceOne].
func (s *Service) PlaceFlashOrder(
	ctx context.Context, request *flashv1.PlaceFlashOrderRequest,
) (*flashv1.PlaceFlashOrderResponse, error) {
	v := s.views.load()
	first := request.GetFirstAttempt() && !triedBefore(ctx)
	target, err := s.check.target(v.byName[request.GetPromotion()], request, s.check.time(), first)
	if err != nil {
		return nil, err
	}
	if len(v.members) > 1 {
		hint(ctx, target)
	}
	return s.router.PlaceOne(ctx, target, request)
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

// hint tells the caller the route of a partition, by which a gateway comes to its owner at once,
// unless the caller came by it.
func hint(ctx context.Context, target route.Target) {
	routes := target.Placed.Routes
	if int(target.Partition) >= len(routes) {
		return
	}
	way := routes[target.Partition]
	call, ok := connect.CallInfoForServerContext(ctx)
	if ok && call.RequestHeader().Get(placement.RouteHeader) != way {
		call.ResponseHeader().Set(placement.RouteHeader, way)
	}
}

// AdmitBuyers implements FlashService.
func (s *Service) AdmitBuyers(
	_ context.Context, request *flashv1.AdmitBuyersRequest,
) (*flashv1.AdmitBuyersResponse, error) {
	promo := s.views.load().byName[request.GetPromotion()]
	if promo == nil {
		return nil, s.check.notFound()
	}
	if !promo.GetAdmissionRequired() || s.admission == nil {
		return nil, refusal.AdmissionNotRequired()
	}
	at := s.check.time()
	if !at.known {
		return nil, s.router.Moving()
	}
	if end := time.UnixMilli(promo.GetAdmissionEndUnixMs()).UTC(); !at.now.Before(end) {
		return nil, refusal.AdmissionClosed(end)
	}
	response := &flashv1.AdmitBuyersResponse{Tokens: make([]string, len(request.GetAdmissions()))}
	for i, admission := range request.GetAdmissions() {
		if promo.Item(admission.GetSku()) == nil {
			return nil, refusal.ItemNotFound(admission.GetSku())
		}
		response.Tokens[i] = s.admission.Token(promo.GetUid(), admission.GetBuyerId(), admission.GetSku())
	}
	return response, nil
}

// GetFlashOrder implements FlashService. A request id is unique within a stream, so the buyer's
// partition of each is asked.
func (s *Service) GetFlashOrder(
	ctx context.Context, request *flashv1.GetFlashOrderRequest,
) (*flashv1.GetFlashOrderResponse, error) {
	promo := s.views.load().byName[request.GetPromotion()]
	if promo == nil {
		return nil, s.check.notFound()
	}
	if !promo.GetOpen() && !promo.GetClosed() {
		return nil, refusal.OrderNotFound()
	}
	targets := promo.BuyersPartitions(request.GetBuyerId())
	if len(targets) == 1 {
		hint(ctx, targets[0])
	}
	return route.AskAny(ctx, targets,
		func(ctx context.Context, target route.Target) (*flashv1.GetFlashOrderResponse, error) {
			return route.Ask(ctx, s.router, target, orderByRequest(target, request))
		})
}

// orderByRequest asks for what became of a request.
func orderByRequest(
	target route.Target, request *flashv1.GetFlashOrderRequest,
) route.Question[*flashv1.GetFlashOrderResponse] {
	return route.Question[*flashv1.GetFlashOrderResponse]{
		ToOwner: func(ctx context.Context, o *owner.Owner) (*flashv1.GetFlashOrderResponse, error) {
			return o.Lookup(ctx, request)
		},
		ToPeer: func(
			ctx context.Context, peer flashv1connect.PeerServiceClient,
		) (*flashv1.GetFlashOrderResponse, error) {
			response, err := peer.Lookup(ctx, &flashv1.LookupRequest{
				PromotionUid: target.Placed.GetUid(), Partition: target.Partition, Request: request,
			})
			return response.GetResponse(), err
		},
	}
}

// GetPromotion implements FlashService.
func (s *Service) GetPromotion(
	_ context.Context, request *flashv1.GetPromotionRequest,
) (*flashv1.GetPromotionResponse, error) {
	promo := s.views.load().byName[request.GetPromotion()]
	if promo == nil {
		return nil, s.check.notFound()
	}
	response := &flashv1.GetPromotionResponse{
		Promotion: promo.GetName(), Paused: promo.GetPaused(),
		StartTime: timestamppb.New(promo.Start()), EndTime: timestamppb.New(time.UnixMilli(promo.GetEndUnixMs())),
		Items: make([]*flashv1.PromotionItem, len(promo.GetItems())), AdmissionRequired: promo.GetAdmissionRequired(),
		Partitions: promo.PerStream(), Routes: promo.Routes,
	}
	for i, item := range promo.GetItems() {
		left, soldOut := s.soldOut(promo.GetUid(), item.GetSku())
		response.Items[i] = &flashv1.PromotionItem{
			Sku: item.GetSku(), LimitPerBuyer: item.GetLimitPerBuyer(), Off: item.GetOff(),
			Price:   &moneyv1.Money{Currency: promo.GetCurrency(), Amount: item.GetUnitPrice()},
			SoldOut: soldOut && left == 0, FirstPartition: item.GetStream() * promo.PerStream(),
		}
	}
	return response, nil
}

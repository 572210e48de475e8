package order

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"connectrpc.com/connect/v2"
	"github.com/google/uuid"

	orderv1 "github.com/orderd-dev/orderd/api/gen/orderd/order/v1"
	"github.com/orderd-dev/orderd/orderd/kit/backoff"
	"github.com/orderd-dev/orderd/orderd/kit/batch"
	"github.com/orderd-dev/orderd/orderd/kit/database"
	"github.com/orderd-dev/orderd/orderd/kit/lifecycle"
	"github.com/orderd-dev/orderd/orderd/kit/orderid"
	"github.com/orderd-dev/orderd/orderd/kit/rpcerr"
	"github.com/orderd-dev/orderd/orderd/shop/quote"
	"github.com/orderd-dev/orderd/orderd/shop/watch"
)

const (
	// placeLimit is how many orders wait to be placed in a process; more are refused.
	placeLimit = 4096
	// defaultPlaceBatch is how many one transaction places at most.
	defaultPlaceBatch = 128
	// placeParallel is how many such transactions are under way at once. The second begins when
	// half a batch waits: measured on two cores with 128 buyers it places a third more than one
	// does at the same cost in processor time, and without waiting costs a quarter more.
	placeParallel = 2
	// placeTimeout bounds a transaction.
	placeTimeout = 10 * time.Second
	// placeRetry is what refused callers are asked to wait on average; see backoff.Random.Jitter.
	placeRetry = 750 * time.Millisecond
)

// ServiceOptions of a Service. All have to be set but the limits, MaxBatch, Flash, Returns and Changes.
type ServiceOptions struct {
	Store *Store
	// IDs makes the ids of orders.
	IDs *orderid.Generator
	// Tokens opens quotes' tokens.
	Tokens *quote.Tokens
	// PaymentTimeout is how long a placed order may wait for its payment.
	PaymentTimeout time.Duration
	// Limits are each buyer's, GuestLimits those of one who has not signed in.
	Limits, GuestLimits Limits
	// MaxBatch is how many orders that are placed at once share a transaction at most; 128 if
	// zero. With 1 each order has a transaction of its own, and as many are under way as the
	// pool has connections.
	MaxBatch int
	// Flash is asked for orders that are not in the database yet; nil: there is no flash lane.
	Flash FlashFinder
	// Returns is asked which orders have a return; nil: none has.
	Returns Returns
	// Changes tells of orders that change; nil: WatchOrder and WatchOrders are not implemented.
	Changes *watch.Hub
	// Random spreads the retries of callers that are refused; nobody else may use it.
	Random *rand.Rand
}

// Service is the handler of OrderService. Requests reach it validated.
type Service struct {
	store               *Store
	ids                 *orderid.Generator
	tokens              *quote.Tokens
	timeout             time.Duration
	limits, guestLimits Limits
	placing             *batch.Batcher[wish, *orderv1.PlaceOrderResponse]
	random              *backoff.Random
	returns             Returns
	changes             *watch.Hub
	// newest reads orders for those who watch them.
	newest *batch.Batcher[[]uuid.UUID, []*Order]
	flash  FlashFinder
	// flashSlots has one entry for each question to the flash lane that is under way.
	flashSlots chan struct{}
}

// NewService makes a service.
func NewService(o ServiceOptions) *Service {
	s := &Service{
		store: o.Store, ids: o.IDs, tokens: o.Tokens, timeout: o.PaymentTimeout,
		limits: o.Limits, guestLimits: o.GuestLimits, random: backoff.NewRandom(o.Random),
		returns: o.Returns, changes: o.Changes, flash: o.Flash, flashSlots: make(chan struct{}, maxFlashQuestions),
	}
	options := batch.Options{
		Limit: placeLimit, Size: o.MaxBatch, Parallel: placeParallel, Timeout: placeTimeout, Observe: s.store.metrics.placing,
	}
	switch o.MaxBatch {
	case 0:
		options.Size = defaultPlaceBatch
	case 1:
		options.Parallel = int(s.store.pool.Config().MaxConns)
	}
	options.Beside = options.Size / 2
	s.placing, s.newest = batch.New(options, s.placeAll), s.newNewest()
	return s
}

// PlaceOrder places an order once a request id. Orders that are placed at once share a transaction.
func (s *Service) PlaceOrder(ctx context.Context, req *orderv1.PlaceOrderRequest) (*orderv1.PlaceOrderResponse, error) {
	w, err := s.newWish(ctx, req)
	if err != nil {
		return nil, rpcerr.Internal(err)
	}
	answer, err := s.placing.Do(ctx, w)
	if errors.Is(err, batch.ErrFull) {
		const text = "too many orders wait to be placed; retry with the same request id"
		err = rpcerr.Retry(connect.CodeUnavailable, rpcerr.ReasonOverloaded, text, s.retryDelay())
	}
	if err != nil {
		refused := rpcError(err)
		if reason := rpcerr.Reason(refused); reason != "" {
			s.store.metrics.refused.WithLabelValues(reason).Inc()
		}
		return nil, refused
	}
	return answer, nil
}

// retryDelay differs from caller to caller, so that they do not come back at once.
func (s *Service) retryDelay() time.Duration { return s.random.Jitter(placeRetry) }

// GetOrder returns a buyer's order, also one that the flash lane has accepted and that is not
// in the database yet.
func (s *Service) GetOrder(ctx context.Context, req *orderv1.GetOrderRequest) (*orderv1.GetOrderResponse, error) {
	id, err := uuid.Parse(req.GetOrderId())
	if err != nil {
		return nil, rpcError(ErrNotFound)
	}
	o, err := s.find(ctx, req.GetBuyerId(), id)
	if err != nil {
		return nil, rpcError(err)
	}
	return &orderv1.GetOrderResponse{Order: o.proto()}, nil
}

// GetOrderHistory returns what happened to a buyer's order.
func (s *Service) GetOrderHistory(
	ctx context.Context, req *orderv1.GetOrderHistoryRequest,
) (*orderv1.GetOrderHistoryResponse, error) {
	id, err := uuid.Parse(req.GetOrderId())
	if err != nil {
		return nil, rpcError(ErrNotFound)
	}
	changes, err := s.store.history(ctx, req.GetBuyerId(), id)
	if err != nil {
		return nil, rpcError(err)
	}
	return &orderv1.GetOrderHistoryResponse{Changes: changes}, nil
}

// ConfirmReceipt completes an order that the buyer has.
func (s *Service) ConfirmReceipt(
	ctx context.Context, req *orderv1.ConfirmReceiptRequest,
) (*orderv1.ConfirmReceiptResponse, error) {
	id, err := uuid.Parse(req.GetOrderId())
	if err != nil {
		return nil, rpcError(ErrNotFound)
	}
	answer, err := s.store.confirm(ctx, id, req)
	if err != nil {
		return nil, rpcError(err)
	}
	return answer, nil
}

// SetDelivery gives an order its address, or another one.
func (s *Service) SetDelivery(
	ctx context.Context, req *orderv1.SetDeliveryRequest,
) (*orderv1.SetDeliveryResponse, error) {
	id, err := uuid.Parse(req.GetOrderId())
	if err != nil {
		return nil, rpcError(ErrNotFound)
	}
	answer, err := s.store.setDelivery(ctx, id, req)
	if err != nil {
		return nil, rpcError(err)
	}
	return answer, nil
}

// CancelOrder cancels an order that is not paid, or that nothing has left of.
func (s *Service) CancelOrder(
	ctx context.Context, req *orderv1.CancelOrderRequest,
) (*orderv1.CancelOrderResponse, error) {
	id, err := uuid.Parse(req.GetOrderId())
	if err != nil {
		return nil, rpcError(ErrNotFound)
	}
	answer, err := s.store.cancel(ctx, id, req)
	if err != nil {
		return nil, rpcError(err)
	}
	return answer, nil
}

func rpcError(err error) error {
	var refused *lifecycle.RefusedError
	switch {
	case errors.Is(err, ErrNotFound):
		return NotFound()
	case errors.As(err, &refused):
		return Conflict(State(refused.State))
	}
	return database.RPCError(err)
}

const reasonNotFound = "ORDER_NOT_FOUND"

// NotFound is the error for an order that the buyer does not have.
func NotFound() error {
	return rpcerr.New(connect.CodeNotFound, reasonNotFound, "the buyer has no such order")
}

// parcelRequested is the error for what a parcel that has not left is in the way of.
func parcelRequested() error {
	return rpcerr.New(connect.CodeFailedPrecondition, rpcerr.ReasonParcelRequested,
		"a parcel was asked for: take it back first, by ShipmentService.CancelShipment")
}

// Conflict is the error for what the order's state does not allow.
func Conflict(state State) error {
	return rpcerr.New(connect.CodeFailedPrecondition, rpcerr.ReasonOrderStateConflict,
		"the order's state does not allow this", "state", string(state))
}

package payment

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"connectrpc.com/connect/v2"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"

	paymentv1 "github.com/orderd-dev/orderd/api/gen/orderd/payment/v1"
	"github.com/orderd-dev/orderd/api/gen/orderd/payment/v1/paymentv1connect"
	"github.com/orderd-dev/orderd/orderd/kit/database"
	"github.com/orderd-dev/orderd/orderd/kit/rpcerr"
	"github.com/orderd-dev/orderd/orderd/shop/order"
)

const (
	actorBuyer = "buyer"
	// actorSystem does what nobody asked for: closing, polling, refunding.
	actorSystem = "system"
	// providerTimeout bounds a call to a provider.
	providerTimeout = 5 * time.Second
	// providerRetry is what callers are asked to wait after a provider failed.
	providerRetry = time.Second
	// defaultPageSize is how many rows of a list are answered if the caller does not say.
	defaultPageSize = 20
)

// Options of a [Service]. All but Registerer and Stale have to be set.
type Options struct {
	Pool   *pgxpool.Pool
	Orders *order.Store
	// Providers in the order in which the cashier lists them.
	Providers []Provider
	Clock     func() time.Time
	// Random makes ids: crypto/rand.Reader.
	Random     io.Reader
	Logger     *slog.Logger
	Registerer prometheus.Registerer
	// Stale is told, last in the transaction, of orders with a transaction that has succeeded and does not count: no event
	// tells of it. It must not wait for anybody. Nobody is told if nil.
	Stale func(ctx context.Context, tx pgx.Tx, orders []uuid.UUID) error
}

// Service is the handler of PaymentService, RefundService and ReconciliationService, and what
// notifications go to. Requests reach it validated. The background work is made from it too: see
// [WorkerOptions].
type Service struct {
	pool      *pgxpool.Pool
	orders    *order.Store
	providers map[string]Provider
	// names are the providers', in the order that was given.
	names     []string
	now       func() time.Time
	random    io.Reader
	log       *slog.Logger
	metrics   *metrics
	gatherers map[string]*gatherer
	stale     func(ctx context.Context, tx pgx.Tx, orders []uuid.UUID) error
}

var (
	_ paymentv1connect.PaymentServiceHandler        = (*Service)(nil)
	_ paymentv1connect.RefundServiceHandler         = (*Service)(nil)
	_ paymentv1connect.ReconciliationServiceHandler = (*Service)(nil)
)

// NewService makes a service; an error is the registerer's, or two providers of one name.
func NewService(o Options) (*Service, error) {
	m, err := newMetrics(o.Registerer)
	if err != nil {
		return nil, err
	}
	s := &Service{
		pool: o.Pool, orders: o.Orders, providers: map[string]Provider{}, now: o.Clock, random: o.Random,
		log: o.Logger, metrics: m, gatherers: map[string]*gatherer{}, stale: o.Stale,
	}
	for _, p := range o.Providers {
		if _, twice := s.providers[p.Name()]; twice {
			return nil, fmt.Errorf("payment provider %s is configured twice", p.Name())
		}
		s.providers[p.Name()] = p
		s.names = append(s.names, p.Name())
		s.gatherers[p.Name()] = newGatherer(func(ctx context.Context, told []Notification) ([]error, error) {
			return s.handle(ctx, p.Name(), told)
		}, m)
	}
	return s, nil
}

// GetPayment returns a buyer's payment.
func (s *Service) GetPayment(
	ctx context.Context, req *paymentv1.GetPaymentRequest,
) (*paymentv1.GetPaymentResponse, error) {
	id, err := uuid.Parse(req.GetPaymentId())
	if err != nil {
		return nil, rpcError(errNotFound)
	}
	p, err := getOf(ctx, s.pool, req.GetBuyerId(), id)
	if err != nil {
		return nil, rpcError(err)
	}
	return &paymentv1.GetPaymentResponse{Payment: p.proto()}, nil
}

// ListPayments returns the payments of a buyer's order, newest first.
func (s *Service) ListPayments(
	ctx context.Context, req *paymentv1.ListPaymentsRequest,
) (*paymentv1.ListPaymentsResponse, error) {
	orderID, err := uuid.Parse(req.GetOrderId())
	if err != nil {
		return nil, rpcError(order.ErrNotFound)
	}
	if _, err := order.GetDue(ctx, s.pool, req.GetBuyerId(), orderID); err != nil {
		return nil, rpcError(err)
	}
	payments, err := OfOrders(ctx, s.pool, []uuid.UUID{orderID})
	if err != nil {
		return nil, rpcError(err)
	}
	return &paymentv1.ListPaymentsResponse{Payments: payments[orderID]}, nil
}

func rpcError(err error) error {
	switch {
	case errors.Is(err, errNotFound):
		return rpcerr.New(connect.CodeNotFound, rpcerr.ReasonPaymentNotFound, "the buyer has no such payment")
	case errors.Is(err, order.ErrNotFound):
		return order.NotFound()
	}
	return database.RPCError(err)
}

func providerUnknown() error {
	return rpcerr.New(connect.CodeInvalidArgument, rpcerr.ReasonProviderUnknown,
		"no such payment provider is configured", "field", "provider")
}

// providerRefused has the provider's own code of its refusal.
func providerRefused(code string) *connect.Error {
	return rpcerr.New(connect.CodeFailedPrecondition, rpcerr.ReasonProviderRefused,
		"the payment provider refuses the payment", "provider_code", code)
}

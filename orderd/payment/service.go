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
	"github.com/orderd-dev/orderd/orderd/database"
	"github.com/orderd-dev/orderd/orderd/idempotency"
	"github.com/orderd-dev/orderd/orderd/order"
	"github.com/orderd-dev/orderd/orderd/rpcerr"
)

const (
	actorBuyer = "buyer"
	// providerTimeout bounds a call to a provider.
	providerTimeout = 5 * time.Second
	// providerRetry is what callers are asked to wait after a provider failed.
	providerRetry = time.Second
)

// Options of a Service. All but Registerer have to be set.
type Options struct {
	Pool      *pgxpool.Pool
	Orders    *order.Store
	Providers []Provider
	Clock     func() time.Time
	// Random makes ids: crypto/rand.Reader.
	Random     io.Reader
	Logger     *slog.Logger
	Registerer prometheus.Registerer
}

// Service is the handler of PaymentService, and what notifications go to. Requests reach it validated.
type Service struct {
	pool      *pgxpool.Pool
	orders    *order.Store
	providers map[string]Provider
	now       func() time.Time
	random    io.Reader
	log       *slog.Logger
	metrics   *metrics
	inboxes   map[string]*inbox
}

// NewService makes a service; an error is the registerer's, or two providers of one name.
func NewService(o Options) (*Service, error) {
	m, err := newMetrics(o.Registerer)
	if err != nil {
		return nil, err
	}
	s := &Service{
		pool: o.Pool, orders: o.Orders, providers: map[string]Provider{}, now: o.Clock, random: o.Random, log: o.Logger,
		metrics: m, inboxes: map[string]*inbox{},
	}
	for _, p := range o.Providers {
		if _, twice := s.providers[p.Name()]; twice {
			return nil, fmt.Errorf("payment provider %s is configured twice", p.Name())
		}
		s.providers[p.Name()] = p
		s.inboxes[p.Name()] = newInbox(func(ctx context.Context, told []Notification) ([]error, error) { return s.take(ctx, p.Name(), told) }, m)
	}
	return s, nil
}

// CreatePayment starts a payment once a request id: it reserves the payment, calls the provider with no
// transaction open, and makes the payment PENDING. A retry after a crash in between goes on where that stopped.
func (s *Service) CreatePayment(ctx context.Context, req *paymentv1.CreatePaymentRequest) (*paymentv1.CreatePaymentResponse, error) {
	provider, ok := s.providers[req.GetProvider()]
	if !ok {
		return nil, rpcerr.New(connect.CodeInvalidArgument, "PROVIDER_UNKNOWN", "no such payment provider is configured", "field", "provider")
	}
	orderID, err := uuid.Parse(req.GetOrderId())
	if err != nil {
		return nil, rpcError(order.ErrNotFound)
	}
	request, err := idempotency.NewRequest(idempotency.BuyerScope(req.GetBuyerId()), req.GetRequestId(), req)
	if err != nil {
		return nil, rpcerr.Internal(err)
	}
	answer, due, err := s.reserve(ctx, request, orderID, req)
	if err != nil {
		return nil, rpcError(err)
	}
	if answer.GetRedirectUrl() != "" {
		return answer, nil
	}
	id, err := uuid.Parse(answer.GetPayment().GetPaymentId())
	if err != nil {
		return nil, rpcerr.Internal(err)
	}
	calling, cancel := context.WithTimeout(ctx, providerTimeout)
	session, err := provider.Create(calling, Charge{PaymentID: id, OrderID: orderID, Amount: due.Amount, Currency: due.Currency, ExpiresAt: due.ExpiresAt})
	cancel()
	if err != nil {
		return nil, rpcerr.Retry(connect.CodeUnavailable, "PROVIDER_UNAVAILABLE", "the payment provider does not answer; retry with the same request id", providerRetry).WithCause(err)
	}
	answer, err = s.submit(ctx, request, id, req.GetBuyerId(), session)
	if err != nil {
		return nil, rpcError(err)
	}
	return answer, nil
}

// reserve writes the payment as CREATED, or finds what the request was answered. An answer without
// a redirect URL is one that still needs the provider.
func (s *Service) reserve(ctx context.Context, request idempotency.Request, orderID uuid.UUID, req *paymentv1.CreatePaymentRequest) (*paymentv1.CreatePaymentResponse, order.Due, error) {
	id, err := uuid.NewRandomFromReader(s.random)
	if err != nil {
		return nil, order.Due{}, fmt.Errorf("payment id: %w", err)
	}
	answer := &paymentv1.CreatePaymentResponse{}
	var due order.Due
	var created []change
	err = idempotency.Do(ctx, s.pool, request, answer, func(tx pgx.Tx) error {
		created = nil
		var err error
		due, err = order.GetDue(ctx, tx, req.GetBuyerId(), orderID)
		if err != nil {
			return err
		}
		if due.State != order.PendingPayment {
			return order.Conflict(due.State)
		}
		now := stamp(s.now())
		p := &Payment{ID: id, OrderID: orderID, BuyerID: req.GetBuyerId(), Provider: req.GetProvider(), Amount: due.Amount, Currency: due.Currency, CreatedAt: now}
		c, err := step(p, Create, now, actorBuyer, "")
		if err != nil {
			return err
		}
		created = []change{c}
		answer.Payment = p.proto()
		var b pgx.Batch
		if err := request.Claim(&b, now, answer); err != nil {
			return err
		}
		queueInsert(&b, p)
		queueHistory(&b, created)
		return tx.SendBatch(ctx, &b).Close()
	})
	if err != nil {
		return nil, order.Due{}, err
	}
	s.metrics.count(created)
	if len(created) == 0 && answer.GetRedirectUrl() == "" {
		due, err = order.GetDue(ctx, s.pool, req.GetBuyerId(), orderID)
	}
	return answer, due, err
}

// submit makes the payment PENDING with what the provider answered, unless something else happened to
// it or to its order meanwhile. That the order can still be paid is no more than likely when this
// commits: a payment that comes too late has its own rule.
func (s *Service) submit(ctx context.Context, request idempotency.Request, id uuid.UUID, buyerID string, session Session) (*paymentv1.CreatePaymentResponse, error) {
	answer := &paymentv1.CreatePaymentResponse{}
	var changes []change
	var refused error
	err := database.ExecuteTx(ctx, s.pool, func(tx pgx.Tx) error {
		changes, refused = nil, nil
		payments, err := lock(ctx, tx, []uuid.UUID{id})
		if err != nil {
			return err
		}
		if len(payments) == 0 {
			return errNotFound
		}
		p := payments[0]
		due, err := order.GetDue(ctx, tx, buyerID, p.OrderID)
		if err != nil {
			return err
		}
		event := Submit
		if due.State != order.PendingPayment {
			event = Close
		}
		var b pgx.Batch
		if p.State == Created {
			p.RedirectURL = session.RedirectURL
			c, err := step(p, event, stamp(s.now()), actorBuyer, "")
			if err != nil {
				return err
			}
			changes = []change{c}
			queueUpdates(&b, payments)
			queueHistory(&b, changes)
		}
		answer.Payment, answer.RedirectUrl = p.proto(), session.RedirectURL
		if p.State == Closed {
			refused = order.Conflict(due.State)
		} else if err := request.Replace(&b, answer); err != nil {
			return err
		}
		if b.Len() == 0 {
			return nil
		}
		return tx.SendBatch(ctx, &b).Close()
	})
	if err != nil {
		return nil, err
	}
	s.metrics.count(changes)
	return answer, refused
}

// GetPayment returns a buyer's payment.
func (s *Service) GetPayment(ctx context.Context, req *paymentv1.GetPaymentRequest) (*paymentv1.GetPaymentResponse, error) {
	id, err := uuid.Parse(req.GetPaymentId())
	if err != nil {
		return nil, rpcError(errNotFound)
	}
	p, err := get(ctx, s.pool, req.GetBuyerId(), id)
	if err != nil {
		return nil, rpcError(err)
	}
	return &paymentv1.GetPaymentResponse{Payment: p.proto()}, nil
}

func rpcError(err error) error {
	switch {
	case errors.Is(err, errNotFound):
		return rpcerr.New(connect.CodeNotFound, "PAYMENT_NOT_FOUND", "the buyer has no such payment")
	case errors.Is(err, order.ErrNotFound):
		return order.NotFound()
	}
	return database.RPCError(err)
}

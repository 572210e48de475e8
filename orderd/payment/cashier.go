package payment

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"connectrpc.com/connect/v2"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"google.golang.org/protobuf/types/known/timestamppb"

	paymentv1 "github.com/orderd-dev/orderd/api/gen/orderd/payment/v1"
	"github.com/orderd-dev/orderd/orderd/database"
	"github.com/orderd-dev/orderd/orderd/idempotency"
	"github.com/orderd-dev/orderd/orderd/order"
	"github.com/orderd-dev/orderd/orderd/rpcerr"
)

// firstQuery is how long the buyer has before the provider is asked about a payment for the first time.
const firstQuery = 30 * time.Second

// ListPaymentMethods is the cashier: the methods that take the order's currency, while it can be paid.
func (s *Service) ListPaymentMethods(ctx context.Context, req *paymentv1.ListPaymentMethodsRequest) (*paymentv1.ListPaymentMethodsResponse, error) {
	orderID, err := uuid.Parse(req.GetOrderId())
	if err != nil {
		return nil, rpcError(order.ErrNotFound)
	}
	due, err := order.GetDue(ctx, s.pool, req.GetBuyerId(), orderID)
	if err == nil {
		err = payable(due, s.now())
	}
	if err != nil {
		return nil, rpcError(err)
	}
	answer := &paymentv1.ListPaymentMethodsResponse{Amount: money(due.Amount, due.Currency), ExpiresAt: timestamppb.New(due.ExpiresAt)}
	for _, name := range s.names {
		for _, m := range s.providers[name].Methods() {
			if m.takes(due.Currency) {
				answer.Methods = append(answer.Methods, &paymentv1.PaymentMethod{
					Provider: name, Method: m.Name, Title: m.Title, NeedsOpenId: m.NeedsOpenID, NeedsClientIp: m.NeedsClientIP,
					Kind: paymentv1.MethodKind(paymentv1.MethodKind_value["METHOD_KIND_"+string(m.Kind)]),
				})
			}
		}
	}
	return answer, nil
}

// takes tells whether the method takes a currency.
func (m Method) takes(currency string) bool {
	return m.Currencies == nil || slices.Contains(m.Currencies, currency)
}

// payable refuses orders that cannot be paid any more.
func payable(due order.Due, now time.Time) error {
	switch {
	case due.State != order.PendingPayment:
		return order.Conflict(due.State)
	case !now.Before(due.ExpiresAt):
		return rpcerr.New(connect.CodeFailedPrecondition, "PAYMENT_TIME_OVER", "the time to pay the order is over")
	}
	return nil
}

// method finds the provider's method that a request names, and checks what it needs.
func method(provider Provider, req *paymentv1.CreatePaymentRequest, currency string) (Method, error) {
	methods := provider.Methods()
	i := slices.IndexFunc(methods, func(m Method) bool {
		return m.Name == req.GetMethod() || (req.GetMethod() == "" && m.takes(currency))
	})
	switch {
	case i < 0 && req.GetMethod() != "":
		return Method{}, rpcerr.New(connect.CodeInvalidArgument, "METHOD_UNKNOWN", "the payment provider has no such method", "field", "method")
	case i < 0 || !methods[i].takes(currency):
		return Method{}, rpcerr.New(connect.CodeFailedPrecondition, "METHOD_NOT_OPEN", "the method does not take the order's currency", "field", "method")
	case methods[i].NeedsOpenID && req.GetOpenId() == "":
		return Method{}, rpcerr.New(connect.CodeInvalidArgument, "FIELD_REQUIRED", "the method needs open_id", "field", "open_id")
	case methods[i].NeedsClientIP && req.GetClientIp() == "":
		return Method{}, rpcerr.New(connect.CodeInvalidArgument, "FIELD_REQUIRED", "the method needs client_ip", "field", "client_ip")
	}
	return methods[i], nil
}

// ready tells whether an answer has where the buyer pays.
func ready(a *paymentv1.CreatePaymentResponse) bool {
	return Session{RedirectURL: a.GetRedirectUrl(), QRCode: a.GetQrCode(), SDKParams: a.GetSdkParams()}.ready()
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
	answer, due, err := s.reserve(ctx, request, provider, orderID, req)
	if err != nil {
		return nil, rpcError(err)
	}
	if ready(answer) {
		return answer, nil
	}
	id, err := uuid.Parse(answer.GetPayment().GetPaymentId())
	if err != nil {
		return nil, rpcerr.Internal(err)
	}
	var session Session
	if due.State == order.PendingPayment {
		if session, err = s.create(ctx, provider, answer.GetPayment(), id, orderID, due, req); err != nil {
			return nil, err
		}
	}
	answer, err = s.submit(ctx, request, id, req.GetBuyerId(), session)
	var ended *endedError
	if errors.As(err, &ended) {
		if ended.payment.open() {
			// The provider may have the session; a lost call is made again by the poller.
			if _, err := s.settle(context.WithoutCancel(ctx), ended.payment, false); err != nil {
				s.log.Warn("a payment was not closed and will be", "payment", id, "error", err)
			}
		}
		return nil, order.Conflict(ended.state)
	}
	if err != nil {
		return nil, rpcError(err)
	}
	return answer, nil
}

// create calls the provider. What it answers but a session becomes an RPC's error. The call has a deadline of its own: callers choose
// theirs, and one with short ones must not make the provider look dead to everybody (see Guard).
func (s *Service) create(ctx context.Context, provider Provider, p *paymentv1.Payment, id, orderID uuid.UUID, due order.Due, req *paymentv1.CreatePaymentRequest) (Session, error) {
	calling, cancel := context.WithTimeout(context.WithoutCancel(ctx), providerTimeout)
	session, err := provider.Create(calling, Charge{
		PaymentID: id, OrderID: orderID, Amount: due.Amount, Currency: due.Currency, CreatedAt: p.GetCreatedAt().AsTime(), ExpiresAt: due.ExpiresAt,
		Method: p.GetMethod(), Description: "Order " + orderID.String(), ClientIP: req.GetClientIp(), OpenID: req.GetOpenId(), ReturnURL: req.GetReturnUrl(),
	})
	cancel()
	var refused *RefusedError
	switch {
	case errors.As(err, &refused):
		if err := s.end(ctx, id, Fail, "provider "+provider.Name(), refused.Reason); err != nil {
			return Session{}, rpcError(err)
		}
		return Session{}, rpcerr.New(connect.CodeFailedPrecondition, "PROVIDER_REFUSED", "the payment provider refuses the payment", "provider_code", refused.Reason).WithCause(err)
	case errors.Is(err, ErrPaid):
		if err := hurry(ctx, s.pool, []uuid.UUID{orderID}, database.Stamp(s.now())); err != nil {
			return Session{}, rpcError(err)
		}
		return Session{}, rpcerr.New(connect.CodeFailedPrecondition, "ALREADY_PAID", "the payment provider has the money; the order will be PAID").WithCause(err)
	case err != nil:
		return Session{}, rpcerr.Retry(connect.CodeUnavailable, "PROVIDER_UNAVAILABLE", "the payment provider does not answer; retry with the same request id", providerRetry).WithCause(err)
	case !session.ready():
		return Session{}, rpcerr.Internal(fmt.Errorf("provider %s answered without a session", provider.Name()))
	}
	return session, nil
}

// reserve writes the payment as CREATED, or finds what the request was answered. An answer that is not
// ready is one that still needs the provider.
func (s *Service) reserve(ctx context.Context, request idempotency.Request, provider Provider, orderID uuid.UUID, req *paymentv1.CreatePaymentRequest) (*paymentv1.CreatePaymentResponse, order.Due, error) {
	id, err := uuid.NewRandomFromReader(s.random)
	if err != nil {
		return nil, order.Due{}, fmt.Errorf("payment id: %w", err)
	}
	answer := &paymentv1.CreatePaymentResponse{}
	var due order.Due
	var created []change
	err = idempotency.Do(ctx, s.pool, request, answer, func(tx *database.Tx) error {
		created = nil
		var err error
		due, err = order.GetDue(ctx, tx, req.GetBuyerId(), orderID)
		if err != nil {
			return err
		}
		now := database.Stamp(s.now())
		if err := payable(due, now); err != nil {
			return err
		}
		chosen, err := method(provider, req, due.Currency)
		if err != nil {
			return err
		}
		next := now.Add(firstQuery)
		p := &Payment{
			ID: id, OrderID: orderID, BuyerID: req.GetBuyerId(), Provider: provider.Name(), Method: chosen.Name, Amount: due.Amount, Currency: due.Currency,
			CreatedAt: now, ExpiresAt: due.ExpiresAt, NextQueryAt: &next,
		}
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
	if len(created) == 0 && !ready(answer) {
		due, err = order.GetDue(ctx, s.pool, req.GetBuyerId(), orderID)
	}
	return answer, due, err
}

// endedError says that the order could not be paid any more when the provider had answered.
type endedError struct {
	payment *Payment
	state   order.State
}

func (e *endedError) Error() string { return "the order is " + string(e.state) }

// submit makes the payment PENDING with what the provider answered, unless something else happened to
// it or to its order meanwhile. That the order can still be paid is no more than likely when this
// commits: a payment that comes too late has its own rule.
func (s *Service) submit(ctx context.Context, request idempotency.Request, id uuid.UUID, buyerID string, session Session) (*paymentv1.CreatePaymentResponse, error) {
	answer := &paymentv1.CreatePaymentResponse{}
	var changes []change
	err := database.ExecuteTx(ctx, s.pool, func(tx *database.Tx) error {
		changes = nil
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
		if p.State != Succeeded && due.State != order.PendingPayment {
			return &endedError{payment: p, state: due.State}
		}
		var b pgx.Batch
		switch p.State {
		case Created:
			p.RedirectURL, p.Reference = session.RedirectURL, session.Reference
			c, err := step(p, Submit, database.Stamp(s.now()), actorBuyer, "")
			if err != nil {
				return err
			}
			changes = []change{c}
			queueUpdates(&b, payments)
			queueHistory(&b, changes)
		case Failed:
			return rpcerr.New(connect.CodeFailedPrecondition, "PROVIDER_REFUSED", "the payment provider refuses the payment", "provider_code", p.Failure)
		case Closed:
			return rpcerr.New(connect.CodeFailedPrecondition, "PAYMENT_TIME_OVER", "the payment was closed")
		}
		answer.Payment, answer.RedirectUrl, answer.QrCode, answer.SdkParams = p.proto(), session.RedirectURL, session.QRCode, session.SDKParams
		if err := request.Replace(&b, answer); err != nil {
			return err
		}
		return tx.SendBatch(ctx, &b).Close()
	})
	if err != nil {
		return nil, err
	}
	s.metrics.count(changes)
	return answer, nil
}

package payment

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"connectrpc.com/connect/v2"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"google.golang.org/protobuf/types/known/timestamppb"

	paymentv1 "github.com/orderd-dev/orderd/api/gen/orderd/payment/v1"
	"github.com/orderd-dev/orderd/orderd/kit/database"
	"github.com/orderd-dev/orderd/orderd/kit/idempotency"
	"github.com/orderd-dev/orderd/orderd/kit/rpcerr"
	"github.com/orderd-dev/orderd/orderd/shop/order"
)

// firstQuery is how long the buyer has before the provider is asked about a payment for the first
// time.
const firstQuery = 30 * time.Second

// reasonTimeOver is the RPC's error of an order or a payment that can no longer be paid.
const reasonTimeOver = "PAYMENT_TIME_OVER"

// ListPaymentMethods is the cashier: the methods that the order's currency can be paid by, while the
// order can be paid.
func (s *Service) ListPaymentMethods(
	ctx context.Context, req *paymentv1.ListPaymentMethodsRequest,
) (*paymentv1.ListPaymentMethodsResponse, error) {
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
	answer := &paymentv1.ListPaymentMethodsResponse{
		Amount: money(due.Amount, due.Currency), ExpiresAt: timestamppb.New(due.ExpiresAt),
	}
	for _, name := range s.names {
		for _, m := range s.providers[name].Methods() {
			if m.accepts(due.Currency) {
				answer.Methods = append(answer.Methods, m.proto(name))
			}
		}
	}
	return answer, nil
}

func (m Method) proto(provider string) *paymentv1.PaymentMethod {
	return &paymentv1.PaymentMethod{
		Provider: provider, Method: m.Name, Title: m.Title, NeedsOpenId: m.NeedsOpenID, NeedsClientIp: m.NeedsClientIP,
		Kind: paymentv1.MethodKind(paymentv1.MethodKind_value["METHOD_KIND_"+string(m.Kind)]),
	}
}

// accepts tells whether the method is open to a currency.
func (m Method) accepts(currency string) bool {
	return m.Currencies == nil || slices.Contains(m.Currencies, currency)
}

// payable refuses orders that cannot be paid any more.
func payable(due order.Due, now time.Time) error {
	switch {
	case due.State != order.PendingPayment:
		return order.Conflict(due.State)
	case !now.Before(due.ExpiresAt):
		return rpcerr.New(connect.CodeFailedPrecondition, reasonTimeOver, "the time to pay the order is over")
	}
	return nil
}

// method finds the provider's method that a request names, and checks what it needs.
func method(provider Provider, req *paymentv1.CreatePaymentRequest, currency string) (Method, error) {
	methods := provider.Methods()
	i := slices.IndexFunc(methods, func(m Method) bool {
		return m.Name == req.GetMethod() || (req.GetMethod() == "" && m.accepts(currency))
	})
	switch {
	case i < 0 && req.GetMethod() != "":
		return Method{}, rpcerr.New(connect.CodeInvalidArgument, rpcerr.ReasonMethodUnknown,
			"the payment provider has no such method", "field", "method")
	case i < 0 || !methods[i].accepts(currency):
		return Method{}, rpcerr.New(connect.CodeFailedPrecondition, rpcerr.ReasonMethodNotOpen,
			"the method does not take the order's currency", "field", "method")
	case methods[i].NeedsOpenID && req.GetOpenId() == "":
		return Method{}, rpcerr.New(connect.CodeInvalidArgument, rpcerr.ReasonFieldRequired,
			"the method needs open_id", "field", "open_id")
	case methods[i].NeedsClientIP && req.GetClientIp() == "":
		return Method{}, rpcerr.New(connect.CodeInvalidArgument, rpcerr.ReasonFieldRequired,
			"the method needs client_ip", "field", "client_ip")
	}
	return methods[i], nil
}

// ready tells whether an answer has where the buyer pays.
func ready(a *paymentv1.CreatePaymentResponse) bool {
	return Session{RedirectURL: a.GetRedirectUrl(), QRCode: a.GetQrCode(), SDKParams: a.GetSdkParams()}.ready()
}

// creation is one call that creates a payment.
type creation struct {
	service  *Service
	provider Provider
	req      *paymentv1.CreatePaymentRequest
	request  idempotency.Request
	orderID  uuid.UUID
}

// CreatePayment starts a payment once a request id: it reserves the payment, calls the provider
// with no transaction open, and makes the payment PENDING. A retry after a crash in between goes on
// where that stopped.
func (s *Service) CreatePayment(
	ctx context.Context, req *paymentv1.CreatePaymentRequest,
) (*paymentv1.CreatePaymentResponse, error) {
	provider, ok := s.providers[req.GetProvider()]
	if !ok {
		return nil, providerUnknown()
	}
	orderID, err := uuid.Parse(req.GetOrderId())
	if err != nil {
		return nil, rpcError(order.ErrNotFound)
	}
	request, err := idempotency.NewRequest(idempotency.BuyerScope(req.GetBuyerId()), req.GetRequestId(), req)
	if err != nil {
		return nil, rpcerr.Internal(err)
	}
	c := &creation{service: s, provider: provider, req: req, request: request, orderID: orderID}
	answer, due, err := c.reserve(ctx)
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
		if session, err = c.create(ctx, answer.GetPayment(), id, due); err != nil {
			return nil, err
		}
	}
	answer, err = c.submit(ctx, id, session)
	var ended *endedError
	if errors.As(err, &ended) {
		if ended.payment.open() {
			// The provider may have the session; a lost call is made again by the poller.
			if _, err := s.findOut(context.WithoutCancel(ctx), ended.payment, false); err != nil {
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

// create calls the provider. An answer that is no session becomes an RPC's error. The call has a
// deadline of its own: callers choose theirs, and one with short ones must not make the provider look
// dead to everybody (see [Guard]).
func (c *creation) create(
	ctx context.Context, p *paymentv1.Payment, id uuid.UUID, due order.Due,
) (Session, error) {
	s, req := c.service, c.req
	calling, cancel := context.WithTimeout(context.WithoutCancel(ctx), providerTimeout)
	session, err := c.provider.Create(calling, Charge{
		PaymentID: id, OrderID: c.orderID, Amount: due.Amount, Currency: due.Currency,
		CreatedAt: p.GetCreatedAt().AsTime(), ExpiresAt: due.ExpiresAt, Method: p.GetMethod(),
		Description: "Order " + c.orderID.String(), ClientIP: req.GetClientIp(), OpenID: req.GetOpenId(),
		ReturnURL: req.GetReturnUrl(),
	})
	cancel()
	var refused *RefusedError
	switch {
	case errors.As(err, &refused):
		if err := s.end(ctx, id, Fail, "provider "+c.provider.Name(), refused.Reason); err != nil {
			return Session{}, rpcError(err)
		}
		return Session{}, providerRefused(refused.Reason).WithCause(err)
	case errors.Is(err, ErrPaid):
		if err := hurry(ctx, s.pool, database.Stamp(s.now()), []uuid.UUID{c.orderID}); err != nil {
			return Session{}, rpcError(err)
		}
		return Session{}, rpcerr.New(connect.CodeFailedPrecondition, rpcerr.ReasonAlreadyPaid,
			"the payment provider has the money; the order will be PAID").WithCause(err)
	case err != nil:
		return Session{}, rpcerr.Retry(connect.CodeUnavailable, rpcerr.ReasonProviderUnavailable,
			"the payment provider does not answer; retry with the same request id", providerRetry).WithCause(err)
	case !session.ready():
		return Session{}, rpcerr.Internal(fmt.Errorf("provider %s answered without a session", c.provider.Name()))
	}
	return session, nil
}

// reserve writes the payment as CREATED, or finds what the request was answered. An answer that is
// not ready still needs the provider.
func (c *creation) reserve(ctx context.Context) (*paymentv1.CreatePaymentResponse, order.Due, error) {
	s := c.service
	id, err := uuid.NewRandomFromReader(s.random)
	if err != nil {
		return nil, order.Due{}, fmt.Errorf("payment id: %w", err)
	}
	answer := &paymentv1.CreatePaymentResponse{}
	// due is nil if the request had its effect before.
	var due *order.Due
	err = idempotency.Do(ctx, s.pool, c.request, answer, func(tx *database.Tx) error {
		now := database.Stamp(s.now())
		p, found, err := c.newPayment(ctx, tx, id, now)
		if err != nil {
			return err
		}
		step, err := step(p, Create, now, actorBuyer, "")
		if err != nil {
			return err
		}
		answer.Payment = p.proto()
		var b pgx.Batch
		if err := c.request.Claim(&b, now, answer); err != nil {
			return err
		}
		queueInsert(&b, p)
		queueHistory(&b, paymentHistory, step)
		tx.AfterCommit(func() {
			due = &found
			s.metrics.count(step)
		})
		return tx.SendBatch(ctx, &b).Close()
	})
	if err != nil {
		return nil, order.Due{}, err
	}
	switch {
	case due != nil:
		return answer, *due, nil
	case ready(answer):
		return answer, order.Due{}, nil
	}
	found, err := order.GetDue(ctx, s.pool, c.req.GetBuyerId(), c.orderID)
	return answer, found, err
}

// maxPayments is how many an order has at most, or as many more as are asked for at once: staff see all of them.
const maxPayments = 50

// newPayment is the payment that the request asks for, if the order can be paid so.
func (c *creation) newPayment(
	ctx context.Context, tx *database.Tx, id uuid.UUID, now time.Time,
) (*Payment, order.Due, error) {
	due, err := order.GetDue(ctx, tx, c.req.GetBuyerId(), c.orderID)
	if err != nil {
		return nil, order.Due{}, err
	}
	if err := payable(due, now); err != nil {
		return nil, order.Due{}, err
	}
	chosen, err := method(c.provider, c.req, due.Currency)
	if err != nil {
		return nil, order.Due{}, err
	}
	if n, err := countOf(ctx, tx, c.orderID); err != nil {
		return nil, order.Due{}, err
	} else if n >= maxPayments {
		return nil, order.Due{}, rpcerr.New(connect.CodeResourceExhausted, rpcerr.ReasonTooManyPayments,
			"the order has too many payments already", "most", strconv.Itoa(maxPayments))
	}
	next := now.Add(firstQuery)
	return &Payment{
		ID: id, OrderID: c.orderID, BuyerID: c.req.GetBuyerId(), Provider: c.provider.Name(), Method: chosen.Name,
		Amount: due.Amount, Currency: due.Currency, CreatedAt: now, ExpiresAt: due.ExpiresAt, NextQueryAt: &next,
	}, due, nil
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
func (c *creation) submit(
	ctx context.Context, id uuid.UUID, session Session,
) (*paymentv1.CreatePaymentResponse, error) {
	s := c.service
	return database.QueryTx(ctx, s.pool, func(tx *database.Tx) (*paymentv1.CreatePaymentResponse, error) {
		p, err := lockOne(ctx, tx, id)
		if err != nil {
			return nil, err
		}
		due, err := order.GetDue(ctx, tx, c.req.GetBuyerId(), p.OrderID)
		if err != nil {
			return nil, err
		}
		if p.State != Succeeded && due.State != order.PendingPayment {
			return nil, &endedError{payment: p, state: due.State}
		}
		var b pgx.Batch
		switch p.State {
		case Created:
			p.RedirectURL, p.Reference = session.RedirectURL, session.Reference
			step, err := step(p, Submit, database.Stamp(s.now()), actorBuyer, "")
			if err != nil {
				return nil, err
			}
			s.queueChange(&b, tx, p, step)
		case Failed:
			return nil, providerRefused(p.Failure)
		case Closed:
			return nil, rpcerr.New(connect.CodeFailedPrecondition, reasonTimeOver, "the payment was closed")
		}
		answer := &paymentv1.CreatePaymentResponse{
			Payment: p.proto(), RedirectUrl: session.RedirectURL, QrCode: session.QRCode, SdkParams: session.SDKParams,
		}
		if err := c.request.Replace(&b, answer); err != nil {
			return nil, err
		}
		return answer, tx.SendBatch(ctx, &b).Close()
	})
}

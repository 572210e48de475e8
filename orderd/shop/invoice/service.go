package invoice

import (
	"context"
	"errors"
	"io"
	"strconv"
	"time"

	"connectrpc.com/connect/v2"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/protobuf/proto"

	invoicev1 "github.com/orderd-dev/orderd/api/gen/orderd/invoice/v1"
	"github.com/orderd-dev/orderd/orderd/kit/auth"
	"github.com/orderd-dev/orderd/orderd/kit/database"
	"github.com/orderd-dev/orderd/orderd/kit/idempotency"
	"github.com/orderd-dev/orderd/orderd/kit/lifecycle"
	"github.com/orderd-dev/orderd/orderd/kit/metric"
	"github.com/orderd-dev/orderd/orderd/kit/rpcerr"
	"github.com/orderd-dev/orderd/orderd/shop/order"
)

// Options of a Service. All but Registerer have to be set.
type Options struct {
	Pool   *pgxpool.Pool
	Orders *order.Store
	Clock  func() time.Time
	// Random makes ids: crypto/rand.Reader.
	Random     io.Reader
	Registerer prometheus.Registerer
}

// Service is the handler of InvoiceService, whose requests reach it validated, and has the effect of the consumer
// that follows orders.
type Service struct {
	pool    *pgxpool.Pool
	orders  *order.Store
	now     func() time.Time
	random  io.Reader
	changes *prometheus.CounterVec
}

// NewService makes a service; an error is the registerer's.
func NewService(o Options) (*Service, error) {
	s := &Service{pool: o.Pool, orders: o.Orders, now: o.Clock, random: o.Random}
	s.changes = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "orderd_invoice_changes_total", Help: "Changes of invoices, by event.",
	}, []string{"event"})
	return s, metric.Register(o.Registerer, "invoice", s.changes)
}

// RequestInvoice asks for an invoice, or changes what was asked for, once a request id.
func (s *Service) RequestInvoice(
	ctx context.Context, req *invoicev1.RequestInvoiceRequest,
) (*invoicev1.RequestInvoiceResponse, error) {
	scope := idempotency.BuyerScope(req.GetBuyerId())
	return once(ctx, s, scope, req, func(tx *database.Tx) (*invoicev1.RequestInvoiceResponse, error) {
		i, err := s.request(ctx, tx, req)
		return &invoicev1.RequestInvoiceResponse{Invoice: i}, err
	})
}

// IssueInvoice says that the document is made out.
func (s *Service) IssueInvoice(
	ctx context.Context, req *invoicev1.IssueInvoiceRequest,
) (*invoicev1.IssueInvoiceResponse, error) {
	return changeOne(ctx, s, req, func(w *work) error {
		if err := w.step(Issue, auth.StaffActor(ctx), req.GetNumber()); err != nil {
			return err
		}
		if err := w.asRead(req.GetVersion()); err != nil {
			return err
		}
		if req.GetAmount().GetCurrency() != w.invoice.Currency {
			return rpcerr.New(connect.CodeInvalidArgument, rpcerr.ReasonCurrencyMismatch, "the order's currency is another",
				"field", "amount")
		}
		if left := leftOf(w.order); req.GetAmount().GetAmount() > left {
			return rpcerr.New(connect.CodeFailedPrecondition, rpcerr.ReasonInvoiceExceeds,
				"amount is more than was paid and is not promised back",
				"field", "amount", "left", strconv.FormatInt(left, 10))
		}
		at, amount := database.Stamp(req.GetIssuedAt().AsTime()), req.GetAmount().GetAmount()
		w.invoice.Number, w.invoice.IssuedAt, w.invoice.Amount, w.invoice.File = req.GetNumber(), &at, &amount, req.GetFile()
		return nil
	}, func(i *invoicev1.Invoice) *invoicev1.IssueInvoiceResponse {
		return &invoicev1.IssueInvoiceResponse{Invoice: i}
	})
}

// RejectInvoice says that no document is made out.
func (s *Service) RejectInvoice(
	ctx context.Context, req *invoicev1.RejectInvoiceRequest,
) (*invoicev1.RejectInvoiceResponse, error) {
	return changeOne(ctx, s, req, func(w *work) error {
		if err := w.step(Reject, auth.StaffActor(ctx), req.GetReason()); err != nil {
			return err
		}
		w.invoice.Reason = req.GetReason()
		return w.asRead(req.GetVersion())
	}, func(i *invoicev1.Invoice) *invoicev1.RejectInvoiceResponse {
		return &invoicev1.RejectInvoiceResponse{Invoice: i}
	})
}

// VoidInvoice says that another document has voided it.
func (s *Service) VoidInvoice(
	ctx context.Context, req *invoicev1.VoidInvoiceRequest,
) (*invoicev1.VoidInvoiceResponse, error) {
	return changeOne(ctx, s, req, func(w *work) error {
		if err := w.step(Void, auth.StaffActor(ctx), req.GetReason()); err != nil {
			return err
		}
		w.invoice.VoidingNumber, w.invoice.Reason, w.invoice.Exceeds = req.GetNumber(), req.GetReason(), false
		return nil
	}, func(i *invoicev1.Invoice) *invoicev1.VoidInvoiceResponse {
		return &invoicev1.VoidInvoiceResponse{Invoice: i}
	})
}

// mutation is what every request has that changes something.
type mutation interface {
	proto.Message
	GetRequestId() string
}

// changeOne does something to the invoice that the request names, once a request id.
func changeOne[A proto.Message](
	ctx context.Context, s *Service, req interface {
		mutation
		GetInvoiceId() string
	}, do func(*work) error, answer func(*invoicev1.Invoice) A,
) (A, error) {
	var none A
	id, err := uuid.Parse(req.GetInvoiceId())
	if err != nil {
		return none, rpcError(errNotFound)
	}
	return once(ctx, s, idempotency.StaffScope, req, func(tx *database.Tx) (A, error) {
		w, err := s.lock(ctx, tx, id)
		if err != nil {
			return none, err
		}
		if err := do(w); err != nil {
			return none, err
		}
		return answer(w.invoice.proto(leftOf(w.order))), w.write(ctx)
	})
}

// once runs effect in a transaction once a request id.
func once[A proto.Message](
	ctx context.Context, s *Service, scope string, req mutation, effect func(*database.Tx) (A, error),
) (A, error) {
	var none A
	request, err := idempotency.NewRequest(scope, req.GetRequestId(), req)
	if err != nil {
		return none, rpcError(err)
	}
	answer, err := idempotency.Once(ctx, s.pool, request, database.Stamp(s.now()), effect)
	if err != nil {
		return none, rpcError(err)
	}
	return answer, nil
}

func stateConflict(state State) error {
	return rpcerr.New(connect.CodeFailedPrecondition, rpcerr.ReasonInvoiceStateConflict,
		"the invoice's state does not allow this", "state", string(state))
}

func rpcError(err error) error {
	var refused *lifecycle.RefusedError
	switch {
	case errors.Is(err, errNotFound):
		return rpcerr.New(connect.CodeNotFound, rpcerr.ReasonInvoiceNotFound, "there is no such invoice")
	case errors.Is(err, order.ErrNotFound):
		return order.NotFound()
	case errors.As(err, &refused):
		return stateConflict(State(refused.State))
	}
	return database.RPCError(err)
}

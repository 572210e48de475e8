package invoice

import (
	"context"
	"strings"

	"github.com/google/uuid"
	"google.golang.org/protobuf/types/known/timestamppb"

	invoicev1 "github.com/orderd-dev/orderd/api/gen/orderd/invoice/v1"
	"github.com/orderd-dev/orderd/orderd/kit/database"
	"github.com/orderd-dev/orderd/orderd/kit/page"
	"github.com/orderd-dev/orderd/orderd/shop/order"
)

const defaultPageSize = 20

// ListOrderInvoices returns the invoices of a buyer's order, newest first.
func (s *Service) ListOrderInvoices(
	ctx context.Context, req *invoicev1.ListOrderInvoicesRequest,
) (*invoicev1.ListOrderInvoicesResponse, error) {
	orderID, err := uuid.Parse(req.GetOrderId())
	if err != nil {
		return nil, rpcError(order.ErrNotFound)
	}
	if _, err := order.GetDue(ctx, s.pool, req.GetBuyerId(), orderID); err != nil {
		return nil, rpcError(err)
	}
	found, err := OfOrder(ctx, s.pool, orderID)
	if err != nil {
		return nil, rpcError(err)
	}
	return &invoicev1.ListOrderInvoicesResponse{Invoices: found}, nil
}

// OfOrder are the invoices of an order as staff see them, newest first; q is a pool or a transaction.
func OfOrder(ctx context.Context, q database.Querier, id uuid.UUID) ([]*invoicev1.Invoice, error) {
	found, err := ofOrders(ctx, q, []uuid.UUID{id})
	if err != nil {
		return nil, err
	}
	return shown(ctx, q, found)
}

// ListInvoices returns a page of all buyers' invoices, oldest first.
func (s *Service) ListInvoices(
	ctx context.Context, req *invoicev1.ListInvoicesRequest,
) (*invoicev1.ListInvoicesResponse, error) {
	var after position
	if _, err := page.Parse(req.GetPageToken(), &after.createdAt, &after.id); err != nil {
		return nil, err
	}
	f := filter{exceeding: req.GetExceeding()}
	if req.GetState() != invoicev1.InvoiceState_INVOICE_STATE_UNSPECIFIED {
		f.state = State(strings.TrimPrefix(req.GetState().String(), "INVOICE_STATE_"))
	}
	size := page.Size(req.GetPageSize(), defaultPageSize)
	found, err := list(ctx, s.pool, f, after, size+1)
	if err != nil {
		return nil, rpcError(err)
	}
	answer := &invoicev1.ListInvoicesResponse{}
	found, answer.NextPageToken = page.Cut(found, size, func(last *Invoice) []any {
		return []any{last.CreatedAt, last.ID}
	})
	if answer.Invoices, err = shown(ctx, s.pool, found); err != nil {
		return nil, rpcError(err)
	}
	return answer, nil
}

// GetInvoiceHistory returns an invoice with what happened to it.
func (s *Service) GetInvoiceHistory(
	ctx context.Context, req *invoicev1.GetInvoiceHistoryRequest,
) (*invoicev1.GetInvoiceHistoryResponse, error) {
	id, err := uuid.Parse(req.GetInvoiceId())
	if err != nil {
		return nil, rpcError(errNotFound)
	}
	i, err := get(ctx, s.pool, id)
	if err != nil {
		return nil, rpcError(err)
	}
	all, err := shown(ctx, s.pool, []*Invoice{i})
	if err != nil {
		return nil, rpcError(err)
	}
	history, err := loadHistory(ctx, s.pool, id)
	if err != nil {
		return nil, rpcError(err)
	}
	answer := &invoicev1.GetInvoiceHistoryResponse{Invoice: all[0]}
	for _, h := range history {
		answer.Changes = append(answer.Changes, &invoicev1.InvoiceChange{
			Version: h.Version,
			Event:   h.Event,
			From:    h.From.proto(),
			To:      h.To.proto(),
			Actor:   h.Actor,
			Reason:  h.Reason,
			At:      timestamppb.New(h.At),
		})
	}
	return answer, nil
}

// shown are invoices as callers have them, with what is left of their orders now.
func shown(ctx context.Context, q database.Querier, invoices []*Invoice) ([]*invoicev1.Invoice, error) {
	if len(invoices) == 0 {
		return nil, nil
	}
	ids := make([]uuid.UUID, len(invoices))
	for k, i := range invoices {
		ids[k] = i.OrderID
	}
	orders, err := order.Read(ctx, q, ids)
	if err != nil {
		return nil, err
	}
	out := make([]*invoicev1.Invoice, len(invoices))
	for k, i := range invoices {
		out[k] = i.proto(leftOfProto(orders[i.OrderID]))
	}
	return out, nil
}

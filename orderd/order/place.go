package order

import (
	"context"
	"errors"
	"fmt"
	"time"

	"connectrpc.com/connect/v2"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	orderv1 "github.com/orderd-dev/orderd/api/gen/orderd/order/v1"
	"github.com/orderd-dev/orderd/orderd/catalog"
	"github.com/orderd-dev/orderd/orderd/idempotency"
	"github.com/orderd-dev/orderd/orderd/rpcerr"
	"github.com/orderd-dev/orderd/orderd/stock"
)

// actorBuyer is who acts in the history; which buyer is in the order.
const actorBuyer = "buyer"

// place puts an order of the standard lane into the database in one transaction: the request id,
// the order, its lines, history and event, and at last the stock, whose rows are then locked the shortest.
func (s *Store) place(ctx context.Context, id uuid.UUID, timeout time.Duration, req *orderv1.PlaceOrderRequest) (*orderv1.PlaceOrderResponse, error) {
	request, err := idempotency.NewRequest(idempotency.BuyerScope(req.GetBuyerId()), req.GetRequestId(), req)
	if err != nil {
		return nil, err
	}
	answer := &orderv1.PlaceOrderResponse{}
	var placed []change
	err = idempotency.Do(ctx, s.pool, request, answer, func(tx pgx.Tx) error {
		placed = nil
		now := stamp(s.now())
		o := &Order{ID: id, BuyerID: req.GetBuyerId(), CreatedAt: now, ExpiresAt: now.Add(timeout)}
		if err := price(ctx, tx, o, req.GetLines()); err != nil {
			return err
		}
		c, err := step(o, Place, now, actorBuyer, "")
		if err != nil {
			return err
		}
		answer.Order = o.proto()
		var b pgx.Batch
		if err := request.Claim(&b, now, answer); err != nil {
			return err
		}
		orders := []*Order{o}
		args, err := insertArgs(orders)
		if err != nil {
			return err
		}
		b.Queue(insertSQL, args...).Exec(mustChange(1))
		queueLines(&b, orders)
		if err := queueRecords(&b, []change{c}); err != nil {
			return err
		}
		if err := tx.SendBatch(ctx, &b).Close(); err != nil {
			return fmt.Errorf("writing the order: %w", err)
		}
		placed = []change{c}
		return stock.Apply(ctx, tx, movements(orders, stock.Reserve))
	})
	if err != nil {
		return nil, refusal(err)
	}
	s.metrics.count(placed)
	return answer, nil
}

// price makes the order's lines from the SKUs as they are now.
func price(ctx context.Context, tx pgx.Tx, o *Order, lines []*orderv1.PlaceOrderLine) error {
	codes := make([]string, len(lines))
	for i, l := range lines {
		codes[i] = l.GetSku()
	}
	skus, err := catalog.Find(ctx, tx, codes)
	if err != nil {
		return err
	}
	for _, l := range lines {
		sku, ok := skus[l.GetSku()]
		switch {
		case !ok:
			return catalog.NotFound(l.GetSku())
		case !sku.OnSale:
			return rpcerr.New(connect.CodeFailedPrecondition, "SKU_NOT_ON_SALE", "the SKU is not on sale", "sku", l.GetSku())
		case o.Currency != "" && o.Currency != sku.Currency:
			return rpcerr.New(connect.CodeFailedPrecondition, "CURRENCY_MISMATCH", "the SKUs' prices are in different currencies", "sku", l.GetSku())
		}
		o.Currency = sku.Currency
		o.Lines = append(o.Lines, Line{SKU: sku.SKU, Title: sku.Title, Quantity: l.GetQuantity(), UnitPrice: sku.UnitPrice})
	}
	sum, ok := total(o.Lines)
	if !ok {
		return rpcerr.New(connect.CodeInvalidArgument, "AMOUNT_TOO_LARGE", "the order's total is too large")
	}
	o.Total = sum
	return nil
}

// refusal is what the buyer sees of an order that cannot be had.
func refusal(err error) error {
	var short *stock.InsufficientError
	if errors.As(err, &short) {
		return rpcerr.New(connect.CodeResourceExhausted, "INSUFFICIENT_STOCK", "there is not enough stock", "sku", short.Missing[0].SKU)
	}
	return err
}

// movements makes one movement a line of the orders.
func movements(orders []*Order, of func(string, stock.Quantity) stock.Movement) []stock.Movement {
	var out []stock.Movement
	for _, o := range orders {
		for _, l := range o.Lines {
			out = append(out, of(o.ID.String(), l.stocked()))
		}
	}
	return out
}

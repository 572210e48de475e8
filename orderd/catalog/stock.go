package catalog

import (
	"context"
	"errors"

	"connectrpc.com/connect/v2"
	"github.com/jackc/pgx/v5"
	"google.golang.org/protobuf/proto"

	catalogv1 "github.com/orderd-dev/orderd/api/gen/orderd/catalog/v1"
	"github.com/orderd-dev/orderd/orderd/database"
	"github.com/orderd-dev/orderd/orderd/idempotency"
	"github.com/orderd-dev/orderd/orderd/rpcerr"
	"github.com/orderd-dev/orderd/orderd/stock"
)

// AdjustStock adds to the available stock or takes from it, once a request id.
func (s *Service) AdjustStock(ctx context.Context, req *catalogv1.AdjustStockRequest) (*catalogv1.AdjustStockResponse, error) {
	answer := &catalogv1.AdjustStockResponse{}
	err := s.changeStock(ctx, req, answer, func(tx pgx.Tx, levels stock.Levels, buckets int64) func() error {
		levels.Available += req.GetDelta()
		answer.Stock = stockProto(levels, buckets)
		return func() error {
			return stock.Adjust(ctx, tx, ref(req), stock.Quantity{SKU: req.GetSku(), Quantity: req.GetDelta()})
		}
	})
	var short *stock.InsufficientError
	if errors.As(err, &short) {
		return nil, rpcerr.New(connect.CodeFailedPrecondition, "INSUFFICIENT_STOCK", "more would be taken than is available", "sku", req.GetSku())
	}
	if err != nil {
		return nil, database.RPCError(err)
	}
	return answer, nil
}

// SpreadStock spreads the stock over rows of the database, once a request id.
func (s *Service) SpreadStock(ctx context.Context, req *catalogv1.SpreadStockRequest) (*catalogv1.SpreadStockResponse, error) {
	answer := &catalogv1.SpreadStockResponse{}
	err := s.changeStock(ctx, req, answer, func(tx pgx.Tx, levels stock.Levels, _ int64) func() error {
		answer.Stock = stockProto(levels, req.GetBuckets())
		return func() error { return stock.Spread(ctx, tx, ref(req), req.GetSku(), req.GetBuckets()) }
	})
	if err != nil {
		return nil, database.RPCError(err)
	}
	return answer, nil
}

// stockChange is a request by staff that changes a SKU's stock.
type stockChange interface {
	proto.Message
	GetRequestId() string
	GetSku() string
}

// ref is the key of the movements that a request makes.
func ref(req stockChange) string { return "request:" + req.GetRequestId() }

// changeStock makes a change of a SKU's locked stock, once a request id: plan fills the answer and returns what is done after the
// request's id is claimed.
func (s *Service) changeStock(ctx context.Context, req stockChange, answer proto.Message, plan func(pgx.Tx, stock.Levels, int64) func() error) error {
	request, err := idempotency.NewRequest(idempotency.StaffScope, req.GetRequestId(), req)
	if err != nil {
		return err
	}
	return idempotency.Do(ctx, s.pool, request, answer, func(tx *database.Tx) error {
		locked, err := stock.Lock(ctx, tx, []string{req.GetSku()})
		if err != nil {
			return err
		}
		levels, ok := locked[req.GetSku()]
		if !ok {
			return NotFound(req.GetSku())
		}
		buckets, err := stock.Buckets(ctx, tx, req.GetSku())
		if err != nil {
			return err
		}
		effect := plan(tx, levels, buckets)
		var b pgx.Batch
		if err := request.Claim(&b, s.now(), answer); err != nil {
			return err
		}
		if err := tx.SendBatch(ctx, &b).Close(); err != nil {
			return err
		}
		return effect()
	})
}

func stockProto(l stock.Levels, buckets int64) *catalogv1.Stock {
	return &catalogv1.Stock{Available: l.Available, Reserved: l.Reserved, Deducted: l.Deducted, Buckets: buckets}
}

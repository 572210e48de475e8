package catalog

import (
	"context"
	"errors"

	"connectrpc.com/connect/v2"

	catalogv1 "github.com/orderd-dev/orderd/api/gen/orderd/catalog/v1"
	"github.com/orderd-dev/orderd/orderd/kit/database"
	"github.com/orderd-dev/orderd/orderd/kit/rpcerr"
	"github.com/orderd-dev/orderd/orderd/shop/stock"
)

// AdjustStock adds to the available stock or takes from it, once a request id.
func (s *Service) AdjustStock(
	ctx context.Context, req *catalogv1.AdjustStockRequest,
) (*catalogv1.AdjustStockResponse, error) {
	answer, err := once(ctx, s, req, func(tx *database.Tx) (*catalogv1.AdjustStockResponse, error) {
		levels, err := Adjust(ctx, tx, ref(req), req.GetSku(), req.GetDelta())
		if err != nil {
			return nil, err
		}
		buckets, err := stock.Buckets(ctx, tx, req.GetSku())
		return &catalogv1.AdjustStockResponse{Stock: stockProto(levels, buckets)}, err
	})
	if err != nil {
		return nil, database.RPCError(err)
	}
	return answer, nil
}

// Adjust adds to a SKU's available stock or takes from it, in the caller's transaction, and returns what there is then.
// ref is the change's key: with the same it happens once. Errors: NOT_FOUND/SKU_NOT_FOUND,
// FAILED_PRECONDITION/INSUFFICIENT_STOCK.
func Adjust(ctx context.Context, tx *database.Tx, ref, sku string, delta int64) (stock.Levels, error) {
	levels, err := lockStock(ctx, tx, sku)
	if err != nil {
		return stock.Levels{}, err
	}
	levels.Available += delta
	err = stock.Adjust(ctx, tx, ref, stock.Quantity{SKU: sku, Quantity: delta})
	var short *stock.InsufficientError
	if errors.As(err, &short) {
		return stock.Levels{}, rpcerr.New(connect.CodeFailedPrecondition, rpcerr.ReasonInsufficientStock,
			"more would be taken than is available", "sku", sku)
	}
	return levels, err
}

// SpreadStock spreads the stock over rows of the database, once a request id.
func (s *Service) SpreadStock(
	ctx context.Context, req *catalogv1.SpreadStockRequest,
) (*catalogv1.SpreadStockResponse, error) {
	answer, err := once(ctx, s, req, func(tx *database.Tx) (*catalogv1.SpreadStockResponse, error) {
		levels, err := lockStock(ctx, tx, req.GetSku())
		if err != nil {
			return nil, err
		}
		err = stock.Spread(ctx, tx, ref(req), req.GetSku(), req.GetBuckets())
		return &catalogv1.SpreadStockResponse{Stock: stockProto(levels, req.GetBuckets())}, err
	})
	if err != nil {
		return nil, database.RPCError(err)
	}
	return answer, nil
}

// ref is the key of the movements that a request makes.
func ref(req mutation) string { return "request:" + req.GetRequestId() }

// lockStock reads a SKU's stock and keeps it locked until the transaction ends.
func lockStock(ctx context.Context, tx *database.Tx, sku string) (stock.Levels, error) {
	locked, err := stock.Lock(ctx, tx, []string{sku})
	if err != nil {
		return stock.Levels{}, err
	}
	levels, ok := locked[sku]
	if !ok {
		return stock.Levels{}, NotFound(sku)
	}
	return levels, nil
}

func stockProto(l stock.Levels, buckets int64) *catalogv1.Stock {
	return &catalogv1.Stock{Available: l.Available, Reserved: l.Reserved, Deducted: l.Deducted, Buckets: buckets}
}

func availability(l stock.Levels) catalogv1.Availability {
	switch {
	case l.Available <= 0:
		return catalogv1.Availability_AVAILABILITY_SOLD_OUT
	case l.Available <= stock.Few:
		return catalogv1.Availability_AVAILABILITY_FEW
	default:
		return catalogv1.Availability_AVAILABILITY_IN_STOCK
	}
}

package desk

import (
	"context"
	"fmt"
	"strings"

	"connectrpc.com/connect/v2"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	deskv1 "github.com/orderd-dev/orderd/api/gen/orderd/desk/v1"
	"github.com/orderd-dev/orderd/orderd/kit/database"
	"github.com/orderd-dev/orderd/orderd/kit/orderid"
	"github.com/orderd-dev/orderd/orderd/kit/rpcerr"
	"github.com/orderd-dev/orderd/orderd/shop/order"
)

const (
	// mostAmbiguous is how many orders with the same key are named.
	mostAmbiguous = 10
)

// find is the id of the only order that has the key.
func (s *Service) find(ctx context.Context, req *deskv1.FindOrderRequest) (uuid.UUID, error) {
	var rows pgx.Rows
	var err error
	const byTerm = "SELECT order_id FROM desk_terms WHERE kind = $1 AND term = $2 ORDER BY created_at DESC LIMIT $3"
	switch key := req.GetKey().(type) {
	case *deskv1.FindOrderRequest_OrderId:
		id, err := uuid.Parse(key.OrderId)
		if err != nil {
			return uuid.Nil, order.ErrNotFound
		}
		return id, nil
	case *deskv1.FindOrderRequest_Number:
		number, ok := orderid.ParseNumber(key.Number)
		if !ok {
			return uuid.Nil, order.ErrNotFound
		}
		return FindNumber(ctx, s.pool, number)
	case *deskv1.FindOrderRequest_TransactionId:
		rows, err = s.pool.Query(ctx, byTerm, kindTransaction, key.TransactionId, mostAmbiguous)
	case *deskv1.FindOrderRequest_TrackingNumber:
		rows, err = s.pool.Query(ctx, byTerm, kindTracking, trackingKey(key.TrackingNumber), mostAmbiguous)
	}
	if err != nil {
		return uuid.Nil, err
	}
	return only(rows)
}

// only is the only id that was found.
func only(rows pgx.Rows) (uuid.UUID, error) {
	ids, err := pgx.CollectRows(rows, pgx.RowTo[uuid.UUID])
	switch {
	case err != nil:
		return uuid.Nil, err
	case len(ids) == 0:
		return uuid.Nil, order.ErrNotFound
	case len(ids) > 1:
		texts := make([]string, len(ids))
		for i, id := range ids {
			texts[i] = id.String()
		}
		return uuid.Nil, rpcerr.New(connect.CodeFailedPrecondition, rpcerr.ReasonKeyAmbiguous,
			"several orders have this key", "order_ids", strings.Join(texts, ","))
	}
	return ids[0], nil
}

// FindNumber is the id of the only order that has a number, which is written as orderid.Number writes it; q is a pool
// or a transaction. Errors are order.ErrNotFound and FAILED_PRECONDITION/KEY_AMBIGUOUS.
func FindNumber(ctx context.Context, q database.Querier, number string) (uuid.UUID, error) {
	rows, err := q.Query(ctx,
		"SELECT order_id FROM desk_orders WHERE number = $1 AND number <> '' LIMIT $2", number, mostAmbiguous)
	if err != nil {
		return uuid.Nil, fmt.Errorf("finding an order's number: %w", err)
	}
	return only(rows)
}

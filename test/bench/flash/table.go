package main

import (
	"context"
	"errors"
	"fmt"

	"connectrpc.com/connect/v2"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	flashv1 "github.com/orderd-dev/orderd/api/gen/orderd/flash/v1"
	"github.com/orderd-dev/orderd/api/gen/orderd/flash/v1/flashv1connect"
	"github.com/orderd-dev/orderd/orderd/flash/refusal"
	"github.com/orderd-dev/orderd/orderd/kit/rpcerr"
)

// tables of the SQL peer.
const tables = `
CREATE TABLE bench_stock (sku text PRIMARY KEY, available bigint NOT NULL CHECK (available >= 0));
CREATE TABLE bench_orders (
	buyer_id text NOT NULL, request_id text NOT NULL, order_id uuid NOT NULL, sku text NOT NULL, quantity bigint NOT NULL,
	accepted_at timestamptz NOT NULL DEFAULT now(), PRIMARY KEY (buyer_id, request_id)
);
INSERT INTO bench_stock VALUES ('` + hotSKU + `', 1000000000000)`

// place is one conditional UPDATE and INSERT in one round trip and one transaction, so that the row
// of the SKU is locked for as short as possible. A request that is there already breaks the primary
// key, and takes nothing.
const place = `
WITH taken AS (
	UPDATE bench_stock SET available = available - $5 WHERE sku = $4 AND available >= $5
		AND $5 + coalesce((SELECT sum(quantity) FROM bench_orders WHERE buyer_id = $1 AND sku = $4), 0) <= $6
	RETURNING sku
)
INSERT INTO bench_orders (buyer_id, request_id, order_id, sku, quantity) SELECT $1, $2, $3, sku, $5 FROM taken`

const (
	// tableConnections are as many as were measured to be the quickest: more only wait for the row.
	tableConnections = 16
	uniqueViolation  = "23505"
	serialization    = "40001"
	tableAttempts    = 10
)

// table is the flash lane's RPC with one statement a request behind it.
type table struct {
	flashv1connect.UnimplementedFlashServiceHandler

	pool *pgxpool.Pool
}

func newTable(ctx context.Context, url string) (*table, error) {
	c, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, err
	}
	c.MaxConns, c.MinConns = tableConnections, tableConnections
	pool, err := pgxpool.NewWithConfig(ctx, c)
	if err != nil {
		return nil, err
	}
	for i := range 2 {
		statements := []string{"DROP TABLE IF EXISTS bench_stock, bench_orders", tables}
		if _, err := pool.Exec(ctx, statements[i], pgx.QueryExecModeSimpleProtocol); err != nil {
			return nil, fmt.Errorf("making the tables: %w", err)
		}
	}
	return &table{pool: pool}, nil
}

// PlaceFlashOrder implements FlashService.
func (t *table) PlaceFlashOrder(
	ctx context.Context, request *flashv1.PlaceFlashOrderRequest,
) (*flashv1.PlaceFlashOrderResponse, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return nil, err
	}
	item := request.GetItems()[0]
	for range tableAttempts {
		tag, err := t.pool.Exec(ctx, place, request.GetBuyerId(), request.GetRequestId(), id, item.GetSku(),
			item.GetQuantity(), int64(limitPerBuyer))
		var refused *pgconn.PgError
		switch {
		case err == nil && tag.RowsAffected() == 1:
			return accepted(id), nil
		case err == nil:
			// The limit or the stock; the benchmark asks for neither.
			return nil, refusal.SoldOut(item.GetSku(), 0)
		case !errors.As(err, &refused):
			return nil, err
		case refused.Code == uniqueViolation:
			err := t.pool.QueryRow(ctx, "SELECT order_id FROM bench_orders WHERE buyer_id = $1 AND request_id = $2",
				request.GetBuyerId(), request.GetRequestId()).Scan(&id)
			return accepted(id), err
		case refused.Code != serialization:
			return nil, err
		}
	}
	return nil, rpcerr.New(connect.CodeUnavailable, "CONFLICT", "too many others want the same")
}

// Package catalog has the goods of the shop: their titles, prices and whether they are on sale.
package catalog

import (
	"context"
	"time"

	"connectrpc.com/connect/v2"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"google.golang.org/protobuf/proto"

	catalogv1 "github.com/orderd-dev/orderd/api/gen/orderd/catalog/v1"
	moneyv1 "github.com/orderd-dev/orderd/api/gen/orderd/money/v1"
	"github.com/orderd-dev/orderd/orderd/kit/database"
	"github.com/orderd-dev/orderd/orderd/kit/idempotency"
	"github.com/orderd-dev/orderd/orderd/kit/page"
	"github.com/orderd-dev/orderd/orderd/kit/rpcerr"
	"github.com/orderd-dev/orderd/orderd/shop/stock"
	"github.com/orderd-dev/orderd/orderd/shop/tax"
)

// defaultPageSize is how many SKUs a page has if the caller does not say.
const defaultPageSize = 50

// Options of a [Service]. All have to be set.
type Options struct {
	Pool  *pgxpool.Pool
	Clock func() time.Time
}

// Service is the handler of CatalogService. Requests reach it validated.
type Service struct {
	pool *pgxpool.Pool
	now  func() time.Time
}

// NewService makes the handler.
func NewService(o Options) *Service { return &Service{pool: o.Pool, now: o.Clock} }

// UpsertSku creates or replaces a SKU, once a request id if there is one; a new SKU has no stock.
func (s *Service) UpsertSku(
	ctx context.Context, req *catalogv1.UpsertSkuRequest,
) (*catalogv1.UpsertSkuResponse, error) {
	sku := skuOf(req.GetSku())
	effect := func(tx *database.Tx) (*catalogv1.UpsertSkuResponse, error) {
		return &catalogv1.UpsertSkuResponse{Sku: sku.proto()}, s.write(ctx, tx, sku)
	}
	var answer *catalogv1.UpsertSkuResponse
	var err error
	if req.GetRequestId() == "" {
		answer, err = database.QueryTx(ctx, s.pool, effect)
	} else {
		answer, err = once(ctx, s, req, effect)
	}
	if err != nil {
		return nil, database.RPCError(err)
	}
	return answer, nil
}

// mutation is a request by staff.
type mutation interface {
	proto.Message
	GetRequestId() string
}

// once has a request by staff take effect once its request id.
func once[A proto.Message](
	ctx context.Context, s *Service, req mutation, effect func(*database.Tx) (A, error),
) (A, error) {
	request, err := idempotency.NewRequest(idempotency.StaffScope, req.GetRequestId(), req)
	if err != nil {
		var none A
		return none, err
	}
	return idempotency.Once(ctx, s.pool, request, database.Stamp(s.now()), effect)
}

func (s *Service) write(ctx context.Context, tx pgx.Tx, sku SKU) error {
	if sku.TaxClass != "" {
		// A class is never deleted, so that one that is there stays.
		rates, err := tax.Rates(ctx, tx, []string{sku.TaxClass})
		if err != nil {
			return err
		}
		if _, ok := rates[sku.TaxClass]; !ok {
			return tax.NotFound(sku.TaxClass)
		}
	}
	if err := upsert(ctx, tx, sku, database.Stamp(s.now())); err != nil {
		return err
	}
	return stock.Create(ctx, tx, sku.SKU)
}

// GetSku returns a SKU and how much there is of it: exactly only for those who may know.
func (s *Service) GetSku(ctx context.Context, req *catalogv1.GetSkuRequest) (*catalogv1.GetSkuResponse, error) {
	found, err := Find(ctx, s.pool, []string{req.GetSku()})
	if err != nil {
		return nil, database.RPCError(err)
	}
	sku, ok := found[req.GetSku()]
	if !ok {
		return nil, NotFound(req.GetSku())
	}
	levels, err := stock.Get(ctx, s.pool, req.GetSku())
	if err != nil {
		return nil, database.RPCError(err)
	}
	answer := &catalogv1.GetSkuResponse{Sku: sku.proto(), Availability: availability(levels)}
	if !stock.ExactFor(ctx) {
		return answer, nil
	}
	buckets, err := stock.Buckets(ctx, s.pool, req.GetSku())
	if err != nil {
		return nil, database.RPCError(err)
	}
	answer.Stock = stockProto(levels, buckets)
	return answer, nil
}

// ListSkus returns a page of the SKUs, by their codes.
func (s *Service) ListSkus(ctx context.Context, req *catalogv1.ListSkusRequest) (*catalogv1.ListSkusResponse, error) {
	var after string
	if _, err := page.Parse(req.GetPageToken(), &after); err != nil {
		return nil, err
	}
	size := page.Size(req.GetPageSize(), defaultPageSize)
	// One more than asked for tells whether there is a next page.
	found, err := list(ctx, s.pool, req.GetCategory(), req.GetOnSaleOnly(), after, size+1)
	if err != nil {
		return nil, database.RPCError(err)
	}
	answer := &catalogv1.ListSkusResponse{}
	found, answer.NextPageToken = page.Cut(found, size, func(last SKU) []any { return []any{last.SKU} })
	for _, sku := range found {
		answer.Skus = append(answer.Skus, sku.proto())
	}
	return answer, nil
}

// NotFound is the error for a SKU that there is not.
func NotFound(sku string) error {
	return rpcerr.New(connect.CodeNotFound, rpcerr.ReasonSKUNotFound, "there is no such SKU", "sku", sku)
}

// NotOnSale is the error for a SKU that cannot be ordered now.
func NotOnSale(sku string) error {
	return rpcerr.New(connect.CodeFailedPrecondition, rpcerr.ReasonSKUNotOnSale, "the SKU is not on sale", "sku", sku)
}

func skuOf(in *catalogv1.Sku) SKU {
	return SKU{
		SKU: in.GetSku(), Title: in.GetTitle(), UnitPrice: in.GetPrice().GetAmount(), Currency: in.GetPrice().GetCurrency(),
		OnSale: in.GetOnSale(), WeightGrams: in.GetWeightGrams(), TaxClass: in.GetTaxClass(), Category: in.GetCategory(),
	}
}

func (s SKU) proto() *catalogv1.Sku {
	return &catalogv1.Sku{
		Sku: s.SKU, Title: s.Title, Price: &moneyv1.Money{Amount: s.UnitPrice, Currency: s.Currency},
		OnSale: s.OnSale, WeightGrams: s.WeightGrams, TaxClass: s.TaxClass, Category: s.Category,
	}
}

package cart

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"google.golang.org/protobuf/proto"

	cartv1 "github.com/orderd-dev/orderd/api/gen/orderd/cart/v1"
	moneyv1 "github.com/orderd-dev/orderd/api/gen/orderd/money/v1"
	"github.com/orderd-dev/orderd/orderd/kit/database"
	"github.com/orderd-dev/orderd/orderd/kit/idempotency"
	"github.com/orderd-dev/orderd/orderd/kit/rpcerr"
	"github.com/orderd-dev/orderd/orderd/shop/catalog"
	"github.com/orderd-dev/orderd/orderd/shop/stock"
)

// Options of a [Service]. All have to be set.
type Options struct {
	Pool *pgxpool.Pool
	// Guests verifies the tokens of guests whose carts are merged.
	Guests Guests
	Clock  func() time.Time
}

// Service is the handler of CartService. Requests reach it validated.
type Service struct {
	pool   *pgxpool.Pool
	guests Guests
	now    func() time.Time
}

// NewService makes the handler.
func NewService(o Options) *Service { return &Service{pool: o.Pool, guests: o.Guests, now: o.Clock} }

// AddCartLine adds units of a SKU, once a request id.
func (s *Service) AddCartLine(
	ctx context.Context, req *cartv1.AddCartLineRequest,
) (*cartv1.AddCartLineResponse, error) {
	answer := &cartv1.AddCartLineResponse{}
	err := s.change(ctx, req, answer, func(tx pgx.Tx, now time.Time, have []Item, b *pgx.Batch) error {
		skus, err := catalog.Find(ctx, tx, []string{req.GetSku()})
		if err != nil {
			return err
		}
		sku, ok := skus[req.GetSku()]
		switch {
		case !ok:
			return catalog.NotFound(req.GetSku())
		case !sku.OnSale:
			return catalog.NotOnSale(req.GetSku())
		}
		item, err := add(have, sku.SKU, req.GetQuantity(), now)
		if err != nil {
			return err
		}
		answer.Item = item.proto()
		queueWrite(b, req.GetBuyerId(), []Item{item})
		return nil
	})
	if err != nil {
		return nil, err
	}
	return answer, nil
}

// ChangeCartLine sets a line's quantity, once a request id.
func (s *Service) ChangeCartLine(
	ctx context.Context, req *cartv1.ChangeCartLineRequest,
) (*cartv1.ChangeCartLineResponse, error) {
	answer := &cartv1.ChangeCartLineResponse{}
	err := s.change(ctx, req, answer, func(_ pgx.Tx, _ time.Time, have []Item, b *pgx.Batch) error {
		for _, item := range have {
			if item.SKU == req.GetSku() {
				item.Quantity = req.GetQuantity()
				answer.Item = item.proto()
				queueWrite(b, req.GetBuyerId(), []Item{item})
				return nil
			}
		}
		return lineNotFound(req.GetSku())
	})
	if err != nil {
		return nil, err
	}
	return answer, nil
}

// RemoveCartLines removes lines, once a request id.
func (s *Service) RemoveCartLines(
	ctx context.Context, req *cartv1.RemoveCartLinesRequest,
) (*cartv1.RemoveCartLinesResponse, error) {
	answer := &cartv1.RemoveCartLinesResponse{}
	err := s.change(ctx, req, answer, func(_ pgx.Tx, _ time.Time, _ []Item, b *pgx.Batch) error {
		queueRemove(b, req.GetBuyerId(), req.GetSkus())
		return nil
	})
	if err != nil {
		return nil, err
	}
	return answer, nil
}

// SelectCartLines selects lines for the next order or takes them out of the
// selection, once a request id.
func (s *Service) SelectCartLines(
	ctx context.Context, req *cartv1.SelectCartLinesRequest,
) (*cartv1.SelectCartLinesResponse, error) {
	answer := &cartv1.SelectCartLinesResponse{}
	err := s.change(ctx, req, answer, func(_ pgx.Tx, _ time.Time, have []Item, b *pgx.Batch) error {
		wanted := make(map[string]bool, len(req.GetSkus()))
		for _, sku := range req.GetSkus() {
			wanted[sku] = true
		}
		var changed []Item
		for _, item := range have {
			if (len(wanted) == 0 || wanted[item.SKU]) && item.Selected != req.GetSelected() {
				item.Selected = req.GetSelected()
				changed = append(changed, item)
			}
		}
		queueWrite(b, req.GetBuyerId(), changed)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return answer, nil
}

// GetCart returns the lines as the catalog has them now.
func (s *Service) GetCart(ctx context.Context, req *cartv1.GetCartRequest) (*cartv1.GetCartResponse, error) {
	answer := &cartv1.GetCartResponse{}
	have, err := items(ctx, s.pool, req.GetBuyerId())
	if err != nil {
		return nil, database.RPCError(err)
	}
	if len(have) == 0 {
		return answer, nil
	}
	skus, err := catalog.Find(ctx, s.pool, skusOf(have))
	if err != nil {
		return nil, database.RPCError(err)
	}
	inStock, err := stock.InStock(ctx, s.pool, skusOf(have))
	if err != nil {
		return nil, database.RPCError(err)
	}
	for _, item := range have {
		sku := skus[item.SKU]
		answer.Lines = append(answer.Lines, &cartv1.CartLine{
			Item: item.proto(), Title: sku.Title, Price: &moneyv1.Money{Amount: sku.UnitPrice, Currency: sku.Currency},
			OnSale: sku.OnSale, InStock: inStock[item.SKU],
		})
	}
	return answer, nil
}

// mutation is a request that changes a buyer's cart.
type mutation interface {
	proto.Message
	GetRequestId() string
	GetBuyerId() string
}

// change makes one change of a cart, once a request id: effect sees the lines of the locked cart,
// fills the answer and queues what it changes.
func (s *Service) change(
	ctx context.Context, req mutation, answer proto.Message, effect func(pgx.Tx, time.Time, []Item, *pgx.Batch) error,
) error {
	request, err := idempotency.NewRequest(idempotency.BuyerScope(req.GetBuyerId()), req.GetRequestId(), req)
	if err != nil {
		return rpcerr.Internal(err)
	}
	err = idempotency.Do(ctx, s.pool, request, answer, func(tx *database.Tx) error {
		now := database.Stamp(s.now())
		if err := lockCarts(ctx, tx, now, req.GetBuyerId()); err != nil {
			return err
		}
		have, err := lockItems(ctx, tx, req.GetBuyerId())
		if err != nil {
			return err
		}
		var effects, b pgx.Batch
		if err := effect(tx, now, have[req.GetBuyerId()], &effects); err != nil {
			return err
		}
		if err := request.Claim(&b, now, answer); err != nil {
			return err
		}
		b.QueuedQueries = append(b.QueuedQueries, effects.QueuedQueries...)
		return tx.SendBatch(ctx, &b).Close()
	})
	return database.RPCError(err)
}

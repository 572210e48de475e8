package quote

import (
	"context"
	"time"

	"connectrpc.com/connect/v2"
	"github.com/jackc/pgx/v5/pgxpool"
	"google.golang.org/protobuf/types/known/timestamppb"

	quotev1 "github.com/orderd-dev/orderd/api/gen/orderd/quote/v1"
	"github.com/orderd-dev/orderd/orderd/kit/database"
	"github.com/orderd-dev/orderd/orderd/kit/rpcerr"
	"github.com/orderd-dev/orderd/orderd/shop/cart"
)

// Options of a [Service]. All have to be set.
type Options struct {
	Pool *pgxpool.Pool
	// Tokens signs the quotes.
	Tokens *Tokens
	Clock  func() time.Time
}

// Service is the handler of QuoteService. Requests reach it validated.
type Service struct {
	pool   *pgxpool.Pool
	tokens *Tokens
	now    func() time.Time
}

// NewService makes the handler.
func NewService(o Options) *Service { return &Service{pool: o.Pool, tokens: o.Tokens, now: o.Clock} }

// QuoteOrder works out what the request's lines, or the selected ones of the buyer's cart, cost now.
func (s *Service) QuoteOrder(ctx context.Context, req *quotev1.QuoteOrderRequest) (*quotev1.QuoteOrderResponse, error) {
	in, err := s.input(ctx, req)
	if err != nil {
		return nil, database.RPCError(err)
	}
	facts, err := Load(ctx, s.pool, []Input{in})
	if err != nil {
		return nil, database.RPCError(err)
	}
	now := s.now()
	q, err := facts.Compute(in, now)
	if err != nil {
		return nil, err
	}
	answer, err := s.tokens.Signed(in, q, now)
	if err != nil {
		return nil, rpcerr.Internal(err)
	}
	return &quotev1.QuoteOrderResponse{Quote: answer}, nil
}

func (s *Service) input(ctx context.Context, req *quotev1.QuoteOrderRequest) (Input, error) {
	in := Input{BuyerID: req.GetBuyerId(), Lines: newLines(req.GetLines()), AllCoupons: true, Invoice: req.GetInvoice()}
	var err error
	if in.Delivery, err = NewDelivery(req.GetDelivery()); err != nil {
		return in, err
	}
	if in.CouponIDs, err = NewCouponIDs(req.GetCouponIds()); err != nil {
		return in, err
	}
	if len(in.Lines) > 0 {
		return in, nil
	}
	selected, err := cart.Selected(ctx, s.pool, in.BuyerID)
	if err != nil {
		return in, err
	}
	for _, item := range selected {
		in.Lines = append(in.Lines, Line{SKU: item.SKU, Quantity: item.Quantity})
	}
	if len(in.Lines) == 0 {
		return in, rpcerr.New(connect.CodeFailedPrecondition, rpcerr.ReasonCartEmpty, "nothing is selected in the cart")
	}
	return in, nil
}

// Signed is the quote as callers have it, with a token to place it by.
func (t *Tokens) Signed(in Input, q *Quote, now time.Time) (*quotev1.Quote, error) {
	token, expires, err := t.Sign(in, q, now)
	if err != nil {
		return nil, err
	}
	out := q.Proto()
	out.Token, out.ExpiresAt = token, timestamppb.New(expires)
	return out, nil
}

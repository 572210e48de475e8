package coupon

import (
	"context"
	"strings"

	"connectrpc.com/connect/v2"
	"github.com/google/uuid"

	couponv1 "github.com/orderd-dev/orderd/api/gen/orderd/coupon/v1"
	"github.com/orderd-dev/orderd/orderd/kit/database"
	"github.com/orderd-dev/orderd/orderd/kit/page"
	"github.com/orderd-dev/orderd/orderd/kit/rpcerr"
)

// Service is the handler of CouponService. Requests reach it validated.
type Service struct{ store *Store }

// NewService takes the store.
func NewService(store *Store) *Service { return &Service{store: store} }

// UpsertCouponTemplate creates a template or gives it new terms.
func (s *Service) UpsertCouponTemplate(
	ctx context.Context, req *couponv1.UpsertCouponTemplateRequest,
) (*couponv1.UpsertCouponTemplateResponse, error) {
	answer, err := s.store.upsert(ctx, req)
	if err != nil {
		return nil, database.RPCError(err)
	}
	return answer, nil
}

// GetCouponTemplate returns a template and how much of its budget is spent.
func (s *Service) GetCouponTemplate(
	ctx context.Context, req *couponv1.GetCouponTemplateRequest,
) (*couponv1.GetCouponTemplateResponse, error) {
	found, err := s.store.status(ctx, req.GetName())
	if err != nil {
		return nil, database.RPCError(err)
	}
	return &couponv1.GetCouponTemplateResponse{Template: found}, nil
}

// ListCouponTemplates returns a page of templates, by name.
func (s *Service) ListCouponTemplates(
	ctx context.Context, req *couponv1.ListCouponTemplatesRequest,
) (*couponv1.ListCouponTemplatesResponse, error) {
	var after string
	if _, err := page.Parse(req.GetPageToken(), &after); err != nil {
		return nil, err
	}
	size := page.Size(req.GetPageSize(), defaultPageSize)
	// One more than asked for tells whether there is a next page.
	found, err := s.store.statuses(ctx, after, size+1)
	if err != nil {
		return nil, database.RPCError(err)
	}
	answer := &couponv1.ListCouponTemplatesResponse{}
	answer.Templates, answer.NextPageToken = page.Cut(found, size, func(last *couponv1.CouponTemplateStatus) []any {
		return []any{last.GetTemplate().GetName()}
	})
	return answer, nil
}

// SwitchCouponTemplate switches a template on or off.
func (s *Service) SwitchCouponTemplate(
	ctx context.Context, req *couponv1.SwitchCouponTemplateRequest,
) (*couponv1.SwitchCouponTemplateResponse, error) {
	answer, err := s.store.switchTo(ctx, req)
	if err != nil {
		return nil, database.RPCError(err)
	}
	return answer, nil
}

// ClaimCoupon gives a buyer a coupon, once a request id.
func (s *Service) ClaimCoupon(
	ctx context.Context, req *couponv1.ClaimCouponRequest,
) (*couponv1.ClaimCouponResponse, error) {
	answer, err := s.store.claim(ctx, req)
	if err != nil {
		return nil, database.RPCError(err)
	}
	return answer, nil
}

// ListClaimableCoupons returns a page of the templates that buyers can claim now.
func (s *Service) ListClaimableCoupons(
	ctx context.Context, req *couponv1.ListClaimableCouponsRequest,
) (*couponv1.ListClaimableCouponsResponse, error) {
	var after string
	if _, err := page.Parse(req.GetPageToken(), &after); err != nil {
		return nil, err
	}
	size := page.Size(req.GetPageSize(), defaultPageSize)
	found, next, err := s.store.claimable(ctx, req.GetBuyerId(), after, database.Stamp(s.store.now()), size)
	if err != nil {
		return nil, database.RPCError(err)
	}
	answer := &couponv1.ListClaimableCouponsResponse{Coupons: found}
	if next != "" {
		answer.NextPageToken = page.Token(next)
	}
	return answer, nil
}

// ListCoupons returns a page of a buyer's coupons in one state.
func (s *Service) ListCoupons(
	ctx context.Context, req *couponv1.ListCouponsRequest,
) (*couponv1.ListCouponsResponse, error) {
	var after position
	if _, err := page.Parse(req.GetPageToken(), &after.validUntil, &after.id); err != nil {
		return nil, err
	}
	now := database.Stamp(s.store.now())
	size := page.Size(req.GetPageSize(), defaultPageSize)
	state := State(strings.TrimPrefix(req.GetState().String(), "COUPON_STATE_"))
	found, err := s.store.list(ctx, req.GetBuyerId(), state, after, now, size+1)
	if err != nil {
		return nil, database.RPCError(err)
	}
	answer := &couponv1.ListCouponsResponse{}
	found, answer.NextPageToken = page.Cut(found, size,
		func(last *Coupon) []any { return []any{last.ValidUntil, last.ID} })
	for _, c := range found {
		answer.Coupons = append(answer.Coupons, c.proto(now))
	}
	return answer, nil
}

// GetCouponHistory returns what happened to a buyer's coupon.
func (s *Service) GetCouponHistory(
	ctx context.Context, req *couponv1.GetCouponHistoryRequest,
) (*couponv1.GetCouponHistoryResponse, error) {
	id, err := uuid.Parse(req.GetCouponId())
	if err != nil {
		return nil, couponNotFound()
	}
	changes, err := s.store.history(ctx, req.GetBuyerId(), id)
	if err != nil {
		return nil, database.RPCError(err)
	}
	if len(changes) == 0 {
		return nil, couponNotFound()
	}
	return &couponv1.GetCouponHistoryResponse{Changes: changes}, nil
}

func couponNotFound() error {
	return rpcerr.New(connect.CodeNotFound, rpcerr.ReasonCouponNotFound, "the buyer has no such coupon")
}

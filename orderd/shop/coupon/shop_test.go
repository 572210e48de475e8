package coupon_test

import (
	"context"
	"crypto/rand"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	couponv1 "github.com/orderd-dev/orderd/api/gen/orderd/coupon/v1"
	"github.com/orderd-dev/orderd/orderd/kit/database"
	"github.com/orderd-dev/orderd/orderd/kit/rpcerr"
	"github.com/orderd-dev/orderd/orderd/shop/coupon"
	"github.com/orderd-dev/orderd/test/kit/testdb"
)

// shop is coupons on a database of their own, at a time that stands still.
type shop struct {
	pool    *pgxpool.Pool
	store   *coupon.Store
	service *coupon.Service
	now     time.Time
}

func newShop(t testing.TB) *shop {
	t.Helper()
	return newShopOn(testdb.NewPool(t))
}

func newShopOn(pool *pgxpool.Pool) *shop {
	s := &shop{pool: pool, now: time.UnixMilli(1_800_000_000_000).UTC()}
	s.store = coupon.NewStore(coupon.StoreOptions{
		Pool: s.pool, Clock: func() time.Time { return s.now }, Random: rand.Reader,
	})
	s.service = coupon.NewService(s.store)
	return s
}

// fixed is a template of coupons that buyers claim, valid for a week, 10 of them, one a buyer.
func fixed(name string, change func(*couponv1.CouponTemplate)) *couponv1.CouponTemplate {
	t := &couponv1.CouponTemplate{
		Name:          name,
		Title:         "5 off",
		Currency:      "CNY",
		Benefit:       &couponv1.CouponTemplate_Fixed{Fixed: &couponv1.Fixed{Amount: 500}},
		Validity:      &couponv1.Validity{Days: 7},
		LimitPerBuyer: 1,
		Budget:        &couponv1.Budget{Coupons: 10},
		Claimable:     true,
	}
	if change != nil {
		change(t)
	}
	return t
}

func envelope(name string, pool, parts int64) *couponv1.CouponTemplate {
	return fixed(name, func(t *couponv1.CouponTemplate) {
		t.Benefit, t.Budget = &couponv1.CouponTemplate_RedEnvelope{
			RedEnvelope: &couponv1.RedEnvelope{Pool: pool, Parts: parts},
		}, nil
	})
}

type fataler interface {
	Helper()
	Fatalf(format string, args ...any)
}

func (s *shop) upsert(t fataler, template *couponv1.CouponTemplate) *couponv1.CouponTemplateStatus {
	t.Helper()
	answer, err := s.service.UpsertCouponTemplate(context.Background(),
		&couponv1.UpsertCouponTemplateRequest{RequestId: uuid.NewString(), Template: template})
	if err != nil {
		t.Fatalf("upserting %s: %v", template.GetName(), err)
	}
	return answer.GetTemplate()
}

func (s *shop) claim(template, buyer string) (*couponv1.Coupon, error) {
	answer, err := s.service.ClaimCoupon(context.Background(),
		&couponv1.ClaimCouponRequest{RequestId: uuid.NewString(), BuyerId: buyer, Template: template})
	return answer.GetCoupon(), err
}

func (s *shop) spent(t fataler, template string) int64 {
	t.Helper()
	answer, err := s.service.GetCouponTemplate(context.Background(), &couponv1.GetCouponTemplateRequest{Name: template})
	if err != nil {
		t.Fatalf("%v", err)
	}
	return answer.GetTemplate().GetSpent()
}

func (s *shop) tx(fn func(context.Context, pgx.Tx) error) error {
	ctx := context.Background()
	return database.ExecuteTx(ctx, s.pool, func(tx *database.Tx) error { return fn(ctx, tx) })
}

// number is what a query counts.
func (s *shop) number(t fataler, sql string, args ...any) int64 {
	t.Helper()
	var n int64
	if err := s.pool.QueryRow(context.Background(), sql, args...).Scan(&n); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return n
}

func wantReason(t fataler, what string, err error, want string) {
	t.Helper()
	if got := rpcerr.Reason(err); got != want {
		t.Fatalf("%s: %v, want %s", what, err, want)
	}
}

package coupon_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"google.golang.org/protobuf/testing/protocmp"

	couponv1 "github.com/orderd-dev/orderd/api/gen/orderd/coupon/v1"
	"github.com/orderd-dev/orderd/orderd/kit/rpcerr"
	"github.com/orderd-dev/orderd/orderd/shop/coupon"
)

func TestAClaimIsMadeOnce(t *testing.T) {
	for _, template := range []*couponv1.CouponTemplate{fixed("plain", nil), envelope("parts", 1000, 7)} {
		t.Run(template.GetName(), func(t *testing.T) {
			s := newShop(t)
			s.upsert(t, template)
			req := &couponv1.ClaimCouponRequest{RequestId: "r", BuyerId: "ann", Template: template.GetName()}
			answers := make([]*couponv1.ClaimCouponResponse, 8)
			together(len(answers), func(i int) {
				answer, err := s.service.ClaimCoupon(context.Background(), req)
				if err != nil {
					t.Errorf("claim %d: %v", i, err)
				}
				answers[i] = answer
			})
			for _, a := range answers[1:] {
				if diff := cmp.Diff(answers[0], a, protocmp.Transform()); diff != "" {
					t.Errorf("a retry is answered otherwise:\n%s", diff)
				}
			}
			if answers[0].GetCoupon().GetAmount().GetAmount() < 1 {
				t.Errorf("the coupon is worth nothing: %v", answers[0])
			}
			if spent := s.spent(t, template.GetName()); spent != 1 {
				t.Errorf("%d coupons are spent", spent)
			}
			_, err := s.service.ClaimCoupon(context.Background(),
				&couponv1.ClaimCouponRequest{RequestId: "r", BuyerId: "ann", Template: "other"})
			wantReason(t, "the id for another claim", err, "REQUEST_ID_REUSED")
		})
	}
}

// together runs n calls that begin at once.
func together(n int, call func(i int)) {
	var ready, done sync.WaitGroup
	ready.Add(1)
	for i := range n {
		done.Go(func() {
			ready.Wait()
			call(i)
		})
	}
	ready.Done()
	done.Wait()
}

// More buyers than there are coupons, all at once: all coupons go, and not one more.
func TestABudgetHolds(t *testing.T) {
	const buyers, coupons = 120, 50
	s := newShop(t)
	s.upsert(t, fixed("hot", func(t *couponv1.CouponTemplate) { t.Budget.Coupons = coupons }))
	reasons := make([]string, buyers)
	together(buyers, func(i int) {
		_, err := s.claim("hot", fmt.Sprintf("buyer%d", i))
		reasons[i] = rpcerr.Reason(err)
	})
	got := map[string]int{}
	for _, r := range reasons {
		got[r]++
	}
	if diff := cmp.Diff(map[string]int{"": coupons, "COUPON_EXHAUSTED": buyers - coupons}, got); diff != "" {
		t.Errorf("answers (-want +got):\n%s", diff)
	}
	if n := s.number(t, "SELECT count(*) FROM coupons"); n != coupons || s.spent(t, "hot") != coupons {
		t.Errorf("%d coupons, %d spent; want %d", n, s.spent(t, "hot"), coupons)
	}
	// A raised budget has something again.
	s.upsert(t, fixed("hot", func(t *couponv1.CouponTemplate) { t.Budget.Coupons = coupons + 1 }))
	if _, err := s.claim("hot", "late"); err != nil {
		t.Error(err)
	}
	_, err := s.claim("hot", "later")
	wantReason(t, "one more", err, "COUPON_EXHAUSTED")
}

func TestALimitPerBuyerHolds(t *testing.T) {
	s := newShop(t)
	s.upsert(t, fixed("three", func(t *couponv1.CouponTemplate) { t.LimitPerBuyer = 3 }))
	reasons := make([]string, 16)
	together(len(reasons), func(i int) {
		_, err := s.claim("three", "ann")
		reasons[i] = rpcerr.Reason(err)
	})
	got := map[string]int{}
	for _, r := range reasons {
		got[r]++
	}
	if diff := cmp.Diff(map[string]int{"": 3, "LIMIT_PER_BUYER": 13}, got); diff != "" {
		t.Errorf("answers (-want +got):\n%s", diff)
	}
	if spent := s.spent(t, "three"); spent != 3 {
		t.Errorf("%d are spent", spent)
	}
}

// While buyers claim a red envelope's parts and marketing gives it new terms: all parts are claimed
// once, and they are the pool.
func TestAllPartsAreThePool(t *testing.T) {
	const parts, pool = 90, 12345
	s := newShop(t)
	s.upsert(t, envelope("lucky", pool, parts))
	together(parts+20, func(i int) {
		if i%10 == 9 {
			template := envelope("lucky", pool, parts)
			template.Title = fmt.Sprintf("lucky %d", i)
			s.upsert(t, template)
			return
		}
		if _, err := s.claim("lucky", fmt.Sprintf("buyer%d", i)); err != nil && rpcerr.Reason(err) != "COUPON_EXHAUSTED" {
			t.Error(err)
		}
	})
	if n := s.number(t, "SELECT count(*) FROM coupons WHERE amount < 1 OR part IS NULL OR part < 0 OR part >= $1",
		parts); n > 0 {
		t.Errorf("%d parts are none", n)
	}
	for i := 0; ; i++ {
		if _, err := s.claim("lucky", fmt.Sprintf("late%d", i)); err != nil {
			wantReason(t, "claiming the rest", err, "COUPON_EXHAUSTED")
			break
		}
	}
	claimed, sum := s.number(t, "SELECT count(DISTINCT part) FROM coupons"), s.number(t,
		"SELECT sum(amount)::bigint FROM coupons")
	if claimed != parts || sum != pool {
		t.Errorf("%d parts of %d in all, want %d of %d", claimed, sum, parts, pool)
	}
}

// One that locks, one that takes back and one that pays late want the same coupon at once:
// exactly one gets it.
func TestOneCouponForOne(t *testing.T) {
	s := newShop(t)
	s.upsert(t, fixed("one", nil))
	for round := range 20 {
		buyer := fmt.Sprintf("buyer%d", round)
		if round >= 10 {
			s.upsert(t, fixed(fmt.Sprintf("one%d", round), nil))
		}
		claimed, err := s.claim(map[bool]string{true: fmt.Sprintf("one%d", round), false: "one"}[round >= 10], buyer)
		if err != nil {
			t.Fatal(err)
		}
		id := uuid.MustParse(claimed.GetCouponId())
		won := make([]bool, 6)
		together(len(won), func(i int) {
			err := s.tx(func(ctx context.Context, tx pgx.Tx) error {
				w := coupon.Wish{OrderID: uuid.New(), BuyerID: buyer, CouponIDs: []uuid.UUID{id}}
				if i == 0 {
					revoked, err := coupon.RevokeFor(ctx, tx, w.CouponIDs, s.now, "test", "")
					won[i] = len(revoked) == 1
					return err
				}
				failed, err := coupon.LockFor(ctx, tx, []coupon.Wish{w}, s.now)
				won[i] = err == nil && len(failed) == 0
				return err
			})
			if err != nil {
				t.Error(err)
			}
		})
		if n := len(slices.DeleteFunc(won, func(w bool) bool { return !w })); n != 1 {
			t.Errorf("round %d: %d have got the coupon", round, n)
		}
	}
}

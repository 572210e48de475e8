package coupon_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/timestamppb"

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

func TestTemplatesChangeAndCouponsKeepTheirTerms(t *testing.T) {
	s := newShop(t)
	created := s.upsert(t, fixed("welcome", nil))
	want := &couponv1.CouponTemplateStatus{Template: fixed("welcome", nil), Revision: 1, On: true, Capacity: 10}
	if diff := cmp.Diff(want, created, protocmp.Transform()); diff != "" {
		t.Errorf("created (-want +got):\n%s", diff)
	}
	if again := s.upsert(t, fixed("welcome", nil)); again.GetRevision() != 1 {
		t.Errorf("the same terms again are revision %d", again.GetRevision())
	}
	first, err := s.claim("welcome", "ann")
	if err != nil {
		t.Fatal(err)
	}
	harder := fixed("welcome", func(t *couponv1.CouponTemplate) {
		t.Threshold, t.Budget = 9000, &couponv1.Budget{Coupons: 100, Money: 500 * 20}
	})
	if changed := s.upsert(t, harder); changed.GetRevision() != 2 || changed.GetCapacity() != 20 ||
		changed.GetSpent() != 1 {
		t.Errorf("changed to %v, want revision 2, of 20 coupons one spent", changed)
	}
	if _, err := s.claim("welcome", "bob"); err != nil {
		t.Fatal(err)
	}
	listed, err := s.service.ListCoupons(context.Background(),
		&couponv1.ListCouponsRequest{BuyerId: "ann", State: couponv1.CouponState_COUPON_STATE_AVAILABLE})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]*couponv1.Coupon{first}, listed.GetCoupons(), protocmp.Transform()); diff != "" {
		t.Errorf("what ann has (-claimed +listed):\n%s", diff)
	}
	if first.GetTerms().GetThreshold() != 0 || first.GetTerms().GetBudget() != nil {
		t.Errorf("ann's terms are %v", first.GetTerms())
	}

	_, err = s.service.UpsertCouponTemplate(
		context.Background(),
		&couponv1.UpsertCouponTemplateRequest{RequestId: "r1", Template: fixed("welcome",
			func(t *couponv1.CouponTemplate) { t.Budget.Coupons = 1 })},
	)
	wantReason(t, "a budget below what is spent", err, "BUDGET_SPENT")
	_, err = s.service.UpsertCouponTemplate(
		context.Background(),
		&couponv1.UpsertCouponTemplateRequest{RequestId: "r2", Template: fixed("welcome",
			func(t *couponv1.CouponTemplate) { t.GetFixed().Amount = 501 })},
	)
	wantReason(t, "another value", err, "TEMPLATE_VALUE_FIXED")
	_, err = s.service.UpsertCouponTemplate(
		context.Background(),
		&couponv1.UpsertCouponTemplateRequest{RequestId: "r3", Template: fixed("poor",
			func(t *couponv1.CouponTemplate) { t.Budget = &couponv1.Budget{Money: 499} })},
	)
	wantReason(t, "a budget of less than one", err, "BUDGET_TOO_SMALL")
}

func TestWhoCanClaim(t *testing.T) {
	s := newShop(t)
	early, late := timestamppb.New(s.now.Add(time.Hour)), timestamppb.New(s.now.Add(-time.Hour))
	tests := []struct {
		name   string
		change func(*couponv1.CouponTemplate)
		want   string
	}{
		{"anybody", nil, ""},
		{"only-granted", func(t *couponv1.CouponTemplate) { t.Claimable = false }, "NOT_CLAIMABLE"},
		{"too-early", func(t *couponv1.CouponTemplate) { t.ClaimFrom = early }, "NOT_CLAIMABLE"},
		{"just-in-time", func(t *couponv1.CouponTemplate) { t.ClaimFrom, t.ClaimUntil = timestamppb.New(s.now), early }, ""},
		{"too-late", func(t *couponv1.CouponTemplate) { t.ClaimUntil = timestamppb.New(s.now) }, "NOT_CLAIMABLE"},
		{
			"of-no-use-any-more",
			func(t *couponv1.CouponTemplate) { t.Validity = &couponv1.Validity{Until: late} },
			"NOT_CLAIMABLE",
		},
		{"for-later", func(t *couponv1.CouponTemplate) { t.Validity = &couponv1.Validity{From: early, Days: 1} }, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s.upsert(t, fixed(test.name, test.change))
			_, err := s.claim(test.name, "ann")
			wantReason(t, "claiming", err, test.want)
		})
	}
	_, err := s.claim("unknown", "ann")
	wantReason(t, "claiming of nothing", err, "TEMPLATE_NOT_FOUND")
	_, err = s.claim("anybody", "ann")
	wantReason(t, "claiming a second", err, "LIMIT_PER_BUYER")

	if _, err := s.service.SwitchCouponTemplate(context.Background(),
		&couponv1.SwitchCouponTemplateRequest{RequestId: "off", Name: "anybody"}); err != nil {
		t.Fatal(err)
	}
	_, err = s.claim("anybody", "bob")
	wantReason(t, "claiming what is off", err, "NOT_CLAIMABLE")
	if _, err := s.service.SwitchCouponTemplate(context.Background(),
		&couponv1.SwitchCouponTemplateRequest{RequestId: "on", Name: "anybody", On: true}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.claim("anybody", "bob"); err != nil {
		t.Errorf("claiming what is on again: %v", err)
	}
}

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

// A list has every coupon once, those first that end first, and expired ones are told
// apart by the time alone.
func TestListsByState(t *testing.T) {
	s := newShop(t)
	for i := range 7 {
		name := fmt.Sprintf("t%d", i)
		s.upsert(t, fixed(name, func(t *couponv1.CouponTemplate) { t.Validity.Days = int64(1 + (i*3)%7) }))
		if _, err := s.claim(name, "ann"); err != nil {
			t.Fatal(err)
		}
	}
	s.now = s.now.Add(2*24*time.Hour + time.Hour)
	for state, want := range map[couponv1.CouponState]int{
		couponv1.CouponState_COUPON_STATE_AVAILABLE: 5, couponv1.CouponState_COUPON_STATE_EXPIRED: 2, couponv1.CouponState_COUPON_STATE_USED: 0,
	} {
		seen := map[string]bool{}
		var token string
		last := time.Time{}
		for page := 0; page == 0 || token != ""; page++ {
			answer, err := s.service.ListCoupons(context.Background(),
				&couponv1.ListCouponsRequest{BuyerId: "ann", State: state, PageSize: 2, PageToken: token})
			if err != nil {
				t.Fatal(err)
			}
			for _, c := range answer.GetCoupons() {
				if c.GetState() != state || seen[c.GetCouponId()] || c.GetValidUntil().AsTime().Before(last) {
					t.Errorf("%s: %v is listed after %v", state, c, last)
				}
				seen[c.GetCouponId()], last = true, c.GetValidUntil().AsTime()
			}
			token = answer.GetNextPageToken()
		}
		if len(seen) != want {
			t.Errorf("%s: %d coupons, want %d", state, len(seen), want)
		}
	}
	for _, token := range []string{"!", "AAAA", "__________________________________8"} {
		_, err := s.service.ListCoupons(context.Background(),
			&couponv1.ListCouponsRequest{BuyerId: "ann", State: 1, PageToken: token})
		wantReason(t, "a made-up token", err, "INVALID_PAGE_TOKEN")
	}
	templates, err := s.service.ListCouponTemplates(context.Background(),
		&couponv1.ListCouponTemplatesRequest{PageSize: 5})
	if err != nil {
		t.Fatal(err)
	}
	rest, err := s.service.ListCouponTemplates(context.Background(),
		&couponv1.ListCouponTemplatesRequest{PageSize: 5, PageToken: templates.GetNextPageToken()})
	if err != nil || len(templates.GetTemplates()) != 5 || len(rest.GetTemplates()) != 2 || rest.GetNextPageToken() != "" {
		t.Errorf("templates: %v, then %v, %v", templates, rest, err)
	}
}

func TestWhatABuyerCanClaim(t *testing.T) {
	s := newShop(t)
	for _, name := range []string{"a", "b", "c", "d"} {
		s.upsert(t, fixed(name, func(t *couponv1.CouponTemplate) { t.Budget.Coupons = 1 }))
	}
	s.upsert(t, fixed("b-granted", func(t *couponv1.CouponTemplate) { t.Claimable = false }))
	s.upsert(t, envelope("lucky", 10, 10))
	if _, err := s.service.SwitchCouponTemplate(context.Background(),
		&couponv1.SwitchCouponTemplateRequest{RequestId: "off", Name: "c"}); err != nil {
		t.Fatal(err)
	}
	for template, buyer := range map[string]string{"a": "ann", "b": "bob"} {
		if _, err := s.claim(template, buyer); err != nil {
			t.Fatal(err)
		}
	}
	type line struct {
		Name      string
		Had       int64
		Exhausted bool
	}
	var got []line
	var token string
	for page := 0; page == 0 || token != ""; page++ {
		answer, err := s.service.ListClaimableCoupons(context.Background(),
			&couponv1.ListClaimableCouponsRequest{BuyerId: "ann", PageSize: 2, PageToken: token})
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range answer.GetCoupons() {
			if c.GetTemplate().GetBudget() != nil || c.GetTemplate().GetRedEnvelope().GetPool() != 0 {
				t.Errorf("buyers see how much there is: %v", c)
			}
			got = append(got, line{c.GetTemplate().GetName(), c.GetHad(), c.GetExhausted()})
		}
		token = answer.GetNextPageToken()
	}
	want := []line{{"a", 1, true}, {"b", 0, true}, {"d", 0, false}, {"lucky", 0, false}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("claimable (-want +got):\n%s", diff)
	}
}

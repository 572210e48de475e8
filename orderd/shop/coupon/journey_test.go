package coupon_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"pgregory.net/rapid"

	couponv1 "github.com/orderd-dev/orderd/api/gen/orderd/coupon/v1"
	"github.com/orderd-dev/orderd/orderd/shop/coupon"
)

// Whatever buyers, orders and campaigns do with coupons, and whenever: every answer is the
// predicted one, every coupon is in the state that the model says and that its history leads to,
// and no budget is overspent.
func TestJourneysOfCoupons(t *testing.T) {
	s := newShop(t)
	runs := 0
	rapid.Check(t, func(t *rapid.T) {
		runs++
		j := &journey{shop: s, buyers: []string{fmt.Sprintf("ann%d", runs), fmt.Sprintf("bob%d", runs)},
			model: model{claims: map[*couponv1.ClaimCouponRequest]string{}}}
		for i := range 3 {
			j.newTemplate(t, fmt.Sprintf("r%d-t%d", runs, i))
		}
		t.Repeat(map[string]func(*rapid.T){
			"claim":  j.claimOne,
			"repeat": j.repeatClaim,
			"grant":  j.grant,
			"lock":   j.lock,
			"use":    j.use,
			"return": j.giveBack,
			"late":   j.payLate,
			"revoke": j.revoke,
			"wait": func(t *rapid.T) {
				s.now = s.now.Add(time.Duration(rapid.IntRange(1, 30).Draw(t, "hours")) * time.Hour)
			},
			"": j.check,
		})
	})
}

type journey struct {
	*shop
	model
	buyers []string
}

func (j *journey) newTemplate(t *rapid.T, name string) {
	m := &terms{
		name:     name,
		envelope: rapid.Bool().Draw(t, "envelope"),
		left:     rapid.Int64Range(1, 4).Draw(t, "coupons"),
		limit:    rapid.Int64Range(1, 3).Draw(t, "limit"),
		days:     rapid.Int64Range(1, 3).Draw(t, "days"),
		onCancel: rapid.Bool().Draw(t, "on cancel"),
		onRefund: rapid.Bool().Draw(t, "on refund"),
		had:      map[string]int64{},
	}
	template := fixed(name, nil)
	if m.envelope {
		m.pool = m.left * rapid.Int64Range(1, 100).Draw(t, "pool")
		template = envelope(name, m.pool, m.left)
	} else {
		template.Budget.Coupons = m.left
	}
	template.LimitPerBuyer, template.Validity.Days = m.limit, m.days
	template.ReturnedOnCancel, template.ReturnedOnRefund = m.onCancel, m.onRefund
	j.upsert(t, template)
	j.templates = append(j.templates, m)
}

func (j *journey) began(m *terms, id, buyer string) {
	m.left--
	m.had[buyer]++
	j.coupons = append(j.coupons, &held{
		id: uuid.MustParse(id), buyer: buyer, terms: m, state: coupon.Available, version: 1,
		validUntil: j.now.Add(time.Duration(m.days) * 24 * time.Hour),
	})
}

func (j *journey) claimOne(t *rapid.T) {
	m := rapid.SampledFrom(j.templates).Draw(t, "template")
	buyer := rapid.SampledFrom(j.buyers).Draw(t, "buyer")
	req := &couponv1.ClaimCouponRequest{RequestId: uuid.NewString(), BuyerId: buyer, Template: m.name}
	answer, err := j.service.ClaimCoupon(context.Background(), req)
	switch {
	case m.left == 0:
		wantReason(t, "claiming", err, "COUPON_EXHAUSTED")
	case m.had[buyer] == m.limit:
		wantReason(t, "claiming", err, "LIMIT_PER_BUYER")
	case err != nil:
		t.Fatalf("claiming: %v", err)
	default:
		j.began(m, answer.GetCoupon().GetCouponId(), buyer)
		j.coupons[len(j.coupons)-1].amount = answer.GetCoupon().GetAmount().GetAmount()
		j.claims[req] = answer.GetCoupon().GetCouponId()
	}
}

func (j *journey) repeatClaim(t *rapid.T) {
	for req, id := range j.claims {
		answer, err := j.service.ClaimCoupon(context.Background(), req)
		if err != nil || answer.GetCoupon().GetCouponId() != id {
			t.Fatalf("claimed again: %v, %v; want coupon %s", answer, err, id)
		}
		return
	}
	t.Skip("no claim yet")
}

func (j *journey) grant(t *rapid.T) {
	m := rapid.SampledFrom(j.templates).Draw(t, "template")
	w := coupon.GrantWish{
		Template: m.name,
		BuyerID:  rapid.SampledFrom(j.buyers).Draw(t, "buyer"),
		Quantity: rapid.Int64Range(1, 3).Draw(t, "quantity"),
		Actor:    "test",
	}
	var ids []uuid.UUID
	err := j.tx(func(ctx context.Context, tx pgx.Tx) error {
		var err error
		ids, err = j.store.Grant(ctx, tx, w, j.now)
		return whyNot(err, &ids)
	})
	if err != nil {
		t.Fatalf("granting: %v", err)
	}
	if refused := m.left < w.Quantity || m.had[w.BuyerID]+w.Quantity > m.limit; refused != (ids == nil) {
		t.Fatalf("granting %+v with %d left, of which %d had: %v", w, m.left, m.had[w.BuyerID], ids)
	}
	for _, id := range ids {
		j.began(m, id.String(), w.BuyerID)
		j.coupons[len(j.coupons)-1].amount = j.number(t, "SELECT amount FROM coupons WHERE coupon_id = $1", id)
	}
}

// whyNot lets a transaction commit in which nothing was granted.
func whyNot(err error, ids *[]uuid.UUID) error {
	var refused *coupon.NotGrantedError
	if errors.As(err, &refused) {
		*ids = nil
		return nil
	}
	return err
}

func (j *journey) pickCoupons(t *rapid.T) []*held {
	if len(j.coupons) == 0 {
		t.Skip("no coupon yet")
	}
	return rapid.SliceOfN(rapid.SampledFrom(j.coupons), 1, 3).Draw(t, "coupons")
}

func (j *journey) pickOrder(t *rapid.T) *order {
	if len(j.orders) == 0 {
		t.Skip("no order yet")
	}
	return rapid.SampledFrom(j.orders).Draw(t, "order")
}

// lock places up to three orders in one transaction.
func (j *journey) lock(t *rapid.T) {
	var wishes []coupon.Wish
	want := map[uuid.UUID]*coupon.UnusableError{}
	for range rapid.IntRange(1, 3).Draw(t, "orders") {
		o := &order{id: uuid.New(), buyer: rapid.SampledFrom(j.buyers).Draw(t, "buyer"), coupons: j.pickCoupons(t)}
		w := coupon.Wish{OrderID: o.id, BuyerID: o.buyer}
		for _, h := range o.coupons {
			w.CouponIDs = append(w.CouponIDs, h.id)
		}
		wishes = append(wishes, w)
		i := slices.IndexFunc(o.coupons, func(h *held) bool { return h.refuses(o.buyer, j.now) != nil })
		if i >= 0 {
			want[o.id] = o.coupons[i].refuses(o.buyer, j.now)
			continue
		}
		for _, h := range o.coupons {
			if h.state == coupon.Available {
				h.to(coupon.Locked, o.id)
			}
		}
		j.orders = append(j.orders, o)
	}
	var failed, again map[uuid.UUID]*coupon.UnusableError
	err := j.tx(func(ctx context.Context, tx pgx.Tx) error {
		var err error
		if failed, err = coupon.LockFor(ctx, tx, wishes, j.now); err != nil {
			return err
		}
		// Again, as a retry of a placing would: what an order has it has. Which coupon others miss
		// first may be another.
		again, err = coupon.LockFor(ctx, tx, wishes, j.now)
		return err
	})
	if err != nil {
		t.Fatalf("locking: %v", err)
	}
	if diff := cmp.Diff(want, failed); diff != "" {
		t.Fatalf("orders that got no coupons (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(sortedKeys(want), sortedKeys(again)); diff != "" {
		t.Fatalf("the second time (-want +got):\n%s", diff)
	}
}

func sortedKeys(m map[uuid.UUID]*coupon.UnusableError) []string {
	var keys []string
	for id := range m {
		keys = append(keys, id.String())
	}
	slices.Sort(keys)
	return keys
}

func (j *journey) use(t *rapid.T) {
	o := j.pickOrder(t)
	for _, h := range j.coupons {
		if h.order == o.id && h.state == coupon.Locked {
			h.to(coupon.Used, o.id)
		}
	}
	err := j.tx(func(ctx context.Context, tx pgx.Tx) error { return coupon.UseFor(ctx, tx, []uuid.UUID{o.id}, j.now) })
	if err != nil {
		t.Fatalf("using: %v", err)
	}
}

func (j *journey) giveBack(t *rapid.T) {
	o := j.pickOrder(t)
	cause := rapid.SampledFrom([]coupon.Cause{coupon.Unpaid, coupon.CancelledPaid, coupon.FullyRefunded}).Draw(t, "cause")
	for _, h := range j.coupons {
		if h.order != o.id {
			continue
		}
		byRule := cause == coupon.CancelledPaid && h.terms.onCancel || cause == coupon.FullyRefunded && h.terms.onRefund
		if h.state == coupon.Locked || h.state == coupon.Used && byRule && j.now.Before(h.validUntil) {
			h.to(coupon.Available, uuid.Nil)
		}
	}
	err := j.tx(func(ctx context.Context, tx pgx.Tx) error {
		return coupon.ReturnFor(ctx, tx, []uuid.UUID{o.id}, j.now, cause)
	})
	if err != nil {
		t.Fatalf("returning: %v", err)
	}
}

func (j *journey) payLate(t *rapid.T) {
	o := j.pickOrder(t)
	w := coupon.Wish{OrderID: o.id, BuyerID: o.buyer}
	for _, h := range o.coupons {
		w.CouponIDs = append(w.CouponIDs, h.id)
		if h.state == coupon.Available {
			h.to(coupon.Used, o.id)
		}
	}
	err := j.tx(func(ctx context.Context, tx pgx.Tx) error { return coupon.RelockFor(ctx, tx, []coupon.Wish{w}, j.now) })
	if err != nil {
		t.Fatalf("paying late: %v", err)
	}
}

func (j *journey) revoke(t *rapid.T) {
	var ids, want []uuid.UUID
	for _, h := range j.pickCoupons(t) {
		ids = append(ids, h.id)
		if h.state == coupon.Available {
			h.to(coupon.Revoked, uuid.Nil)
			want = append(want, h.id)
		}
	}
	var got []uuid.UUID
	err := j.tx(func(ctx context.Context, tx pgx.Tx) error {
		var err error
		got, err = coupon.RevokeFor(ctx, tx, ids, j.now, "test", "")
		return err
	})
	if err != nil {
		t.Fatalf("taking back: %v", err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatalf("taken back (-want +got):\n%s", diff)
	}
}

func (j *journey) check(t *rapid.T) {
	sums := map[*terms]int64{}
	var ids []uuid.UUID
	for _, h := range j.coupons {
		ids = append(ids, h.id)
		sums[h.terms] += h.amount
	}
	j.checkCoupons(t, ids)
	for _, m := range j.templates {
		var spent int64
		for _, had := range m.had {
			spent += had
		}
		if got := j.spent(t, m.name); got != spent {
			t.Fatalf("%s: %d spent, want %d", m.name, got, spent)
		}
		if m.envelope && (sums[m] > m.pool-m.left || m.left == 0 && sums[m] != m.pool) {
			t.Fatalf("%s: %d of %d given, %d parts left", m.name, sums[m], m.pool, m.left)
		}
	}
	// Every history begins at the beginning, goes on where it was, and ends in the coupon's state.
	broken := j.number(t, `SELECT count(*) FROM coupons c JOIN coupon_history h ON h.coupon_id = c.coupon_id
		LEFT JOIN coupon_history n ON n.coupon_id = h.coupon_id AND n.version = h.version + 1
		WHERE c.coupon_id = ANY ($1) AND (h.version = 1 AND h.from_state <> '' OR
			CASE WHEN h.version = c.version THEN h.to_state <> c.state OR n.version IS NOT NULL ELSE n.from_state IS DISTINCT FROM h.to_state END)`, ids)
	if broken > 0 {
		t.Fatalf("%d histories do not lead to their coupon's state", broken)
	}
}

func (j *journey) checkCoupons(t *rapid.T, ids []uuid.UUID) {
	loaded, err := coupon.Load(context.Background(), j.pool, j.buyers, ids)
	if err != nil {
		t.Fatalf("loading: %v", err)
	}
	type facts struct {
		Buyer      string
		State      coupon.State
		Order      uuid.UUID
		Amount     int64
		ValidUntil time.Time
		Version    int64
	}
	want, got := map[uuid.UUID]facts{}, map[uuid.UUID]facts{}
	for _, h := range j.coupons {
		want[h.id] = facts{h.buyer, h.state, h.order, h.amount, h.validUntil, h.version}
	}
	for _, coupons := range loaded {
		for _, c := range coupons {
			got[c.ID] = facts{c.BuyerID, c.State, c.OrderID, c.Amount, c.ValidUntil.UTC(), c.Version}
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatalf("coupons (-want +got):\n%s", diff)
	}
}

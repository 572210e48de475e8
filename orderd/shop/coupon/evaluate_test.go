package coupon

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"pgregory.net/rapid"
)

var now = time.UnixMilli(1_800_000_000_000)

// made is a coupon that can be used today, of terms that a test then changes.
func made(n byte, kind Kind, change func(*Coupon)) Coupon {
	c := Coupon{
		ID: uuid.UUID{
			15: n,
		},
		BuyerID:    "ann",
		State:      Available,
		ValidFrom:  now.Add(-time.Hour),
		ValidUntil: now.Add(time.Hour),
		Terms:      &Terms{Title: string(kind), Kind: kind, Currency: "CNY"},
	}
	switch kind {
	case Fixed, RedEnvelope:
		c.Amount = 500
	case Percent:
		c.Terms.BasisPoints, c.Terms.Cap = 1500, 100_000
	}
	if change != nil {
		change(&c)
	}
	return c
}

func group(name string) func(*Coupon) { return func(c *Coupon) { c.Terms.StackingGroup = name } }

func basket(freight int64, amounts ...int64) Basket {
	b := Basket{Currency: "CNY", Freight: freight}
	for i, a := range amounts {
		b.Lines = append(b.Lines, BasketLine{SKU: string(rune('a' + i)), Category: []string{"tea", "cups"}[i%2], Amount: a})
	}
	return b
}

// off is what coupons take off each line, and off the freight.
type off struct {
	Goods   []int64
	Freight int64
}

// evaluations are what coupons take off a basket.
var evaluations = []struct {
	name    string
	coupons []Coupon
	basket  Basket
	want    off
}{
	{
		name:    "a fixed amount is divided by the lines' amounts, the largest remainder first",
		coupons: []Coupon{made(1, Fixed, nil)},
		basket:  basket(0, 1000, 1000, 1001),
		want:    off{Goods: []int64{167, 166, 167}},
	},
	{
		name:    "a fixed amount takes off no more than there is",
		coupons: []Coupon{made(1, Fixed, nil)},
		basket:  basket(900, 100, 50),
		want:    off{Goods: []int64{100, 50}},
	},
	{
		name:    "a red envelope's part is a fixed amount",
		coupons: []Coupon{made(1, RedEnvelope, nil)},
		basket:  basket(0, 800),
		want:    off{Goods: []int64{500}},
	},
	{
		name:    "a percentage is of the sum, rounded down",
		coupons: []Coupon{made(1, Percent, nil)},
		basket:  basket(0, 333, 333, 333), // 15% of 999 is 149.85
		want:    off{Goods: []int64{50, 50, 49}},
	},
	{
		name:    "a percentage stops at its cap",
		coupons: []Coupon{made(1, Percent, func(c *Coupon) { c.Terms.Cap = 100 })},
		basket:  basket(0, 1000, 1000),
		want:    off{Goods: []int64{50, 50}},
	},
	{
		name:    "all of the largest amounts there are",
		coupons: []Coupon{made(1, Percent, func(c *Coupon) { c.Terms.BasisPoints, c.Terms.Cap = 10_000, 1<<62 })},
		basket:  basket(0, 1<<61, 1<<61-1),
		want:    off{Goods: []int64{1 << 61, 1<<61 - 1}},
	},
	{
		name:    "only lines in scope, by category",
		coupons: []Coupon{made(1, Fixed, func(c *Coupon) { c.Terms.Categories = []string{"cups"} })},
		basket:  basket(0, 1000, 300, 1000, 300),
		want:    off{Goods: []int64{0, 250, 0, 250}},
	},
	{
		name: "only lines in scope, by SKU or category",
		coupons: []Coupon{
			made(1, Fixed, func(c *Coupon) { c.Terms.Categories, c.Terms.SKUs = []string{"cups"}, []string{"a"} }),
		},
		basket: basket(0, 600, 600, 600),
		want:   off{Goods: []int64{250, 250, 0}},
	},
	{
		name:    "free freight",
		coupons: []Coupon{made(1, FreeFreight, nil)},
		basket:  basket(900, 100),
		want:    off{Goods: []int64{0}, Freight: 900},
	},
	{
		name:    "free freight with a cap",
		coupons: []Coupon{made(1, FreeFreight, func(c *Coupon) { c.Terms.Cap = 600 })},
		basket:  basket(900, 100),
		want:    off{Goods: []int64{0}, Freight: 600},
	},
	{
		name:    "the percentage comes before the fixed amount, whatever the ids",
		coupons: []Coupon{made(1, Fixed, group("f")), made(2, Percent, group("p")), made(3, FreeFreight, group("g"))},
		basket:  basket(80, 1000),
		want:    off{Goods: []int64{650}, Freight: 80},
	},
}

func TestWhatCouponsTakeOff(t *testing.T) {
	for _, test := range evaluations {
		t.Run(test.name, func(t *testing.T) {
			var ids []uuid.UUID
			for _, c := range test.coupons {
				ids = append(ids, c.ID)
			}
			e, err := Evaluate(test.coupons, ids, test.basket, now)
			if err != nil {
				t.Fatal(err)
			}
			var got off
			got.Goods, got.Freight = e.Discounts(len(test.basket.Lines))
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("off (-want +got):\n%s", diff)
			}
		})
	}
}

func TestWhyCouponsCannotBeUsed(t *testing.T) {
	goods := basket(0, 1000, 200)
	tests := []struct {
		name   string
		coupon Coupon
		basket Basket
		want   Reason
	}{
		{"usable", made(1, Fixed, nil), goods, ""},
		{"locked", made(1, Fixed, func(c *Coupon) { c.State = Locked }), goods, IsLocked},
		{"used", made(1, Fixed, func(c *Coupon) { c.State = Used }), goods, IsUsed},
		{"taken back", made(1, Fixed, func(c *Coupon) { c.State = Revoked }), goods, IsRevoked},
		{"the last moment", made(1, Fixed, func(c *Coupon) { c.ValidUntil = now.Add(1) }), goods, ""},
		{"over", made(1, Fixed, func(c *Coupon) { c.ValidUntil = now }), goods, IsExpired},
		{"the first moment", made(1, Fixed, func(c *Coupon) { c.ValidFrom = now }), goods, ""},
		{"too early", made(1, Fixed, func(c *Coupon) { c.ValidFrom = now.Add(1) }), goods, NotYetValid},
		{"other money", made(1, Fixed, func(c *Coupon) { c.Terms.Currency = "USD" }), goods, OtherCurrency},
		{"no freight", made(1, FreeFreight, nil), goods, NoFreight},
		{"other goods", made(1, Fixed, func(c *Coupon) { c.Terms.SKUs = []string{"z"} }), goods, OutOfScope},
		{
			"free freight for other goods",
			made(1, FreeFreight, func(c *Coupon) { c.Terms.SKUs = []string{"z"} }),
			basket(9, 100),
			OutOfScope,
		},
		{"enough", made(1, Fixed, func(c *Coupon) { c.Terms.Threshold = 1200 }), goods, ""},
		{"too little", made(1, Fixed, func(c *Coupon) { c.Terms.Threshold = 1201 }), goods, BelowThreshold},
		{
			"enough, but not in scope",
			made(1, Fixed, func(c *Coupon) { c.Terms.Threshold, c.Terms.SKUs = 500, []string{"b"} }),
			goods,
			BelowThreshold,
		},
		{"a percentage of almost nothing", made(1, Percent, nil), basket(0, 6), NoEffect},
		{"goods for nothing", made(1, Fixed, nil), basket(0, 0), NoEffect},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			all := []Coupon{test.coupon}
			e, err := Evaluate(all, nil, test.basket, now)
			if err != nil {
				t.Fatal(err)
			}
			if got := e.All[0]; got.Unusable != test.want || (got.Discount > 0) != (test.want == "") {
				t.Errorf("offered as %+v, want it unusable for %q", got, test.want)
			}
			_, err = Evaluate(all, []uuid.UUID{test.coupon.ID}, test.basket, now)
			if got := why(err); got != test.want {
				t.Errorf("applied: %v, want %q", err, test.want)
			}
		})
	}
}

// Who may not have a coupon that is locked learns which order has it; of a used one that is nobody's business any more.
func TestALockedCouponNamesItsOrder(t *testing.T) {
	order := uuid.UUID{7}
	for state, want := range map[State]uuid.UUID{Locked: order, Used: uuid.Nil} {
		c := made(1, Fixed, func(c *Coupon) { c.State, c.OrderID = state, order })
		_, err := Evaluate([]Coupon{c}, []uuid.UUID{c.ID}, basket(0, 1000), now)
		var unusable *UnusableError
		if !errors.As(err, &unusable) {
			t.Fatalf("%s: %v", state, err)
		}
		if unusable.LockedBy != want {
			t.Errorf("%s: it is said to be order %s's, want %s", state, unusable.LockedBy, want)
		}
	}
}

func why(err error) Reason {
	var unusable *UnusableError
	if errors.As(err, &unusable) {
		return unusable.Why
	}
	return ""
}

func TestStacking(t *testing.T) {
	tests := []struct {
		name string
		with []func(*Coupon)
		want Reason
	}{
		{"one alone", []func(*Coupon){nil}, ""},
		{"two alone", []func(*Coupon){nil, nil}, NotStackable},
		{"one alone and one of a group", []func(*Coupon){nil, group("a")}, NotStackable},
		{"two of different groups", []func(*Coupon){group("a"), group("b")}, ""},
		{"two of a group", []func(*Coupon){group("a"), group("b"), group("a")}, NotStackable},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var coupons []Coupon
			var ids []uuid.UUID
			for i, change := range test.with {
				c := made(byte(i+1), Fixed, change)
				coupons, ids = append(coupons, c), append(ids, c.ID)
			}
			if _, err := Evaluate(coupons, ids, basket(0, 10_000), now); why(err) != test.want {
				t.Errorf("%v, want %q", err, test.want)
			}
		})
	}
}

// What is offered beside a chosen coupon: itself first, then what can be added, then the rest, with
// what it would take off alone.
func TestOffers(t *testing.T) {
	coupons := []Coupon{
		made(1, Fixed, nil), made(2, Fixed, group("a")), made(3, Percent, group("a")), made(4, Percent, group("b")),
		made(5, Fixed, func(c *Coupon) { c.State = Used }),
	}
	e, err := Evaluate(coupons, []uuid.UUID{coupons[1].ID}, basket(0, 1000), now)
	if err != nil {
		t.Fatal(err)
	}
	want := []Option{
		{ID: coupons[1].ID, Title: "FIXED", Discount: 500, Applied: true},
		{ID: coupons[3].ID, Title: "PERCENT", Discount: 150},
		{ID: coupons[0].ID, Title: "FIXED", Discount: 500, Unusable: NotStackable},
		{ID: coupons[2].ID, Title: "PERCENT", Discount: 150, Unusable: NotStackable},
		{ID: coupons[4].ID, Title: "FIXED", Unusable: IsUsed},
	}
	if diff := cmp.Diff(want, e.All); diff != "" {
		t.Errorf("offers (-want +got):\n%s", diff)
	}
	if _, err := Evaluate(coupons, []uuid.UUID{{15: 9}}, basket(0, 1000), now); why(err) != NotFound {
		t.Errorf("another's coupon: %v, want %s", err, NotFound)
	}
}

// A second coupon is not spent for nothing.
func TestNothingLeftToTakeOff(t *testing.T) {
	coupons := []Coupon{made(1, Fixed, group("a")), made(2, Fixed, group("b"))}
	_, err := Evaluate(coupons, []uuid.UUID{coupons[0].ID, coupons[1].ID}, basket(0, 500), now)
	if why(err) != NoEffect {
		t.Errorf("%v, want %s", err, NoEffect)
	}
}

// Whatever the coupons and the basket: no line and no freight goes below zero, every coupon's
// shares sum to what it may take off, lines out of scope are untouched, and neither the order of
// the ids nor that of the coupons matters.
func TestEvaluateKeepsItsPromises(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := Basket{Currency: "CNY", Freight: rapid.Int64Range(0, 3000).Draw(t, "freight")}
		for range rapid.IntRange(1, 6).Draw(t, "lines") {
			b.Lines = append(b.Lines, BasketLine{
				SKU:      rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "sku"),
				Category: rapid.SampledFrom([]string{"", "tea", "cups"}).Draw(t, "category"),
				Amount:   rapid.Int64Range(0, 5000).Draw(t, "amount"),
			})
		}
		var coupons []Coupon
		for i := range rapid.IntRange(1, 5).Draw(t, "coupons") {
			kind := rapid.SampledFrom([]Kind{Fixed, Percent, FreeFreight, RedEnvelope}).Draw(t, "kind")
			coupons = append(coupons, made(byte(i+1), kind, func(c *Coupon) {
				c.Terms.StackingGroup = rapid.SampledFrom([]string{"", "a", "b", "c", "d"}).Draw(t, "group")
				c.Terms.Threshold = rapid.Int64Range(0, 2000).Draw(t, "threshold")
				c.Terms.SKUs = rapid.SampledFrom([][]string{nil, {"a"}, {"a", "b"}}).Draw(t, "skus")
				c.Terms.Categories = rapid.SampledFrom([][]string{nil, {"tea"}}).Draw(t, "categories")
				if kind == Percent {
					c.Terms.BasisPoints = rapid.Int64Range(1, 10_000).Draw(t, "basis points")
					c.Terms.Cap = rapid.Int64Range(1, 3000).Draw(t, "cap")
				}
				if kind == FreeFreight {
					c.Terms.Cap = rapid.Int64Range(0, 2000).Draw(t, "freight cap")
				}
				if kind == Fixed || kind == RedEnvelope {
					c.Amount = rapid.Int64Range(1, 6000).Draw(t, "off")
				}
			}))
		}
		var ids []uuid.UUID
		for _, c := range rapid.Permutation(coupons).Draw(t, "chosen")[:rapid.IntRange(0, len(coupons)).Draw(t, "wanted")] {
			ids = append(ids, c.ID)
		}
		e, err := Evaluate(coupons, ids, b, now)
		if len(e.All) != len(coupons) {
			t.Fatalf("%d of %d coupons are offered", len(e.All), len(coupons))
		}
		again, errAgain := Evaluate(rapid.Permutation(coupons).Draw(t, "coupons again"),
			rapid.Permutation(ids).Draw(t, "ids again"), b, now)
		if (err == nil) != (errAgain == nil) {
			t.Fatalf("in another order: %v, before %v", errAgain, err)
		}
		if err != nil {
			if len(e.Applied) > 0 {
				t.Fatalf("%v, and yet applied: %+v", err, e.Applied)
			}
			return
		}
		if diff := cmp.Diff(e, again); diff != "" {
			t.Fatalf("in another order (-before +after):\n%s", diff)
		}
		checkApplied(t, coupons, e, b)
	})
}

func checkApplied(t *rapid.T, coupons []Coupon, e Evaluation, b Basket) {
	goods, freight := e.Discounts(len(b.Lines))
	if freight < 0 || freight > b.Freight {
		t.Fatalf("%d off a freight of %d", freight, b.Freight)
	}
	for i, l := range b.Lines {
		if goods[i] < 0 || goods[i] > l.Amount {
			t.Fatalf("%d off line %d of %d", goods[i], i, l.Amount)
		}
	}
	left := make([]int64, len(b.Lines))
	for i, l := range b.Lines {
		left[i] = l.Amount
	}
	for _, a := range e.Applied {
		c := coupons[a.ID[15]-1]
		var inScope, off int64
		for i, l := range b.Lines {
			covered := c.Terms.covers(l)
			if covered {
				inScope += left[i]
			}
			if a.Discounts[i] < 0 || a.Discounts[i] > 0 && !covered {
				t.Fatalf("coupon %d takes %d off line %d", a.ID[15], a.Discounts[i], i)
			}
			off += a.Discounts[i]
			left[i] -= a.Discounts[i]
		}
		var want int64
		switch c.Terms.Kind {
		case Fixed, RedEnvelope:
			want = min(c.Amount, inScope)
		case Percent:
			want = min(inScope*c.Terms.BasisPoints/10_000, c.Terms.Cap)
		}
		if off != want || a.Discount() == 0 {
			t.Fatalf("coupon %d takes %d off, want %d", a.ID[15], off, want)
		}
	}
}

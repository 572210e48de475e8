package order

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func anyOrder(t *rapid.T) *Order {
	o := &Order{State: Paid, Currency: "CNY"}
	for range rapid.IntRange(1, 3).Draw(t, "lines") {
		l := Line{
			Quantity: rapid.Int64Range(1, 7).Draw(t, "quantity"), UnitPrice: rapid.Int64Range(0, 1000).Draw(t, "price"),
			Freight: rapid.Int64Range(0, 100).Draw(t, "freight"),
		}
		l.Discount = rapid.Int64Range(0, l.amount()).Draw(t, "discount")
		o.Lines = append(o.Lines, l)
		o.Total += l.total()
	}
	return o
}

// However an order is given back, unit by unit or at once, it never gives more than was paid, and
// all units together exactly that.
func TestGrantsSumToWhatWasPaid(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		o := anyOrder(t)
		var sum int64
		for o.sum(func(l Line) int64 { return l.Quantity - l.Returned }) > 0 {
			var lines []LineQuantity
			for i, l := range o.Lines {
				if q := rapid.Int64Range(0, l.Quantity-l.Returned).Draw(t, "units"); q > 0 {
					lines = append(lines, LineQuantity{Line: int64(i + 1), Quantity: q})
				}
			}
			if len(lines) == 0 {
				continue
			}
			g, err := o.grant(Grant{Lines: lines, Left: rapid.Bool().Draw(t, "left")})
			if err != nil {
				t.Fatal(err)
			}
			sum += g.Amount
			for i, l := range o.Lines {
				if l.RefundGranted > l.total() || l.Withdrawn > l.Returned || l.unshipped() < 0 {
					t.Fatalf("line %d after %v: %+v", i+1, lines, l)
				}
			}
		}
		if sum != o.Total || o.sum(func(l Line) int64 { return l.RefundGranted }) != o.Total {
			t.Fatalf("%d of %d was given back", sum, o.Total)
		}
		if _, err := o.grant(Grant{Lines: []LineQuantity{{Line: 1, Quantity: 1}}}); !errors.Is(err, ErrRefundExceeds) {
			t.Fatalf("one unit more: %v", err)
		}
	})
}

// A part of what the units are worth is divided over them, none above its own worth.
func TestGrantsOfAPart(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		o := anyOrder(t)
		var lines []LineQuantity
		for i, l := range o.Lines {
			lines = append(lines, LineQuantity{Line: int64(i + 1), Quantity: l.Quantity})
		}
		amount := rapid.Int64Range(0, o.Total+10).Draw(t, "amount")
		g, err := o.grant(Grant{Lines: lines, Amount: &amount})
		if amount > o.Total {
			if !errors.Is(err, ErrRefundExceeds) {
				t.Fatalf("%d of %d: %v", amount, o.Total, err)
			}
			return
		}
		if err != nil || g.Amount != amount {
			t.Fatalf("%d of %d: %+v, %v", amount, o.Total, g, err)
		}
		for _, l := range g.Lines {
			if line := o.Lines[l.Line-1]; l.Amount < 0 || l.Amount > line.total() {
				t.Fatalf("%d of line %+v", l.Amount, line)
			}
		}
	})
}

func TestGrantsThatAreRefused(t *testing.T) {
	negative := int64(-1)
	for _, tt := range []struct {
		name string
		give Grant
		want error
	}{
		{"nothing", Grant{}, ErrQuantity},
		{"no units", Grant{Lines: []LineQuantity{{Line: 1, Quantity: 0}}}, ErrQuantity},
		{"no such line", Grant{Lines: []LineQuantity{{Line: 2, Quantity: 1}}}, ErrQuantity},
		{"a line twice", Grant{Lines: []LineQuantity{{Line: 1, Quantity: 1}, {Line: 1, Quantity: 1}}}, ErrQuantity},
		{"too many units", Grant{Lines: []LineQuantity{{Line: 1, Quantity: 4}}}, ErrRefundExceeds},
		{"less than nothing", Grant{Lines: []LineQuantity{{Line: 1, Quantity: 1}}, Amount: &negative}, ErrRefundExceeds},
	} {
		o := &Order{Lines: []Line{{Quantity: 3, UnitPrice: 10}}}
		if _, err := o.grant(tt.give); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", tt.name, err, tt.want)
		}
	}
}

// Units that had not left are not shipped once they are refunded; those that had do not keep
// others from leaving.
func TestWhatARefundLeavesToShip(t *testing.T) {
	for _, tt := range []struct {
		name string
		line Line
		left bool
		want Line
	}{
		{"none has left", Line{Quantity: 3}, false, Line{Quantity: 3, Returned: 1, Withdrawn: 1}},
		{"one has left and is meant", Line{Quantity: 3, Shipped: 1}, true, Line{Quantity: 3, Shipped: 1, Returned: 1}},
		{
			"one has left and another is meant", Line{Quantity: 3, Shipped: 1}, false,
			Line{Quantity: 3, Shipped: 1, Returned: 1, Withdrawn: 1},
		},
		{
			"all are in parcels", Line{Quantity: 3, Shipping: 2, Shipped: 1}, false,
			Line{Quantity: 3, Shipping: 2, Shipped: 1, Returned: 1},
		},
	} {
		o := &Order{Lines: []Line{tt.line}}
		if _, err := o.grant(Grant{Lines: []LineQuantity{{Line: 1, Quantity: 1}}, Left: tt.left}); err != nil {
			t.Fatalf("%s: %v", tt.name, err)
		}
		if diff := cmp.Diff(tt.want, o.Lines[0]); diff != "" {
			t.Errorf("%s: (-want +got)\n%s", tt.name, diff)
		}
	}
}

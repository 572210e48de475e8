package freight_test

import (
	"errors"
	"math"
	"math/big"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"github.com/orderd-dev/orderd/orderd/shop/freight"
)

func template(by freight.ChargeBy, rules ...freight.Rule) freight.Template {
	return freight.Template{Name: "t", Currency: "CNY", ChargeBy: by, Rules: rules}
}

func TestTheMostSpecificRuleWins(t *testing.T) {
	flat := func(country, region string, charge int64) freight.Rule {
		return freight.Rule{Country: country, Region: region, FirstCharge: charge}
	}
	never := func(country, region string) freight.Rule {
		return freight.Rule{Country: country, Region: region, NotDeliverable: true, FirstCharge: 999}
	}
	rules := []freight.Rule{
		flat("", "", 9000),
		flat("CN", "", 800),
		flat("CN", "Xinjiang", 2500),
		never("CN", "Tibet"),
		never("KP", ""),
		flat("KP", "Rason", 7000),
	}
	tests := []struct {
		name    string
		to      freight.Place
		want    int64
		wantErr error
	}{
		{name: "region", to: freight.Place{Country: "CN", Region: "Xinjiang"}, want: 2500},
		{name: "region, as a buyer may write it", to: freight.Place{Country: "CN", Region: " xinjiang "}, want: 2500},
		{name: "country", to: freight.Place{Country: "CN", Region: "Zhejiang"}, want: 800},
		{name: "country, no region", to: freight.Place{Country: "CN"}, want: 800},
		{name: "any", to: freight.Place{Country: "DE", Region: "Xinjiang"}, want: 9000},
		{
			name:    "not delivered to the region",
			to:      freight.Place{Country: "CN", Region: "TIBET"},
			wantErr: freight.ErrNotDeliverable,
		},
		{name: "not delivered to the country", to: freight.Place{Country: "KP"}, wantErr: freight.ErrNotDeliverable},
		{name: "but to one of its regions", to: freight.Place{Country: "KP", Region: "Rason"}, want: 7000},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			// The order of the rules does not matter.
			for _, order := range [][]freight.Rule{rules, reversed(rules)} {
				tmpl := template(freight.ByPiece, order...)
				got, err := tmpl.Charge(tt.to, freight.Load{Pieces: 1})
				if got != tt.want || !errors.Is(err, tt.wantErr) {
					t.Errorf("charge to %v is %d, %v, want %d, %v", tt.to, got, err, tt.want, tt.wantErr)
				}
			}
		})
	}
	none := template(freight.ByPiece, flat("CN", "", 800))
	if _, err := none.Charge(freight.Place{Country: "DE"}, freight.Load{Pieces: 1}); !errors.Is(err,
		freight.ErrNotDeliverable) {
		t.Errorf("a place without a rule: %v", err)
	}
}

func reversed(rules []freight.Rule) []freight.Rule {
	out := make([]freight.Rule, 0, len(rules))
	for i := len(rules) - 1; i >= 0; i-- {
		out = append(out, rules[i])
	}
	return out
}

// kilo is 12 for the first kilogram, and 3 for each half of one that is begun after it.
var kilo = freight.Rule{FirstUnits: 1000, FirstCharge: 1200, AdditionalUnits: 500, AdditionalCharge: 300}

// charges are what a rule charges for a load.
var charges = []struct {
	name    string
	by      freight.ChargeBy
	rule    freight.Rule
	load    freight.Load
	want    int64
	wantErr error
}{
	{name: "nothing to weigh", by: freight.ByWeight, rule: kilo, want: 1200},
	{
		name: "the first unit, to the gram",
		by:   freight.ByWeight,
		rule: kilo,
		load: freight.Load{WeightGrams: 1000},
		want: 1200,
	},
	{
		name: "an additional unit is begun",
		by:   freight.ByWeight,
		rule: kilo,
		load: freight.Load{WeightGrams: 1001},
		want: 1500,
	},
	{
		name: "an additional unit is full",
		by:   freight.ByWeight,
		rule: kilo,
		load: freight.Load{WeightGrams: 1500},
		want: 1500,
	},
	{
		name: "several",
		by:   freight.ByWeight,
		rule: kilo,
		load: freight.Load{WeightGrams: 2501, Pieces: 99, Value: 99999},
		want: 2400,
	},
	{
		name: "by piece",
		by:   freight.ByPiece,
		rule: freight.Rule{FirstUnits: 2, FirstCharge: 500, AdditionalUnits: 1, AdditionalCharge: 100},
		load: freight.Load{Pieces: 5, WeightGrams: 9999},
		want: 800,
	},
	{
		name: "by value",
		by:   freight.ByOrderValue,
		rule: freight.Rule{FirstUnits: 10000, FirstCharge: 500, AdditionalUnits: 10000, AdditionalCharge: 50},
		load: freight.Load{Value: 25000},
		want: 600,
	},
	{
		name: "flat",
		by:   freight.ByPiece,
		rule: freight.Rule{FirstCharge: 500},
		load: freight.Load{Pieces: 1000},
		want: 500,
	},
	{
		name: "just below the threshold",
		by:   freight.ByPiece,
		rule: freight.Rule{FirstCharge: 500, FreeFrom: proto.Int64(9900)},
		load: freight.Load{Pieces: 1, Value: 9899},
		want: 500,
	},
	{
		name: "free from the threshold",
		by:   freight.ByPiece,
		rule: freight.Rule{FirstCharge: 500, FreeFrom: proto.Int64(9900)},
		load: freight.Load{Pieces: 1, Value: 9900},
	},
	{
		name: "always free",
		by:   freight.ByPiece,
		rule: freight.Rule{FirstCharge: 500, FreeFrom: proto.Int64(0)},
		load: freight.Load{Pieces: 1},
	},
	{
		name:    "the threshold opens no closed region",
		by:      freight.ByPiece,
		rule:    freight.Rule{NotDeliverable: true, FreeFrom: proto.Int64(0)},
		load:    freight.Load{Pieces: 1, Value: 9900},
		wantErr: freight.ErrNotDeliverable,
	},
	{
		name: "too much", by: freight.ByPiece, rule: freight.Rule{AdditionalUnits: 1, AdditionalCharge: math.MaxInt64 / 2},
		load: freight.Load{Pieces: 3}, wantErr: freight.ErrTooLarge,
	},
	{
		name:    "too much with the first",
		by:      freight.ByPiece,
		rule:    freight.Rule{FirstCharge: math.MaxInt64, AdditionalUnits: 1, AdditionalCharge: 1},
		load:    freight.Load{Pieces: 3},
		wantErr: freight.ErrTooLarge,
	},
}

func TestCharge(t *testing.T) {
	for _, tt := range charges {
		t.Run(tt.name, func(t *testing.T) {
			tmpl := template(tt.by, tt.rule)
			got, err := tmpl.Charge(freight.Place{Country: "CN"}, tt.load)
			if got != tt.want || !errors.Is(err, tt.wantErr) {
				t.Errorf("charge is %d, %v, want %d, %v", got, err, tt.want, tt.wantErr)
			}
		})
	}
}

// Against the formula in numbers without bounds; and more units never cost less.
func TestChargeProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		amount := rapid.OneOf(rapid.Int64Range(0, 1000), rapid.Int64Range(0, math.MaxInt64))
		rule := freight.Rule{
			FirstUnits: amount.Draw(t, "first units"), FirstCharge: amount.Draw(t, "first charge"),
			AdditionalUnits: amount.Draw(t, "additional units"), AdditionalCharge: amount.Draw(t, "additional charge"),
		}
		units := amount.Draw(t, "units")
		tmpl := template(freight.ByWeight, rule)
		got, err := tmpl.Charge(freight.Place{}, freight.Load{WeightGrams: units})

		want := big.NewInt(rule.FirstCharge)
		if units > rule.FirstUnits && rule.AdditionalUnits > 0 {
			steps := new(big.Int).Sub(big.NewInt(units), big.NewInt(rule.FirstUnits))
			steps.Add(steps, big.NewInt(rule.AdditionalUnits-1)).Div(steps, big.NewInt(rule.AdditionalUnits))
			want.Add(want, steps.Mul(steps, big.NewInt(rule.AdditionalCharge)))
		}
		if want.IsInt64() != (err == nil) || (err == nil && got != want.Int64()) {
			t.Fatalf("charge is %d, %v, want %s", got, err, want)
		}
		if err != nil || units == 0 {
			return
		}
		fewer := rapid.Int64Range(0, units).Draw(t, "fewer units")
		if less, err := tmpl.Charge(freight.Place{}, freight.Load{WeightGrams: fewer}); err != nil || less > got {
			t.Fatalf("%d units cost %d (%v), %d cost %d", fewer, less, err, units, got)
		}
	})
}

func TestOffers(t *testing.T) {
	book := freight.NewBook(
		[]freight.Method{
			{Name: "express", Title: "Express", Template: "t"},
			{Name: "abroad", Title: "Abroad", Template: "usd"},
			{Name: "lost", Template: "none"},
		},
		[]freight.Template{
			template(freight.ByPiece, freight.Rule{Country: "CN", FirstCharge: 800}),
			{Name: "usd", Currency: "USD", ChargeBy: freight.ByWeight, Rules: []freight.Rule{{FirstCharge: 100}}},
		},
	)
	want := []freight.Offer{
		{Method: "express", Title: "Express", ChargeBy: freight.ByPiece, Freight: 800},
		{Method: "abroad", Title: "Abroad", ChargeBy: freight.ByWeight, Refused: freight.ErrOtherCurrency},
	}
	if diff := cmp.Diff(want, book.Offers("CNY", freight.Place{Country: "CN"}, freight.Load{Pieces: 1}),
		cmpopts.EquateErrors()); diff != "" {
		t.Errorf("offers (-want +got):\n%s", diff)
	}
	want = []freight.Offer{
		{Method: "express", Title: "Express", ChargeBy: freight.ByPiece, Refused: freight.ErrOtherCurrency},
		{Method: "abroad", Title: "Abroad", ChargeBy: freight.ByWeight, Freight: 100},
	}
	if diff := cmp.Diff(want, book.Offers("USD", freight.Place{Country: "DE"}, freight.Load{Pieces: 1}),
		cmpopts.EquateErrors()); diff != "" {
		t.Errorf("offers in dollars (-want +got):\n%s", diff)
	}
}

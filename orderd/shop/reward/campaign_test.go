package reward

import (
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	moneyv1 "github.com/orderd-dev/orderd/api/gen/orderd/money/v1"
	orderv1 "github.com/orderd-dev/orderd/api/gen/orderd/order/v1"
	rewardv1 "github.com/orderd-dev/orderd/api/gen/orderd/reward/v1"
)

func TestWhichOrdersMeetACampaign(t *testing.T) {
	paid := time.UnixMilli(1_800_000_000_000)
	order := &orderv1.Order{
		Total: &moneyv1.Money{Amount: 5000, Currency: "CNY"}, Promotion: "spring", PaidAt: timestamppb.New(paid),
		Lines: []*orderv1.OrderLine{{Sku: "a"}, {Sku: "b"}},
	}
	known := facts{categories: map[string]string{"a": "tea", "b": ""}}
	tests := []struct {
		name      string
		condition *rewardv1.Condition
		first     bool
		want      bool
	}{
		{"no condition", nil, false, true},
		{"exactly the total", &rewardv1.Condition{MinTotal: 5000, Currency: "CNY"}, false, true},
		{"less than the total", &rewardv1.Condition{MinTotal: 5001, Currency: "CNY"}, false, false},
		{"the total in other money", &rewardv1.Condition{MinTotal: 1, Currency: "USD"}, false, false},
		{"the currency", &rewardv1.Condition{Currency: "CNY"}, false, true},
		{"a SKU of several", &rewardv1.Condition{Skus: []string{"z", "b"}}, false, true},
		{"no such SKU", &rewardv1.Condition{Skus: []string{"z"}}, false, false},
		{"a category", &rewardv1.Condition{Categories: []string{"tea"}}, false, true},
		{"no such category", &rewardv1.Condition{Categories: []string{"cups"}}, false, false},
		{
			"another category, but the SKU",
			&rewardv1.Condition{Categories: []string{"cups"}, Skus: []string{"a"}},
			false,
			true,
		},
		{"the promotion", &rewardv1.Condition{Promotion: "spring"}, false, true},
		{"another promotion", &rewardv1.Condition{Promotion: "autumn"}, false, false},
		{"the first order", &rewardv1.Condition{FirstOrder: true}, true, true},
		{"a later order", &rewardv1.Condition{FirstOrder: true}, false, false},
		{"one of two conditions", &rewardv1.Condition{Promotion: "spring", Skus: []string{"z"}}, false, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			c := &campaign{
				rule: &rewardv1.Campaign{
					From:      timestamppb.New(paid),
					Until:     timestamppb.New(paid.Add(1)),
					Condition: test.condition,
				},
			}
			known.first = test.first
			if got := c.met(order, known); got != test.want {
				t.Errorf("met: %v, want %v", got, test.want)
			}
		})
	}
	windows := []struct {
		name        string
		from, until time.Duration
		want        bool
	}{
		{"before it begins", 1, 2, false},
		{"at its beginning", 0, 1, true},
		{"at its end", -1, 0, false},
	}
	for _, test := range windows {
		t.Run(test.name, func(t *testing.T) {
			c := &campaign{
				rule: &rewardv1.Campaign{From: timestamppb.New(paid.Add(test.from)), Until: timestamppb.New(paid.Add(test.until))},
			}
			if got := c.met(order, known); got != test.want {
				t.Errorf("met: %v, want %v", got, test.want)
			}
		})
	}
}

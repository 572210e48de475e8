package reward_test

import (
	"strings"
	"testing"

	"buf.build/go/protovalidate"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	rewardv1 "github.com/orderd-dev/orderd/api/gen/orderd/reward/v1"
)

// What reaches the service makes sense: it relies on it.
func TestWhichCampaignsMakeSense(t *testing.T) {
	upsert := func(change func(*rewardv1.Campaign)) proto.Message {
		c := &rewardv1.Campaign{
			Name:      "c",
			Title:     "c",
			From:      &timestamppb.Timestamp{},
			Until:     timestamppb.Now(),
			Template:  "t",
			Quantity:  1,
			Budget:    1,
			Condition: &rewardv1.Condition{MinTotal: 1, Currency: "CNY"},
		}
		change(c)
		return &rewardv1.UpsertCampaignRequest{RequestId: "r", Campaign: c}
	}
	tests := []struct {
		name string
		req  proto.Message
		// want names the rule that refuses it.
		want string
	}{
		{"a campaign", upsert(func(*rewardv1.Campaign) {}), ""},
		{"no time", upsert(func(c *rewardv1.Campaign) { c.Until = c.From }), "until is after from"},
		{"no end", upsert(func(c *rewardv1.Campaign) { c.Until = nil }), "until"},
		{"a total of no currency", upsert(func(c *rewardv1.Campaign) { c.Condition.Currency = "" }), "needs a currency"},
		{"nothing to grant", upsert(func(c *rewardv1.Campaign) { c.Template = "" }), "template"},
		{"no coupons", upsert(func(c *rewardv1.Campaign) { c.Quantity = 0 }), "quantity"},
		{"grants of a campaign", &rewardv1.ListGrantsRequest{Campaign: "c"}, ""},
		{"grants of an order", &rewardv1.ListGrantsRequest{OrderId: "01234567-89ab-4cde-8f01-23456789abcd"}, ""},
		{"grants of nothing", &rewardv1.ListGrantsRequest{}, "campaign or order_id"},
		{"grants of no order", &rewardv1.ListGrantsRequest{OrderId: "x"}, "uuid"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			err := protovalidate.Validate(test.req)
			if (err == nil) != (test.want == "") || err != nil && !strings.Contains(strings.ToLower(err.Error()), test.want) {
				t.Errorf("%v, want one about %q", err, test.want)
			}
		})
	}
}

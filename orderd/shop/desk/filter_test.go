package desk

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/types/known/timestamppb"

	deskv1 "github.com/orderd-dev/orderd/api/gen/orderd/desk/v1"
	orderv1 "github.com/orderd-dev/orderd/api/gen/orderd/order/v1"
	returnsv1 "github.com/orderd-dev/orderd/api/gen/orderd/returns/v1"
)

// Filters that say one thing each, by what they say.
var singles = map[string]*deskv1.OrderFilter{
	"buyer":       {BuyerId: "ann"},
	"phone":       {Phone: "+86 138 0013 8000"},
	"transaction": {TransactionId: "tx"},
	"tracking":    {TrackingNumber: "SF1"},
	"coupon":      {CouponId: "0A0B0C0D-0000-4000-8000-000000000001"},
	"recipient":   {Recipient: "ANN  Lee"},
	"attribute":   {AttributeKey: "campaign", AttributeValue: "x=y"},
	"tags":        {Tags: []string{"vip", "fragile"}},
	"sku":         {Sku: "tea"},
	"promotion":   {Promotion: "spring"},
	"returns": {ReturnStates: []returnsv1.ReturnState{
		returnsv1.ReturnState_RETURN_STATE_REQUESTED, returnsv1.ReturnState_RETURN_STATE_APPROVED,
	}},
	"refund":     {RefundStatuses: []orderv1.RefundStatus{orderv1.RefundStatus_REFUND_STATUS_PENDING}},
	"no refund":  {RefundStatuses: []orderv1.RefundStatus{orderv1.RefundStatus_REFUND_STATUS_NONE}},
	"unpaid":     {UnpaidSeconds: 60},
	"fulfilment": {FulfilmentStatuses: []orderv1.FulfilmentStatus{orderv1.FulfilmentStatus_FULFILMENT_STATUS_UNFULFILLED}},
	"provider":   {Provider: "sandbox"},
	"channel":    {Channel: "web"},
	"state": {States: []orderv1.OrderState{
		orderv1.OrderState_ORDER_STATE_PAID, orderv1.OrderState_ORDER_STATE_SHIPPED,
	}},
	"placed":  {Placed: &deskv1.TimeRange{Since: timestamppb.New(noon), Until: timestamppb.New(noon.Add(time.Hour))}},
	"paid":    {Paid: &deskv1.TimeRange{Since: timestamppb.New(noon)}},
	"method":  {Method: "card"},
	"total":   {Total: &deskv1.AmountRange{Currency: "CNY", Least: 1, Most: 9}},
	"note":    {HasNote: deskv1.Choice_CHOICE_YES},
	"no note": {HasNote: deskv1.Choice_CHOICE_NO},
	"nothing": {},
}

var noon = time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)

// shown is a query with its arguments in their places.
func shown(q *query) string {
	text := fmt.Sprintf("%s|%s|%s", strings.Join(q.branches, " OR "), strings.Join(q.within, " AND "),
		strings.Join(q.rest, " AND "))
	return regexp.MustCompile(`\$\d+`).ReplaceAllStringFunc(text, func(place string) string {
		var n int
		_, _ = fmt.Sscanf(place, "$%d", &n)
		switch v := q.args[n-1].(type) {
		case time.Time:
			return v.Format("15:04:05")
		case []string:
			return strings.Join(v, ",")
		default:
			return fmt.Sprint(v)
		}
	})
}

func TestWhatAQueryIsDrivenBy(t *testing.T) {
	for name, want := range map[string]string{
		"buyer":       "d.buyer_id = ann AND d.made > 0||",
		"phone":       "d.phone = 00138000 AND d.phone <> ''||",
		"transaction": "t.kind = transaction AND t.term = tx||",
		"tracking":    "t.kind = tracking AND t.term = SF1||",
		"coupon":      "t.kind = coupon AND t.term = 0a0b0c0d-0000-4000-8000-000000000001||",
		"recipient":   "d.recipient = ann lee AND d.recipient <> ''||",
		"attribute":   "t.kind = attribute AND t.term = campaign=x=y||",
		"tags": "t.kind = tag AND t.term = vip||EXISTS (SELECT 1 FROM desk_terms AS x WHERE x.order_id = d.order_id " +
			"AND x.kind = tag AND x.term = fragile)",
		"sku":       "t.kind = sku AND t.term = tea||",
		"promotion": "d.promotion = spring AND d.promotion <> ''||",
		"returns": "d.return_state = REQUESTED AND d.return_state <> '' OR " +
			"d.return_state = APPROVED AND d.return_state <> ''||",
		"refund": "d.refund = PENDING AND d.refund <> 'NONE'||",
		// Nearly all orders have none: no index has them.
		"no refund":  "d.number <> ''||d.refund = ANY (NONE)",
		"unpaid":     "d.state = PENDING_PAYMENT AND d.made > 0|d.created_at <= 11:59:00|",
		"fulfilment": "d.fulfilment = UNFULFILLED AND d.made > 0||",
		"provider":   "d.provider = sandbox AND d.provider <> ''||",
		"channel":    "d.channel = web AND d.channel <> ''||",
		"state":      "d.state = PAID AND d.made > 0 OR d.state = SHIPPED AND d.made > 0||",
		"placed":     "d.number <> ''|d.created_at >= 12:00:00 AND d.created_at < 13:00:00|",
		"paid":       "d.paid_at IS NOT NULL|d.paid_at >= 12:00:00|",
		"method":     "d.number <> ''||d.method = card",
		"total":      "d.number <> ''||d.currency = CNY AND d.total >= 1 AND d.total <= 9",
		"note":       "d.has_note||",
		"no note":    "d.number <> ''||NOT d.has_note",
		"nothing":    "d.number <> ''||",
	} {
		if got := shown(newQuery(singles[name], noon)); got != want {
			t.Errorf("%s:\n%s, want\n%s", name, got, want)
		}
	}
	if diff := cmp.Diff("d.number <> ''||", shown(newQuery(nil, noon))); diff != "" {
		t.Error(diff)
	}
}

func TestWhatAQueryOfSeveralIsDrivenBy(t *testing.T) {
	paid := []orderv1.OrderState{orderv1.OrderState_ORDER_STATE_PAID, orderv1.OrderState_ORDER_STATE_SHIPPED}
	open := []orderv1.FulfilmentStatus{
		orderv1.FulfilmentStatus_FULFILMENT_STATUS_UNFULFILLED,
		orderv1.FulfilmentStatus_FULFILMENT_STATUS_PARTIALLY_SHIPPED,
	}
	none := []orderv1.RefundStatus{
		orderv1.RefundStatus_REFUND_STATUS_NONE, orderv1.RefundStatus_REFUND_STATUS_PENDING,
	}
	for _, tt := range []struct {
		filter *deskv1.OrderFilter
		want   string
	}{
		{
			&deskv1.OrderFilter{States: paid, FulfilmentStatuses: open},
			"d.fulfilment = UNFULFILLED AND d.made > 0 AND d.state = PAID OR " +
				"d.fulfilment = PARTIALLY_SHIPPED AND d.made > 0 AND d.state = PAID OR " +
				"d.fulfilment = UNFULFILLED AND d.made > 0 AND d.state = SHIPPED OR " +
				"d.fulfilment = PARTIALLY_SHIPPED AND d.made > 0 AND d.state = SHIPPED||",
		},
		{
			// What is to be shipped is few orders, those without refund are most.
			&deskv1.OrderFilter{States: paid[:1], FulfilmentStatuses: open[:1], RefundStatuses: none},
			"d.fulfilment = UNFULFILLED AND d.made > 0 AND d.state = PAID||d.refund = ANY (NONE,PENDING)",
		},
		{
			&deskv1.OrderFilter{States: paid, UnpaidSeconds: 60},
			"d.state = PENDING_PAYMENT AND d.made > 0|d.created_at <= 11:59:00|d.state = ANY (PAID,SHIPPED)",
		},
		{
			&deskv1.OrderFilter{FulfilmentStatuses: open[:1], UnpaidSeconds: 60},
			"d.state = PENDING_PAYMENT AND d.made > 0|d.created_at <= 11:59:00|d.fulfilment = ANY (UNFULFILLED)",
		},
		{
			&deskv1.OrderFilter{FulfilmentStatuses: open[:1], Channel: "web", States: paid[:1]},
			"d.fulfilment = UNFULFILLED AND d.made > 0 AND d.state = PAID||d.channel = ANY (web)",
		},
		{
			&deskv1.OrderFilter{
				Sku: "tea", BuyerId: "ann", Phone: "12345678", Placed: &deskv1.TimeRange{Since: timestamppb.New(noon)},
			},
			"d.buyer_id = ann AND d.made > 0|d.created_at >= 12:00:00|d.phone = ANY (12345678) AND " +
				"EXISTS (SELECT 1 FROM desk_terms AS x WHERE x.order_id = d.order_id AND x.kind = sku AND x.term = tea)",
		},
		{
			&deskv1.OrderFilter{Sku: "tea", Placed: &deskv1.TimeRange{Since: timestamppb.New(noon)}},
			"t.kind = sku AND t.term = tea|t.created_at >= 12:00:00|",
		},
		{
			// Of the filters that an index serves none is there: the list is in the order of paying.
			&deskv1.OrderFilter{
				Paid: &deskv1.TimeRange{Until: timestamppb.New(noon)}, Placed: &deskv1.TimeRange{Since: timestamppb.New(noon)},
				RefundStatuses: none,
			},
			"d.paid_at IS NOT NULL|d.paid_at < 12:00:00|d.refund = ANY (NONE,PENDING) AND d.created_at >= 12:00:00",
		},
		{&deskv1.OrderFilter{Paid: &deskv1.TimeRange{}}, "d.number <> ''||"},
		// What nothing can match matches nothing, and not everything.
		{&deskv1.OrderFilter{Phone: "n/a"}, "false||"},
		{&deskv1.OrderFilter{Recipient: "  "}, "false||"},
		{&deskv1.OrderFilter{AttributeKey: "campaign=x", AttributeValue: "y"}, "false||"},
		{&deskv1.OrderFilter{BuyerId: "ann", Phone: "n/a", HasNote: deskv1.Choice_CHOICE_YES}, "false||"},
	} {
		if got := shown(newQuery(tt.filter, noon)); got != tt.want {
			t.Errorf("%v:\n%s, want\n%s", tt.filter, got, tt.want)
		}
	}
}

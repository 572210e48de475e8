package returns_test

import (
	"strings"
	"testing"

	"buf.build/go/protovalidate"
	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"

	moneyv1 "github.com/orderd-dev/orderd/api/gen/orderd/money/v1"
	returnsv1 "github.com/orderd-dev/orderd/api/gen/orderd/returns/v1"
)

// validation is a request, and what says that it makes no sense.
type validation struct {
	name string
	req  proto.Message
	// want names the field or the rule that refuses it.
	want string
}

func validations() []validation {
	id := uuid.NewString()
	request := func(change func(*returnsv1.RequestReturnRequest)) proto.Message {
		req := &returnsv1.RequestReturnRequest{
			RequestId: "r",
			BuyerId:   "ann",
			OrderId:   id,
			Kind:      returnsv1.ReturnKind_RETURN_KIND_WITH_PARCEL,
			Reason:    returnsv1.ReturnReason_RETURN_REASON_DAMAGED,
			Lines:     []*returnsv1.ReturnLineQuantity{{Line: 1, Quantity: 2}, {Line: 2, Quantity: 1}},
			Pictures:  []string{"p1"},
		}
		change(req)
		return req
	}
	inspect := func(lines ...*returnsv1.InspectedLine) proto.Message {
		return &returnsv1.InspectReturnRequest{RequestId: "r", ReturnId: id, Lines: lines}
	}
	refund := func(amount *moneyv1.Money) proto.Message {
		return &returnsv1.RefundReturnRequest{RequestId: "r", ReturnId: id, Amount: amount}
	}
	return []validation{
		{"a return", request(func(*returnsv1.RequestReturnRequest) {}), ""},
		{"a refund of what has not left", request(func(r *returnsv1.RequestReturnRequest) {
			r.Kind, r.Unshipped = returnsv1.ReturnKind_RETURN_KIND_REFUND_ONLY, true
		}), ""},
		{
			"a parcel of what has not left",
			request(func(r *returnsv1.RequestReturnRequest) { r.Unshipped = true }),
			"not left",
		},
		{"nothing", request(func(r *returnsv1.RequestReturnRequest) { r.Lines = nil }), "lines"},
		{"a line twice", request(func(r *returnsv1.RequestReturnRequest) { r.Lines[1].Line = 1 }), "lines"},
		{"no units", request(func(r *returnsv1.RequestReturnRequest) { r.Lines[1].Quantity = 0 }), "quantity"},
		{"no kind", request(func(r *returnsv1.RequestReturnRequest) { r.Kind = 0 }), "kind"},
		{"no reason", request(func(r *returnsv1.RequestReturnRequest) { r.Reason = 0 }), "reason"},
		{
			"too many pictures",
			request(func(r *returnsv1.RequestReturnRequest) { r.Pictures = make([]string, 10) }),
			"pictures",
		},
		{"a picture with a NUL", request(func(r *returnsv1.RequestReturnRequest) { r.Pictures[0] = "a\x00" }), "pictures"},
		{"no buyer", request(func(r *returnsv1.RequestReturnRequest) { r.BuyerId = "" }), "buyer_id"},
		{"an inspection", inspect(&returnsv1.InspectedLine{Line: 1}, &returnsv1.InspectedLine{Line: 2, Restock: 1}), ""},
		{
			"an inspection of a line twice",
			inspect(&returnsv1.InspectedLine{Line: 1}, &returnsv1.InspectedLine{Line: 1, Restock: 1}),
			"lines",
		},
		{"fewer than none in stock", inspect(&returnsv1.InspectedLine{Line: 1, Restock: -1}), "restock"},
		{"a whole refund", refund(nil), ""},
		{"a refund of nothing", refund(&moneyv1.Money{Currency: "CNY"}), ""},
		{"a refund of less than nothing", refund(&moneyv1.Money{Amount: -1, Currency: "CNY"}), "amount"},
		{"a refund without a currency", refund(&moneyv1.Money{Amount: 1}), "currency"},
		{"a rejection without a reason", &returnsv1.RejectReturnRequest{RequestId: "r", ReturnId: id}, "reason"},
		{
			"a parcel without its number",
			&returnsv1.SendReturnRequest{RequestId: "r", BuyerId: "ann", ReturnId: id, Carrier: "post"},
			"tracking_number",
		},
	}
}

// What reaches the service makes sense: it relies on it.
func TestWhichRequestsMakeSense(t *testing.T) {
	for _, test := range validations() {
		t.Run(test.name, func(t *testing.T) {
			err := protovalidate.Validate(test.req)
			if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
				t.Errorf("%v, want one about %q", err, test.want)
			}
		})
	}
}

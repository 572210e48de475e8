package shipment_test

import (
	"strings"
	"testing"

	"buf.build/go/protovalidate"
	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	shipmentv1 "github.com/orderd-dev/orderd/api/gen/orderd/shipment/v1"
)

// What reaches the service makes sense: it relies on it.
func TestWhichRequestsMakeSense(t *testing.T) {
	id := uuid.NewString()
	create := func(change func(*shipmentv1.CreateShipmentRequest)) proto.Message {
		req := &shipmentv1.CreateShipmentRequest{
			RequestId: "r",
			OrderId:   id,
			Lines:     []*shipmentv1.ShipmentLineQuantity{{Line: 1, Quantity: 2}, {Line: 2, Quantity: 1}},
		}
		change(req)
		return req
	}
	record := func(change func(*shipmentv1.RecordShipmentEventRequest)) proto.Message {
		req := &shipmentv1.RecordShipmentEventRequest{
			RequestId:  "r",
			ShipmentId: id,
			Code:       shipmentv1.ShipmentEventCode_SHIPMENT_EVENT_CODE_LOST,
		}
		change(req)
		return req
	}
	tests := []struct {
		name string
		req  proto.Message
		// want names the field that refuses it.
		want string
	}{
		{"a shipment of lines", create(func(*shipmentv1.CreateShipmentRequest) {}), ""},
		{"a shipment of all that is left", create(func(r *shipmentv1.CreateShipmentRequest) { r.Lines = nil }), ""},
		{
			"a shipment without a request id",
			create(func(r *shipmentv1.CreateShipmentRequest) { r.RequestId = "" }),
			"request_id",
		},
		{"a line twice", create(func(r *shipmentv1.CreateShipmentRequest) { r.Lines[1].Line = 1 }), "lines"},
		{"no units", create(func(r *shipmentv1.CreateShipmentRequest) { r.Lines[0].Quantity = 0 }), "quantity"},
		{"line 0", create(func(r *shipmentv1.CreateShipmentRequest) { r.Lines[0].Line = 0 }), "line"},
		{
			"a tracking number with spaces",
			create(func(r *shipmentv1.CreateShipmentRequest) { r.TrackingNumber = "1 2" }),
			"tracking_number",
		},
		{"no order", create(func(r *shipmentv1.CreateShipmentRequest) { r.OrderId = "x" }), "order_id"},
		{"an event", record(func(*shipmentv1.RecordShipmentEventRequest) {}), ""},
		{"an event of some time", record(func(r *shipmentv1.RecordShipmentEventRequest) { r.At = timestamppb.Now() }), ""},
		{
			"an event of no time",
			record(func(r *shipmentv1.RecordShipmentEventRequest) { r.At = &timestamppb.Timestamp{} }),
			"at",
		},
		{"an event of no kind", record(func(r *shipmentv1.RecordShipmentEventRequest) { r.Code = 0 }), "code"},
		{"an event of an unknown kind", record(func(r *shipmentv1.RecordShipmentEventRequest) { r.Code = 99 }), "code"},
		{"a place with a NUL", record(func(r *shipmentv1.RecordShipmentEventRequest) { r.Location = "a\x00" }), "location"},
		{"a list of one order", &shipmentv1.ListShipmentsRequest{OrderId: id}, ""},
		{"a list of everything", &shipmentv1.ListShipmentsRequest{}, ""},
		{"a list of no order", &shipmentv1.ListShipmentsRequest{OrderId: "x"}, "order_id"},
		{"too large a page", &shipmentv1.ListShipmentsRequest{PageSize: 101}, "page_size"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			err := protovalidate.Validate(test.req)
			if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
				t.Errorf("%v, want one about %q", err, test.want)
			}
		})
	}
}

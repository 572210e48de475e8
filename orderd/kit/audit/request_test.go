package audit

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"
	"pgregory.net/rapid"

	addressv1 "github.com/orderd-dev/orderd/api/gen/orderd/address/v1"
	cartv1 "github.com/orderd-dev/orderd/api/gen/orderd/cart/v1"
	catalogv1 "github.com/orderd-dev/orderd/api/gen/orderd/catalog/v1"
	orderv1 "github.com/orderd-dev/orderd/api/gen/orderd/order/v1"
	paymentv1 "github.com/orderd-dev/orderd/api/gen/orderd/payment/v1"
)

func TestRequest(t *testing.T) {
	long := strings.Repeat("é", 20_000)
	tests := []struct {
		name    string
		msg     proto.Message
		wantID  string
		want    string
		wantHas []string
	}{
		{
			name: "as it is", msg: &catalogv1.AdjustStockRequest{RequestId: "morning", Sku: "a<b>&c", Delta: -2},
			wantID: "morning", want: `{"requestId":"morning","sku":"a<b>&c","delta":"-2"}`,
		},
		{name: "no request id", msg: &catalogv1.GetSkuRequest{Sku: "tea"}, want: `{"sku":"tea"}`},
		{
			name: "a long text", msg: &catalogv1.AdjustStockRequest{RequestId: "morning", Sku: long, Delta: 1},
			wantID: "morning", wantHas: []string{`"requestId":"morning"`, "é… 40000 bytes", `"delta":"1"`},
		},
		{
			name: "an address",
			msg: &addressv1.SaveAddressRequest{RequestId: "home", BuyerId: "ann", Address: &addressv1.Address{
				Recipient: "Ann Li", Phone: "123456", Country: "CN", City: "Hangzhou", Street: "1 West Lake Road",
			}},
			wantID: "home", want: `{"requestId":"home","buyerId":"ann",` +
				`"address":{"recipient":"…","phone":"…","country":"CN","city":"Hangzhou","street":"…"}}`,
		},
		{
			name: "a guest's token", msg: &cartv1.MergeCartRequest{RequestId: "merge", BuyerId: "ann", GuestToken: "secret"},
			wantID: "merge", want: `{"requestId":"merge","buyerId":"ann","guestToken":"…"}`,
		},
		{
			name: "a quote's token, which has the address", msg: &orderv1.PlaceOrderRequest{RequestId: "1", QuoteToken: "ZXM"},
			wantID: "1", want: `{"requestId":"1","quoteToken":"…"}`,
		},
		{
			name: "who pays", msg: &paymentv1.CreatePaymentRequest{RequestId: "1", OpenId: "o1", ClientIp: "127.0.0.1"},
			wantID: "1", want: `{"requestId":"1","openId":"…","clientIp":"…"}`,
		},
		{
			name: "addresses in a list", msg: &addressv1.ListAddressesResponse{Addresses: []*addressv1.SavedAddress{
				{AddressId: "1", Address: &addressv1.Address{Recipient: "Ann Li"}},
			}},
			want: `{"addresses":[{"addressId":"1","address":{"recipient":"…"}}]}`,
		},
		{name: "a character no database stores", msg: &catalogv1.GetSkuRequest{Sku: "\x00"}, want: `{"sku":"\u0000"}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			before := proto.Clone(tt.msg)
			got, err := requestJSON(tt.msg)
			if err != nil {
				t.Fatal(err)
			}
			if !proto.Equal(before, tt.msg) {
				t.Errorf("the handler gets %v, not %v", tt.msg, before)
			}
			if tt.want != "" && got != tt.want {
				t.Errorf("request %s, want %s", got, tt.want)
			}
			for _, part := range tt.wantHas {
				if !strings.Contains(got, part) {
					t.Errorf("request %s does not have %s", got, part)
				}
			}
			if id := requestID(tt.msg); id != tt.wantID {
				t.Errorf("request id %q, want %q", id, tt.wantID)
			}
		})
	}
}

// value is any JSON, some of it large.
func value(t *rapid.T, depth int) any {
	kinds := 3
	if depth > 0 {
		kinds = 5
	}
	switch rapid.IntRange(1, kinds).Draw(t, "kind") {
	case 1:
		return strings.Repeat(rapid.StringN(1, 3, 12).Draw(t, "text"), rapid.IntRange(0, 2000).Draw(t, "times"))
	case 2:
		return rapid.Float64Range(-1e9, 1e9).Draw(t, "number")
	case 3:
		return rapid.Bool().Draw(t, "flag")
	case 4:
		var list []any
		for range rapid.IntRange(0, 12).Draw(t, "members") {
			list = append(list, value(t, depth-1))
		}
		return list
	}
	fields := map[string]any{}
	for range rapid.IntRange(0, 12).Draw(t, "fields") {
		name := strings.ToValidUTF8(rapid.StringN(1, 8, 32).Draw(t, "name"), "?")
		fields[strings.Repeat(name, rapid.IntRange(1, 500).Draw(t, "times"))] = value(t, depth-1)
	}
	return fields
}

func TestRequestIsBoundedJSON(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		msg, err := structpb.NewValue(value(t, 3))
		if err != nil {
			t.Skip("not a text that protobuf takes")
		}
		got, err := requestJSON(msg)
		if err != nil {
			t.Fatal(err)
		}
		if len(got) > maxRequestBytes || !utf8.ValidString(got) || !json.Valid([]byte(got)) {
			t.Fatalf("%d bytes, of them valid JSON: %t", len(got), json.Valid([]byte(got)))
		}
	})
}

func TestWhatIsTooLargeEvenShortened(t *testing.T) {
	deep := any("x")
	for range 4000 {
		deep = []any{deep, strings.Repeat("y", 40)}
	}
	msg, err := structpb.NewValue(deep)
	if err != nil {
		t.Fatal(err)
	}
	got, err := requestJSON(msg)
	if err != nil {
		t.Fatal(err)
	}
	if len(got) > 64 || !json.Valid([]byte(got)) {
		t.Errorf("request %s, want only its size", got)
	}
}

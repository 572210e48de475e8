package desk

import (
	"context"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"

	accessv1 "github.com/orderd-dev/orderd/api/gen/orderd/access/v1"
	addressv1 "github.com/orderd-dev/orderd/api/gen/orderd/address/v1"
	deskv1 "github.com/orderd-dev/orderd/api/gen/orderd/desk/v1"
	invoicev1 "github.com/orderd-dev/orderd/api/gen/orderd/invoice/v1"
	orderv1 "github.com/orderd-dev/orderd/api/gen/orderd/order/v1"
	quotev1 "github.com/orderd-dev/orderd/api/gen/orderd/quote/v1"
	returnsv1 "github.com/orderd-dev/orderd/api/gen/orderd/returns/v1"
	shipmentv1 "github.com/orderd-dev/orderd/api/gen/orderd/shipment/v1"
	"github.com/orderd-dev/orderd/orderd/kit/auth"
	"github.com/orderd-dev/orderd/orderd/kit/rpcerr"
)

func as(roles ...accessv1.Role) context.Context {
	set := auth.RolesOf(roles...)
	return auth.WithCaller(context.Background(), auth.Caller{Subject: "kim", Roles: set, Acting: set})
}

func TestMaskName(t *testing.T) {
	for name, want := range map[string]string{
		"": "", "A": "A***", "Ann Lee": "A***", "李雷": "李***", "Émile": "É***", "👩‍🚀": "👩***",
		"\u0301a": "\u0301***",
	} {
		if got := maskName(name); got != want {
			t.Errorf("maskName(%q) = %q, want %q", name, got, want)
		}
	}
}

func TestMaskPhone(t *testing.T) {
	for phone, want := range map[string]string{
		"": "", "+86 138 0013 8012": "***12", "+86 138 0013 80-1-2": "***12", "12345": "***45", "no digit": "",
	} {
		if got := maskPhone(phone); got != want {
			t.Errorf("maskPhone(%q) = %q, want %q", phone, got, want)
		}
	}
}

// secrets are what of an order only those see who need to know its buyer; invoiced what finance sees besides.
const (
	secrets = "Ann Secret|+86 13800138000|Secret District|1 Secret Street|310000|ring twice|happy birthday|it is torn|" +
		"pic-1"
	invoiced = "Secret Ltd|TAX-1|secret@example.org|Second Ltd|TAX-2|second@example.org|files/second.pdf"
)

func secretAddress() *addressv1.Address {
	return &addressv1.Address{
		Recipient: "Ann Secret", Phone: "+86 13800138000", Country: "CN", Region: "Zhejiang", City: "Hangzhou",
		District: "Secret District", Street: "1 Secret Street", PostalCode: "310000",
	}
}

func secretStory() *deskv1.FindOrderResponse {
	return &deskv1.FindOrderResponse{
		Order: &orderv1.Order{
			OrderId: "1", BuyerId: "ann", Address: secretAddress(), BuyerMessage: "ring twice", GiftNote: "happy birthday",
			Invoice: &quotev1.Invoice{Title: "Secret Ltd", TaxId: "TAX-1", Email: "secret@example.org"},
		},
		Shipments: []*shipmentv1.Shipment{{Address: secretAddress(), TrackingNumber: "T1"}, {}},
		Returns:   []*returnsv1.Return{{Description: "it is torn", Pictures: []string{"pic-1"}}},
		Invoices: []*invoicev1.Invoice{{}, {
			Request: &quotev1.Invoice{Title: "Second Ltd", TaxId: "TAX-2", Email: "second@example.org"},
			File:    "files/second.pdf",
		}},
	}
}

func TestMaskStory(t *testing.T) {
	for _, tt := range []struct {
		name         string
		ctx          context.Context
		all, invoice bool
	}{
		{"nobody, which is a process of our own", context.Background(), true, true},
		{"support", as(accessv1.Role_ROLE_SUPPORT), true, true},
		{"fulfilment", as(accessv1.Role_ROLE_FULFILMENT), true, true},
		{"returns", as(accessv1.Role_ROLE_RETURNS), true, true},
		{"finance", as(accessv1.Role_ROLE_FINANCE), false, true},
		{"marketing", as(accessv1.Role_ROLE_MARKETING), false, false},
		{"catalog", as(accessv1.Role_ROLE_CATALOG), false, false},
		{"marketing and support", as(accessv1.Role_ROLE_MARKETING, accessv1.Role_ROLE_SUPPORT), true, true},
		{"no role", as(), false, false},
	} {
		story := secretStory()
		maskStory(tt.ctx, story)
		raw, err := proto.Marshal(story)
		if err != nil {
			t.Fatal(err)
		}
		for _, kind := range []struct {
			texts string
			seen  bool
		}{{secrets, tt.all}, {invoiced, tt.invoice}} {
			for text := range strings.SplitSeq(kind.texts, "|") {
				if got := strings.Contains(string(raw), text); got != kind.seen {
					t.Errorf("%s: sees %q: %t, want %t", tt.name, text, got, kind.seen)
				}
			}
		}
		if tt.all {
			if diff := cmp.Diff(secretStory(), story, protocmp.Transform()); diff != "" {
				t.Errorf("%s: %s", tt.name, diff)
			}
		}
		for _, a := range []*addressv1.Address{story.GetOrder().GetAddress(), story.GetShipments()[0].GetAddress()} {
			if a.GetCity() != "Hangzhou" || a.GetRegion() != "Zhejiang" || a.GetCountry() != "CN" {
				t.Errorf("%s: where the goods go is hidden: %v", tt.name, a)
			}
		}
	}
}

// What is not there is not made to look as if it were.
func TestMaskStoryOfLittle(t *testing.T) {
	story := &deskv1.FindOrderResponse{Order: &orderv1.Order{OrderId: "1"}, Returns: []*returnsv1.Return{{}}}
	want := proto.CloneOf(story)
	maskStory(as(accessv1.Role_ROLE_MARKETING), story)
	if diff := cmp.Diff(want, story, protocmp.Transform()); diff != "" {
		t.Error(diff)
	}
}

func TestMaskListed(t *testing.T) {
	for _, tt := range []struct {
		ctx              context.Context
		recipient, phone string
	}{
		{as(accessv1.Role_ROLE_SUPPORT), "李雷", "+86 13800138012"},
		{as(accessv1.Role_ROLE_FINANCE), "李***", "***12"},
		{as(accessv1.Role_ROLE_MARKETING), "李***", "***12"},
	} {
		o := &deskv1.ListedOrder{Recipient: "李雷", Phone: "+86 13800138012"}
		maskListed(tt.ctx, o)
		if o.GetRecipient() != tt.recipient || o.GetPhone() != tt.phone {
			t.Errorf("%s, %s; want %s, %s", o.GetRecipient(), o.GetPhone(), tt.recipient, tt.phone)
		}
	}
}

func TestWhoMayFindByWhat(t *testing.T) {
	for _, tt := range []struct {
		name    string
		ctx     context.Context
		filters []*deskv1.OrderFilter
		field   string
	}{
		{"support by a phone", as(accessv1.Role_ROLE_SUPPORT), []*deskv1.OrderFilter{{Phone: "13800138000"}}, ""},
		{"marketing by what it sees", as(accessv1.Role_ROLE_MARKETING), []*deskv1.OrderFilter{{Sku: "tea"}, nil}, ""},
		{
			"marketing by a phone", as(accessv1.Role_ROLE_MARKETING),
			[]*deskv1.OrderFilter{{Sku: "tea"}, {Phone: "13800138000"}}, "filter.phone",
		},
		{
			"finance by a name", as(accessv1.Role_ROLE_FINANCE), []*deskv1.OrderFilter{{Recipient: "Ann Li", Sku: "tea"}},
			"filter.recipient",
		},
	} {
		err := mayFind(tt.ctx, tt.filters...)
		if (err != nil) != (tt.field != "") || err != nil && rpcerr.Metadata(err)["field"] != tt.field {
			t.Errorf("%s: %v, want field %q", tt.name, err, tt.field)
		}
	}
}

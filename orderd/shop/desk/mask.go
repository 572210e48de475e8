package desk

import (
	"context"
	"strings"
	"unicode/utf8"

	"connectrpc.com/connect/v2"

	accessv1 "github.com/orderd-dev/orderd/api/gen/orderd/access/v1"
	addressv1 "github.com/orderd-dev/orderd/api/gen/orderd/address/v1"
	deskv1 "github.com/orderd-dev/orderd/api/gen/orderd/desk/v1"
	orderv1 "github.com/orderd-dev/orderd/api/gen/orderd/order/v1"
	quotev1 "github.com/orderd-dev/orderd/api/gen/orderd/quote/v1"
	"github.com/orderd-dev/orderd/orderd/kit/auth"
	"github.com/orderd-dev/orderd/orderd/kit/rpcerr"
	"github.com/orderd-dev/orderd/orderd/shop/returns"
)

// mayFind refuses filters by what the caller does not see: who can count by a phone number knows whose it is.
func mayFind(ctx context.Context, filters ...*deskv1.OrderFilter) error {
	if auth.KnowsBuyers(ctx) {
		return nil
	}
	for _, f := range filters {
		var field string
		switch {
		case f.GetPhone() != "":
			field = "filter.phone"
		case f.GetRecipient() != "":
			field = "filter.recipient"
		default:
			continue
		}
		return rpcerr.New(connect.CodePermissionDenied, rpcerr.ReasonFilterNotAllowed,
			"your role does not see this, and cannot find orders by it", "field", field)
	}
	return nil
}

// maskListed hides who an order's buyer is from those who do not need it.
func maskListed(ctx context.Context, o *deskv1.ListedOrder) {
	if !auth.KnowsBuyers(ctx) {
		o.Recipient, o.Phone = maskName(o.GetRecipient()), maskPhone(o.GetPhone())
	}
}

func maskStory(ctx context.Context, f *deskv1.FindOrderResponse) {
	maskOrder(ctx, f.GetOrder())
	if auth.KnowsBuyers(ctx) {
		return
	}
	for _, sh := range f.GetShipments() {
		maskAddress(sh.GetAddress())
	}
	for _, r := range f.GetReturns() {
		returns.Mask(r)
	}
	for _, i := range f.GetInvoices() {
		if !knowsInvoices(ctx) {
			maskInvoice(i.GetRequest())
			i.File = hidden(i.GetFile())
		}
	}
}

// knowsInvoices tells whether the caller, who does not know buyers, looks after invoices.
func knowsInvoices(ctx context.Context) bool {
	c, _ := auth.CallerFrom(ctx)
	return c.Acting.Has(accessv1.Role_ROLE_FINANCE)
}

func maskInvoice(i *quotev1.Invoice) {
	if i != nil {
		i.Title, i.TaxId, i.Email = maskName(i.GetTitle()), hidden(i.GetTaxId()), hidden(i.GetEmail())
	}
}

func maskOrder(ctx context.Context, o *orderv1.Order) {
	if o == nil || auth.KnowsBuyers(ctx) {
		return
	}
	maskAddress(o.GetAddress())
	o.BuyerMessage, o.GiftNote = hidden(o.GetBuyerMessage()), hidden(o.GetGiftNote())
	if !knowsInvoices(ctx) {
		maskInvoice(o.GetInvoice())
	}
}

// maskAddress leaves of an address what says where the goods go, roughly.
func maskAddress(a *addressv1.Address) {
	if a == nil {
		return
	}
	a.Recipient, a.Phone = maskName(a.GetRecipient()), maskPhone(a.GetPhone())
	a.District, a.Street, a.PostalCode = hidden(a.GetDistrict()), hidden(a.GetStreet()), hidden(a.GetPostalCode())
}

const mask = "***"

func hidden(text string) string {
	if text == "" {
		return ""
	}
	return mask
}

// maskName leaves the first character.
func maskName(name string) string {
	if name == "" {
		return ""
	}
	r, _ := utf8.DecodeRuneInString(name)
	return string(r) + mask
}

// maskPhone leaves the last two digits.
func maskPhone(phone string) string {
	digits := phoneKey(phone)
	if digits == "" {
		return ""
	}
	return strings.Join([]string{mask, digits[max(0, len(digits)-2):]}, "")
}

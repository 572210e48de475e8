package push

import (
	"fmt"
	"strconv"

	"golang.org/x/text/currency"
	"google.golang.org/protobuf/proto"

	moneyv1 "github.com/orderd-dev/orderd/api/gen/orderd/money/v1"
	orderv1 "github.com/orderd-dev/orderd/api/gen/orderd/order/v1"
)

// carriesOrder is every event of an order.
type carriesOrder interface {
	proto.Message
	GetOrder() *orderv1.Order
}

// fields are what a template may say of an event.
func fields(event carriesOrder, lang string) map[string]string {
	o := event.GetOrder()
	out := map[string]string{"order_id": o.GetOrderId(), "promotion": o.GetPromotion(), "total": amount(o.GetTotal())}
	var quantity int64
	for _, l := range o.GetLines() {
		quantity += l.GetQuantity()
	}
	out["quantity"] = strconv.FormatInt(quantity, 10)
	if lines := o.GetLines(); len(lines) > 0 {
		out["item"] = lines[0].GetTitle()
	}
	if e, ok := event.(interface{ GetShipmentId() string }); ok {
		out["shipment_id"] = e.GetShipmentId()
	}
	switch e := event.(type) {
	case *orderv1.OrderRefunded:
		out["amount"] = amount(e.GetAmount())
	case *orderv1.OrderReturnChanged:
		out["return_id"], out["state"] = e.GetReturnId(), state(returnStates(), e.GetState(), lang)
	case *orderv1.OrderInvoiceChanged:
		out["invoice_id"], out["state"] = e.GetInvoiceId(), state(invoiceStates(), e.GetState(), lang)
	}
	return out
}

// state is the name of a state as the texts have it, or the name itself.
func state(texts map[string]map[string]string, name, lang string) string {
	for _, l := range candidates(lang) {
		if text, ok := texts[l][name]; ok {
			return text
		}
	}
	return name
}

// amount writes money in the currency's major unit, such as 12.50 CNY.
func amount(m *moneyv1.Money) string {
	if m == nil {
		return ""
	}
	digits := 2
	if unit, err := currency.ParseISO(m.GetCurrency()); err == nil {
		digits, _ = currency.Standard.Rounding(unit)
	}
	sign, value := "", uint64(m.GetAmount())
	if m.GetAmount() < 0 {
		sign, value = "-", -value
	}
	text := strconv.FormatUint(value, 10)
	if digits > 0 {
		text = fmt.Sprintf("%0*d", digits+1, value)
		text = text[:len(text)-digits] + "." + text[len(text)-digits:]
	}
	return sign + text + " " + m.GetCurrency()
}

// example is an event of an order that is made up.
func example(event string) carriesOrder {
	money := func(minor int64) *moneyv1.Money { return &moneyv1.Money{Amount: minor, Currency: "CNY"} }
	o := &orderv1.Order{
		OrderId: "018f2f6e-7d4c-8a10-9b3c-0123456789ab", Total: money(25900), Promotion: "11.11",
		Lines: []*orderv1.OrderLine{{Title: "Green tea", Quantity: 2}, {Title: "Teapot", Quantity: 1}},
	}
	switch event {
	case "shipped":
		return &orderv1.OrderShipped{Order: o, ShipmentId: "3b1f0c1e-5d2a-4c8e-9f60-7a1b2c3d4e5f"}
	case "delivered":
		return &orderv1.OrderDelivered{Order: o, ShipmentId: "3b1f0c1e-5d2a-4c8e-9f60-7a1b2c3d4e5f"}
	case "refunded":
		return &orderv1.OrderRefunded{Order: o, RefundId: "9d3e4f50-6172-4839-a4b5-c6d7e8f90a1b", Amount: money(12950)}
	case "return_changed":
		return &orderv1.OrderReturnChanged{Order: o, ReturnId: "5e6f7081-92a3-4b4c-8d5e-6f708192a3b4", State: "APPROVED"}
	case "invoice_changed":
		return &orderv1.OrderInvoiceChanged{Order: o, InvoiceId: "7f8091a2-b3c4-4d5e-8f60-718293a4b5c6", State: "ISSUED"}
	}
	return &orderv1.OrderPaid{Order: o}
}

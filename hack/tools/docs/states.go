package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/orderd-dev/orderd/orderd/kit/lifecycle"
	"github.com/orderd-dev/orderd/orderd/shop/coupon"
	"github.com/orderd-dev/orderd/orderd/shop/invoice"
	"github.com/orderd-dev/orderd/orderd/shop/order"
	"github.com/orderd-dev/orderd/orderd/shop/payment"
	"github.com/orderd-dev/orderd/orderd/shop/returns"
	"github.com/orderd-dev/orderd/orderd/shop/shipment"
)

const statesHead = `# States

<!-- Generated from the life cycles' tables by hack/tools/docs: make generate. -->

What an arrow is named after is the event in the answers of the history RPCs. Nothing else changes a state, and every
change is in the history with its time, who made it and why.
`

// statesPage has a diagram of each life cycle.
func statesPage() string {
	var b strings.Builder
	b.WriteString(statesHead)
	section := func(title, text, diagram string) {
		fmt.Fprintf(&b, "\n## %s\n\n%s\n\n```mermaid\n%s```\n", title, text, diagram)
	}
	section(
		"Order",
		"`ORDER_STATE_…`; history: `OrderService/GetOrderHistory`. What is partial (some lines shipped, some refunded) "+
			"is on the lines, and in `fulfilmentStatus` and `refundStatus` beside the state. `pay_late` is a payment for "+
			"an order that was cancelled unpaid, if its stock could be taken again. `ORDER_STATE_ACCEPTED` is not in the "+
			"table: a flash order has it for `GetOrder` and `WatchOrder` from the moment that it was taken until it is in the "+
			"database as `PENDING_PAYMENT`, and nothing can be done with it until then (`ORDER_NOT_READY`).",
		diagram(order.Transitions()),
	)
	section("Payment",
		"`PAYMENT_STATE_…`. An order may have several; one counts, and the money of any other goes back on its own.",
		diagram(payment.Transitions()))
	section("Refund", "`REFUND_STATE_…`. A refund that the provider refuses is tried again.",
		diagram(payment.RefundTransitions()))
	section("Shipment", "`SHIPMENT_STATE_…`; history: `ShipmentService/GetShipment`.", diagram(shipment.Transitions()))
	section(
		"Return",
		"`RETURN_STATE_…`; history: `ReturnService/GetReturnHistory`. `send` and `receive` are for returns with a parcel, "+
			"`refund_only` for the others.",
		diagram(returns.Transitions()),
	)
	section(
		"Invoice",
		"`INVOICE_STATE_…`; history: `InvoiceService/GetInvoiceHistory`. "+
			"After a rejected or voided one the order may have another.",
		diagram(invoice.Transitions()),
	)
	section(
		"Coupon",
		"`COUPON_STATE_…`; history: `CouponService/GetCouponHistory`. `COUPON_STATE_EXPIRED` is an available coupon whose "+
			"validity is over.",
		diagram(coupon.Transitions()),
	)
	return b.String()
}

// diagram is a life cycle as Mermaid's stateDiagram-v2. States come in the sequence in which they
// are reached, and the events that lead from one to another share an arrow.
func diagram[S, E ~string](table lifecycle.Table[S, E]) string {
	var b strings.Builder
	b.WriteString("stateDiagram-v2\n")
	queue, seen := []S{""}, map[S]bool{"": true}
	for len(queue) > 0 {
		from := queue[0]
		queue = queue[1:]
		events := map[S][]string{}
		for event, to := range table[from] {
			events[to] = append(events[to], string(event))
		}
		ends := from != ""
		for _, to := range slices.Sorted(maps.Keys(events)) {
			slices.Sort(events[to])
			fmt.Fprintf(&b, "    %s --> %s: %s\n", node(from), node(to), strings.Join(events[to], ", "))
			ends = ends && to == from
			if !seen[to] {
				seen[to] = true
				queue = append(queue, to)
			}
		}
		if ends {
			fmt.Fprintf(&b, "    %s --> [*]\n", node(from))
		}
	}
	return b.String()
}

func node[S ~string](state S) string {
	if state == "" {
		return "[*]"
	}
	return string(state)
}

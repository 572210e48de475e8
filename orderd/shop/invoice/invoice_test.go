package invoice

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	quotev1 "github.com/orderd-dev/orderd/api/gen/orderd/quote/v1"
	"github.com/orderd-dev/orderd/orderd/kit/rpcerr"
	"github.com/orderd-dev/orderd/orderd/shop/order"
)

func TestAllowed(t *testing.T) {
	paidAt := time.Date(2025, 1, 31, 9, 0, 0, 0, time.UTC)
	paid := order.Order{State: order.Paid, PaidAt: &paidAt, Total: 300, Lines: []order.Line{{}, {RefundGranted: 299}}}
	had := func(states ...State) (all []*Invoice) {
		for _, s := range states {
			all = append(all, &Invoice{State: s})
		}
		return all
	}
	for _, tt := range []struct {
		name   string
		order  func(*order.Order)
		had    []*Invoice
		later  time.Duration
		reason string
	}{
		{name: "paid"},
		{name: "shipped", order: func(o *order.Order) { o.State = order.Shipped }},
		{name: "delivered", order: func(o *order.Order) { o.State = order.Delivered }},
		{name: "completed", order: func(o *order.Order) { o.State = order.Completed }},
		{name: "not paid", order: func(o *order.Order) { o.State, o.PaidAt = order.PendingPayment, nil },
			reason: "ORDER_STATE_CONFLICT"},
		{name: "cancelled", order: func(o *order.Order) { o.State = order.Cancelled }, reason: "ORDER_STATE_CONFLICT"},
		{name: "refunded", order: func(o *order.Order) { o.Lines[0].RefundGranted = 1 }, reason: "NOTHING_TO_INVOICE"},
		{name: "free", order: func(o *order.Order) { o.Total, o.Lines = 0, nil }, reason: "NOTHING_TO_INVOICE"},
		{name: "in time", later: Window},
		{name: "too late", later: Window + 1, reason: "INVOICE_WINDOW_CLOSED"},
		{name: "too late after a rejected one", had: had(Rejected), later: Window + 1, reason: "INVOICE_WINDOW_CLOSED"},
		{name: "too late to change", had: had(Requested), later: Window + 1},
		{name: "too late after a voided one", had: had(Rejected, Voided), later: Window + 1},
		{name: "issued", had: had(Issued), reason: "INVOICE_STATE_CONFLICT"},
		{name: "issued, behind an earlier one", had: had(Voided, Issued), reason: "INVOICE_STATE_CONFLICT"},
		{name: "nine", had: had(slices.Repeat([]State{Rejected}, maxInvoices-1)...)},
		{name: "ten", had: had(slices.Repeat([]State{Rejected}, maxInvoices)...), reason: "TOO_MANY_INVOICES"},
		{name: "ten, the last of which is asked for",
			had: had(append(slices.Repeat([]State{Rejected}, maxInvoices-1), Requested)...)},
	} {
		o := paid
		o.Lines = slices.Clone(paid.Lines)
		if tt.order != nil {
			tt.order(&o)
		}
		err := allowed(&o, tt.had, paidAt.Add(tt.later))
		if got := rpcerr.Reason(err); got != tt.reason || (err != nil) != (tt.reason != "") {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.reason)
		}
	}
}

func TestExceeds(t *testing.T) {
	amount := int64(200)
	for _, tt := range []struct {
		state State
		left  int64
		want  bool
	}{
		{Issued, 199, true}, {Issued, 200, false}, {Issued, 0, true}, {Voided, 0, false}, {Requested, 0, false},
	} {
		i := &Invoice{ID: uuid.New(), State: tt.state, Amount: &amount, Currency: "CNY"}
		got := i.proto(tt.left)
		if got.GetExceeds() != tt.want || got.GetLeft().GetAmount() != tt.left {
			t.Errorf("%s with %d left: exceeds is %t, left %v", tt.state, tt.left, got.GetExceeds(), got.GetLeft())
		}
	}
	if (&Invoice{State: Issued}).exceeds(0) {
		t.Error("nothing exceeds")
	}
}

func TestWish(t *testing.T) {
	got := newWish(&quotev1.Invoice{
		Kind: quotev1.InvoiceKind_INVOICE_KIND_COMPANY, Title: "Tea Ltd", TaxId: "9133X", Email: "books@example.org",
	})
	want := Wish{Kind: "COMPANY", Title: "Tea Ltd", TaxID: "9133X", Email: "books@example.org"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

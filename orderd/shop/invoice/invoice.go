// Package invoice keeps what buyers want on invoices, and what was made out to them. The legal document is a tax
// system's.
//
// What holds:
//   - An order has one invoice that is asked for or issued at most: its row is locked while invoices of it are made or
//     changed, always before theirs, and an index refuses a second one.
//   - When an invoice is issued, no more is on it than was paid and not promised back. What is promised back later
//     leaves it as it is, and shows that it exceeds.
//   - It is issued with what was asked for in the version that whoever issues it has read.
package invoice

import (
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"google.golang.org/protobuf/types/known/timestamppb"

	invoicev1 "github.com/orderd-dev/orderd/api/gen/orderd/invoice/v1"
	moneyv1 "github.com/orderd-dev/orderd/api/gen/orderd/money/v1"
	orderv1 "github.com/orderd-dev/orderd/api/gen/orderd/order/v1"
	quotev1 "github.com/orderd-dev/orderd/api/gen/orderd/quote/v1"
	"github.com/orderd-dev/orderd/orderd/kit/pb"
	"github.com/orderd-dev/orderd/orderd/shop/order"
)

const (
	// Window is how long after its payment an order's invoice can be asked for.
	Window = 180 * 24 * time.Hour
	// maxInvoices an order may have had.
	maxInvoices = 10
	// maxVersion is the one from which on what was asked for stays as it is: each change is an event of the order.
	maxVersion = 20

	// reasonNothingLeft is what the buyer reads if all was refunded before the invoice was issued.
	reasonNothingLeft = "NOTHING_LEFT"
	kindPrefix        = "INVOICE_KIND_"
)

// Invoice is an invoice as it is stored.
type Invoice struct {
	ID, OrderID uuid.UUID
	BuyerID     string
	State       State
	// Version counts the changes.
	Version int64
	Wish
	Currency string
	// Number, IssuedAt, Amount (in the currency's minor unit) and File are the document's.
	Number   string
	IssuedAt *time.Time
	Amount   *int64
	File     string
	// Reason is why it was rejected or voided.
	Reason, VoidingNumber string
	// Exceeds is what it is found by if it is issued for more than is left.
	Exceeds              bool
	CreatedAt, UpdatedAt time.Time

	// stored is the version that was read.
	stored int64
}

// Wish is what the buyer wants on an invoice.
type Wish struct {
	// Kind as the API names it, without INVOICE_KIND_.
	Kind, Title, TaxID, Email string
}

func newWish(i *quotev1.Invoice) Wish {
	return Wish{
		Kind: strings.TrimPrefix(i.GetKind().String(), kindPrefix), Title: i.GetTitle(), TaxID: i.GetTaxId(),
		Email: i.GetEmail(),
	}
}

// exceeds tells whether it is issued, for more than is left.
func (i *Invoice) exceeds(left int64) bool {
	return i.State == Issued && i.Amount != nil && *i.Amount > left
}

// proto is the invoice as callers have it; left is what can be on an invoice of its order.
func (i *Invoice) proto(left int64) *invoicev1.Invoice {
	out := &invoicev1.Invoice{
		InvoiceId: i.ID.String(),
		OrderId:   i.OrderID.String(),
		BuyerId:   i.BuyerID,
		State:     i.State.proto(),
		Request: &quotev1.Invoice{
			Kind:  quotev1.InvoiceKind(quotev1.InvoiceKind_value[kindPrefix+i.Kind]),
			Title: i.Title,
			TaxId: i.TaxID,
			Email: i.Email,
		},
		Version:       i.Version,
		Number:        i.Number,
		IssuedAt:      pb.Time(i.IssuedAt),
		File:          i.File,
		Reason:        i.Reason,
		VoidingNumber: i.VoidingNumber,
		Left:          &moneyv1.Money{Amount: left, Currency: i.Currency},
		Exceeds:       i.exceeds(left),
		CreatedAt:     timestamppb.New(i.CreatedAt),
		UpdatedAt:     timestamppb.New(i.UpdatedAt),
	}
	if i.Amount != nil {
		out.Amount = &moneyv1.Money{Amount: *i.Amount, Currency: i.Currency}
	}
	return out
}

// leftOf is what can be on an invoice of the order: what was paid less what was promised back.
func leftOf(o *order.Order) int64 {
	if o.PaidAt == nil {
		return 0
	}
	left := o.Total
	for _, l := range o.Lines {
		left -= l.RefundGranted
	}
	return left
}

// leftOfProto is leftOf an order as others have it.
func leftOfProto(o *orderv1.Order) int64 {
	if o.GetPaidAt() == nil {
		return 0
	}
	left := o.GetTotal().GetAmount()
	for _, l := range o.GetLines() {
		left -= l.GetRefundGranted().GetAmount()
	}
	return left
}

// invoiced tells whether orders in the state may get an invoice.
func invoiced(s order.State) bool {
	return slices.Contains([]order.State{order.Paid, order.Shipped, order.Delivered, order.Completed}, s)
}

// openOf is the one of an order's invoices that is asked for or issued; nil if none is.
func openOf(invoices []*Invoice) *Invoice {
	for _, i := range invoices {
		if i.State.open() {
			return i
		}
	}
	return nil
}

// change is one invoice's step in its life cycle.
type change struct {
	event         Event
	from, to      State
	version       int64
	actor, reason string
	at            time.Time
}

// step takes an invoice through an event, in memory.
func step(i *Invoice, event Event, at time.Time, actor, reason string) (change, error) {
	to, err := transitions.Next(i.State, event)
	if err != nil {
		return change{}, err
	}
	c := change{event: event, from: i.State, to: to, version: i.Version + 1, actor: actor, reason: reason, at: at}
	i.State = to
	i.Version++
	i.UpdatedAt = at
	return c, nil
}

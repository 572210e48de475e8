// Package returns takes goods and money back: a buyer asks for units of an order, staff decide, the
// parcel comes back and is inspected, and the refund is granted. The units of open returns are
// spoken for: they are counted with the order's row locked, so that no unit goes back twice. What a
// refund may be is the order's to say.
package returns

import (
	"time"

	"github.com/google/uuid"
	"google.golang.org/protobuf/types/known/timestamppb"

	moneyv1 "github.com/orderd-dev/orderd/api/gen/orderd/money/v1"
	returnsv1 "github.com/orderd-dev/orderd/api/gen/orderd/returns/v1"
	"github.com/orderd-dev/orderd/orderd/shop/order"
)

// Kind of a return.
type Kind string

// The kinds, as they are stored. RETURN_KIND_ before one makes its name in the API.
const (
	RefundOnlyKind Kind = "REFUND_ONLY"
	WithParcelKind Kind = "WITH_PARCEL"
)

// Return is a return as it is stored.
type Return struct {
	ID, OrderID uuid.UUID
	BuyerID     string
	Kind        Kind
	// Unshipped says that the units had not left when the return was requested.
	Unshipped bool
	State     State
	// Version counts the changes.
	Version int64
	// Reason as the API names it, without RETURN_REASON_.
	Reason, Description     string
	Pictures                []string
	Rejection               string
	Carrier, TrackingNumber string
	Currency                string
	// Refund is what was granted, in the currency's minor unit.
	Refund               *int64
	CreatedAt, UpdatedAt time.Time
	Lines                []Line

	// stored is the version that was read.
	stored int64
}

// Line is one order line's part of a return.
type Line struct {
	// Line is the order line's number, from 1.
	Line       int64
	SKU, Title string
	Quantity   int64
	// Restock of these go back in stock.
	Restock int64
	// Refund is the line's part of the return's.
	Refund int64
}

// returnable is how many units of an order's line, left or not, can still be asked back.
func returnable(l order.Line, unshipped bool, open int64) int64 {
	if unshipped {
		return l.Quantity - l.Shipped - l.Withdrawn - open
	}
	return l.Shipped - (l.Returned - l.Withdrawn) - open
}

func (r *Return) quantities() []order.LineQuantity {
	out := make([]order.LineQuantity, len(r.Lines))
	for i, l := range r.Lines {
		out[i] = order.LineQuantity{Line: l.Line, Quantity: l.Quantity}
	}
	return out
}

// restocked are the units that go back in stock.
func (r *Return) restocked() []order.LineQuantity {
	var out []order.LineQuantity
	for _, l := range r.Lines {
		if l.Restock > 0 {
			out = append(out, order.LineQuantity{Line: l.Line, Quantity: l.Restock})
		}
	}
	return out
}

// key of the return's refund in its order.
func (r *Return) key() string { return "return:" + r.ID.String() }

// proto is the return as callers have it.
func (r *Return) proto() *returnsv1.Return {
	out := &returnsv1.Return{
		ReturnId:       r.ID.String(),
		OrderId:        r.OrderID.String(),
		BuyerId:        r.BuyerID,
		Unshipped:      r.Unshipped,
		State:          r.State.proto(),
		Kind:           returnsv1.ReturnKind(returnsv1.ReturnKind_value["RETURN_KIND_"+string(r.Kind)]),
		Reason:         returnsv1.ReturnReason(returnsv1.ReturnReason_value[reasonPrefix+r.Reason]),
		Description:    r.Description,
		Pictures:       r.Pictures,
		Rejection:      r.Rejection,
		Carrier:        r.Carrier,
		TrackingNumber: r.TrackingNumber,
		CreatedAt:      timestamppb.New(r.CreatedAt),
		UpdatedAt:      timestamppb.New(r.UpdatedAt),
	}
	if r.Refund != nil {
		out.Refund = &moneyv1.Money{Amount: *r.Refund, Currency: r.Currency}
	}
	for _, l := range r.Lines {
		line := &returnsv1.ReturnLine{Line: l.Line, Sku: l.SKU, Title: l.Title, Quantity: l.Quantity, Restock: l.Restock}
		if r.Refund != nil {
			line.Refund = &moneyv1.Money{Amount: l.Refund, Currency: r.Currency}
		}
		out.Lines = append(out.Lines, line)
	}
	return out
}

const reasonPrefix = "RETURN_REASON_"

// change is one return's step in its life cycle.
type change struct {
	event         Event
	from, to      State
	version       int64
	actor, reason string
	at            time.Time
}

// step takes a return through an event, in memory.
func step(r *Return, event Event, at time.Time, actor, reason string) (change, error) {
	to, err := transitions.Next(r.State, event)
	if err != nil {
		return change{}, err
	}
	c := change{event: event, from: r.State, to: to, version: r.Version + 1, actor: actor, reason: reason, at: at}
	r.State = to
	r.Version++
	r.UpdatedAt = at
	return c, nil
}

// Package order owns the orders of both lanes: their life cycle, and with it their stock, their
// history and their events.
package order

import (
	"math"
	"time"

	"github.com/google/uuid"
	"google.golang.org/protobuf/types/known/timestamppb"

	moneyv1 "github.com/orderd-dev/orderd/api/gen/orderd/money/v1"
	orderv1 "github.com/orderd-dev/orderd/api/gen/orderd/order/v1"
	"github.com/orderd-dev/orderd/orderd/stock"
)

// Order is an order as it is stored. Amounts are in the currency's minor unit.
type Order struct {
	ID      uuid.UUID
	BuyerID string
	State   State
	// Version counts the changes of the state.
	Version  int64
	Currency string
	Total    int64
	// PromotionUID and Promotion (its name) are empty in the standard lane.
	PromotionUID, Promotion string
	CreatedAt, ExpiresAt    time.Time
	PaidAt, CancelledAt     *time.Time
	CancelReason            string
	Lines                   []Line
}

// Line is one SKU in an order.
type Line struct {
	SKU, Title          string
	Quantity, UnitPrice int64
}

func (l Line) quantity() stock.Quantity { return stock.Quantity{SKU: l.SKU, Quantity: l.Quantity} }

// flash tells whether the order's stock came from a promotion's shards.
func (o *Order) flash() bool { return o.PromotionUID != "" }

// proto is the order as callers and events have it.
func (o *Order) proto() *orderv1.Order {
	out := &orderv1.Order{
		OrderId: o.ID.String(), BuyerId: o.BuyerID, State: o.State.proto(), Total: o.money(o.Total),
		CreatedAt: timestamppb.New(o.CreatedAt), ExpiresAt: timestamppb.New(o.ExpiresAt),
		CancelReason: o.CancelReason, Promotion: o.Promotion,
	}
	if o.PaidAt != nil {
		out.PaidAt = timestamppb.New(*o.PaidAt)
	}
	if o.CancelledAt != nil {
		out.CancelledAt = timestamppb.New(*o.CancelledAt)
	}
	for _, l := range o.Lines {
		out.Lines = append(out.Lines, &orderv1.OrderLine{
			Sku: l.SKU, Title: l.Title, Quantity: l.Quantity, UnitPrice: o.money(l.UnitPrice), Amount: o.money(l.UnitPrice * l.Quantity),
		})
	}
	return out
}

func (o *Order) money(amount int64) *moneyv1.Money {
	return &moneyv1.Money{Amount: amount, Currency: o.Currency}
}

// proto is the state's name in the API.
func (s State) proto() orderv1.OrderState {
	return orderv1.OrderState(orderv1.OrderState_value["ORDER_STATE_"+string(s)])
}

// total is the sum of the lines, and whether it fits.
func total(lines []Line) (int64, bool) {
	var sum int64
	for _, l := range lines {
		if l.UnitPrice < 0 || l.Quantity < 1 || l.UnitPrice > math.MaxInt64/l.Quantity || l.UnitPrice*l.Quantity > math.MaxInt64-sum {
			return 0, false
		}
		sum += l.UnitPrice * l.Quantity
	}
	return sum, true
}

// stamp is a time as precise as the API and the database both keep it.
func stamp(t time.Time) time.Time { return t.UTC().Truncate(time.Millisecond) }

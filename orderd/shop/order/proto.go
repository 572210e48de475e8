package order

import (
	"google.golang.org/protobuf/types/known/timestamppb"

	moneyv1 "github.com/orderd-dev/orderd/api/gen/orderd/money/v1"
	orderv1 "github.com/orderd-dev/orderd/api/gen/orderd/order/v1"
	"github.com/orderd-dev/orderd/orderd/kit/orderid"
	"github.com/orderd-dev/orderd/orderd/kit/pb"
)

// full is the order as events and staff have it: with the staff's tags.
func (o *Order) full() *orderv1.Order {
	out := o.proto()
	out.Tags = o.Tags
	return out
}

// proto is the order as its buyer has it.
func (o *Order) proto() *orderv1.Order {
	out := &orderv1.Order{
		OrderId:          o.ID.String(),
		BuyerId:          o.BuyerID,
		State:            o.State.proto(),
		Version:          o.Version,
		Total:            o.money(o.Total),
		Goods:            o.money(o.Total + o.Discount - o.Freight),
		Discount:         o.money(o.Discount),
		Freight:          o.money(o.Freight),
		Tax:              o.money(o.Tax),
		CreatedAt:        timestamppb.New(o.CreatedAt),
		ExpiresAt:        timestamppb.New(o.ExpiresAt),
		PaidAt:           pb.Time(o.PaidAt),
		CancelledAt:      pb.Time(o.CancelledAt),
		ShippedAt:        pb.Time(o.ShippedAt),
		DeliveredAt:      pb.Time(o.DeliveredAt),
		CompletedAt:      pb.Time(o.CompletedAt),
		CancelReason:     o.CancelReason,
		Promotion:        o.Promotion,
		Address:          o.Address,
		DeliveryMethod:   o.DeliveryMethod,
		Invoice:          o.Invoice,
		FulfilmentStatus: o.fulfilment(),
		RefundStatus:     o.refundStatus(),
		Number:           orderid.Number(o.ID),
		Channel:          o.Channel,
		Attributes:       o.Attributes,
		BuyerMessage:     o.BuyerMessage,
		GiftNote:         o.GiftNote,
	}
	if o.PaymentID != nil {
		out.PaymentId = o.PaymentID.String()
	}
	for _, id := range o.CouponIDs {
		out.CouponIds = append(out.CouponIds, id.String())
	}
	for i, l := range o.Lines {
		out.Lines = append(out.Lines, &orderv1.OrderLine{
			Line:              int64(i + 1),
			Sku:               l.SKU,
			Title:             l.Title,
			Quantity:          l.Quantity,
			UnitPrice:         o.money(l.UnitPrice),
			Amount:            o.money(l.amount()),
			Discount:          o.money(l.Discount),
			Freight:           o.money(l.Freight),
			Total:             o.money(l.total()),
			Tax:               o.money(l.Tax),
			ShippedQuantity:   l.Shipped,
			DeliveredQuantity: l.Delivered,
			ReturnedQuantity:  l.Returned,
			RefundGranted:     o.money(l.RefundGranted),
			Refunded:          o.money(l.Refunded),
		})
	}
	return out
}

// summary is what a list shows of the order.
func (o *Order) summary() *orderv1.OrderSummary {
	out := &orderv1.OrderSummary{
		OrderId:          o.ID.String(),
		Number:           orderid.Number(o.ID),
		State:            o.State.proto(),
		FulfilmentStatus: o.fulfilment(),
		RefundStatus:     o.refundStatus(),
		Total:            o.money(o.Total),
		CreatedAt:        timestamppb.New(o.CreatedAt),
		ExpiresAt:        timestamppb.New(o.ExpiresAt),
		CancelReason:     o.CancelReason,
		Promotion:        o.Promotion,
		LineCount:        int64(len(o.Lines)),
		UnitCount:        o.sum(func(l Line) int64 { return l.Quantity }),
		Version:          o.Version,
	}
	if len(o.Lines) > 0 {
		out.Sku, out.Title = o.Lines[0].SKU, o.Lines[0].Title
	}
	return out
}

func (o *Order) money(amount int64) *moneyv1.Money {
	return &moneyv1.Money{Amount: amount, Currency: o.Currency}
}

// fulfilment is how far the goods are that were not withdrawn.
func (o *Order) fulfilment() orderv1.FulfilmentStatus {
	shipped, delivered := o.sum(func(l Line) int64 { return l.Shipped }), o.sum(func(l Line) int64 { return l.Delivered })
	switch {
	case shipped == 0:
		return orderv1.FulfilmentStatus_FULFILMENT_STATUS_UNFULFILLED
	case o.fulfilled():
		return orderv1.FulfilmentStatus_FULFILMENT_STATUS_DELIVERED
	case delivered > 0:
		return orderv1.FulfilmentStatus_FULFILMENT_STATUS_PARTIALLY_DELIVERED
	case o.left():
		return orderv1.FulfilmentStatus_FULFILMENT_STATUS_SHIPPED
	}
	return orderv1.FulfilmentStatus_FULFILMENT_STATUS_PARTIALLY_SHIPPED
}

// refundStatus is how much of what was paid went back.
func (o *Order) refundStatus() orderv1.RefundStatus {
	granted, refunded := o.sum(func(l Line) int64 { return l.RefundGranted }), o.sum(
		func(l Line) int64 { return l.Refunded },
	)
	switch {
	case granted == 0:
		return orderv1.RefundStatus_REFUND_STATUS_NONE
	case refunded < granted:
		return orderv1.RefundStatus_REFUND_STATUS_PENDING
	case refunded < o.Total:
		return orderv1.RefundStatus_REFUND_STATUS_PARTIALLY_REFUNDED
	}
	return orderv1.RefundStatus_REFUND_STATUS_REFUNDED
}

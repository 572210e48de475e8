// Package shipment delivers orders: it sets units of an order aside for a parcel, hands the parcel
// to a carrier, and follows it by what the carrier pushes and by asking. No unit is in two parcels.
// No transaction is open while a carrier is called.
package shipment

import (
	"time"

	"github.com/google/uuid"
	"google.golang.org/protobuf/types/known/timestamppb"

	addressv1 "github.com/orderd-dev/orderd/api/gen/orderd/address/v1"
	shipmentv1 "github.com/orderd-dev/orderd/api/gen/orderd/shipment/v1"
	"github.com/orderd-dev/orderd/orderd/kit/pb"
	"github.com/orderd-dev/orderd/orderd/shop/order"
	"github.com/orderd-dev/orderd/orderd/shop/shipment/carrier"
)

// Shipment is a shipment as it is stored.
type Shipment struct {
	ID, OrderID uuid.UUID
	BuyerID     string
	// Source is what asked for it: unique within the order.
	Source         string
	Carrier        string
	TrackingNumber string
	State          State
	// Version counts the changes of the state.
	Version        int64
	Exception      string
	Address        *addressv1.Address
	DeliveryMethod string
	// Work is what is done next in the background, from DueAt on; Attempts have failed.
	Work     Work
	DueAt    time.Time
	Attempts int64
	// Events is how many are stored.
	Events                            int64
	CreatedAt                         time.Time
	ShippedAt, DeliveredAt, FetchedAt *time.Time
	Lines                             []Line

	// stored is the version that was read.
	stored int64
}

// Line is one order line's part of a parcel.
type Line struct {
	// Line is the order line's number, from 1.
	Line       int64
	SKU, Title string
	Quantity   int64
}

// Work is what has to be done for a shipment in the background.
type Work string

// The kinds of work, as they are stored.
const (
	NoWork Work = ""
	// RequestWork hands the parcel to the carrier.
	RequestWork Work = "REQUEST"
	// CancelWork makes sure that the carrier does not collect it.
	CancelWork Work = "CANCEL"
	// TrackWork asks the carrier where it is.
	TrackWork Work = "TRACK"
)

// Why a shipment is an EXCEPTION, beside the carrier's LOST, DAMAGED and RETURNED.
const (
	exceptionRefused     = "CARRIER_REFUSED"
	exceptionUnavailable = "CARRIER_UNAVAILABLE"
	exceptionOrder       = "ORDER_CANCELLED"
	exceptionStaff       = "CANCELLED"
	// exceptionRefunded: units of it were refunded before it left; what it had
	// besides is in another one.
	exceptionRefunded = "REFUNDED"
)

func (s *Shipment) quantities() []order.LineQuantity {
	out := make([]order.LineQuantity, len(s.Lines))
	for i, l := range s.Lines {
		out[i] = order.LineQuantity{Line: l.Line, Quantity: l.Quantity}
	}
	return out
}

func (s *Shipment) parcel() carrier.Parcel {
	p := carrier.Parcel{ShipmentID: s.ID, OrderID: s.OrderID, Address: s.Address, DeliveryMethod: s.DeliveryMethod}
	for _, l := range s.Lines {
		p.Items = append(p.Items, carrier.Item{SKU: l.SKU, Title: l.Title, Quantity: l.Quantity})
	}
	return p
}

// proto is the shipment as callers have it.
func (s *Shipment) proto() *shipmentv1.Shipment {
	out := &shipmentv1.Shipment{
		ShipmentId:     s.ID.String(),
		OrderId:        s.OrderID.String(),
		BuyerId:        s.BuyerID,
		State:          s.State.proto(),
		Carrier:        s.Carrier,
		TrackingNumber: s.TrackingNumber,
		Address:        s.Address,
		DeliveryMethod: s.DeliveryMethod,
		Exception:      s.Exception,
		CreatedAt:      timestamppb.New(s.CreatedAt),
		ShippedAt:      pb.Time(s.ShippedAt),
		DeliveredAt:    pb.Time(s.DeliveredAt),
	}
	for _, l := range s.Lines {
		out.Lines = append(out.Lines,
			&shipmentv1.ShipmentLine{Line: l.Line, Sku: l.SKU, Title: l.Title, Quantity: l.Quantity})
	}
	return out
}

func eventsProto(events []carrier.Event) []*shipmentv1.ShipmentEvent {
	out := make([]*shipmentv1.ShipmentEvent, len(events))
	for i, e := range events {
		out[i] = &shipmentv1.ShipmentEvent{
			Code:        shipmentv1.ShipmentEventCode(shipmentv1.ShipmentEventCode_value["SHIPMENT_EVENT_CODE_"+string(e.Code)]),
			Description: e.Description, Location: e.Location, At: timestamppb.New(e.At),
		}
	}
	return out
}

// change is one shipment's step in its life cycle.
type change struct {
	shipment      *Shipment
	event         Event
	from, to      State
	version       int64
	actor, reason string
	at            time.Time
}

// step takes a shipment through an event, in memory.
func step(s *Shipment, event Event, at time.Time, actor, reason string) (change, error) {
	to, err := transitions.Next(s.State, event)
	if err != nil {
		return change{}, err
	}
	c := change{
		shipment: s,
		event:    event,
		from:     s.State,
		to:       to,
		version:  s.Version + 1,
		actor:    actor,
		reason:   reason,
		at:       at,
	}
	s.State = to
	s.Version++
	return c, nil
}

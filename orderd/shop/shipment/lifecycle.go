package shipment

import (
	shipmentv1 "github.com/orderd-dev/orderd/api/gen/orderd/shipment/v1"
	"github.com/orderd-dev/orderd/orderd/kit/lifecycle"
)

// State of a shipment.
type State string

// The states, as they are stored. SHIPMENT_STATE_ before one makes its name in the API.
const (
	// Requested: the goods are set aside and have not left.
	Requested State = "REQUESTED"
	InTransit State = "IN_TRANSIT"
	Delivered State = "DELIVERED"
	// Exception: it will not arrive.
	Exception State = "EXCEPTION"
)

// Event changes a shipment.
type Event string

// The events.
const (
	// Request sets units of an order aside.
	Request Event = "request"
	// Accept is the carrier's word that it will collect the parcel, with the tracking number.
	Accept Event = "accept"
	// Ship is the first sign that the parcel has left.
	Ship Event = "ship"
	// Deliver is the parcel's arrival.
	Deliver Event = "deliver"
	// Fail is the end of a parcel that will not arrive, or not leave.
	Fail Event = "fail"
	// Find is the arrival of a parcel that had left and was given up.
	Find Event = "find"
)

// transitions are all there are: nothing else changes a shipment's state.
var transitions = lifecycle.Table[State, Event]{
	"":        {Request: Requested},
	Requested: {Accept: Requested, Ship: InTransit, Fail: Exception},
	InTransit: {Deliver: Delivered, Fail: Exception},
	Exception: {Find: Delivered},
}

// Transitions is the life cycle of a shipment, for documents.
func Transitions() lifecycle.Table[State, Event] { return transitions }

// proto is the state's name in the API.
func (s State) proto() shipmentv1.ShipmentState {
	return shipmentv1.ShipmentState(shipmentv1.ShipmentState_value["SHIPMENT_STATE_"+string(s)])
}

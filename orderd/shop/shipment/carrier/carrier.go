// Package carrier is how parcels are handed to carriers and followed. Carrier is what orderd needs of
// one; HTTP is the carrier that speaks the protocol below, for those that have or build a side of it.
//
// # The protocol
//
// Both sides speak JSON over HTTP, UTF-8, and sign what they send with one shared key of at least
// 16 bytes. orderd calls the carrier below the carrier's base URL:
//
//	PUT    /v1/shipments/{shipment_id}         take a parcel
//	GET    /v1/shipments/{shipment_id}/events  where is it
//	DELETE /v1/shipments/{shipment_id}         do not collect it
//
// and the carrier calls orderd below the shop's base URL:
//
//	POST   /carriers/{carrier}/events          something happened to a parcel
//
// {shipment_id} is a UUID in lower case, {carrier} the carrier's name in the shop's settings.
//
// PUT has the body
//
//	{"shipment_id": "…", "order_id": "…", "delivery_method": "standard",
//	 "address": {"recipient": "…", "phone": "…", "country": "CN", "region": "…", "city": "…", "district": "…",
//	             "street": "…", "postal_code": "…"},
//	 "items": [{"sku": "tea", "title": "Tea", "quantity": 2}]}
//
// and is answered 200 {"tracking_number": "…"} (1 to 64 printable ASCII characters, no
// spaces). It is sent again until it is answered, so the same shipment id has to have the same
// answer and no second parcel. 422 {"reason": "…"} refuses the parcel for good; after any
// other answer orderd tries again.
//
// GET is answered 200 {"events": [event, …]}, at most 200, in any order; 404 if the
// shipment is not known.
//
// DELETE is answered 204 if the parcel will not be collected, or was never known; 409 if it has
// been collected. It may be sent again. A PUT that arrives after it, because it was under way for
// longer, is to be refused with 422.
//
// POST has the body {"shipment_id": "…", "events": [event, …]}, 1 to 100 events, and is answered
// 204 once they are stored; 400 malformed, 401 not signed well, 404 no such shipment with this
// carrier, 413 too large: do not send it again; 503: send it again. Repetitions and any order are
// welcome: an event is known by its id.
//
// An event is
//
//	{"event_id": "…", "code": "IN_TRANSIT", "description": "left the depot", "location": "Hangzhou",
//	 "at": "2030-01-31T12:00:00Z"}
//
// event_id (1 to 64 printable ASCII characters, no spaces) is unique within its shipment,
// description has at most 500 bytes and location 200. Codes: ACCEPTED (known, not here yet),
// COLLECTED, IN_TRANSIT, OUT_FOR_DELIVERY, ATTEMPT_FAILED, DELIVERED, LOST, DAMAGED, RETURNED (to
// the sender). Another code is shown to the buyer and changes nothing. The first of COLLECTED,
// IN_TRANSIT, OUT_FOR_DELIVERY and ATTEMPT_FAILED tells that the parcel has left.
//
// # Signatures
//
// Every request has three headers:
//
//	Carrier-Timestamp: seconds since 1970, decimal; at most 5 minutes from the receiver's clock
//	Carrier-Nonce:     16 to 64 characters of A-Z a-z 0-9 _ -, another one for every request
//	Carrier-Signature: v1=<hex of HMAC-SHA256(key, text)>
//
// The text is five lines, each ended by one line feed (0x0A), the last one too: the method in upper
// case; the path as written above, without the base URL's and without a query; the timestamp and
// the nonce as in their headers; the SHA-256 of the body in lower-case hex, of no bytes if there is
// none. A receiver may refuse a nonce that it has seen within the 5 minutes. orderd need not: what
// it stores once by event id has no effect a second time. Answers are not signed: use TLS.
package carrier

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/google/uuid"

	addressv1 "github.com/orderd-dev/orderd/api/gen/orderd/address/v1"
)

// Limits of what carriers send.
const (
	// MaxTrackedEvents is how many events one answer to Track has at most.
	MaxTrackedEvents = 200
	// MaxPushedEvents is how many one push has.
	MaxPushedEvents = 100
	// MaxPushBytes is the largest push that should be read.
	MaxPushBytes = 128 << 10
)

// Carrier takes parcels. Its methods are safe for concurrent use, may be repeated with the same
// shipment id, and return in bounded time. Their errors: *RefusedError, ErrCollected and
// ErrUnknownShipment are the carrier's answers; anything else is that it gave none,
// ErrUnavailable among them.
type Carrier interface {
	// Name in the API and in the settings.
	Name() string
	// Request hands a parcel over and returns its tracking number; the same for the same shipment id.
	Request(ctx context.Context, p Parcel) (trackingNumber string, err error)
	// Track returns all that the carrier knows of a parcel, in any order, or ErrUnknownShipment.
	Track(ctx context.Context, shipmentID uuid.UUID) ([]Event, error)
	// Cancel makes sure that a parcel is not collected, whether or not the carrier ever took it, or
	// returns ErrCollected.
	Cancel(ctx context.Context, shipmentID uuid.UUID) error
	// ParsePush verifies and reads what came to POST /carriers/{name}/events. An
	// error is a *PushError.
	ParsePush(header http.Header, body []byte, now time.Time) (Push, error)
}

// Parcel is what a carrier is to take.
type Parcel struct {
	ShipmentID, OrderID uuid.UUID
	Address             *addressv1.Address
	DeliveryMethod      string
	Items               []Item
}

// Item is one kind of goods in a parcel.
type Item struct {
	SKU      string `json:"sku"`
	Title    string `json:"title"`
	Quantity int64  `json:"quantity"`
}

// Code says what happened to a parcel.
type Code string

// The codes that mean something to orderd; Information stands for all others.
const (
	Accepted       Code = "ACCEPTED"
	Collected      Code = "COLLECTED"
	InTransit      Code = "IN_TRANSIT"
	OutForDelivery Code = "OUT_FOR_DELIVERY"
	AttemptFailed  Code = "ATTEMPT_FAILED"
	Delivered      Code = "DELIVERED"
	Lost           Code = "LOST"
	Damaged        Code = "DAMAGED"
	Returned       Code = "RETURNED"
	Information    Code = "INFORMATION"
)

// Left tells whether a parcel with such an event is on its way.
func (c Code) Left() bool {
	return c == Collected || c == InTransit || c == OutForDelivery || c == AttemptFailed
}

// Failed tells whether a parcel with such an event will not arrive.
func (c Code) Failed() bool { return c == Lost || c == Damaged || c == Returned }

// Event is one thing that happened to a parcel.
type Event struct {
	// ID is unique within the shipment.
	ID          string
	Code        Code
	Description string
	Location    string
	// At is when, by the carrier's clock.
	At time.Time
}

// Push is what a carrier told by itself, once verified.
type Push struct {
	ShipmentID uuid.UUID
	Events     []Event
}

// RefusedError says that the carrier will never take the parcel.
type RefusedError struct{ Reason string }

// Error has the carrier's reason.
func (r *RefusedError) Error() string { return "the carrier refuses: " + r.Reason }

// PushError says why a push is not believed: SIGNATURE_MISSING, SIGNATURE_WRONG or TOO_OLD, or, if
// it was well signed, MALFORMED.
type PushError struct{ Reason string }

// Error is the reason.
func (e *PushError) Error() string { return "push refused: " + e.Reason }

// Signed tells whether the carrier itself sent it.
func (e *PushError) Signed() bool { return e.Reason == reasonMalformed }

const (
	reasonMissing   = "SIGNATURE_MISSING"
	reasonWrong     = "SIGNATURE_WRONG"
	reasonTooOld    = "TOO_OLD"
	reasonMalformed = "MALFORMED"
)

var (
	// ErrUnavailable says that the carrier has failed so often that it is not asked for now.
	ErrUnavailable = errors.New("the carrier is not asked: it has not answered for some time")
	// ErrCollected says that a parcel cannot be stopped any more.
	ErrCollected = errors.New("the parcel has been collected")
	// ErrUnknownShipment says that the carrier does not know the shipment.
	ErrUnknownShipment = errors.New("the carrier does not know the shipment")
)

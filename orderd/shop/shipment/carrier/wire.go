package carrier

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"

	addressv1 "github.com/orderd-dev/orderd/api/gen/orderd/address/v1"
)

const (
	maxIDBytes          = 64
	maxDescriptionBytes = 500
	maxLocationBytes    = 200
	maxReasonBytes      = 200
)

type wireParcel struct {
	ShipmentID     uuid.UUID   `json:"shipment_id"`
	OrderID        uuid.UUID   `json:"order_id"`
	DeliveryMethod string      `json:"delivery_method"`
	Address        wireAddress `json:"address"`
	Items          []Item      `json:"items"`
}

type wireAddress struct {
	Recipient  string `json:"recipient"`
	Phone      string `json:"phone"`
	Country    string `json:"country"`
	Region     string `json:"region"`
	City       string `json:"city"`
	District   string `json:"district"`
	Street     string `json:"street"`
	PostalCode string `json:"postal_code"`
}

type wireAccepted struct {
	TrackingNumber string `json:"tracking_number"`
}

type wireRefused struct {
	Reason string `json:"reason"`
}

type wireEvent struct {
	EventID     string    `json:"event_id"`
	Code        string    `json:"code"`
	Description string    `json:"description"`
	Location    string    `json:"location"`
	At          time.Time `json:"at"`
}

type wireEvents struct {
	// ShipmentID is in a push only.
	ShipmentID uuid.UUID   `json:"shipment_id"`
	Events     []wireEvent `json:"events"`
}

func encodeParcel(p Parcel) ([]byte, error) {
	raw, err := json.Marshal(wireParcel{
		ShipmentID:     p.ShipmentID,
		OrderID:        p.OrderID,
		DeliveryMethod: p.DeliveryMethod,
		Address:        encodeAddress(p.Address),
		Items:          p.Items,
	})
	if err != nil {
		return nil, fmt.Errorf("writing the parcel: %w", err)
	}
	return raw, nil
}

func encodeAddress(a *addressv1.Address) wireAddress {
	return wireAddress{
		Recipient: a.GetRecipient(), Phone: a.GetPhone(), Country: a.GetCountry(), Region: a.GetRegion(), City: a.GetCity(),
		District: a.GetDistrict(), Street: a.GetStreet(), PostalCode: a.GetPostalCode(),
	}
}

func decodeAccepted(raw []byte) (string, error) {
	var a wireAccepted
	if err := json.Unmarshal(raw, &a); err != nil {
		return "", fmt.Errorf("reading the tracking number: %w", err)
	}
	if !ValidID(a.TrackingNumber) {
		return "", errors.New("the tracking number is not 1 to 64 printable ASCII characters")
	}
	return a.TrackingNumber, nil
}

// decodeRefused always has a reason, as it may be shown.
func decodeRefused(raw []byte) *RefusedError {
	var r wireRefused
	if err := json.Unmarshal(raw, &r); err != nil || r.Reason == "" || !validText(r.Reason, maxReasonBytes) {
		return &RefusedError{Reason: "it gave no reason"}
	}
	return &RefusedError{Reason: r.Reason}
}

func decodeEvents(raw []byte, limit int) (wireEvents, []Event, error) {
	var w wireEvents
	if err := json.Unmarshal(raw, &w); err != nil {
		return w, nil, fmt.Errorf("reading events: %w", err)
	}
	if len(w.Events) > limit {
		return w, nil, fmt.Errorf("%d events, want at most %d", len(w.Events), limit)
	}
	events := make([]Event, len(w.Events))
	for i, e := range w.Events {
		switch {
		case !ValidID(e.EventID):
			return w, nil, fmt.Errorf("events[%d].event_id is not 1 to 64 printable ASCII characters", i)
		case !validText(e.Description, maxDescriptionBytes):
			return w, nil, fmt.Errorf("events[%d].description is too long or no text", i)
		case !validText(e.Location, maxLocationBytes):
			return w, nil, fmt.Errorf("events[%d].location is too long or no text", i)
		case e.At.Year() < 2000 || e.At.Year() > 9999:
			return w, nil, fmt.Errorf("events[%d].at is not a time", i)
		}
		events[i] = Event{
			ID:          e.EventID,
			Code:        knownCode(e.Code),
			Description: e.Description,
			Location:    e.Location,
			At:          e.At.UTC().Truncate(time.Millisecond),
		}
	}
	return w, events, nil
}

func knownCode(text string) Code {
	switch c := Code(text); c {
	case Accepted, Collected, InTransit, OutForDelivery, AttemptFailed, Delivered, Lost, Damaged, Returned:
		return c
	}
	return Information
}

// ValidID tells whether a text can be a tracking number or an event's id: 1 to 64 printable ASCII
// characters without spaces.
func ValidID(id string) bool {
	if id == "" || len(id) > maxIDBytes {
		return false
	}
	for _, c := range []byte(id) {
		if c <= ' ' || c > '~' {
			return false
		}
	}
	return true
}

// validText tells whether the database can keep a text.
func validText(text string, limit int) bool {
	return len(text) <= limit && utf8.ValidString(text) && !strings.ContainsRune(text, 0)
}

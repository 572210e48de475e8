package quote

import (
	"fmt"

	"github.com/google/uuid"

	quotev1 "github.com/orderd-dev/orderd/api/gen/orderd/quote/v1"
)

// NewDelivery reads a validated Delivery; nil stays nil.
func NewDelivery(in *quotev1.Delivery) (*Delivery, error) {
	if in == nil {
		return nil, nil
	}
	out := &Delivery{Address: in.GetAddress(), Method: in.GetMethod()}
	if in.GetAddressId() == "" {
		return out, nil
	}
	id, err := uuid.Parse(in.GetAddressId())
	if err != nil {
		return nil, fmt.Errorf("delivery.address_id: %w", err)
	}
	out.AddressID = id
	return out, nil
}

// NewCouponIDs reads validated coupon ids.
func NewCouponIDs(in []string) ([]uuid.UUID, error) {
	if len(in) == 0 {
		return nil, nil
	}
	out := make([]uuid.UUID, len(in))
	for i, text := range in {
		id, err := uuid.Parse(text)
		if err != nil {
			return nil, fmt.Errorf("coupon_ids[%d]: %w", i, err)
		}
		out[i] = id
	}
	return out, nil
}

func newLines(in []*quotev1.SelectedLine) []Line {
	out := make([]Line, len(in))
	for i, l := range in {
		out[i] = Line{SKU: l.GetSku(), Quantity: l.GetQuantity()}
	}
	return out
}

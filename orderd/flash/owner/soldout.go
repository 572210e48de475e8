package owner

import (
	"time"

	"github.com/orderd-dev/orderd/orderd/flash/partition"
	"github.com/orderd-dev/orderd/orderd/flash/promotion"
	"github.com/orderd-dev/orderd/orderd/flash/refusal"
)

// soldOut is what the proof of a search is remembered as: at a moment, no more than left units of
// the item could be had.
type soldOut struct {
	left int64
	at   time.Time
}

// knownSoldOut is the refusal of a request for more of an item than a proof left, of lately or of
// after the request came; nil if there is none.
func (o *Owner) knownSoldOut(
	promo *promotion.Promotion, r request, missing []partition.Quantity, now time.Time,
) error {
	for _, m := range missing {
		left, ok := o.leftOf(m.SKU, r.call.came, now)
		if !ok {
			continue
		}
		for _, item := range r.message.GetItems() {
			if item.GetSku() != m.SKU || item.GetQuantity() <= left {
				continue
			}
			if i, ok := promo.Index(m.SKU); ok && left == 0 {
				return promo.SoldOut(i)
			}
			return refusal.SoldOut(m.SKU, left)
		}
	}
	return nil
}

// leftOf is how much of an item could be had at most, by the owner's own proof or that of any
// owner.
func (o *Owner) leftOf(sku string, came, now time.Time) (left int64, ok bool) {
	if known, found := o.soldOut[sku]; found && (!came.After(known.at) || now.Sub(known.at) < soldOutTTL) {
		return known.left, true
	}
	return o.soldOutAnywhere(sku)
}

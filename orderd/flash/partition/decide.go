package partition

import (
	"github.com/google/uuid"
)

// RequestItem is what a buyer wants of one SKU.
type RequestItem struct {
	SKU string
	// Quantity in units, at least 1.
	Quantity int64
	// LimitPerBuyer in units; 0: none.
	LimitPerBuyer int64
}

// Request to reserve: all of its items or none.
type Request struct {
	BuyerID, RequestID string
	// Items with a SKU each.
	Items []RequestItem
}

// Verdict is what the state says to a request.
type Verdict int

// The verdicts on a request.
const (
	// Accept: the reservation may be appended.
	Accept Verdict = iota
	// Existing: the request was accepted before; Decision.Order has it.
	Existing
	// Reused: the request id stands for an order of other items.
	Reused
	// OverLimit: the buyer would have more of Decision.SKU than is allowed.
	OverLimit
	// NeedsStock: the shards lack Decision.Missing.
	NeedsStock
	// Ended: the partition is closed.
	Ended
)

// Decision on a request.
type Decision struct {
	Verdict Verdict
	Order   Order
	SKU     string
	// Missing is how much more of each item the request needs than its shard has.
	Missing []Quantity
}

// Reserve decides on a request and changes nothing. A request that was accepted is answered the same
// for ever, also when the sale is over or its order was released.
func (s *State) Reserve(request Request) Decision {
	if order := s.orders[requestKey{request.BuyerID, request.RequestID}]; order != nil {
		if !sameItems(order.Items, request.Items) {
			return Decision{Verdict: Reused}
		}
		return Decision{Verdict: Existing, Order: *order}
	}
	if s.closed {
		return Decision{Verdict: Ended}
	}
	for _, item := range request.Items {
		if item.LimitPerBuyer > 0 && s.Bought(request.BuyerID, item.SKU)+item.Quantity > item.LimitPerBuyer {
			return Decision{Verdict: OverLimit, SKU: item.SKU}
		}
	}
	var missing []Quantity
	for _, item := range request.Items {
		if short := item.Quantity - s.Shard(item.SKU).Available; short > 0 {
			missing = append(missing, Quantity{SKU: item.SKU, Quantity: short})
		}
	}
	if missing != nil {
		return Decision{Verdict: NeedsStock, Missing: missing}
	}
	return Decision{Verdict: Accept}
}

// ReleaseVerdict is what the state says to a release.
type ReleaseVerdict int

// The verdicts on a release.
const (
	// MayRelease: the release may be appended.
	MayRelease ReleaseVerdict = iota
	// AlreadyReleased: it is in the log.
	AlreadyReleased
	// ClosedUnreleased: the partition was closed with the order in it.
	ClosedUnreleased
	// UnknownOrder: this partition never reserved it.
	UnknownOrder
)

// Release decides on giving an order's stock back, and changes nothing.
func (s *State) Release(id uuid.UUID) ReleaseVerdict {
	switch order := s.byID[id]; {
	case order == nil:
		return UnknownOrder
	case order.Released:
		return AlreadyReleased
	case s.closed:
		return ClosedUnreleased
	default:
		return MayRelease
	}
}

// Donation is how much of a SKU to give to a shard that needs some: need or half of what is left,
// whichever is more, but not more than is left. 0: the shard is empty or the partition closed.
func (s *State) Donation(sku string, need int64) int64 {
	if s.closed {
		return 0
	}
	available := s.Shard(sku).Available
	return min(max(need, (available+1)/2), available)
}

// sameItems compares regardless of order; neither side names a SKU twice.
func sameItems(have []Item, want []RequestItem) bool {
	if len(have) != len(want) {
		return false
	}
	for _, w := range want {
		found := false
		for _, h := range have {
			found = found || h.SKU == w.SKU && h.Quantity == w.Quantity
		}
		if !found {
			return false
		}
	}
	return true
}

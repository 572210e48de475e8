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
	// UnitPrice in the currency's minor unit.
	UnitPrice int64
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
	// Existing: the request was accepted before; [Decision].Order has it.
	Existing
	// Reused: the request id stands for an order of other items.
	Reused
	// OverLimit: the buyer would have more of [Decision].SKU than is allowed.
	OverLimit
	// NeedsStock: the shards lack [Decision].Missing.
	NeedsStock
	// Ended: the partition is closed.
	Ended
	// Full: the partition has as many reservations as it may.
	Full
)

// Decision on a request.
type Decision struct {
	Verdict Verdict
	Order   Order
	SKU     string
	// Missing is how much more of each item the request needs than its shard has.
	Missing []Quantity
}

// Decide on a request. It changes nothing: [State.Take] does. A request that was accepted is
// answered the same for ever, also when the sale is over or its order was released.
func (s *State) Decide(request Request) Decision {
	h := s.orders.hash(request.BuyerID, request.RequestID)
	b, known := s.orders.findBuyer(h, request.BuyerID)
	if known {
		if i, ok := s.orders.findRequest(h, b, request.RequestID); ok {
			if !s.sameItems(s.orders.list.at(i), request.Items) {
				return Decision{Verdict: Reused}
			}
			return Decision{Verdict: Existing, Order: s.order(i)}
		}
	}
	if s.closed {
		return Decision{Verdict: Ended}
	}
	if s.orders.list.length >= MaxReservations || s.orders.texts.full() {
		return Decision{Verdict: Full}
	}
	var missing []Quantity
	for i := range request.Items {
		item := &request.Items[i]
		shard, there := s.index[item.SKU]
		if item.LimitPerBuyer > 0 {
			had := int64(0)
			if known && there {
				had = s.bought(b, shard)
			}
			if had+item.Quantity > item.LimitPerBuyer {
				return Decision{Verdict: OverLimit, SKU: item.SKU}
			}
		}
		short := item.Quantity
		if there {
			short -= s.shards[shard].Available
		}
		if short > 0 {
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

// DecideRelease decides on giving an order's stock back. It changes nothing: folding the record
// does.
func (s *State) DecideRelease(id uuid.UUID) ReleaseVerdict {
	switch i, ok := s.orders.findID(id); {
	case !ok:
		return UnknownOrder
	case s.orders.list.at(i).released:
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
func (s *State) sameItems(have *order, want []RequestItem) bool {
	if int(have.items) != len(want) {
		return false
	}
	for _, w := range want {
		found := false
		for k := range uint32(have.items) {
			h := s.orders.items.at(have.firstItem + k)
			found = found || s.skus[h.shard] == w.SKU && h.quantity == w.Quantity
		}
		if !found {
			return false
		}
	}
	return true
}

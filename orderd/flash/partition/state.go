// Package partition is the state of one partition of a flash sale and the rules it follows: no
// input or output, no clock, no randomness. Folding a partition's records in sequence gives the
// state; the state decides what its owner may append next.
//
// For every item, at every moment: allocated + topped up + in - out = available + reserved.
package partition

import (
	"errors"
	"fmt"
	"sort"

	"github.com/google/uuid"

	flashv1 "github.com/orderd-dev/orderd/api/gen/orderd/flash/v1"
)

// ErrCorrupt says that a record cannot follow those before it.
var ErrCorrupt = errors.New("partition log is corrupt")

// Item is one SKU of an order.
type Item struct {
	SKU string
	// Quantity in units, at least 1.
	Quantity int64
	// UnitPrice in the currency's minor unit.
	UnitPrice int64
}

// Quantity of a SKU, in units.
type Quantity struct {
	SKU      string
	Quantity int64
}

// Order is an accepted order as the log has it.
type Order struct {
	ID         uuid.UUID
	BuyerID    string
	RequestID  string
	Items      []Item
	AcceptedMs int64
	ExpiresMs  int64
	Currency   string
	// Released says that its stock went back into the sale.
	Released bool
}

// Shard is the partition's part of one item's stock, in units.
type Shard struct {
	Allocated, ToppedUp int64
	// In and Out are what transfers brought and took.
	In, Out int64
	// Available may still be reserved.
	Available int64
	// Reserved is held by orders that are not released.
	Reserved int64
	// Inflows counts how often stock came in: by transfer, top-up or release.
	Inflows uint64
}

type requestKey struct{ buyer, request string }

type buyerKey struct{ buyer, sku string }

// State of a partition. Its methods are not safe for concurrent use.
type State struct {
	sequence uint64
	opened   bool
	closed   bool
	owner    string
	shards   map[string]*Shard
	orders   map[requestKey]*Order
	byID     map[uuid.UUID]*Order
	bought   map[buyerKey]int64
	topUps   map[string]struct{}
}

// New is the state before the partition's first record.
func New() *State {
	return &State{
		shards: map[string]*Shard{}, orders: map[requestKey]*Order{}, byID: map[uuid.UUID]*Order{},
		bought: map[buyerKey]int64{}, topUps: map[string]struct{}{},
	}
}

// Sequence is the stream sequence of the last record folded; 0 before the first.
func (s *State) Sequence() uint64 { return s.sequence }

// Opened says whether the partition has its stock shards.
func (s *State) Opened() bool { return s.opened }

// Closed says that nothing may be appended any more.
func (s *State) Closed() bool { return s.closed }

// Owner is who fenced the log last; empty if nobody did.
func (s *State) Owner() string { return s.owner }

// Shard of a SKU; the zero Shard if the partition has none.
func (s *State) Shard(sku string) Shard {
	if shard := s.shards[sku]; shard != nil {
		return *shard
	}
	return Shard{}
}

// SKUs of all shards, sorted.
func (s *State) SKUs() []string {
	skus := make([]string, 0, len(s.shards))
	for sku := range s.shards {
		skus = append(skus, sku)
	}
	sort.Strings(skus)
	return skus
}

// Lookup finds the order of a buyer's request, if it was accepted.
func (s *State) Lookup(buyer, request string) (Order, bool) {
	if order := s.orders[requestKey{buyer, request}]; order != nil {
		return *order, true
	}
	return Order{}, false
}

// Order with an id, if there is one.
func (s *State) Order(id uuid.UUID) (Order, bool) {
	if order := s.byID[id]; order != nil {
		return *order, true
	}
	return Order{}, false
}

// Bought is how many units of a SKU the buyer has, net of releases.
func (s *State) Bought(buyer, sku string) int64 { return s.bought[buyerKey{buyer, sku}] }

// Check tells of the first item whose invariant does not hold; nil if all do.
func (s *State) Check() error {
	for _, sku := range s.SKUs() {
		h := s.shards[sku]
		if h.Allocated+h.ToppedUp+h.In-h.Out != h.Available+h.Reserved || h.Available < 0 || h.Reserved < 0 {
			return fmt.Errorf("%w: item %s: allocated %d + topped up %d + in %d - out %d, but available %d + reserved %d",
				ErrCorrupt, sku, h.Allocated, h.ToppedUp, h.In, h.Out, h.Available, h.Reserved)
		}
	}
	return nil
}

// ClosedRecord is the record that ends the partition as it is now.
func (s *State) ClosedRecord() *flashv1.Record {
	closed := &flashv1.Closed{}
	for _, sku := range s.SKUs() {
		h := s.shards[sku]
		closed.Items = append(closed.Items, &flashv1.ItemTotal{Sku: sku, Sold: h.Reserved, Unsold: h.Available})
	}
	return &flashv1.Record{Kind: &flashv1.Record_Closed{Closed: closed}}
}

func (s *State) shard(sku string) *Shard {
	shard := s.shards[sku]
	if shard == nil {
		shard = &Shard{}
		s.shards[sku] = shard
	}
	return shard
}

// Package partition is the state of one partition of a flash sale, and the rules that it follows.
// It has no input or output and no clock, and no randomness but the seed of its hash tables, on
// which nothing depends. Folding a partition's records in sequence gives the state ([State.Fold]);
// the state decides what its owner may append next ([State.Decide], [State.DecideRelease],
// [State.Donation]).
//
// For every item, at every moment: allocated + topped up + in - out = available + reserved.
package partition

import (
	"errors"
	"fmt"
	"slices"

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
	ID        uuid.UUID
	BuyerID   string
	RequestID string
	Items     []Item
	// AcceptedMs and ExpiresMs are Unix milliseconds.
	AcceptedMs, ExpiresMs int64
	Currency              string
	// Released says that its stock went back into the sale.
	Released bool
}

// Shard is the partition's part of one item's stock, in units.
type Shard struct {
	Allocated, ToppedUp int64
	// In and Out are what transfers brought and moved away.
	In, Out int64
	// Available may still be reserved.
	Available int64
	// Reserved belongs to orders that are not released.
	Reserved int64
	// Inflows counts how often stock came in: by transfer, top-up or release.
	Inflows uint64
}

// State of a partition. Its methods are not safe for concurrent use.
type State struct {
	sequence uint64
	opened   bool
	closed   bool
	owner    string
	// shards and skus by the same index, which index has.
	shards []Shard
	skus   []string
	index  map[string]uint32
	orders orders
	topUps map[string]struct{}
	// items is used again from fold to fold.
	items []RequestItem
}

// New is the state before the partition's first record.
func New() *State {
	return &State{index: map[string]uint32{}, orders: newOrders(), topUps: map[string]struct{}{}}
}

// Sequence is the stream sequence of the last record folded; 0 before the first.
func (s *State) Sequence() uint64 { return s.sequence }

// Opened says whether the partition has its stock shards.
func (s *State) Opened() bool { return s.opened }

// Closed says that nothing may be appended any more.
func (s *State) Closed() bool { return s.closed }

// Owner is who fenced the log last; empty if nobody did.
func (s *State) Owner() string { return s.owner }

// Reservations is how many the partition has, released ones too.
func (s *State) Reservations() int { return int(s.orders.list.length) }

// Shard of a SKU; the zero Shard if the partition has none.
func (s *State) Shard(sku string) Shard {
	if i, ok := s.index[sku]; ok {
		return s.shards[i]
	}
	return Shard{}
}

// SKUs of all shards, sorted.
func (s *State) SKUs() []string {
	skus := slices.Clone(s.skus)
	slices.Sort(skus)
	return skus
}

// Lookup finds the order of a buyer's request, if it was accepted.
func (s *State) Lookup(buyerID, requestID string) (Order, bool) {
	h := s.orders.hash(buyerID, requestID)
	if b, ok := s.orders.findBuyer(h, buyerID); ok {
		if i, ok := s.orders.findRequest(h, b, requestID); ok {
			return s.order(i), true
		}
	}
	return Order{}, false
}

// Order with an id, if there is one.
func (s *State) Order(id uuid.UUID) (Order, bool) {
	if i, ok := s.orders.findID(id); ok {
		return s.order(i), true
	}
	return Order{}, false
}

func (s *State) order(i uint32) Order {
	stored := *s.orders.list.at(i)
	order := Order{
		ID:        stored.id,
		BuyerID:   string(s.orders.texts.bytes(s.orders.buyers.at(stored.buyer).id)),
		RequestID: string(s.orders.texts.bytes(stored.request)),
		Items:     make([]Item, stored.items), AcceptedMs: stored.acceptedMs, ExpiresMs: stored.expiresMs,
		Currency: s.orders.currencies[stored.currency], Released: stored.released,
	}
	for k := range order.Items {
		item := s.orders.items.at(stored.firstItem + uint32(k))
		order.Items[k] = Item{SKU: s.skus[item.shard], Quantity: item.quantity, UnitPrice: item.unitPrice}
	}
	return order
}

// bought is how many units of an item the buyer has, net of releases.
func (s *State) bought(buyer, shard uint32) int64 {
	if p := s.orders.bought(buyer, shard); p != nil {
		return p.quantity
	}
	return 0
}

// Check is an error about the first item whose invariant does not hold; nil if all do.
func (s *State) Check() error {
	for _, sku := range s.SKUs() {
		h := s.Shard(sku)
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
		h := s.Shard(sku)
		closed.Items = append(closed.Items, &flashv1.ItemTotal{Sku: sku, Sold: h.Reserved, Unsold: h.Available})
	}
	return &flashv1.Record{Kind: &flashv1.Record_Closed{Closed: closed}}
}

// shardIndex is the index of a SKU's shard, which may be new.
func (s *State) shardIndex(sku string) uint32 {
	i, ok := s.index[sku]
	if !ok {
		i = uint32(len(s.shards))
		s.index[sku] = i
		s.shards, s.skus = append(s.shards, Shard{}), append(s.skus, sku)
	}
	return i
}

// shard of a SKU, which may be new. The pointer is for now.
func (s *State) shard(sku string) *Shard { return &s.shards[s.shardIndex(sku)] }

package partition

import (
	"hash/maphash"
	"math"

	"github.com/google/uuid"
)

// MaxReservations is how many reservations, released ones too, a partition has at most: it bounds a
// partition's share of a pod's memory to about 900 MB, and the time of a take-over. A promotion for
// more orders has more partitions.
//
// A reservation costs about 200 bytes (BenchmarkMemory) with ids as apps make them: 16 bytes for a
// buyer, 36 for a request.
const MaxReservations = 4 << 20

// orders are a partition's reservations, without a pointer in them: a million cost the garbage
// collector nothing.
type orders struct {
	seed      maphash.Seed
	texts     texts
	list      slab[order]
	items     slab[orderItem]
	buyers    slab[buyer]
	purchases slab[purchase]
	// currencies are few: an order has an index.
	currencies []string
	// byRequest is hashed by buyer and request id, byID by order id, byBuyer by buyer.
	byRequest, byID, byBuyer table
}

type order struct {
	id                    uuid.UUID
	acceptedMs, expiresMs int64
	buyer                 uint32
	request               text
	// firstItem is the index of its first item; the others follow.
	firstItem uint32
	items     uint16
	currency  uint8
	released  bool
}

type orderItem struct {
	shard               uint32
	quantity, unitPrice int64
}

type buyer struct {
	id text
	// first of the buyer's purchases, plus 1; 0: there is none.
	first uint32
}

// purchase is how many units of an item a buyer has, net of releases.
type purchase struct {
	shard uint32
	// next of the buyer's, plus 1.
	next     uint32
	quantity int64
}

func newOrders() orders { return orders{seed: maphash.MakeSeed()} }

// hashes of a request's keys.
type hashes struct{ buyer, request uint32 }

func (o *orders) hash(buyerID, requestID string) hashes {
	b := maphash.String(o.seed, buyerID)
	return hashes{buyer: uint32(b), request: uint32(maphash.String(o.seed, requestID) ^ b*0x9e3779b97f4a7c15>>32)}
}

func (o *orders) hashID(id uuid.UUID) uint32 { return uint32(maphash.Bytes(o.seed, id[:])) }

func (o *orders) findBuyer(h hashes, id string) (uint32, bool) {
	for at := int(h.buyer); ; {
		i, ok := o.byBuyer.next(h.buyer, &at)
		if !ok || o.texts.is(o.buyers.at(i).id, id) {
			return i, ok
		}
	}
}

func (o *orders) findRequest(h hashes, buyer uint32, request string) (uint32, bool) {
	for at := int(h.request); ; {
		i, ok := o.byRequest.next(h.request, &at)
		if !ok {
			return 0, false
		}
		if order := o.list.at(i); order.buyer == buyer && o.texts.is(order.request, request) {
			return i, true
		}
	}
}

func (o *orders) findID(id uuid.UUID) (uint32, bool) {
	hash := o.hashID(id)
	for at := int(hash); ; {
		i, ok := o.byID.next(hash, &at)
		if !ok || o.list.at(i).id == id {
			return i, ok
		}
	}
}

// addBuyer is the buyer's index, who may be new.
func (o *orders) addBuyer(h hashes, id string) uint32 {
	i, ok := o.findBuyer(h, id)
	if !ok {
		i = o.buyers.add(buyer{id: o.texts.add(id)})
		o.byBuyer.add(h.buyer, i)
	}
	return i
}

// currency is the index of a currency's name, and whether there is room for it.
func (o *orders) currency(name string) (uint8, bool) {
	for i, known := range o.currencies {
		if known == name {
			return uint8(i), true
		}
	}
	if len(o.currencies) > math.MaxUint8 {
		return 0, false
	}
	o.currencies = append(o.currencies, name)
	return uint8(len(o.currencies) - 1), true
}

// add an order that is in none of the tables. Its items are the last that were added.
func (o *orders) add(h hashes, added order) {
	i := o.list.add(added)
	o.byRequest.add(h.request, i)
	o.byID.add(o.hashID(added.id), i)
}

// dropLast order that was added, with its items.
func (o *orders) dropLast() {
	i := o.list.length - 1
	last := *o.list.at(i)
	h := o.hash(string(o.texts.bytes(o.buyers.at(last.buyer).id)), string(o.texts.bytes(last.request)))
	o.byRequest.remove(h.request, i)
	o.byID.remove(o.hashID(last.id), i)
	o.texts.drop(last.request)
	o.items.drop(uint32(last.items))
	o.list.drop(1)
}

// bought is the buyer's purchase of an item; nil if there is none.
func (o *orders) bought(buyer, shard uint32) *purchase {
	for next := o.buyers.at(buyer).first; next != 0; {
		p := o.purchases.at(next - 1)
		if p.shard == shard {
			return p
		}
		next = p.next
	}
	return nil
}

// buy adds to the buyer's purchase of an item; quantity may be negative.
func (o *orders) buy(buyer, shard uint32, quantity int64) {
	p := o.bought(buyer, shard)
	if p == nil {
		b := o.buyers.at(buyer)
		b.first = o.purchases.add(purchase{shard: shard, next: b.first, quantity: quantity}) + 1
		return
	}
	p.quantity += quantity
}

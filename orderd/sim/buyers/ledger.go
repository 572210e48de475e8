package buyers

import (
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"
)

// maxBroken is how many broken promises are told in words.
const maxBroken = 20

type request struct{ buyer, id string }

type holding struct{ buyer, sku string }

// Ledger is what the buyers of a sale know: every answer they had. It notices answers that contradict
// each other, or the sale. It is safe for concurrent use.
type Ledger struct {
	sale Sale

	// mu guards what follows.
	mu        sync.Mutex
	orders    map[string]Order
	byRequest map[request]string
	bought    map[holding]int64
	// open requests were sent and never answered.
	open map[request]Order
	// refused requests had a final refusal.
	refused map[request]bool
	tally   Tally
}

// Tally is what the buyers have seen so far.
type Tally struct {
	// Requests sent, those that were repeated among them; InFlight of them wait for their answer.
	Requests, InFlight int64
	// Accepted orders, each counted once; LateFound are those that no answer told of.
	Accepted, LateFound int64
	// Repeated answers gave an order that was acknowledged before, to the same request id.
	Repeated int64
	// Refused answers by reason; Refusals is how many they are, and Retried how many of them were not
	// final.
	Refused           map[string]int64
	Refusals, Retried int64
	// FirstAnswer is when the first buyer who got an order had the answer, and FirstAccepted when
	// it was accepted, by the clock of the pod. Both are zero while there is none.
	FirstAnswer, FirstAccepted time.Time
	// Units accepted of each SKU.
	Units map[string]int64
	// SoldOut counts by SKU the buyers who asked for one unit of it alone and were
	// told it is sold out.
	SoldOut map[string]int64
	// Broken promises, in words; the first 20.
	Broken []string
}

// NewLedger of a sale to which nobody has come yet.
func NewLedger(sale Sale) *Ledger {
	return &Ledger{
		sale: sale, orders: map[string]Order{}, byRequest: map[request]string{}, bought: map[holding]int64{},
		open: map[request]Order{}, refused: map[request]bool{},
		tally: Tally{Refused: map[string]int64{}, Units: map[string]int64{}, SoldOut: map[string]int64{}},
	}
}

// Sent notes a request under way, and Done that it came back, however.
func (l *Ledger) Sent(o Order) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.tally.Requests++
	l.tally.InFlight++
	key := request{o.Buyer, o.Request}
	if l.byRequest[key] == "" && !l.refused[key] {
		l.open[key] = o
	}
}

// Done notes that a request came back, however.
func (l *Ledger) Done() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.tally.InFlight--
}

// Accepted notes an order whose answer came at a time; acceptedAt is what the answer says. The same
// answer to a repeated request is noted as such.
func (l *Ledger) Accepted(o Order, at, acceptedAt time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	key := request{o.Buyer, o.Request}
	delete(l.open, key)
	if before := l.byRequest[key]; before != "" {
		if before != o.ID {
			l.broken("request %s made two orders, %s and %s", o.Request, before, o.ID)
		}
		l.tally.Repeated++
		return
	}
	l.add(o)
	if acceptedAt.Before(l.sale.Start) {
		l.broken("order %s was accepted %s before the start", o.ID, l.sale.Start.Sub(acceptedAt))
	}
	l.tally.FirstAnswer = earlier(l.tally.FirstAnswer, at)
	l.tally.FirstAccepted = earlier(l.tally.FirstAccepted, acceptedAt)
}

// earlier of two times, of which the first may be zero.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || b.Before(a) {
		return b
	}
	return a
}

// Found notes an order that no answer told of.
func (l *Ledger) Found(o Order) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.open, request{o.Buyer, o.Request})
	l.tally.LateFound++
	l.add(o)
}

// add an order. The caller holds the lock.
func (l *Ledger) add(o Order) {
	if other, ok := l.orders[o.ID]; ok {
		l.broken("order %s was given to two requests, %s and %s", o.ID, other.Request, o.Request)
	}
	l.orders[o.ID] = o
	l.byRequest[request{o.Buyer, o.Request}] = o.ID
	l.tally.Accepted++
	for _, it := range o.Items {
		l.tally.Units[it.SKU] += it.Quantity
		l.bought[holding{o.Buyer, it.SKU}] += it.Quantity
	}
	for _, offer := range l.sale.Offers {
		if n := l.bought[holding{o.Buyer, offer.SKU}]; offer.Limit > 0 && n > offer.Limit {
			l.broken("a buyer has %d of %s, the limit is %d", n, offer.SKU, offer.Limit)
		}
	}
}

// Refused notes a refusal; the last one of a request closes it.
func (l *Ledger) Refused(o Order, reason string, last bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.tally.Refused[reason]++
	l.tally.Refusals++
	if !last {
		l.tally.Retried++
		return
	}
	key := request{o.Buyer, o.Request}
	delete(l.open, key)
	l.refused[key] = true
	if reason == "SOLD_OUT" && len(o.Items) == 1 && o.Items[0].Quantity == 1 {
		l.tally.SoldOut[o.Items[0].SKU]++
	}
}

// Has says whether a request of a buyer got an order.
func (l *Ledger) Has(buyer, requestID string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.byRequest[request{buyer, requestID}] != ""
}

// Broken notes a broken promise.
func (l *Ledger) Broken(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.broken(format, args...)
}

// broken notes a broken promise. The caller holds the lock.
func (l *Ledger) broken(format string, args ...any) {
	if len(l.tally.Broken) < maxBroken {
		l.tally.Broken = append(l.tally.Broken, fmt.Sprintf(format, args...))
	}
}

// Tally is a copy of what the buyers have seen so far.
func (l *Ledger) Tally() Tally {
	l.mu.Lock()
	defer l.mu.Unlock()
	t := l.tally
	t.Refused, t.Units, t.SoldOut = maps.Clone(t.Refused), maps.Clone(t.Units), maps.Clone(t.SoldOut)
	t.Broken = slices.Clone(t.Broken)
	return t
}

// Orders that were accepted, in any order.
func (l *Ledger) Orders() []Order {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Collect(maps.Values(l.orders))
}

// Open are the requests that were sent and never answered, in any order.
func (l *Ledger) Open() []Order {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Collect(maps.Values(l.open))
}

package prepare

import (
	"context"
	"fmt"
	"sort"
	"sync"
	"sync/atomic"

	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/sync/errgroup"

	flashv1 "github.com/orderd-dev/orderd/api/gen/orderd/flash/v1"
	"github.com/orderd-dev/orderd/orderd/flash/plog"
)

// Counter follows what a promotion's streams hold: each count reads what came since the last one.
// It keeps about 35 bytes an order that is not released, and may be dropped at any time: the next
// one reads from the start. Safe for concurrent use.
type Counter struct {
	limit int

	mu      sync.Mutex
	tallies []*tally
	orders  atomic.Int64
}

// NewCounter returns a Counter that keeps at most limit orders between two counts; with more it
// reads everything each time.
func NewCounter(limit int) *Counter { return &Counter{limit: limit} }

// Orders is how many are kept.
func (c *Counter) Orders() int64 { return c.orders.Load() }

// Totals is what the promotion's streams hold, by SKU, as it was at one moment in each stream. A
// promotion's totals must be asked of one Counter, and no other promotion's. After an error the
// next call reads from the start.
func (c *Counter) Totals(ctx context.Context, js jetstream.JetStream, promo *flashv1.Promotion) ([]Total, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	tallies := c.tallies
	c.tallies = nil
	c.orders.Store(0)
	if len(tallies) != len(promo.GetStreams()) {
		tallies = make([]*tally, len(promo.GetStreams()))
		for k := range tallies {
			tallies[k] = newTally()
		}
	}
	group, ctx := errgroup.WithContext(ctx)
	for k, name := range promo.GetStreams() {
		group.Go(func() error { return tallies[k].catch(ctx, js, name) })
	}
	if err := group.Wait(); err != nil {
		return nil, fmt.Errorf("counting promotion %s: %w", promo.GetUid(), err)
	}
	var list []Total
	orders := 0
	for _, t := range tallies {
		orders += len(t.orders)
		for _, total := range t.totals {
			list = append(list, *total)
		}
	}
	if orders <= c.limit {
		c.tallies = tallies
		c.orders.Store(int64(orders))
	}
	sort.Slice(list, func(i, j int) bool { return list[i].SKU < list[j].SKU })
	return list, nil
}

// tally is what one stream holds up to a sequence. It takes the records on trust: whether they add
// up is proved when the partitions are closed.
type tally struct {
	sequence uint64
	totals   []*Total
	index    map[string]uint32
	// orders that are not released. Most have one item: that is in the value itself.
	orders map[[16]byte]held
	// several has the items of the other orders.
	several map[[16]byte][]held
}

// held is an item of an order: its place in totals, and the quantity; 0: see several.
type held struct{ item, quantity uint32 }

func newTally() *tally {
	return &tally{index: map[string]uint32{}, orders: map[[16]byte]held{}, several: map[[16]byte][]held{}}
}

// catch reads the stream up to what it has now.
func (t *tally) catch(ctx context.Context, js jetstream.JetStream, name string) error {
	stream, err := js.Stream(ctx, name)
	if err != nil {
		return fmt.Errorf("finding stream %s: %w", name, err)
	}
	last := stream.CachedInfo().State.LastSeq
	if last < t.sequence {
		return fmt.Errorf("%w: stream %s ends at %d, %d was seen before", plog.ErrRewound, name, last, t.sequence)
	}
	return plog.ReadStream(ctx, js, name, nil, t.sequence, last, t.read)
}

func (t *tally) read(sequence uint64, record *flashv1.Record) error {
	t.add(record)
	t.sequence = sequence
	return nil
}

func (t *tally) add(record *flashv1.Record) {
	switch kind := record.GetKind().(type) {
	case *flashv1.Record_Opened:
		for _, item := range kind.Opened.GetItems() {
			total := t.totals[t.place(item.GetSku())]
			total.Allocated += item.GetQuantity()
			total.Unsold += item.GetQuantity()
		}
	case *flashv1.Record_ToppedUp:
		// Each partition appends a top-up once: its owner and the operator look before.
		for _, item := range kind.ToppedUp.GetItems() {
			total := t.totals[t.place(item.GetSku())]
			total.ToppedUp += item.GetQuantity()
			total.Unsold += item.GetQuantity()
		}
	case *flashv1.Record_Reserved:
		for _, r := range kind.Reserved.GetReservations() {
			t.reserve(r)
		}
	case *flashv1.Record_Released:
		for _, r := range kind.Released.GetOrders() {
			t.release(orderKey(r.GetOrderId()))
		}
	}
}

func orderKey(raw []byte) (id [16]byte) {
	copy(id[:], raw)
	return id
}

// place of a SKU in totals.
func (t *tally) place(sku string) uint32 {
	i, ok := t.index[sku]
	if !ok {
		i = uint32(len(t.totals))
		t.index[sku] = i
		t.totals = append(t.totals, &Total{SKU: sku})
	}
	return i
}

func (t *tally) reserve(r *flashv1.Reservation) {
	items := make([]held, len(r.GetItems()))
	for i, item := range r.GetItems() {
		items[i] = held{t.place(item.GetSku()), uint32(item.GetQuantity())}
		t.move(items[i], 1)
	}
	id := orderKey(r.GetOrderId())
	if len(items) == 1 {
		t.orders[id] = items[0]
		return
	}
	t.orders[id], t.several[id] = held{}, items
}

// release does nothing for an order that was released before.
func (t *tally) release(id [16]byte) {
	item, ok := t.orders[id]
	if !ok {
		return
	}
	delete(t.orders, id)
	if item.quantity > 0 {
		t.move(item, -1)
		return
	}
	for _, item := range t.several[id] {
		t.move(item, -1)
	}
	delete(t.several, id)
}

func (t *tally) move(item held, direction int64) {
	total := t.totals[item.item]
	total.Sold += direction * int64(item.quantity)
	total.Unsold -= direction * int64(item.quantity)
}

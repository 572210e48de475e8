package watch

import (
	"errors"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"pgregory.net/rapid"
)

// testHub has read all that there was, and remembers so many changes.
func testHub(t rapid.TB, remembers int) *Hub {
	h, err := New(Options{
		OrderIDKey: []byte("0123456789abcdef"), Random: rand.New(rand.NewPCG(1, 2)), Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	h.recent, h.reading = newRecent(remembers), true
	h.recent.whole = true
	return h
}

// orderOf is the n-th order of a buyer.
func orderOf(buyer, n byte) uuid.UUID { return uuid.UUID{0: buyer, 15: n} }

const (
	buyersOfModel = 2
	ordersOfModel = 3
)

// model is a database, the stream of its changes, and those who watch.
type model struct {
	hub      *Hub
	versions map[uuid.UUID]int64
	// unpublished are committed and not in the stream yet.
	unpublished []change
	published   uint64
	orders      []*orderView
	buyers      []*buyerView
}

// orderView is what a watcher of an order has seen.
type orderView struct {
	id      uuid.UUID
	watcher *Order
	has     int64
}

// buyerView is what a watcher of a buyer's orders has.
type buyerView struct {
	buyer   byte
	watcher *Buyer
	at      Position
	has     map[uuid.UUID]int64
}

func (m *model) change(id uuid.UUID) {
	m.versions[id]++
	m.unpublished = append(m.unpublished, change{orderID: id, version: m.versions[id]})
}

func (m *model) publish() {
	if len(m.unpublished) == 0 {
		return
	}
	c := m.unpublished[0]
	m.unpublished = m.unpublished[1:]
	// Other messages are in between.
	m.published += 1 + uint64(c.orderID[15])
	c.sequence = m.published
	m.hub.changed(c)
}

// look reads the order and sends it, as a handler does.
func (m *model) look(t *rapid.T, v *orderView) {
	switch now := m.versions[v.id]; {
	case now < v.has:
		t.Fatalf("version %d after %d", now, v.has)
	default:
		v.has = now
	}
}

// stepOrder is a watcher that gets to run.
func (m *model) stepOrder(t *rapid.T, v *orderView) bool {
	select {
	case <-v.watcher.Told():
		if v.watcher.Take(v.has) {
			m.look(t, v)
		}
		return true
	default:
		return false
	}
}

// stepBuyer is one whose watcher, if it has to, goes on with a new one.
func (m *model) stepBuyer(t *rapid.T, v *buyerView) bool {
	select {
	case <-v.watcher.Told():
	default:
		return false
	}
	ids, at, err := v.watcher.Take()
	if errors.Is(err, ErrBehind) {
		v.watcher.Close()
		m.resume(t, v)
		return true
	}
	for _, id := range ids {
		if id[0] == v.buyer {
			v.has[id] = max(v.has[id], m.versions[id])
		}
	}
	v.at = at
	return true
}

func (m *model) resume(t *rapid.T, v *buyerView) {
	from, err := m.hub.Open(m.hub.Token(v.at))
	if err != nil || from != v.at {
		t.Fatalf("a token is %v, %v; want %v", from, err, v.at)
	}
	if v.watcher, v.at, err = m.hub.Buyer(orderOf(v.buyer, 0), &from); errors.Is(err, ErrTooOld) {
		m.begin(t, v)
	} else if err != nil {
		t.Fatal(err)
	}
}

// begin opens the watch, then lists.
func (m *model) begin(t *rapid.T, v *buyerView) {
	var err error
	if v.watcher, v.at, err = m.hub.Buyer(orderOf(v.buyer, 0), nil); err != nil {
		t.Fatal(err)
	}
	for id, version := range m.versions {
		if id[0] == v.buyer {
			v.has[id] = version
		}
	}
}

// settle publishes everything and lets everybody run.
func (m *model) settle(t *rapid.T) {
	for len(m.unpublished) > 0 {
		m.publish()
	}
	for moved := true; moved; {
		moved = false
		for _, v := range m.orders {
			moved = m.stepOrder(t, v) || moved
		}
		for _, v := range m.buyers {
			moved = m.stepBuyer(t, v) || moved
		}
	}
	for _, v := range m.orders {
		if v.has != m.versions[v.id] {
			t.Fatalf("a watcher of %s ends with version %d, the order has %d", v.id, v.has, m.versions[v.id])
		}
	}
	for _, v := range m.buyers {
		for id, version := range m.versions {
			if id[0] == v.buyer && v.has[id] != version {
				t.Fatalf("a watcher of buyer %d ends with version %d of %s, which has %d", v.buyer, v.has[id], id, version)
			}
		}
	}
}

// Whatever is changed, published, watched, read slowly, left and taken up again in whatever sequence: who
// watches ends with the newest version of everything.
func TestEveryWatcherEndsWithTheNewest(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := &model{hub: testHub(t, rapid.IntRange(1, 8).Draw(t, "remembered")), versions: map[uuid.UUID]int64{}}
		order := rapid.Custom(func(t *rapid.T) uuid.UUID {
			return orderOf(rapid.ByteRange(1, buyersOfModel).Draw(t, "buyer"), rapid.ByteRange(1, ordersOfModel).Draw(t, "n"))
		})
		for range rapid.IntRange(0, 3).Draw(t, "published before") {
			m.change(orderOf(1, 1))
			m.publish()
		}
		t.Repeat(map[string]func(*rapid.T){
			"change and publish": func(t *rapid.T) {
				m.change(order.Draw(t, "order"))
				m.publish()
			},
			"change":  func(t *rapid.T) { m.change(order.Draw(t, "order")) },
			"publish": func(*rapid.T) { m.publish() },
			"publish it again": func(*rapid.T) {
				if c, ok := m.hub.recent.last(); ok {
					m.published++
					c.sequence = m.published
					m.hub.changed(c)
				}
			},
			"the stream loses what was not read": func(*rapid.T) {
				m.published += uint64(len(m.unpublished))
				m.unpublished = nil
				m.hub.missed(false)
			},
			"watch an order": func(t *rapid.T) {
				v := &orderView{id: order.Draw(t, "order")}
				var err error
				if v.watcher, err = m.hub.Order(v.id); err != nil {
					t.Fatal(err)
				}
				m.look(t, v)
				m.orders = append(m.orders, v)
			},
			"watch a buyer": func(t *rapid.T) {
				v := &buyerView{buyer: rapid.ByteRange(1, buyersOfModel).Draw(t, "buyer"), has: map[uuid.UUID]int64{}}
				m.begin(t, v)
				m.buyers = append(m.buyers, v)
			},
			"a watcher of an order runs": func(t *rapid.T) {
				if len(m.orders) > 0 {
					m.stepOrder(t, rapid.SampledFrom(m.orders).Draw(t, "watcher"))
				}
			},
			"a watcher of a buyer runs": func(t *rapid.T) {
				if len(m.buyers) > 0 {
					m.stepBuyer(t, rapid.SampledFrom(m.buyers).Draw(t, "watcher"))
				}
			},
			"a watcher of a buyer goes and comes back": func(t *rapid.T) {
				if len(m.buyers) > 0 {
					v := rapid.SampledFrom(m.buyers).Draw(t, "watcher")
					v.watcher.Close()
					m.resume(t, v)
				}
			},
		})
		m.settle(t)
	})
}

func TestWatchersThatRunAtOnce(t *testing.T) {
	const orders, changes, watchersEach = 4, 300, 5
	h := testHub(t, 64)
	var versions [orders]atomic.Int64
	var watching, publishing sync.WaitGroup
	finished := make(chan struct{})
	for n := range orders {
		for range watchersEach {
			w, err := h.Order(orderOf(1, byte(n)))
			if err != nil {
				t.Fatal(err)
			}
			watching.Go(func() {
				defer w.Close()
				for has := versions[n].Load(); has < changes; {
					<-w.Told()
					if !w.Take(has) {
						continue
					}
					now := versions[n].Load()
					if now < has {
						t.Errorf("order %d: version %d after %d", n, now, has)
					}
					has = now
				}
			})
		}
	}
	var mu sync.Mutex
	sequence := uint64(0)
	for n := range orders {
		publishing.Go(func() {
			for range changes {
				version := versions[n].Add(1)
				mu.Lock()
				sequence++
				h.changed(change{orderID: orderOf(1, byte(n)), version: version, sequence: sequence})
				mu.Unlock()
			}
		})
	}
	publishing.Go(func() {
		for range 20 {
			w, _, err := h.Buyer(orderOf(1, 0), nil)
			if err != nil {
				t.Error(err)
				return
			}
			if _, _, err := w.Take(); err != nil && !errors.Is(err, ErrBehind) {
				t.Error(err)
			}
			w.Close()
			h.missed(false)
		}
	})
	go func() { publishing.Wait(); watching.Wait(); close(finished) }()
	<-finished
	if h.watchers != 0 || len(h.orders) != 0 || len(h.buyers) != 0 {
		t.Errorf("%d watchers, %d orders, %d buyers are left", h.watchers, len(h.orders), len(h.buyers))
	}
}

func TestLimits(t *testing.T) {
	h := testHub(t, 8*maxPending)
	w, at, err := h.Buyer(orderOf(1, 0), nil)
	if err != nil {
		t.Fatal(err)
	}
	for n := range byte(maxPending + 1) {
		h.changed(change{orderID: orderOf(1, n), version: 1, sequence: uint64(n) + 1})
	}
	if _, _, err := w.Take(); !errors.Is(err, ErrBehind) {
		t.Errorf("with %d orders changed: %v, want ErrBehind", maxPending+1, err)
	}
	if _, _, err := h.Buyer(orderOf(1, 0), &at); !errors.Is(err, ErrTooOld) {
		t.Errorf("from before them: %v, want ErrTooOld", err)
	}
	w.Close()
	for range maxWatchers {
		if _, err := h.Order(orderOf(1, 1)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := h.Order(orderOf(1, 1)); !errors.Is(err, ErrFull) {
		t.Errorf("one more watcher: %v, want ErrFull", err)
	}
	if _, _, err := h.Buyer(orderOf(1, 1), nil); !errors.Is(err, ErrFull) {
		t.Errorf("one more watcher of a buyer: %v, want ErrFull", err)
	}
	if got := testutil.ToFloat64(h.metrics.watchers.WithLabelValues(ofOrder)); got != maxWatchers {
		t.Errorf("the metric has %v watchers, want %d", got, maxWatchers)
	}
	h.reading = false
	if _, _, err := h.Buyer(orderOf(1, 1), nil); !errors.Is(err, ErrNotReading) {
		t.Errorf("before the stream was read: %v, want ErrNotReading", err)
	}
}

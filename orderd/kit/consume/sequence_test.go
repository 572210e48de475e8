package consume_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	orderv1 "github.com/orderd-dev/orderd/api/gen/orderd/order/v1"
	"github.com/orderd-dev/orderd/orderd/kit/backoff"
	"github.com/orderd-dev/orderd/orderd/kit/consume"
	"github.com/orderd-dev/orderd/orderd/kit/database"
)

// journal is the sequence in which orders' events were handled.
type journal struct {
	mu     sync.Mutex
	orders map[uuid.UUID][]string
	random *rand.Rand
}

func newJournal() *journal {
	return &journal{orders: map[uuid.UUID][]string{}, random: rand.New(rand.NewPCG(3, 4))}
}

func (j *journal) write(e consume.Event) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.orders[e.OrderID] = append(j.orders[e.OrderID], e.ID)
}

// fails is true for one of n.
func (j *journal) fails(n int) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.random.IntN(n) == 0
}

func (j *journal) handled() int {
	j.mu.Lock()
	defer j.mu.Unlock()
	n := 0
	for _, events := range j.orders {
		n += len(events)
	}
	return n
}

var orderTypes = []string{typePaid, typeShipped, typeDelivered}

// happen publishes four events of an order that the consumer reads and one that it does not.
func (w *world) happen(id uuid.UUID) []string {
	o := &orderv1.Order{OrderId: id.String()}
	ids := w.publish(id, 2, &orderv1.OrderPaid{Order: o}, &orderv1.OrderDeliverySet{Order: o},
		&orderv1.OrderShipped{Order: o, ShipmentId: "1"}, &orderv1.OrderShipped{Order: o, ShipmentId: "2"},
		&orderv1.OrderDelivered{Order: o})
	return append(ids[:1:1], ids[2:]...)
}

func TestAnOrdersEventsStayInSequenceOverPodsAndRetries(t *testing.T) {
	tests := map[string]func(*journal) consume.Options{
		"deliveries": func(j *journal) consume.Options {
			return consume.Options{Delivery: func(_ context.Context, e consume.Event) error {
				if j.fails(4) {
					return errors.New("not now")
				}
				j.write(e)
				return nil
			}}
		},
		"effects": func(j *journal) consume.Options {
			return consume.Options{Batch: 8, Effect: func(ctx context.Context, tx *database.Tx, e consume.Event) error {
				if j.fails(10) {
					return errors.New("not now")
				}
				return note("ordered")(ctx, tx, e)
			}}
		},
	}
	for name, options := range tests {
		t.Run(name, func(t *testing.T) {
			w, j := newWorld(t), newJournal()
			var stops []func()
			for range 3 {
				o := options(j)
				o.Name, o.Types, o.Ordered, o.MaxAttempts = "ordered", orderTypes, true, 1000
				stops = append(stops, w.consumer(o))
			}
			want := map[uuid.UUID][]string{}
			for i := range 80 {
				id := uuid.New()
				want[id] = w.happen(id)
				if i == 40 {
					// Its events go on in the other pods.
					stops[0]()
				}
			}
			w.finished("ordered")
			got := j.orders
			if name == "effects" {
				got = w.sequence("ordered")
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("handled (-want +got):\n%s", diff)
			}
		})
	}
}

// sequence is in which sequence the effects of each order were committed.
func (w *world) sequence(consumer string) map[uuid.UUID][]string {
	w.t.Helper()
	rows, err := w.pool.Query(context.Background(),
		"SELECT event_id FROM effects WHERE consumer = $1 ORDER BY at, event_id", consumer)
	if err != nil {
		w.t.Fatal(err)
	}
	ids, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		w.t.Fatal(err)
	}
	out := map[uuid.UUID][]string{}
	for _, id := range ids {
		order := uuid.MustParse(id[:36])
		out[order] = append(out[order], id)
	}
	return out
}

func TestAnEventThatFailsHoldsItsOrderAndNoOther(t *testing.T) {
	w, j := newWorld(t), newJournal()
	bad := uuid.New()
	var hopeless atomic.Bool
	w.consumer(consume.Options{
		Name:        "ordered",
		Types:       orderTypes,
		Ordered:     true,
		Workers:     1,
		MaxAttempts: 1000,
		Backoff:     backoff.Policy{First: 300 * time.Millisecond, Max: 300 * time.Millisecond},
		Delivery: func(_ context.Context, e consume.Event) error {
			if e.OrderID == bad && e.Type == typePaid {
				if hopeless.Load() {
					return consume.Permanent(errors.New("cannot be"))
				}
				return errors.New("cannot be yet")
			}
			j.write(e)
			return nil
		},
	})
	badIDs := w.happen(bad)
	want := map[uuid.UUID][]string{}
	for range 30 {
		id := uuid.New()
		want[id] = w.happen(id)
	}
	eventually(t, "all other orders are handled", func() bool { return j.handled() >= 30*4 })
	j.mu.Lock()
	if diff := cmp.Diff(want, j.orders); diff != "" {
		t.Errorf("handled while one fails (-want +got):\n%s", diff)
	}
	j.mu.Unlock()
	hopeless.Store(true)
	w.finished("ordered")
	want[bad] = badIDs[1:]
	if diff := cmp.Diff(want, j.orders); diff != "" {
		t.Errorf("handled after the dead letter (-want +got):\n%s", diff)
	}
	if n := len(w.deadLetters("ordered")); n != 1 {
		t.Errorf("%d dead letters, want one", n)
	}
}

func TestAnOrderGoesOnWhenItsEventsAttemptsAreUsedUp(t *testing.T) {
	w, j := newWorld(t), newJournal()
	bad := uuid.New()
	var tried atomic.Int64
	const attempts = 3
	w.consumer(consume.Options{
		Name:        "ordered",
		Types:       orderTypes,
		Ordered:     true,
		MaxAttempts: attempts,
		Delivery: func(_ context.Context, e consume.Event) error {
			if e.OrderID == bad && e.Type == typePaid {
				tried.Add(1)
				return errors.New("not now")
			}
			j.write(e)
			return nil
		},
	})
	badIDs, good := w.happen(bad), uuid.New()
	want := map[uuid.UUID][]string{bad: badIDs[1:], good: w.happen(good)}
	w.finished("ordered")
	if diff := cmp.Diff(want, j.orders); diff != "" {
		t.Errorf("handled (-want +got):\n%s", diff)
	}
	if n := len(w.deadLetters("ordered")); n != 1 {
		t.Errorf("%d dead letters, want one", n)
	}
	if n := tried.Load(); n < attempts {
		t.Errorf("given up after %d attempts, want %d", n, attempts)
	}
}

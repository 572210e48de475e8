package consume_test

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"

	orderv1 "github.com/orderd-dev/orderd/api/gen/orderd/order/v1"
	"github.com/orderd-dev/orderd/orderd/kit/consume"
	"github.com/orderd-dev/orderd/orderd/kit/database"
)

// once is that each of the events had its effect once.
func once(ids []string) map[string]int {
	out := map[string]int{}
	for _, id := range ids {
		out[id] = 1
	}
	return out
}

func TestEveryEventHasItsEffectOnceThoughDeliveredTwice(t *testing.T) {
	w := newWorld(t)
	// Two pods on one durable, one of which forgets what it did: every one of its effects fails
	// after its first transaction, so that the events come again.
	w.consumer(consume.Options{Name: "reward", Effect: note("reward")})
	w.consumer(consume.Options{Name: "reward", Effect: note("reward")})
	var seen sync.Map
	w.consumer(consume.Options{Name: "flaky", Effect: func(ctx context.Context, tx *database.Tx, e consume.Event) error {
		if err := note("flaky")(ctx, tx, e); err != nil {
			return err
		}
		if _, again := seen.LoadOrStore(e.ID, true); !again {
			return errors.New("the first time always fails")
		}
		return nil
	}})
	ids := w.paid(500)
	for _, consumer := range []string{"reward", "flaky"} {
		eventually(t, consumer+" has all effects", func() bool { return len(w.effects(consumer)) == len(ids) })
		w.finished(consumer)
		if diff := cmp.Diff(once(ids), w.effects(consumer)); diff != "" {
			t.Errorf("%s: effects (-want +got):\n%s", consumer, diff)
		}
	}
}

func TestTypesThatAConsumerDoesNotReadAreNoneOfItsBusiness(t *testing.T) {
	w := newWorld(t)
	w.consumer(consume.Options{Name: "reward", Effect: note("reward")})
	id := uuid.New()
	o := &orderv1.Order{OrderId: id.String()}
	ids := w.publish(id, 1, &orderv1.OrderPlaced{Order: o}, &orderv1.OrderPaid{Order: o},
		&orderv1.OrderCancelled{Order: o})
	eventually(t, "the effect", func() bool { return len(w.effects("reward")) > 0 })
	w.finished("reward")
	if diff := cmp.Diff(once(ids[1:2]), w.effects("reward")); diff != "" {
		t.Errorf("effects (-want +got):\n%s", diff)
	}
}

func TestAPoisonEventBecomesADeadLetterAndIsReplayedAfterAFix(t *testing.T) {
	w := newWorld(t)
	ids := w.paid(100)
	poison := map[string]error{ids[7]: errors.New("no such\ncampaign"), ids[50]: consume.Permanent(errors.New("nonsense"))}
	var tries sync.Map
	stop := w.consumer(consume.Options{
		Name:        "reward",
		MaxAttempts: 3,
		Effect: func(ctx context.Context, tx *database.Tx, e consume.Event) error {
			if err := poison[e.ID]; err != nil {
				n, _ := tries.LoadOrStore(e.ID, new(atomic.Int64))
				n.(*atomic.Int64).Add(1)
				return err
			}
			return note("reward")(ctx, tx, e)
		},
	})
	w.consumer(consume.Options{Name: "other", Effect: note("other")})
	eventually(t, "two dead letters", func() bool { return len(w.deadLetters("reward")) == 2 })
	w.finished("reward")
	if got := len(w.effects("reward")); got != 98 {
		t.Fatalf("%d effects, want all but the two", got)
	}
	for _, m := range w.deadLetters("reward") {
		want := map[string]string{"Orderd-Reason": "handling events: no such campaign", "Orderd-Attempts": "3"}
		if m.Header.Get("ce-id") == ids[50] {
			want = map[string]string{"Orderd-Reason": "handling events: nonsense", "Orderd-Attempts": "1"}
		}
		want["Orderd-Consumer"], want["ce-type"], want["ce-subject"] = "reward", typePaid, m.Header.Get("ce-id")[:36]
		for name, value := range want {
			if got := m.Header.Get(name); got != value {
				t.Errorf("%s is %q, want %q", name, got, value)
			}
		}
		var paid orderv1.OrderPaid
		if err := proto.Unmarshal(m.Data, &paid); err != nil || paid.GetOrder().GetOrderId() != want["ce-subject"] {
			t.Errorf("data %v, %v", &paid, err)
		}
	}

	stop()
	w.consumer(consume.Options{Name: "reward", MaxAttempts: 3, Effect: note("reward")})
	letters := w.deadLetters("reward")
	for _, m := range slices.Concat(letters, letters) {
		w.replay("reward", m)
	}
	eventually(t, "the replays' effects", func() bool { return len(w.effects("reward")) == 100 })
	w.finished("reward")
	w.finished("other")
	if diff := cmp.Diff(once(ids), w.effects("reward")); diff != "" {
		t.Errorf("effects after the replay (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(once(ids), w.effects("other")); diff != "" {
		t.Errorf("another consumer's effects (-want +got):\n%s", diff)
	}
	if left := w.deadLetters("reward"); len(left) != 0 {
		t.Errorf("%d dead letters are left, want none after their effect", len(left))
	}
}

func TestAReplayThatFailsAgainIsADeadLetterAgain(t *testing.T) {
	w := newWorld(t)
	var tries atomic.Int64
	w.consumer(
		consume.Options{Name: "reward", MaxAttempts: 2, Effect: func(context.Context, *database.Tx, consume.Event) error {
			tries.Add(1)
			return errors.New("still broken")
		}},
	)
	w.paid(1)
	eventually(t, "a dead letter", func() bool { return len(w.deadLetters("reward")) == 1 })
	first := w.deadLetters("reward")[0]
	w.replay("reward", first)
	eventually(t, "another dead letter", func() bool {
		letters := w.deadLetters("reward")
		return len(letters) == 1 && letters[0].Sequence > first.Sequence
	})
	if got := tries.Load(); got != 4 {
		t.Errorf("%d tries, want 2 and 2", got)
	}
}

func TestOneSlowConsumerDelaysNobodyElse(t *testing.T) {
	w := newWorld(t)
	blocked := make(chan struct{})
	t.Cleanup(func() { close(blocked) })
	w.consumer(consume.Options{Name: "slow", Workers: 1, Delivery: func(ctx context.Context, _ consume.Event) error {
		select {
		case <-blocked:
		case <-ctx.Done():
		}
		return ctx.Err()
	}})
	w.consumer(consume.Options{Name: "quick", Effect: note("quick")})
	ids := w.paid(300)
	eventually(t, "the quick one is done", func() bool { return len(w.effects("quick")) == len(ids) })
	w.finished("quick")
	if info := w.info("slow"); info.NumAckPending == 0 {
		t.Error("the slow one has nothing to do, want that it is at its first events")
	}
}

func TestAnEffectThatPanicsIsAFailureOfItsEvent(t *testing.T) {
	w := newWorld(t)
	ids := w.paid(20)
	w.consumer(consume.Options{
		Name:        "reward",
		MaxAttempts: 2,
		Effect: func(ctx context.Context, tx *database.Tx, e consume.Event) error {
			if e.ID == ids[3] {
				var nothing *orderv1.Order
				nothing.Lines = nil
			}
			return note("reward")(ctx, tx, e)
		},
	})
	eventually(t, "a dead letter", func() bool { return len(w.deadLetters("reward")) == 1 })
	w.finished("reward")
	want := once(ids)
	delete(want, ids[3])
	if diff := cmp.Diff(want, w.effects("reward")); diff != "" {
		t.Errorf("effects (-want +got):\n%s", diff)
	}
}

func TestAMessageThatIsNoEventBecomesADeadLetter(t *testing.T) {
	w := newWorld(t)
	w.consumer(consume.Options{Name: "reward", Effect: note("reward")})
	eventually(t, "the durable", func() bool { return w.info("reward") != nil })
	if _, err := w.js.Publish(context.Background(), "order.events.paid."+uuid.NewString(), []byte("hello")); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a dead letter", func() bool { return len(w.deadLetters("reward")) == 1 })
	w.finished("reward")
}

func TestDeliveriesAreNotedAndRepeatedWithTheSameID(t *testing.T) {
	w := newWorld(t)
	var mu sync.Mutex
	delivered := map[string]int{}
	var away atomic.Bool
	away.Store(true)
	w.consumer(consume.Options{Name: "push", MaxAttempts: 2, Delivery: func(_ context.Context, e consume.Event) error {
		if away.Load() {
			return consume.Later(errors.New("the gateway is away"), time.Millisecond)
		}
		mu.Lock()
		defer mu.Unlock()
		delivered[e.ID]++
		return nil
	}})
	ids := w.paid(60)
	eventually(t, "events were tried far more often than MaxAttempts", func() bool {
		info := w.info("push")
		return info != nil && info.Delivered.Consumer > 5*60
	})
	away.Store(false)
	w.finished("push")
	mu.Lock()
	defer mu.Unlock()
	if diff := cmp.Diff(slices.Sorted(slices.Values(ids)), slices.Sorted(maps.Keys(delivered))); diff != "" {
		t.Errorf("delivered (-want +got):\n%s", diff)
	}
	if n := len(w.deadLetters("push")); n != 0 {
		t.Errorf("%d dead letters, want none from an outage", n)
	}
}

func TestOptionsAreChecked(t *testing.T) {
	ok := consume.Options{Name: "reward", Types: []string{typePaid}, Effect: note("x"), Logger: logger()}
	tests := map[string]func(*consume.Options){
		"a name with dots": func(o *consume.Options) { o.Name = "a.b" },
		"no effect":        func(o *consume.Options) { o.Effect = nil },
		"two effects": func(o *consume.Options) {
			o.Delivery = func(context.Context, consume.Event) error { return nil }
		},
		"no types":            func(o *consume.Options) { o.Types = nil },
		"a type nobody knows": func(o *consume.Options) { o.Types = []string{"orderd.order.v1.OrderEaten"} },
		"too many workers":    func(o *consume.Options) { o.Workers = 1000 },
		"too large a batch":   func(o *consume.Options) { o.Batch = 5000 },
	}
	if _, err := consume.New(ok); err != nil {
		t.Fatalf("good options: %v", err)
	}
	for name, spoil := range tests {
		t.Run(name, func(t *testing.T) {
			o := ok
			spoil(&o)
			if _, err := consume.New(o); err == nil {
				t.Error("no error")
			}
		})
	}
}

package consume_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/orderd-dev/orderd/orderd/kit/backoff"
	"github.com/orderd-dev/orderd/orderd/kit/consume"
	"github.com/orderd-dev/orderd/orderd/kit/database"
	"github.com/orderd-dev/orderd/orderd/kit/outbox"
)

// counter counts deliveries by event.
type counter struct {
	mu    sync.Mutex
	times map[string]int
}

func (c *counter) add(e consume.Event) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.times == nil {
		c.times = map[string]int{}
	}
	c.times[e.ID]++
	return c.times[e.ID]
}

func (c *counter) all() map[string]int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.times
}

func TestALivingPodKeepsItsEventsLongerThanAckWait(t *testing.T) {
	w := newWorld(t)
	var delivered counter
	o := consume.Options{
		Name:    "push",
		AckWait: time.Second,
		Workers: 1,
		Delivery: func(_ context.Context, e consume.Event) error {
			if delivered.add(e) == 1 {
				// The others of this worker wait longer still.
				<-time.After(700 * time.Millisecond)
			}
			return nil
		},
	}
	w.consumer(o)
	ids := w.paid(5)
	w.finished("push")
	if diff := cmp.Diff(once(ids), delivered.all()); diff != "" {
		t.Errorf("delivered (-want +got):\n%s", diff)
	}
}

func TestAPodThatEndsLeavesItsEventsToOthersAtOnce(t *testing.T) {
	w := newWorld(t)
	started := make(chan struct{}, 1000)
	stop := w.consumer(
		consume.Options{Name: "push", AckWait: time.Hour, Delivery: func(ctx context.Context, _ consume.Event) error {
			started <- struct{}{}
			<-ctx.Done()
			return ctx.Err()
		}},
	)
	ids := w.paid(200)
	<-started
	stop()
	var delivered counter
	w.consumer(consume.Options{
		Name:     "push",
		AckWait:  time.Hour,
		Delivery: func(_ context.Context, e consume.Event) error { delivered.add(e); return nil },
	})
	w.finished("push")
	if diff := cmp.Diff(once(ids), delivered.all()); diff != "" {
		t.Errorf("delivered (-want +got):\n%s", diff)
	}
}

func TestAnEffectThatTakesTooLongIsAFailureOfItsEvent(t *testing.T) {
	w := newWorld(t)
	ids := w.paid(30)
	w.consumer(consume.Options{
		Name:          "reward",
		MaxAttempts:   2,
		EffectTimeout: 3 * time.Second,
		Effect: func(ctx context.Context, tx *database.Tx, e consume.Event) error {
			if e.ID == ids[5] {
				if _, err := tx.Exec(ctx, "SELECT pg_sleep(60)"); err != nil {
					return err
				}
			}
			return note("reward")(ctx, tx, e)
		},
	})
	eventually(t, "a dead letter", func() bool { return len(w.deadLetters("reward")) == 1 })
	w.finished("reward")
	want := once(ids)
	delete(want, ids[5])
	if diff := cmp.Diff(want, w.effects("reward")); diff != "" {
		t.Errorf("effects (-want +got):\n%s", diff)
	}
	if got := w.deadLetters("reward")[0].Header.Get("Orderd-Reason"); !strings.Contains(got, "takes too long") {
		t.Errorf("reason %q", got)
	}
}

func TestAnOutageIsNotWaitedForUntilTheStreamDropsTheEvent(t *testing.T) {
	w := newWorld(t)
	ids := w.paid(1)
	var ahead atomic.Int64
	o := consume.Options{
		Name:     "push",
		Delivery: func(context.Context, consume.Event) error { return consume.Later(errors.New("away"), 0) },
	}
	o.Clock = func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
	w.consumer(o)
	eventually(t, "several attempts",
		func() bool { info := w.info("push"); return info != nil && info.Delivered.Consumer > 5 })
	if n := len(w.deadLetters("push")); n != 0 {
		t.Fatalf("%d dead letters, want none yet", n)
	}
	ahead.Store(int64(outbox.Retention - 24*time.Hour))
	eventually(t, "a dead letter", func() bool { return len(w.deadLetters("push")) == 1 })
	if got := w.deadLetters("push")[0].Header.Get("ce-id"); got != ids[0] {
		t.Errorf("dead letter of %s", got)
	}
}

func TestAnEventThatIsInTheStreamTwiceHasOneEffect(t *testing.T) {
	w := newWorld(t)
	ids := w.paid(20)
	w.consumer(consume.Options{Name: "reward", Effect: note("reward")})
	w.finished("reward")
	ctx := t.Context()
	stream, err := w.js.Stream(ctx, outbox.Stream)
	if err != nil {
		t.Fatal(err)
	}
	// As after a relay that was away for longer than the stream recognises duplicates.
	for seq := range uint64(len(ids)) {
		msg, err := stream.GetMsg(ctx, seq+1)
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			again := consume.ReplayMessage("x", "y", 1, msg.Header, msg.Data)
			again.Subject = msg.Subject
			again.Header.Del(jetstream.MsgIDHeader)
			if _, err := w.js.PublishMsg(ctx, again); err != nil {
				t.Fatal(err)
			}
		}
	}
	w.finished("reward")
	if diff := cmp.Diff(once(ids), w.effects("reward")); diff != "" {
		t.Errorf("effects (-want +got):\n%s", diff)
	}
}

func TestManyEventsThatFailHoldUpNoOther(t *testing.T) {
	w := newWorld(t)
	bad := map[string]bool{}
	for _, id := range w.paid(2000) {
		bad[id] = true
	}
	w.consumer(consume.Options{
		Name:    "reward",
		Backoff: backoff.Policy{First: time.Hour, Max: time.Hour},
		Effect: func(ctx context.Context, tx *database.Tx, e consume.Event) error {
			if bad[e.ID] {
				return errors.New("no such campaign")
			}
			return note("reward")(ctx, tx, e)
		},
	})
	ids := w.paid(300)
	eventually(t, "the others have their effects", func() bool { return len(w.effects("reward")) == len(ids) })
	if diff := cmp.Diff(once(ids), w.effects("reward")); diff != "" {
		t.Errorf("effects (-want +got):\n%s", diff)
	}
}

func TestANewConsumerBeginsWithWhatIsRecent(t *testing.T) {
	w := newWorld(t)
	w.consumer(consume.Options{Name: "old", Effect: note("old")})
	w.paid(10)
	w.finished("old")
	var ahead atomic.Int64
	ahead.Store(int64(2 * time.Hour))
	clock := func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
	stop := w.consumer(consume.Options{Name: "new", Since: time.Hour, Clock: clock, Effect: note("new")})
	eventually(t, "the durable", func() bool { return w.info("new") != nil })
	if got := w.info("new").NumPending; got != 0 {
		t.Errorf("%d events wait, want none of those before", got)
	}
	stop()
	// Once it is there it goes on where it was, whenever its pods start.
	ahead.Store(0)
	w.consumer(consume.Options{Name: "new", Since: time.Minute, Clock: clock, Effect: note("new")})
	w.consumer(consume.Options{Name: "new", Effect: note("new")})
	w.finished("new")
	if got := len(w.effects("new")); got != 0 {
		t.Errorf("%d effects", got)
	}
}

func TestMetrics(t *testing.T) {
	w := newWorld(t)
	reg := prometheus.NewRegistry()
	ids := w.paid(10)
	w.consumer(consume.Options{
		Name:        "reward",
		Registerer:  reg,
		MaxAttempts: 2,
		Effect: func(ctx context.Context, tx *database.Tx, e consume.Event) error {
			if e.ID == ids[0] {
				return errors.New("no")
			}
			return note("reward")(ctx, tx, e)
		},
	})
	w.consumer(
		consume.Options{Name: "push", Registerer: reg, Delivery: func(context.Context, consume.Event) error { return nil }},
	)
	w.finished("reward")
	w.finished("push")
	got := map[string]float64{}
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			name := f.GetName()
			for _, l := range m.GetLabel() {
				name += " " + l.GetValue()
			}
			if c := m.GetCounter(); c != nil && c.GetValue() > 0 {
				got[name] = c.GetValue()
			}
		}
	}
	want := map[string]float64{
		"orderd_consumer_events_total reward done": 9, "orderd_consumer_events_total push done": 10,
		"orderd_consumer_failures_total reward event": 2, "orderd_consumer_dead_letters_total reward": 1,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("counters (-want +got):\n%s", diff)
	}
}

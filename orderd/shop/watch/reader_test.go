package watch

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/orderd-dev/orderd/orderd/kit/outbox"
	"github.com/orderd-dev/orderd/test/kit/testnats"
)

// patience is far longer than anything takes.
const patience = time.Minute

// reading is a hub that reads a server's stream.
type reading struct {
	*Hub
	server *testnats.Server
	js     jetstream.JetStream
}

func newReading(t *testing.T) *reading {
	t.Helper()
	r := &reading{server: testnats.Run(t)}
	r.js = r.server.JetStream(t)
	r.ensure(t)
	r.Hub = r.another(t)
	return r
}

func (r *reading) ensure(t *testing.T) {
	t.Helper()
	if _, err := outbox.EnsureStream(t.Context(), r.js, 1); err != nil {
		t.Fatal(err)
	}
}

// another hub on the same stream, as another pod has.
func (r *reading) another(t *testing.T) *Hub {
	t.Helper()
	h, err := New(Options{
		JetStream: r.server.JetStream(t), OrderIDKey: []byte("0123456789abcdef"), Random: rand.New(rand.NewPCG(1, 2)),
		Logger: slog.New(slog.NewTextHandler(t.Output(), nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- h.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return h
}

// publish a change, once the server takes it.
func (r *reading) publish(t *testing.T, id uuid.UUID, version int64) {
	t.Helper()
	msg := nats.NewMsg("order.events.paid." + id.String())
	msg.Header.Set(outbox.HeaderID, fmt.Sprintf("%s.%d", id, version))
	msg.Data = []byte(strings.Repeat("x", 2000))
	eventually(t, "publishing", func() error {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := r.js.PublishMsg(ctx, msg)
		return err
	})
}

// eventually repeats what fails.
func eventually(t *testing.T, what string, do func() error) {
	t.Helper()
	deadline := time.After(patience)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		err := do()
		if err == nil {
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("%s: %v", what, err)
		}
	}
}

// watch a buyer's orders, once the hub can.
func watchBuyer(t *testing.T, h *Hub, id uuid.UUID, from *Position) (w *Buyer, at Position) {
	t.Helper()
	eventually(t, "watching", func() (err error) {
		if w, at, err = h.Buyer(id, from); errors.Is(err, ErrNotReading) {
			return err
		}
		return nil
	})
	if w == nil {
		t.Fatal("not watched")
	}
	return w, at
}

// next waits until an order has a version.
func (w *Order) next(t *testing.T, version int64) {
	t.Helper()
	deadline := time.After(patience)
	for {
		select {
		case <-w.Told():
			if w.Take(version - 1) {
				return
			}
		case <-deadline:
			t.Fatalf("not told of version %d", version)
		}
	}
}

// next waits until something has changed.
func (w *Buyer) next(t *testing.T) ([]uuid.UUID, Position, error) {
	t.Helper()
	select {
	case <-w.Told():
	case <-time.After(patience):
		t.Fatal("not told of a change")
	}
	return w.Take()
}

func TestTheReaderOutlivesItsServer(t *testing.T) {
	r := newReading(t)
	ann, bob := orderOf(1, 1), orderOf(2, 1)
	order, err := r.Order(ann)
	if err != nil {
		t.Fatal(err)
	}
	buyer, begins := watchBuyer(t, r.Hub, ann, nil)
	r.publish(t, bob, 1)
	r.publish(t, ann, 1)
	order.next(t, 1)
	ids, at, err := buyer.next(t)
	if err != nil || len(ids) != 1 || ids[0] != ann {
		t.Fatalf("told of %v, %v; want %s", ids, err, ann)
	}
	if begins == at {
		t.Error("the position is the same behind the change")
	}

	r.server.Stop()
	r.server.Restart()
	r.publish(t, ann, 2)
	order.next(t, 2)
	if ids, _, err = buyer.next(t); err != nil || len(ids) != 1 || ids[0] != ann {
		t.Errorf("after a restart: told of %v, %v; want %s", ids, err, ann)
	}
	if got := testutil.ToFloat64(r.metrics.missed); got != 0 {
		t.Errorf("%v times something was missed, want none", got)
	}

	// Another pod, which begins afterwards, goes on from the same positions.
	other := r.another(t)
	for name, test := range map[string]struct {
		from *Position
		told int
	}{"from the begin": {&begins, 1}, "behind the first": {&at, 1}, "from now on": {nil, 0}} {
		w, _ := watchBuyer(t, other, ann, test.from)
		if ids, _, err := w.Take(); err != nil || len(ids) != test.told {
			t.Errorf("another pod, %s: told of %v, %v; want %d", name, ids, err, test.told)
		}
	}
}

func TestAStreamThatWasMadeAnew(t *testing.T) {
	r := newReading(t)
	ann := orderOf(1, 1)
	buyer, _ := watchBuyer(t, r.Hub, ann, nil)
	order, err := r.Order(ann)
	if err != nil {
		t.Fatal(err)
	}
	r.publish(t, ann, 1)
	r.publish(t, ann, 2)
	order.next(t, 2)
	var at Position
	eventually(t, "being told", func() error {
		var err error
		if _, at, err = buyer.Take(); err == nil && at.sequence < 2 {
			err = errors.New("not everything was read")
		}
		return err
	})
	if err := r.js.DeleteStream(t.Context(), outbox.Stream); err != nil {
		t.Fatal(err)
	}
	r.ensure(t)
	// Others are at the same places.
	r.publish(t, ann, 7)
	r.publish(t, ann, 8)
	order.next(t, 8)
	if _, _, err := buyer.next(t); !errors.Is(err, ErrBehind) {
		t.Errorf("a watcher of the old stream: %v, want ErrBehind", err)
	}
	eventually(t, "reading the new stream", func() error {
		if _, _, err := r.Buyer(ann, &at); !errors.Is(err, ErrTooOld) {
			return fmt.Errorf("from a position of the old stream: %w, want ErrTooOld", err)
		}
		return nil
	})
	if got := testutil.ToFloat64(r.metrics.missed); got < 1 {
		t.Errorf("%v times something was missed, want at least one", got)
	}
}

func TestAStreamThatIsMadeLater(t *testing.T) {
	r := &reading{server: testnats.Run(t)}
	r.js = r.server.JetStream(t)
	r.Hub = r.another(t)
	ann := orderOf(1, 1)
	if _, _, err := r.Buyer(ann, nil); !errors.Is(err, ErrNotReading) {
		t.Errorf("without a stream: %v, want ErrNotReading", err)
	}
	order, err := r.Order(ann)
	if err != nil {
		t.Fatal(err)
	}
	r.ensure(t)
	r.publish(t, ann, 1)
	order.next(t, 1)
}

func TestMessagesThatAreNoEvents(t *testing.T) {
	r := newReading(t)
	ann := orderOf(1, 1)
	buyer, _ := watchBuyer(t, r.Hub, ann, nil)
	for _, header := range []string{"", "x", ann.String(), ann.String() + ".x", "." + ann.String()} {
		msg := nats.NewMsg("order.events.paid." + ann.String())
		msg.Header.Set(outbox.HeaderID, header)
		if _, err := r.js.PublishMsg(t.Context(), msg); err != nil {
			t.Fatal(err)
		}
	}
	r.publish(t, ann, 1)
	ids, at, err := buyer.next(t)
	if want := (change{orderID: ann, version: 1, sequence: 6}).position(); err != nil || len(ids) != 1 || at != want {
		t.Errorf("told of %v, %v, %v; want the event alone", ids, at, err)
	}
}

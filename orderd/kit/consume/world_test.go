package consume_test

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/nats-io/nats.go/jetstream"
	"google.golang.org/protobuf/proto"

	orderv1 "github.com/orderd-dev/orderd/api/gen/orderd/order/v1"
	"github.com/orderd-dev/orderd/orderd/kit/backoff"
	"github.com/orderd-dev/orderd/orderd/kit/consume"
	"github.com/orderd-dev/orderd/orderd/kit/database"
	"github.com/orderd-dev/orderd/orderd/kit/outbox"
	"github.com/orderd-dev/orderd/test/kit/testdb"
	"github.com/orderd-dev/orderd/test/kit/testnats"
)

// patience is how long a condition may take to come true on a busy machine.
const patience = 2 * time.Minute

const (
	typePaid      = "orderd.order.v1.OrderPaid"
	typeShipped   = "orderd.order.v1.OrderShipped"
	typeDelivered = "orderd.order.v1.OrderDelivered"
	typeCancelled = "orderd.order.v1.OrderCancelled"
)

// world is a database and a NATS server, with a relay between them.
type world struct {
	t           testing.TB
	databaseURL string
	pool        *pgxpool.Pool
	nats        *testnats.Server
	js          jetstream.JetStream
}

func newWorld(t *testing.T) *world {
	t.Helper()
	// Each test has its own, and mostly waits.
	t.Parallel()
	w := &world{t: t, databaseURL: testdb.NewMigrated(t), nats: testnats.Run(t)}
	w.js = w.nats.JetStream(t)
	w.pool = openPool(t, w.databaseURL)
	if _, err := w.pool.Exec(t.Context(),
		"CREATE TABLE effects (consumer text, event_id text, at timestamptz NOT NULL DEFAULT now())"); err != nil {
		t.Fatal(err)
	}
	relay, err := outbox.NewRelay(outbox.RelayOptions{
		Pool: w.pool, JetStream: w.js, Replicas: 1, Source: "test/shop", Worker: "relay",
		Interval: 10 * time.Millisecond, Clock: time.Now, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	w.run(relay.Run)
	return w
}

func openPool(t testing.TB, url string) *pgxpool.Pool {
	t.Helper()
	pool, err := database.Open(context.Background(), url, 16)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	return pool
}

// run runs a loop until stop is called or the test ends.
func (w *world) run(loop func(context.Context) error) (stop func()) {
	w.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- loop(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			w.t.Errorf("a loop ended with %v", err)
		}
	})
	w.t.Cleanup(stop)
	return stop
}

func logger() *slog.Logger {
	if os.Getenv("ORDERD_TEST_LOG") != "" {
		return slog.New(slog.NewTextHandler(os.Stderr, nil))
	}
	return slog.New(slog.DiscardHandler)
}

// consumer starts a consumer that tries again soon.
func (w *world) consumer(o consume.Options) (stop func()) {
	w.t.Helper()
	if o.JetStream == nil {
		o.JetStream = w.js
	}
	if o.Pool == nil {
		o.Pool = w.pool
	}
	if o.Types == nil {
		o.Types = []string{typePaid}
	}
	if o.Backoff == (backoff.Policy{}) {
		o.Backoff = backoff.Policy{First: 5 * time.Millisecond, Max: 50 * time.Millisecond}
	}
	if o.AckWait == 0 {
		o.AckWait = 2 * time.Second
	}
	if o.Clock == nil {
		o.Clock = time.Now
	}
	o.Replicas, o.Random, o.Logger = 1, rand.New(rand.NewPCG(1, 2)), logger()
	c, err := consume.New(o)
	if err != nil {
		w.t.Fatal(err)
	}
	return w.run(c.Run)
}

// publish has events happen, through the outbox. Versions begin at 2: an order was placed before.
func (w *world) publish(orderID uuid.UUID, version int64, events ...proto.Message) []string {
	w.t.Helper()
	var written []outbox.Event
	var ids []string
	for i, e := range events {
		v := version + int64(i)
		name := outbox.NameOf(string(e.ProtoReflect().Descriptor().FullName()))
		written = append(written, outbox.Event{OrderID: orderID, Version: v, Name: name, Payload: e, At: time.Now()})
		ids = append(ids, eventID(orderID, v))
	}
	w.write(written)
	return ids
}

func (w *world) write(events []outbox.Event) {
	w.t.Helper()
	ctx := context.Background()
	err := database.ExecuteTx(ctx, w.pool, func(tx *database.Tx) error {
		var b pgx.Batch
		if err := outbox.Queue(&b, events); err != nil {
			return err
		}
		return tx.SendBatch(ctx, &b).Close()
	})
	if err != nil {
		w.t.Fatal(err)
	}
}

// paid publishes that n orders are paid and returns the events' ids.
func (w *world) paid(n int) []string {
	w.t.Helper()
	var ids []string
	var written []outbox.Event
	for range n {
		id := uuid.New()
		written = append(written, outbox.Event{OrderID: id, Version: 2, Name: "paid", Payload: orderPaid(id), At: time.Now()})
		ids = append(ids, eventID(id, 2))
	}
	w.write(written)
	return ids
}

func orderPaid(id uuid.UUID) *orderv1.OrderPaid {
	return &orderv1.OrderPaid{Order: &orderv1.Order{OrderId: id.String(), BuyerId: "ann", Version: 2}}
}

func eventID(id uuid.UUID, version int64) string {
	return id.String() + "." + string(rune('0'+version))
}

// note is an effect that leaves a row.
func note(consumer string) consume.Effect {
	return func(ctx context.Context, tx *database.Tx, e consume.Event) error {
		_, err := tx.Exec(ctx, "INSERT INTO effects (consumer, event_id) VALUES ($1, $2)", consumer, e.ID)
		return err
	}
}

// effects are how often each event had its effect.
func (w *world) effects(consumer string) map[string]int {
	w.t.Helper()
	rows, err := w.pool.Query(context.Background(),
		"SELECT event_id, count(*) FROM effects WHERE consumer = $1 GROUP BY event_id", consumer)
	if err != nil {
		w.t.Fatal(err)
	}
	out := map[string]int{}
	var id string
	var n int
	if _, err := pgx.ForEachRow(rows, []any{&id, &n}, func() error { out[id] = n; return nil }); err != nil {
		w.t.Fatal(err)
	}
	return out
}

// eventually waits until the condition holds.
func eventually(t testing.TB, what string, condition func() bool) {
	t.Helper()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !condition() {
		select {
		case <-tick.C:
		case <-deadline.C:
			t.Fatalf("not within %s: %s", patience, what)
		}
	}
}

// info of a consumer's durable.
func (w *world) info(consumer string) *jetstream.ConsumerInfo {
	w.t.Helper()
	c, err := w.js.Consumer(context.Background(), outbox.Stream, consumer)
	if err != nil {
		return nil
	}
	info, err := c.Info(context.Background())
	if err != nil {
		return nil
	}
	return info
}

// finished waits until a consumer has nothing left of all that happened.
func (w *world) finished(consumer string) {
	w.t.Helper()
	eventually(w.t, consumer+" has finished", func() bool {
		var unpublished int
		if err := w.pool.QueryRow(context.Background(), "SELECT count(*) FROM outbox").Scan(&unpublished); err != nil ||
			unpublished > 0 {
			return false
		}
		info := w.info(consumer)
		return info != nil && info.NumPending == 0 && info.NumAckPending == 0
	})
}

// deadLetters are the subjects and headers of those of a consumer.
func (w *world) deadLetters(consumer string) []*jetstream.RawStreamMsg {
	w.t.Helper()
	ctx := context.Background()
	stream, err := w.js.Stream(ctx, consume.DeadLetters)
	if err != nil {
		return nil
	}
	var out []*jetstream.RawStreamMsg
	for seq := uint64(1); ; seq = out[len(out)-1].Sequence + 1 {
		msg, err := stream.GetMsg(ctx, seq, jetstream.WithGetMsgSubject(consume.DeadLetterSubject(consumer)))
		if err != nil {
			return out
		}
		out = append(out, msg)
	}
}

// replay publishes a dead letter to its consumer once more.
func (w *world) replay(consumer string, m *jetstream.RawStreamMsg) {
	w.t.Helper()
	_, id, ok := consume.ParseDeadLetterSubject(m.Subject)
	if !ok {
		w.t.Fatalf("subject %s", m.Subject)
	}
	if _, err := w.js.PublishMsg(context.Background(),
		consume.ReplayMessage(consumer, id, m.Sequence, m.Header, m.Data)); err != nil {
		w.t.Fatal(err)
	}
}

package deadletter_test

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"time"

	"connectrpc.com/connect/v2"
	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"google.golang.org/protobuf/proto"

	deadletterv1 "github.com/orderd-dev/orderd/api/gen/orderd/deadletter/v1"
	orderv1 "github.com/orderd-dev/orderd/api/gen/orderd/order/v1"
	"github.com/orderd-dev/orderd/orderd/kit/backoff"
	"github.com/orderd-dev/orderd/orderd/kit/consume"
	"github.com/orderd-dev/orderd/orderd/kit/outbox"
	"github.com/orderd-dev/orderd/orderd/kit/rpcerr"
	"github.com/orderd-dev/orderd/orderd/shop/deadletter"
	"github.com/orderd-dev/orderd/test/kit/testdb"
	"github.com/orderd-dev/orderd/test/kit/testnats"
)

const patience = 2 * time.Minute

// world has consumers whose events fail until they are mended, and the service.
type world struct {
	t       *testing.T
	pool    *pgxpool.Pool
	nats    *testnats.Server
	js      jetstream.JetStream
	service *deadletter.Service
	broken  atomic.Bool
	// effects of each consumer's events.
	effects map[string]*atomic.Int64
}

func newWorld(t *testing.T, consumers ...string) *world {
	t.Helper()
	w := &world{t: t, pool: testdb.NewPool(t), nats: testnats.Run(t), effects: map[string]*atomic.Int64{}}
	w.js = w.nats.JetStream(t)
	w.service = w.serviceOn(w.js)
	w.broken.Store(true)
	for i, name := range consumers {
		done := new(atomic.Int64)
		w.effects[name] = done
		c, err := consume.New(consume.Options{
			Name: name, Types: []string{"orderd.order.v1.OrderPaid"}, JetStream: w.js, Pool: w.pool, Replicas: 1, MaxAttempts: 2,
			Backoff: backoff.Policy{First: 5 * time.Millisecond, Max: 10 * time.Millisecond},
			Delivery: func(context.Context, consume.Event) error {
				// The first consumer only.
				if i == 0 && w.broken.Load() {
					return errors.New("no such campaign")
				}
				done.Add(1)
				return nil
			},
			Clock: time.Now, Random: rand.New(rand.NewPCG(1, 2)), Logger: slog.New(slog.DiscardHandler),
		})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		ended := make(chan error, 1)
		go func() { ended <- c.Run(ctx) }()
		t.Cleanup(func() {
			cancel()
			if err := <-ended; err != nil {
				t.Error(err)
			}
		})
	}
	return w
}

func (w *world) serviceOn(js jetstream.JetStream) *deadletter.Service {
	return deadletter.NewService(
		deadletter.Options{JetStream: js, Replicas: 1, Pool: w.pool, Clock: time.Now, Logger: slog.New(slog.DiscardHandler)},
	)
}

// pay publishes that so many orders are paid, and waits until they are dead letters.
func (w *world) pay(n int) []*deadletterv1.DeadLetter {
	w.t.Helper()
	ctx := w.t.Context()
	w.eventually("the stream", func() bool { _, err := w.js.Stream(ctx, outbox.Stream); return err == nil })
	for range n {
		id := uuid.NewString()
		data, err := proto.Marshal(&orderv1.OrderPaid{Order: &orderv1.Order{OrderId: id, BuyerId: "ann"}})
		if err != nil {
			w.t.Fatal(err)
		}
		msg := nats.NewMsg("order.events.paid." + id)
		msg.Data = data
		for name, value := range map[string]string{
			"ce-specversion": "1.0", "ce-id": id + ".2", "ce-source": "test/shop", "ce-type": "orderd.order.v1.OrderPaid",
			"ce-subject": id,
			"ce-time":    "2026-11-11T12:00:00Z", "ce-datacontenttype": "application/protobuf", "Nats-Msg-Id": id + ".2",
		} {
			msg.Header.Set(name, value)
		}
		if _, err := w.js.PublishMsg(ctx, msg); err != nil {
			w.t.Fatal(err)
		}
	}
	var letters []*deadletterv1.DeadLetter
	w.eventually("all are dead letters", func() bool {
		letters = w.list("", 100)
		return len(letters) == n
	})
	return letters
}

// list gets all pages.
func (w *world) list(consumer string, size int32) []*deadletterv1.DeadLetter {
	w.t.Helper()
	var out []*deadletterv1.DeadLetter
	token := ""
	for {
		page, err := w.service.ListDeadLetters(w.t.Context(),
			&deadletterv1.ListDeadLettersRequest{Consumer: consumer, PageSize: size, PageToken: token})
		if err != nil {
			w.t.Fatal(err)
		}
		out = append(out, page.GetDeadLetters()...)
		if token = page.GetNextPageToken(); token == "" {
			return out
		}
	}
}

func (w *world) eventually(what string, condition func() bool) {
	w.t.Helper()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !condition() {
		select {
		case <-tick.C:
		case <-deadline.C:
			w.t.Fatalf("not within %s: %s", patience, what)
		}
	}
}

func wantError(t *testing.T, err error, code connect.Code, reason string) {
	t.Helper()
	if connect.CodeOf(err) != code || rpcerr.Reason(err) != reason {
		t.Errorf("error %v, want %s/%s", err, code, reason)
	}
}

func TestListAndGet(t *testing.T) {
	w := newWorld(t, "reward")
	if got := w.list("", 0); len(got) != 0 {
		t.Errorf("%d dead letters before anything happened", len(got))
	}
	letters := w.pay(7)
	for _, size := range []int32{1, 3, 7, 0} {
		var ids []int64
		for _, l := range w.list("reward", size) {
			ids = append(ids, l.GetDeadLetterId())
		}
		if diff := cmp.Diff([]int64{1, 2, 3, 4, 5, 6, 7}, ids); diff != "" {
			t.Errorf("pages of %d (-want +got):\n%s", size, diff)
		}
	}
	if got := w.list("push", 10); len(got) != 0 {
		t.Errorf("%d dead letters of another consumer", len(got))
	}
	l := letters[0]
	if l.GetConsumer() != "reward" || l.GetReason() != "delivering an event: no such campaign" || l.GetAttempts() != 2 ||
		l.GetEventId() != l.GetOrderId()+".2" ||
		l.GetEventType() != "orderd.order.v1.OrderPaid" ||
		l.GetOccurredAt().AsTime() != time.Date(2026, 11, 11, 12, 0, 0, 0, time.UTC) ||
		l.GetFailedAt() == nil {
		t.Errorf("dead letter %v", l)
	}
	answer, err := w.service.GetDeadLetter(t.Context(),
		&deadletterv1.GetDeadLetterRequest{DeadLetterId: l.GetDeadLetterId()})
	if err != nil {
		t.Fatal(err)
	}
	if !proto.Equal(answer.GetDeadLetter(), l) {
		t.Errorf("got %v, listed %v", answer.GetDeadLetter(), l)
	}
	if got := answer.GetHeaders()["ce-source"]; got != "test/shop" {
		t.Errorf("headers %v", answer.GetHeaders())
	}
	var event struct {
		Order struct {
			OrderID string `json:"orderId"`
			BuyerID string `json:"buyerId"`
		}
	}
	if err := json.Unmarshal([]byte(answer.GetEventJson()), &event); err != nil || event.Order.OrderID != l.GetOrderId() ||
		event.Order.BuyerID != "ann" {
		t.Errorf("event %s: %v", answer.GetEventJson(), err)
	}
	_, err = w.service.GetDeadLetter(t.Context(), &deadletterv1.GetDeadLetterRequest{DeadLetterId: 99})
	wantError(t, err, connect.CodeNotFound, "DEAD_LETTER_NOT_FOUND")
	_, err = w.service.ListDeadLetters(t.Context(), &deadletterv1.ListDeadLettersRequest{PageToken: "x"})
	wantError(t, err, connect.CodeInvalidArgument, "INVALID_PAGE_TOKEN")
}

func TestReplayGoesToTheOneConsumerAndHasItsEffectOnce(t *testing.T) {
	w := newWorld(t, "reward", "push")
	letters := w.pay(2)
	w.eventually("the other consumer is done", func() bool { return w.effects["push"].Load() == 2 })
	w.broken.Store(false)
	req := &deadletterv1.ReplayDeadLetterRequest{RequestId: "r1", DeadLetterId: letters[0].GetDeadLetterId()}
	first, err := w.service.ReplayDeadLetter(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	again, err := w.service.ReplayDeadLetter(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	if !proto.Equal(first, again) || !proto.Equal(first.GetDeadLetter(), letters[0]) {
		t.Errorf("first %v, again %v, want %v", first, again, letters[0])
	}
	w.eventually("the effect", func() bool { return w.effects["reward"].Load() == 1 })
	if left := w.list("", 10); len(left) != 1 || left[0].GetDeadLetterId() != letters[1].GetDeadLetterId() {
		t.Errorf("left are %v, want the other one", left)
	}
	_, err = w.service.ReplayDeadLetter(t.Context(),
		&deadletterv1.ReplayDeadLetterRequest{RequestId: "r1", DeadLetterId: letters[1].GetDeadLetterId()})
	wantError(t, err, connect.CodeAlreadyExists, "REQUEST_ID_REUSED")
	_, err = w.service.ReplayDeadLetter(t.Context(),
		&deadletterv1.ReplayDeadLetterRequest{RequestId: "r2", DeadLetterId: letters[0].GetDeadLetterId()})
	wantError(t, err, connect.CodeNotFound, "DEAD_LETTER_NOT_FOUND")
	if _, err := w.service.ReplayDeadLetter(t.Context(),
		&deadletterv1.ReplayDeadLetterRequest{RequestId: "r3", DeadLetterId: letters[1].GetDeadLetterId()}); err != nil {
		t.Fatal(err)
	}
	w.eventually("the second effect", func() bool { return w.effects["reward"].Load() == 2 })
	if got := w.effects["push"].Load(); got != 2 {
		t.Errorf("the other consumer had %d effects, want its own 2", got)
	}
}

// unsteady loses JetStream's answer to the next publication.
type unsteady struct {
	jetstream.JetStream
	lost atomic.Bool
}

func (u *unsteady) PublishMsg(
	ctx context.Context, msg *nats.Msg, opts ...jetstream.PublishOpt,
) (*jetstream.PubAck, error) {
	ack, err := u.JetStream.PublishMsg(ctx, msg, opts...)
	if err == nil && !u.lost.Swap(true) {
		return nil, nats.ErrTimeout
	}
	return ack, err
}

func TestARetryEndsAReplayWhoseAnswerWasLost(t *testing.T) {
	w := newWorld(t, "reward")
	letters := w.pay(1)
	w.broken.Store(false)
	service := w.serviceOn(&unsteady{JetStream: w.js})
	req := &deadletterv1.ReplayDeadLetterRequest{RequestId: "r1", DeadLetterId: letters[0].GetDeadLetterId()}
	_, err := service.ReplayDeadLetter(t.Context(), req)
	wantError(t, err, connect.CodeUnavailable, "MESSAGING_UNAVAILABLE")
	if _, ok := rpcerr.RetryAfter(err); !ok {
		t.Error("the error names no delay")
	}
	if _, err := service.ReplayDeadLetter(t.Context(), req); err != nil {
		t.Fatal(err)
	}
	w.eventually("the effect and no dead letter",
		func() bool { return w.effects["reward"].Load() == 1 && len(w.list("", 10)) == 0 })
}

func TestDiscard(t *testing.T) {
	w := newWorld(t, "reward")
	letters := w.pay(2)
	req := &deadletterv1.DiscardDeadLetterRequest{RequestId: "r1", DeadLetterId: letters[0].GetDeadLetterId()}
	for range 2 {
		answer, err := w.service.DiscardDeadLetter(t.Context(), req)
		if err != nil {
			t.Fatal(err)
		}
		if !proto.Equal(answer.GetDeadLetter(), letters[0]) {
			t.Errorf("answer %v", answer)
		}
	}
	if left := w.list("reward", 10); len(left) != 1 || left[0].GetDeadLetterId() != letters[1].GetDeadLetterId() {
		t.Errorf("left are %v, want the other one", left)
	}
	_, err := w.service.DiscardDeadLetter(t.Context(),
		&deadletterv1.DiscardDeadLetterRequest{RequestId: "r2", DeadLetterId: letters[0].GetDeadLetterId()})
	wantError(t, err, connect.CodeNotFound, "DEAD_LETTER_NOT_FOUND")
}

func TestAReplayNeedsItsConsumer(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	for _, ensure := range []func(context.Context, jetstream.JetStream, int) ([]string, error){
		outbox.EnsureStream, consume.EnsureDeadLetters,
	} {
		if _, err := ensure(ctx, w.js, 1); err != nil {
			t.Fatal(err)
		}
	}
	// From a version that had another consumer.
	if _, err := w.js.Publish(ctx, "order.deadletters.stamps."+uuid.NewString()+".2", nil); err != nil {
		t.Fatal(err)
	}
	_, err := w.service.ReplayDeadLetter(ctx, &deadletterv1.ReplayDeadLetterRequest{RequestId: "r1", DeadLetterId: 1})
	wantError(t, err, connect.CodeFailedPrecondition, "CONSUMER_UNKNOWN")
	if left := w.list("stamps", 10); len(left) != 1 {
		t.Errorf("%d dead letters are left, want that it stays", len(left))
	}
}

func TestAnOutageIsSaidToBeOne(t *testing.T) {
	w := newWorld(t)
	w.nats.Stop()
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	_, err := w.service.ListDeadLetters(ctx, &deadletterv1.ListDeadLettersRequest{})
	wantError(t, err, connect.CodeUnavailable, "MESSAGING_UNAVAILABLE")
	_, err = w.service.DiscardDeadLetter(ctx, &deadletterv1.DiscardDeadLetterRequest{RequestId: "r1", DeadLetterId: 1})
	wantError(t, err, connect.CodeUnavailable, "MESSAGING_UNAVAILABLE")
}

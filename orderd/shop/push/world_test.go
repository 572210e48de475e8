package push_test

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"log/slog"
	mathrand "math/rand/v2"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"google.golang.org/protobuf/proto"

	moneyv1 "github.com/orderd-dev/orderd/api/gen/orderd/money/v1"
	orderv1 "github.com/orderd-dev/orderd/api/gen/orderd/order/v1"
	pushv1 "github.com/orderd-dev/orderd/api/gen/orderd/push/v1"
	"github.com/orderd-dev/orderd/orderd/kit/backoff"
	"github.com/orderd-dev/orderd/orderd/kit/consume"
	"github.com/orderd-dev/orderd/orderd/kit/outbox"
	"github.com/orderd-dev/orderd/orderd/shop/push"
	"github.com/orderd-dev/orderd/orderd/sim/pushgateway"
	"github.com/orderd-dev/orderd/test/kit/testdb"
	"github.com/orderd-dev/orderd/test/kit/testnats"
)

const patience = 2 * time.Minute

func newSecret() string {
	var key [32]byte
	// It never fails.
	_, _ = rand.Read(key[:])
	return "whsec_" + base64.StdEncoding.EncodeToString(key[:])
}

// world is a consumer that tells the simulator what is published; a benchmark starts it itself.
type world struct {
	t       testing.TB
	pool    *pgxpool.Pool
	js      jetstream.JetStream
	gateway *pushgateway.Gateway
	service *push.Service
	deliver consume.Delivery
}

func newWorld(t testing.TB, sign []string, know ...string) *world {
	t.Helper()
	w := &world{t: t, pool: testdb.NewPool(t), js: testnats.Run(t).JetStream(t)}
	w.service = push.NewService(push.Options{Pool: w.pool, Clock: time.Now})
	var err error
	if w.gateway, err = pushgateway.New(time.Now, know...); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(w.gateway)
	t.Cleanup(server.Close)
	g, err := push.NewGateway(push.GatewayOptions{
		URL: server.URL + "/push", Secrets: sign, Source: "test/shop", Pool: w.pool,
		Timeout: time.Second, Pause: 50 * time.Millisecond,
		Clock: time.Now, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	w.deliver = g.Deliver
	if _, ok := t.(*testing.T); ok {
		w.consumer("push", g.Deliver, push.Types())
	}
	return w
}

func (w *world) consumer(name string, deliver consume.Delivery, types []string) {
	w.t.Helper()
	c, err := consume.New(consume.Options{
		Name:        name,
		Types:       types,
		JetStream:   w.js,
		Pool:        w.pool,
		Replicas:    1,
		Delivery:    deliver,
		Ordered:     true,
		Since:       push.Since,
		MaxAttempts: 3,
		Backoff:     backoff.Policy{First: 5 * time.Millisecond, Max: 100 * time.Millisecond},
		Clock:       time.Now,
		Random:      mathrand.New(mathrand.NewPCG(1, 2)),
		Logger:      slog.New(slog.DiscardHandler),
	})
	if err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- c.Run(ctx) }()
	w.t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			w.t.Error(err)
		}
	})
	w.eventually("the durable", func() bool {
		_, err := w.js.Consumer(context.Background(), outbox.Stream, name)
		return err == nil
	})
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

func order(buyer string) *orderv1.Order {
	return &orderv1.Order{
		OrderId: uuid.NewString(), BuyerId: buyer, Total: &moneyv1.Money{Amount: 25900, Currency: "CNY"},
		Lines: []*orderv1.OrderLine{{Title: "Green tea", Quantity: 2}},
	}
}

// publish has an event happen and returns its id.
func (w *world) publish(o *orderv1.Order, version int, event proto.Message) string {
	w.t.Helper()
	data, err := proto.Marshal(event)
	if err != nil {
		w.t.Fatal(err)
	}
	name := string(event.ProtoReflect().Descriptor().FullName())
	id := fmt.Sprintf("%s.%d", o.GetOrderId(), version)
	msg := nats.NewMsg("order.events." + outbox.NameOf(name) + "." + o.GetOrderId())
	msg.Data = data
	for header, value := range map[string]string{
		"ce-specversion": "1.0", "ce-id": id, "ce-source": "test/shop", "ce-type": name, "ce-subject": o.GetOrderId(),
		"ce-time": time.Now().UTC().Format(time.RFC3339Nano), "ce-datacontenttype": "application/protobuf", "Nats-Msg-Id": id,
	} {
		msg.Header.Set(header, value)
	}
	if _, err := w.js.PublishMsg(context.Background(), msg); err != nil {
		w.t.Fatal(err)
	}
	return id
}

func (w *world) pay(buyer string) string {
	o := order(buyer)
	return w.publish(o, 2, &orderv1.OrderPaid{Order: o})
}

// done waits until a consumer has nothing left.
func (w *world) done(name string) {
	w.t.Helper()
	w.eventually(name+" is done", func() bool {
		c, err := w.js.Consumer(context.Background(), outbox.Stream, name)
		if err != nil {
			return false
		}
		info, err := c.Info(context.Background())
		return err == nil && info.NumPending == 0 && info.NumAckPending == 0
	})
}

func (w *world) deadLetters() uint64 {
	w.t.Helper()
	s, err := w.js.Stream(context.Background(), consume.DeadLetters)
	if err != nil {
		w.t.Fatal(err)
	}
	return s.CachedInfo().State.Msgs
}

func (w *world) setLanguage(buyer, language string) {
	w.t.Helper()
	if _, err := w.service.SetLanguage(w.t.Context(),
		&pushv1.SetLanguageRequest{RequestId: "l-" + buyer, BuyerId: buyer, Language: language}); err != nil {
		w.t.Fatal(err)
	}
}

package push_test

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"log/slog"
	mathrand "math/rand/v2"
	"net/http"
	"net/http/httptest"
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

	moneyv1 "github.com/orderd-dev/orderd/api/gen/orderd/money/v1"
	orderv1 "github.com/orderd-dev/orderd/api/gen/orderd/order/v1"
	pushv1 "github.com/orderd-dev/orderd/api/gen/orderd/push/v1"
	"github.com/orderd-dev/orderd/orderd/kit/backoff"
	"github.com/orderd-dev/orderd/orderd/kit/consume"
	"github.com/orderd-dev/orderd/orderd/kit/outbox"
	"github.com/orderd-dev/orderd/orderd/kit/rpcerr"
	"github.com/orderd-dev/orderd/orderd/shop/push"
	"github.com/orderd-dev/orderd/orderd/sim/pushgateway"
	"github.com/orderd-dev/orderd/test/kit/testdb"
	"github.com/orderd-dev/orderd/test/kit/testnats"
)

const patience = 30 * time.Second

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

func TestBuyersAreToldInTheirLanguage(t *testing.T) {
	secret := newSecret()
	w := newWorld(t, []string{secret}, secret)
	w.setLanguage("bo", "zh-tw")
	o := order("ann")
	want := map[string]pushgateway.Data{}
	ids := []string{
		w.publish(o, 1, &orderv1.OrderPlaced{Order: o}),
		w.publish(o, 2, &orderv1.OrderPaid{Order: o}),
		w.publish(o, 3, &orderv1.OrderShipped{Order: o, ShipmentId: "s"}),
		w.publish(o, 4, &orderv1.OrderReturnChanged{Order: o, ReturnId: "r", State: "IN_TRANSIT"}),
		w.publish(o, 5,
			&orderv1.OrderRefunded{Order: o, RefundId: "f", Amount: &moneyv1.Money{Amount: 100, Currency: "CNY"}}),
	}
	for i, texts := range [][3]string{
		1: {"paid", "Order paid", "We received 259.00 CNY for Green tea. Your order is being prepared."},
		2: {"shipped", "Order shipped", "A parcel of your order of Green tea is on its way."},
		3: {"return_changed", "Your return", "Your return for Green tea is now: on its way to us."},
		4: {"refunded", "Refund paid", "1.00 CNY for your order of Green tea was paid back to you."},
	} {
		if i > 0 {
			want[ids[i]] = pushgateway.Data{
				BuyerID:  "ann",
				OrderID:  o.GetOrderId(),
				Event:    texts[0],
				Language: "en",
				Title:    texts[1],
				Body:     texts[2],
			}
		}
	}
	bo := order("bo")
	want[w.publish(bo, 2, &orderv1.OrderPaid{Order: bo})] = pushgateway.Data{
		BuyerID:  "bo",
		OrderID:  bo.GetOrderId(),
		Event:    "paid",
		Language: "zh",
		Title:    "订单已支付",
		Body:     "已收到您为Green tea支付的 259.00 CNY，正在为您备货。",
	}
	w.eventually("all are told", func() bool { return len(w.gateway.Taken()) == len(want) })
	w.done("push")
	got := map[string]pushgateway.Data{}
	var sequence []string
	for _, n := range w.gateway.Taken() {
		if n.Type != "orderd.push.v1.Notification" || n.Source != "test/shop" || n.Subject != n.Data.OrderID ||
			n.Times != 1 ||
			n.Data.OccurredAt.IsZero() {
			t.Errorf("notification %+v", n)
		}
		n.Data.OccurredAt = time.Time{}
		got[n.ID] = n.Data
		if n.Data.BuyerID == "ann" {
			sequence = append(sequence, n.ID)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("told (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(ids[1:], sequence); diff != "" {
		t.Errorf("sequence (-want +got):\n%s", diff)
	}
}

func TestKeysAreChangedWithoutALoss(t *testing.T) {
	before, after := newSecret(), newSecret()
	// orderd signs with both; the gateway goes from one to the other.
	w := newWorld(t, []string{after, before}, before)
	w.pay("ann")
	w.eventually("one with the key before", func() bool { return len(w.gateway.Taken()) == 1 })
	if err := w.gateway.SetSecrets(after); err != nil {
		t.Fatal(err)
	}
	w.pay("ann")
	w.eventually("one with the key after", func() bool { return len(w.gateway.Taken()) == 2 })
	if why := w.gateway.Refused(); len(why) != 0 {
		t.Errorf("refused: %v", why)
	}
	// A key that the gateway does not know is a mistake of ours, and costs no notification.
	if err := w.gateway.SetSecrets(newSecret()); err != nil {
		t.Fatal(err)
	}
	w.pay("ann")
	w.eventually("several attempts", func() bool { return len(w.gateway.Refused()) > 5 })
	if err := w.gateway.SetSecrets(before); err != nil {
		t.Fatal(err)
	}
	w.eventually("it is told after all", func() bool { return len(w.gateway.Taken()) == 3 })
}

func TestWhatTheGatewayAnswers(t *testing.T) {
	tests := []struct {
		name  string
		fault pushgateway.Fault
		// times the fault happens to one event; then the gateway is well.
		times int
		// taken or a dead letter in the end, after so many requests at least.
		taken    bool
		requests int
		repeated bool
	}{
		{name: "refuses it", fault: pushgateway.Fault{Status: http.StatusBadRequest}, times: 1, requests: 1},
		{name: "is not interested", fault: pushgateway.Fault{Status: http.StatusGone}, times: 1, requests: 1},
		{
			name:     "fails for a while",
			fault:    pushgateway.Fault{Status: http.StatusInternalServerError},
			times:    2,
			taken:    true,
			requests: 3,
		},
		{name: "fails at it always", fault: pushgateway.Fault{Status: http.StatusInternalServerError}, times: 3, requests: 3},
		{
			name:     "is busy for long",
			fault:    pushgateway.Fault{Status: http.StatusTooManyRequests, RetryAfter: "0"},
			times:    6,
			taken:    true,
			requests: 7,
		},
		{
			name:     "is being restarted",
			fault:    pushgateway.Fault{Status: http.StatusServiceUnavailable},
			times:    6,
			taken:    true,
			requests: 7,
		},
		{name: "redirects", fault: pushgateway.Fault{Status: http.StatusFound}, times: 1, taken: true, requests: 2},
		{
			name:     "drops the connection after it took it",
			fault:    pushgateway.Fault{Drop: true, TakeFirst: true},
			times:    2,
			taken:    true,
			requests: 3,
			repeated: true,
		},
		{name: "is slow once", fault: pushgateway.Fault{Delay: 3 * time.Second}, times: 1, taken: true, requests: 2},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			secret := newSecret()
			w := newWorld(t, []string{secret}, secret)
			var bad atomic.Pointer[string]
			var left atomic.Int64
			left.Store(int64(tt.times))
			o := order("ann")
			id := o.GetOrderId() + ".2"
			bad.Store(&id)
			w.gateway.SetFault(func(n pushgateway.Notification) pushgateway.Fault {
				if n.ID == *bad.Load() && left.Add(-1) >= 0 {
					return tt.fault
				}
				return pushgateway.Fault{}
			})
			w.publish(o, 2, &orderv1.OrderPaid{Order: o})
			other := w.pay("bo")
			w.done("push")
			taken := map[string]int{}
			for _, n := range w.gateway.Taken() {
				taken[n.ID] = n.Times
			}
			if (taken[id] > 0) != tt.taken || (taken[id] > 1) != tt.repeated || taken[other] != 1 {
				t.Errorf("taken %v, want %s %v and %s", taken, id, tt.taken, other)
			}
			if got := w.deadLetters(); (got == 1) == tt.taken {
				t.Errorf("%d dead letters", got)
			}
			if got := w.gateway.Requests() - 1; got < tt.requests {
				t.Errorf("%d requests, want %d", got, tt.requests)
			}
		})
	}
}

func TestADeadGatewayDelaysItselfOnly(t *testing.T) {
	secret := newSecret()
	w := newWorld(t, []string{secret}, secret)
	var others atomic.Int64
	w.consumer("other", func(context.Context, consume.Event) error { others.Add(1); return nil }, push.Types())
	w.gateway.SetFault(func(pushgateway.Notification) pushgateway.Fault { return pushgateway.Fault{Drop: true} })
	var ids []string
	for range 100 {
		ids = append(ids, w.pay("ann"))
	}
	w.eventually("the other consumer is done", func() bool { return others.Load() == 100 })
	w.eventually("the gateway is tried again and again", func() bool { return w.gateway.Requests() > 20 })
	if got := w.gateway.Requests(); got > 300 {
		t.Errorf("%d requests to a dead gateway, want that the breaker keeps most of them", got)
	}
	w.gateway.SetFault(nil)
	w.eventually("all are told", func() bool { return len(w.gateway.Taken()) == len(ids) })
	w.done("push")
	if got := w.deadLetters(); got != 0 {
		t.Errorf("%d dead letters, want none from an outage", got)
	}
}

func TestAPauseThatTheGatewayAsksForIsKept(t *testing.T) {
	secret := newSecret()
	w := newWorld(t, []string{secret}, secret)
	var at atomic.Int64
	w.gateway.SetFault(func(pushgateway.Notification) pushgateway.Fault {
		if at.CompareAndSwap(0, time.Now().UnixNano()) {
			return pushgateway.Fault{Status: http.StatusServiceUnavailable, RetryAfter: "1"}
		}
		return pushgateway.Fault{}
	})
	w.pay("ann")
	w.eventually("the first request", func() bool { return w.gateway.Requests() > 0 })
	for range 30 {
		w.pay("bo")
	}
	w.eventually("the next request", func() bool { return w.gateway.Requests() > 1 })
	if waited := time.Since(time.Unix(0, at.Load())); waited < 900*time.Millisecond {
		t.Errorf("the next request came after %s, want a second", waited)
	}
	w.eventually("all are told", func() bool { return len(w.gateway.Taken()) == 31 })
}

func wantError(t *testing.T, err error, code connect.Code, reason string) {
	t.Helper()
	if connect.CodeOf(err) != code || rpcerr.Reason(err) != reason {
		t.Errorf("error %v, want %s/%s", err, code, reason)
	}
}

func TestTemplates(t *testing.T) {
	ctx := t.Context()
	pool := testdb.NewPool(t)
	s := push.NewService(push.Options{Pool: pool, Clock: time.Now})
	list := func(size int32) (out []string) {
		token := ""
		for {
			page, err := s.ListPushTemplates(ctx, &pushv1.ListPushTemplatesRequest{PageSize: size, PageToken: token})
			if err != nil {
				t.Fatal(err)
			}
			for _, p := range page.GetTemplates() {
				out = append(out, fmt.Sprintf("%s %s %v", p.GetEvent(), p.GetLanguage(), p.GetBuiltIn()))
			}
			if token = page.GetNextPageToken(); token == "" {
				return out
			}
		}
	}
	if got := list(0); len(got) != 2*len(push.Types()) {
		t.Errorf("from the start: %v", got)
	}
	req := &pushv1.UpsertPushTemplateRequest{
		RequestId: "r1",
		Template:  &pushv1.PushTemplate{Event: "paid", Language: "zh-tw", Title: "謝謝", Body: "{quantity} 件，{total}"},
	}
	for range 2 {
		answer, err := s.UpsertPushTemplate(ctx, req)
		if err != nil {
			t.Fatal(err)
		}
		if got := answer.GetTemplate(); got.GetLanguage() != "zh-TW" || got.GetBuiltIn() || got.GetUpdatedAt() == nil ||
			answer.GetExampleBody() != "3 件，259.00 CNY" {
			t.Errorf("answer %v", answer)
		}
	}
	if _, err := s.UpsertPushTemplate(ctx, &pushv1.UpsertPushTemplateRequest{
		RequestId: "r2",
		Template:  &pushv1.PushTemplate{Event: "paid", Language: "en", Muted: true},
	}); err != nil {
		t.Fatal(err)
	}
	for _, size := range []int32{1, 4, 100} {
		got := list(size)
		want := []string{
			"cancelled en true",
			"cancelled zh true",
			"completed en true",
			"completed zh true",
			"delivered en true",
			"delivered zh true",
			"paid en false",
			"paid zh true",
			"paid zh-TW false",
			"refunded en true",
			"refunded zh true",
			"return_changed en true",
			"return_changed zh true",
			"shipped en true",
			"shipped zh true",
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("pages of %d (-want +got):\n%s", size, diff)
		}
	}
	for reason, tmpl := range map[string]*pushv1.PushTemplate{
		"EVENT_UNKNOWN":    {Event: "eaten", Language: "en", Title: "x"},
		"LANGUAGE_INVALID": {Event: "paid", Language: "x!", Title: "x"},
		"TEMPLATE_INVALID": {Event: "paid", Language: "en", Title: "{buyer_id}"},
	} {
		_, err := s.UpsertPushTemplate(ctx, &pushv1.UpsertPushTemplateRequest{RequestId: "r3", Template: tmpl})
		wantError(t, err, connect.CodeInvalidArgument, reason)
	}
	_, err := s.UpsertPushTemplate(ctx, &pushv1.UpsertPushTemplateRequest{
		RequestId: "r1",
		Template:  &pushv1.PushTemplate{Event: "paid", Language: "en", Title: "x"},
	})
	wantError(t, err, connect.CodeAlreadyExists, "REQUEST_ID_REUSED")
	for range 2 {
		if _, err := s.DeletePushTemplate(ctx,
			&pushv1.DeletePushTemplateRequest{RequestId: "r4", Event: "paid", Language: "en"}); err != nil {
			t.Fatal(err)
		}
	}
	_, err = s.DeletePushTemplate(ctx, &pushv1.DeletePushTemplateRequest{RequestId: "r5", Event: "paid", Language: "en"})
	wantError(t, err, connect.CodeNotFound, "TEMPLATE_NOT_FOUND")
}

func TestThereIsALimitOfTemplates(t *testing.T) {
	ctx := t.Context()
	pool := testdb.NewPool(t)
	s := push.NewService(push.Options{Pool: pool, Clock: time.Now})
	if _, err := pool.Exec(
		ctx,
		"INSERT INTO push_templates (event, language, title, body, muted, updated_at) SELECT 'paid', 'x' || i::text, '', '', true, now() FROM generate_series(1, 1000) AS i",
	); err != nil {
		t.Fatal(err)
	}
	_, err := s.UpsertPushTemplate(ctx, &pushv1.UpsertPushTemplateRequest{
		RequestId: "r1",
		Template:  &pushv1.PushTemplate{Event: "paid", Language: "en", Title: "x"},
	})
	wantError(t, err, connect.CodeResourceExhausted, "TOO_MANY_TEMPLATES")
	if _, err := pool.Exec(ctx, "UPDATE push_templates SET language = 'en' WHERE language = 'x1'"); err != nil {
		t.Fatal(err)
	}
	if _, err := s.UpsertPushTemplate(ctx, &pushv1.UpsertPushTemplateRequest{
		RequestId: "r1",
		Template:  &pushv1.PushTemplate{Event: "paid", Language: "en", Title: "x"},
	}); err != nil {
		t.Errorf("changing one that is there: %v", err)
	}
}

func TestLanguages(t *testing.T) {
	ctx := t.Context()
	s := push.NewService(push.Options{Pool: testdb.NewPool(t), Clock: time.Now})
	get := func() string {
		answer, err := s.GetLanguage(ctx, &pushv1.GetLanguageRequest{BuyerId: "ann"})
		if err != nil {
			t.Fatal(err)
		}
		return answer.GetLanguage()
	}
	if got := get(); got != "en" {
		t.Errorf("language %s before one is set", got)
	}
	answer, err := s.SetLanguage(ctx, &pushv1.SetLanguageRequest{RequestId: "r1", BuyerId: "ann", Language: "ZH-tw"})
	if err != nil || answer.GetLanguage() != "zh-TW" || get() != "zh-TW" {
		t.Errorf("answer %v, %v; language %s", answer, err, get())
	}
	_, err = s.SetLanguage(ctx, &pushv1.SetLanguageRequest{RequestId: "r2", BuyerId: "ann", Language: "und"})
	wantError(t, err, connect.CodeInvalidArgument, "LANGUAGE_INVALID")
}

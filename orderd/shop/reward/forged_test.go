package reward_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"google.golang.org/protobuf/proto"

	orderv1 "github.com/orderd-dev/orderd/api/gen/orderd/order/v1"
	rewardv1 "github.com/orderd-dev/orderd/api/gen/orderd/reward/v1"
	"github.com/orderd-dev/orderd/orderd/kit/consume"
	"github.com/orderd-dev/orderd/orderd/kit/outbox"
	"github.com/orderd-dev/orderd/test/kit/testnats"
)

// forge publishes an event as somebody may who has credentials for it and is no worker.
func forge(t *testing.T, js jetstream.JetStream, o *orderv1.Order, m proto.Message) {
	t.Helper()
	data, err := proto.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	name := string(m.ProtoReflect().Descriptor().FullName())
	msg := nats.NewMsg("order.events." + outbox.NameOf(name) + "." + o.GetOrderId())
	msg.Data = data
	for key, value := range map[string]string{
		"ce-specversion": "1.0", "ce-id": o.GetOrderId() + ".2", "ce-source": "test/shop", "ce-type": name,
		"ce-subject": o.GetOrderId(), "ce-time": time.Now().UTC().Format(time.RFC3339Nano),
		"ce-datacontenttype": "application/protobuf",
	} {
		msg.Header.Set(key, value)
	}
	if _, err := js.PublishMsg(t.Context(), msg); err != nil {
		t.Fatal(err)
	}
}

// Whoever may publish events gives no coupons away by it, nor takes any.
func TestForgedEventsHaveNoEffect(t *testing.T) {
	s := newShop(t)
	js := testnats.Run(t).JetStream(t)
	if _, err := outbox.EnsureStream(t.Context(), js, 1); err != nil {
		t.Fatal(err)
	}
	s.template(t, "thanks", 100, 100)
	s.campaign(t, "taken", "thanks", 100, func(c *rewardv1.Campaign) { c.TakenBack = true })
	s.campaign(t, "large", "thanks", 100,
		func(c *rewardv1.Campaign) { c.Condition = &rewardv1.Condition{MinTotal: 1_000_000, Currency: "CNY"} })
	kept := s.order("ann")
	s.paid(t, kept)
	madeUp, others, unpaid, dear := s.order("eve"), s.order("bob"), s.order("eve"), s.order("eve")
	for _, o := range []*orderv1.Order{others, unpaid, dear} {
		if err := s.keep(t.Context(), event(o, &orderv1.OrderPaid{Order: o})); err != nil {
			t.Fatal(err)
		}
	}
	_, err := s.pool.Exec(t.Context(),
		"UPDATE orders SET state = 'PENDING_PAYMENT', paid_at = NULL, payment_id = NULL WHERE order_id = $1",
		uuid.MustParse(unpaid.GetOrderId()))
	if err != nil {
		t.Fatal(err)
	}
	others.BuyerId = "eve"
	dear.Total.Amount = 2_000_000
	cancelled, refunded := proto.CloneOf(kept), proto.CloneOf(kept)
	refunded.OrderId = s.order("ann").GetOrderId()
	if err := s.keep(t.Context(), event(refunded, &orderv1.OrderPaid{Order: refunded})); err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		madeUp.GetOrderId(): "order_id: ", others.GetOrderId(): "buyer_id: ", unpaid.GetOrderId(): "paid_at: ",
		cancelled.GetOrderId(): "cancelled_at: ", refunded.GetOrderId(): "refund_status: ",
	}
	for _, o := range []*orderv1.Order{madeUp, others, unpaid, dear} {
		forge(t, js, o, &orderv1.OrderPaid{Order: o})
	}
	forge(t, js, cancelled, &orderv1.OrderCancelled{Order: cancelled})
	forge(t, js, refunded, refundedInFull(refunded))

	c, err := newConsumer(s.pool, js, func() time.Time { return s.now })
	if err != nil {
		t.Fatal(err)
	}
	run(t, c.Run)
	found := map[string]string{}
	eventually(t, "the forged events are dead letters", func() bool {
		found = deadLetters(t, js)
		return len(found) == len(want)
	})
	for id, field := range want {
		if !strings.Contains(found[id], field) {
			t.Errorf("dead letter of %s: %q, want %q in it", id, found[id], field)
		}
	}
	eventually(t, "the paid order is rewarded", func() bool { return len(s.outcomes(t, dear)) > 0 })
	if got := s.outcomes(t, dear); len(got) != 1 || got["taken"] != "GRANTED" {
		t.Errorf("an order that is dear in its event alone got %v", got)
	}
	if n := s.has(t, available); n != 1 {
		t.Errorf("ann has %d coupons, want the one that she got", n)
	}
	var coupons, first int64
	if err := s.pool.QueryRow(context.Background(), `SELECT (SELECT count(*) FROM coupons),
		(SELECT count(*) FROM reward_first_orders)`).Scan(&coupons, &first); err != nil {
		t.Fatal(err)
	}
	if coupons != 2 || first != 2 {
		t.Errorf("%d coupons and %d buyers with a first order, want 2: ann's, and one for eve's paid order", coupons, first)
	}
}

// deadLetters are the reasons by order.
func deadLetters(t *testing.T, js jetstream.JetStream) map[string]string {
	t.Helper()
	stream, err := js.Stream(context.Background(), consume.DeadLetters)
	if err != nil {
		return nil
	}
	found := map[string]string{}
	for next := uint64(1); ; {
		msg, err := stream.GetMsg(context.Background(), next,
			jetstream.WithGetMsgSubject(consume.DeadLetterSubject("reward")))
		if err != nil {
			return found
		}
		found[msg.Header.Get("ce-subject")] = msg.Header.Get(consume.HeaderReason)
		next = msg.Sequence + 1
	}
}

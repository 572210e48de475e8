package push_test

import (
	"context"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	moneyv1 "github.com/orderd-dev/orderd/api/gen/orderd/money/v1"
	orderv1 "github.com/orderd-dev/orderd/api/gen/orderd/order/v1"
	"github.com/orderd-dev/orderd/orderd/kit/consume"
	"github.com/orderd-dev/orderd/orderd/shop/push"
	"github.com/orderd-dev/orderd/orderd/sim/pushgateway"
)

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
		w.publish(o, 6, &orderv1.OrderInvoiceChanged{Order: o, InvoiceId: "i", State: "ISSUED"}),
	}
	// Who has asked knows that they have.
	w.publish(o, 7, &orderv1.OrderInvoiceChanged{Order: o, InvoiceId: "i", State: "REQUESTED"})
	for i, texts := range [][3]string{
		1: {"paid", "Order paid", "We received 259.00 CNY for Green tea. Your order is being prepared."},
		2: {"shipped", "Order shipped", "A parcel of your order of Green tea is on its way."},
		3: {"return_changed", "Your return", "Your return for Green tea is now: on its way to us."},
		4: {"refunded", "Refund paid", "1.00 CNY for your order of Green tea was paid back to you."},
		5: {"invoice_changed", "Your invoice", "Your invoice for Green tea is now: issued."},
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

// gatewayAnswers are what the gateway does to one event, and what becomes of the event.
var gatewayAnswers = []struct {
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

func TestWhatTheGatewayAnswers(t *testing.T) {
	for _, tt := range gatewayAnswers {
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

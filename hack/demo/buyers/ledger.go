package buyers

import (
	"fmt"
	"maps"
	"sync"
	"time"

	flashv1 "github.com/orderd-dev/orderd/api/gen/orderd/flash/v1"
	"github.com/orderd-dev/orderd/hack/demo/plan"
)

// maxBroken is how many broken promises are told in words.
const maxBroken = 20

// order is an acknowledged order, as the buyer asked for it.
type order struct {
	id        string
	buyerID   string
	requestID string
	items     []*flashv1.FlashOrderItem
}

type request struct{ buyerID, requestID string }

type buyerItem struct{ buyerID, sku string }

// ledger is what the buyers know: every answer they had. It notices answers that contradict each other.
type ledger struct {
	plan plan.Plan
	// tokens of the buyers, by their ids; not changed after login.
	tokens map[string]string

	mu        sync.Mutex
	orders    map[string]order
	byRequest map[request]string
	bought    map[buyerItem]int64
	// open requests were sent and never answered.
	open map[request]order
	// refused requests had a final refusal.
	refused  map[request]bool
	result   plan.Result
	inFlight int64
	retried  int64
	refusals int64
	verified int64
	stage    string
}

func newLedger(p plan.Plan) *ledger {
	return &ledger{
		plan: p, stage: "rush",
		orders: map[string]order{}, byRequest: map[request]string{}, bought: map[buyerItem]int64{},
		open: map[request]order{}, refused: map[request]bool{},
		result: plan.Result{
			Refused: map[string]int64{}, Units: map[string]int64{}, SoldOut: map[string]int64{},
			PaidBy: map[string]int64{}, Seconds: map[string]float64{}, Broken: []string{},
		},
	}
}

// sent notes a request under way; done notes that it came back, however.
func (l *ledger) sent(o order) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.result.Requests++
	l.inFlight++
	key := request{o.buyerID, o.requestID}
	if l.byRequest[key] == "" && !l.refused[key] {
		l.open[key] = o
	}
}

func (l *ledger) done() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.inFlight--
}

// accepted notes an order; the same answer to a repeated request is noted as such.
func (l *ledger) accepted(o order, at, acceptedAt time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	key := request{o.buyerID, o.requestID}
	delete(l.open, key)
	if before := l.byRequest[key]; before != "" {
		if before != o.id {
			l.brokenLocked("request %s made two orders, %s and %s", o.requestID, before, o.id)
		}
		l.result.Repeated++
		return
	}
	l.addLocked(o)
	if acceptedAt.Before(l.plan.Start) {
		l.brokenLocked("order %s was accepted %s before the start", o.id, l.plan.Start.Sub(acceptedAt))
	}
	if millis := at.Sub(l.plan.Start).Milliseconds(); l.result.Accepted == 1 || millis < l.result.FirstAcceptedMillis {
		l.result.FirstAcceptedMillis = millis
	}
	if l.result.FirstAcceptedAt.IsZero() || acceptedAt.Before(l.result.FirstAcceptedAt) {
		l.result.FirstAcceptedAt = acceptedAt
	}
}

// found notes an order in the database that no answer told of.
func (l *ledger) found(o order) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.open, request{o.buyerID, o.requestID})
	l.result.LateFound++
	l.addLocked(o)
}

func (l *ledger) addLocked(o order) {
	key := request{o.buyerID, o.requestID}
	if other, ok := l.orders[o.id]; ok {
		l.brokenLocked("order %s was given to two requests, %s and %s", o.id, other.requestID, o.requestID)
	}
	l.orders[o.id] = o
	l.byRequest[key] = o.id
	l.result.Accepted++
	for _, it := range o.items {
		l.result.Units[it.GetSku()] += it.GetQuantity()
		l.bought[buyerItem{o.buyerID, it.GetSku()}] += it.GetQuantity()
	}
	for _, it := range l.plan.Items {
		if n := l.bought[buyerItem{o.buyerID, it.SKU}]; it.LimitPerBuyer > 0 && n > it.LimitPerBuyer {
			l.brokenLocked("a buyer has %d of %s, the limit is %d", n, it.SKU, it.LimitPerBuyer)
		}
	}
}

// refuse notes a refusal; a final one closes the request.
func (l *ledger) refuse(o order, reason string, final bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.result.Refused[reason]++
	l.refusals++
	if !final {
		l.retried++
		return
	}
	key := request{o.buyerID, o.requestID}
	delete(l.open, key)
	l.refused[key] = true
	if reason == "SOLD_OUT" && len(o.items) == 1 && o.items[0].GetQuantity() == 1 {
		l.result.SoldOut[o.items[0].GetSku()]++
	}
}

func (l *ledger) broken(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.brokenLocked(format, args...)
}

func (l *ledger) brokenLocked(format string, args ...any) {
	if len(l.result.Broken) < maxBroken {
		l.result.Broken = append(l.result.Broken, fmt.Sprintf(format, args...))
	}
}

func (l *ledger) progress() plan.Progress {
	l.mu.Lock()
	defer l.mu.Unlock()
	return plan.Progress{
		Stage: l.stage, Requests: l.result.Requests, Accepted: l.result.Accepted, Refused: l.refusals, Retried: l.retried,
		InFlight: l.inFlight, Verified: l.verified, Paid: l.result.Paid,
		Rewarded: l.result.Rewarded, Notified: l.result.Notified, Delivered: l.result.Delivered,
	}
}

// enter ends the stage before, which took that long.
func (l *ledger) enter(stage string, took time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.result.Seconds[l.stage] = took.Seconds()
	l.stage = stage
}

func (l *ledger) missing(o order, why string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.result.Missing++
	l.brokenLocked("order %s: %s", o.id, why)
}

func (l *ledger) verifiedOne() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.verified++
}

func (l *ledger) paidOne(provider string) {
	l.count(func() {
		l.result.Paid++
		l.result.PaidBy[provider]++
	})
}

// count changes what is counted.
func (l *ledger) count(change func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	change()
}

func (l *ledger) snapshot() (orders []order, open map[request]order) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, o := range l.orders {
		orders = append(orders, o)
	}
	return orders, maps.Clone(l.open)
}

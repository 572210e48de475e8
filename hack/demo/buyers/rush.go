package buyers

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"connectrpc.com/connect/v2"

	flashv1 "github.com/orderd-dev/orderd/api/gen/orderd/flash/v1"
	"github.com/orderd-dev/orderd/api/gen/orderd/flash/v1/flashv1connect"
	"github.com/orderd-dev/orderd/orderd/rpcerr"
)

const (
	// answerWithin is how long an app waits for an answer before it sends the request again.
	answerWithin = 4 * time.Second
	// patience is how long a buyer goes on trying one request.
	patience = 30 * time.Second
	// minRetry and maxRetry bound the delay before a retry for which the answer asks no delay.
	minRetry = 50 * time.Millisecond
	maxRetry = time.Second
)

// rush lets everybody come at their moment. It returns when the last one has left, soon after the
// promotion's end at the latest.
func (l *ledger) rush(ctx context.Context, apps []flashv1connect.FlashServiceClient) {
	ctx, cancel := context.WithDeadline(ctx, l.plan.End.Add(10*time.Second))
	defer cancel()
	slots := make(chan struct{}, l.plan.InFlight)
	var wg sync.WaitGroup
	defer wg.Wait()
	for i, v := range crowd(l.plan) {
		if !wait(ctx, time.Until(v.at)) {
			return
		}
		select {
		case slots <- struct{}{}:
		case <-ctx.Done():
			return
		}
		wg.Go(func() {
			defer func() { <-slots }()
			for _, s := range v.steps {
				l.buy(ctx, apps[i%len(apps)], v.buyerID, s)
			}
		})
	}
}

// buy does one step of a buyer, taps and second thoughts included.
func (l *ledger) buy(ctx context.Context, app flashv1connect.FlashServiceClient, buyerID string, s step) {
	o := order{buyerID: buyerID, requestID: s.requestID, items: s.items}
	var wg sync.WaitGroup
	for range s.taps {
		wg.Go(func() { l.ask(ctx, app, o) })
	}
	wg.Wait()
	if s.again {
		l.ask(ctx, app, o)
	}
	if s.changed {
		l.askChanged(ctx, app, o)
	}
}

// ask sends the request until there is a final answer, as a well-behaved app does: the same request
// id every time, after the delay that the answer asks for.
func (l *ledger) ask(ctx context.Context, app flashv1connect.FlashServiceClient, o order) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for attempt := 0; ; attempt++ {
		res, err := l.send(ctx, app, o, o.items)
		if err == nil {
			o.id = res.GetOrderId()
			l.accepted(o, time.Now(), res.GetAcceptedAt().AsTime())
			return
		}
		reason, delay, final := l.judge(err, attempt)
		if ctx.Err() == nil || final {
			l.refuse(o, reason, final)
		}
		if final || !wait(ctx, delay) {
			return
		}
	}
}

// askChanged repeats the request id with another body, which must be refused if the first was accepted.
func (l *ledger) askChanged(ctx context.Context, app flashv1connect.FlashServiceClient, o order) {
	l.mu.Lock()
	known := l.byRequest[request{o.buyerID, o.requestID}] != ""
	l.mu.Unlock()
	if !known {
		return
	}
	items := []*flashv1.FlashOrderItem{{Sku: o.items[0].GetSku(), Quantity: o.items[0].GetQuantity() + 1}}
	_, err := l.send(ctx, app, o, items)
	if err == nil {
		l.broken("request %s was accepted again with another body", o.requestID)
		return
	}
	reason, _, final := l.judge(err, 0)
	l.refuse(order{buyerID: o.buyerID, requestID: o.requestID, items: items}, reason, final)
}

func (l *ledger) send(ctx context.Context, app flashv1connect.FlashServiceClient, o order, items []*flashv1.FlashOrderItem) (*flashv1.PlaceFlashOrderResponse, error) {
	ctx, cancel := context.WithTimeout(l.as(ctx, o.buyerID), answerWithin)
	defer cancel()
	l.sent(o)
	defer l.done()
	return app.PlaceFlashOrder(ctx, &flashv1.PlaceFlashOrderRequest{
		Promotion: l.plan.Promotion, BuyerId: o.buyerID, RequestId: o.requestID, Items: items,
	})
}

// judge says what an error means to a buyer: its reason, and whether and when a retry makes sense.
func (l *ledger) judge(err error, attempt int) (reason string, delay time.Duration, final bool) {
	reason = rpcerr.Reason(err)
	code := connect.CodeOf(err)
	if reason == "" {
		reason = code.String()
	}
	switch {
	case reason == "NOT_STARTED":
		// The page counts down and sends the request as the sale opens.
		return reason, time.Until(l.plan.Start) + rand.N(300*time.Millisecond), false
	case code == connect.CodeUnavailable, code == connect.CodeDeadlineExceeded, code == connect.CodeUnknown, code == connect.CodeCanceled:
		if after, ok := rpcerr.RetryAfter(err); ok {
			return reason, min(after, maxRetry) + rand.N(minRetry), false
		}
		backoff := min(minRetry<<min(attempt, 10), maxRetry)
		return reason, backoff/2 + rand.N(backoff), false
	default:
		return reason, 0, true
	}
}

// wait is false if the context ended first.
func wait(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"connectrpc.com/connect/v2"

	flashv1 "github.com/orderd-dev/orderd/api/gen/orderd/flash/v1"
	orderv1 "github.com/orderd-dev/orderd/api/gen/orderd/order/v1"
	paymentv1 "github.com/orderd-dev/orderd/api/gen/orderd/payment/v1"
	"github.com/orderd-dev/orderd/orderd/flash/refusal"
	"github.com/orderd-dev/orderd/orderd/kit/rpcerr"
	"github.com/orderd-dev/orderd/orderd/shop/payment/sandbox"
	"github.com/orderd-dev/orderd/orderd/sim/audit"
	sim "github.com/orderd-dev/orderd/orderd/sim/buyers"
)

const (
	// attempt is how long a buyer waits for an answer.
	attempt = 2 * time.Second
	// tries of a request whose outcome is unknown, before the buyer comes back later.
	tries = 3
)

// buyers of a sale.
type buyers struct {
	*trial
	made atomic.Int64
	// after is what buyers do with orders that they have.
	after sync.WaitGroup
}

// crowd of buyers until the sale is over; each wants one thing after the other.
func (b *buyers) crowd(ctx context.Context) {
	var group sync.WaitGroup
	for i := range uint64(atOnce) {
		r := random(b.plan.seed, forBuyers+i)
		group.Go(func() {
			if !wait(ctx, time.Until(b.start.Add(-ahead))) {
				return
			}
			mine := []string{b.name()}
			for b.live() && ctx.Err() == nil {
				if r.IntN(3) == 0 {
					mine = append(mine, b.name())
				}
				b.want(ctx, r, mine[max(0, len(mine)-1-r.IntN(3))])
				wait(ctx, between(r, 5, 80))
			}
		})
	}
	group.Wait()
}

func (b *buyers) name() string { return fmt.Sprintf("b%d", b.made.Add(1)) }

func (b *buyers) live() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return time.Now().Before(b.end.Add(200 * time.Millisecond))
}

// cart of a new request: mostly one item, all of one stream but for a mistake now and then.
func (b *buyers) cart(r *rand.Rand) []audit.Item {
	first := b.plan.offers[r.IntN(len(b.plan.offers))]
	items := []audit.Item{{SKU: first.SKU, Quantity: 1 + int64(r.IntN(10)/8)*int64(1+r.IntN(2))}}
	for _, o := range b.plan.offers {
		if o.SKU != first.SKU && (o.stream == first.stream || r.IntN(30) == 0) && r.IntN(6) == 0 {
			items = append(items, audit.Item{SKU: o.SKU, Quantity: 1})
		}
	}
	return items
}

func (b *buyers) want(ctx context.Context, r *rand.Rand, buyer string) {
	c := audit.Call{Kind: audit.Place, Buyer: buyer, Request: fmt.Sprintf("r%d", b.made.Add(1)), Items: b.cart(r)}
	first := r.IntN(2) == 0
	if r.IntN(20) == 0 {
		// The same twice at once, by two ways.
		var twin sync.WaitGroup
		way := b.any(r.Uint32())
		twin.Go(func() { b.place(ctx, c, way, false) })
		defer twin.Wait()
		first = false
	}
	var got audit.Call
	for try := range tries {
		asked, leave := ctx, context.CancelFunc(func() {})
		if r.IntN(12) == 0 {
			// Goes away in the middle.
			asked, leave = context.WithTimeout(ctx, time.Duration(r.IntN(15))*time.Millisecond)
		}
		got = b.place(asked, c, b.any(r.Uint32()), first && try == 0)
		leave()
		if got.Outcome != audit.Unknown {
			break
		}
		wait(ctx, between(r, 20, 300))
	}
	switch {
	case got.Outcome == audit.Accepted:
		b.bought(ctx, r, c, got.OrderID)
	case r.IntN(8) == 0:
		b.place(ctx, c, b.any(r.Uint32()), false)
	}
}

// bought decides what becomes of an order.
func (b *buyers) bought(ctx context.Context, r *rand.Rand, c audit.Call, order string) {
	switch r.IntN(10) {
	case 0, 1:
		b.place(ctx, c, b.any(r.Uint32()), false)
	case 2:
		other := c
		other.Items = []audit.Item{{SKU: c.Items[0].SKU, Quantity: c.Items[0].Quantity + 1}}
		b.place(ctx, other, b.any(r.Uint32()), false)
	case 3, 4:
		b.find(ctx, c, b.any(r.Uint32()))
	case 5, 6:
		b.get(ctx, c.Buyer, order)
	}
	what, later, again := r.IntN(10), between(r, 0, 800), r.Uint32()
	b.after.Go(func() {
		wait(ctx, later)
		switch {
		case what < 3:
			b.pay(ctx, c.Buyer, order)
		case what < 6:
			b.cancel(ctx, c.Buyer, order)
		}
		b.get(ctx, c.Buyer, order)
		b.find(ctx, c, b.any(again))
	})
}

// door is a way to the flash lane: a pod, by a call of its own or over the stream that many share.
type door struct {
	*pod
	stream bool
}

// any flash pod, now and then by its stream.
func (b *buyers) any(n uint32) door {
	return door{b.w.flash[int(n)%len(b.w.flash)], n/16%4 == 0}
}

// call one thing and record it.
func (b *buyers) call(
	ctx context.Context, c audit.Call, d door, rpc func(context.Context, *audit.Call) error,
) audit.Call {
	ctx, cancel := context.WithTimeout(ctx, attempt)
	defer cancel()
	if c.Pod = d.Name; d.stream {
		c.Pod += "~"
	}
	c.Sent = time.Now()
	err := rpc(ctx, &c)
	c.Answered = time.Now()
	answer := sim.Read(err)
	c.Outcome, c.Reason, c.SKU = answer.Outcome, answer.Reason, answer.SKU
	var refused *refusal.Error
	if errors.As(err, &refused) {
		c.SKU = refused.Message().GetMetadata()["sku"]
	}
	if err != nil && rpcerr.Reason(err) == "" {
		c.Reason = err.Error()
	}
	b.record(c)
	return c
}

func (b *buyers) place(ctx context.Context, c audit.Call, d door, first bool) audit.Call {
	req := sim.Order{Buyer: c.Buyer, Request: c.Request, Items: c.Items}.Place(b.promo.GetName())
	req.FirstAttempt = first
	if b.plan.admission {
		req.AdmissionTokens = b.admit(ctx, c, d.pod)
	}
	return b.call(ctx, c, d, func(ctx context.Context, c *audit.Call) error {
		res, err := b.w.clients[d.pod].place(ctx, req, d.stream)
		if err == nil {
			c.OrderID, c.State = res.GetOrderId(), strings.TrimPrefix(res.GetState().String(), "FLASH_ORDER_STATE_")
		}
		return err
	})
}

// admit a buyer once for each request; without an answer the buyer goes without tokens.
func (b *buyers) admit(ctx context.Context, c audit.Call, p *pod) []string {
	k := fmt.Sprint(c.Buyer, c.Items)
	b.mu.Lock()
	known := b.tokens[k]
	b.mu.Unlock()
	if known != nil {
		return known
	}
	ctx, cancel := context.WithTimeout(ctx, attempt)
	defer cancel()
	req := &flashv1.AdmitBuyersRequest{Promotion: b.promo.GetName()}
	for _, i := range c.Items {
		req.Admissions = append(req.Admissions, &flashv1.Admission{BuyerId: c.Buyer, Sku: i.SKU})
	}
	res, err := b.w.clients[p].admission.AdmitBuyers(ctx, req)
	if err != nil {
		return nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.tokens[k] = res.GetTokens()
	return res.GetTokens()
}

func (b *buyers) find(ctx context.Context, c audit.Call, d door) audit.Call {
	c.Kind, c.Items = audit.Find, nil
	return b.call(ctx, c, door{pod: d.pod}, func(ctx context.Context, c *audit.Call) error {
		res, err := b.w.clients[d.pod].flash.GetFlashOrder(ctx,
			&flashv1.GetFlashOrderRequest{Promotion: b.promo.GetName(), BuyerId: c.Buyer, RequestId: c.Request})
		if err == nil {
			c.OrderID, c.State = res.GetOrderId(), strings.TrimPrefix(res.GetState().String(), "FLASH_ORDER_STATE_")
		}
		return err
	})
}

func (b *buyers) get(ctx context.Context, buyer, order string) {
	b.call(
		ctx,
		audit.Call{Kind: audit.Get, Buyer: buyer, OrderID: order},
		door{pod: b.w.standard},
		func(ctx context.Context, c *audit.Call) error {
			res, err := b.w.clients[b.w.standard].orders.GetOrder(ctx, &orderv1.GetOrderRequest{BuyerId: buyer, OrderId: order})
			if err == nil {
				c.State = strings.TrimPrefix(res.GetOrder().GetState().String(), "ORDER_STATE_")
			}
			return err
		},
	)
}

// cancel an order, until there is an answer.
func (b *buyers) cancel(ctx context.Context, buyer, order string) {
	for b.live() && ctx.Err() == nil {
		c := b.call(
			ctx,
			audit.Call{Kind: audit.Cancel, Buyer: buyer, OrderID: order},
			door{pod: b.w.standard},
			func(ctx context.Context, _ *audit.Call) error {
				_, err := b.w.clients[b.w.standard].orders.CancelOrder(ctx,
					&orderv1.CancelOrderRequest{RequestId: "cancel-" + order, BuyerId: buyer, OrderId: order})
				return err
			},
		)
		if c.Outcome != audit.Unknown {
			return
		}
		wait(ctx, 150*time.Millisecond)
	}
}

// pay an order, until it is paid or too late for it.
func (b *buyers) pay(ctx context.Context, buyer, order string) {
	var page string
	for b.live() && ctx.Err() == nil {
		c := b.call(
			ctx,
			audit.Call{Kind: audit.Pay, Buyer: buyer, OrderID: order},
			door{pod: b.w.standard},
			func(ctx context.Context, _ *audit.Call) error {
				if page != "" {
					return post(ctx, page)
				}
				res, err := b.w.clients[b.w.standard].payments.CreatePayment(ctx, &paymentv1.CreatePaymentRequest{
					RequestId: "pay-" + order, BuyerId: buyer, OrderId: order, Provider: sandbox.Name,
				})
				page = res.GetRedirectUrl()
				if err != nil {
					return err
				}
				return post(ctx, page)
			},
		)
		if c.Outcome != audit.Unknown {
			return
		}
		wait(ctx, 150*time.Millisecond)
	}
}

// post to the sandbox's page, which pays.
func post(ctx context.Context, page string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, page, http.NoBody)
	if err != nil {
		return err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = res.Body.Close() }()
	if res.StatusCode/100 != 2 {
		return connect.NewError(connect.CodeUnavailable, res.Status)
	}
	return nil
}

// resolve asks about every request whose outcome nobody knows, until there is an answer.
func (b *buyers) resolve(ctx context.Context) error {
	b.mu.Lock()
	type key struct{ buyer, request string }
	last := map[key]audit.Call{}
	accepted := map[key]bool{}
	for _, c := range b.calls {
		if c.Kind != audit.Place && c.Kind != audit.Find {
			continue
		}
		k := key{c.Buyer, c.Request}
		accepted[k] = accepted[k] || c.Outcome == audit.Accepted && c.Kind == audit.Place
		// One unknown among them is reason enough.
		if was, ok := last[k]; c.Kind == audit.Place && (!ok || was.Outcome != audit.Unknown) {
			last[k] = c
		}
	}
	b.mu.Unlock()
	r := random(b.plan.seed, forShop)
	sample := 0
	for k, c := range last {
		if accepted[k] {
			// Some of those who have an order ask once more.
			if sample++; sample > 10 {
				continue
			}
		} else if c.Outcome != audit.Unknown {
			continue
		}
		err := until(
			ctx,
			patience,
			fmt.Sprintf("request %s of %s is resolved", k.request, k.buyer),
			func(ctx context.Context) error {
				got := b.place(ctx, again(c), b.any(r.Uint32()), false)
				if got.Outcome == audit.Unknown {
					return fmt.Errorf("%v", got)
				}
				return nil
			},
		)
		if err != nil {
			return err
		}
		err = until(
			ctx,
			patience,
			fmt.Sprintf("request %s of %s is found or not", k.request, k.buyer),
			func(ctx context.Context) error {
				if got := b.find(ctx, again(c), b.any(r.Uint32())); got.Outcome == audit.Unknown {
					return fmt.Errorf("%v", got)
				}
				return nil
			},
		)
		if err != nil {
			return err
		}
	}
	return nil
}

// again is what was asked, without the answer.
func again(c audit.Call) audit.Call {
	return audit.Call{Kind: audit.Place, Buyer: c.Buyer, Request: c.Request, Items: c.Items}
}

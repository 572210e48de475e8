package owner_test

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/google/uuid"

	flashv1 "github.com/orderd-dev/orderd/api/gen/orderd/flash/v1"
	"github.com/orderd-dev/orderd/orderd/flash/owner"
	"github.com/orderd-dev/orderd/orderd/flash/partition"
	"github.com/orderd-dev/orderd/orderd/flash/refusal"
	"github.com/orderd-dev/orderd/orderd/kit/rpcerr"
)

type kind string

const (
	placing   kind = "place"
	looking   kind = "look up"
	releasing kind = "release"
)

// exchange is a request and what its caller was told.
type exchange struct {
	id               int
	kind             kind
	buyer, request   string
	items            []*flashv1.FlashOrderItem
	called, answered time.Time
	// first is the request that a pod may refuse by itself.
	first *flashv1.PlaceFlashOrderRequest
	// order is the answer to placing and looking, and the question of releasing.
	order    string
	released bool
	outcome  flashv1.ReleaseOutcome
	// reason of a refusal; sku and left are its details.
	reason, sku string
	left        int64
}

// unknown says that the answer leaves open what happened.
func (e exchange) unknown() bool {
	switch e.reason {
	case rpcerr.ReasonPartitionMoving, rpcerr.ReasonOverloaded, rpcerr.ReasonNotOwner:
		return true
	}
	return false
}

// history is all that buyers and workers asked and were told.
type history struct {
	mu        sync.Mutex
	exchanges []exchange
}

func (h *history) add(e exchange) {
	h.mu.Lock()
	defer h.mu.Unlock()
	e.id = len(h.exchanges)
	h.exchanges = append(h.exchanges, e)
}

// buyer asks for one buyer, and as the worker that releases the buyer's orders.
type buyer struct {
	w    *world
	name string
	dice *dice
}

func (b *buyer) partition() int32 { return partition.ForBuyer(b.name, b.w.partitions) }

// ask is one call to any pod; fill writes the answer into the exchange.
func ask[T any](
	ctx context.Context, b *buyer, e exchange,
	put func(context.Context, *owner.Owner) (T, error), fill func(*exchange, T),
) exchange {
	e.buyer, e.called = b.name, time.Now()
	ctx, cancel := context.WithTimeout(ctx, b.dice.between(500*time.Millisecond, 6*time.Second))
	defer cancel()
	answer, err := enter(ctx, b.w, b.dice.n(len(b.w.pods)), b.partition(), e.first, put)
	e.answered = time.Now()
	if err == nil {
		fill(&e, answer)
	} else {
		e.reason = rpcerr.Reason(err)
		metadata := rpcerr.Metadata(err)
		e.sku = metadata["sku"]
		e.left, _ = strconv.ParseInt(metadata["left"], 10, 64)
	}
	b.w.history.add(e)
	return e
}

func (b *buyer) place(ctx context.Context, request string, items []*flashv1.FlashOrderItem) exchange {
	return b.send(ctx, &flashv1.PlaceFlashOrderRequest{
		Promotion: "sale", BuyerId: b.name, RequestId: request, Items: items,
	})
}

// placeFirst is place for a request that was never sent.
func (b *buyer) placeFirst(ctx context.Context, request string, items []*flashv1.FlashOrderItem) exchange {
	return b.send(ctx, &flashv1.PlaceFlashOrderRequest{
		Promotion: "sale", BuyerId: b.name, RequestId: request, Items: items, FirstAttempt: true,
	})
}

func (b *buyer) send(ctx context.Context, r *flashv1.PlaceFlashOrderRequest) exchange {
	request, items, many := r.GetRequestId(), r.GetItems(), b.dice.chance(0.4)
	return ask(ctx, b, exchange{kind: placing, request: request, items: items, first: r},
		func(ctx context.Context, o *owner.Owner) (*flashv1.PlaceFlashOrderResponse, error) {
			if many {
				return b.w.reserveMany(ctx, o, r)
			}
			return o.Reserve(ctx, r)
		},
		func(e *exchange, answer *flashv1.PlaceFlashOrderResponse) {
			e.order, e.released = answer.GetOrderId(), answer.GetState() == flashv1.FlashOrderState_FLASH_ORDER_STATE_RELEASED
		})
}

// reserveMany sends the request twice in one batch: both get the same order, and each is answered
// once.
func (w *world) reserveMany(
	ctx context.Context, o *owner.Owner, r *flashv1.PlaceFlashOrderRequest,
) (*flashv1.PlaceFlashOrderResponse, error) {
	type answer struct {
		response *flashv1.PlaceFlashOrderResponse
		err      error
	}
	answers := make(chan answer, 4)
	w.asked.Add(2)
	put := func(_ int, response *flashv1.PlaceFlashOrderResponse, err error) {
		w.asked.Add(-1)
		answers <- answer{response, err}
	}
	o.ReserveMany(ctx, []*flashv1.PlaceFlashOrderRequest{r, r}, put)
	var first answer
	for i := range 2 {
		select {
		case a := <-answers:
			if i == 1 && first.err == nil && a.err == nil && first.response.GetOrderId() != a.response.GetOrderId() {
				w.fail("%s of %s got two orders in one batch", r.GetRequestId(), r.GetBuyerId())
			}
			if i == 0 || first.err != nil {
				first = a
			}
		case <-ctx.Done():
			return nil, refusal.PartitionMoving(0)
		}
	}
	return first.response, first.err
}

func (b *buyer) look(ctx context.Context, request string) exchange {
	r := &flashv1.GetFlashOrderRequest{Promotion: "sale", BuyerId: b.name, RequestId: request}
	return ask(ctx, b, exchange{kind: looking, request: request},
		func(ctx context.Context, o *owner.Owner) (*flashv1.GetFlashOrderResponse, error) {
			return o.Lookup(ctx, r)
		},
		func(e *exchange, answer *flashv1.GetFlashOrderResponse) {
			e.order, e.released = answer.GetOrderId(), answer.GetState() == flashv1.FlashOrderState_FLASH_ORDER_STATE_RELEASED
		})
}

func (b *buyer) release(ctx context.Context, order string) exchange {
	return ask(ctx, b, exchange{kind: releasing, order: order},
		func(ctx context.Context, o *owner.Owner) (flashv1.ReleaseOutcome, error) {
			return o.Release(ctx, uuid.MustParse(order), flashv1.ReleaseReason_RELEASE_REASON_CANCELLED)
		},
		func(e *exchange, answer flashv1.ReleaseOutcome) { e.outcome = answer })
}

// insist repeats a call until its answer says what happened, at most so many times.
func (b *buyer) insist(times int, call func() exchange) exchange {
	for {
		e := call()
		if times--; !e.unknown() || times <= 0 {
			return e
		}
		<-time.After(b.dice.between(time.Millisecond, 500*time.Millisecond))
	}
}

func (b *buyer) wants() []*flashv1.FlashOrderItem {
	skus := b.w.skus
	if b.dice.chance(0.6) {
		skus = skus[b.dice.n(len(skus)):][:1]
	}
	items := make([]*flashv1.FlashOrderItem, len(skus))
	for i, sku := range skus {
		items[i] = &flashv1.FlashOrderItem{Sku: sku, Quantity: int64(1 + b.dice.n(3)*b.dice.n(2))}
	}
	return items
}

// shop makes some requests, each until its answer is known or the buyer's patience is over, and
// does with the orders what buyers do.
func (b *buyer) shop(ctx context.Context, within time.Duration) {
	ctx = context.WithoutCancel(ctx)
	wait := func(most time.Duration) { <-time.After(b.dice.between(0, most)) }
	wait(within)
	for i := range 1 + b.dice.n(4) {
		request, items := fmt.Sprint("r", i), b.wants()
		b.w.remember(b, request)
		doubled := b.dice.chance(0.2)
		if doubled {
			// A double click.
			b.w.buying.Go(func() { b.place(ctx, request, items) })
		}
		attempt := b.place
		if !doubled {
			attempt = b.placeFirst
		}
		e := b.insist(1+b.dice.n(8), func() exchange {
			e := attempt(ctx, request, items)
			attempt = b.place
			return e
		})
		if e.reason == rpcerr.ReasonSoldOut && b.dice.chance(0.7) {
			wait(within / 4)
			e = b.insist(3, func() exchange { return b.place(ctx, request, items) })
		}
		if b.dice.chance(0.2) || e.unknown() && b.dice.chance(0.7) {
			b.insist(1+b.dice.n(6), func() exchange { return b.look(ctx, request) })
		}
		if e.reason != "" {
			continue
		}
		if b.dice.chance(0.1) {
			b.place(ctx, request, []*flashv1.FlashOrderItem{{Sku: b.w.skus[0], Quantity: 9}})
		}
		if b.dice.chance(0.5) {
			wait(within / 8)
			b.insist(1+b.dice.n(6), func() exchange { return b.release(ctx, e.order) })
		}
		if b.dice.chance(0.4) {
			wait(within / 8)
			b.place(ctx, request, items)
		}
	}
}

// buyOut buys one unit of everything at a time until all is sold out. Each order has another buyer.
func (w *world) buyOut(ctx context.Context, n int32) {
	d := newDice(w.seed, fmt.Sprint("buy out ", n))
	for _, sku := range w.skus {
		for i := 0; ctx.Err() == nil; i++ {
			b := &buyer{w: w, name: fmt.Sprint("last-", sku, "-", n, "-", i), dice: d}
			if b.partition() != n {
				continue
			}
			e := b.insist(100, func() exchange {
				return b.place(ctx, "r", []*flashv1.FlashOrderItem{{Sku: sku, Quantity: 1}})
			})
			if e.reason == rpcerr.ReasonSoldOut {
				break
			}
			if e.reason != "" {
				w.fail("partition %d: %s was to be bought until it is sold out, but: %s", n, sku, e.reason)
				return
			}
		}
	}
}

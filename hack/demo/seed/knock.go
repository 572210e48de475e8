package seed

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"sync"
	"time"

	"connectrpc.com/connect/v2"

	flashv1 "github.com/orderd-dev/orderd/api/gen/orderd/flash/v1"
	orderv1 "github.com/orderd-dev/orderd/api/gen/orderd/order/v1"
	"github.com/orderd-dev/orderd/hack/demo/plan"
	"github.com/orderd-dev/orderd/hack/demo/shop"
)

const (
	// knockers go on at once, each with a pause after each call.
	knockers   = 4
	knockPause = 20 * time.Millisecond
	// nowhere is a promotion that is not there: to say so is an answer, too.
	nowhere = "no-such-promotion"
	// fewWhy is how many dropped calls are told in words.
	fewWhy = 5
)

// knocking counts what became of the calls.
type knocking struct {
	mu     sync.Mutex
	knocks plan.Knocks
}

// Knock places and cancels orders of the plan's first item, and asks the flash pods, until ctx ends. Each call is made
// once: no retry hides what was dropped. It writes a line a second.
func Knock(ctx context.Context, p plan.Plan, out io.Writer) error {
	staff, err := asStaff(ctx, p)
	if err != nil {
		return err
	}
	// A call is not cut off at the end: that would look like one that was dropped.
	checkout, err := shop.As(context.WithoutCancel(ctx), p.IssuerURL, "demo-checkout", "checkout")
	if err != nil {
		return err
	}
	k := &knocking{}
	standard, flash := shop.NewStandard(p.StandardURL, knockers), shop.NewFlash(p.FlashURL, knockers)
	if err := fill(staff, standard, p); err != nil {
		return err
	}
	var all sync.WaitGroup
	for n := range knockers {
		buyer := fmt.Sprintf("knock-%s-%d", p.Run, n)
		all.Go(func() {
			k.repeat(ctx, checkout, func(ctx context.Context, i int) error { return orderOnce(ctx, standard, p, buyer, i) })
		})
		// The last of them speak gRPC.
		app := flash[len(flash)-1-n]
		all.Go(func() {
			k.repeat(ctx, checkout, func(ctx context.Context, _ int) error {
				_, err := app.GetFlashOrder(ctx, &flashv1.GetFlashOrderRequest{
					Promotion: nowhere, BuyerId: buyer, RequestId: "knock",
				})
				if connect.CodeOf(err) == connect.CodeNotFound {
					return nil
				}
				return fmt.Errorf("asking the flash pods: %w", err)
			})
		})
	}
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for ctx.Err() == nil {
		select {
		case <-tick.C:
		case <-ctx.Done():
			all.Wait()
		}
		if err := k.tell(out); err != nil {
			return err
		}
	}
	return nil
}

// repeat the call, with a context of a caller's, until ctx ends.
func (k *knocking) repeat(ctx, caller context.Context, do func(ctx context.Context, n int) error) {
	tick := time.NewTicker(knockPause)
	defer tick.Stop()
	for n := 0; ; n++ {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		one, cancel := context.WithTimeout(caller, callWithin)
		k.count(do(one, n))
		cancel()
	}
}

func (k *knocking) count(err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if err == nil {
		k.knocks.Answered++
		return
	}
	k.knocks.Dropped++
	if len(k.knocks.Why) < fewWhy {
		k.knocks.Why = append(k.knocks.Why, time.Now().UTC().Format(time.TimeOnly)+" "+err.Error())
	}
}

func (k *knocking) tell(out io.Writer) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if err := json.NewEncoder(out).Encode(plan.Line{Knocks: &k.knocks}); err != nil {
		return fmt.Errorf("writing what was answered: %w", err)
	}
	return nil
}

// orderOnce places an order and cancels it.
func orderOnce(ctx context.Context, s *shop.Standard, p plan.Plan, buyer string, n int) error {
	request := fmt.Sprintf("%s-%d", buyer, n)
	placed, err := s.Orders.PlaceOrder(ctx, &orderv1.PlaceOrderRequest{
		RequestId: request, BuyerId: buyer, Lines: []*orderv1.PlaceOrderLine{{Sku: p.Items[0].SKU, Quantity: 1}},
	})
	if err != nil {
		return fmt.Errorf("placing an order: %w", err)
	}
	_, err = s.Orders.CancelOrder(ctx, &orderv1.CancelOrderRequest{
		RequestId: "back-" + request, BuyerId: buyer, OrderId: placed.GetOrder().GetOrderId(),
	})
	if err != nil {
		return fmt.Errorf("cancelling an order: %w", err)
	}
	return nil
}

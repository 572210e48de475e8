package route

import (
	"context"
	"sync"

	"github.com/orderd-dev/orderd/orderd/flash/refusal"
	"github.com/orderd-dev/orderd/orderd/kit/rpcerr"
)

// asksMax is how many owners are asked at once for one order.
const asksMax = 8

// AskAny asks at each of some partitions, at several at once, until one answers with an
// order. It fails with [rpcerr.ReasonOrderNotFound] only if each of them said so; else with
// what another one said.
func AskAny[T any](ctx context.Context, all []Target, ask func(context.Context, Target) (T, error)) (T, error) {
	if len(all) == 1 {
		return ask(ctx, all[0])
	}
	asking, cancel := context.WithCancel(ctx)
	defer cancel()
	type answer struct {
		found T
		err   error
	}
	answers := make(chan answer, len(all))
	slots := make(chan struct{}, asksMax)
	var group sync.WaitGroup
	defer group.Wait()
	group.Go(func() {
		for _, target := range all {
			slots <- struct{}{}
			group.Go(func() {
				defer func() { <-slots }()
				found, err := ask(asking, target)
				answers <- answer{found, err}
			})
		}
	})
	var none T
	var open error
	for range all {
		a := <-answers
		if a.err == nil {
			cancel()
			return a.found, nil
		}
		if rpcerr.Reason(a.err) != rpcerr.ReasonOrderNotFound {
			open = a.err
		}
	}
	if open != nil {
		return none, open
	}
	return none, refusal.OrderNotFound()
}

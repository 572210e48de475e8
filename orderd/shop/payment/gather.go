package payment

import (
	"context"
	"time"

	"github.com/orderd-dev/orderd/orderd/kit/batch"
)

const (
	// gatherLimit is how many notifications of a provider wait in a process; more are to be sent
	// again.
	gatherLimit = 2048
	// gatherBatch is how many notifications one transaction handles.
	gatherBatch = 128
	// gatherTimeout bounds a transaction.
	gatherTimeout = 10 * time.Second
)

// handler applies notifications. The answer has an error for each that is not believed; the other
// error means that none had an effect.
type handler func(ctx context.Context, told []Notification) ([]error, error)

// gatherer gathers the notifications that come while a transaction is under way, and has them all
// handled in the next one: after a sale thousands pay for the same few SKUs, whose rows of stock
// are then locked once a batch and not once a payment.
type gatherer struct {
	batches *batch.Batcher[Notification, struct{}]
}

func newGatherer(handle handler, m *metrics) *gatherer {
	options := batch.Options{
		Limit: gatherLimit, Size: gatherBatch, Parallel: 1, Timeout: gatherTimeout,
		Observe: func(size int) { m.batch.Observe(float64(size)) },
	}
	work := func(ctx context.Context, told []Notification) ([]batch.Result[struct{}], error) {
		refused, err := handle(ctx, told)
		if err != nil {
			return nil, err
		}
		out := make([]batch.Result[struct{}], len(told))
		for i, err := range refused {
			out[i].Err = err
		}
		return out, nil
	}
	return &gatherer{batches: batch.New(options, work)}
}

// put returns once the notification's effect is committed, or why it is not.
func (g *gatherer) put(ctx context.Context, told Notification) error {
	_, err := g.batches.Do(ctx, told)
	return err
}

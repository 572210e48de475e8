package payment

import (
	"context"
	"time"

	"github.com/orderd-dev/orderd/orderd/batch"
)

const (
	// inboxLimit is how many notifications of a provider wait in a process; more are to be sent again.
	inboxLimit = 2048
	// inboxBatch is how many one transaction takes.
	inboxBatch = 128
	// inboxTimeout bounds a transaction.
	inboxTimeout = 10 * time.Second
)

// inbox gathers the notifications that come while a transaction is under way, and takes them all in the
// next one: after a sale thousands pay for the same few SKUs, whose rows of stock are then locked once a
// batch and not once a payment.
type inbox struct {
	batches *batch.Batcher[Notification, struct{}]
}

func newInbox(take func(context.Context, []Notification) ([]error, error), m *metrics) *inbox {
	options := batch.Options{
		Limit: inboxLimit, Size: inboxBatch, Parallel: 1, Timeout: inboxTimeout,
		Observe: func(size int) { m.batch.Observe(float64(size)) },
	}
	return &inbox{batches: batch.New(options, func(ctx context.Context, told []Notification) ([]batch.Result[struct{}], error) {
		refused, err := take(ctx, told)
		if err != nil {
			return nil, err
		}
		out := make([]batch.Result[struct{}], len(told))
		for i, err := range refused {
			out[i].Err = err
		}
		return out, nil
	})}
}

// put returns once the notification's effect is committed, or why it is not.
func (i *inbox) put(ctx context.Context, told Notification) error {
	_, err := i.batches.Do(ctx, told)
	return err
}

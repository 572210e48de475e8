package sale

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/orderd-dev/orderd/orderd/shop/stock"
)

const (
	defaultPoll     = 20 * time.Millisecond
	defaultPatience = 30 * time.Second
)

var errNotDrained = errors.New("accepted orders are not in the database yet")

// Runner repeats a Sale's steps until they are done. It waits, which a reconciler must not.
//
// A step that fails is tried again, unless its error is one that a repetition does not mend: too
// little stock, or a violated invariant.
type Runner struct {
	Sale *Sale
	// Clock tells Settle when the sale has ended. Only Settle needs it.
	Clock func() time.Time
	// Poll is how long after a step that is not done it is tried again; 0: 20 ms.
	Poll time.Duration
	// Patience is how long one step may take, with all that it is tried again; 0: 30 s.
	Patience time.Duration
	// Attempt is how long a step may take each time that it is tried; 0: as long as Patience.
	Attempt time.Duration
}

// Prepare takes the stock, makes the streams and opens the partitions. The pods know of
// nothing yet: see Publish.
func (r Runner) Prepare(ctx context.Context) error {
	var allocation Allocation
	return r.inOrder(ctx,
		work{StepAllocate, func(ctx context.Context) (err error) {
			allocation, err = r.Sale.Allocate(ctx)
			return err
		}},
		work{StepEnsureStreams, r.Sale.EnsureStreams},
		work{StepOpenPartitions, func(ctx context.Context) error { return r.Sale.OpenPartitions(ctx, allocation) }},
		work{StepTopUp, r.Sale.TopUp},
	)
}

// Publish tells the pods what the promotion is now.
func (r Runner) Publish(ctx context.Context) error {
	return r.inOrder(ctx, work{StepPublish, func(ctx context.Context) error {
		_, err := r.Sale.Publish(ctx)
		return err
	}})
}

// TopUp adds what the sale lacks of its Items. The pods learn of it from Publish.
func (r Runner) TopUp(ctx context.Context) error {
	return r.inOrder(ctx, work{StepTopUp, r.Sale.TopUp})
}

// Settle waits for the end of the sale, closes the partitions, waits until every order is in the
// database, proves the sale, and returns what is unsold. The totals are what the closed partitions
// hold, also if a later step fails.
func (r Runner) Settle(ctx context.Context) ([]Total, error) {
	if err := r.end(ctx); err != nil {
		return nil, err
	}
	var totals []Total
	err := r.inOrder(ctx,
		work{StepEndTopUps, r.Sale.EndTopUps},
		work{StepClosePartitions, func(ctx context.Context) (err error) {
			totals, err = r.Sale.ClosePartitions(ctx)
			return err
		}},
		work{StepDrain, func(ctx context.Context) error {
			drained, err := r.Sale.Drained(ctx)
			if err == nil && !drained {
				err = errNotDrained
			}
			return err
		}},
		work{StepPublishClosed, r.Sale.PublishClosed},
		work{StepProve, func(ctx context.Context) error { return r.Sale.Prove(ctx, totals) }},
		work{StepReturnUnsold, func(ctx context.Context) error { return r.Sale.ReturnUnsold(ctx, totals) }},
	)
	return totals, err
}

// Remove deletes the promotion's key and streams.
func (r Runner) Remove(ctx context.Context) error {
	return r.inOrder(ctx, work{StepRemove, r.Sale.Remove})
}

// end waits until DrainGrace after the promotion's end.
func (r Runner) end(ctx context.Context) error {
	end := time.UnixMilli(r.Sale.promo.GetEndUnixMs()).Add(DrainGrace)
	timer := time.NewTimer(end.Sub(r.Clock()))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("waiting for the end of the sale: %w", ctx.Err())
	}
}

// work is what a step does.
type work struct {
	step Step
	do   func(context.Context) error
}

func (r Runner) inOrder(ctx context.Context, list ...work) error {
	for _, w := range list {
		if err := r.until(ctx, w); err != nil {
			return fmt.Errorf("%s: %w", w.step, err)
		}
	}
	return nil
}

// until repeats a step until it is done.
func (r Runner) until(ctx context.Context, w work) error {
	patience := orElse(r.Patience, defaultPatience)
	patient, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	tick := time.NewTicker(orElse(r.Poll, defaultPoll))
	defer tick.Stop()
	for {
		err := r.attempt(patient, w)
		switch {
		case err == nil:
			return nil
		case final(err), ctx.Err() != nil:
			return err
		}
		select {
		case <-tick.C:
		case <-patient.Done():
			return fmt.Errorf("not done within %s: %w", patience, err)
		}
	}
}

func (r Runner) attempt(ctx context.Context, w work) error {
	if r.Attempt > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, r.Attempt)
		defer cancel()
	}
	return w.do(ctx)
}

func orElse(d, otherwise time.Duration) time.Duration {
	if d > 0 {
		return d
	}
	return otherwise
}

// final tells whether an error stays however often the step is repeated.
func final(err error) bool {
	var violation *ViolationError
	if errors.As(err, &violation) || len(shortOf(err)) > 0 {
		return true
	}
	for _, sentinel := range []error{stock.ErrDiffers, stock.ErrTopUpsEnded, stock.ErrTooManyTopUps} {
		if errors.Is(err, sentinel) {
			return true
		}
	}
	return false
}

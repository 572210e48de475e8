package shipment

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/orderd-dev/orderd/orderd/kit/backoff"
	"github.com/orderd-dev/orderd/orderd/kit/lease"
	"github.com/orderd-dev/orderd/orderd/shop/order"
	"github.com/orderd-dev/orderd/orderd/shop/shipment/carrier"
)

const (
	// workBatch shipments of a bucket are worked on in a round, workParallel at once: with
	// a carrier that takes its whole time for every call, a round takes less time than a
	// lease loop gives it.
	workBatch    = 32
	workParallel = 8
	// workInterval is between looks for new work, a query a bucket.
	workInterval = time.Second
	// DefaultMaxAttempts of asking a carrier for a shipment: with the delays between
	// them, some ten hours.
	DefaultMaxAttempts = 64
)

// retry is the wait after a carrier has failed.
var retry = backoff.Policy{First: time.Second, Max: 10 * time.Minute}

// WorkerOptions of a Worker. Store, Worker and Logger have to be set.
type WorkerOptions struct {
	lease.WorkerOptions

	Store *Store
	// MaxAttempts of asking a carrier until it is given up; DefaultMaxAttempts if zero.
	MaxAttempts int64
}

// Worker does what shipments need in the background: it hands parcels to carriers, stops those that
// must not leave, and asks where the others are.
type Worker struct {
	store       *Store
	maxAttempts int64
	log         *slog.Logger
	loops       []*lease.Loop
}

// NewWorker makes a worker; Run starts it.
func NewWorker(o WorkerOptions) (*Worker, error) {
	w := &Worker{store: o.Store, maxAttempts: o.MaxAttempts, log: o.Logger}
	if w.maxAttempts <= 0 {
		w.maxAttempts = DefaultMaxAttempts
	}
	for _, kind := range []struct {
		name string
		work Work
		do   func(context.Context, *Shipment, carrier.Carrier) error
	}{
		{"shipment-request", RequestWork, w.request},
		{"shipment-cancel", CancelWork, w.cancel},
		{"shipment-track", TrackWork, w.track},
	} {
		loop, err := o.NewLoop(o.Store.pool, o.Store.now, lease.Job{
			Kind: kind.name, Interval: workInterval,
			Work: func(ctx context.Context, bucket int64) (bool, error) { return w.round(ctx, bucket, kind.work, kind.do) },
		})
		if err != nil {
			return nil, err
		}
		w.loops = append(w.loops, loop)
	}
	return w, nil
}

// Run works until ctx ends and returns nil.
func (w *Worker) Run(ctx context.Context) error {
	var g errgroup.Group
	for _, l := range w.loops {
		g.Go(func() error { return l.Run(ctx) })
	}
	return g.Wait()
}

// round does a bucket's work of one kind that is due. One shipment that cannot be worked on
// keeps no other from it.
func (w *Worker) round(
	ctx context.Context, bucket int64, kind Work, do func(context.Context, *Shipment, carrier.Carrier) error,
) (bool, error) {
	found, err := due(ctx, w.store.pool, kind, bucket, w.store.now(), workBatch)
	if err != nil {
		return false, err
	}
	errs := make([]error, len(found))
	var g errgroup.Group
	g.SetLimit(workParallel)
	for i, sh := range found {
		g.Go(func() error {
			c, ok := w.store.carriers[sh.Carrier]
			if !ok {
				w.log.Error("a shipment's carrier is not configured any more", "shipment", sh.ID, "carrier", sh.Carrier)
				errs[i] = postpone(ctx, w.store.pool, sh, w.store.now().Add(retry.Max))
				return nil
			}
			errs[i] = do(ctx, sh, c)
			return nil
		})
	}
	_ = g.Wait()
	return len(found) == workBatch, errors.Join(errs...)
}

// request hands a parcel to its carrier, with no transaction open.
func (w *Worker) request(ctx context.Context, sh *Shipment, c carrier.Carrier) error {
	if stopped, err := w.stop(ctx, sh); err != nil || stopped {
		return err
	}
	number, err := c.Request(ctx, sh.parcel())
	var refused *carrier.RefusedError
	switch {
	case err == nil:
		return w.store.change(ctx, sh.ID, func(wk *work) error { return wk.accept(number) })
	case errors.As(err, &refused):
		w.log.Warn("a carrier refuses a shipment", "shipment", sh.ID, "order", sh.OrderID, "carrier", sh.Carrier)
		return w.store.change(ctx, sh.ID, func(wk *work) error { return wk.giveUp(ctx, exceptionRefused, refused.Reason) })
	case sh.Attempts+1 >= w.maxAttempts:
		w.log.Error("a shipment is given up", "shipment", sh.ID, "order", sh.OrderID, "carrier", sh.Carrier, "error", err)
		w.store.metrics.gaveUp.WithLabelValues(string(RequestWork)).Inc()
		return w.store.change(ctx, sh.ID, func(wk *work) error { return wk.giveUp(ctx, exceptionUnavailable, "") })
	}
	return w.later(ctx, sh, err)
}

// stop ends a shipment whose order was cancelled before it left.
func (w *Worker) stop(ctx context.Context, sh *Shipment) (bool, error) {
	if sh.State != Requested {
		return false, nil
	}
	due, err := order.GetDue(ctx, w.store.pool, sh.BuyerID, sh.OrderID)
	if err != nil {
		return false, fmt.Errorf("the order of shipment %s: %w", sh.ID, err)
	}
	if due.State != order.Cancelled {
		return false, nil
	}
	return true, w.store.change(ctx, sh.ID, func(wk *work) error {
		// A cancelled order that was paid stays cancelled.
		if wk.shipment.State != Requested {
			return nil
		}
		return wk.fail(ctx, exceptionOrder, "", actorWorker)
	})
}

// cancel makes sure that a carrier does not collect a parcel.
func (w *Worker) cancel(ctx context.Context, sh *Shipment, c carrier.Carrier) error {
	err := c.Cancel(ctx, sh.ID)
	switch {
	case err == nil:
	case errors.Is(err, carrier.ErrCollected):
		w.log.Error("a carrier has collected a parcel that should not leave", "shipment", sh.ID, "order", sh.OrderID,
			"carrier", sh.Carrier)
	case sh.Attempts+1 >= w.maxAttempts:
		w.log.Error("a carrier cannot be told not to collect a parcel", "shipment", sh.ID, "order", sh.OrderID, "carrier",
			sh.Carrier, "error", err)
		w.store.metrics.gaveUp.WithLabelValues(string(CancelWork)).Inc()
	default:
		return w.later(ctx, sh, err)
	}
	return w.store.change(ctx, sh.ID, func(wk *work) error {
		wk.shipment.Work = NoWork
		if errors.Is(err, carrier.ErrCollected) {
			return wk.record(ctx, report{actor: actorWorker, events: []carrier.Event{
				{
					ID:          "collected-nevertheless",
					Code:        carrier.Information,
					Description: "The carrier had collected it and could not be stopped.",
					At:          wk.at,
				},
			}})
		}
		return nil
	})
}

// track asks a carrier for everything it knows of a parcel.
func (w *Worker) track(ctx context.Context, sh *Shipment, c carrier.Carrier) error {
	if stopped, err := w.stop(ctx, sh); err != nil || stopped {
		return err
	}
	if err := w.store.fetch(ctx, sh, c); err != nil {
		return w.later(ctx, sh, err)
	}
	return nil
}

// later puts work off after a failure, longer each time. That a carrier fails is no
// failure of the worker.
func (w *Worker) later(ctx context.Context, sh *Shipment, cause error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if !errors.Is(cause, carrier.ErrUnavailable) {
		w.log.Warn("a carrier failed and is asked again", "shipment", sh.ID, "carrier", sh.Carrier, "work", sh.Work,
			"attempts", sh.Attempts+1, "error", cause)
	}
	delay := retry.Delay(int(sh.Attempts) + 1)
	return postpone(ctx, w.store.pool, sh, w.store.now().Add(delay))
}

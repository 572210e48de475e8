package payment

import (
	"context"

	"github.com/orderd-dev/orderd/orderd/kit/lease"
)

// Hurry has open payments asked about at once.
var Hurry = hurry

// rounds visits every bucket until none has more work.
func rounds(ctx context.Context, work lease.Work) error {
	for bucket := range int64(lease.Buckets) {
		for more := true; more; {
			var err error
			if more, err = work(ctx, bucket); err != nil {
				return err
			}
		}
	}
	return nil
}

// Round does what is due now.
func (p *Poller) Round(ctx context.Context) error { return rounds(ctx, p.work) }

// Round does what is due now.
func (w *RefundWorker) Round(ctx context.Context) error { return rounds(ctx, w.work) }

// Round reads the days that are due now.
func (r *Reconciler) Round(ctx context.Context) error {
	for _, name := range r.service.names {
		if err := r.service.reconcileDue(ctx, r.service.providers[name]); err != nil {
			return err
		}
	}
	return nil
}

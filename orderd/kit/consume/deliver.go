package consume

import (
	"context"
	"fmt"

	"github.com/orderd-dev/orderd/orderd/kit/rescue"
)

// deliverAll delivers the events that were not delivered before, one after the other, and then
// writes the inbox keys of all of them.
func (r *run) deliverAll(ctx context.Context, items []*item) {
	if len(items) == 0 {
		return
	}
	keys := make([]key, len(items))
	for i, it := range items {
		keys[i] = it.key()
	}
	found, err := find(ctx, r.options.Pool, r.options.Name, keys)
	if err != nil {
		r.away(ctx, items, err, 0)
		return
	}
	var waiting []*item
	for _, it := range items {
		if rec, known := found[it.key()]; known && (rec.outcome == outcomeDone || rec.outcome == outcomeDead && !it.replay) {
			r.repeated(ctx, it, rec)
			continue
		}
		waiting = append(waiting, it)
	}
	var delivered []*item
	for _, it := range r.ready(ctx, waiting) {
		switch {
		case r.options.Ordered && !it.replay && r.stuck[it.event.OrderID]:
			r.postpone(it)
		case ctx.Err() != nil:
			r.putBack([]*item{it}, 0)
		case r.outage:
			// It would fail in the same way.
			r.suspend([]*item{it}, 0)
		default:
			if err := r.deliver(ctx, it); err != nil {
				r.failed(ctx, it, err)
				continue
			}
			delivered = append(delivered, it)
		}
	}
	r.complete(ctx, delivered)
}

func (r *run) deliver(ctx context.Context, it *item) error {
	limited, cancel := context.WithTimeout(ctx, deliveryTimeout)
	defer cancel()
	_, err := rescue.Do(func() (struct{}, error) { return struct{}{}, r.options.Delivery(limited, it.event) })
	if err != nil {
		return fmt.Errorf("delivering an event: %w", err)
	}
	return nil
}

// complete writes the inbox keys of delivered events, also while the pod ends. Where that fails
// they are delivered once more.
func (r *run) complete(ctx context.Context, delivered []*item) {
	if len(delivered) == 0 {
		return
	}
	keys := make([]key, len(delivered))
	for i, it := range delivered {
		keys[i] = it.key()
	}
	writing, cancel := context.WithTimeout(context.WithoutCancel(ctx), noteTimeout)
	defer cancel()
	if err := complete(writing, r.options.Pool, r.options.Name, r.options.Clock(), keys); err != nil {
		r.away(ctx, delivered, fmt.Errorf("delivered, but not noted: %w", err), 0)
		return
	}
	for _, it := range delivered {
		if it.replay {
			r.replayed(writing, it, resultDone)
		} else {
			r.done(it, resultDone)
		}
	}
}

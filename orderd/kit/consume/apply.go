package consume

import (
	"context"
	"errors"
	"fmt"

	"github.com/orderd-dev/orderd/orderd/kit/database"
	"github.com/orderd-dev/orderd/orderd/kit/rescue"
)

// errSlow is an effect that does not end in time. Where the database can note that, it is
// the event's failure.
var errSlow = errors.New("the effect takes too long")

// apply has the events' effects in one transaction. If that fails, in two of half the size, so that
// one event that fails is found and the others go on.
func (r *run) apply(ctx context.Context, items []*item) {
	if items = r.unstuck(items); len(items) == 0 {
		return
	}
	if r.outage {
		// It would fail in the same way.
		r.suspend(items, 0)
		return
	}
	claimed, err := r.effect(ctx, items)
	after, outage := r.isOutage(err)
	switch {
	case err == nil:
		var repeated []*item
		for _, it := range items {
			switch {
			case !claimed[it.key()]:
				repeated = append(repeated, it)
			case it.replay:
				r.replayed(ctx, it, resultDone)
			default:
				r.done(it, resultDone)
			}
		}
		r.answerKnown(ctx, repeated)
	case outage || ctx.Err() != nil:
		// Fewer at once do not help.
		r.away(ctx, items, err, after)
	case len(items) == 1:
		r.failed(ctx, items[0], err)
	case errors.Is(err, errSlow):
		for _, it := range items {
			r.apply(ctx, []*item{it})
		}
	default:
		r.apply(ctx, items[:len(items)/2])
		r.apply(ctx, items[len(items)/2:])
	}
}

// effect returns which events had their effect now; the others had it before, or are dead.
func (r *run) effect(ctx context.Context, items []*item) (claimed map[key]bool, err error) {
	limited, cancel := context.WithTimeout(ctx, r.options.EffectTimeout)
	defer cancel()
	keys := make([]key, len(items))
	for i, it := range items {
		keys[i] = it.key()
	}
	claimed, err = database.QueryTx(limited, r.options.Pool, func(tx *database.Tx) (map[key]bool, error) {
		claimed, err := claim(limited, tx, r.options.Name, r.options.Clock(), keys, items[0].replay)
		if err != nil {
			return nil, err
		}
		events := make([]Event, 0, len(claimed))
		for _, it := range items {
			if claimed[it.key()] {
				events = append(events, it.event)
			}
		}
		if len(events) == 0 {
			return claimed, nil
		}
		return rescue.Do(func() (map[key]bool, error) { return claimed, r.options.BatchEffect(limited, tx, events) })
	})
	switch {
	case err == nil:
		return claimed, nil
	case limited.Err() != nil && ctx.Err() == nil:
		return nil, fmt.Errorf("%w: %s", errSlow, err.Error())
	}
	return nil, fmt.Errorf("handling events: %w", err)
}

// unstuck postpones the events that have to wait for an earlier one of their order.
func (r *run) unstuck(items []*item) []*item {
	if !r.options.Ordered {
		return items
	}
	free := make([]*item, 0, len(items))
	for _, it := range items {
		if r.stuck[it.event.OrderID] && !it.replay {
			r.postpone(it)
			continue
		}
		free = append(free, it)
	}
	return free
}

// answerKnown answers events that need no effect any more: done ones are acknowledged, dead ones
// become the dead letters that they may not be yet.
func (r *run) answerKnown(ctx context.Context, items []*item) {
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
	for _, it := range items {
		r.repeated(ctx, it, found[it.key()])
	}
}

// repeated answers an event that is known already.
func (r *run) repeated(ctx context.Context, it *item, rec record) {
	switch {
	case rec.outcome == outcomeDead:
		r.bury(ctx, it, rec)
	case rec.outcome != outcomeDone:
		r.postpone(it)
	case it.replay:
		r.replayed(ctx, it, resultRepeated)
	default:
		r.done(it, resultRepeated)
	}
}

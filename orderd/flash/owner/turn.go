package owner

import (
	"context"
	"time"

	"github.com/orderd-dev/orderd/orderd/flash/plog"
)

// gather waits for something to do and takes calls from the queue; false when the owner is to end.
func (o *Owner) gather(ctx context.Context) bool {
	if !o.mayWork() {
		select {
		case <-ctx.Done():
			return false
		case <-o.stop:
			return len(o.queue) > 0
		case c := <-o.queue:
			o.dispatch(c)
		case <-o.wake:
		case <-o.searchMayGoOn():
			o.searchTimer = nil
		}
	}
	for range gatherMax {
		if len(o.pending) >= gatherMax {
			break
		}
		select {
		case c := <-o.queue:
			o.dispatch(c)
		default:
			return ctx.Err() == nil
		}
	}
	return ctx.Err() == nil
}

// mayWork says whether there is something to do without another call or time passing.
func (o *Owner) mayWork() bool {
	return o.logMovedOn || len(o.parked) > 0 && (o.redecide || o.searchTimer == nil)
}

// searchMayGoOn fires when the search has waited; it never does while none waits.
func (o *Owner) searchMayGoOn() <-chan time.Time {
	if o.searchTimer == nil {
		return nil
	}
	return o.searchTimer.C
}

// dispatch puts a call from the queue among those that the next turn works off.
func (o *Owner) dispatch(c *call) {
	o.queued.Add(-c.kind.size())
	c.kind.dispatch(o)
}

// dispatchQueued takes all that is in the queue.
func (o *Owner) dispatchQueued() {
	for {
		select {
		case c := <-o.queue:
			o.dispatch(c)
		default:
			return
		}
	}
}

// turn works off what was gathered. Requests that found no stock stay parked. An error means that
// the partition must be given up.
func (o *Owner) turn(ctx context.Context) error {
	if o.logMovedOn {
		if err := o.recover(ctx, plog.ErrRefused); err != nil {
			return err
		}
	}
	if err := o.topUp(ctx); err != nil {
		return err
	}
	if err := o.release(ctx); err != nil {
		return err
	}
	if o.redecide {
		// Those who wait for stock come before those who just arrived, and before other shards.
		o.pending = append(o.parked, o.pending...)
		o.parked, o.redecide = nil, false
	}
	if err := o.reserve(ctx); err != nil {
		return err
	}
	o.answerQuestions(ctx)
	if err := o.donate(ctx); err != nil {
		return err
	}
	return o.seek(ctx)
}

// refuseWaiting answers every call that the owner took from its queue.
func (o *Owner) refuseWaiting(err error) {
	for _, requests := range []*[]request{&o.pending, &o.parked} {
		o.metrics.refuse(err, len(*requests))
		for _, r := range *requests {
			r.answer(nil, err)
		}
		*requests = nil
	}
	for _, c := range o.questions {
		c.refuse(err)
	}
	for _, c := range o.releases {
		c.refuse(err)
	}
	for _, c := range o.donations {
		c.refuse(err)
	}
	o.questions, o.releases, o.donations = nil, nil, nil
}

// upToDateSince says whether at some moment not before since the log had no more than the owner
// remembers. A refusal from a memory that is behind may be wrong: two pods may believe for a while
// that a partition is theirs, and the one that appends nothing would not notice.
func (o *Owner) upToDateSince(ctx context.Context, since time.Time) bool {
	if !o.lease() || !o.owned() {
		return false
	}
	if !o.upToDateAt.Before(since) {
		return true
	}
	if !o.logSilentAt.Before(since) {
		// The log was asked for this proof already, for somebody else: it is not waited for again.
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, proofTimeout)
	defer cancel()
	asked := o.clock()
	last, err := o.log.Last(ctx, o.partition)
	if err != nil {
		o.logSilentAt = asked
		return false
	}
	if o.logMovedOn = last != o.state.Sequence(); o.logMovedOn {
		return false
	}
	o.upToDateAt = asked
	return true
}

// nearlyUpToDate is upToDateSince for answers that may be a little behind the log.
func (o *Owner) nearlyUpToDate(ctx context.Context) bool {
	return o.upToDateSince(ctx, o.clock().Add(-staleMax))
}

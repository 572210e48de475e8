package owner

import (
	"context"
	"errors"
	"fmt"
	"time"

	flashv1 "github.com/orderd-dev/orderd/api/gen/orderd/flash/v1"
	"github.com/orderd-dev/orderd/orderd/flash/partition"
	"github.com/orderd-dev/orderd/orderd/flash/plog"
)

const (
	// resyncDelay and resyncDelayMax bound the wait between two attempts, before jitter.
	resyncDelay    = 50 * time.Millisecond
	resyncDelayMax = 2 * time.Second
	// refuseAfter is how many attempts fail before callers are told to come back later.
	refuseAfter = 4
)

// errLost says that the membership gave the partition to another pod.
var errLost = errors.New("the partition belongs to another pod")

// recover comes after an append that was refused or whose outcome is unknown. An error means that
// the partition must be given up.
func (o *Owner) recover(ctx context.Context, cause error) error {
	o.metrics.resyncs.Inc()
	if !errors.Is(cause, plog.ErrRefused) {
		o.logger.Warn("append with unknown outcome", "error", cause)
	}
	return o.resync(ctx)
}

// resync takes the partition over, or over again: it reads what the log has beyond the state and
// appends Fenced after it. Once that has landed, nothing sent before it can land any more, by this
// owner or another, and the state says what did. A closed log needs no fence.
func (o *Owner) resync(ctx context.Context) error {
	for attempt := 0; ; attempt++ {
		if !o.owned() {
			return errLost
		}
		before := o.state.Sequence()
		err := o.fence(ctx, before)
		switch {
		case err == nil:
			o.redecide, o.logMovedOn = true, false
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, partition.ErrCorrupt):
			return err
		case errors.Is(err, plog.ErrRewound):
			// The log is the truth, also after it lost records that were acknowledged.
			o.logger.Error("the log lost records", "error", err)
			o.state = partition.New()
		}
		if err := o.backOff(ctx, attempt, err); err != nil {
			return err
		}
	}
}

// errContended says that another owner fenced the log since this one read it.
var errContended = errors.New("another owner serves the partition")

// fence reads the log on and appends Fenced. before is the last record that the state had then; 0:
// none, the owner is new.
func (o *Owner) fence(ctx context.Context, before uint64) error {
	ctx, cancel := context.WithTimeout(ctx, appendTimeout+appendTimeout)
	defer cancel()
	if err := plog.Catch(ctx, o.log, o.partition, o.state); err != nil {
		return err
	}
	if o.state.Closed() {
		return nil
	}
	if !o.state.Opened() {
		return fmt.Errorf("partition %d is not opened yet", o.partition)
	}
	if before > 0 && o.state.Sequence() > before && o.state.Owner() != o.name {
		return errContended
	}
	record := &flashv1.Record{Kind: &flashv1.Record_Fenced{Fenced: &flashv1.Fenced{Owner: o.name}}}
	sequence, err := o.append(ctx, record)
	if err != nil {
		return err
	}
	return o.state.Fold(sequence, record)
}

// backOff waits before the next attempt. When two owners fight, it gives the membership time to
// tell them which one it is.
func (o *Owner) backOff(ctx context.Context, attempt int, cause error) error {
	delay := min(resyncDelay<<min(attempt, 10), resyncDelayMax)
	if errors.Is(cause, plog.ErrRefused) && attempt == 0 {
		return nil
	}
	if attempt >= refuseAfter {
		o.logger.Warn("partition cannot be read or fenced", "error", cause, "attempt", attempt)
		o.dispatchQueued()
		o.refuseWaiting(o.moving())
	}
	timer := time.NewTimer(o.jitter(delay))
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-o.stop:
		return errLost
	case <-timer.C:
		return nil
	}
}

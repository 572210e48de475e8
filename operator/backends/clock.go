package backends

import (
	"context"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderd-dev/orderd/api/v1alpha1"
)

// elapsed is a reading of the monotonic clock.
func (r *Registry) elapsed() time.Duration { return time.Since(r.born) }

// ServerTime is what the clock of the OrderCluster's JetStream says, by which its pods open and close sales: never
// ahead of it, and behind by no more than an answer takes. It is measured every 30 seconds, by whoever comes first, and
// carried on in between and while JetStream does not answer. Until it was measured once there is an error, as of
// JetStream.
func (r *Registry) ServerTime(ctx context.Context, c *v1alpha1.OrderCluster) (time.Time, error) {
	return r.serverTime(ctx, c, r.JetStream)
}

// ReadServerTime is ServerTime for whoever does not lead, and so changes nothing: it does not stamp the account as the
// OrderCluster's. Until that was done by whoever leads the time is not known.
func (r *Registry) ReadServerTime(ctx context.Context, c *v1alpha1.OrderCluster) (time.Time, error) {
	return r.serverTime(ctx, c, r.unstamped)
}

func (r *Registry) serverTime(ctx context.Context, c *v1alpha1.OrderCluster,
	reach func(context.Context, *v1alpha1.OrderCluster) (jetstream.JetStream, error),
) (time.Time, error) {
	l, err := r.line(ctx, c)
	if err != nil {
		return time.Time{}, err
	}
	now, known := l.time.Now(r.elapsed())
	if age, _ := l.time.Age(r.elapsed()); known && (age < r.limits.clock || !l.asking.CompareAndSwap(false, true)) {
		return now, nil
	}
	if known {
		defer l.asking.Store(false)
	}
	js, err := reach(ctx, c)
	if err == nil {
		if err = l.time.Measure(ctx, js, r.elapsed); err != nil {
			err = unanswered(c, js.Conn(), err)
		}
	}
	if now, known := l.time.Now(r.elapsed()); known {
		return now, nil
	}
	return time.Time{}, err
}

// ClockSkew is how far the operator's own clock, which says wall now, is ahead of the clock of the OrderCluster's
// JetStream for certain; negative if it is behind; 0 if it may be right. False: JetStream's is not known.
func (r *Registry) ClockSkew(ctx context.Context, c *v1alpha1.OrderCluster, wall time.Time) (time.Duration, bool) {
	l, err := r.line(ctx, c)
	if err != nil {
		return 0, false
	}
	return l.time.Skew(r.elapsed(), wall)
}

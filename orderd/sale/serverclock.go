package sale

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderd-dev/orderd/orderd/flash/clock"
	"github.com/orderd-dev/orderd/orderd/kit/messaging"
)

// errNoTime: every server since 2.10 says when it answered.
var errNoTime = errors.New("asking JetStream for the time: it does not say")

// ServerClock is the clock of an order platform's JetStream, by which pods open and close sales: measured now and
// then, and carried on in between by this process's monotonic clock, so that it makes no difference what its wall clock
// says or how that is set. The zero value knows nothing yet. Safe for concurrent use.
//
// Its arguments named elapsed are readings of the monotonic clock, all from the same moment on.
type ServerClock struct {
	clock clock.Clock
	// measured is when that succeeded last; nil: never.
	measured atomic.Pointer[time.Duration]
}

// Measure asks JetStream for the time: once, with the client's own time-out. The account has to be somebody's, see
// [ClaimAccount]; [jetstream.ErrStreamNotFound] if it is not.
func (c *ServerClock) Measure(ctx context.Context, js jetstream.JetStream, elapsed func() time.Duration) error {
	sent := elapsed()
	stream, err := js.Stream(messaging.PerCall(ctx), "KV_"+AccountBucket)
	received := elapsed()
	if err != nil {
		return fmt.Errorf("asking JetStream for the time: %w", err)
	}
	now := stream.CachedInfo().TimeStamp
	if now.IsZero() {
		return errNoTime
	}
	c.clock.Observe(sent, received, now)
	c.measured.Store(&received)
	return nil
}

// Now is the latest time that is certainly not ahead of JetStream's clock; false: it was never measured.
func (c *ServerClock) Now(elapsed time.Duration) (time.Time, bool) { return c.clock.Now(elapsed) }

// Skew is how far a wall clock that was read at elapsed is ahead of JetStream's for certain; negative: behind; 0: it
// may be right. False: it was never measured.
func (c *ServerClock) Skew(elapsed time.Duration, wall time.Time) (time.Duration, bool) {
	return c.clock.Skew(elapsed, wall)
}

// Age is how long ago the time was measured; false: never.
func (c *ServerClock) Age(elapsed time.Duration) (time.Duration, bool) {
	at := c.measured.Load()
	if at == nil {
		return 0, false
	}
	return elapsed - *at, true
}

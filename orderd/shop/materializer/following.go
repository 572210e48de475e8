package materializer

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"

	flashv1 "github.com/orderd-dev/orderd/api/gen/orderd/flash/v1"
	"github.com/orderd-dev/orderd/orderd/flash/prepare"
)

// following is what this worker's readers of one promotion's streams share.
type following struct {
	*Materializer
	promo  *flashv1.Promotion
	log    *slog.Logger
	cancel context.CancelFunc
	// claims are what records are compared with: the promotion as it was heard of last.
	claims atomic.Pointer[prepare.Claims]
	// closed: nothing comes any more once the streams are drained.
	closed atomic.Bool
	// slots are for chunks from their first attempt to their end.
	slots chan struct{}
	// again is for one chunk at a time to be tried again, so that a promotion whose orders cannot
	// be written has one transaction open, and the others have the rest.
	again chan struct{}
	// turn is for one chunk at a time to wait for the rate limit, so that promotions take turns
	// there, however much each has to write.
	turn sync.Mutex
}

func (m *Materializer) newFollowing(promo *flashv1.Promotion) *following {
	return &following{
		Materializer: m, promo: promo, log: m.options.Logger.With("promotion", promo.GetUid()),
		slots: make(chan struct{}, max(1, m.options.Concurrency-1)), again: make(chan struct{}, 1),
	}
}

// enter waits for one of a few places.
func enter(ctx context.Context, places chan<- struct{}) error {
	select {
	case places <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// pace waits until so many orders may be written.
func (p *following) pace(ctx context.Context, orders int) error {
	p.turn.Lock()
	defer p.turn.Unlock()
	return p.pacer.wait(ctx, orders)
}

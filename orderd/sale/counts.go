package sale

import (
	"context"
	"sync"
	"sync/atomic"

	"github.com/nats-io/nats.go/jetstream"

	flashv1 "github.com/orderd-dev/orderd/api/gen/orderd/flash/v1"
	"github.com/orderd-dev/orderd/orderd/flash/prepare"
)

const (
	// maxCounts is of how many promotions what was counted is kept: more than are live at once. Without orders each is a
	// hundred bytes an item.
	maxCounts = 2048
	// maxCounted is how many orders are kept of all promotions' logs together: about 140 MB. A log
	// that is longer by itself is read from its start each time.
	maxCounted = 4_000_000
)

// Counts keep what was counted of the promotions' logs, so that a log is not read again and again.
// All of it may be lost. The zero value is empty. Safe for concurrent use; must not be copied.
type Counts struct {
	mu   sync.Mutex
	kept map[string]*count
	// uses orders the counts by when they were asked for last.
	uses uint64
}

// counter is a prepare.Counter.
type counter interface {
	Totals(context.Context, jetstream.JetStream, *flashv1.Promotion) ([]Total, error)
	Orders() int64
}

// count of one promotion.
type count struct {
	counter counter
	// closed has the totals of partitions that are all closed.
	closed atomic.Pointer[[]Total]
	used   uint64
}

// of is the promotion's count; the one that was not used for longest makes room for a new one.
func (c *Counts) of(uid string) *count {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.kept == nil {
		c.kept = map[string]*count{}
	}
	found := c.kept[uid]
	if found == nil {
		found = &count{counter: prepare.NewCounter(maxCounted)}
		c.kept[uid] = found
	}
	c.uses++
	found.used = c.uses
	for len(c.kept) > maxCounts {
		delete(c.kept, c.oldest(uid))
	}
	return found
}

// lastUse of the promotion's count before this one; 0: never.
func (c *Counts) lastUse(uid string) uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	if found := c.kept[uid]; found != nil {
		return found.used
	}
	return 0
}

// trim makes room for the promotion that was counted just now, and the time before at the given use. Those that nobody
// asked for since then go. If all were, they are as live as it is: then it goes itself, and is read from its start
// each time, where otherwise each would push out the next and all be.
func (c *Counts) trim(uid string, before uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.orders() > maxCounted {
		oldest := c.oldest(uid)
		if oldest != "" && c.kept[oldest].used < before {
			delete(c.kept, oldest)
			continue
		}
		if mine := c.kept[uid]; mine != nil {
			mine.counter = prepare.NewCounter(maxCounted)
		}
		return
	}
}

func (c *Counts) orders() int64 {
	var sum int64
	for _, count := range c.kept {
		sum += count.counter.Orders()
	}
	return sum
}

// oldest is the count that was not used for longest, other than one; "": there is none.
func (c *Counts) oldest(but string) (oldest string) {
	for uid, count := range c.kept {
		if uid != but && (oldest == "" || count.used < c.kept[oldest].used) {
			oldest = uid
		}
	}
	return oldest
}

// closed notes the totals of a promotion whose partitions are all closed, and drops what led to them.
func (c *Counts) closed(uid string, totals []Total) {
	c.drop(uid)
	c.of(uid).closed.Store(&totals)
}

func (c *Counts) drop(uid string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.kept, uid)
}

// Totals is what the partitions hold now, by SKU. While orders are placed it is as of one
// moment in each stream.
func (s *Sale) Totals(ctx context.Context) ([]Total, error) {
	ctx, js, err := s.jetStream(ctx)
	if err != nil {
		return nil, err
	}
	before := s.counts.lastUse(s.promo.GetUid())
	defer s.counts.trim(s.promo.GetUid(), before)
	return s.counts.of(s.promo.GetUid()).counter.Totals(ctx, js, s.promo)
}

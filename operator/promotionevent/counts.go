package promotionevent

import (
	"sync"
	"sync/atomic"

	"github.com/orderd-dev/orderd/orderd/flash/provision"
)

const (
	// maxCounts is of how many promotions what was counted is kept.
	maxCounts = 64
	// maxCounted is how many orders are kept of a promotion's log: about 70 MB. A longer log is read from its start each time.
	maxCounted = 2_000_000
)

// counts keeps what was counted of the promotions' logs, so that a log is not read again and again. All of it may be lost.
type counts struct {
	mu   sync.Mutex
	kept map[string]*count
	// uses orders the counts by when they were asked for last.
	uses uint64
}

// count of one promotion.
type count struct {
	counter *provision.Counter
	// closed has the totals of partitions that are all closed.
	closed atomic.Pointer[[]provision.Total]
	used   uint64
}

// of is the promotion's count; the one that was not used for longest makes room for a new one.
func (c *counts) of(uid string) *count {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.kept == nil {
		c.kept = map[string]*count{}
	}
	found := c.kept[uid]
	if found == nil {
		found = &count{counter: provision.NewCounter(maxCounted)}
		c.kept[uid] = found
	}
	c.uses++
	found.used = c.uses
	if len(c.kept) > maxCounts {
		oldest := uid
		for other, count := range c.kept {
			if count.used < c.kept[oldest].used {
				oldest = other
			}
		}
		delete(c.kept, oldest)
	}
	return found
}

// closed notes the totals of a promotion whose partitions are all closed, and drops what led to them.
func (c *counts) closed(uid string, totals []provision.Total) {
	c.drop(uid)
	c.of(uid).closed.Store(&totals)
}

func (c *counts) drop(uid string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.kept, uid)
}

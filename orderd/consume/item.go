package consume

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderd-dev/orderd/orderd/lease"
	"github.com/orderd-dev/orderd/orderd/outbox"
)

// item is an event in this pod's hands.
type item struct {
	msg   jetstream.Msg
	meta  *jetstream.MsgMetadata
	event Event
	// unreadable is why the message is no event.
	unreadable error
	replay     bool
}

func (c *Consumer) read(msg jetstream.Msg) (*item, error) {
	meta, err := msg.Metadata()
	if err != nil {
		return nil, fmt.Errorf("reading a message's metadata: %w", err)
	}
	it := &item{msg: msg, meta: meta, replay: outbox.IsReplay(msg.Subject())}
	it.event, err = DecodeEvent(msg.Headers(), msg.Data(), meta.Timestamp)
	if err != nil {
		// It has the id that its place in the stream gives it.
		it.unreadable = fmt.Errorf("decoding the event: %w", err)
		it.event = Event{ID: "unreadable." + strconv.FormatUint(meta.Sequence.Stream, 10), Time: meta.Timestamp}
	}
	return it, nil
}

func (i *item) key() key { return key{bucket: lease.Bucket(i.event.OrderID), id: i.event.ID} }

// hand holds what this pod has, and tells JetStream that it is worked on, so that only a dead pod's
// events go to others.
type hand struct {
	mu   sync.Mutex
	held map[*item]struct{}
}

func newHand() *hand { return &hand{held: map[*item]struct{}{}} }

func (h *hand) take(it *item) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.held[it] = struct{}{}
}

func (h *hand) drop(it *item) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.held, it)
}

// renew keeps what is held until ctx ends.
func (h *hand) renew(ctx context.Context, every time.Duration) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		h.mu.Lock()
		for it := range h.held {
			// An error is that the connection is away, or that it was answered meanwhile.
			_ = it.msg.InProgress()
		}
		h.mu.Unlock()
	}
}

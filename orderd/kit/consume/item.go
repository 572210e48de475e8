package consume

import (
	"fmt"
	"strconv"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderd-dev/orderd/orderd/kit/lease"
	"github.com/orderd-dev/orderd/orderd/kit/outbox"
)

// item is an event that this pod works on.
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

// InProgress and Nak make the item a [messaging.Message].
func (i *item) InProgress() error { return i.msg.InProgress() }

// Nak puts the event back at once.
func (i *item) Nak() error { return i.msg.Nak() }

package consume

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderd-dev/orderd/orderd/kit/backoff"
	"github.com/orderd-dev/orderd/orderd/kit/lease"
	"github.com/orderd-dev/orderd/orderd/kit/outbox"
)

const (
	// maxEarlier bounds how many events of an order are looked at.
	maxEarlier    = 256
	lookupTimeout = 5 * time.Second
)

// postponement is how long an event waits for an earlier one, longer with each
// delivery, before jitter.
var postponement = backoff.Policy{First: 50 * time.Millisecond, Max: 5 * time.Second}

var (
	errBehind  = errors.New("the replica that was asked does not have the event yet")
	errTooMany = fmt.Errorf("more than %d events of the order wait", maxEarlier)
)

// ready returns the items whose order's earlier events are all done or dead, and puts the others
// back. It is asked of the stream, and not remembered, because another pod may have had the earlier
// one, and may have died.
func (r *run) ready(ctx context.Context, items []*item) []*item {
	if !r.options.Ordered || len(items) == 0 {
		return items
	}
	looking, cancel := context.WithTimeout(ctx, lookupTimeout)
	defer cancel()
	waitsFor, err := r.unfinishedBefore(looking, items)
	if err != nil {
		r.away(ctx, items, err, 0)
		return nil
	}
	// What is handled before it in the same run is no reason to wait: a failure there
	// makes the order stuck.
	here := map[key]bool{}
	for _, it := range items {
		here[it.key()] = true
	}
	var free []*item
	for _, it := range items {
		waits := r.stuck[it.event.OrderID] && !it.replay
		for _, k := range waitsFor[it] {
			waits = waits || !here[k]
		}
		if waits {
			r.postpone(it)
			continue
		}
		free = append(free, it)
	}
	return free
}

// unfinishedBefore gives for each item the earlier events of its order that are
// neither done nor dead.
func (r *run) unfinishedBefore(ctx context.Context, items []*item) (map[*item][]key, error) {
	info, err := (*r.durable.Load()).Info(ctx)
	if err != nil {
		return nil, fmt.Errorf("asking for what is finished: %w", err)
	}
	earlier := map[*item][]key{}
	var all []key
	for _, it := range items {
		if it.replay {
			continue
		}
		if earlier[it], err = r.earlier(ctx, it, info.AckFloor.Stream); err != nil {
			return nil, fmt.Errorf("looking for events before %s: %w", it.event.ID, err)
		}
		all = append(all, earlier[it]...)
	}
	if len(all) == 0 {
		return nil, nil
	}
	found, err := find(ctx, r.options.Pool, r.options.Name, all)
	if err != nil {
		return nil, err
	}
	for it, keys := range earlier {
		unfinished := keys[:0]
		for _, k := range keys {
			if o := found[k].outcome; o != outcomeDone && o != outcomeDead {
				unfinished = append(unfinished, k)
			}
		}
		earlier[it] = unfinished
	}
	return earlier, nil
}

// earlier finds the events of the item's order that come before it and after the sequence up to
// which everything was acknowledged.
func (r *run) earlier(ctx context.Context, it *item, floor uint64) ([]key, error) {
	stream, subject := *r.events.Load(), outbox.OrderSubject(it.event.OrderID)
	var keys []key
	next, end := floor+1, it.meta.Sequence.Stream
	for range maxEarlier {
		if next >= end {
			return keys, nil
		}
		msg, err := stream.GetMsg(ctx, next, jetstream.WithGetMsgSubject(subject))
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			return nil, errBehind
		}
		if err != nil {
			return nil, err
		}
		if msg.Sequence < end && r.types[msg.Header.Get(headerType)] {
			keys = append(keys, key{bucket: lease.Bucket(it.event.OrderID), id: msg.Header.Get(headerID)})
		}
		next = msg.Sequence + 1
	}
	return nil, errTooMany
}

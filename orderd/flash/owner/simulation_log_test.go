package owner_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"google.golang.org/protobuf/proto"

	flashv1 "github.com/orderd-dev/orderd/api/gen/orderd/flash/v1"
	"github.com/orderd-dev/orderd/orderd/flash/plog"
)

var errConnection = errors.New("the connection broke")

// landed is a record in the simulated log.
type landed struct {
	sequence  uint64
	partition int32
	// step is the same for the records of one atomic batch.
	step   int
	at     time.Time
	record *flashv1.Record
}

// simLog is the stream: what landed, in order. It refuses as the NATS server does.
type simLog struct {
	weather *weather

	mu      sync.Mutex
	records []landed
	last    map[int32]uint64
	steps   int
}

func newSimLog(w *weather) *simLog { return &simLog{weather: w, last: map[int32]uint64{}} }

// land appends all entries or none.
func (l *simLog) land(entries []plog.Entry) (uint64, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range entries {
		if l.last[e.Partition] != e.Expected {
			return 0, fmt.Errorf("partition %d after %d: %w", e.Partition, e.Expected, plog.ErrRefused)
		}
	}
	l.steps++
	for _, e := range entries {
		sequence := uint64(len(l.records)) + 1
		l.records = append(l.records, landed{sequence, e.Partition, l.steps, time.Now(), e.Record})
		l.last[e.Partition] = sequence
	}
	return uint64(len(l.records)), nil
}

// all that landed until now.
func (l *simLog) all() []landed {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.records[:len(l.records):len(l.records)]
}

// client is the log as one process reaches it; gate waits while the process is paused.
type client struct {
	log  *simLog
	gate func()
}

var _ plog.Log = client{}

func (c client) Append(ctx context.Context, entry plog.Entry) (uint64, error) {
	return c.send(ctx, []plog.Entry{entry})
}

func (c client) AppendBatch(ctx context.Context, entries []plog.Entry) (uint64, error) {
	return c.send(ctx, entries)
}

func (c client) send(ctx context.Context, entries []plog.Entry) (uint64, error) {
	type ack struct {
		sequence uint64
		err      error
	}
	sent := make([]plog.Entry, len(entries))
	for i, e := range entries {
		record, err := e.Decode()
		if err != nil {
			return 0, err
		}
		sent[i] = plog.Entry{Partition: e.Partition, Expected: e.Expected, Record: proto.CloneOf(record)}
	}
	c.gate()
	f := c.log.weather.append()
	acks := make(chan ack, 1)
	if f.arrives {
		time.AfterFunc(f.there, func() {
			sequence, err := c.log.land(sent)
			if f.answered {
				time.AfterFunc(f.back, func() { acks <- ack{sequence, err} })
			}
		})
	}
	// An answer, or the end of waiting for it, reaches a paused process when it goes on.
	defer c.gate()
	select {
	case a := <-acks:
		return a.sequence, a.err
	case <-f.breaks():
		return 0, errConnection
	case <-ctx.Done():
		return 0, ctx.Err()
	}
}

func (c client) Last(ctx context.Context, n int32) (uint64, error) {
	if err := c.fetch(ctx); err != nil {
		return 0, err
	}
	c.log.mu.Lock()
	last := c.log.last[n]
	c.log.mu.Unlock()
	return last, c.fetch(ctx)
}

// Read may fail when it has read some of the records.
func (c client) Read(ctx context.Context, n int32, after, upTo uint64, each func(uint64, *flashv1.Record) error) error {
	for _, r := range c.log.all() {
		if r.partition != n || r.sequence <= after || r.sequence > upTo {
			continue
		}
		if c.log.weather.chance(0.2) {
			if err := c.fetch(ctx); err != nil {
				return err
			}
		}
		if err := each(r.sequence, proto.CloneOf(r.record)); err != nil {
			return err
		}
	}
	return nil
}

func (c client) fetch(ctx context.Context) error {
	c.gate()
	defer c.gate()
	f := c.log.weather.read()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-f.breaks():
		return errConnection
	case <-time.After(f.there):
		return nil
	}
}

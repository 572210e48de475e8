package flash

import (
	"context"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"google.golang.org/protobuf/proto"

	flashv1 "github.com/orderd-dev/orderd/api/gen/orderd/flash/v1"
	"github.com/orderd-dev/orderd/orderd/flash/levels"
)

const (
	// levelsSubject and a promotion's uid are where its levels are broadcast.
	levelsSubject = "orderd.levels."
	// levelsPending and levelsPendingBytes bound the broadcasts that wait to be read; more are lost, as some always may be.
	levelsPending      = 4096
	levelsPendingBytes = 32 << 20
	// levelsBytes bounds a broadcast: pods send less.
	levelsBytes = 1 << 20
	// readTimeout bounds the wait for the owners, who may be waiting for an append.
	readTimeout = levels.Every / 2
)

// board broadcasts the levels of the pod's own partitions and follows those of the others.
type board struct {
	pool  *Pool
	table *levels.Table
	// senders by promotion; they belong to run's goroutine.
	senders map[string]*levels.Sender
}

func newBoard(p *Pool) *board {
	return &board{pool: p, table: levels.NewTable(), senders: map[string]*levels.Sender{}}
}

// run follows the broadcasts, and makes the pod's own, until ctx ends.
func (b *board) run(ctx context.Context) {
	conn := b.pool.JetStream.Conn()
	subscription, err := conn.Subscribe(levelsSubject+"*", b.receive)
	if err == nil {
		err = subscription.SetPendingLimits(levelsPending, levelsPendingBytes)
		defer func() { _ = subscription.Unsubscribe() }()
	}
	if err != nil {
		// Only a connection that was closed for good refuses; "sold out" is said by the partitions then.
		b.pool.Logger.Error("levels cannot be followed", "error", err)
	}
	ticker := time.NewTicker(levels.Every)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			b.tick(ctx, conn)
		}
	}
}

// receive is called by one goroutine of the subscription's.
func (b *board) receive(message *nats.Msg) {
	var broadcast flashv1.Levels
	if len(message.Data) > levelsBytes || proto.Unmarshal(message.Data, &broadcast) != nil {
		b.count("garbled")
		return
	}
	if broadcast.GetPod() == b.pool.Name {
		return
	}
	now, ok := b.pool.now()
	if ok && b.table.Observe(strings.TrimPrefix(message.Subject, levelsSubject), &broadcast, now) {
		b.count("received")
	} else {
		b.count("unusable")
	}
}

func (b *board) count(outcome string) { b.pool.metrics.levels.WithLabelValues(outcome).Inc() }

// tick reads the levels of the pod's own partitions and broadcasts those that are news.
func (b *board) tick(ctx context.Context, conn *nats.Conn) {
	p := b.pool
	// Before the levels are read, so that they are younger.
	now, ok := p.now()
	clock := p.Clock()
	if !ok || !p.membership.lease() {
		return
	}
	v := p.view.Load()
	for uid := range b.senders {
		if v.byUID[uid] == nil {
			delete(b.senders, uid)
		}
	}
	var group sync.WaitGroup
	readings := make(map[string][]levels.Reading, len(v.byUID))
	var mu sync.Mutex
	for uid, s := range v.byUID {
		group.Go(func() {
			read := p.readings(ctx, s)
			mu.Lock()
			readings[uid] = read
			mu.Unlock()
		})
	}
	group.Wait()
	for uid, read := range readings {
		sender := b.senders[uid]
		if sender == nil {
			sender = levels.NewSender()
			b.senders[uid] = sender
		}
		for _, message := range sender.Messages(p.Name, now, clock, read) {
			b.send(conn, uid, message, now)
		}
	}
}

// send tells the others, and the pod itself.
func (b *board) send(conn *nats.Conn, uid string, message *flashv1.Levels, now time.Time) {
	b.table.Observe(uid, message, now)
	raw, err := proto.Marshal(message)
	if err != nil {
		b.pool.Logger.Error("levels cannot be encoded", "promotion", uid, "error", err)
		return
	}
	// What waited for a connection would be too old, and take room from what may wait.
	if conn.Status() != nats.CONNECTED {
		return
	}
	if err := conn.Publish(levelsSubject+uid, raw); err != nil {
		b.pool.Logger.Debug("levels were not broadcast", "promotion", uid, "error", err)
		return
	}
	b.count("sent")
}

// readings of the promotion's partitions that the pod serves. Those whose owner does not answer soon are left out.
func (p *Pool) readings(ctx context.Context, s *placed) []levels.Reading {
	if !s.sale.GetOpen() || s.sale.GetClosed() {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	var group sync.WaitGroup
	var mu sync.Mutex
	var readings []levels.Reading
	for n := range s.sale.GetPartitions() {
		if !s.ownedBy(n, p.Name) {
			continue
		}
		o := p.owner(ownerKey{s.sale.GetUid(), n})
		if o == nil || !o.Serving() {
			continue
		}
		group.Go(func() {
			if read, err := o.Levels(ctx); err == nil {
				mu.Lock()
				readings = append(readings, levels.Reading{Partition: n, Levels: read})
				mu.Unlock()
			}
		})
	}
	group.Wait()
	return readings
}

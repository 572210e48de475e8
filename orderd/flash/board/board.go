// Package board tells the pods of the pool how much stock each of them has left, and which items
// are sold out: it broadcasts the levels of the pod's own partitions and follows those of the
// others. Package levels decides what is said, and what may be believed.
package board

import (
	"context"
	"log/slog"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/protobuf/proto"

	flashv1 "github.com/orderd-dev/orderd/api/gen/orderd/flash/v1"
	"github.com/orderd-dev/orderd/orderd/flash/levels"
	"github.com/orderd-dev/orderd/orderd/flash/promotion"
	"github.com/orderd-dev/orderd/orderd/kit/metric"
)

// LevelsSubjects are where the levels of all promotions are broadcast.
const LevelsSubjects = levelsSubject + "*"

const (
	// levelsSubject and a promotion's uid are where its levels are broadcast.
	levelsSubject = "orderd.levels."
	// levelsPending and levelsPendingBytes bound the broadcasts that wait to be read; more are
	// lost, as some always may be.
	levelsPending      = 4096
	levelsPendingBytes = 32 << 20
	// levelsBytes bounds a broadcast: pods send less.
	levelsBytes = 1 << 20
	// readTimeout bounds the wait for the owners, who may be waiting for an append.
	readTimeout = levels.Every / 2
)

// Options of [New]. What is not said to be optional is needed.
type Options struct {
	// Name of the pod.
	Name string
	// Readings has, for every promotion that the pod knows, by uid, what the owners of its own
	// partitions say. Those that do not answer before ctx ends are left out.
	Readings func(ctx context.Context) map[string][]levels.Reading
	// Lease says whether the pod is known to be a live member: else it tells nothing.
	Lease func() bool
	// Clock is the pod's own, and that of its owners.
	Clock func() time.Time
	// Now is the cluster's time; false while it is not known.
	Now    func() (time.Time, bool)
	Logger *slog.Logger
	// Registerer of the metrics; optional.
	Registerer prometheus.Registerer
}

// Board of a pod. Make it with [New], then [Board.Run] it; safe for concurrent use.
type Board struct {
	name     string
	readings func(ctx context.Context) map[string][]levels.Reading
	lease    func() bool
	clock    func() time.Time
	now      func() (time.Time, bool)
	log      *slog.Logger
	messages *prometheus.CounterVec
	table    *levels.Table
	// senders by promotion; they belong to Run's goroutine.
	senders map[string]*levels.Sender
}

// New knows no promotions. It fails if the registerer has a board's metrics already.
func New(options Options) (*Board, error) {
	b := &Board{
		name: options.Name, readings: options.Readings, lease: options.Lease, clock: options.Clock, now: options.Now,
		log: options.Logger, table: levels.NewTable(), senders: map[string]*levels.Sender{},
		messages: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "orderd_flash_levels_messages_total", Help: "Broadcasts of stock levels, by what became of them.",
		}, []string{"outcome"}),
	}
	marks := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "orderd_flash_sold_out_items",
		Help: "Items that this pod refuses as sold out without asking their partitions.",
	}, func() float64 {
		now, _ := b.now()
		return float64(b.table.Marks(now))
	})
	return b, metric.Register(options.Registerer, "the board of levels", b.messages, marks)
}

// SetPromotions says which promotions there are, by uid. The map is the board's from now on.
func (b *Board) SetPromotions(promotions map[string]*promotion.Promotion) {
	b.table.SetPromotions(promotions)
}

// Level is what was last heard of a partition's stock shard, in units;
// [levels.Unknown] if nothing was.
func (b *Board) Level(uid string, partition int32, sku string) int64 {
	return b.table.Level(uid, partition, sku)
}

// SoldOut says that a moment ago no more than left units of an item could be had anywhere, and
// false if that is not known.
func (b *Board) SoldOut(uid, sku string) (left int64, ok bool) {
	now, ok := b.now()
	if !ok {
		return 0, false
	}
	return b.table.Mark(uid, sku, now)
}

// Run follows the broadcasts, and makes the pod's own, until ctx ends.
func (b *Board) Run(ctx context.Context, conn *nats.Conn) {
	subscription, err := conn.Subscribe(LevelsSubjects, b.receive)
	if err == nil {
		err = subscription.SetPendingLimits(levelsPending, levelsPendingBytes)
		defer func() { _ = subscription.Unsubscribe() }()
	}
	if err != nil {
		// Only a connection that was closed for good refuses; "sold out" is said by
		// the partitions then.
		b.log.Error("levels cannot be followed", "error", err)
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
func (b *Board) receive(message *nats.Msg) {
	var broadcast flashv1.Levels
	if len(message.Data) > levelsBytes || proto.Unmarshal(message.Data, &broadcast) != nil {
		b.count("garbled")
		return
	}
	if broadcast.GetPod() == b.name {
		return
	}
	now, ok := b.now()
	if ok && b.table.Observe(strings.TrimPrefix(message.Subject, levelsSubject), &broadcast, now) {
		b.count("received")
	} else {
		b.count("unusable")
	}
}

func (b *Board) count(outcome string) { b.messages.WithLabelValues(outcome).Inc() }

// tick reads the levels of the pod's own partitions and broadcasts those that are news.
func (b *Board) tick(ctx context.Context, conn *nats.Conn) {
	// Before the levels are read, so that they are younger.
	now, ok := b.now()
	clock := b.clock()
	if !ok || !b.lease() {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	readings := b.readings(ctx)
	for uid := range b.senders {
		if _, known := readings[uid]; !known {
			delete(b.senders, uid)
		}
	}
	for uid, read := range readings {
		sender := b.senders[uid]
		if sender == nil {
			sender = levels.NewSender()
			b.senders[uid] = sender
		}
		for _, message := range sender.Messages(b.name, now, clock, read) {
			b.send(conn, uid, message, now)
		}
	}
}

// send tells the others, and the pod itself.
func (b *Board) send(conn *nats.Conn, uid string, message *flashv1.Levels, now time.Time) {
	b.table.Observe(uid, message, now)
	raw, err := proto.Marshal(message)
	if err != nil {
		b.log.Error("levels cannot be encoded", "promotion", uid, "error", err)
		return
	}
	// What waited for a connection would be too old, and take room from what may wait.
	if conn.Status() != nats.CONNECTED {
		return
	}
	if err := conn.Publish(levelsSubject+uid, raw); err != nil {
		b.log.Debug("levels were not broadcast", "promotion", uid, "error", err)
		return
	}
	b.count("sent")
}

// Package owner runs a partition: one goroutine that decides from the partition's state, appends what
// it decided to the log and answers once the append is durable. Any number of owners of a partition
// may run at once, in any process: the log refuses all but one.
package owner

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	flashv1 "github.com/orderd-dev/orderd/api/gen/orderd/flash/v1"
	"github.com/orderd-dev/orderd/orderd/flash/partition"
	"github.com/orderd-dev/orderd/orderd/flash/plog"
	"github.com/orderd-dev/orderd/orderd/flash/promotion"
	"github.com/orderd-dev/orderd/orderd/flash/refusal"
)

// Limits of an owner.
const (
	// queueLength is how many requests wait for the goroutine at most; more are refused.
	queueLength = 16384
	// gatherMax is how many requests one turn takes from the queue, about: calls are taken whole.
	gatherMax = 4096
	// parkedMax is how many reservations wait for stock from other shards at most.
	parkedMax = 8192
	// recordOrders and recordBytes bound one Reserved record, well below NATS' default payload of 1 MiB.
	recordOrders = 1024
	recordBytes  = 512 << 10
	// appendTimeout is when an append's outcome counts as unknown.
	appendTimeout = 2 * time.Second
	// fullDelay is what callers of a full partition are told to wait, before jitter.
	fullDelay = 30 * time.Second
	// retryDelay is what callers are told to wait, before jitter.
	retryDelay = 200 * time.Millisecond
	// soldOutTTL is how long an item found sold out is not looked for again: releases may bring stock back.
	soldOutTTL = time.Second
	// staleMax is how far a refusal may be behind the log.
	staleMax = 250 * time.Millisecond
	// proofTimeout bounds the question for the log's last record.
	proofTimeout = 500 * time.Millisecond
)

// Peers reaches the owners of the promotion's other partitions.
type Peers interface {
	// Transfer asks the owner of request.FromPartition. refusal.ReasonNotOwner or ReasonOverloaded in the error:
	// nothing was or will be moved. Any other error: the outcome is unknown.
	Transfer(ctx context.Context, request *flashv1.TransferRequest) (*flashv1.TransferResponse, error)
}

// OrderIDs makes the ids of accepted orders.
type OrderIDs interface {
	New(buyer string) (uuid.UUID, error)
}

// Options of an owner. What is not said to be optional by a meaning of nil is needed.
type Options struct {
	// Name of the pod, for the log's Fenced records.
	Name      string
	Partition int32
	// Sale is the promotion as the pod knows it now.
	Sale func() *promotion.Promotion
	Log  plog.Log
	// Owned says whether the pod still believes that the partition is its own.
	Owned func() bool
	// Lease says whether the pod is known to be a live member: without it, what the owner remembers may be
	// behind the log, and only what it appends counts.
	Lease    func() bool
	Peers    Peers
	OrderIDs OrderIDs
	// Clock is the pod's own; it measures how long things take and how old they are.
	Clock func() time.Time
	// Now is the cluster's time, which decides whether the sale takes a request, and stamps orders; false while it is not known,
	// and then nothing is accepted. Nil: Clock.
	Now func() (time.Time, bool)
	// Level is the last known level of another partition's stock shard, in units, -1 if it is not known: the fullest is asked
	// for stock first. Nil: none is known.
	Level func(partition int32, sku string) int64
	// SoldOut says that no more than left units of an item could be had anywhere, by a proof of any owner that still holds.
	// Nil: the owner proves it by itself.
	SoldOut func(sku string) (left int64, ok bool)
	// Jitter spreads a delay at random around itself; safe for concurrent use.
	Jitter  func(time.Duration) time.Duration
	Logger  *slog.Logger
	Metrics *Metrics
}

// Owner of one partition.
type Owner struct {
	Options
	log   *slog.Logger
	queue chan *call
	wake  chan struct{}
	stop  chan struct{}
	done  chan struct{}
	// queued is how many requests are in the queue.
	queued atomic.Int64
	// entrance is held shared while a call enters the queue; ended says that none may any more.
	entrance sync.RWMutex
	ended    bool

	// singles are calls to be used again.
	singles sync.Pool

	stopping atomic.Bool
	serving  atomic.Bool
	// asking is set while stock is asked for: a donation asked of this owner then must not wait for it.
	asking atomic.Bool
	// used is when the last call came, in Unix nanoseconds.
	used atomic.Int64

	// What follows belongs to the goroutine.
	state *partition.State
	// pending are reservations to decide on, parked those that wait for stock.
	pending, parked []placement
	// room is pending's memory, to be used again.
	room  []placement
	batch batch
	// counted is how many reservations the metrics have of this owner.
	counted int
	// questions are for what the state has: lookups, findings, levels.
	questions []*call
	releases  []*call
	donations []*call
	// redecide says that parked reservations are to be decided on again: stock may have come.
	redecide bool
	search   *search
	soldOut  map[string]soldOut
	// proved is a moment at which the log had no more than state; behind says that it has by now.
	proved time.Time
	behind bool
	// unproved is when the log was asked last without an answer.
	unproved time.Time
	// toppedUp is the version of the sale all of whose top-ups the state has.
	toppedUp *promotion.Promotion
}

// New makes an owner that does nothing until Run.
func New(options Options) *Owner {
	o := &Owner{
		Options: options,
		log:     options.Logger.With("promotion", options.Sale().GetUid(), "partition", options.Partition),
		queue:   make(chan *call, queueLength), wake: make(chan struct{}, 1), stop: make(chan struct{}), done: make(chan struct{}),
		singles: sync.Pool{New: newSingle}, state: partition.New(), soldOut: map[string]soldOut{},
	}
	o.used.Store(options.Clock().UnixNano())
	return o
}

// Serving says whether the owner took its partition over and still serves it.
func (o *Owner) Serving() bool { return o.serving.Load() }

// Used is when the owner was last called.
func (o *Owner) Used() time.Time { return time.Unix(0, o.used.Load()) }

// Done is closed once the owner has ended, and will answer nothing any more.
func (o *Owner) Done() <-chan struct{} { return o.done }

// Stop lets the owner finish what it has and end. It does not wait.
func (o *Owner) Stop() {
	if o.stopping.CompareAndSwap(false, true) {
		close(o.stop)
	}
}

// Run takes the partition over and serves it until Stop, until ctx ends, or until the partition belongs to
// another pod.
func (o *Owner) Run(ctx context.Context) {
	defer o.finish()
	o.Metrics.owned.Inc()
	defer o.Metrics.owned.Dec()
	if err := o.resync(ctx); err != nil {
		o.stepDown(ctx, err)
		return
	}
	if err := o.topUp(ctx); err != nil {
		o.stepDown(ctx, err)
		return
	}
	o.count(o.state.Reservations())
	o.serving.Store(true)
	o.log.Info("partition taken over", "sequence", o.state.Sequence(), "closed", o.state.Closed())
	for o.gather(ctx) {
		err := o.turn(ctx)
		o.count(o.state.Reservations())
		if err != nil {
			o.stepDown(ctx, err)
			return
		}
	}
}

func (o *Owner) stepDown(ctx context.Context, err error) {
	switch {
	case ctx.Err() != nil:
	case errors.Is(err, errLost):
		o.log.Info("partition handed over", "sequence", o.state.Sequence())
	default:
		o.log.Error("partition given up", "error", err)
	}
}

// finish answers everybody who still waits: what became of their requests, another owner knows. Those that nobody looked
// at are told that nothing happened.
func (o *Owner) finish() {
	o.stopping.Store(true)
	o.serving.Store(false)
	o.entrance.Lock()
	o.ended = true
	o.entrance.Unlock()
	o.refuseWaiting(o.moving())
	o.sortQueued()
	o.refuseWaiting(refusal.NotOwner())
	o.count(0)
	close(o.done)
}

// count tells the metrics how many reservations the owner has.
func (o *Owner) count(reservations int) {
	o.Metrics.reservations.Add(float64(reservations - o.counted))
	o.counted = reservations
}

// gather waits for something to do and takes it from the queue; false when the owner is to end.
func (o *Owner) gather(ctx context.Context) bool {
	if !o.mayWork() {
		select {
		case <-ctx.Done():
			return false
		case <-o.stop:
			return len(o.queue) > 0
		case c := <-o.queue:
			o.sort(c)
		case <-o.wake:
		case <-o.search.retry():
			o.search.due = true
		}
	}
	for range gatherMax {
		if len(o.pending) >= gatherMax {
			break
		}
		select {
		case c := <-o.queue:
			o.sort(c)
		default:
			return ctx.Err() == nil
		}
	}
	return ctx.Err() == nil
}

// mayWork says whether there is something to do without another call or time passing.
func (o *Owner) mayWork() bool {
	return o.behind || len(o.parked) > 0 && (o.redecide || o.search == nil || o.search.due)
}

func (o *Owner) sort(c *call) {
	o.queued.Add(-c.calls())
	switch {
	case c.placements != nil:
		if len(o.pending) == 0 {
			o.pending = o.room[:0]
		}
		o.pending = append(o.pending, c.placements...)
		if cap(o.pending) > cap(o.room) {
			o.room = o.pending[:0]
		}
	case c.ctx.Err() != nil:
		// Nobody waits for an answer.
	case c.get != nil, c.find != nil, c.levels:
		o.questions = append(o.questions, c)
	case c.transfer != nil:
		o.donations = append(o.donations, c)
	default:
		o.releases = append(o.releases, c)
	}
}

// sortQueued takes all that is in the queue.
func (o *Owner) sortQueued() {
	for {
		select {
		case c := <-o.queue:
			o.sort(c)
		default:
			return
		}
	}
}

// turn works off what was gathered. Reservations that found no stock stay parked. An error means that
// the partition must be given up.
func (o *Owner) turn(ctx context.Context) error {
	if o.behind {
		if err := o.recover(ctx, plog.ErrRefused); err != nil {
			return err
		}
	}
	if err := o.topUp(ctx); err != nil {
		return err
	}
	if err := o.release(ctx); err != nil {
		return err
	}
	if o.redecide {
		// Those who wait for stock come before those who just arrived, and before other shards.
		o.pending = append(o.parked, o.pending...)
		o.parked, o.redecide = nil, false
	}
	if err := o.reserve(ctx); err != nil {
		return err
	}
	o.tell(ctx)
	if err := o.donate(ctx); err != nil {
		return err
	}
	return o.seek(ctx)
}

// refuseWaiting answers every call that the owner took from its queue.
func (o *Owner) refuseWaiting(err error) {
	for _, placements := range []*[]placement{&o.pending, &o.parked} {
		o.Metrics.refuse(err, len(*placements))
		for _, p := range *placements {
			p.answer(nil, err)
		}
		*placements = nil
	}
	for _, calls := range []*[]*call{&o.questions, &o.releases, &o.donations} {
		for _, c := range *calls {
			c.refuse(err)
		}
		*calls = nil
	}
}

// current says whether at some moment not before since the log had no more than the owner remembers. A
// refusal from a memory that is behind may be wrong: two pods may believe for a while that a partition is
// theirs, and the one that appends nothing would not notice.
func (o *Owner) current(ctx context.Context, since time.Time) bool {
	if !o.Lease() || !o.Owned() {
		return false
	}
	if !o.proved.Before(since) {
		return true
	}
	if !o.unproved.Before(since) {
		// Those who wait for the same proof do not wait one after the other.
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, proofTimeout)
	defer cancel()
	asked := o.Clock()
	last, err := o.Log.Last(ctx, o.Partition)
	if err != nil {
		o.unproved = asked
		return false
	}
	if o.behind = last != o.state.Sequence(); o.behind {
		return false
	}
	o.proved = asked
	return true
}

// nearlyCurrent is current for answers that may be a little behind.
func (o *Owner) nearlyCurrent(ctx context.Context) bool {
	return o.current(ctx, o.Clock().Add(-staleMax))
}

// now is the cluster's time, if it is known.
func (o *Owner) now() (time.Time, bool) {
	if o.Now == nil {
		return o.Clock(), true
	}
	return o.Now()
}

func (o *Owner) moving() error { return refusal.PartitionMoving(o.Jitter(retryDelay)) }

// Package owner runs a partition: one goroutine that decides from the partition's state, appends
// what it decided to the log, and answers once the append is durable. Any number of owners of a
// partition may run at once, in any process: the log refuses all but one.
//
// What an owner knows of itself, and who sets it:
//
//	owned        The membership gives the partition to this pod. Set by the pool. Without it the
//	             owner ends as soon as it has to read its log again.
//	lease        This pod is known to be a live member. Set by the pool. Without it others may
//	             serve the partition, and the owner says no "no".
//	serving      The log was read and fenced, and the owner decides. Set by Run, cleared by finish.
//	stopping     No call is let in any more. Set by Stop and finish.
//	ended        The queue is shut: who comes now is told that this is not the owner. Set by finish.
//	asking       The goroutine waits for another shard's owner. Who asks this owner for stock
//	             meanwhile is told "busy". Set and cleared by seek.
//	upToDateAt   The last moment at which the log was seen to have no more than the state. Set by
//	             each append that landed, and by upToDateSince, which asks the log.
//	logSilentAt  When the log was last asked and did not answer. Set by upToDateSince.
//	logMovedOn   The log has more than the state: somebody else appended. Set by upToDateSince,
//	             cleared by resync, which reads on.
//	redecide     Requests that wait for stock are to be decided on again. Set by whatever brings
//	             stock or news: releases, top-ups, transfers, resync, the end of a search.
//	search       A search for stock is under way; while it waits, searchTimer is set. Set and
//	             cleared by seek.
//
// A "yes" needs none of these: it is durable in the log before it is given. A "no" is given from
// memory. It needs the lease, and a moment at which the log had no more than the state: one since
// the call came, or for a refusal to sell, one within the last 250 ms.
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
	"github.com/orderd-dev/orderd/orderd/flash/owner/search"
	"github.com/orderd-dev/orderd/orderd/flash/partition"
	"github.com/orderd-dev/orderd/orderd/flash/plog"
	"github.com/orderd-dev/orderd/orderd/flash/promotion"
	"github.com/orderd-dev/orderd/orderd/flash/refusal"
)

// Limits of an owner.
const (
	// queueLength is how many requests wait for the goroutine at most; more are refused.
	queueLength = 16384
	// gatherMax is how many requests one turn takes from the queue, about: calls are not split.
	gatherMax = 4096
	// parkedMax is how many requests wait for stock from other shards at most.
	parkedMax = 8192
	// recordOrders and recordBytes bound one Reserved record, well below NATS' default payload of 1
	// MiB.
	recordOrders = 1024
	recordBytes  = 512 << 10
	// appendTimeout is when an append's outcome counts as unknown.
	appendTimeout = 2 * time.Second
	// fullDelay is what callers of a full partition are told to wait, before jitter.
	fullDelay = 30 * time.Second
	// retryDelay is what callers are told to wait, before jitter.
	retryDelay = 200 * time.Millisecond
	// soldOutTTL is how long an item found sold out is not searched for again: releases may bring
	// stock back.
	soldOutTTL = time.Second
	// staleMax is how far a refusal may be behind the log.
	staleMax = 250 * time.Millisecond
	// proofTimeout bounds the question for the log's last record.
	proofTimeout = 500 * time.Millisecond
)

// Peers reaches the owners of the promotion's other partitions.
type Peers interface {
	// Transfer asks the owner of request.FromPartition for stock. If the error's reason is
	// [rpcerr.ReasonNotOwner] or [rpcerr.ReasonOverloaded], nothing was or will be moved. After
	// any other error the outcome is unknown.
	Transfer(ctx context.Context, request *flashv1.TransferRequest) (*flashv1.TransferResponse, error)
}

// OrderIDs makes the ids of accepted orders.
type OrderIDs interface {
	New(buyer string) (uuid.UUID, error)
}

// Options of an owner. All are needed but those that say what nil means.
type Options struct {
	// Name of the pod, for the log's Fenced records.
	Name      string
	Partition int32
	// Promotion is the promotion as the pod knows it now.
	Promotion func() *promotion.Promotion
	Log       plog.Log
	// Owned says whether the pod still believes that the partition is its own.
	Owned func() bool
	// Lease says whether the pod is known to be a live member: without it, what the owner remembers
	// may be behind the log, and only what it appends counts.
	Lease    func() bool
	Peers    Peers
	OrderIDs OrderIDs
	// Clock is the pod's own; it measures how long things take and how old they are.
	Clock func() time.Time
	// Now is the cluster's time, which decides whether the sale takes a request, and stamps orders;
	// false while it is not known, and then nothing is accepted. Nil: Clock.
	Now func() (time.Time, bool)
	// Level is the last known level of another partition's stock shard, in units, -1 if it is not
	// known: the fullest is asked for stock first. Nil: none is known.
	Level func(partition int32, sku string) int64
	// SoldOut says that no more than left units of an item could be had anywhere, by a proof of any
	// owner that still holds. Nil: the owner proves it by itself.
	SoldOut func(sku string) (left int64, ok bool)
	// Jitter spreads a delay at random around itself; safe for concurrent use.
	Jitter func(time.Duration) time.Duration
	Logger *slog.Logger
	// Metrics of all of the pod's owners. Nil: nobody reads what this one measures.
	Metrics *Metrics
}

// Owner of one partition.
type Owner struct {
	// What New took from its Options.
	name            string
	partition       int32
	promotion       func() *promotion.Promotion
	log             plog.Log
	owned, lease    func() bool
	peers           Peers
	orderIDs        OrderIDs
	clock           func() time.Time
	clusterTime     func() (time.Time, bool)
	level           func(partition int32, sku string) int64
	soldOutAnywhere func(sku string) (left int64, ok bool)
	jitter          func(time.Duration) time.Duration
	logger          *slog.Logger
	metrics         *Metrics

	queue chan *call
	wake  chan struct{}
	stop  chan struct{}
	done  chan struct{}
	// queued is how many requests are in the queue.
	queued atomic.Int64
	// entrance is locked shared while a call enters the queue; it guards ended.
	entrance sync.RWMutex
	ended    bool

	// singles are calls of one request to be used again.
	singles sync.Pool

	stopping atomic.Bool
	serving  atomic.Bool
	asking   atomic.Bool
	// used is when the last call came, in Unix nanoseconds.
	used atomic.Int64

	// What follows belongs to the goroutine.
	state *partition.State
	// pending are requests to decide on, parked those that wait for stock.
	pending, parked []request
	// pendingRoom is pending's memory, to be used again.
	pendingRoom []request
	batch       batch
	// counted is how many reservations the metrics have of this owner.
	counted   int
	questions []question
	releases  []*releaseCall
	donations []*transferCall
	redecide  bool
	// search is nil while there is none.
	search      *search.Search
	searchTimer *time.Timer
	soldOut     map[string]soldOut
	upToDateAt  time.Time
	logSilentAt time.Time
	logMovedOn  bool
	// toppedUp is the version of the promotion all of whose top-ups the state has.
	toppedUp *promotion.Promotion
}

// New makes an owner that does nothing until Run.
func New(options Options) *Owner {
	o := &Owner{
		name: options.Name, partition: options.Partition, promotion: options.Promotion, log: options.Log,
		owned: options.Owned, lease: options.Lease, peers: options.Peers, orderIDs: options.OrderIDs,
		clock: options.Clock, clusterTime: options.Now, level: options.Level, soldOutAnywhere: options.SoldOut,
		jitter: options.Jitter, metrics: options.Metrics,
		logger: options.Logger.With("promotion", options.Promotion().GetUid(), "partition", options.Partition),
		queue:  make(chan *call, queueLength), wake: make(chan struct{}, 1),
		stop: make(chan struct{}), done: make(chan struct{}),
		singles: sync.Pool{New: newSingle}, state: partition.New(), soldOut: map[string]soldOut{},
	}
	if o.clusterTime == nil {
		o.clusterTime = func() (time.Time, bool) { return o.clock(), true }
	}
	if o.level == nil {
		o.level = func(int32, string) int64 { return -1 }
	}
	if o.soldOutAnywhere == nil {
		o.soldOutAnywhere = func(string) (int64, bool) { return 0, false }
	}
	if o.metrics == nil {
		o.metrics = newMetrics()
	}
	o.used.Store(o.clock().UnixNano())
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

// Wake has an idle owner look at its promotion again.
func (o *Owner) Wake() {
	select {
	case o.wake <- struct{}{}:
	default:
	}
}

// Run takes the partition over and serves it until Stop, until ctx ends, or until the partition
// belongs to another pod.
func (o *Owner) Run(ctx context.Context) {
	defer o.finish()
	o.metrics.owned.Inc()
	defer o.metrics.owned.Dec()
	if err := o.resync(ctx); err != nil {
		o.logEnd(ctx, err)
		return
	}
	if err := o.topUp(ctx); err != nil {
		o.logEnd(ctx, err)
		return
	}
	o.count(o.state.Reservations())
	o.serving.Store(true)
	o.logger.Info("partition taken over", "sequence", o.state.Sequence(), "closed", o.state.Closed())
	for o.gather(ctx) {
		err := o.turn(ctx)
		o.count(o.state.Reservations())
		if err != nil {
			o.logEnd(ctx, err)
			return
		}
	}
}

// logEnd says in the log why the owner ends.
func (o *Owner) logEnd(ctx context.Context, err error) {
	switch {
	case ctx.Err() != nil:
	case errors.Is(err, errLost):
		o.logger.Info("partition handed over", "sequence", o.state.Sequence())
	default:
		o.logger.Error("partition given up", "error", err)
	}
}

// finish answers everybody who still waits. Of requests that the owner looked at, another owner
// knows what became. Those that nobody looked at are told that nothing happened.
func (o *Owner) finish() {
	o.stopping.Store(true)
	o.serving.Store(false)
	o.entrance.Lock()
	o.ended = true
	o.entrance.Unlock()
	o.refuseWaiting(o.moving())
	o.dispatchQueued()
	o.refuseWaiting(refusal.NotOwner())
	o.count(0)
	close(o.done)
}

// count tells the metrics how many reservations the owner has.
func (o *Owner) count(reservations int) {
	o.metrics.reservations.Add(float64(reservations - o.counted))
	o.counted = reservations
}

// moving refuses a call of which this owner cannot say, or not say for certain, what becomes of it.
func (o *Owner) moving() error { return refusal.PartitionMoving(o.jitter(retryDelay)) }

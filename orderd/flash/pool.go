// Package flash is a flash pod's engine: it knows the promotions and the pool's live pods, owns
// partitions, takes buyers' requests and forwards those whose partition another pod owns.
package flash

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/orderd-dev/orderd/orderd/flash/admission"
	"github.com/orderd-dev/orderd/orderd/flash/clock"
	"github.com/orderd-dev/orderd/orderd/flash/owner"
	"github.com/orderd-dev/orderd/orderd/flash/plog"
	"github.com/orderd-dev/orderd/orderd/flash/promotion"
	"github.com/orderd-dev/orderd/orderd/flash/provision"
	"github.com/orderd-dev/orderd/orderd/flash/watch"
)

const (
	// reconcileEvery is how often owners are compared with what they should be, without any change.
	reconcileEvery = time.Second
	// idleAfter is how long the owner of a closed partition stays after its last call.
	idleAfter = 10 * time.Minute
	// retryDelay is what callers are told to wait, before jitter.
	retryDelay = 200 * time.Millisecond
)

// maxSkew is Options.MaxSkew unless it is set.
const maxSkew = 500 * time.Millisecond

// Options of a pool. What is not said to be optional is needed.
type Options struct {
	JetStream jetstream.JetStream
	// Replicas of the members' bucket, should it have to be made.
	Replicas int
	// Name of the pod, unique in the pool: letters, digits, dashes and dots.
	Name string
	// Advertise is the host:port of this pod's PeerService.
	Advertise string
	// ServiceAddress is the host:port of this pod's FlashService as gateways and other pods reach it; Advertise if it is empty.
	ServiceAddress string
	// Clock is the pod's own. It measures how long things take, and is compared with the cluster's, which decides when a
	// sale starts and ends.
	Clock func() time.Time
	// ClusterClock, if set, stands in for the cluster's clock, for tests that set the time.
	ClusterClock func() time.Time
	// MaxSkew is how far the pod's clock may be from the cluster's before the pod is not ready; 0: 500 ms.
	MaxSkew time.Duration
	// Admission makes and checks admission tokens; optional: without it no promotion asks for them.
	Admission *admission.Signer
	// Random spreads retries.
	Random     *rand.Rand
	OrderIDs   owner.OrderIDs
	Logger     *slog.Logger
	Registerer prometheus.Registerer
	// WrapLog, if set, stands between the owners and their logs.
	WrapLog func(plog.Log) plog.Log
}

type ownerKey struct {
	uid string
	n   int32
}

// Pool is one pod's part of the flash pool. Make it with NewPool, then Run it.
type Pool struct {
	Options
	ownerMetrics *owner.Metrics
	metrics      *metrics
	peers        *peers
	membership   *membership
	board        *board
	clock        clock.Clock
	// started is where elapsed counts from.
	started time.Time

	draining  atomic.Bool
	view      atomic.Pointer[view]
	changed   chan struct{}
	randomMu  sync.Mutex
	runCtx    context.Context
	running   sync.WaitGroup
	viewMu    sync.Mutex
	salesSeen bool

	ownersMu sync.RWMutex
	owners   map[ownerKey]*owner.Owner
	// logs that owners share.
	logs map[logKey]plog.Log
}

// NewPool does no I/O; it panics if the registerer has a pool's metrics already.
func NewPool(options Options) *Pool {
	if options.ServiceAddress == "" {
		options.ServiceAddress = options.Advertise
	}
	if options.MaxSkew == 0 {
		options.MaxSkew = maxSkew
	}
	ownerMetrics, err := owner.NewMetrics(options.Registerer)
	if err != nil {
		panic(err)
	}
	p := &Pool{
		Options: options, ownerMetrics: ownerMetrics, metrics: newMetrics(options.Registerer),
		peers: newPeers(), changed: make(chan struct{}, 1), owners: map[ownerKey]*owner.Owner{}, logs: map[logKey]plog.Log{}, started: options.Clock(),
	}
	p.membership, p.board = newMembership(p), newBoard(p)
	registerGauges(options.Registerer, p)
	p.view.Store(&view{})
	return p
}

// Run joins the pool and serves until ctx ends; then it stops at once. Drain before for a graceful end.
func (p *Pool) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	p.ownersMu.Lock()
	p.runCtx = ctx
	p.ownersMu.Unlock()
	var group sync.WaitGroup
	group.Go(func() { p.membership.heartbeat(ctx) })
	group.Go(func() { p.board.run(ctx) })
	group.Go(func() {
		watch.Bucket(ctx, p.JetStream, provision.MembersBucket, p.jitter, p.Logger, p.membership.handler())
	})
	group.Go(func() {
		watch.Bucket(ctx, p.JetStream, provision.PromotionsBucket, p.jitter, p.Logger, p.promotionsHandler())
	})
	ticker := time.NewTicker(reconcileEvery)
	defer ticker.Stop()
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-p.changed:
			p.reconcile()
		case <-ticker.C:
			p.reconcile()
		}
	}
	group.Wait()
	p.running.Wait()
	p.peers.close()
	return nil
}

// Errors of Ready.
var (
	ErrDraining  = errors.New("the pod is draining")
	ErrNotSynced = errors.New("promotions or members are not known yet")
	ErrNoTime    = errors.New("the cluster's time is not known yet")
	ErrSkewed    = errors.New("the pod's clock is wrong")
)

// Ready is nil once the pod knows promotions, members and the cluster's time, is one of the members, and serves every partition
// of an open promotion that is its own. A pod whose clock is wrong goes on serving its partitions by the cluster's, but is not ready.
func (p *Pool) Ready() error {
	if p.draining.Load() {
		return ErrDraining
	}
	v := p.view.Load()
	if !v.synced {
		return ErrNotSynced
	}
	if err := p.inTime(); err != nil {
		return err
	}
	for uid, s := range v.byUID {
		if !s.sale.GetOpen() || s.sale.GetClosed() {
			continue
		}
		for n := range s.sale.GetPartitions() {
			if s.owners[n].Name != p.Name {
				continue
			}
			if o := p.owner(ownerKey{uid, n}); o == nil || !o.Serving() {
				return fmt.Errorf("partition %d of promotion %s is not served yet", n, s.sale.GetName())
			}
		}
	}
	return nil
}

// Drain leaves the pool, finishes what is in flight and hands the partitions over. It returns when that
// is done or ctx ends. Requests that come meanwhile go to the other pods.
func (p *Pool) Drain(ctx context.Context) {
	p.draining.Store(true)
	p.membership.leave(ctx)
	p.ownersMu.Lock()
	owners := make([]*owner.Owner, 0, len(p.owners))
	for _, o := range p.owners {
		o.Stop()
		owners = append(owners, o)
	}
	p.ownersMu.Unlock()
	for _, o := range owners {
		select {
		case <-o.Done():
		case <-ctx.Done():
			return
		}
	}
}

// elapsed is a reading of the pod's monotonic clock.
func (p *Pool) elapsed() time.Duration { return p.Clock().Sub(p.started) }

// now is the cluster's time, never ahead of it, and false while it is not known: then nothing may be accepted.
func (p *Pool) now() (time.Time, bool) {
	if p.ClusterClock != nil {
		return p.ClusterClock(), true
	}
	return p.clock.Now(p.elapsed())
}

// skew is how far the pod's clock is ahead of the cluster's for certain, negative if it is behind; false while that is not known.
func (p *Pool) skew() (time.Duration, bool) {
	wall := p.Clock()
	return p.clock.Skew(wall.Sub(p.started), wall)
}

// inTime is nil if the pod's clock is known to be near the cluster's.
func (p *Pool) inTime() error {
	if p.ClusterClock != nil {
		return nil
	}
	skew, ok := p.skew()
	switch {
	case !ok:
		return ErrNoTime
	case skew.Abs() > p.MaxSkew:
		return fmt.Errorf("%w: %s ahead of the cluster's, allowed are %s", ErrSkewed, skew.Round(time.Millisecond), p.MaxSkew)
	}
	return nil
}

// soldOutMark says that a moment ago no more than left units of an item could be had anywhere, and false if that is not known.
func (p *Pool) soldOutMark(uid, sku string) (left int64, ok bool) {
	now, ok := p.now()
	if !ok {
		return 0, false
	}
	return p.board.table.Mark(uid, sku, now)
}

func (p *Pool) owner(key ownerKey) *owner.Owner {
	p.ownersMu.RLock()
	defer p.ownersMu.RUnlock()
	return p.owners[key]
}

// local is the running owner of a partition that is this pod's; nil if it has none. The owner of a closed
// partition is started when it is needed.
func (p *Pool) local(s *placed, n int32) *owner.Owner {
	key := ownerKey{s.sale.GetUid(), n}
	if o := p.owner(key); o != nil {
		return o
	}
	if s.sale.GetClosed() && s.owners[n].Name == p.Name {
		p.start(key, s.sale)
		return p.owner(key)
	}
	return nil
}

// reconcile starts and stops owners so that they are those of the view.
func (p *Pool) reconcile() {
	v := p.view.Load()
	now := p.Clock()
	p.ownersMu.Lock()
	for key, o := range p.owners {
		select {
		case <-o.Done():
			delete(p.owners, key)
			continue
		default:
		}
		s := v.byUID[key.uid]
		idle := s != nil && s.sale.GetClosed() && now.Sub(o.Used()) > idleAfter
		if s == nil || idle || !s.ownedBy(key.n, p.Name) {
			o.Stop()
		}
	}
	for key := range p.logs {
		if v.byUID[key.uid] == nil {
			delete(p.logs, key)
		}
	}
	p.ownersMu.Unlock()
	for uid, s := range v.byUID {
		if !s.sale.GetOpen() || s.sale.GetClosed() {
			continue
		}
		for n := range s.sale.GetPartitions() {
			if s.ownedBy(n, p.Name) {
				p.start(ownerKey{uid, n}, s.sale)
			}
		}
	}
}

// logKey names a promotion's stream.
type logKey struct {
	uid    string
	stream int32
}

// log is the one of a stream's partitions. Where its servers write a batch at the price of one record, the owners share it.
func (p *Pool) log(s *promotion.Promotion, stream int32) plog.Log {
	if p.Replicas <= 1 {
		return plog.New(p.JetStream, s.Promotion)
	}
	key := logKey{s.GetUid(), stream}
	if p.logs[key] == nil {
		p.logs[key] = plog.Together(plog.New(p.JetStream, s.Promotion))
	}
	return p.logs[key]
}

// start runs an owner unless there is one, or the pod leaves.
func (p *Pool) start(key ownerKey, first *promotion.Promotion) {
	p.ownersMu.Lock()
	defer p.ownersMu.Unlock()
	if p.owners[key] != nil || p.draining.Load() || p.runCtx == nil || p.runCtx.Err() != nil {
		return
	}
	log := p.log(first, first.StreamOf(key.n))
	if p.WrapLog != nil {
		log = p.WrapLog(log)
	}
	o := owner.New(owner.Options{
		Name: p.Name, Partition: key.n, Log: log, OrderIDs: p.OrderIDs, Clock: p.Clock,
		Jitter: p.jitter, Logger: p.Logger, Metrics: p.ownerMetrics, Peers: p,
		Lease: p.membership.lease, Now: p.now,
		Level:   func(n int32, sku string) int64 { return p.board.table.Level(key.uid, n, sku) },
		SoldOut: func(sku string) (int64, bool) { return p.soldOutMark(key.uid, sku) },
		Promotion: func() *promotion.Promotion {
			if s := p.view.Load().byUID[key.uid]; s != nil {
				return s.sale
			}
			return first
		},
		Owned: func() bool {
			s := p.view.Load().byUID[key.uid]
			return !p.draining.Load() && s != nil && s.ownedBy(key.n, p.Name)
		},
	})
	p.owners[key] = o
	ctx := p.runCtx
	// One that ends by itself is started again by the next regular comparison, not at once.
	p.running.Go(func() { o.Run(ctx) })
}

// wake has the owners of a promotion that changed look at it.
func (p *Pool) wake(uid string) {
	p.ownersMu.RLock()
	defer p.ownersMu.RUnlock()
	for key, o := range p.owners {
		if key.uid == uid {
			o.Wake()
		}
	}
}

// notify has the owners compared with the view soon.
func (p *Pool) notify() {
	select {
	case p.changed <- struct{}{}:
	default:
	}
}

// jitter is between half of a delay and one and a half.
func (p *Pool) jitter(delay time.Duration) time.Duration {
	p.randomMu.Lock()
	defer p.randomMu.Unlock()
	return delay/2 + time.Duration(p.Random.Int64N(int64(delay)+1))
}

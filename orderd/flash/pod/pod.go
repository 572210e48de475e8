// Package pod is a flash pod's part of the pool: it knows the promotions and the pool's live pods,
// runs the owners of the partitions that are its own, takes buyers' requests, and sends those of
// other partitions on to their owners' pods.
//
// Its parts know each other by what they need only: views (what the pod knows), ownerSet (the
// owners that it runs), precheck (what it refuses by itself) and the services for apps and for
// other pods; and, in packages of their own, members, board and route.
package pod

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"connectrpc.com/connect/v2"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/orderd-dev/orderd/orderd/flash/admission"
	"github.com/orderd-dev/orderd/orderd/flash/board"
	"github.com/orderd-dev/orderd/orderd/flash/levels"
	"github.com/orderd-dev/orderd/orderd/flash/members"
	"github.com/orderd-dev/orderd/orderd/flash/owner"
	"github.com/orderd-dev/orderd/orderd/flash/plog"
	"github.com/orderd-dev/orderd/orderd/flash/prepare"
	"github.com/orderd-dev/orderd/orderd/flash/promotion"
	"github.com/orderd-dev/orderd/orderd/flash/route"
	"github.com/orderd-dev/orderd/orderd/flash/watch"
	"github.com/orderd-dev/orderd/orderd/kit/backoff"
	"github.com/orderd-dev/orderd/orderd/kit/metric"
)

// reconcileEvery is how often owners are compared with what they should be, without any change.
const reconcileEvery = time.Second

// Options of [New]. What is not said to be optional is needed.
type Options struct {
	JetStream jetstream.JetStream
	// Replicas of the members' bucket, should it have to be made, and of the promotions' streams.
	Replicas int
	// Name of the pod, unique in the pool: letters, digits, dashes and dots.
	Name string
	// Advertise is the host:port of this pod's PeerService.
	Advertise string
	// ServiceAddress is the host:port of this pod's FlashService as gateways and other pods reach
	// it; Advertise if it is empty.
	ServiceAddress string
	// Clock is the pod's own. It measures how long things take, and is compared with the cluster's,
	// which decides when a sale starts and ends.
	Clock func() time.Time
	// ClusterClock, if set, stands in for the cluster's clock, for tests that set the time.
	ClusterClock func() time.Time
	// MaxSkew is how far the pod's clock may be from the cluster's before the pod is
	// not ready; 0: 500 ms.
	MaxSkew time.Duration
	// Admission makes and checks admission tokens; optional: without it no promotion asks for them.
	Admission *admission.Signer
	// Known is what makes the pod known to the pods that it calls; optional.
	Known []connect.ClientInterceptor
	// Random spreads retries. It is the pod's from now on.
	Random   *rand.Rand
	OrderIDs owner.OrderIDs
	Logger   *slog.Logger
	// Registerer of the metrics; optional.
	Registerer prometheus.Registerer
	// WrapLog, if set, stands between the owners and their logs.
	WrapLog func(plog.Log) plog.Log
}

// Pod is one pod's part of the flash pool. Make it with [New], then [Pod.Run] it.
type Pod struct {
	name    string
	js      jetstream.JetStream
	log     *slog.Logger
	jitter  func(time.Duration) time.Duration
	members *members.Members
	views   *views
	owners  *ownerSet
	board   *board.Board
	router  *route.Router
	flash   *Service
	peer    *PeerService
	// changed has a token when the owners are to be compared with what they should be.
	changed chan struct{}
}

// New does no I/O. It fails if the registerer has a pod's metrics already.
func New(options Options) (*Pod, error) {
	if options.ServiceAddress == "" {
		options.ServiceAddress = options.Advertise
	}
	p := &Pod{
		name: options.Name, js: options.JetStream, log: options.Logger, jitter: backoff.NewRandom(options.Random).Jitter,
		changed: make(chan struct{}, 1),
	}
	if err := p.join(options); err != nil {
		return nil, err
	}
	p.views = newViews(func(promotions map[string]*promotion.Promotion) {
		p.board.SetPromotions(promotions)
		signal(p.changed)
	})
	if err := p.own(options); err != nil {
		return nil, err
	}
	return p, p.serve(options)
}

// join makes the parts by which the pod is one of the pool's.
func (p *Pod) join(options Options) error {
	var err error
	p.members, err = members.New(members.Options{
		JetStream: p.js, Replicas: options.Replicas, Jitter: p.jitter, Logger: p.log, Registerer: options.Registerer,
		Own:     members.Member{Name: p.name, Address: options.Advertise, ServiceAddress: options.ServiceAddress},
		Changed: func(pods []members.Member) { p.views.setMembers(pods) },
		Clock:   options.Clock, ClusterClock: options.ClusterClock, MaxSkew: options.MaxSkew,
	})
	if err != nil {
		return err
	}
	p.board, err = board.New(board.Options{
		Name: p.name, Lease: p.members.Lease, Clock: options.Clock, Now: p.members.Now, Logger: p.log,
		Registerer: options.Registerer,
		Readings: func(ctx context.Context) map[string][]levels.Reading {
			return p.owners.readings(ctx, p.views.load())
		},
	})
	return err
}

// own makes the parts that run owners, and find those of other pods.
func (p *Pod) own(options Options) error {
	ownerMetrics, err := owner.NewMetrics(options.Registerer)
	if err != nil {
		return err
	}
	p.owners = newOwnerSet()
	p.owners.name, p.owners.js, p.owners.clock = p.name, p.js, options.Clock
	p.owners.sharedLogs, p.owners.wrapLog = options.Replicas > 1, options.WrapLog
	p.owners.current = func(uid string) *route.Placed { return p.views.load().byUID[uid] }
	p.router, err = route.New(route.Options{
		Name: p.name, Current: p.owners.current, Local: p.owners.local, Clock: options.Clock, Jitter: p.jitter,
		Known: options.Known, Logger: p.log, Registerer: options.Registerer,
	})
	if err != nil {
		return err
	}
	p.owners.complete = func(key ownerKey, o owner.Options) owner.Options {
		o.OrderIDs, o.Clock, o.Jitter, o.Logger, o.Metrics = options.OrderIDs, options.Clock, p.jitter, p.log, ownerMetrics
		o.Peers, o.Lease, o.Now = p.router, p.members.Lease, p.members.Now
		o.Level = func(n int32, sku string) int64 { return p.board.Level(key.uid, n, sku) }
		o.SoldOut = func(sku string) (int64, bool) { return p.board.SoldOut(key.uid, sku) }
		return o
	}
	return nil
}

// serve makes the services.
func (p *Pod) serve(options Options) error {
	check := newPrecheck()
	check.views, check.now, check.soldOut = p.views, p.members.Now, p.board.SoldOut
	check.admission, check.moving = options.Admission, p.router.Moving
	p.flash = &Service{
		check: check, views: p.views, router: p.router, soldOut: p.board.SoldOut, admission: options.Admission,
		streams: &callStreams{overloaded: p.router.Overloaded},
	}
	p.peer = &PeerService{
		views: p.views, owners: p.owners, router: p.router, ready: p.Ready, js: p.js, log: p.log,
		streams: &callStreams{overloaded: p.router.Overloaded},
	}
	return metric.Register(options.Registerer, "the checks before a partition", check.refused)
}

// FlashService takes buyers' requests. Requests must be valid by the proto's rules;
// PlaceFlashOrders checks its requests itself.
func (p *Pod) FlashService() *Service { return p.flash }

// PeerService is for a port that only orderd's own pods reach.
func (p *Pod) PeerService() *PeerService { return p.peer }

// Run joins the pool and serves until ctx ends; then it stops at once. [Pod.Drain]
// before for a graceful end.
func (p *Pod) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	p.owners.open(ctx)
	var group sync.WaitGroup
	group.Go(func() { p.members.Run(ctx) })
	group.Go(func() { p.board.Run(ctx, p.js.Conn()) })
	group.Go(func() {
		handler := p.views.promotionsHandler(p.log, p.owners.wake)
		watch.Bucket(ctx, p.js, prepare.PromotionsBucket, p.jitter, p.log, handler)
	})
	ticker := time.NewTicker(reconcileEvery)
	defer ticker.Stop()
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-p.changed:
			p.owners.reconcile(p.views.load())
		case <-ticker.C:
			p.owners.reconcile(p.views.load())
		}
	}
	group.Wait()
	p.owners.wait()
	p.router.Close()
	return nil
}

// Errors of [Pod.Ready], beside those of [members.Members.Ready].
var (
	ErrDraining  = errors.New("the pod is draining")
	ErrNotSynced = errors.New("promotions or members are not known yet")
)

// Ready is nil once the pod knows promotions, members and the cluster's time, is one of the
// members, and serves every partition of an open promotion that is its own. A pod whose clock is
// wrong goes on serving its partitions by the cluster's, but is not ready.
func (p *Pod) Ready() error {
	if p.owners.draining.Load() {
		return ErrDraining
	}
	v := p.views.load()
	if !v.synced {
		return ErrNotSynced
	}
	if err := p.members.Ready(); err != nil {
		return err
	}
	for uid, placed := range v.byUID {
		for _, target := range p.owners.served(placed) {
			if o := p.owners.get(ownerKey{uid, target.Partition}); o == nil || !o.Serving() {
				return fmt.Errorf("partition %d of promotion %s is not served yet", target.Partition, placed.GetName())
			}
		}
	}
	return nil
}

// Drain leaves the pool, finishes what is in flight and hands the partitions over. It returns when
// that is done or ctx ends. Requests that come meanwhile go to the other pods.
func (p *Pod) Drain(ctx context.Context) {
	p.owners.draining.Store(true)
	p.members.Leave(ctx)
	p.owners.stop(ctx)
}

// signal leaves a token, if there is none yet.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

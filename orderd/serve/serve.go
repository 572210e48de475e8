// Package serve runs a pod: it puts the domains together for a role, listens, and drains.
package serve

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"runtime"
	"time"

	"connectrpc.com/connect/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"golang.org/x/sync/errgroup"

	"github.com/orderd-dev/orderd/api/gen/orderd/flash/v1/flashv1connect"
	"github.com/orderd-dev/orderd/orderd/kit/audit"
	"github.com/orderd-dev/orderd/orderd/kit/auth"
	"github.com/orderd-dev/orderd/orderd/kit/config"
	"github.com/orderd-dev/orderd/orderd/kit/metric"
	"github.com/orderd-dev/orderd/orderd/kit/overload"
)

// Options of a pod.
type Options struct {
	Role   config.Role
	Config config.Config
	// Name of the pod, unique in its pool.
	Name string
	// Advertise is the host:port at which other pods reach this one's PeerService, an IPv6 address in
	// brackets; flash role only.
	Advertise string
	// AdvertiseHost, in its place, is the host alone, an IPv6 address as it is; the port is that of
	// http.peerAddress.
	AdvertiseHost string
	Version       string
	Log           *slog.Logger
	// Clock is what everything of the pod takes for the time; time.Now if nil.
	Clock func() time.Time
	// FlashService, if set, stands in for the flash role's own behind everything that is around it,
	// so that another can be measured against it.
	FlashService flashv1connect.FlashServiceHandler
}

// lowestInFlight, for each processor, is how many requests a pod works on at once before it
// looks how slow they are.
const lowestInFlight = 64

// loop runs until its context ends.
type loop = func(context.Context) error

// role is what a pool's pods add to what every pod has.
type role struct {
	// services registers the RPCs for apps; nil if the role has none.
	services func(*connect.Server)
	// guard checks who calls them; set with services.
	guard *auth.Guard
	// recorder keeps what staff changes by them; nil if staff can change nothing by them.
	recorder *audit.Recorder
	// inside stands around the handlers themselves, inside of everything else; nil if nothing does.
	inside connect.ServerInterceptor
	// peers registers the RPCs between pods; nil if the role has none. known refuses callers that
	// are no pods.
	peers func(*connect.Server)
	known connect.ServerInterceptor
	// plain are HTTP handlers beside the RPCs, by http.ServeMux's patterns.
	plain map[string]http.Handler
	// loops run until their context ends. One that returns before ends the pod.
	loops []loop
	// ready is nil while the role can do its work.
	ready func() error
	// drain hands over what the pod owns, before its listeners close.
	drain func(context.Context)
	// close frees what the role holds, at the very end.
	close func()
}

// Run serves until ctx ends, then drains: not ready any more, partitions handed over, listeners
// closed once the pool's other pods have taken its place, what is in flight answered. It returns
// nil after a clean drain.
func Run(ctx context.Context, o Options) error {
	if err := o.Config.Validate(o.Role); err != nil {
		return fmt.Errorf("configuration: %w", err)
	}
	if o.Clock == nil {
		o.Clock = time.Now
	}
	reg := prometheus.NewRegistry()
	labels := prometheus.Labels{"cluster": o.Config.Cluster, "role": string(o.Role)}
	pod := &pod{
		kind: o.Role, config: o.Config, name: o.Name, advertise: o.Advertise, advertiseHost: o.AdvertiseHost,
		version: o.Version, log: o.Log, now: o.Clock, flashService: o.FlashService,

		registry:   reg,
		registerer: prometheus.WrapRegistererWith(labels, reg),
		leaving:    make(chan struct{}),
	}
	err := metric.Register(pod.registerer, "the pod",
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name:        "orderd_info",
			Help:        "1, labelled with the pod's version.",
			ConstLabels: prometheus.Labels{"version": o.Version},
		}, func() float64 { return 1 }),
	)
	if err != nil {
		return err
	}
	r, err := pod.role(ctx)
	if err != nil {
		return fmt.Errorf("starting %s: %w", o.Role, err)
	}
	defer r.close()
	return pod.run(ctx, r)
}

// pod carries what the roles are built from.
type pod struct {
	kind                     config.Role
	config                   config.Config
	name, version            string
	advertise, advertiseHost string
	log                      *slog.Logger
	now                      func() time.Time
	flashService             flashv1connect.FlashServiceHandler

	registry   *prometheus.Registry
	registerer prometheus.Registerer
	// leaving is closed when the pod begins to close its listeners.
	leaving chan struct{}
}

func (p *pod) role(ctx context.Context) (*role, error) {
	switch p.kind {
	case config.RoleStandard:
		return p.standard(ctx)
	case config.RoleFlash:
		return p.flash()
	default:
		return p.worker(ctx)
	}
}

func (p *pod) run(ctx context.Context, r *role) error {
	health := &health{ready: r.ready}
	listeners, err := p.listeners(ctx, r, health)
	if err != nil {
		return err
	}
	// Loops and listeners outlive ctx: they end as steps of the drain.
	working, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	group, failed := errgroup.WithContext(working)
	for _, l := range listeners {
		group.Go(l.serve)
	}
	for _, loop := range r.loops {
		group.Go(func() error {
			if err := loop(failed); err != nil {
				return err
			}
			if failed.Err() == nil {
				return fmt.Errorf("a loop of role %s ended by itself", p.kind)
			}
			return nil
		})
	}
	p.log.Info("serving", "role", p.kind, "version", p.version, "address", p.config.HTTP.Address)
	select {
	case <-ctx.Done():
	case <-failed.Done():
	}
	drainErr := p.drain(failed, r, health, listeners)
	stop()
	if err := group.Wait(); err != nil {
		return err
	}
	return drainErr
}

// drain keeps answering for a moment after the pod is not ready any more, because those who send to
// it learn that a little later than the pod does.
func (p *pod) drain(failed context.Context, r *role, health *health, listeners []*listener) error {
	p.log.Info("draining", "role", p.kind)
	health.draining.Store(true)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(failed), time.Duration(p.config.HTTP.DrainTimeout))
	defer cancel()
	r.drain(ctx)
	moment := time.NewTimer(time.Duration(p.config.HTTP.DrainDelay))
	defer moment.Stop()
	select {
	case <-moment.C:
	case <-failed.Done():
	}
	close(p.leaving)
	return shutdown(ctx, listeners)
}

func (p *pod) listeners(ctx context.Context, r *role, health *health) ([]*listener, error) {
	c := withMemory(p.config.HTTP, memoryLimit())
	around, err := p.around(c)
	if err != nil {
		return nil, err
	}
	// Those who look after the pod, and its peers, are few and known by their network: they are not
	// kept out when those who call from outside are too many.
	inside := around
	inside.gate, inside.bodies = nil, nil
	var all []*listener
	add := func(name, address string, handler http.Handler) (*listener, error) {
		l, err := listen(ctx, name, address, handler, c)
		if err == nil {
			all = append(all, l)
		}
		return l, err
	}
	admin := offer{server: p.open(inside, health, nil), plain: health.handlers(p.registry)}
	if _, err := add("admin", c.AdminAddress, inside.front(admin)); err != nil {
		return nil, err
	}
	if r.peers != nil {
		server := connect.NewServer(inside.forPeers(r.known)...)
		r.peers(server)
		if _, err := add("peers", c.PeerAddress, inside.front(offer{server: server})); err != nil {
			return nil, err
		}
	}
	if r.services != nil {
		server := connect.NewServer(around.forApps(r.guard, r.recorder, r.inside)...)
		r.services(server)
		apps := offer{server: server, open: p.open(around, health, server), plain: r.plain}
		l, err := add("apps", c.Address, lastAnswers(crossOrigin(around.front(apps), c.AllowedOrigins), health.isDraining))
		if err != nil {
			return nil, err
		}
		l.atMost(c.MaxConnections)
		l.limitAge(c, time.Now, rand.Float64)
		if err := l.secure(c); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// around is what the interceptors of the pod's servers are made from.
func (p *pod) around(c config.HTTP) (stack, error) {
	gate, err := overload.NewGate(overload.Options{
		Max:        c.MaxInFlight,
		Lowest:     lowestInFlight * runtime.GOMAXPROCS(0),
		Clock:      time.Now,
		Random:     rand.Int64N,
		Registerer: p.registerer,
	})
	if err != nil {
		return stack{}, err
	}
	bodies, err := overload.NewBodies(overload.BodiesOptions{
		MaxBytes: c.MaxBodyBytes, Max: c.MaxBodies, Timeout: time.Duration(c.BodyTimeout),
		Clock: time.Now, Registerer: p.registerer,
	})
	if err != nil {
		return stack{}, err
	}
	files, err := newUploads(time.Now)
	if err != nil {
		return stack{}, err
	}
	measured, err := newMetrics(p.registerer)
	if err != nil {
		return stack{}, err
	}
	return stack{
		metrics: measured, gate: gate, bodies: bodies, uploads: files, log: p.log, http: c, clock: p.now,
		leaving: p.leaving,
	}, nil
}

package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	mathrand "math/rand/v2"
	"net/url"
	"os"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/orderd-dev/orderd/orderd/flash/pod"
	"github.com/orderd-dev/orderd/orderd/kit/database"
	"github.com/orderd-dev/orderd/orderd/kit/orderid"
	"github.com/orderd-dev/orderd/orderd/shop/materializer"
	"github.com/orderd-dev/orderd/orderd/shop/order"
	"github.com/orderd-dev/orderd/orderd/sim/authority"
	"github.com/orderd-dev/orderd/orderd/sim/localnats"
	"github.com/orderd-dev/orderd/test/kit/testdb"
	"github.com/orderd-dev/orderd/test/kit/testport"
)

// place is a namespace with a database and a NATS server of its own. The operators reach those through pipes; what
// stands in for pods does so directly.
type place struct {
	kube      client.Client
	namespace string
	log       *slog.Logger

	databaseURL, throughURL string
	database                *pipe
	pool                    *pgxpool.Pool

	store     string
	port      int
	server    *localnats.Server
	messaging *pipe
	conn      *nats.Conn
	js        jetstream.JetStream

	flash *pod.Pod
	// certificate (PEM) of an authority that signed nothing here.
	certificate string
	// added is how much of each SKU was put into stock.
	added map[string]int64
	stops []func()
}

// newPlace has the namespace, the tables and the servers, and none of the resources.
func newPlace(ctx context.Context, kube client.Client, base *url.URL, log *slog.Logger) (p *place, err error) {
	p = &place{kube: kube, log: log, added: map[string]int64{}}
	defer func() {
		if err != nil {
			p.stop()
		}
	}()
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "soak-"}}
	if err = kube.Create(ctx, ns); err != nil {
		return p, err
	}
	p.namespace = ns.Name
	ca, err := authority.New("nobody's authority")
	if err != nil {
		return p, err
	}
	p.certificate = string(ca.PEM())
	if err = p.startDatabase(ctx, base); err != nil {
		return p, fmt.Errorf("starting the database of %s: %w", p.namespace, err)
	}
	if err = p.startMessaging(); err != nil {
		return p, fmt.Errorf("starting NATS of %s: %w", p.namespace, err)
	}
	return p, nil
}

func (p *place) startDatabase(ctx context.Context, base *url.URL) error {
	direct, err := testdb.Create(ctx, base, fmt.Sprintf("orderd_soak_%d_%d", os.Getpid(), time.Now().UnixNano()))
	if err != nil {
		return err
	}
	p.databaseURL = direct
	through, err := url.Parse(direct)
	if err != nil {
		return err
	}
	if p.database, err = newPipe(through.Host); err != nil {
		return err
	}
	p.stops = append(p.stops, p.database.stop)
	through.Host = p.database.address
	p.throughURL = through.String()
	if p.pool, err = database.Open(ctx, direct, 8); err != nil {
		return err
	}
	p.stops = append(p.stops, p.pool.Close)
	return nil
}

func (p *place) startMessaging() (err error) {
	if p.store, err = os.MkdirTemp("", "orderd-soak-"); err != nil {
		return err
	}
	p.stops = append(p.stops, func() { _ = os.RemoveAll(p.store) })
	if p.port, err = testport.New(); err != nil {
		return err
	}
	if err = p.startNATS(); err != nil {
		return err
	}
	p.stops = append(p.stops, p.stopNATS)
	if p.messaging, err = newPipe(fmt.Sprintf("127.0.0.1:%d", p.port)); err != nil {
		return err
	}
	p.stops = append(p.stops, p.messaging.stop)
	p.conn, err = nats.Connect(localnats.URL(p.port), nats.MaxReconnects(-1), nats.ReconnectWait(100*time.Millisecond),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { p.log.Warn("NATS", "error", err) }))
	if err != nil {
		return err
	}
	p.stops = append(p.stops, p.conn.Close)
	p.js, err = jetstream.New(p.conn)
	return err
}

// messagingURL is the operators' way to NATS.
func (p *place) messagingURL() string { return "nats://" + p.messaging.address }

// startNATS unless it runs; it has the streams that it had.
func (p *place) startNATS() (err error) {
	if p.server == nil {
		p.server, err = localnats.Start(localnats.Options{Name: "orderd-soak", Port: p.port, Store: p.store})
	}
	return err
}

func (p *place) stopNATS() {
	if p.server != nil {
		p.server.Stop()
		p.server = nil
	}
}

// sell runs what a flash pod and a worker do for a sale, until the place is stopped.
func (p *place) sell() error {
	ids, err := orderid.NewGenerator([]byte("0123456789abcdef"), time.Now, rand.Reader)
	if err != nil {
		return err
	}
	p.flash, err = pod.New(pod.Options{
		JetStream: p.js, Replicas: 1, Name: "flash-0", Advertise: "127.0.0.1:1", Clock: time.Now, ClusterClock: time.Now,
		Random: mathrand.New(mathrand.NewPCG(2, 2)), OrderIDs: ids, Logger: p.log, Registerer: prometheus.NewRegistry(),
	})
	if err != nil {
		return err
	}
	store, err := order.NewStore(
		order.Options{Pool: p.pool, Clock: time.Now, Logger: p.log, Registerer: prometheus.NewRegistry()})
	if err != nil {
		return err
	}
	worker, err := materializer.New(materializer.Options{
		JetStream: p.js, Writer: store, RatePerSecond: 10_000, Clock: time.Now,
		Random: mathrand.New(mathrand.NewPCG(1, 1)), Logger: p.log, Registerer: prometheus.NewRegistry(),
	})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	for _, loop := range []func(context.Context) error{p.flash.Run, worker.Run} {
		running.Go(func() { _ = loop(ctx) })
	}
	p.stops = append(p.stops, func() {
		cancel()
		running.Wait()
	})
	return nil
}

// fair ends every fault of the place.
func (p *place) fair() error {
	p.database.fair()
	p.messaging.fair()
	return p.startNATS()
}

// stop everything, the last first.
func (p *place) stop() {
	for i := len(p.stops) - 1; i >= 0; i-- {
		p.stops[i]()
	}
	p.stops = nil
}

package serve

import (
	"context"
	"slices"
	"time"

	flashclient "github.com/orderd-dev/orderd/orderd/flash/client"
	"github.com/orderd-dev/orderd/orderd/kit/lease"
	"github.com/orderd-dev/orderd/orderd/kit/outbox"
	"github.com/orderd-dev/orderd/orderd/kit/retention"
	"github.com/orderd-dev/orderd/orderd/shop/bulk"
	"github.com/orderd-dev/orderd/orderd/shop/desk"
	"github.com/orderd-dev/orderd/orderd/shop/materializer"
	"github.com/orderd-dev/orderd/orderd/shop/order"
	"github.com/orderd-dev/orderd/orderd/shop/payment"
	"github.com/orderd-dev/orderd/orderd/shop/shipment"
)

// worker runs what goes on behind the orders: the materializer, expiry, releases, the outbox relay,
// parcels, and the consumers of order events.
func (p *pod) worker(_ context.Context) (_ *role, err error) {
	s, err := p.shop()
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	orders, err := p.orderLoops(s)
	if err != nil {
		return nil, err
	}
	parcels, err := shipment.NewWorker(shipment.WorkerOptions{Store: s.shipments, WorkerOptions: p.leases()})
	if err != nil {
		return nil, err
	}
	files, err := bulk.NewWorker(bulk.WorkerOptions{
		Pool: s.pool, Orders: s.orders, Shipments: s.shipments, Clock: p.now, WorkerOptions: p.leases(),
	})
	if err != nil {
		return nil, err
	}
	money, err := p.paymentLoops(s)
	if err != nil {
		return nil, err
	}
	consumers, err := p.consumers(s)
	if err != nil {
		return nil, err
	}
	follower, err := desk.NewFollower(
		desk.FollowerOptions{WorkerOptions: p.leases(), Pool: s.pool, Clock: p.now},
	)
	if err != nil {
		return nil, err
	}
	return &role{
		loops: slices.Concat(orders, money, consumers, []loop{parcels.Run, follower.Run, files.Run}),
		ready: untilMigrated(s.pool),
		drain: func(context.Context) {},
		close: s.close,
	}, nil
}

// leases is what every domain's background work takes from the pod.
func (p *pod) leases() lease.WorkerOptions {
	return lease.WorkerOptions{Worker: p.name, Logger: p.log, Registerer: p.registerer}
}

// orderLoops are the ones that orders themselves need.
func (p *pod) orderLoops(s *shop) ([]loop, error) {
	options := order.WorkerOptions{Store: s.orders, WorkerOptions: p.leases()}
	expirer, err := order.NewExpirer(options)
	if err != nil {
		return nil, err
	}
	completer, err := order.NewCompleter(
		order.CompleterOptions{Worker: options, After: time.Duration(p.config.Orders.CompleteAfter)},
	)
	if err != nil {
		return nil, err
	}
	key, err := p.readIDKey()
	if err != nil {
		return nil, err
	}
	peers, err := key.peers(p.now)
	if err != nil {
		return nil, err
	}
	releaser, err := order.NewReleaser(order.ReleaserOptions{
		Worker: options, Flash: flashclient.NewReleaser(p.config.Flash.PeerURL, peers.Ask()),
	})
	if err != nil {
		return nil, err
	}
	relay, err := outbox.NewRelay(outbox.RelayOptions{
		Pool: s.pool, JetStream: s.js, Replicas: p.config.Messaging.Replicas, Source: p.config.Cluster, Worker: p.name,
		Clock: p.now, Logger: p.log, Registerer: p.registerer,
	})
	if err != nil {
		return nil, err
	}
	ids, err := key.orderIDs(p.now)
	if err != nil {
		return nil, err
	}
	// The workers share the rate.
	census, err := lease.NewCensus(lease.CensusOptions{
		Pool: s.pool, Kind: "materialize", Worker: p.name, Clock: p.now, Logger: p.log, Registerer: p.registerer,
	})
	if err != nil {
		return nil, err
	}
	materialize, err := materializer.New(materializer.Options{
		Own:       ids.Own,
		JetStream: s.js, Writer: s.orders, RatePerSecond: p.config.Worker.MaterializePerSecond,
		Part:        census.Part,
		Concurrency: p.config.Worker.MaterializeConcurrency, Replicas: p.config.Messaging.Replicas, Source: p.config.Cluster,
		Clock: p.now, Random: random(), Logger: p.log, Registerer: p.registerer,
	})
	if err != nil {
		return nil, err
	}
	cleaner, err := retention.New(
		retention.Options{Pool: s.pool, Worker: p.name, Clock: p.now, Logger: p.log, Registerer: p.registerer},
	)
	if err != nil {
		return nil, err
	}
	return []loop{census.Run, materialize.Run, expirer.Run, completer.Run, releaser.Run, relay.Run, cleaner.Run}, nil
}

// paymentLoops ask the providers: what became of payments and refunds, and for their statements.
func (p *pod) paymentLoops(s *shop) ([]loop, error) {
	options := payment.WorkerOptions{Service: s.payments, WorkerOptions: p.leases()}
	poller, err := payment.NewPoller(options)
	if err != nil {
		return nil, err
	}
	refunds, err := payment.NewRefundWorker(options)
	if err != nil {
		return nil, err
	}
	reconciler, err := payment.NewReconciler(options)
	if err != nil {
		return nil, err
	}
	return []loop{poller.Run, refunds.Run, reconciler.Run}, nil
}

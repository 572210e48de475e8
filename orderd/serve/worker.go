package serve

import (
	"context"
	"time"

	"github.com/orderd-dev/orderd/orderd/flash"
	"github.com/orderd-dev/orderd/orderd/flash/materializer"
	"github.com/orderd-dev/orderd/orderd/messaging"
	"github.com/orderd-dev/orderd/orderd/order"
	"github.com/orderd-dev/orderd/orderd/outbox"
)

// worker runs what goes on behind the orders: the materializer, expiry, releases and the outbox relay.
func (p *pod) worker(_ context.Context) (_ *role, err error) {
	pool, err := p.database()
	if err != nil {
		return nil, err
	}
	conn, js, err := messaging.Connect(p.Config.Messaging, p.Name, p.Log)
	if err != nil {
		pool.Close()
		return nil, err
	}
	r := &role{
		ready: untilMigrated(pool),
		drain: func(context.Context) {},
		close: func() {
			conn.Close()
			pool.Close()
		},
	}
	defer func() {
		if err != nil {
			r.close()
		}
	}()
	orders, err := order.NewStore(order.Options{Pool: pool, Clock: time.Now, Logger: p.Log, Registerer: p.registerer})
	if err != nil {
		return nil, err
	}
	options := order.WorkerOptions{Store: orders, Worker: p.Name, Logger: p.Log, Registerer: p.registerer}
	expirer, err := order.NewExpirer(options)
	if err != nil {
		return nil, err
	}
	releaser, err := order.NewReleaser(options, flash.NewReleaseClient(p.Config.Flash.PeerURL))
	if err != nil {
		return nil, err
	}
	relay, err := outbox.NewRelay(outbox.RelayOptions{
		Pool: pool, JetStream: js, Replicas: p.Config.Messaging.Replicas, Source: p.Config.Cluster, Worker: p.Name,
		Clock: time.Now, Logger: p.Log, Registerer: p.registerer,
	})
	if err != nil {
		return nil, err
	}
	materialize := materializer.New(materializer.Options{
		JetStream: js, Writer: orders, RatePerSecond: p.Config.Worker.MaterializePerSecond,
		Clock: time.Now, Random: random(), Logger: p.Log, Registerer: p.registerer,
	})
	r.loops = []func(context.Context) error{materialize.Run, expirer.Run, releaser.Run, relay.Run}
	return r, nil
}

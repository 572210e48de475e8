package serve

import (
	"fmt"

	"github.com/orderd-dev/orderd/orderd/kit/config"
	"github.com/orderd-dev/orderd/orderd/kit/consume"
	"github.com/orderd-dev/orderd/orderd/shop/desk"
	"github.com/orderd-dev/orderd/orderd/shop/invoice"
	"github.com/orderd-dev/orderd/orderd/shop/payment"
	"github.com/orderd-dev/orderd/orderd/shop/push"
	"github.com/orderd-dev/orderd/orderd/shop/reward"
	"github.com/orderd-dev/orderd/orderd/shop/shipment"
)

// consumers are what follows from what happens to orders, each with a durable of its own.
func (p *pod) consumers(s *shop) ([]loop, error) {
	sweeper, err := consume.NewSweeper(
		consume.SweeperOptions{Pool: s.pool, Worker: p.name, Clock: p.now, Logger: p.log, Registerer: p.registerer},
	)
	if err != nil {
		return nil, err
	}
	loops := []loop{sweeper.Run}
	closer := payment.NewCloser(s.payments)
	wanted := []consume.Options{
		{Name: reward.ConsumerName, Types: reward.Types(), BatchEffect: s.rewards.Handle, Batch: reward.Batch},
		{Name: payment.CloserName, Types: closer.Types(), Effect: closer.Handle},
		{Name: shipment.ConsumerName, Types: shipment.Types(), Effect: s.shipments.Handle},
		{Name: desk.ConsumerName, Types: desk.Types(), BatchEffect: desk.Follow, Batch: desk.Batch},
		{Name: invoice.ConsumerName, Types: invoice.Types(), BatchEffect: s.invoices.Follow, Batch: invoice.Batch},
	}
	if p.config.Push.URL != "" {
		gateway, err := p.gateway(s)
		if err != nil {
			return nil, err
		}
		wanted = append(wanted,
			consume.Options{
				Name: push.ConsumerName, Types: push.Types(), Delivery: gateway.Deliver, Ordered: true, Since: push.Since,
			})
	}
	for _, o := range wanted {
		o.JetStream, o.Pool, o.Replicas = s.js, s.pool, p.config.Messaging.Replicas
		o.Clock, o.Random, o.Logger, o.Registerer = p.now, random(), p.log, p.registerer
		c, err := consume.New(o)
		if err != nil {
			return nil, fmt.Errorf("consumer %s: %w", o.Name, err)
		}
		loops = append(loops, c.Run)
	}
	return loops, nil
}

// gateway is the one that tells buyers' devices.
func (p *pod) gateway(s *shop) (*push.Gateway, error) {
	raw, err := config.ReadSecret(p.config.Push.SecretFile)
	if err != nil {
		return nil, fmt.Errorf("push.secretFile: %w", err)
	}
	secrets, err := push.ParseSecrets(raw)
	if err != nil {
		return nil, fmt.Errorf("push.secretFile: %w", err)
	}
	gateway, err := push.NewGateway(push.GatewayOptions{
		URL:        p.config.Push.URL,
		Secrets:    secrets,
		Source:     p.config.Cluster,
		Pool:       s.pool,
		Clock:      p.now,
		Logger:     p.log,
		Registerer: p.registerer,
	})
	if err != nil {
		return nil, fmt.Errorf("push: %w", err)
	}
	return gateway, nil
}

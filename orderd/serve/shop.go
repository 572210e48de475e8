package serve

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/http"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderd-dev/orderd/orderd/kit/config"
	"github.com/orderd-dev/orderd/orderd/kit/database"
	"github.com/orderd-dev/orderd/orderd/kit/messaging"
	"github.com/orderd-dev/orderd/orderd/shop/coupon"
	"github.com/orderd-dev/orderd/orderd/shop/desk"
	"github.com/orderd-dev/orderd/orderd/shop/invoice"
	"github.com/orderd-dev/orderd/orderd/shop/order"
	"github.com/orderd-dev/orderd/orderd/shop/payment"
	"github.com/orderd-dev/orderd/orderd/shop/payment/providers"
	"github.com/orderd-dev/orderd/orderd/shop/reward"
	"github.com/orderd-dev/orderd/orderd/shop/shipment"
	"github.com/orderd-dev/orderd/orderd/shop/shipment/carrier"
)

// shop is what the standard and the worker role have in common: the database, messaging, and the
// domains that both of them work on.
type shop struct {
	pool      *pgxpool.Pool
	conn      *nats.Conn
	js        jetstream.JetStream
	orders    *order.Store
	payments  *payment.Service
	shipments *shipment.Store
	coupons   *coupon.Store
	rewards   *reward.Store
	invoices  *invoice.Service
	// pages are served by payment providers of our own, by pattern.
	pages map[string]http.Handler
}

func (p *pod) shop() (_ *shop, err error) {
	s := &shop{}
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	if s.pool, err = p.database(); err != nil {
		return nil, err
	}
	s.conn, s.js, err = messaging.Connect(p.config.Messaging, messaging.Role(p.kind), p.name, p.log)
	if err != nil {
		return nil, err
	}
	s.orders, err = order.NewStore(order.Options{
		Pool: s.pool, Clock: p.now, Logger: p.log, Registerer: p.registerer,
		Refunder: payment.NewRefunds(payment.RefundsOptions{Random: rand.Reader}),
	})
	if err != nil {
		return nil, err
	}
	all, err := providers.All(p.config.Payments, providers.Deps{
		Cluster: p.config.Cluster, Pool: s.pool, Clock: p.now, Random: rand.Reader, Logger: p.log,
	})
	if err != nil {
		return nil, err
	}
	s.pages = payment.Pages(all)
	guarded, err := payment.Guard(all, payment.BreakerOptions{Logger: p.log, Registerer: p.registerer})
	if err != nil {
		return nil, err
	}
	s.payments, err = payment.NewService(payment.Options{
		Pool: s.pool, Orders: s.orders, Providers: guarded, Clock: p.now, Random: rand.Reader,
		Logger: p.log, Registerer: p.registerer, Stale: desk.MarkStale,
	})
	if err != nil {
		return nil, err
	}
	carriers, err := p.carriers()
	if err != nil {
		return nil, err
	}
	s.shipments, err = shipment.NewStore(shipment.Options{
		Pool:       s.pool,
		Orders:     s.orders,
		Carriers:   carriers,
		Clock:      p.now,
		Random:     rand.Reader,
		Logger:     p.log,
		Registerer: p.registerer,
		Stale:      desk.MarkStale,
	})
	if err != nil {
		return nil, err
	}
	s.coupons = coupon.NewStore(coupon.StoreOptions{Pool: s.pool, Clock: p.now, Random: rand.Reader})
	s.rewards = reward.NewStore(reward.StoreOptions{Pool: s.pool, Coupons: s.coupons, Clock: p.now})
	s.invoices, err = invoice.NewService(invoice.Options{
		Pool: s.pool, Orders: s.orders, Clock: p.now, Random: rand.Reader, Registerer: p.registerer,
	})
	if err != nil {
		return nil, err
	}
	return s, nil
}

func (s *shop) close() {
	if s.conn != nil {
		s.conn.Close()
	}
	if s.pool != nil {
		s.pool.Close()
	}
}

func (p *pod) database() (*pgxpool.Pool, error) {
	url, err := config.ReadSecret(p.config.Database.URLFile)
	if err != nil {
		return nil, fmt.Errorf("database.urlFile: %w", err)
	}
	c := p.config.Database
	secured, err := database.FileTLS(c.CAFile, c.CertificateFile, c.KeyFile)
	if err != nil {
		return nil, fmt.Errorf("database: %w", err)
	}
	return database.Open(context.Background(), url, c.MaxConnections,
		database.WithTLS(secured), database.WithRegisterer(p.registerer))
}

// carriers are the configured ones, each behind a breaker of its own.
func (p *pod) carriers() ([]carrier.Carrier, error) {
	var all []carrier.Carrier
	for i, c := range p.config.Carriers {
		field := fmt.Sprintf("carriers[%d]", i)
		key, err := config.ReadSecret(c.SecretFile)
		if err != nil {
			return nil, fmt.Errorf("%s.secretFile: %w", field, err)
		}
		api, err := carrier.NewHTTP(
			carrier.HTTPOptions{Name: c.Name, URL: c.URL, Key: []byte(key), Clock: p.now, Random: rand.Reader},
		)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", field, err)
		}
		breaker, err := carrier.NewBreaker(carrier.BreakerOptions{Carrier: api, Logger: p.log, Registerer: p.registerer})
		if err != nil {
			return nil, fmt.Errorf("%s: %w", field, err)
		}
		all = append(all, breaker)
	}
	return all, nil
}

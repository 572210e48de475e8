package serve

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/http"
	"time"

	"connectrpc.com/connect/v2"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/orderd-dev/orderd/api/gen/orderd/audit/v1/auditv1connect"
	"github.com/orderd-dev/orderd/api/gen/orderd/catalog/v1/catalogv1connect"
	"github.com/orderd-dev/orderd/api/gen/orderd/order/v1/orderv1connect"
	"github.com/orderd-dev/orderd/api/gen/orderd/payment/v1/paymentv1connect"
	"github.com/orderd-dev/orderd/orderd/audit"
	"github.com/orderd-dev/orderd/orderd/catalog"
	"github.com/orderd-dev/orderd/orderd/config"
	"github.com/orderd-dev/orderd/orderd/database"
	"github.com/orderd-dev/orderd/orderd/order"
	"github.com/orderd-dev/orderd/orderd/orderid"
	"github.com/orderd-dev/orderd/orderd/payment"
	"github.com/orderd-dev/orderd/orderd/payment/sandbox"
)

// standard serves the catalog, orders and payments.
func (p *pod) standard(_ context.Context) (_ *role, err error) {
	pool, err := p.database()
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			pool.Close()
		}
	}()
	ids, err := p.orderIDs()
	if err != nil {
		return nil, err
	}
	verifier, guard, err := p.access()
	if err != nil {
		return nil, err
	}
	recorder, err := audit.NewRecorder(audit.Options{Pool: pool, Clock: time.Now, Random: rand.Reader, Logger: p.Log, Registerer: p.registerer})
	if err != nil {
		return nil, err
	}
	orders, err := order.NewStore(order.Options{Pool: pool, Clock: time.Now, Logger: p.Log, Registerer: p.registerer})
	if err != nil {
		return nil, err
	}
	providers, pages, err := p.providers(pool)
	if err != nil {
		return nil, err
	}
	payments, err := payment.NewService(payment.Options{
		Pool: pool, Orders: orders, Providers: providers, Clock: time.Now, Random: rand.Reader,
		Logger: p.Log, Registerer: p.registerer,
	})
	if err != nil {
		return nil, err
	}
	tokens, err := p.quoteTokens()
	if err != nil {
		return nil, err
	}
	orderService := order.NewService(order.ServiceOptions{
		Store: orders, IDs: ids, Tokens: tokens, PaymentTimeout: time.Duration(p.Config.Orders.PaymentTimeout),
		MaxBatch: p.Config.Orders.PlaceBatch, Random: random(),
	})
	return &role{
		services: func(s *connect.Server) {
			auditv1connect.RegisterAuditServiceHandler(s, audit.NewService(pool))
			catalogv1connect.RegisterCatalogServiceHandler(s, catalog.NewService(pool, time.Now))
			orderv1connect.RegisterOrderServiceHandler(s, orderService)
			paymentv1connect.RegisterPaymentServiceHandler(s, payments)
		},
		guard:    guard,
		recorder: recorder,
		handlers: func(mux *http.ServeMux) {
			mux.Handle("POST /notifications/{provider}", p.plain(payment.NotificationHandler(payments)))
			for pattern, page := range pages {
				mux.Handle(pattern, p.plain(page))
			}
		},
		loops: []func(context.Context) error{verifier.Run},
		ready: allReady(untilMigrated(pool), verifier.Ready),
		drain: func(context.Context) {},
		close: pool.Close,
	}, nil
}

// providers are the configured payment providers, and the pages that they serve here themselves.
func (p *pod) providers(pool *pgxpool.Pool) ([]payment.Provider, map[string]http.Handler, error) {
	var providers []payment.Provider
	pages := map[string]http.Handler{}
	for i, c := range p.Config.Payments {
		field := fmt.Sprintf("payments[%d]", i)
		if c.Provider != sandbox.Name {
			return nil, nil, fmt.Errorf("%s.provider %q: must be %s", field, c.Provider, sandbox.Name)
		}
		key, err := config.ReadSecret(c.SecretFile)
		if err != nil {
			return nil, nil, fmt.Errorf("%s.secretFile: %w", field, err)
		}
		box, err := sandbox.New(sandbox.Options{Pool: pool, Key: []byte(key), Merchant: p.Config.Cluster, PublicURL: c.PublicURL, Clock: time.Now})
		if err != nil {
			return nil, nil, fmt.Errorf("%s: %w", field, err)
		}
		page, err := sandbox.Handler(sandbox.HandlerOptions{Sandbox: box, NotifyURL: c.NotifyURL, Logger: p.Log})
		if err != nil {
			return nil, nil, fmt.Errorf("%s: %w", field, err)
		}
		providers = append(providers, box)
		pages["/sandbox/pay"] = page
	}
	return providers, pages, nil
}

// plain bounds a handler that is no RPC in number and time. Each has slots of its own: a page of the
// sandbox waits for a notification, which must not have to wait for the page.
func (p *pod) plain(next http.Handler) http.Handler {
	slots := make(chan struct{}, p.Config.HTTP.MaxInFlight)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case slots <- struct{}{}:
			defer func() { <-slots }()
			ctx, cancel := context.WithTimeout(r.Context(), time.Duration(p.Config.HTTP.RequestTimeout))
			defer cancel()
			next.ServeHTTP(w, r.WithContext(ctx))
		default:
			w.Header().Set("Retry-After", "1")
			http.Error(w, "too many requests in flight", http.StatusServiceUnavailable)
		}
	})
}

func (p *pod) database() (*pgxpool.Pool, error) {
	url, err := config.ReadSecret(p.Config.Database.URLFile)
	if err != nil {
		return nil, fmt.Errorf("database.urlFile: %w", err)
	}
	return database.Open(context.Background(), url, p.Config.Database.MaxConnections, database.WithRegisterer(p.registerer))
}

func (p *pod) orderIDs() (*orderid.Generator, error) {
	key, err := config.ReadSecret(p.Config.Orders.IDKeyFile)
	if err != nil {
		return nil, fmt.Errorf("orders.idKeyFile: %w", err)
	}
	ids, err := orderid.NewGenerator([]byte(key), time.Now, rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("orders.idKeyFile: %w", err)
	}
	return ids, nil
}

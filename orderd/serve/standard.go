package serve

import (
	"context"
	"crypto/rand"
	"net/http"
	"time"

	"connectrpc.com/connect/v2"

	"github.com/orderd-dev/orderd/api/gen/orderd/address/v1/addressv1connect"
	"github.com/orderd-dev/orderd/api/gen/orderd/audit/v1/auditv1connect"
	"github.com/orderd-dev/orderd/api/gen/orderd/bulk/v1/bulkv1connect"
	"github.com/orderd-dev/orderd/api/gen/orderd/cart/v1/cartv1connect"
	"github.com/orderd-dev/orderd/api/gen/orderd/catalog/v1/catalogv1connect"
	"github.com/orderd-dev/orderd/api/gen/orderd/coupon/v1/couponv1connect"
	"github.com/orderd-dev/orderd/api/gen/orderd/deadletter/v1/deadletterv1connect"
	"github.com/orderd-dev/orderd/api/gen/orderd/desk/v1/deskv1connect"
	"github.com/orderd-dev/orderd/api/gen/orderd/freight/v1/freightv1connect"
	"github.com/orderd-dev/orderd/api/gen/orderd/invoice/v1/invoicev1connect"
	"github.com/orderd-dev/orderd/api/gen/orderd/order/v1/orderv1connect"
	"github.com/orderd-dev/orderd/api/gen/orderd/payment/v1/paymentv1connect"
	"github.com/orderd-dev/orderd/api/gen/orderd/push/v1/pushv1connect"
	"github.com/orderd-dev/orderd/api/gen/orderd/quote/v1/quotev1connect"
	"github.com/orderd-dev/orderd/api/gen/orderd/returns/v1/returnsv1connect"
	"github.com/orderd-dev/orderd/api/gen/orderd/reward/v1/rewardv1connect"
	"github.com/orderd-dev/orderd/api/gen/orderd/shipment/v1/shipmentv1connect"
	"github.com/orderd-dev/orderd/api/gen/orderd/tax/v1/taxv1connect"
	flashclient "github.com/orderd-dev/orderd/orderd/flash/client"
	"github.com/orderd-dev/orderd/orderd/kit/audit"
	"github.com/orderd-dev/orderd/orderd/kit/auth"
	"github.com/orderd-dev/orderd/orderd/shop/address"
	"github.com/orderd-dev/orderd/orderd/shop/bulk"
	"github.com/orderd-dev/orderd/orderd/shop/cart"
	"github.com/orderd-dev/orderd/orderd/shop/catalog"
	"github.com/orderd-dev/orderd/orderd/shop/coupon"
	"github.com/orderd-dev/orderd/orderd/shop/deadletter"
	"github.com/orderd-dev/orderd/orderd/shop/desk"
	"github.com/orderd-dev/orderd/orderd/shop/freight"
	"github.com/orderd-dev/orderd/orderd/shop/order"
	"github.com/orderd-dev/orderd/orderd/shop/payment"
	"github.com/orderd-dev/orderd/orderd/shop/push"
	"github.com/orderd-dev/orderd/orderd/shop/quote"
	"github.com/orderd-dev/orderd/orderd/shop/returns"
	"github.com/orderd-dev/orderd/orderd/shop/reward"
	"github.com/orderd-dev/orderd/orderd/shop/shipment"
	"github.com/orderd-dev/orderd/orderd/shop/tax"
	"github.com/orderd-dev/orderd/orderd/shop/watch"
)

// standard serves everything that apps and staff ask for, but for the flash lane.
func (p *pod) standard(_ context.Context) (_ *role, err error) {
	s, err := p.shop()
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	verifier, guard, err := p.access()
	if err != nil {
		return nil, err
	}
	recorder, err := audit.NewRecorder(
		audit.Options{Pool: s.pool, Clock: p.now, Random: rand.Reader, Logger: p.log, Registerer: p.registerer},
	)
	if err != nil {
		return nil, err
	}
	key, err := p.readIDKey()
	if err != nil {
		return nil, err
	}
	ids, err := key.orderIDs(p.now)
	if err != nil {
		return nil, err
	}
	tokens, err := key.quotes(time.Duration(p.config.Orders.QuoteTTL))
	if err != nil {
		return nil, err
	}
	flash, err := p.flashFinder(s, key)
	if err != nil {
		return nil, err
	}
	returned, err := returns.NewService(returns.Options{
		Pool: s.pool, Orders: s.orders, Parcels: s.shipments, Window: time.Duration(p.config.Orders.ReturnWindow),
		Clock: p.now, Random: rand.Reader, Registerer: p.registerer,
	})
	if err != nil {
		return nil, err
	}
	changes, err := p.changes(s, key)
	if err != nil {
		return nil, err
	}
	options := p.orderOptions()
	options.Store, options.IDs, options.Tokens = s.orders, ids, tokens
	options.Flash, options.Returns, options.Changes = flash, returned, changes
	orders := order.NewService(options)
	return &role{
		services: func(server *connect.Server) {
			p.registerShop(server, s, auth.Guests{Verifier: verifier}, tokens)
			auditv1connect.RegisterAuditServiceHandler(server,
				audit.NewService(audit.ServiceOptions{Pool: s.pool, Recorder: recorder}))
			orderv1connect.RegisterOrderServiceHandler(server, orders)
			returnsv1connect.RegisterReturnServiceHandler(server, returned)
		},
		guard:    guard,
		recorder: recorder,
		inside:   orders.NotYet(),
		plain:    p.plainHandlers(s),
		loops:    []loop{verifier.Run, changes.Run},
		ready:    allReady(untilMigrated(s.pool), verifier.Ready),
		drain:    func(context.Context) {},
		close: func() {
			recorder.Flush(context.Background())
			s.close()
		},
	}, nil
}

// orderOptions are what the configuration says of orders.
func (p *pod) orderOptions() order.ServiceOptions {
	o, limits := p.config.Orders, p.config.Orders.Limits
	return order.ServiceOptions{
		PaymentTimeout: time.Duration(o.PaymentTimeout), MaxBatch: o.PlaceBatch, Random: random(),
		Limits:      order.Limits{Orders: limits.UnpaidOrders, Units: limits.ReservedUnits},
		GuestLimits: order.Limits{Orders: limits.GuestUnpaidOrders, Units: limits.GuestReservedUnits},
	}
}

// changes tells those who watch orders that these change.
func (p *pod) changes(s *shop, key idKey) (*watch.Hub, error) {
	return watch.New(watch.Options{
		JetStream: s.js, OrderIDKey: key, Random: random(), Logger: p.log, Registerer: p.registerer,
	})
}

// registerShop puts the shop's services on a server, but for those whose making can fail.
func (p *pod) registerShop(server *connect.Server, s *shop, guests auth.Guests, tokens *quote.Tokens) {
	pool, clock := s.pool, p.now
	addressv1connect.RegisterAddressServiceHandler(server,
		address.NewService(address.Options{Pool: pool, Clock: clock, Random: rand.Reader}))
	bulkv1connect.RegisterBulkServiceHandler(server,
		bulk.NewService(bulk.Options{Pool: pool, Clock: clock, Random: rand.Reader}))
	cartv1connect.RegisterCartServiceHandler(server,
		cart.NewService(cart.Options{Pool: pool, Guests: guests, Clock: clock}))
	catalogv1connect.RegisterCatalogServiceHandler(server, catalog.NewService(catalog.Options{Pool: pool, Clock: clock}))
	couponv1connect.RegisterCouponServiceHandler(server, coupon.NewService(s.coupons))
	deadletterv1connect.RegisterDeadLetterServiceHandler(server, deadletter.NewService(deadletter.Options{
		JetStream: s.js, Replicas: p.config.Messaging.Replicas, Pool: pool, Clock: clock, Logger: p.log,
	}))
	deskv1connect.RegisterDeskServiceHandler(server,
		desk.NewService(desk.Options{Pool: pool, Orders: s.orders, Clock: clock}))
	freightv1connect.RegisterFreightServiceHandler(server, freight.NewService(freight.Options{Pool: pool, Clock: clock}))
	invoicev1connect.RegisterInvoiceServiceHandler(server, s.invoices)
	paymentv1connect.RegisterPaymentServiceHandler(server, s.payments)
	paymentv1connect.RegisterRefundServiceHandler(server, s.payments)
	paymentv1connect.RegisterReconciliationServiceHandler(server, s.payments)
	pushv1connect.RegisterPushServiceHandler(server, push.NewService(push.Options{Pool: pool, Clock: clock}))
	quotev1connect.RegisterQuoteServiceHandler(server,
		quote.NewService(quote.Options{Pool: pool, Tokens: tokens, Clock: clock}))
	rewardv1connect.RegisterRewardServiceHandler(server, reward.NewService(s.rewards))
	shipmentv1connect.RegisterShipmentServiceHandler(server, shipment.NewService(s.shipments))
	taxv1connect.RegisterTaxServiceHandler(server, tax.NewService(tax.Options{Pool: pool, Clock: clock}))
}

// flashFinder is where orders are looked for that are not in the database yet; nil if no
// flash pool is configured.
func (p *pod) flashFinder(s *shop, key idKey) (order.FlashFinder, error) {
	if p.config.Flash.PeerURL == "" {
		return nil, nil
	}
	peers, err := key.peers(p.now)
	if err != nil {
		return nil, err
	}
	return flashclient.NewFinder(p.config.Flash.PeerURL, s.js, peers.Ask()), nil
}

// plainHandlers are called by payment providers, carriers and buyers' browsers.
func (p *pod) plainHandlers(s *shop) map[string]http.Handler {
	out := map[string]http.Handler{
		"POST /notifications/{provider}":  p.plain(payment.NotificationHandler(s.payments)),
		"POST /carriers/{carrier}/events": p.plain(shipment.PushHandler(s.shipments)),
	}
	for pattern, page := range s.pages {
		out[pattern] = p.plain(page)
	}
	return out
}

// plain bounds a handler that is no RPC in number and time. Each has slots of its own: a page of the
// sandbox waits for a notification, which must not have to wait for the page.
func (p *pod) plain(next http.Handler) http.Handler {
	slots := make(chan struct{}, p.config.HTTP.MaxInFlight)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case slots <- struct{}{}:
			defer func() { <-slots }()
			ctx, cancel := context.WithTimeout(r.Context(), time.Duration(p.config.HTTP.RequestTimeout))
			defer cancel()
			next.ServeHTTP(w, r.WithContext(ctx))
		default:
			w.Header().Set("Retry-After", "1")
			http.Error(w, "too many requests in flight", http.StatusServiceUnavailable)
		}
	})
}

package quote_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	mathrand "math/rand/v2"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"time"

	"connectrpc.com/connect/v2"
	"connectrpc.com/connect/v2/connecthttp"
	"connectrpc.com/validate"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/orderd-dev/orderd/api/gen/orderd/address/v1/addressv1connect"
	"github.com/orderd-dev/orderd/api/gen/orderd/cart/v1/cartv1connect"
	"github.com/orderd-dev/orderd/api/gen/orderd/catalog/v1/catalogv1connect"
	"github.com/orderd-dev/orderd/api/gen/orderd/coupon/v1/couponv1connect"
	"github.com/orderd-dev/orderd/api/gen/orderd/freight/v1/freightv1connect"
	"github.com/orderd-dev/orderd/api/gen/orderd/order/v1/orderv1connect"
	"github.com/orderd-dev/orderd/api/gen/orderd/quote/v1/quotev1connect"
	"github.com/orderd-dev/orderd/api/gen/orderd/tax/v1/taxv1connect"
	"github.com/orderd-dev/orderd/orderd/kit/auth"
	"github.com/orderd-dev/orderd/orderd/kit/orderid"
	"github.com/orderd-dev/orderd/orderd/shop/address"
	"github.com/orderd-dev/orderd/orderd/shop/cart"
	"github.com/orderd-dev/orderd/orderd/shop/catalog"
	"github.com/orderd-dev/orderd/orderd/shop/coupon"
	"github.com/orderd-dev/orderd/orderd/shop/freight"
	"github.com/orderd-dev/orderd/orderd/shop/order"
	"github.com/orderd-dev/orderd/orderd/shop/quote"
	"github.com/orderd-dev/orderd/orderd/shop/tax"
	"github.com/orderd-dev/orderd/orderd/sim/issuer"
	"github.com/orderd-dev/orderd/test/kit/testauth"
	"github.com/orderd-dev/orderd/test/kit/testdb"
)

// lifetime of a quote's token.
const lifetime = 10 * time.Minute

// world is a shop without anything in it: all RPCs until an order is placed, over HTTP, behind the
// checks of callers and of requests.
type world struct {
	url    string
	issuer *testauth.Issuer
	// ahead is how far the shop's clock is ahead of the real one.
	ahead    atomic.Int64
	requests atomic.Int64
}

func (w *world) now() time.Time { return time.Now().Add(time.Duration(w.ahead.Load())) }

func newWorld() *world {
	GinkgoHelper()
	w := &world{}
	pool := testdb.NewPool(GinkgoTB())
	issuer, jwksURL := testauth.Start(GinkgoTB())
	w.issuer = issuer
	log := slog.New(slog.NewTextHandler(GinkgoWriter, nil))

	verifier, err := auth.NewVerifier(auth.VerifierOptions{
		Issuer:   testauth.IssuerName,
		Audience: testauth.Audience,
		JWKSURL:  jwksURL,
		Clock:    time.Now,
		Logger:   log,
	})
	Expect(err).NotTo(HaveOccurred())
	guard, err := auth.NewGuard(auth.GuardOptions{Verifier: verifier, Clock: time.Now})
	Expect(err).NotTo(HaveOccurred())
	key := []byte("0123456789abcdef")
	tokens, err := quote.NewTokens(key, lifetime)
	Expect(err).NotTo(HaveOccurred())
	ids, err := orderid.NewGenerator(key, w.now, rand.Reader)
	Expect(err).NotTo(HaveOccurred())
	orders, err := order.NewStore(order.Options{Pool: pool, Clock: w.now, Logger: log})
	Expect(err).NotTo(HaveOccurred())

	server := connect.NewServer(guard.Authenticate(), guard.KeepToOwn(), validate.NewServerInterceptor())
	catalogv1connect.RegisterCatalogServiceHandler(server, catalog.NewService(catalog.Options{Pool: pool, Clock: w.now}))
	taxv1connect.RegisterTaxServiceHandler(server, tax.NewService(tax.Options{Pool: pool, Clock: w.now}))
	freightv1connect.RegisterFreightServiceHandler(server, freight.NewService(freight.Options{Pool: pool, Clock: w.now}))
	addressv1connect.RegisterAddressServiceHandler(server,
		address.NewService(address.Options{Pool: pool, Clock: w.now, Random: rand.Reader}))
	cartv1connect.RegisterCartServiceHandler(server,
		cart.NewService(cart.Options{Pool: pool, Guests: auth.Guests{Verifier: verifier}, Clock: w.now}))
	quotev1connect.RegisterQuoteServiceHandler(server,
		quote.NewService(quote.Options{Pool: pool, Tokens: tokens, Clock: w.now}))
	coupons := coupon.NewStore(coupon.StoreOptions{Pool: pool, Clock: w.now, Random: rand.Reader})
	couponv1connect.RegisterCouponServiceHandler(server, coupon.NewService(coupons))
	orderv1connect.RegisterOrderServiceHandler(server, order.NewService(order.ServiceOptions{
		Store: orders, IDs: ids, Tokens: tokens, PaymentTimeout: time.Hour, Random: mathrand.New(mathrand.NewPCG(1, 2)),
	}))
	mux := http.NewServeMux()
	connecthttp.Mount(mux, server)
	listening := httptest.NewServer(mux)
	DeferCleanup(listening.Close)
	w.url = listening.URL
	return w
}

// request is an id that was not used before.
func (w *world) request() string { return fmt.Sprintf("request-%d", w.requests.Add(1)) }

// caller is somebody with a token.
type caller struct {
	catalog   catalogv1connect.CatalogServiceClient
	taxes     taxv1connect.TaxServiceClient
	freight   freightv1connect.FreightServiceClient
	addresses addressv1connect.AddressServiceClient
	cart      cartv1connect.CartServiceClient
	quotes    quotev1connect.QuoteServiceClient
	coupons   couponv1connect.CouponServiceClient
	orders    orderv1connect.OrderServiceClient
	token     string
}

func (w *world) caller(token string) *caller {
	c := connect.NewClient(connecthttp.NewTransport(http.DefaultClient, w.url), issuer.Bearer(token))
	return &caller{
		catalog:   catalogv1connect.NewCatalogServiceClient(c),
		taxes:     taxv1connect.NewTaxServiceClient(c),
		freight:   freightv1connect.NewFreightServiceClient(c),
		addresses: addressv1connect.NewAddressServiceClient(c),
		cart:      cartv1connect.NewCartServiceClient(c),
		quotes:    quotev1connect.NewQuoteServiceClient(c),
		coupons:   couponv1connect.NewCouponServiceClient(c),
		orders:    orderv1connect.NewOrderServiceClient(c),
		token:     token,
	}
}

func (w *world) buyer(name string) *caller { return w.caller(w.issuer.Token(name, "buyer")) }
func (w *world) guest(name string) *caller { return w.caller(w.issuer.Guest(name)) }
func (w *world) staff() *caller {
	return w.caller(w.issuer.Token("carol", "catalog", "fulfilment", "marketing"))
}

// must is for calls that a spec is not about.
func must[T any](answer T, err error) T {
	GinkgoHelper()
	Expect(err).NotTo(HaveOccurred())
	return answer
}

func ctx() context.Context { return context.Background() }

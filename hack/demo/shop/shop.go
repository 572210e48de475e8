// Package shop has the clients of an OrderCluster's services, as apps make them.
package shop

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"connectrpc.com/connect/v2"
	"connectrpc.com/connect/v2/connecthttp"

	"github.com/orderd-dev/orderd/api/gen/orderd/catalog/v1/catalogv1connect"
	"github.com/orderd-dev/orderd/api/gen/orderd/coupon/v1/couponv1connect"
	"github.com/orderd-dev/orderd/api/gen/orderd/deadletter/v1/deadletterv1connect"
	"github.com/orderd-dev/orderd/api/gen/orderd/flash/v1/flashv1connect"
	"github.com/orderd-dev/orderd/api/gen/orderd/freight/v1/freightv1connect"
	"github.com/orderd-dev/orderd/api/gen/orderd/order/v1/orderv1connect"
	"github.com/orderd-dev/orderd/api/gen/orderd/payment/v1/paymentv1connect"
	"github.com/orderd-dev/orderd/api/gen/orderd/returns/v1/returnsv1connect"
	"github.com/orderd-dev/orderd/api/gen/orderd/reward/v1/rewardv1connect"
	"github.com/orderd-dev/orderd/orderd/sim/issuer"
)

// Standard is the standard lane, over connections that are kept.
type Standard struct {
	Catalog     catalogv1connect.CatalogServiceClient
	Orders      orderv1connect.OrderServiceClient
	Payments    paymentv1connect.PaymentServiceClient
	Coupons     couponv1connect.CouponServiceClient
	DeadLetters deadletterv1connect.DeadLetterServiceClient
	Freight     freightv1connect.FreightServiceClient
	Returns     returnsv1connect.ReturnServiceClient
	Rewards     rewardv1connect.RewardServiceClient
	http        *http.Client
}

// NewStandard makes clients that open at most maxConns connections to the base URL.
func NewStandard(baseURL string, maxConns int) *Standard {
	httpClient := http1(maxConns)
	client := connect.NewClient(connecthttp.NewTransport(httpClient, baseURL), issuer.FromContext())
	return &Standard{
		Catalog:     catalogv1connect.NewCatalogServiceClient(client),
		Orders:      orderv1connect.NewOrderServiceClient(client),
		Payments:    paymentv1connect.NewPaymentServiceClient(client),
		Coupons:     couponv1connect.NewCouponServiceClient(client),
		DeadLetters: deadletterv1connect.NewDeadLetterServiceClient(client),
		Freight:     freightv1connect.NewFreightServiceClient(client),
		Returns:     returnsv1connect.NewReturnServiceClient(client),
		Rewards:     rewardv1connect.NewRewardServiceClient(client),
		http:        httpClient,
	}
}

// PayAt does what a buyer does on the sandbox's page: a POST to the payment's redirect URL.
func (s *Standard) PayAt(ctx context.Context, redirectURL string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, redirectURL, http.NoBody)
	if err != nil {
		return fmt.Errorf("redirect URL: %w", err)
	}
	res, err := s.http.Do(req)
	if err != nil {
		return fmt.Errorf("paying at the sandbox: %w", err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, 4<<10))
	if err != nil {
		return fmt.Errorf("reading the sandbox's answer: %w", err)
	}
	if res.StatusCode/100 != 2 {
		return fmt.Errorf("paying at the sandbox: %s: %s", res.Status, body)
	}
	return nil
}

// NewFlash makes one client for each kind of app: mostly Connect's binary protocol over HTTP/1.1,
// with JSON and gRPC over HTTP/2 besides. A Service spreads connections, not requests, over its
// pods, so the HTTP/2 clients are several of one connection each.
func NewFlash(baseURL string, maxConns int) []flashv1connect.FlashServiceClient {
	const binary, grpc = 16, 2
	apps := make([]flashv1connect.FlashServiceClient, 0, binary+grpc+1)
	add := func(httpClient *http.Client, options ...connecthttp.Option) {
		client := connect.NewClient(connecthttp.NewTransport(httpClient, baseURL, options...), issuer.FromContext())
		apps = append(apps, flashv1connect.NewFlashServiceClient(client))
	}
	shared := http1(maxConns)
	for range binary {
		add(shared)
	}
	add(shared, connecthttp.WithProtoJSON())
	for range grpc {
		add(http2(), connecthttp.WithGRPC())
	}
	return apps
}

func http1(maxConns int) *http.Client {
	return &http.Client{Transport: &http.Transport{
		DialContext:         dialer().DialContext,
		MaxConnsPerHost:     maxConns,
		MaxIdleConnsPerHost: maxConns,
		IdleConnTimeout:     time.Minute,
		DisableCompression:  true,
	}}
}

func http2() *http.Client {
	protocols := new(http.Protocols)
	protocols.SetHTTP2(true)
	protocols.SetUnencryptedHTTP2(true)
	return &http.Client{Transport: &http.Transport{
		DialContext: dialer().DialContext,
		Protocols:   protocols,
		// Finds out that a killed pod's connection is dead.
		HTTP2: &http.HTTP2Config{SendPingTimeout: 2 * time.Second, PingTimeout: 2 * time.Second},
	}}
}

func dialer() *net.Dialer { return &net.Dialer{Timeout: 2 * time.Second, KeepAlive: 5 * time.Second} }

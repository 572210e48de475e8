package serve

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"connectrpc.com/connect/v2"

	catalogv1 "github.com/orderd-dev/orderd/api/gen/orderd/catalog/v1"
	"github.com/orderd-dev/orderd/api/gen/orderd/catalog/v1/catalogv1connect"
	flashv1 "github.com/orderd-dev/orderd/api/gen/orderd/flash/v1"
	"github.com/orderd-dev/orderd/api/gen/orderd/flash/v1/flashv1connect"
	"github.com/orderd-dev/orderd/orderd/kit/auth"
	"github.com/orderd-dev/orderd/orderd/kit/config"
	"github.com/orderd-dev/orderd/orderd/kit/rpcerr"
	"github.com/orderd-dev/orderd/test/kit/testauth"
)

// counter tells which buyer a request is for, and who asks.
type counter struct {
	flashv1connect.UnimplementedFlashServiceHandler
	catalogv1connect.UnimplementedCatalogServiceHandler
	flashv1connect.UnimplementedPeerServiceHandler
}

func (counter) PlaceFlashOrder(
	_ context.Context, r *flashv1.PlaceFlashOrderRequest,
) (*flashv1.PlaceFlashOrderResponse, error) {
	return &flashv1.PlaceFlashOrderResponse{OrderId: "for " + r.GetBuyerId()}, nil
}

func (counter) PlaceFlashOrders(
	_ context.Context, stream flashv1connect.FlashServicePlaceFlashOrdersServerStream,
) error {
	_, err := stream.Receive()
	return err
}

func (counter) GetFlashOrder(
	_ context.Context, r *flashv1.GetFlashOrderRequest,
) (*flashv1.GetFlashOrderResponse, error) {
	return &flashv1.GetFlashOrderResponse{OrderId: "for " + r.GetBuyerId()}, nil
}

func (counter) GetPromotion(
	ctx context.Context, _ *flashv1.GetPromotionRequest,
) (*flashv1.GetPromotionResponse, error) {
	if c, ok := auth.CallerFrom(ctx); ok {
		return nil, rpcerr.New(connect.CodeInternal, "CALLER", "a public RPC has no caller, not "+c.Subject)
	}
	return &flashv1.GetPromotionResponse{}, nil
}

func (counter) GetSku(ctx context.Context, _ *catalogv1.GetSkuRequest) (*catalogv1.GetSkuResponse, error) {
	c, _ := auth.CallerFrom(ctx)
	return &catalogv1.GetSkuResponse{Sku: &catalogv1.Sku{Title: c.Subject + " as " + c.Acting.String()}}, nil
}

// counting serves counters behind all that stands around RPCs for apps.
func counting(t *testing.T, limits auth.Limits) (*testauth.Issuer, *httptest.Server) {
	t.Helper()
	tokens, guard := newGuard(t, limits)
	c := config.Default().HTTP
	around := testStack(t, slog.New(slog.DiscardHandler), c)
	server := connect.NewServer(around.forApps(guard, nil, nil)...)
	flashv1connect.RegisterFlashServiceHandler(server, counter{})
	catalogv1connect.RegisterCatalogServiceHandler(server, counter{})
	// It has no access option: it is between pods, and not served to apps.
	flashv1connect.RegisterPeerServiceHandler(server, counter{})
	s := httptest.NewUnstartedServer(around.front(offer{server: server}))
	// gRPC needs HTTP/2, which Go's clients speak by themselves only over TLS.
	s.EnableHTTP2 = true
	s.StartTLS()
	t.Cleanup(s.Close)
	return tokens, s
}

const (
	placing      = "/orderd.flash.v1.FlashService/PlaceFlashOrder"
	looking      = "/orderd.flash.v1.FlashService/GetFlashOrder"
	getPromotion = "/orderd.flash.v1.FlashService/GetPromotion"
	admitting    = "/orderd.flash.v1.FlashService/AdmitBuyers"
	adjusting    = "/orderd.catalog.v1.CatalogService/AdjustStock"
	goods        = "/orderd.catalog.v1.CatalogService/GetSku"
	releasing    = "/orderd.flash.v1.PeerService/Release"
)

// orderOf is a buyer's order of one unit; it does not say whose if buyer is empty.
func orderOf(buyer string) string {
	fields := map[string]any{
		"promotion": "sale",
		"requestId": "r",
		"items":     []any{map[string]any{"sku": "A", "quantity": "1"}},
	}
	if buyer != "" {
		fields["buyerId"] = buyer
	}
	raw, _ := json.Marshal(fields)
	return string(raw)
}

func bearer(token string) []string { return []string{"Bearer " + token} }

func post(t *testing.T, s *httptest.Server, authorization []string, path, body string) (int, http.Header, []byte) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	for _, value := range authorization {
		request.Header.Add("Authorization", value)
	}
	return do(t, s, request)
}

func do(t *testing.T, s *httptest.Server, request *http.Request) (int, http.Header, []byte) {
	t.Helper()
	response, err := s.Client().Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	raw, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, response.Header, raw
}

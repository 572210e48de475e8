package serve

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"testing"

	"connectrpc.com/connect/v2"
	"github.com/google/go-cmp/cmp"

	flashv1 "github.com/orderd-dev/orderd/api/gen/orderd/flash/v1"
	"github.com/orderd-dev/orderd/api/gen/orderd/flash/v1/flashv1connect"
	"github.com/orderd-dev/orderd/orderd/flash/promotion"
	"github.com/orderd-dev/orderd/orderd/kit/auth"
	"github.com/orderd-dev/orderd/orderd/kit/config"
	"github.com/orderd-dev/orderd/test/kit/testauth"
)

// hinting says that all is sold, and where to ask next time.
type hinting struct{ empty }

func (h hinting) PlaceFlashOrder(
	ctx context.Context, r *flashv1.PlaceFlashOrderRequest,
) (*flashv1.PlaceFlashOrderResponse, error) {
	if info, ok := connect.CallInfoForServerContext(ctx); ok {
		info.ResponseHeader().Set("Orderd-Route", "7")
	}
	if r.GetRequestId() == "lucky" {
		return &flashv1.PlaceFlashOrderResponse{OrderId: "1"}, nil
	}
	return h.empty.PlaceFlashOrder(ctx, r)
}

// hints is where a hinting flash lane is served.
type hints struct {
	issuer *testauth.Issuer
	url    string
}

func serveHints(t *testing.T) hints {
	t.Helper()
	issuer, guard := newGuard(t, auth.Limits{})
	c := config.Default().HTTP
	around := testStack(t, slog.New(slog.DiscardHandler), c)
	server := connect.NewServer(around.forApps(guard, nil, nil)...)
	promo := promotion.New(&flashv1.Promotion{
		Uid:        "uid",
		Name:       "sale",
		Partitions: 1,
		Streams:    []string{"S"},
		Items:      []*flashv1.PromotedItem{{Sku: "A"}},
	})
	flashv1connect.RegisterFlashServiceHandler(server, hinting{empty{refusal: promo.SoldOut(0)}})
	l, err := listen(t.Context(), "apps", "127.0.0.1:0", around.front(offer{server: server}), c)
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- l.serve() }()
	t.Cleanup(func() {
		_ = l.server.Close()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return hints{issuer: issuer, url: "http://" + l.socket.Addr().String()}
}

// hint is what a client sees of an answer.
type hint struct {
	Status             int
	ContentType, Route string
	Body               map[string]any
}

// ask places an order.
func (h hints) ask(t *testing.T, transport *http.Transport, request string) hint {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, h.url+placing, bytes.NewBufferString(request))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Authorization", "Bearer "+h.issuer.Token("ann", "buyer"))
	response, err := (&http.Client{Transport: transport}).Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	raw, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	a := hint{
		Status:      response.StatusCode,
		ContentType: response.Header.Get("Content-Type"),
		Route:       response.Header.Get("Orderd-Route"),
	}
	if err := json.Unmarshal(raw, &a.Body); err != nil {
		t.Fatalf("%s: %v", raw, err)
	}
	return a
}

// What is answered without Connect is what Connect answers, which it does over HTTP/2.
func TestWhatIsAnsweredDirectlyIsTheSame(t *testing.T) {
	at := serveHints(t)
	newer := new(http.Protocols)
	newer.SetUnencryptedHTTP2(true)
	transport1, transport2 := &http.Transport{}, &http.Transport{Protocols: newer}
	t.Cleanup(transport1.CloseIdleConnections)
	t.Cleanup(transport2.CloseIdleConnections)
	lucky := `{"promotion":"sale","requestId":"lucky","items":[{"sku":"A","quantity":"1"}]}`
	// Both kinds of answers, in turns, on one connection.
	for _, request := range []string{orderOf(""), lucky, orderOf(""), lucky} {
		direct, usual := at.ask(t, transport1, request), at.ask(t, transport2, request)
		if diff := cmp.Diff(usual, direct); diff != "" {
			t.Errorf("%s: answers over HTTP/1.1 differ (-HTTP/2 +HTTP/1.1):\n%s", request, diff)
		}
		want := http.StatusTooManyRequests
		if request == lucky {
			want = http.StatusOK
		}
		if direct.Status != want || direct.Route != "7" {
			t.Errorf("%s: status %d, route %q; want %d, 7", request, direct.Status, direct.Route, want)
		}
	}
}

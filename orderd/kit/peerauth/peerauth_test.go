package peerauth_test

import (
	"bytes"
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect/v2"
	"connectrpc.com/connect/v2/connecthttp"

	flashv1 "github.com/orderd-dev/orderd/api/gen/orderd/flash/v1"
	"github.com/orderd-dev/orderd/api/gen/orderd/flash/v1/flashv1connect"
	"github.com/orderd-dev/orderd/orderd/kit/peerauth"
	"github.com/orderd-dev/orderd/orderd/kit/rpcerr"
)

var now = time.Date(2026, 11, 11, 0, 0, 0, 0, time.UTC)

// pod answers every FindOrder.
type pod struct {
	flashv1connect.UnimplementedPeerServiceHandler
}

func (pod) FindOrder(context.Context, *flashv1.FindOrderRequest) (*flashv1.FindOrderResponse, error) {
	return &flashv1.FindOrderResponse{}, nil
}

func key(t *testing.T, secret byte, at time.Time) *peerauth.Key {
	t.Helper()
	k, err := peerauth.New(bytes.Repeat([]byte{secret}, 32), func() time.Time { return at })
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// sends a header as it is.
func sends(header string) connect.ClientInterceptor {
	return func(next connect.ClientFunc) connect.ClientFunc {
		return func(ctx context.Context, spec connect.Spec) (connect.ClientStream, error) {
			if info, ok := connect.CallInfoForClientContext(ctx); ok {
				info.RequestHeader().Set(peerauth.Header, header)
			}
			return next(ctx, spec)
		}
	}
}

// other sends the header of a call of another procedure.
func other(k *peerauth.Key) connect.ClientInterceptor {
	return func(next connect.ClientFunc) connect.ClientFunc {
		return func(ctx context.Context, spec connect.Spec) (connect.ClientStream, error) {
			release := spec
			release.Procedure = flashv1connect.PeerServiceReleaseProcedure
			signed := k.Ask()(func(ctx context.Context, _ connect.Spec) (connect.ClientStream, error) { return next(ctx, spec) })
			return signed(ctx, release)
		}
	}
}

func TestOnlyPodsOfTheOrderClusterAreAnswered(t *testing.T) {
	const unknown = peerauth.ReasonUnknown
	with := func(i connect.ClientInterceptor) []connect.ClientInterceptor { return []connect.ClientInterceptor{i} }
	tests := map[string]struct {
		client []connect.ClientInterceptor
		want   string
	}{
		"a pod":                                {client: with(key(t, 1, now).Ask())},
		"a pod whose clock is a bit ahead":     {client: with(key(t, 1, now.Add(time.Minute)).Ask())},
		"a pod whose clock is a bit behind":    {client: with(key(t, 1, now.Add(-time.Minute)).Ask())},
		"a header from long ago":               {client: with(key(t, 1, now.Add(-time.Hour)).Ask()), want: unknown},
		"a header from the future":             {client: with(key(t, 1, now.Add(time.Hour)).Ask()), want: unknown},
		"a pod of another OrderCluster":        {client: with(key(t, 2, now).Ask()), want: unknown},
		"nobody known":                         {want: unknown},
		"no MAC":                               {client: with(sends("1794355200.")), want: unknown},
		"no time":                              {client: with(sends(".00")), want: unknown},
		"nonsense":                             {client: with(sends(strings.Repeat("x", 100))), want: unknown},
		"a header of a call of something else": {client: with(other(key(t, 1, now))), want: unknown},
	}
	server := connect.NewServer(key(t, 1, now).Answer())
	flashv1connect.RegisterPeerServiceHandler(server, pod{})
	mux := http.NewServeMux()
	connecthttp.Mount(mux, server)
	web := httptest.NewServer(mux)
	defer web.Close()
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			client := flashv1connect.NewPeerServiceClient(
				connect.NewClient(connecthttp.NewTransport(web.Client(), web.URL), test.client...))
			_, err := client.FindOrder(t.Context(), &flashv1.FindOrderRequest{})
			if got := rpcerr.Reason(err); got != test.want || (err != nil) != (test.want != "") {
				t.Errorf("reason %q (%v), want %q", got, err, test.want)
			}
		})
	}
}

func TestAShortKeyIsRefused(t *testing.T) {
	if _, err := peerauth.New([]byte("short"), time.Now); err == nil {
		t.Error("no error")
	}
}

package serve

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect/v2"
	"connectrpc.com/connect/v2/connecthttp"
	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	flashv1 "github.com/orderd-dev/orderd/api/gen/orderd/flash/v1"
	"github.com/orderd-dev/orderd/api/gen/orderd/flash/v1/flashv1connect"
	"github.com/orderd-dev/orderd/orderd/kit/auth"
	"github.com/orderd-dev/orderd/orderd/kit/config"
	"github.com/orderd-dev/orderd/orderd/kit/overload"
	"github.com/orderd-dev/orderd/orderd/kit/rpcerr"
	"github.com/orderd-dev/orderd/test/kit/testauth"
)

// lane answers GetPromotion as a test wants it to.
type lane struct {
	flashv1connect.UnimplementedFlashServiceHandler
	answer func(context.Context) error
}

func (l lane) GetPromotion(ctx context.Context, _ *flashv1.GetPromotionRequest) (*flashv1.GetPromotionResponse, error) {
	return &flashv1.GetPromotionResponse{}, l.answer(ctx)
}

// served is a pod's server for apps, and who issues the tokens it takes.
type served struct {
	*httptest.Server
	issuer *testauth.Issuer
}

// serving is what every role puts around its RPCs, around one handler.
func serving(t *testing.T, c config.HTTP, log *bytes.Buffer, answer func(context.Context) error) *served {
	t.Helper()
	issuer, guard := newGuard(t, auth.Limits{PerSecond: 1000, Burst: 1000})
	around := testStack(t, slog.New(slog.NewTextHandler(log, nil)), c)
	server := connect.NewServer(around.forApps(guard, nil, nil)...)
	flashv1connect.RegisterFlashServiceHandler(server, lane{answer: answer})
	s := httptest.NewServer(around.front(offer{server: server}))
	t.Cleanup(s.Close)
	return &served{Server: s, issuer: issuer}
}

func testStack(t testing.TB, log *slog.Logger, c config.HTTP) stack {
	t.Helper()
	gate, err := overload.NewGate(
		overload.Options{Max: c.MaxInFlight, Lowest: lowestInFlight, Clock: time.Now, Random: rand.Int64N},
	)
	if err != nil {
		t.Fatal(err)
	}
	bodies, err := overload.NewBodies(overload.BodiesOptions{
		MaxBytes: c.MaxBodyBytes, Max: lowestInFlight, Timeout: time.Duration(c.BodyTimeout), Clock: time.Now,
	})
	if err != nil {
		t.Fatal(err)
	}
	measured, err := newMetrics(prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	return stack{
		metrics: measured,
		gate:    gate,
		bodies:  bodies,
		log:     log,
		http:    c,
		clock:   time.Now,
		leaving: make(chan struct{}),
	}
}

func newGuard(t testing.TB, limits auth.Limits) (*testauth.Issuer, *auth.Guard) {
	t.Helper()
	issuer, jwks := testauth.Start(t)
	verifier, err := auth.NewVerifier(auth.VerifierOptions{
		Issuer:   testauth.IssuerName,
		Audience: testauth.Audience,
		JWKSURL:  jwks,
		Clock:    time.Now,
		Logger:   slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	guard, err := auth.NewGuard(auth.GuardOptions{Verifier: verifier, Callers: limits, Clock: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	return issuer, guard
}

func client(s *served) flashv1connect.FlashServiceClient {
	return flashv1connect.NewFlashServiceClient(connect.NewClient(connecthttp.NewTransport(s.Client(), s.URL)))
}

func TestErrorsThatCallersSee(t *testing.T) {
	type facts struct {
		Code    connect.Code
		Reason  string
		Message string
		Logged  bool
	}
	tests := []struct {
		name   string
		answer error
		want   facts
	}{
		{
			name:   "what a driver said is logged and hidden",
			answer: errors.New("dial tcp: password authentication failed"),
			want:   facts{Code: connect.CodeInternal, Reason: "INTERNAL", Message: "internal error", Logged: true},
		},
		{
			name:   "a reason stays",
			answer: rpcerr.New(connect.CodeNotFound, "PROMOTION_NOT_FOUND", "no such promotion"),
			want:   facts{Code: connect.CodeNotFound, Reason: "PROMOTION_NOT_FOUND", Message: "no such promotion"},
		},
		{
			name:   "another pod's verdict is not ours",
			answer: connect.NewError(connect.CodeNotFound, "from afar").WithRemote(),
			want:   facts{Code: connect.CodeInternal, Reason: "INTERNAL", Message: "internal error", Logged: true},
		},
		{
			name: "nor is it as the cause of what connect says",
			answer: connect.NewError(connect.CodeInvalidArgument, "unreadable").WithCause(
				rpcerr.New(connect.CodeNotFound, "FROM_AFAR", "from afar").WithRemote()),
			want: facts{Code: connect.CodeInvalidArgument, Reason: "INVALID_REQUEST", Message: "unreadable"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var log bytes.Buffer
			s := serving(t, config.Default().HTTP, &log, func(context.Context) error { return tt.answer })
			_, err := client(s).GetPromotion(t.Context(), &flashv1.GetPromotionRequest{Promotion: "sale"})
			var cerr *connect.Error
			if !errors.As(err, &cerr) {
				t.Fatalf("GetPromotion: %v, want a connect error", err)
			}
			got := facts{Code: cerr.Code(), Reason: rpcerr.Reason(err), Message: cerr.Message(), Logged: log.Len() > 0}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("error (-want +got):\n%s", diff)
			}
		})
	}
}

func TestDeadline(t *testing.T) {
	c := config.Default().HTTP
	c.RequestTimeout = config.Duration(time.Millisecond)
	s := serving(t, c, new(bytes.Buffer), func(ctx context.Context) error {
		<-ctx.Done()
		return ctx.Err()
	})
	_, err := client(s).GetPromotion(t.Context(), &flashv1.GetPromotionRequest{Promotion: "sale"})
	if connect.CodeOf(err) != connect.CodeDeadlineExceeded || rpcerr.Reason(err) != "DEADLINE_EXCEEDED" {
		t.Errorf("GetPromotion: %v, want DEADLINE_EXCEEDED", err)
	}
}

func TestOverloadIsRefusedWithADelay(t *testing.T) {
	c := config.Default().HTTP
	c.MaxInFlight = 1
	entered, leave := make(chan struct{}), make(chan struct{})
	s := serving(t, c, new(bytes.Buffer), func(context.Context) error {
		entered <- struct{}{}
		<-leave
		return nil
	})
	first := make(chan error, 1)
	go func() {
		_, err := client(s).GetPromotion(context.WithoutCancel(t.Context()), &flashv1.GetPromotionRequest{Promotion: "sale"})
		first <- err
	}()
	<-entered
	// Not even decoded: the request breaks a rule of the proto.
	_, err := client(s).GetPromotion(t.Context(), &flashv1.GetPromotionRequest{})
	if connect.CodeOf(err) != connect.CodeUnavailable || rpcerr.Reason(err) != "OVERLOADED" {
		t.Errorf("second request: %v, want UNAVAILABLE/OVERLOADED", err)
	}
	if after, ok := rpcerr.RetryAfter(err); !ok || after <= 0 {
		t.Errorf("retry after %s, %t; want a delay", after, ok)
	}
	close(leave)
	if err := <-first; err != nil {
		t.Errorf("first request: %v", err)
	}
}

// badRequests are refused before an RPC begins.
var badRequests = []struct {
	name, path, contentType, body string
	wantStatus                    int
	wantBody                      []string
}{
	{
		name: "a rule of the proto", path: "/orderd.flash.v1.FlashService/PlaceFlashOrder", contentType: "application/json",
		body:       `{"promotion":"sale","buyerId":"b","requestId":"r","items":[{"sku":"A","quantity":"0"}]}`,
		wantStatus: http.StatusBadRequest, wantBody: []string{"invalid_argument", "items[0].quantity", "INVALID_REQUEST"},
	},
	{
		name:        "a character that no database stores",
		path:        "/orderd.flash.v1.FlashService/PlaceFlashOrder",
		contentType: "application/json",
		body:        `{"promotion":"sale","buyerId":"b\u0000","requestId":"r","items":[{"sku":"A","quantity":"1"}]}`,
		wantStatus:  http.StatusBadRequest,
		wantBody:    []string{"invalid_argument", "buyer_id", "INVALID_REQUEST"},
	},
	{
		name: "a missing field", path: "/orderd.flash.v1.FlashService/GetPromotion", contentType: "application/json",
		body: `{}`, wantStatus: http.StatusBadRequest, wantBody: []string{"invalid_argument", "promotion"},
	},
	{
		name: "a field that is misspelt, in a list", path: placing, contentType: "application/json; charset=utf-8",
		body:       `{"promotion":"sale","requestId":"r","items":[{"sku":"A","quantity":"1","limitt":"0"}]}`,
		wantStatus: http.StatusBadRequest, wantBody: []string{"invalid_argument", "UNKNOWN_FIELD", "items[0].limitt"},
	},
	{
		name: "broken JSON", path: "/orderd.flash.v1.FlashService/GetPromotion", contentType: "application/json",
		body: `{"promotion":`, wantStatus: http.StatusBadRequest, wantBody: []string{"invalid_argument"},
	},
	{
		name: "too large", path: "/orderd.flash.v1.FlashService/GetPromotion", contentType: "application/json",
		body:       `{"promotion":"` + strings.Repeat("x", 4096) + `"}`,
		wantStatus: http.StatusTooManyRequests, wantBody: []string{"resource_exhausted"},
	},
	{
		name: "another content type", path: "/orderd.flash.v1.FlashService/GetPromotion", contentType: "text/xml",
		body: `<promotion/>`, wantStatus: http.StatusUnsupportedMediaType,
	},
	{
		name: "no such RPC", path: "/orderd.flash.v1.FlashService/Guess", contentType: "application/json",
		body: `{}`, wantStatus: http.StatusNotImplemented, wantBody: []string{"unimplemented"},
	},
}

func TestBadRequests(t *testing.T) {
	c := config.Default().HTTP
	c.MaxBodyBytes = 1024
	s := serving(t, c, new(bytes.Buffer), func(context.Context) error { return nil })
	for _, tt := range badRequests {
		t.Run(tt.name, func(t *testing.T) {
			request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL+tt.path, strings.NewReader(tt.body))
			if err != nil {
				t.Fatal(err)
			}
			request.Header.Set("Content-Type", tt.contentType)
			request.Header.Set("Authorization", "Bearer "+s.issuer.Token("a backend", "checkout"))
			response, err := s.Client().Do(request)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = response.Body.Close() }()
			var body bytes.Buffer
			if _, err := body.ReadFrom(response.Body); err != nil {
				t.Fatal(err)
			}
			if response.StatusCode != tt.wantStatus {
				t.Errorf("status %d, want %d; body %s", response.StatusCode, tt.wantStatus, &body)
			}
			for _, want := range tt.wantBody {
				if !strings.Contains(body.String(), want) && !strings.Contains(decodeDetails(t, body.Bytes()), want) {
					t.Errorf("body %s does not say %s", &body, want)
				}
			}
		})
	}
}

// decodeDetails is the text in a Connect error's details, which JSON carries as base64.
func decodeDetails(t *testing.T, body []byte) string {
	t.Helper()
	var wire struct {
		Details []struct {
			Value string `json:"value"`
		} `json:"details"`
	}
	if err := json.Unmarshal(body, &wire); err != nil {
		t.Fatalf("%s: %v", body, err)
	}
	var text strings.Builder
	for _, d := range wire.Details {
		raw, err := base64.RawStdEncoding.DecodeString(d.Value)
		if err != nil {
			t.Fatal(err)
		}
		text.Write(raw)
	}
	return text.String()
}

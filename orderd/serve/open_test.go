package serve

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"connectrpc.com/connect/v2"
	"connectrpc.com/connect/v2/connecthttp"
	"connectrpc.com/grpcreflect/v2"
	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/protobuf/reflect/protoreflect"

	healthv1 "github.com/orderd-dev/orderd/api/gen/grpc/health/v1"
	"github.com/orderd-dev/orderd/api/gen/grpc/health/v1/healthv1connect"
	"github.com/orderd-dev/orderd/api/gen/orderd/flash/v1/flashv1connect"
	"github.com/orderd-dev/orderd/orderd/kit/auth"
	"github.com/orderd-dev/orderd/orderd/kit/config"
)

const (
	flashService = "orderd.flash.v1.FlashService"
	servingNow   = healthv1.HealthCheckResponse_SERVING
	notServing   = healthv1.HealthCheckResponse_NOT_SERVING
)

// opened is a pod's listeners, of a role that has the flash lane's RPCs.
type opened struct {
	health *health
	broken atomic.Bool
	pod    *pod
	// apps and admin are base URLs, and client calls them by HTTP/2 in clear text.
	apps, admin string
	client      *http.Client
}

func openPod(t *testing.T, c config.HTTP) *opened {
	t.Helper()
	c.Address, c.AdminAddress = "127.0.0.1:0", "127.0.0.1:0"
	registry := prometheus.NewRegistry()
	o := &opened{pod: &pod{
		config: config.Config{HTTP: c}, log: slog.New(slog.DiscardHandler), now: time.Now,
		registry: registry, registerer: registry, leaving: make(chan struct{}),
	}}
	o.health = &health{ready: func() error {
		if o.broken.Load() {
			return errors.New("broken")
		}
		return nil
	}}
	_, guard := newGuard(t, auth.Limits{PerSecond: 1000, Burst: 1000})
	listeners, err := o.pod.listeners(t.Context(), &role{guard: guard, services: func(server *connect.Server) {
		flashv1connect.RegisterFlashServiceHandler(server, lane{})
	}}, o.health)
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, len(listeners))
	for _, l := range listeners {
		go func() { ended <- l.serve() }()
		url := "http://" + l.socket.Addr().String()
		switch l.name {
		case "apps":
			o.apps = url
		case "admin":
			o.admin = url
		}
	}
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	transport := &http.Transport{Protocols: protocols}
	o.client = &http.Client{Transport: transport}
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		for _, l := range listeners {
			_ = l.server.Close()
		}
		for range listeners {
			if err := <-ended; err != nil {
				t.Error(err)
			}
		}
	})
	return o
}

// at calls a listener by gRPC.
func (o *opened) at(url string) *connect.Client {
	return connect.NewClient(connecthttp.NewTransport(o.client, url, connecthttp.WithGRPC()))
}

func (o *opened) healthAt(url string) healthv1connect.HealthClient {
	return healthv1connect.NewHealthClient(o.at(url))
}

func (o *opened) services(t *testing.T, url string) ([]protoreflect.FullName, error) {
	t.Helper()
	stream := grpcreflect.NewClient(o.at(url)).NewStream(t.Context())
	defer func() { _ = stream.Close() }()
	return stream.ListServices()
}

func TestHealthOfAPod(t *testing.T) {
	o := openPod(t, config.Default().HTTP)
	for name, test := range map[string]struct {
		url, service string
		want         healthv1.HealthCheckResponse_ServingStatus
	}{
		"the pod, where apps call":        {o.apps, "", servingNow},
		"the pod, where the kubelet asks": {o.admin, "", servingNow},
		"a service of its own":            {o.apps, flashService, servingNow},
		"health itself":                   {o.admin, healthv1connect.HealthName, servingNow},
	} {
		t.Run(name, func(t *testing.T) {
			answer, err := o.healthAt(test.url).Check(t.Context(), &healthv1.HealthCheckRequest{Service: test.service})
			if err != nil || answer.GetStatus() != test.want {
				t.Errorf("%v, %v, want %v", answer, err, test.want)
			}
		})
	}
	_, err := o.healthAt(o.apps).Check(t.Context(), &healthv1.HealthCheckRequest{Service: "orderd.cart.v1.CartService"})
	if connect.CodeOf(err) != connect.CodeNotFound {
		t.Errorf("a service that the pod has not: %v, want not_found", err)
	}
	list, err := o.healthAt(o.apps).List(t.Context(), &healthv1.HealthListRequest{})
	if err != nil || list.GetStatuses()[flashService].GetStatus() != servingNow || len(list.GetStatuses()) != 3 {
		t.Errorf("list: %v, %v, want the pod, health and the flash lane serving", list, err)
	}
}

func TestWatchingHealth(t *testing.T) {
	o := openPod(t, config.Default().HTTP)
	stream, err := o.healthAt(o.apps).Watch(t.Context(), &healthv1.HealthCheckRequest{})
	if err != nil {
		t.Fatal(err)
	}
	next := func() healthv1.HealthCheckResponse_ServingStatus {
		t.Helper()
		answer, err := stream.Receive()
		if err != nil {
			t.Fatal(err)
		}
		return answer.GetStatus()
	}
	var got []healthv1.HealthCheckResponse_ServingStatus
	got = append(got, next())
	o.broken.Store(true)
	got = append(got, next())
	o.broken.Store(false)
	got = append(got, next())
	o.health.draining.Store(true)
	got = append(got, next())
	want := []healthv1.HealthCheckResponse_ServingStatus{servingNow, notServing, servingNow, notServing}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	close(o.pod.leaving)
	if _, err := stream.Receive(); connect.CodeOf(err) != connect.CodeUnavailable {
		t.Errorf("when the pod leaves: %v, want unavailable", err)
	}
}

func TestWatchersAreBounded(t *testing.T) {
	o := openPod(t, config.Default().HTTP)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	watch := func() error {
		stream, err := o.healthAt(o.apps).Watch(ctx, &healthv1.HealthCheckRequest{Service: "nobody's"})
		if err != nil {
			return err
		}
		answer, err := stream.Receive()
		if err == nil && answer.GetStatus() != healthv1.HealthCheckResponse_SERVICE_UNKNOWN {
			t.Errorf("%v, want SERVICE_UNKNOWN", answer)
		}
		return err
	}
	for n := range maxOpenStreams {
		if err := watch(); err != nil {
			t.Fatalf("watcher %d: %v", n, err)
		}
	}
	if err := watch(); connect.CodeOf(err) != connect.CodeResourceExhausted {
		t.Errorf("one more: %v, want resource_exhausted", err)
	}
	if _, err := o.healthAt(o.apps).Check(ctx, &healthv1.HealthCheckRequest{}); err != nil {
		t.Errorf("who only asks: %v", err)
	}
}

func TestReflection(t *testing.T) {
	c := config.Default().HTTP
	if names, err := openPod(t, c).services(t, openPod(t, c).apps); connect.CodeOf(err) != connect.CodeUnimplemented {
		t.Errorf("without the setting: %v, %v, want unimplemented", names, err)
	}
	c.Reflection = true
	o := openPod(t, c)
	names, err := o.services(t, o.apps)
	if err != nil || !slices.Contains(names, flashService) || !slices.Contains(names, healthv1connect.HealthName) {
		t.Errorf("%v, %v, want the flash lane's and health's service", names, err)
	}
	if names, err := o.services(t, o.admin); connect.CodeOf(err) != connect.CodeUnimplemented {
		t.Errorf("where the kubelet asks: %v, %v, want unimplemented", names, err)
	}
}

func TestCallsFromOtherSites(t *testing.T) {
	c := config.Default().HTTP
	c.AllowedOrigins = []string{"https://shop.example", "http://localhost:*"}
	o := openPod(t, c)
	named, none := o.apps, openPod(t, config.Default().HTTP).apps
	for name, test := range map[string]struct{ url, origin, want string }{
		"one that is named":     {named, "https://shop.example", "https://shop.example"},
		"any port":              {named, "http://localhost:5173", "http://localhost:5173"},
		"another":               {named, "https://evil.example", ""},
		"a longer one":          {named, "https://shop.example.evil.example", ""},
		"in clear text":         {named, "http://shop.example", ""},
		"a file":                {named, "null", ""},
		"when nobody is named":  {none, "https://shop.example", ""},
		"when none is asked of": {none, "null", ""},
	} {
		t.Run(name, func(t *testing.T) {
			ask := func(method string, header http.Header) http.Header {
				t.Helper()
				req, err := http.NewRequestWithContext(t.Context(), method, test.url+looking, http.NoBody)
				if err != nil {
					t.Fatal(err)
				}
				req.Header = header
				req.Header.Set("Origin", test.origin)
				res, err := http.DefaultClient.Do(req)
				if err != nil {
					t.Fatal(err)
				}
				_ = res.Body.Close()
				return res.Header
			}
			before := ask(http.MethodOptions, http.Header{
				"Access-Control-Request-Method":  {http.MethodPost},
				"Access-Control-Request-Headers": {"authorization,connect-protocol-version,content-type,orderd-route"},
			})
			if got := before.Get("Access-Control-Allow-Origin"); got != test.want {
				t.Errorf("preflight: %q may call, want %q", got, test.want)
			}
			// A refusal is read by the page too.
			after := ask(http.MethodPost, http.Header{"Content-Type": {"application/json"}})
			if got := after.Get("Access-Control-Allow-Origin"); got != test.want {
				t.Errorf("call: %q may read the answer, want %q", got, test.want)
			}
			if after.Get("Access-Control-Allow-Credentials") != "" {
				t.Error("cookies are asked for")
			}
		})
	}
}

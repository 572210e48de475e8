package serve

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"connectrpc.com/connect/v2"
	"connectrpc.com/connect/v2/connecthttp"
	"github.com/google/go-cmp/cmp"

	flashv1 "github.com/orderd-dev/orderd/api/gen/orderd/flash/v1"
	"github.com/orderd-dev/orderd/api/gen/orderd/flash/v1/flashv1connect"
	"github.com/orderd-dev/orderd/orderd/kit/auth"
	"github.com/orderd-dev/orderd/orderd/kit/config"
	"github.com/orderd-dev/orderd/orderd/kit/rpcerr"
	"github.com/orderd-dev/orderd/orderd/sim/issuer"
	"github.com/orderd-dev/orderd/test/kit/testauth"
)

// idlers is how many callers of the tests send the head of a request and nothing else: more than
// closed a pod of two cores when it took a slot for each.
const idlers = 600

// patience is how long a test waits on a connection for what should come at once.
const patience = 30 * time.Second

// patient is a configuration without any time-out that a test could wait for.
func patient() config.HTTP {
	c := config.Default().HTTP
	c.BodyTimeout, c.RequestTimeout = config.Duration(time.Hour), config.Duration(time.Hour)
	return c
}

// outside is where callers meet a pod: its RPCs, and a plain handler at /plain that reads a body.
type outside struct {
	tokens *testauth.Issuer
	stack  stack
	url    string
}

func newOutside(t *testing.T, c config.HTTP) *outside {
	t.Helper()
	o := &outside{stack: testStack(t, slog.New(slog.DiscardHandler), c)}
	var guard *auth.Guard
	o.tokens, guard = newGuard(t, auth.Limits{})
	server := connect.NewServer(o.stack.forApps(guard, nil, nil)...)
	flashv1connect.RegisterFlashServiceHandler(server, both{})
	p := &pod{config: config.Config{HTTP: c}}
	p.config.HTTP.MaxInFlight = 1
	plain := p.plain(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { _, _ = io.ReadAll(r.Body) }))
	handler := o.stack.front(offer{server: server, plain: map[string]http.Handler{"POST /plain": plain}})
	l, err := listen(t.Context(), "apps", "127.0.0.1:0", handler, c)
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
	o.url = "http://" + l.socket.Addr().String()
	return o
}

// both answers single calls and streams.
type both struct{ counter }

func (both) PlaceFlashOrders(ctx context.Context, s flashv1connect.FlashServicePlaceFlashOrdersServerStream) error {
	return echo{}.PlaceFlashOrders(ctx, s)
}

// honest posts a body that comes with its head, on a connection of its own.
func (o *outside) honest(t *testing.T, path, body string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, o.url+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Authorization", "Bearer "+o.tokens.Token("ann", "buyer"))
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := io.ReadAll(response.Body)
	if err != nil || response.Body.Close() != nil || response.StatusCode != http.StatusOK {
		t.Errorf("%s: status %d, %s, %v", path, response.StatusCode, answer, err)
	}
}

// idle sends the head of a request on a connection of its own.
func (o *outside) idle(t *testing.T, path, authorization string) net.Conn {
	t.Helper()
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", strings.TrimPrefix(o.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	head := "POST " + path + " HTTP/1.1\r\nHost: pod\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n"
	if authorization != "" {
		head += "Authorization: Bearer " + authorization + "\r\n"
	}
	if _, err := io.WriteString(conn, head+"\r\n"); err != nil {
		t.Fatal(err)
	}
	return conn
}

// status is that of the answer on a connection, after which the server has closed it.
func status(conn io.Reader) string {
	answer, err := io.ReadAll(conn)
	if err != nil {
		return err.Error()
	}
	line, _, _ := bytes.Cut(answer, []byte("\r\n"))
	return string(line)
}

// Whoever sends heads and no bodies takes nothing from those who send both.
func TestIdleBodiesDoNotCloseAPod(t *testing.T) {
	token := func(o *outside) string { return o.tokens.Token("eve", "buyer") }
	nobody := func(*outside) string { return "" }
	for _, tt := range []struct {
		name, path, idle, honest, body string
		token                          func(*outside) string
	}{
		{"with a token", placing, " 503 ", placing, orderOf(""), token},
		{"with what looks like a token", placing, " 503 ", placing, orderOf(""), func(*outside) string { return "a.b.c" }},
		{"where no token is needed", getPromotion, " 503 ", placing, orderOf(""), nobody},
		{"without one where one is needed", placing, " 401 ", placing, orderOf(""), nobody},
		{"to what is no RPC", "/plain", " 503 ", "/plain", "notification", nobody},
		{"to what is not there", "/nowhere", " 404 ", placing, orderOf(""), nobody},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o := newOutside(t, patient())
			answered := make(chan string, idlers)
			for range idlers {
				conn := o.idle(t, tt.path, tt.token(o))
				go func() { answered <- status(conn) }()
			}
			// Once so many had to go, all of them have come.
			for range idlers - lowestInFlight {
				if got := <-answered; !strings.Contains(got, tt.idle) {
					t.Fatalf("an idle caller was answered %s, want %s", got, tt.idle)
				}
			}
			o.honest(t, tt.honest, tt.body)
		})
	}
}

func TestIdleStreamsOfHTTP2DoNotCloseAPod(t *testing.T) {
	o := newOutside(t, patient())
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	transport := &http.Transport{Protocols: protocols}
	t.Cleanup(transport.CloseIdleConnections)
	ctx, stop := context.WithCancel(t.Context())
	var group sync.WaitGroup
	answered := make(chan int, idlers)
	for range idlers {
		never, end := io.Pipe()
		request, err := http.NewRequestWithContext(ctx, http.MethodPost, o.url+placing, never)
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Content-Type", "application/json")
		request.Header.Set("Authorization", "Bearer "+o.tokens.Token("eve", "buyer"))
		group.Go(func() {
			defer func() { _ = end.Close() }()
			response, err := transport.RoundTrip(request)
			if err != nil {
				return
			}
			_ = response.Body.Close()
			answered <- response.StatusCode
		})
	}
	for range idlers - lowestInFlight {
		if got := <-answered; got != http.StatusServiceUnavailable {
			t.Fatalf("an idle caller was answered %d", got)
		}
	}
	o.honest(t, placing, orderOf(""))
	stop()
	group.Wait()
}

// Callers who are refused whatever they send are told so before they send it, and let go.
func TestWhoIsRefusedBeforeTheBody(t *testing.T) {
	for _, tt := range []struct {
		name, path, authorization, want string
	}{
		{"without a token", placing, "", "HTTP/1.1 401 Unauthorized"},
		{"what is not there", "/nowhere", "", "HTTP/1.1 404 Not Found"},
		{"an RPC that is not there", placing + "Twice", "", "HTTP/1.1 501 Not Implemented"},
		{"a stream over HTTP/1.1", placingMany, "", "HTTP/1.1 505 HTTP Version Not Supported"},
		{"a stream over HTTP/1.1 with a token", placingMany, "a.b.c", "HTTP/1.1 505 HTTP Version Not Supported"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o := newOutside(t, patient())
			if got := status(o.idle(t, tt.path, tt.authorization)); got != tt.want {
				t.Errorf("answered %s, want %s", got, tt.want)
			}
		})
	}
}

const placingMany = "/orderd.flash.v1.FlashService/PlaceFlashOrders"

func TestABodyHasATimeOutOfItsOwn(t *testing.T) {
	c := patient()
	c.BodyTimeout = config.Duration(20 * time.Millisecond)
	o := newOutside(t, c)
	if got := status(o.idle(t, placing, o.tokens.Token("eve", "buyer"))); got != "HTTP/1.1 504 Gateway Timeout" {
		t.Errorf("answered %s", got)
	}
}

// deadlines notes what is asked for on a stream.
type deadlines struct {
	*httptest.ResponseRecorder
	read, write []time.Time
}

func (d *deadlines) SetReadDeadline(at time.Time) error {
	d.read = append(d.read, at)
	return nil
}

func (d *deadlines) SetWriteDeadline(at time.Time) error {
	d.write = append(d.write, at)
	return nil
}

func TestTimeOutsAreLiftedForKnownCallersOnly(t *testing.T) {
	tokens, guard := newGuard(t, auth.Limits{})
	around := testStack(t, slog.New(slog.DiscardHandler), patient())
	server := connect.NewServer(around.forApps(guard, nil, nil)...)
	flashv1connect.RegisterFlashServiceHandler(server, both{})
	handler := around.front(offer{server: server})
	type lifted struct{ Read, Write []time.Time }
	all := lifted{Read: []time.Time{{}}, Write: []time.Time{{}}}
	for _, tt := range []struct {
		name, token string
		want        lifted
	}{
		{"nobody", "", lifted{}},
		{"a token of nobody's", "a.b.c", lifted{}},
		{"a buyer, who may not", tokens.Token("eve", "buyer"), lifted{}},
		{"a backend", tokens.Token("backend", "checkout"), all},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := &deadlines{ResponseRecorder: httptest.NewRecorder()}
			request := httptest.NewRequestWithContext(t.Context(), http.MethodPost, placingMany, strings.NewReader(""))
			request.Proto, request.ProtoMajor, request.ProtoMinor = "HTTP/2.0", 2, 0
			request.Header.Set("Content-Type", "application/grpc")
			if tt.token != "" {
				request.Header.Set("Authorization", "Bearer "+tt.token)
			}
			handler.ServeHTTP(w, request)
			if diff := cmp.Diff(tt.want, lifted{w.read, w.write}); diff != "" {
				t.Errorf("deadlines (-want +got):\n%s", diff)
			}
		})
	}
}

// Who watches a pod's health only reads: the time to send the question stays.
func TestTimeOutsOfWatchers(t *testing.T) {
	for _, tt := range []struct {
		kind connect.StreamType
		want string
	}{
		{connect.StreamTypeServer, "0 read, 1 write"}, {connect.StreamTypeBidi, "0 read, 0 write"},
	} {
		w := &deadlines{ResponseRecorder: httptest.NewRecorder()}
		handler := controlled(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			nothing := func(context.Context, connect.Spec, connect.ServerStream) error { return nil }
			if err := unhurried(ofWatchers)(nothing)(r.Context(), connect.Spec{StreamType: tt.kind}, nil); err != nil {
				t.Error(err)
			}
		}))
		handler.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/", nil))
		if got := fmt.Sprintf("%d read, %d write", len(w.read), len(w.write)); got != tt.want {
			t.Errorf("stream type %v: %s deadlines lifted, want %s", tt.kind, got, tt.want)
		}
	}
}

func TestOneCallersRequestsInFlight(t *testing.T) {
	const most = 3
	tokens, guard := newGuard(t, auth.Limits{InFlight: most})
	around := testStack(t, slog.New(slog.DiscardHandler), config.Default().HTTP)
	server := connect.NewServer(around.forApps(guard, nil, nil)...)
	slow := &slowLane{began: make(chan struct{}), let: make(chan struct{})}
	flashv1connect.RegisterFlashServiceHandler(server, slow)
	s := httptest.NewServer(around.front(offer{server: server}))
	defer s.Close()
	place := func(subject, role string) error {
		c := flashv1connect.NewFlashServiceClient(connect.NewClient(
			connecthttp.NewTransport(s.Client(), s.URL), issuer.Bearer(tokens.Token(subject, role))))
		_, err := c.PlaceFlashOrder(context.WithoutCancel(t.Context()), &flashv1.PlaceFlashOrderRequest{
			Promotion: "sale", BuyerId: "ann", RequestId: "r", Items: []*flashv1.FlashOrderItem{{Sku: "A", Quantity: 1}},
		})
		return err
	}
	answers := make(chan error, 2*most)
	begin := func(subject, role string) {
		go func() { answers <- place(subject, role) }()
		<-slow.began
	}
	for range most {
		begin("ann", "buyer")
	}
	for range 2 {
		err := place("ann", "buyer")
		if connect.CodeOf(err) != connect.CodeResourceExhausted || rpcerr.Reason(err) != "RATE_LIMITED" {
			t.Errorf("one more: %v, want RESOURCE_EXHAUSTED/RATE_LIMITED", err)
		}
		if after, ok := rpcerr.RetryAfter(err); !ok || after <= 0 {
			t.Errorf("retry after %s, %t", after, ok)
		}
	}
	// A service acts for many.
	for range most {
		begin("backend", "checkout")
	}
	var failed error
	slow.let <- struct{}{}
	failed = errors.Join(failed, <-answers)
	begin("ann", "buyer")
	close(slow.let)
	for range cap(answers) {
		failed = errors.Join(failed, <-answers)
	}
	if failed != nil {
		t.Error(failed)
	}
}

// slowLane answers when it is let.
type slowLane struct {
	flashv1connect.UnimplementedFlashServiceHandler
	began, let chan struct{}
}

func (l *slowLane) PlaceFlashOrder(
	context.Context, *flashv1.PlaceFlashOrderRequest,
) (*flashv1.PlaceFlashOrderResponse, error) {
	l.began <- struct{}{}
	<-l.let
	return &flashv1.PlaceFlashOrderResponse{}, nil
}

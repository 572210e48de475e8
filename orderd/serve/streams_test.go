package serve

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"testing"
	"time"

	"connectrpc.com/connect/v2"
	"connectrpc.com/connect/v2/connecthttp"

	flashv1 "github.com/orderd-dev/orderd/api/gen/orderd/flash/v1"
	"github.com/orderd-dev/orderd/api/gen/orderd/flash/v1/flashv1connect"
	"github.com/orderd-dev/orderd/orderd/kit/auth"
	"github.com/orderd-dev/orderd/orderd/kit/config"
	"github.com/orderd-dev/orderd/orderd/kit/rpcerr"
	"github.com/orderd-dev/orderd/orderd/sim/issuer"
)

// echo answers each message of a stream with a message without answers, and ends as its caller does.
type echo struct {
	flashv1connect.UnimplementedFlashServiceHandler
}

func (echo) PlaceFlashOrders(_ context.Context, stream flashv1connect.FlashServicePlaceFlashOrdersServerStream) error {
	for {
		_, err := stream.Receive()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			// What was received before is still answered.
			return errors.Join(err, stream.Send(&flashv1.PlaceFlashOrdersResponse{}))
		}
		if err := stream.Send(&flashv1.PlaceFlashOrdersResponse{}); err != nil {
			return err
		}
	}
}

// timeOuts of the server, instead of seconds.
const timeOuts = 2 * time.Second

// streaming listens as a pod does, and opens a stream with a token that expires when it is said to.
type streaming struct {
	stack
	leave  chan struct{}
	client flashv1connect.FlashServiceClient
	stream flashv1connect.FlashServicePlaceFlashOrdersClientStream
	// local is the address of the connection that was made last.
	local string
}

func newStreaming(t *testing.T, c config.HTTP, tokenFor time.Duration) *streaming {
	t.Helper()
	tokens, guard := newGuard(t, auth.Limits{})
	around := testStack(t, slog.New(slog.DiscardHandler), c)
	s := &streaming{stack: around, leave: make(chan struct{})}
	s.leaving = s.leave
	server := connect.NewServer(s.forApps(guard, nil, nil)...)
	flashv1connect.RegisterFlashServiceHandler(server, echo{})
	l, err := listen(t.Context(), "apps", "127.0.0.1:0", s.front(offer{server: server}), c)
	if err != nil {
		t.Fatal(err)
	}
	l.server.ReadTimeout, l.server.WriteTimeout = timeOuts, timeOuts
	l.limitAge(c, time.Now, func() float64 { return 0.5 })
	served := make(chan error, 1)
	go func() { served <- l.serve() }()
	t.Cleanup(func() {
		_ = l.server.Close()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	claims := tokens.Claims("a backend", "checkout")
	// The verifier takes tokens for half a minute more.
	claims["exp"] = time.Now().Add(tokenFor - 30*time.Second).Unix()
	token := tokens.Sign(claims)
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	transport := &http.Transport{Protocols: protocols, DialContext: s.dial}
	t.Cleanup(transport.CloseIdleConnections)
	s.client = flashv1connect.NewFlashServiceClient(connect.NewClient(
		connecthttp.NewTransport(&http.Client{Transport: transport}, "http://"+l.socket.Addr().String()),
		issuer.Bearer(token),
	))
	s.open(t)
	return s
}

// dial is a http.Transport's.
func (s *streaming) dial(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, network, address)
	if err == nil {
		s.local = conn.LocalAddr().String()
	}
	return conn, err
}

func (s *streaming) open(t *testing.T) {
	t.Helper()
	var err error
	if s.stream, err = s.client.PlaceFlashOrders(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func (s *streaming) ask(t *testing.T, requests int) {
	t.Helper()
	message := &flashv1.PlaceFlashOrdersRequest{}
	for range requests {
		// Not valid by the proto's rules: which of a message's requests is refused for that is
		// the handler's to say.
		message.Requests = append(message.Requests,
			&flashv1.PlaceFlashOrderRequest{BuyerId: "a buyer of sixty-four characters, or nearly as many as there are"})
	}
	if err := s.stream.Send(message); err != nil {
		t.Fatalf("sending: %v", err)
	}
	if _, err := s.stream.Receive(); err != nil {
		t.Fatalf("receiving: %v", err)
	}
}

// ends waits for the end of the stream, and wants one answer before it.
func (s *streaming) ends(t *testing.T, code connect.Code, reason string) {
	t.Helper()
	if _, err := s.stream.Receive(); err != nil {
		t.Fatalf("the last answer: %v", err)
	}
	_, err := s.stream.Receive()
	if connect.CodeOf(err) != code || rpcerr.Reason(err) != reason {
		t.Errorf("the stream ended with %v (%s), want %s/%s", err, rpcerr.Reason(err), code, reason)
	}
}

func TestAStreamOutlivesTheTimeOutOfARequest(t *testing.T) {
	c := config.Default().HTTP
	c.RequestTimeout = config.Duration(10 * time.Millisecond)
	s := newStreaming(t, c, time.Hour)
	s.ask(t, 1)
	wait(t, timeOuts+timeOuts/4)
	// More than a request may have, in bytes.
	s.ask(t, 1024)
	if err := s.stream.CloseSend(); err != nil {
		t.Fatal(err)
	}
	if _, err := s.stream.Receive(); !errors.Is(err, io.EOF) {
		t.Errorf("the stream ended with %v, want no error", err)
	}
}

func wait(t *testing.T, d time.Duration) {
	t.Helper()
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-t.Context().Done():
		t.Fatal(t.Context().Err())
	}
}

func TestAStreamEndsWithItsCallersToken(t *testing.T) {
	// The token's expiry is in whole seconds.
	s := newStreaming(t, config.Default().HTTP, 4*time.Second)
	s.ask(t, 1)
	s.ends(t, connect.CodeUnauthenticated, "TOKEN_EXPIRED")
}

func TestAStreamEndsWithThePod(t *testing.T) {
	s := newStreaming(t, config.Default().HTTP, time.Hour)
	s.ask(t, 1)
	close(s.leave)
	s.ends(t, connect.CodeUnavailable, "OVERLOADED")
}

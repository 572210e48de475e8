package serve

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"syscall"
	"testing"
	"time"

	"connectrpc.com/connect/v2"
	"google.golang.org/protobuf/proto"

	flashv1 "github.com/orderd-dev/orderd/api/gen/orderd/flash/v1"
	"github.com/orderd-dev/orderd/api/gen/orderd/flash/v1/flashv1connect"
	"github.com/orderd-dev/orderd/orderd/flash/promotion"
	"github.com/orderd-dev/orderd/orderd/flash/refusal"
	"github.com/orderd-dev/orderd/orderd/kit/auth"
	"github.com/orderd-dev/orderd/orderd/kit/config"
	"github.com/orderd-dev/orderd/orderd/kit/overload"
)

// BenchmarkUnary is a flash order's call whose handler does nothing, over HTTP/1.1: without what a
// pod puts around it, with it, answered that the item is sold out, and refused by the gate. The
// processor time of both sides is cpu-us/op; the client's is the same in all.
func BenchmarkUnary(b *testing.B) {
	issuer, guard := newGuard(b, auth.Limits{})
	around := testStack(b, slog.New(slog.DiscardHandler), config.Default().HTTP)
	request := wireRequest(b, issuer.Token("buyer-1", "buyer"))
	bare := connect.NewServer()
	flashv1connect.RegisterFlashServiceHandler(bare, counter{})
	mux := http.NewServeMux()
	mount(mux, bare, around.http)
	b.Run("bare", func(b *testing.B) { benchUnary(b, mux, request, "200") })

	server := connect.NewServer(around.forApps(guard, nil, nil)...)
	flashv1connect.RegisterFlashServiceHandler(server, counter{})
	handler := around.front(offer{server: server})
	b.Run("stack", func(b *testing.B) { benchUnary(b, handler, request, "200") })

	soldOut := connect.NewServer(around.forApps(guard, nil, nil)...)
	promo := promotion.New(&flashv1.Promotion{
		Uid:        "uid",
		Name:       "singles-day",
		Partitions: 1,
		Streams:    []string{"S"},
		Items:      []*flashv1.PromotedItem{{Sku: "phone-x"}},
	})
	flashv1connect.RegisterFlashServiceHandler(soldOut, empty{refusal: promo.SoldOut(0)})
	sold := around.front(offer{server: soldOut})
	b.Run("sold out", func(b *testing.B) { benchUnary(b, sold, request, "429") })

	// Its time stands still, so that it does not hold refusals back.
	now := time.Now()
	gate, err := overload.NewGate(
		overload.Options{Max: 1, Lowest: 1, Clock: func() time.Time { return now }, Random: rand.Int64N},
	)
	if err != nil {
		b.Fatal(err)
	}
	entered, leave := make(chan struct{}), make(chan struct{})
	blocked := gate.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		close(entered)
		<-leave
	}))
	go blocked.ServeHTTP(nil, &http.Request{})
	<-entered
	defer close(leave)
	full := around
	full.gate = gate
	refusing := full.front(offer{server: server})
	b.Run("refused", func(b *testing.B) { benchUnary(b, refusing, request, "503") })
}

// empty has sold all it had.
type empty struct {
	flashv1connect.UnimplementedFlashServiceHandler
	refusal *refusal.Error
}

func (e empty) PlaceFlashOrder(
	context.Context, *flashv1.PlaceFlashOrderRequest,
) (*flashv1.PlaceFlashOrderResponse, error) {
	return nil, e.refusal
}

func wireRequest(b *testing.B, token string) []byte {
	b.Helper()
	body, err := proto.Marshal(&flashv1.PlaceFlashOrderRequest{
		Promotion: "singles-day",
		BuyerId:   "buyer-1",
		RequestId: "01901b3e-7c1a-7aaa-8bbb-123456789012",
		Items:     []*flashv1.FlashOrderItem{{Sku: "phone-x", Quantity: 1}},
	})
	if err != nil {
		b.Fatal(err)
	}
	head := "POST " + placing + " HTTP/1.1\r\nHost: pod\r\nContent-Type: application/proto\r\n" +
		"Connect-Protocol-Version: 1\r\nAuthorization: Bearer " + token + "\r\n" +
		"Content-Length: " + strconv.Itoa(len(body)) + "\r\n\r\n"
	return append([]byte(head), body...)
}

func benchUnary(b *testing.B, handler http.Handler, request []byte, status string) {
	b.Helper()
	l, err := listen(b.Context(), "apps", "127.0.0.1:0", handler, config.Default().HTTP)
	if err != nil {
		b.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- l.serve() }()
	defer func() {
		_ = l.server.Close()
		if err := <-served; err != nil {
			b.Error(err)
		}
	}()
	b.SetParallelism(16)
	b.ReportAllocs()
	begin := processorTime(b)
	b.RunParallel(func(pb *testing.PB) {
		conn, err := (&net.Dialer{}).DialContext(b.Context(), "tcp", l.socket.Addr().String())
		if err != nil {
			b.Error(err)
			return
		}
		defer func() { _ = conn.Close() }()
		reader := bufio.NewReader(conn)
		for pb.Next() {
			if err := callWire(conn, reader, request, status); err != nil {
				b.Error(err)
				return
			}
		}
	})
	b.ReportMetric(float64((processorTime(b)-begin).Microseconds())/float64(b.N), "cpu-us/op")
}

func callWire(conn io.Writer, reader *bufio.Reader, request []byte, status string) error {
	if _, err := conn.Write(request); err != nil {
		return err
	}
	response, err := http.ReadResponse(reader, nil)
	if err != nil {
		return err
	}
	if _, err := io.Copy(io.Discard, response.Body); err != nil {
		return err
	}
	if response.Status[:3] != status {
		return fmt.Errorf("unexpected answer %s", response.Status)
	}
	return response.Body.Close()
}

func processorTime(b *testing.B) time.Duration {
	b.Helper()
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		b.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

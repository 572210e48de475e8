package pod

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"math"
	mathrand "math/rand/v2"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"connectrpc.com/connect/v2"
	"connectrpc.com/connect/v2/connecthttp"
	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/protobuf/proto"

	flashv1 "github.com/orderd-dev/orderd/api/gen/orderd/flash/v1"
	"github.com/orderd-dev/orderd/api/gen/orderd/flash/v1/flashv1connect"
	"github.com/orderd-dev/orderd/orderd/flash/client"
	"github.com/orderd-dev/orderd/orderd/flash/members"
	"github.com/orderd-dev/orderd/orderd/flash/owner"
	"github.com/orderd-dev/orderd/orderd/flash/plog"
	"github.com/orderd-dev/orderd/orderd/flash/promotion"
	"github.com/orderd-dev/orderd/orderd/flash/route"
	"github.com/orderd-dev/orderd/orderd/flash/streamclient"
	"github.com/orderd-dev/orderd/orderd/kit/orderid"
)

// instantLog takes every record at once, so that what is measured is what it costs to come to the
// log.
type instantLog struct {
	mu   sync.Mutex
	last uint64
}

func (l *instantLog) Append(context.Context, plog.Entry) (uint64, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.last++
	return l.last, nil
}

func (l *instantLog) AppendBatch(context.Context, []plog.Entry) (uint64, error) {
	return 0, plog.ErrRefused
}

func (l *instantLog) Last(context.Context, int32) (uint64, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.last, nil
}

func (l *instantLog) Read(
	_ context.Context, _ int32, after, upTo uint64, each func(uint64, *flashv1.Record) error,
) error {
	if after > 0 || upTo < 1 {
		return nil
	}
	opened := &flashv1.Opened{Items: []*flashv1.ItemQuantity{{Sku: "a", Quantity: 1 << 40}}}
	return each(1, &flashv1.Record{Kind: &flashv1.Record_Opened{Opened: opened}})
}

// benchPod is a pod that knows one promotion of one partition, whose owner it is or
// the pod at an address.
func benchPod(b *testing.B, name string, of members.Member) (*Pod, route.Target) {
	ids, err := orderid.NewGenerator(make([]byte, orderid.MinKeyBytes), time.Now, rand.Reader)
	if err != nil {
		b.Fatal(err)
	}
	p, err := New(Options{
		Name: name, Clock: time.Now, ClusterClock: time.Now, Random: mathrand.New(mathrand.NewPCG(1, 2)),
		OrderIDs: ids, Logger: slog.New(slog.DiscardHandler), Registerer: prometheus.NewRegistry(),
	})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(p.router.Close)
	p.views.update(func(v *view) {
		v.setMembers([]members.Member{of})
		v.setPromotions(map[string]*promotion.Promotion{"uid": promotion.New(&flashv1.Promotion{
			Uid: "uid", Name: "sale", Partitions: 1, Open: true, EndUnixMs: 1 << 50,
			Items: []*flashv1.PromotedItem{{Sku: "a", UnitPrice: 1, LimitPerBuyer: 2}},
		})})
	})
	complete := p.owners.complete
	p.owners.complete = func(key ownerKey, o owner.Options) owner.Options {
		o = complete(key, o)
		o.Log, o.Lease = &instantLog{last: 1}, func() bool { return true }
		return o
	}
	target := route.Target{Placed: p.views.load().byUID["uid"]}
	if of.Name == name {
		benchOwner(b, p)
	}
	return p, target
}

// benchOwner runs the owner of the pod's partition.
func benchOwner(b *testing.B, p *Pod) {
	ctx, cancel := context.WithCancel(context.Background())
	p.owners.open(ctx)
	p.owners.reconcile(p.views.load())
	b.Cleanup(func() {
		cancel()
		p.owners.wait()
	})
	o := p.owners.get(ownerKey{"uid", 0})
	for !o.Serving() {
		select {
		case <-o.Done():
			b.Fatal("the owner ended")
		case <-time.After(time.Millisecond):
		}
	}
}

// benchServe has the pod's services listen on loopback.
func benchServe(b *testing.B, p *Pod) string {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	server := connect.NewServer()
	flashv1connect.RegisterFlashServiceHandler(server, p.FlashService())
	flashv1connect.RegisterPeerServiceHandler(server, p.PeerService())
	mux := http.NewServeMux()
	connecthttp.Mount(mux, server, connecthttp.WithCompressMinBytes(math.MaxInt))
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	s := &http.Server{Handler: mux, Protocols: protocols}
	go func() { _ = s.Serve(listener) }()
	b.Cleanup(func() { _ = s.Close() })
	return listener.Addr().String()
}

func benchRequests(first, count int) []*flashv1.PlaceFlashOrderRequest {
	requests := make([]*flashv1.PlaceFlashOrderRequest, count)
	for i := range requests {
		requests[i] = &flashv1.PlaceFlashOrderRequest{
			Promotion: "sale", BuyerId: fmt.Sprint("buyer-", first+i), RequestId: "request-1",
			Items: []*flashv1.FlashOrderItem{{Sku: "a", Quantity: 1}},
		}
	}
	return requests
}

func cpu() time.Duration {
	var usage syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &usage)
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// inBatches sends b.N requests, made beforehand, in batches of 1,024 with at most eight unanswered,
// and reports what each cost of the process' CPU.
func inBatches(b *testing.B, send func(requests []*flashv1.PlaceFlashOrderRequest, answer route.Answer)) {
	const batch, inFlight = 1024, 8
	var batches [][]*flashv1.PlaceFlashOrderRequest
	for first := 0; first < b.N; first += batch {
		batches = append(batches, benchRequests(first, min(batch, b.N-first)))
	}
	slots := make(chan struct{}, inFlight)
	var failed error
	var mu sync.Mutex
	b.ResetTimer()
	before := cpu()
	for _, requests := range batches {
		slots <- struct{}{}
		left := len(requests)
		send(requests, func(_ int, _ *flashv1.PlaceFlashOrderResponse, err error) {
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				failed = err
			}
			if left--; left == 0 {
				<-slots
			}
		})
	}
	for range inFlight {
		slots <- struct{}{}
	}
	b.StopTimer()
	b.ReportMetric(float64(cpu()-before)/float64(b.N)/1000, "cpu-us/order")
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "orders/s")
	if failed != nil {
		b.Fatal(failed)
	}
}

func BenchmarkEngine(b *testing.B) {
	p, _ := benchPod(b, "self", members.Member{Name: "self"})
	o := p.owners.get(ownerKey{"uid", 0})
	b.ReportAllocs()
	inBatches(b, func(requests []*flashv1.PlaceFlashOrderRequest, answer route.Answer) {
		o.ReserveMany(b.Context(), requests, answer)
	})
}

// BenchmarkStreamHandler is what a pod does beside HTTP: decode, check, route,
// reserve, answer, encode.
func BenchmarkStreamHandler(b *testing.B) {
	p, _ := benchPod(b, "self", members.Member{Name: "self"})
	b.ReportAllocs()
	var messages [][]byte
	for first := 0; first < b.N; first += 1024 {
		raw, err := proto.Marshal(&flashv1.PlaceFlashOrdersRequest{Requests: benchRequests(first, min(1024, b.N-first))})
		if err != nil {
			b.Fatal(err)
		}
		messages = append(messages, raw)
	}
	sent := 0
	var buffer []byte
	a := newAnswers(func(list []*flashv1.FlashOrderAnswer) error {
		var err error
		buffer, err = proto.MarshalOptions{}.MarshalAppend(buffer[:0], &flashv1.PlaceFlashOrdersResponse{Answers: list})
		sent += len(list)
		return err
	})
	r := &ordersReader{check: p.flash.check, views: p.views, router: p.router, ctx: b.Context(), first: true}
	r.receive = func() (*flashv1.PlaceFlashOrdersRequest, error) {
		message := &flashv1.PlaceFlashOrdersRequest{}
		err := proto.Unmarshal(messages[0], message)
		messages = messages[1:]
		return message, err
	}
	b.ResetTimer()
	before := cpu()
	var sending sync.WaitGroup
	sending.Go(func() { a.run(b.Context()) })
	for len(messages) > 0 {
		if err := r.read(a); err != nil {
			b.Fatal(err)
		}
	}
	a.close()
	sending.Wait()
	b.StopTimer()
	b.ReportMetric(float64(cpu()-before)/float64(b.N)/1000, "cpu-us/order")
	if sent != b.N {
		b.Fatalf("%d of %d were answered", sent, b.N)
	}
}

// BenchmarkStream is a backend and a pod in one process, over loopback.
func BenchmarkStream(b *testing.B) {
	p, _ := benchPod(b, "self", members.Member{Name: "self"})
	transport := connecthttp.NewTransport(client.NewHTTP(), "http://"+benchServe(b, p))
	backend := flashv1connect.NewFlashServiceClient(connect.NewClient(transport))
	stream := streamclient.NewStream(streamclient.StreamOptions{
		Open: backend.PlaceFlashOrders, Clock: time.Now, Jitter: func(d time.Duration) time.Duration { return d },
	})
	b.Cleanup(stream.Close)
	b.ReportAllocs()
	inBatches(b, func(requests []*flashv1.PlaceFlashOrderRequest, answer route.Answer) {
		if err := stream.Send(b.Context(), requests, answer); err != nil {
			b.Error(err)
		}
	})
}

// benchForwarding is a pod that does not own the partition, and has to ask another one over loopback.
func benchForwarding(b *testing.B) (*Pod, route.Target) {
	other, _ := benchPod(b, "other", members.Member{Name: "other"})
	return benchPod(b, "self", members.Member{Name: "other", Address: benchServe(b, other)})
}

// BenchmarkForward is two pods in one process: the first forwards everything to the other.
func BenchmarkForward(b *testing.B) {
	p, target := benchForwarding(b)
	b.ReportAllocs()
	inBatches(b, func(requests []*flashv1.PlaceFlashOrderRequest, answer route.Answer) {
		p.router.Place(b.Context(), target, requests, answer)
	})
}

// BenchmarkForwardSingly is for callers who wait for one order each, 256 at once.
func BenchmarkForwardSingly(b *testing.B) {
	p, target := benchForwarding(b)
	benchSingly(b, func(ctx context.Context, request *flashv1.PlaceFlashOrderRequest) error {
		_, err := p.router.PlaceOne(ctx, target, request)
		return err
	})
}

// BenchmarkPlaceSingly is for callers who wait for one order each, 256 at once, at the pod that
// owns their partition. Each has a context that a caller's end cancels, as HTTP's requests have.
func BenchmarkPlaceSingly(b *testing.B) {
	p, _ := benchPod(b, "self", members.Member{Name: "self"})
	service := p.FlashService()
	benchSingly(b, func(ctx context.Context, request *flashv1.PlaceFlashOrderRequest) error {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		_, err := service.PlaceFlashOrder(ctx, request)
		return err
	})
}

func benchSingly(b *testing.B, place func(context.Context, *flashv1.PlaceFlashOrderRequest) error) {
	requests := benchRequests(0, b.N)
	b.SetParallelism(128)
	b.ReportAllocs()
	var next atomic.Int64
	b.ResetTimer()
	before := cpu()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if err := place(b.Context(), requests[next.Add(1)-1]); err != nil {
				b.Error(err)
			}
		}
	})
	b.StopTimer()
	b.ReportMetric(float64(cpu()-before)/float64(b.N)/1000, "cpu-us/order")
}

package owner_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"

	flashv1 "github.com/orderd-dev/orderd/api/gen/orderd/flash/v1"
	"github.com/orderd-dev/orderd/orderd/flash/owner"
	"github.com/orderd-dev/orderd/orderd/flash/plog"
	"github.com/orderd-dev/orderd/orderd/flash/provision"
	"github.com/orderd-dev/orderd/orderd/flash/sale"
	"github.com/orderd-dev/orderd/orderd/orderid"
	"github.com/orderd-dev/orderd/test/testnats"
)

type nobody struct{}

func (nobody) Transfer(context.Context, *flashv1.TransferRequest) (*flashv1.TransferResponse, error) {
	return nil, sale.NotOwner()
}

// benchOwner serves the only partition of a promotion, with fsync on every append and the NATS server in the same process.
func benchOwner(b *testing.B) *owner.Owner {
	js := testnats.Run(b).JetStream(b)
	p := benchPromotion(b, js, 1)
	current := sale.New(p)
	o := owner.New(benchOptions(b, plog.New(js, p), current, 0))
	running, stop := context.WithCancel(context.Background())
	go o.Run(running)
	b.Cleanup(func() {
		stop()
		<-o.Done()
	})
	return o
}

func benchPromotion(b *testing.B, js jetstream.JetStream, partitions int32) *flashv1.Promotion {
	p := &flashv1.Promotion{
		Uid: "bench", Name: "bench", Streams: plog.StreamNames("bench", 1), Partitions: partitions, Open: true, EndUnixMs: 1 << 60,
		Items: []*flashv1.PromotedItem{{Sku: "a", UnitPrice: 1, LimitPerBuyer: 1}},
	}
	if err := provision.EnsureStreams(b.Context(), js, p, 1); err != nil {
		b.Fatal(err)
	}
	if err := provision.OpenPartitions(b.Context(), js, p, "bench", []provision.Item{{SKU: "a", Quantity: 1 << 40}}); err != nil {
		b.Fatal(err)
	}
	return p
}

func benchOptions(b *testing.B, log plog.Log, current *sale.Sale, n int32) owner.Options {
	ids, err := orderid.NewGenerator(make([]byte, orderid.MinKeyBytes), time.Now, rand.Reader)
	if err != nil {
		b.Fatal(err)
	}
	yes := func() bool { return true }
	return owner.Options{
		Name: "bench", Partition: n, Log: log, Sale: func() *sale.Sale { return current }, Owned: yes, Lease: yes,
		Peers: nobody{}, OrderIDs: ids, Clock: time.Now, Jitter: func(d time.Duration) time.Duration { return d },
		Logger: slog.New(slog.DiscardHandler), Metrics: owner.NewMetrics(prometheus.NewRegistry()),
	}
}

func benchRequest(buyer int64) *flashv1.PlaceFlashOrderRequest {
	return &flashv1.PlaceFlashOrderRequest{
		BuyerId: fmt.Sprint("buyer-", buyer), RequestId: "r", Items: []*flashv1.FlashOrderItem{{Sku: "a", Quantity: 1}},
	}
}

// reportCPU says what an order costs the process in CPU time, the NATS server's part and the making of requests included.
func reportCPU(b *testing.B) func() {
	began := cpuTime(b)
	return func() {
		b.ReportMetric(float64((cpuTime(b)-began).Nanoseconds())/float64(b.N), "cpu-ns/order")
		b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "orders/s")
	}
}

func cpuTime(b *testing.B) time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		b.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// BenchmarkReserve is orders of callers by themselves, 256 at once.
func BenchmarkReserve(b *testing.B) {
	o := benchOwner(b)
	ctx := b.Context()
	var buyers atomic.Int64
	b.SetParallelism(128)
	b.ReportAllocs()
	report := reportCPU(b)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := o.Reserve(ctx, benchRequest(buyers.Add(1))); err != nil {
				b.Error(err)
				return
			}
		}
	})
	report()
}

// BenchmarkReserveMany is orders of a stream: batches of a size, at most 8,192 requests under way.
func BenchmarkReserveMany(b *testing.B) {
	for _, size := range []int{1, 16, 64, 256, 1024} {
		b.Run(fmt.Sprint("batch=", size), func(b *testing.B) {
			o := benchOwner(b)
			underWay := make(chan struct{}, 8192/size)
			requests := make([]*flashv1.PlaceFlashOrderRequest, b.N)
			for i := range requests {
				requests[i] = benchRequest(int64(i))
			}
			b.ReportAllocs()
			b.ResetTimer()
			report := reportCPU(b)
			for len(requests) > 0 {
				batch := requests[:min(size, len(requests))]
				requests = requests[len(batch):]
				underWay <- struct{}{}
				var answered atomic.Int64
				o.ReserveMany(context.Background(), batch, func(_ int, _ *flashv1.PlaceFlashOrderResponse, err error) {
					if err != nil {
						b.Error(err)
					}
					if int(answered.Add(1)) == len(batch) {
						<-underWay
					}
				})
			}
			for range cap(underWay) {
				underWay <- struct{}{}
			}
			report()
		})
	}
}

package owner_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"log/slog"
	"os"
	"runtime"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	flashv1 "github.com/orderd-dev/orderd/api/gen/orderd/flash/v1"
	"github.com/orderd-dev/orderd/orderd/flash/owner"
	"github.com/orderd-dev/orderd/orderd/flash/partition"
	"github.com/orderd-dev/orderd/orderd/flash/plog"
	"github.com/orderd-dev/orderd/orderd/flash/prepare"
	"github.com/orderd-dev/orderd/orderd/flash/promotion"
	"github.com/orderd-dev/orderd/orderd/flash/refusal"
	"github.com/orderd-dev/orderd/orderd/kit/orderid"
	"github.com/orderd-dev/orderd/test/kit/testnats"
)

type nobody struct{}

func (nobody) Transfer(context.Context, *flashv1.TransferRequest) (*flashv1.TransferResponse, error) {
	return nil, refusal.NotOwner()
}

// benchOwner serves the only partition of a promotion, with fsync on every append and the NATS
// server in the same process.
func benchOwner(b *testing.B) *owner.Owner {
	js := testnats.Run(b).JetStream(b)
	p := benchPromotion(b, js, 1, 1)
	current := promotion.New(p)
	o := owner.New(benchOptions(b, plog.New(js, p), current, 0))
	running, stop := context.WithCancel(context.Background())
	go o.Run(running)
	b.Cleanup(func() {
		stop()
		<-o.Done()
	})
	return o
}

func benchPromotion(b *testing.B, js jetstream.JetStream, partitions int32, replicas int) *flashv1.Promotion {
	p := &flashv1.Promotion{
		Uid: "bench", Name: "bench", Streams: plog.StreamNames("bench", 1), Partitions: partitions,
		Open: true, EndUnixMs: 1 << 60,
		Items: []*flashv1.PromotedItem{{Sku: "a", UnitPrice: 1, LimitPerBuyer: 1}},
	}
	if err := prepare.EnsureStreams(b.Context(), js, p, replicas); err != nil {
		b.Fatal(err)
	}
	items := []prepare.Item{{SKU: "a", Quantity: 1 << 40}}
	if err := prepare.OpenPartitions(b.Context(), js, p, "bench", items); err != nil {
		b.Fatal(err)
	}
	return p
}

func benchOptions(b *testing.B, log plog.Log, current *promotion.Promotion, n int32) owner.Options {
	ids, err := orderid.NewGenerator(make([]byte, orderid.MinKeyBytes), time.Now, rand.Reader)
	if err != nil {
		b.Fatal(err)
	}
	yes := func() bool { return true }
	return owner.Options{
		Name: "bench", Partition: n, Log: log, Owned: yes, Lease: yes,
		Promotion: func() *promotion.Promotion { return current },
		Peers:     nobody{}, OrderIDs: ids, Clock: time.Now, Jitter: func(d time.Duration) time.Duration { return d },
		Logger: slog.New(slog.DiscardHandler),
	}
}

func benchRequest(buyer int64) *flashv1.PlaceFlashOrderRequest {
	return &flashv1.PlaceFlashOrderRequest{
		BuyerId: fmt.Sprint("buyer-", buyer), RequestId: "r", Items: []*flashv1.FlashOrderItem{{Sku: "a", Quantity: 1}},
	}
}

// reportCPU says what an order costs the process in CPU time, the NATS server's part and the making
// of requests included.
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

func TestMain(m *testing.M) {
	testnats.RunNode()
	os.Exit(m.Run())
}

// benchServers are NATS servers that fsync every write; if there are several, processes of their
// own.
func benchServers(b *testing.B, replicas int) jetstream.JetStream {
	if replicas == 1 {
		return testnats.Run(b).JetStream(b)
	}
	cluster, err := testnats.StartCluster(b.TempDir(), replicas, io.Discard)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(cluster.Stop)
	if err := cluster.Ready(b.Context()); err != nil {
		b.Fatal(err)
	}
	conn, err := nats.Connect(cluster.URL())
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(conn.Close)
	js, err := jetstream.New(conn)
	if err != nil {
		b.Fatal(err)
	}
	return js
}

// BenchmarkPartitions is orders of single callers, 256 at once, over several partitions of one
// stream on one pod, each partition's appends by themselves and together, with one replica and with
// three.
func BenchmarkPartitions(b *testing.B) {
	for _, replicas := range []int{1, 3} {
		benchPartitions(b, replicas, false)
		benchPartitions(b, replicas, true)
	}
}

func benchPartitions(b *testing.B, replicas int, together bool) {
	for _, partitions := range []int32{1, 2, 4, 16} {
		b.Run(fmt.Sprintf("replicas=%d/together=%t/partitions=%d", replicas, together, partitions), func(b *testing.B) {
			js := benchServers(b, replicas)
			p := benchPromotion(b, js, partitions, replicas)
			current := promotion.New(p)
			var log plog.Log = plog.New(js, p)
			if together {
				log = plog.Together(log)
			}
			owners := make([]*owner.Owner, partitions)
			running, stop := context.WithCancel(context.Background())
			defer func() {
				stop()
				for _, o := range owners {
					<-o.Done()
				}
			}()
			for n := range owners {
				owners[n] = owner.New(benchOptions(b, log, current, int32(n)))
				go owners[n].Run(running)
			}
			for _, o := range owners {
				for !o.Serving() {
					runtime.Gosched()
				}
			}
			var buyers atomic.Int64
			b.SetParallelism(128)
			b.ResetTimer()
			report := reportCPU(b)
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					request := benchRequest(buyers.Add(1))
					if _, err := owners[current.Partition(request.BuyerId, 0)].Reserve(b.Context(), request); err != nil {
						b.Error(err)
						return
					}
				}
			})
			report()
		})
	}
}

// BenchmarkTakeOver is the time from the start of an owner until it serves, for a log with 100,000
// reservations in records of so many orders, on one NATS server and on three.
func BenchmarkTakeOver(b *testing.B) {
	for _, bench := range []struct{ size, replicas int }{{10, 1}, {1000, 1}, {1000, 3}} {
		b.Run(fmt.Sprintf("record=%d/replicas=%d", bench.size, bench.replicas), func(b *testing.B) {
			size := bench.size
			js := benchServers(b, bench.replicas)
			p := benchPromotion(b, js, 1, bench.replicas)
			log := plog.New(js, p)
			const reservations = 100_000
			last := uint64(1)
			for i := 0; i < reservations; {
				record := make([]byte, partition.RecordHead)
				for range size {
					i++
					id := uuid.UUID{0: byte(i), 1: byte(i >> 8), 2: byte(i >> 16)}
					record = partition.AppendReservation(record, &partition.Request{
						BuyerID: fmt.Sprintf("buyer-%010d", i), RequestID: fmt.Sprintf("request-%028d", i),
						Items: []partition.RequestItem{{SKU: "a", Quantity: 1, UnitPrice: 100}},
					}, &partition.Terms{ID: id, AcceptedMs: 1_700_000_000_000, ExpiresMs: 1_700_000_900_000, Currency: "EUR"})
				}
				sequence, err := log.Append(b.Context(), plog.Entry{Expected: last, Data: partition.Reserved(record)})
				if err != nil {
					b.Fatal(err)
				}
				last = sequence
			}
			b.ResetTimer()
			report := reportCPU(b)
			for range b.N {
				o := owner.New(benchOptions(b, log, promotion.New(p), 0))
				running, stop := context.WithCancel(context.Background())
				go o.Run(running)
				for !o.Serving() {
					runtime.Gosched()
				}
				b.StopTimer()
				stop()
				<-o.Done()
				b.StartTimer()
			}
			b.ReportMetric(b.Elapsed().Seconds()/float64(b.N), "s/take-over")
			report()
		})
	}
}

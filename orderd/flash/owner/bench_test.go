package owner_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

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

// BenchmarkReserve is durable orders through one partition's owner, with fsync on every append and
// the NATS server in the same process.
func BenchmarkReserve(b *testing.B) {
	js := testnats.Run(b).JetStream(b)
	ctx := b.Context()
	p := &flashv1.Promotion{
		Uid: "bench", Name: "bench", Streams: plog.StreamNames("bench", 1), Partitions: 1, Open: true, EndUnixMs: 1 << 60,
		Items: []*flashv1.PromotedItem{{Sku: "a", UnitPrice: 1, LimitPerBuyer: 1}},
	}
	if err := provision.EnsureStreams(ctx, js, p, 1); err != nil {
		b.Fatal(err)
	}
	if err := provision.OpenPartitions(ctx, js, p, "bench", []provision.Item{{SKU: "a", Quantity: 1 << 40}}); err != nil {
		b.Fatal(err)
	}
	ids, err := orderid.NewGenerator(make([]byte, orderid.MinKeyBytes), time.Now, rand.Reader)
	if err != nil {
		b.Fatal(err)
	}
	current := sale.New(p)
	yes := func() bool { return true }
	o := owner.New(owner.Options{
		Name: "bench", Log: plog.New(js, p), Sale: func() *sale.Sale { return current }, Owned: yes, Lease: yes,
		Peers: nobody{}, OrderIDs: ids, Clock: time.Now, Jitter: func(d time.Duration) time.Duration { return d },
		Logger: slog.New(slog.DiscardHandler), Metrics: owner.NewMetrics(prometheus.NewRegistry()),
	})
	running, stop := context.WithCancel(context.Background())
	go o.Run(running)
	defer func() {
		stop()
		<-o.Done()
	}()
	var buyers atomic.Int64
	b.SetParallelism(128)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			r := &flashv1.PlaceFlashOrderRequest{
				BuyerId: fmt.Sprint("buyer-", buyers.Add(1)), RequestId: "r", Items: []*flashv1.FlashOrderItem{{Sku: "a", Quantity: 1}},
			}
			if _, err := o.Reserve(ctx, r); err != nil {
				b.Error(err)
				return
			}
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "orders/s")
}

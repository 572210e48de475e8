package partition_test

import (
	"fmt"
	"runtime"
	"testing"

	"github.com/google/uuid"

	"github.com/orderd-dev/orderd/orderd/flash/partition"
)

// BenchmarkMemory says what a reservation costs in memory once a partition has a million of them,
// each by another buyer.
func BenchmarkMemory(b *testing.B) {
	const reservations = 1_000_000
	heap := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	for b.Loop() {
		before := heap()
		state := partition.New()
		if err := state.Fold(1, opened(quantity("a", reservations))); err != nil {
			b.Fatal(err)
		}
		for i := range reservations {
			request := partition.Request{
				BuyerID: fmt.Sprintf("buyer-%010d", i), RequestID: fmt.Sprintf("request-%028d", i),
				Items: []partition.RequestItem{{SKU: "a", Quantity: 1, UnitPrice: 100}},
			}
			id := uuid.UUID{0: byte(i), 1: byte(i >> 8), 2: byte(i >> 16)}
			if err := state.Take(request, partition.Terms{ID: id, Currency: "EUR"}); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(heap()-before)/reservations, "bytes/reservation")
		runtime.KeepAlive(state)
	}
}

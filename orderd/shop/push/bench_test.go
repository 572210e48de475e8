package push_test

import (
	"context"
	"testing"
	"time"

	"github.com/orderd-dev/orderd/orderd/kit/outbox"
	"github.com/orderd-dev/orderd/orderd/shop/push"
)

// BenchmarkPush measures one pod in notifications a second, from a stream that holds the events
// already, with the gateway and the database in other goroutines and processes of the same machine.
func BenchmarkPush(b *testing.B) {
	const events = 2000
	for b.Loop() {
		b.StopTimer()
		secret := newSecret()
		w := newWorld(b, []string{secret}, secret)
		if _, err := outbox.EnsureStream(context.Background(), w.js, 1); err != nil {
			b.Fatal(err)
		}
		for range events {
			w.pay("ann")
		}
		b.StartTimer()
		start := time.Now()
		w.consumer("push", w.deliver, push.Types())
		w.eventually("all are told", func() bool { return w.gateway.Requests() >= events })
		b.ReportMetric(events/time.Since(start).Seconds(), "notifications/s")
	}
}

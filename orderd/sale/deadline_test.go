package sale

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	flashv1 "github.com/orderd-dev/orderd/api/gen/orderd/flash/v1"
	"github.com/orderd-dev/orderd/test/kit/testnats"
)

// TestStepsEndBeforeTheirContextWhereJetStreamHangs: a reconcile's context ends after minutes, and a step
// that waited for that would hold a worker of all order platforms.
func TestStepsEndBeforeTheirContextWhereJetStreamHangs(t *testing.T) {
	conn := testnats.Run(t).Connect(t)
	// Requests arrive, and nobody answers.
	if _, err := conn.Subscribe("HUNG.>", func(*nats.Msg) {}); err != nil {
		t.Fatal(err)
	}
	js, err := jetstream.NewWithAPIPrefix(conn, "HUNG", jetstream.WithDefaultTimeout(50*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	s := New(Options{
		Promotion: &flashv1.Promotion{Uid: "hung", Streams: StreamNames("hung", 1), Partitions: 1},
		Items:     []Quantity{{SKU: "a", Quantity: 7}}, JetStream: Opened(js), Replicas: 1, Actor: "test",
	})
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	steps := map[string]func() error{
		"buckets": func() error { return EnsureBuckets(ctx, js, 1) },
		"streams": func() error { return s.EnsureStreams(ctx) },
		"open":    func() error { return s.OpenPartitions(ctx, Allocation{s.items}) },
		"publish": func() error { _, err := s.Publish(ctx); return err },
		"count":   func() error { _, err := s.Totals(ctx); return err },
		"close":   func() error { _, err := s.ClosePartitions(ctx); return err },
		"closed":  func() error { return s.PublishClosed(ctx) },
		"remove":  func() error { return s.Remove(ctx) },
	}
	for name, step := range steps {
		t.Run(name, func(t *testing.T) {
			begun := time.Now()
			err := step()
			if took := time.Since(begun); !errors.Is(err, context.DeadlineExceeded) || took > 10*time.Second {
				t.Errorf("%v after %s", err, took)
			}
		})
	}
}

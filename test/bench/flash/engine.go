package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"google.golang.org/protobuf/encoding/protojson"

	flashv1 "github.com/orderd-dev/orderd/api/gen/orderd/flash/v1"
	"github.com/orderd-dev/orderd/orderd/flash/owner"
	"github.com/orderd-dev/orderd/orderd/flash/plog"
	"github.com/orderd-dev/orderd/orderd/flash/promotion"
	"github.com/orderd-dev/orderd/orderd/flash/refusal"
	"github.com/orderd-dev/orderd/orderd/kit/orderid"
	"github.com/orderd-dev/orderd/test/bench/internal/proc"
)

// recordSizes are the orders a record that the engine is measured with.
var recordSizes = []int{1, 16, 64, 256, 1024}

// ahead is how many batches wait or are on their way: one is being written while the next is
// decided on.
const ahead = 2

type engineSpec struct {
	NATS        string
	Promotion   []byte
	Record      int
	Warm, Phase time.Duration
}

type engineResult struct {
	Accepted float64
	CPU      time.Duration
}

// engine measures a partition's owner and its log by themselves, by the size of the records.
func (b *bench) engine(ctx context.Context) error {
	for _, size := range recordSizes {
		s, err := newSale(ctx, b.js, 1, plenty)
		if err != nil {
			return err
		}
		// No pod takes it over: it is never published.
		raw, err := protojson.Marshal(s.Promotion)
		if err != nil {
			return err
		}
		child, err := b.start(
			ctx,
			spec{
				Kind:   kindEngine,
				Engine: engineSpec{NATS: b.nats.URL, Promotion: raw, Record: size, Warm: b.warm, Phase: b.phase},
			},
			nil,
		)
		if err != nil {
			return err
		}
		var r engineResult
		if err := childResult(child, &r); err != nil {
			return err
		}
		name := fmt.Sprintf("engine_record_%d", size)
		fmt.Printf("  %-20s %8.0f accepted/s  %5.1f µs CPU each\n", name, r.Accepted, micros(r.CPU))
		b.rounds.Add(name+"_per_second", r.Accepted)
		b.rounds.Add(name+"_cpu_us", micros(r.CPU))
		if err := s.end(ctx); err != nil {
			return err
		}
	}
	return nil
}

// childResult is the line that a child prints before it ends.
func childResult(child *proc.Child, result any) error {
	line, err := child.Line()
	if err != nil {
		return err
	}
	if err := json.Unmarshal([]byte(line), result); err != nil {
		return err
	}
	return child.Wait()
}

// loner has no other partitions to ask for stock.
type loner struct{}

func (loner) Transfer(context.Context, *flashv1.TransferRequest) (*flashv1.TransferResponse, error) {
	return nil, refusal.NotOwner()
}

// runEngine prints its result.
func runEngine(ctx context.Context, s engineSpec) error {
	promo := &flashv1.Promotion{}
	if err := protojson.Unmarshal(s.Promotion, promo); err != nil {
		return err
	}
	conn, err := nats.Connect(s.NATS)
	if err != nil {
		return err
	}
	defer conn.Close()
	js, err := jetstream.New(conn)
	if err != nil {
		return err
	}
	ids, err := orderid.NewGenerator([]byte("0123456789abcdef"), time.Now, rand.Reader)
	if err != nil {
		return err
	}
	current, yes := promotion.New(promo), func() bool { return true }
	o := owner.New(owner.Options{
		Name:      "engine",
		Promotion: func() *promotion.Promotion { return current },
		Owned:     yes,
		Lease:     yes,
		Peers:     loner{},
		OrderIDs:  ids,
		Log:       plog.New(js, promo),
		Clock:     time.Now,
		Jitter:    func(d time.Duration) time.Duration { return d },
		Logger:    slog.New(slog.DiscardHandler),
	})
	ctx, stop := context.WithCancel(ctx)
	go o.Run(ctx)
	result, err := drive(ctx, o, s)
	stop()
	<-o.Done()
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(result)
}

// drive keeps batches of the record's size waiting at an owner, and counts the accepted.
func drive(ctx context.Context, o *owner.Owner, s engineSpec) (engineResult, error) {
	for !o.Serving() {
		select {
		case <-o.Done():
			return engineResult{}, errors.New("the owner ended")
		case <-time.After(askEvery):
		}
	}
	d := &driver{engineSpec: s, owner: o, free: make(chan struct{}, ahead)}
	began := time.Now()
	from, until := began.Add(s.Warm), began.Add(s.Warm+s.Phase)
	var before time.Duration
	for n := 0; time.Now().Before(until); {
		d.free <- struct{}{}
		if before == 0 && !time.Now().Before(from) {
			before = ownCPU()
			d.counting.Store(true)
		}
		n = d.batch(ctx, n)
	}
	d.counting.Store(false)
	cpu := ownCPU() - before
	for range ahead {
		d.free <- struct{}{}
	}
	accepted := d.accepted.Load()
	if err := d.refused.Load(); err != nil {
		return engineResult{}, fmt.Errorf("an order was refused: %w", *err)
	}
	if accepted == 0 {
		return engineResult{}, errNothing
	}
	return engineResult{Accepted: float64(accepted) / s.Phase.Seconds(), CPU: cpu / time.Duration(accepted)}, nil
}

type driver struct {
	engineSpec
	owner    *owner.Owner
	free     chan struct{}
	counting atomic.Bool
	accepted atomic.Int64
	refused  atomic.Pointer[error]
}

// batch reserves for a record's buyers, from the nth on; the last answer makes room for another
// batch.
func (d *driver) batch(ctx context.Context, n int) int {
	requests := make([]*flashv1.PlaceFlashOrderRequest, d.Record)
	for i := range requests {
		requests[i] = place1("bench", "buyer-"+strconv.Itoa(n))
		n++
	}
	var answered atomic.Int64
	d.owner.ReserveMany(ctx, requests, func(_ int, _ *flashv1.PlaceFlashOrderResponse, err error) {
		switch {
		case err != nil:
			d.refused.Store(&err)
		case d.counting.Load():
			d.accepted.Add(1)
		}
		if answered.Add(1) == int64(len(requests)) {
			<-d.free
		}
	})
	return n
}

// ownCPU is the time that this process has had of all cores.
func ownCPU() time.Duration {
	var usage syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &usage) // It cannot fail for the process itself.
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

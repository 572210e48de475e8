package main

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"google.golang.org/protobuf/proto"
)

const (
	// slowest answer that the histogram tells from slower ones.
	slowest    = time.Minute
	precision  = 3
	maxErrors  = 0.001
	callWithin = 10 * time.Second
)

// call makes the request of one of the callers; n is its number. What is answered goes to done, unless nil.
type call func(caller, n int) (request proto.Message, done func(answer []byte) error)

// result of a phase.
type result struct {
	perSecond float64
	p50, p99  time.Duration
	// cpu a request, of the server's process.
	cpu time.Duration
}

// load lets the callers call a procedure one after the other, each on a connection of its own, and measures after the
// warm-up.
func load(ctx context.Context, o options, server *child, token, procedure string, do call) (result, error) {
	wires := make([]*wire, o.connections)
	for i := range wires {
		var err error
		if wires[i], err = dial(ctx, server.url, token, procedure); err != nil {
			return result{}, err
		}
		defer wires[i].close()
	}
	began := time.Now()
	from, until := began.Add(o.warm), began.Add(o.warm+o.phase)
	ctx, cancel := context.WithDeadline(ctx, until.Add(callWithin))
	defer cancel()
	type share struct {
		times  *hdrhistogram.Histogram
		failed int
		err    error
	}
	shares := make([]share, o.connections)
	var wg sync.WaitGroup
	for i := range shares {
		shares[i].times = hdrhistogram.New(1, slowest.Microseconds(), precision)
		wg.Go(func() {
			s := &shares[i]
			for n := 0; ; n++ {
				sent := time.Now()
				if !sent.Before(until) {
					return
				}
				err := wires[i].call(do(i, n))
				if sent.Before(from) {
					continue
				}
				if err != nil {
					s.failed, s.err = s.failed+1, err
					continue
				}
				_ = s.times.RecordValue(time.Since(sent).Microseconds()) // No answer takes a minute.
			}
		})
	}
	before, err := cpuAt(ctx, server, from)
	if err != nil {
		return result{}, err
	}
	after, err := cpuAt(ctx, server, until)
	if err != nil {
		return result{}, err
	}
	wg.Wait()
	all, failed := hdrhistogram.New(1, slowest.Microseconds(), precision), 0
	for _, s := range shares {
		all.Merge(s.times)
		failed += s.failed
		if s.err != nil {
			err = s.err
		}
	}
	if count := all.TotalCount(); count == 0 || float64(failed) > maxErrors*float64(count) {
		return result{}, fmt.Errorf("%d of %d requests failed, such as: %w", failed, int64(failed)+count, err)
	}
	return result{
		perSecond: float64(all.TotalCount()) / o.phase.Seconds(),
		p50:       time.Duration(all.ValueAtQuantile(50)) * time.Microsecond,
		p99:       time.Duration(all.ValueAtQuantile(99)) * time.Microsecond,
		cpu:       (after - before) / time.Duration(all.TotalCount()),
	}, nil
}

func cpuAt(ctx context.Context, server *child, at time.Time) (time.Duration, error) {
	select {
	case <-time.After(time.Until(at)):
		return server.cpu()
	case <-ctx.Done():
		return 0, ctx.Err()
	}
}

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"sync"
	"time"

	"connectrpc.com/connect/v2"
	"connectrpc.com/connect/v2/connecthttp"
	"github.com/HdrHistogram/hdrhistogram-go"

	flashv1 "github.com/orderd-dev/orderd/api/gen/orderd/flash/v1"
	"github.com/orderd-dev/orderd/api/gen/orderd/flash/v1/flashv1connect"
	"github.com/orderd-dev/orderd/orderd/sim/issuer"
	"github.com/orderd-dev/orderd/test/bench/internal/load"
	"github.com/orderd-dev/orderd/test/bench/internal/proc"
)

// buyersSpec are buyers whose orders come over streams, as fast as they are answered.
type buyersSpec struct {
	URL, Token, Promotion string
	// Streams at once, each on a connection of its own, with Window messages of Batch
	// requests unanswered.
	Streams, Window, Batch int
	Warm, Phase            time.Duration
}

// streamResult has what was answered a second, and how long after it was sent.
type streamResult struct {
	Accepted, Refused float64
	P50, P99          time.Duration
	CPU               time.Duration
}

// runBuyers prints its result.
func runBuyers(ctx context.Context, s buyersSpec) error {
	r, err := s.run(ctx, nil)
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(r)
}

// buyersAt are buyers of a sale at a pod.
func (b *bench) buyersAt(s *flashSale, pod *proc.Child) buyersSpec {
	return buyersSpec{
		URL:       pod.URL,
		Token:     b.token,
		Promotion: s.GetName(),
		Streams:   b.streams,
		Window:    b.window,
		Batch:     b.batch,
		Warm:      b.warm,
		Phase:     b.phase,
	}
}

// stream measures accepted orders by PlaceFlashOrders.
func (b *bench) stream(ctx context.Context) (streamResult, error) {
	s, err := b.openSale(ctx, b.partitions, plenty, b.pod)
	if err != nil {
		return streamResult{}, err
	}
	r, err := b.buyersAt(s, b.pod).run(ctx, []*proc.Child{b.pod, b.nats})
	if err != nil {
		return r, fmt.Errorf("stream: %w", err)
	}
	fmt.Printf("  %-20s %8.0f accepted/s %8.0f refused/s  p50 %7.2f ms  p99 %7.2f ms  %5.1f µs CPU each\n", "stream",
		r.Accepted, r.Refused, millis(r.P50), millis(r.P99), micros(r.CPU))
	b.rounds.Add("stream_accepted_per_second", r.Accepted)
	b.rounds.Add("stream_refused_per_second", r.Refused)
	b.rounds.Add("stream_p99_ms", millis(r.P99))
	b.rounds.Add("stream_cpu_us", micros(r.CPU))
	return r, s.end(ctx)
}

// oneStream is what one stream's goroutines share.
type oneStream struct {
	spec   buyersSpec
	stream flashv1connect.FlashServicePlaceFlashOrdersClientStream
	run    string
	index  int
	free   chan struct{}

	mu sync.Mutex
	// sent is when each message was; left are its unanswered requests.
	sent []time.Time
	left []int

	times    *hdrhistogram.Histogram
	accepted int
	refused  int
}

// run lets the buyers buy, and measures after the warm-up. Each stream ends in order: what
// was sent is answered.
func (s buyersSpec) run(ctx context.Context, servers []*proc.Child) (streamResult, error) {
	began := time.Now()
	from, until := began.Add(s.Warm), began.Add(s.Warm+s.Phase)
	ctx, cancel := context.WithDeadline(ctx, until.Add(openWithin))
	defer cancel()
	streams, errs := make([]*oneStream, s.Streams), make([]error, s.Streams)
	var wg sync.WaitGroup
	run := fmt.Sprintf("%06x", rand.Uint32N(1<<24))
	for i := range streams {
		one := &oneStream{
			spec:  s,
			run:   run,
			index: i,
			free:  make(chan struct{}, s.Window),
			times: hdrhistogram.New(1, time.Minute.Microseconds(), 3),
		}
		streams[i] = one
		wg.Go(func() {
			if errs[i] = one.buy(ctx, from, until); errs[i] != nil {
				cancel()
			}
		})
	}
	before, err := load.CPUAt(ctx, servers, from)
	if err != nil {
		return streamResult{}, errors.Join(append(errs, err)...)
	}
	after, err := load.CPUAt(ctx, servers, until)
	if err != nil {
		return streamResult{}, errors.Join(append(errs, err)...)
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		return streamResult{}, err
	}
	all, accepted, refused := hdrhistogram.New(1, time.Minute.Microseconds(), 3), 0, 0
	for _, one := range streams {
		all.Merge(one.times)
		accepted, refused = accepted+one.accepted, refused+one.refused
	}
	if accepted == 0 {
		return streamResult{}, errNothing
	}
	return streamResult{
		Accepted: float64(accepted) / s.Phase.Seconds(),
		Refused:  float64(refused) / s.Phase.Seconds(),
		P50:      time.Duration(all.ValueAtQuantile(50)) * time.Microsecond,
		P99:      time.Duration(all.ValueAtQuantile(99)) * time.Microsecond,
		CPU:      (after - before) / time.Duration(accepted+refused),
	}, nil
}

// buy sends on one stream until a time and takes all answers; those between from and until count.
func (o *oneStream) buy(ctx context.Context, from, until time.Time) error {
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	transport := &http.Transport{Protocols: protocols}
	defer transport.CloseIdleConnections()
	client := flashv1connect.NewFlashServiceClient(connect.NewClient(
		connecthttp.NewTransport(&http.Client{Transport: transport}, o.spec.URL, connecthttp.WithSendCompression("")),
		issuer.Bearer(o.spec.Token),
	))
	stream, err := client.PlaceFlashOrders(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = stream.Close() }()
	o.stream = stream
	done := make(chan error, 1)
	go func() { done <- o.receive(from, until) }()
	if err := o.send(until, done); err != nil {
		return err
	}
	if err := stream.CloseSend(); err != nil {
		return err
	}
	return <-done
}

// send messages until a time, as long as there are not too many unanswered.
func (o *oneStream) send(until time.Time, done <-chan error) error {
	for n := 0; time.Now().Before(until); {
		select {
		case o.free <- struct{}{}:
		case err := <-done:
			return fmt.Errorf("the stream ended early: %w", err)
		}
		message := &flashv1.PlaceFlashOrdersRequest{Requests: make([]*flashv1.PlaceFlashOrderRequest, o.spec.Batch)}
		for i := range message.Requests {
			message.Requests[i] = place1(o.spec.Promotion, buyerName(o.run, o.index, n))
			n++
		}
		o.mu.Lock()
		o.sent, o.left = append(o.sent, time.Now()), append(o.left, o.spec.Batch)
		o.mu.Unlock()
		if err := o.stream.Send(message); err != nil {
			return err
		}
	}
	return nil
}

// receive answers until the stream ends, and counts.
func (o *oneStream) receive(from, until time.Time) error {
	for {
		message, err := o.stream.Receive()
		if err != nil {
			return o.ended(err)
		}
		now := time.Now()
		counts := !now.Before(from) && now.Before(until)
		o.mu.Lock()
		for _, a := range message.GetAnswers() {
			n := int(a.GetPosition()) / o.spec.Batch
			if o.left[n]--; o.left[n] == 0 {
				<-o.free
			}
			switch {
			case !counts:
			case a.GetAccepted() != nil:
				o.accepted++
				_ = o.times.RecordValue(min(now.Sub(o.sent[n]), time.Minute).Microseconds()) // In the histogram's range.
			default:
				o.refused++
			}
		}
		o.mu.Unlock()
	}
}

var (
	errNothing    = errors.New("nothing was accepted")
	errUnanswered = errors.New("the stream ended before every request was answered")
)

// ended is nil if a stream ended as it should, with every request answered.
func (o *oneStream) ended(err error) error {
	if !errors.Is(err, io.EOF) {
		return err
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, left := range o.left {
		if left > 0 {
			return errUnanswered
		}
	}
	return nil
}

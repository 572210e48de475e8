// Package load makes unary calls on many connections at once and measures the answers.
package load

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"google.golang.org/protobuf/proto"

	"github.com/orderd-dev/orderd/test/bench/internal/proc"
	"github.com/orderd-dev/orderd/test/bench/internal/wire"
)

const (
	// slowest answer that the histogram tells from slower ones.
	slowest   = time.Minute
	precision = 3
	maxErrors = 0.001
)

// Call makes the request of one of the callers; n is its number. Its answer goes to check, unless
// nil: then it is accepted if its status is 200, and else an error.
type Call func(caller, n int) (request proto.Message, check Check)

// Check tells from an answer whether the request was accepted or refused; anything else is an error.
type Check func(status int, answer []byte) (accepted bool, err error)

// Options of a phase.
type Options struct {
	// Connections to each caller's URL; each has a caller of its own.
	Connections int
	// Warm is how long callers call before they are measured, Phase how long they are measured.
	Warm, Phase time.Duration
	// Rate is how many requests a second are due, whether or not those before are answered; 0: each
	// caller calls again as soon as it has its answer.
	Rate float64
	// URLs of the servers, which callers are spread over.
	URLs             []string
	Token, Procedure string
	// Servers' processor time is counted.
	Servers []*proc.Child
}

// Result of a phase.
type Result struct {
	// Accepted and Refused a second.
	Accepted, Refused float64
	// Unsent are requests a second that were due while no connection was free.
	Unsent   float64
	P50, P99 time.Duration
	// Times of the accepted, from when a request was due.
	Times *hdrhistogram.Histogram
	// CPU an answer, of the servers' processes together.
	CPU time.Duration
}

// maxShares bounds the histograms of a phase, of which each takes 200 KB.
const maxShares = 32

// share is what some of the callers saw.
type share struct {
	mu              sync.Mutex
	times           *hdrhistogram.Histogram
	refused, failed int
	err             error
}

// Run lets the callers call, and measures after the warm-up. It fails if more than one answer in
// 1,000 is an error.
func Run(ctx context.Context, o Options, do Call) (Result, error) {
	conns, err := dial(ctx, o)
	if err != nil {
		return Result{}, err
	}
	defer func() {
		for _, c := range conns {
			c.Close()
		}
	}()
	began := time.Now()
	from, until := began.Add(o.Warm), began.Add(o.Warm+o.Phase)
	ctx, cancel := context.WithDeadline(ctx, until.Add(2*wire.Within))
	defer cancel()
	pace := newPace(o.Rate, began)
	shares := make([]share, min(o.Connections, maxShares))
	for i := range shares {
		shares[i].times = hdrhistogram.New(1, slowest.Microseconds(), precision)
	}
	var wg sync.WaitGroup
	for i := range conns {
		wg.Go(func() { shares[i%len(shares)].call(ctx, conns[i], i, pace, from, until, do) })
	}
	before, err := CPUAt(ctx, o.Servers, from)
	if err != nil {
		return Result{}, err
	}
	unsent := pace.unsent.Load()
	after, err := CPUAt(ctx, o.Servers, until)
	if err != nil {
		return Result{}, err
	}
	unsent = pace.unsent.Load() - unsent
	wg.Wait()
	r, err := sum(shares, o.Phase)
	if err != nil {
		return r, err
	}
	r.Unsent = float64(unsent) / o.Phase.Seconds()
	if answers := (r.Accepted + r.Refused) * o.Phase.Seconds(); answers > 0 {
		r.CPU = time.Duration(float64(after-before) / answers)
	}
	return r, nil
}

func dial(ctx context.Context, o Options) ([]*wire.Conn, error) {
	conns := make([]*wire.Conn, 0, o.Connections)
	for i := range o.Connections {
		c, err := wire.Dial(ctx, o.URLs[i%len(o.URLs)], o.Token, o.Procedure)
		if err != nil {
			for _, c := range conns {
				c.Close()
			}
			return nil, err
		}
		conns = append(conns, c)
	}
	return conns, nil
}

// call is one caller. What was sent before from is not counted, nor what is due after until.
func (s *share) call(ctx context.Context, conn *wire.Conn, caller int, pace *pace, from, until time.Time, do Call) {
	for n := 0; ; n++ {
		// From when a request was due: a caller who was held up by the answer before would else
		// hide how long the next had to wait, which is called coordinated omission.
		due := pace.next(until)
		if !due.Before(until) {
			return
		}
		request, check := do(caller, n)
		status, body, err := conn.Call(request)
		took := time.Since(due)
		if err != nil {
			err = errors.Join(err, conn.Redial(ctx))
		}
		accepted := status == http.StatusOK
		switch {
		case err != nil:
		case check != nil:
			accepted, err = check(status, body)
		case !accepted:
			err = fmt.Errorf("%d: %s", status, body)
		}
		s.count(!due.Before(from), accepted, took, err)
	}
}

// count an answer; of those of the warm-up only the error, should there be nothing else.
func (s *share) count(counts, accepted bool, took time.Duration, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		s.err = err
	}
	switch {
	case !counts:
	case err != nil:
		s.failed++
	case accepted:
		_ = s.times.RecordValue(min(took, slowest).Microseconds()) // In the histogram's range.
	default:
		s.refused++
	}
}

var errNoAnswers = errors.New("no request was answered")

func sum(shares []share, phase time.Duration) (Result, error) {
	all, failed, refused := hdrhistogram.New(1, slowest.Microseconds(), precision), 0, 0
	var err error
	for i := range shares {
		s := &shares[i]
		all.Merge(s.times)
		failed, refused = failed+s.failed, refused+s.refused
		if s.err != nil {
			err = s.err
		}
	}
	answers := all.TotalCount() + int64(refused)
	switch {
	case float64(failed) > maxErrors*float64(answers):
		return Result{}, fmt.Errorf("%d of %d requests failed, such as: %w", failed, int64(failed)+answers, err)
	case answers == 0 && err != nil:
		return Result{}, err
	case answers == 0:
		return Result{}, errNoAnswers
	}
	r := Result{
		Accepted: float64(all.TotalCount()) / phase.Seconds(), Refused: float64(refused) / phase.Seconds(), Times: all,
	}
	r.quantiles()
	return r, nil
}

func (r *Result) quantiles() {
	r.P50 = time.Duration(r.Times.ValueAtQuantile(50)) * time.Microsecond
	r.P99 = time.Duration(r.Times.ValueAtQuantile(99)) * time.Microsecond
}

// With is what two phases had together that ran at once, and as long; without CPU.
func (r Result) With(other Result) Result {
	times := hdrhistogram.New(1, slowest.Microseconds(), precision)
	times.Merge(r.Times)
	times.Merge(other.Times)
	both := Result{
		Accepted: r.Accepted + other.Accepted, Refused: r.Refused + other.Refused, Unsent: r.Unsent + other.Unsent,
		Times: times,
	}
	both.quantiles()
	return both
}

// CPUAt is what processor time the servers have had at a moment.
func CPUAt(ctx context.Context, servers []*proc.Child, at time.Time) (time.Duration, error) {
	select {
	case <-time.After(time.Until(at)):
	case <-ctx.Done():
		return 0, ctx.Err()
	}
	var sum time.Duration
	for _, s := range servers {
		cpu, err := s.CPU()
		if err != nil {
			return 0, err
		}
		sum += cpu
	}
	return sum, nil
}

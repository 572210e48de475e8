package sale

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	flashv1 "github.com/orderd-dev/orderd/api/gen/orderd/flash/v1"
	"github.com/orderd-dev/orderd/orderd/shop/stock"
)

var errAway = errors.New("away")

func TestRunnerRepeatsWhatARepetitionMayMend(t *testing.T) {
	tests := map[string]struct {
		err   error
		fails int
		// want is how often the step is tried, and whether it succeeds.
		want int
		ok   bool
	}{
		"no error":             {want: 1, ok: true},
		"twice away":           {err: errAway, fails: 2, want: 3, ok: true},
		"away for good":        {err: errAway, fails: 1000, want: 11},
		"releasing":            {err: &ReleasingError{Orders: 1}, fails: 5, want: 6, ok: true},
		"not drained":          {err: errNotDrained, fails: 5, want: 6, ok: true},
		"too little stock":     {err: &InsufficientError{Missing: []Quantity{{SKU: "a", Quantity: 1}}}, fails: 1, want: 1},
		"an unknown SKU":       {err: &UnknownSKUError{SKUs: []string{"a"}}, fails: 1, want: 1},
		"other quantities":     {err: stock.ErrDiffers, fails: 1, want: 1},
		"top-ups that ended":   {err: stock.ErrTopUpsEnded, fails: 1, want: 1},
		"too many top-ups":     {err: ErrTooManyTopUps, fails: 1, want: 1},
		"a violated invariant": {err: &ViolationError{Where: LogMismatch, Message: "a"}, fails: 1, want: 1},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				tried := 0
				r := Runner{Poll: time.Second, Patience: 10*time.Second + time.Millisecond}
				err := r.inOrder(t.Context(), work{StepPublish, func(context.Context) error {
					if tried++; tried <= tt.fails {
						return tt.err
					}
					return nil
				}})
				if tried != tt.want || (err == nil) != tt.ok {
					t.Errorf("tried %d times: %v, want %d times, success %v", tried, err, tt.want, tt.ok)
				}
				if err != nil && !errors.Is(err, tt.err) {
					t.Errorf("the error %v does not say %v", err, tt.err)
				}
			})
		})
	}
}

func TestRunnerStopsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		tried := 0
		err := Runner{}.inOrder(ctx, work{StepPublish, func(context.Context) error {
			tried++
			cancel()
			return errAway
		}})
		if tried != 1 || !errors.Is(err, errAway) {
			t.Errorf("tried %d times: %v", tried, err)
		}
	})
}

func TestRunnerBoundsEachAttempt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tried := 0
		begun := time.Now()
		err := Runner{Attempt: 3 * time.Second}.inOrder(t.Context(), work{StepPublish, func(ctx context.Context) error {
			if tried++; tried == 2 {
				return nil
			}
			<-ctx.Done()
			return ctx.Err()
		}})
		if took := time.Since(begun); err != nil || tried != 2 || took > 4*time.Second {
			t.Errorf("tried %d times in %s: %v", tried, took, err)
		}
	})
}

func TestSettleWaitsForTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		end := time.Now().Add(time.Minute)
		var asked time.Time
		r := Runner{Clock: time.Now, Patience: time.Nanosecond, Sale: New(Options{
			Promotion: &flashv1.Promotion{EndUnixMs: end.UnixMilli()},
			JetStream: func(context.Context) (jetstream.JetStream, error) {
				asked = time.Now()
				return nil, errAway
			},
		})}
		if _, err := r.Settle(t.Context()); !errors.Is(err, errAway) {
			t.Errorf("settling without JetStream: %v", err)
		}
		if grace := asked.Sub(end).Round(time.Millisecond); grace != DrainGrace {
			t.Errorf("partitions were closed %s after the end, want %s", grace, DrainGrace)
		}
	})
}

func TestStepsWithoutAConnectionFailAlone(t *testing.T) {
	s := New(Options{
		Promotion: &flashv1.Promotion{Uid: "promotion"}, Items: []Quantity{{SKU: "a", Quantity: 7}},
		JetStream: func(context.Context) (jetstream.JetStream, error) { return nil, errAway },
	})
	ctx := t.Context()
	allocation, err := s.Allocate(ctx)
	if err != nil || len(allocation.Items()) != 1 || allocation.Items()[0].Quantity != 7 {
		t.Errorf("without a database %v was allocated: %v", allocation, err)
	}
	drained, err := s.Drained(ctx)
	if err != nil || !drained {
		t.Errorf("without a database drained is %v: %v", drained, err)
	}
	sold := []Total{{SKU: "a", Allocated: 7, Sold: 3, Unsold: 4}}
	if err := errors.Join(s.TopUp(ctx), s.EndTopUps(ctx), s.Prove(ctx, sold), s.ReturnUnsold(ctx, sold)); err != nil {
		t.Errorf("steps in no database: %v", err)
	}
	var violation *ViolationError
	lost := []Total{{SKU: "a", Allocated: 7, Sold: 3, Unsold: 3}}
	if err := s.Prove(ctx, lost); !errors.As(err, &violation) || violation.Where != LogMismatch {
		t.Errorf("a unit lost in the log: %v", err)
	}
	_, published := s.Publish(ctx)
	_, closed := s.ClosePartitions(ctx)
	_, counted := s.Totals(ctx)
	for step, err := range map[string]error{
		"streams": s.EnsureStreams(ctx), "open": s.OpenPartitions(ctx, allocation), "publish": published, "count": counted,
		"close": closed, "publish closed": s.PublishClosed(ctx), "remove": s.Remove(ctx),
	} {
		if !errors.Is(err, errAway) {
			t.Errorf("%s without JetStream: %v", step, err)
		}
	}
}

func TestAfterDecidesAboutAStep(t *testing.T) {
	var told []Step
	s := New(Options{Promotion: &flashv1.Promotion{}, Items: []Quantity{{SKU: "a", Quantity: 1}},
		After: func(step Step, _ *flashv1.Promotion) error {
			told = append(told, step)
			return errAway
		}})
	if _, err := s.Allocate(t.Context()); !errors.Is(err, errAway) {
		t.Errorf("Allocate: %v", err)
	}
	if len(told) != 1 || told[0] != StepAllocate {
		t.Errorf("told of %v", told)
	}
}

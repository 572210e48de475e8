package materializer

import (
	"context"
	"math"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/orderd-dev/orderd/orderd/kit/lease"
)

// roster is a table of live workers, as a lease.Census keeps it in the database, in virtual time.
type roster struct {
	mu   sync.Mutex
	live map[int]time.Time
}

const (
	rosterTTL   = 5 * time.Second
	rosterValid = 3 * time.Second
)

// census counts until its worker dies, and tells the worker's part.
func (r *roster) census(ctx context.Context, worker int) (part func() float64) {
	var mu sync.Mutex
	portion := lease.Portion{Valid: rosterValid}
	go func() {
		for ctx.Err() == nil {
			began, n := time.Now(), 0
			r.mu.Lock()
			r.live[worker] = began.Add(rosterTTL)
			for _, until := range r.live {
				if until.After(began) {
					n++
				}
			}
			r.mu.Unlock()
			mu.Lock()
			portion.Counted(began, began, n)
			mu.Unlock()
			select {
			case <-time.After(time.Second):
			case <-ctx.Done():
			}
		}
	}()
	return func() float64 {
		mu.Lock()
		defer mu.Unlock()
		return portion.Of(time.Now())
	}
}

// Whoever joins or dies, all together write no more than was promised, and use it while nobody does.
func TestWorkersTogetherKeepToTheRate(t *testing.T) {
	const rate, orders = 2000, 37
	synctest.Test(t, func(t *testing.T) {
		r := &roster{live: map[int]time.Time{}}
		var written atomic.Int64
		var running sync.WaitGroup
		work := func(worker int) (die func()) {
			ctx, die := context.WithCancel(t.Context())
			p := newPacer(rate, r.census(ctx, worker), time.Now)
			running.Go(func() {
				for p.wait(ctx, orders) == nil {
					written.Add(orders)
				}
			})
			return die
		}
		dies := make([]func(), 6)
		for i := range 5 {
			dies[i] = work(i)
		}
		var before []int64
		tell := func(seconds int) {
			for range seconds {
				<-time.After(time.Second)
				before = append(before, written.Load())
			}
		}
		tell(10)
		dies[5] = work(5)
		tell(10)
		dies[0]()
		tell(10)
		for i := range before {
			for j := range i {
				// A second's more is saved up at most, here among all.
				if got, most := before[i]-before[j], int64(rate*(i-j)+rate); got > most {
					t.Errorf("%d orders from second %d to %d, at most %d may be", got, j+1, i+1, most)
				}
			}
		}
		// In quiet times, all that was promised: of five, of six, and of five again.
		for _, at := range []int{8, 18, 28} {
			if got := before[at] - before[at-1]; math.Abs(float64(got-rate)) > rate/10 {
				t.Errorf("%d orders in second %d, want about %d", got, at+1, rate)
			}
		}
		// While one joins, the others go on.
		if got := before[12] - before[11]; got < rate/2 {
			t.Errorf("%d orders in a second in which a worker joins", got)
		}
		for _, die := range dies {
			die()
		}
		running.Wait()
	})
}

func TestAWorkerWithoutAPartWritesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		part := 0.0
		var mu sync.Mutex
		p := newPacer(100, func() float64 { mu.Lock(); defer mu.Unlock(); return part }, time.Now)
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		if err := p.wait(ctx, 1); err == nil {
			t.Error("an order was let through")
		}
		if err := p.untilAny(ctx); err == nil {
			t.Error("there is a part")
		}
		<-time.After(10 * time.Second)
		mu.Lock()
		part = 1
		mu.Unlock()
		began := time.Now()
		if err := p.wait(t.Context(), 50); err != nil {
			t.Fatal(err)
		}
		// Nothing was saved up meanwhile.
		if took := time.Since(began); took < 500*time.Millisecond || took > 700*time.Millisecond {
			t.Errorf("50 orders after %s at 100 a second", took)
		}
	})
}

// A promotion with few orders at a time takes nothing from one that has many: they take turns.
func TestSmallTransactionsDoNotStarveALargeOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPacer(1000, nil, time.Now)
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		var running sync.WaitGroup
		written := make([]int, 2)
		for i, orders := range []int{20, 500} {
			running.Go(func() {
				for p.wait(ctx, orders) == nil {
					written[i] += orders
				}
			})
		}
		running.Wait()
		if most := 20 * 1000; written[1] < most*2/3 {
			t.Errorf("500 at a time: %d of %d orders; 20 at a time: %d", written[1], most, written[0])
		}
	})
}

func TestMoreOrdersThanCanBeSavedUpAreWaitedForAfterwards(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPacer(10, nil, time.Now)
		began := time.Now()
		for range 3 {
			if err := p.wait(t.Context(), 100); err != nil {
				t.Fatal(err)
			}
		}
		if took := time.Since(began); took < 20*time.Second || took > 23*time.Second {
			t.Errorf("300 orders after %s at 10 a second, 100 of them ahead", took)
		}
	})
}

package batch_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/orderd-dev/orderd/orderd/kit/batch"
)

// gate is a handler that waits to be let through, and answers each item with its double.
type gate struct {
	began chan int
	let   chan error

	mu    sync.Mutex
	taken [][]int
}

func newGate() *gate { return &gate{began: make(chan int), let: make(chan error)} }

func (g *gate) handle(_ context.Context, items []int) ([]batch.Result[int], error) {
	g.mu.Lock()
	g.taken = append(g.taken, slices.Clone(items))
	g.mu.Unlock()
	g.began <- len(items)
	if err := <-g.let; err != nil {
		return nil, err
	}
	out := make([]batch.Result[int], len(items))
	for i, item := range items {
		out[i].Value = 2 * item
	}
	return out, nil
}

func options() batch.Options {
	return batch.Options{Limit: 4, Size: 3, Parallel: 1, Timeout: time.Minute}
}

type answer struct {
	item, got int
	err       error
}

// call puts items in and waits until they wait, or are handled.
func call(b *batch.Batcher[int, int], answers chan<- answer, items ...int) {
	for _, item := range items {
		waiting := b.Waiting()
		go func() {
			got, err := b.Do(context.Background(), item)
			answers <- answer{item, got, err}
		}()
		for b.Waiting() == waiting {
			runtime.Gosched()
		}
	}
}

func TestWhatComesMeanwhileIsTakenTogether(t *testing.T) {
	g := newGate()
	b := batch.New(options(), g.handle)
	answers := make(chan answer, 10)
	go func() { got, err := b.Do(context.Background(), 1); answers <- answer{1, got, err} }()
	if n := <-g.began; n != 1 {
		t.Fatalf("the first batch has %d", n)
	}
	call(b, answers, 2, 3, 4, 5)
	if _, err := b.Do(context.Background(), 6); !errors.Is(err, batch.ErrFull) {
		t.Errorf("one too many: %v", err)
	}
	for _, want := range []int{3, 1} {
		g.let <- nil
		if n := <-g.began; n != want {
			t.Errorf("a batch of %d, want %d", n, want)
		}
	}
	g.let <- nil
	for range 5 {
		if a := <-answers; a.err != nil || a.got != 2*a.item {
			t.Errorf("%+v", a)
		}
	}
	want := [][]int{{1}, {2, 3, 4}, {5}}
	if fmt.Sprint(g.taken) != fmt.Sprint(want) {
		t.Errorf("%v, want %v", g.taken, want)
	}
}

func TestOneThatCannotBeHandledFailsAlone(t *testing.T) {
	final := &pgconn.PgError{Code: "23514"}
	b := batch.New(
		batch.Options{Limit: 100, Size: 100, Parallel: 1, Timeout: time.Minute},
		func(_ context.Context, items []int) ([]batch.Result[int], error) {
			if slices.Contains(items, 13) {
				return nil, final
			}
			return make([]batch.Result[int], len(items)), nil
		},
	)
	var wg sync.WaitGroup
	for i := range 50 {
		wg.Go(func() {
			_, err := b.Do(context.Background(), i)
			if failed := errors.Is(err, final); failed != (i == 13) {
				t.Errorf("item %d: %v", i, err)
			}
		})
	}
	wg.Wait()
}

// What may help by itself later, such as a commit whose outcome is not known, is everybody's and
// tried by nobody again.
func TestOutagesAreEverybodys(t *testing.T) {
	g := newGate()
	b := batch.New(options(), g.handle)
	answers := make(chan answer, 10)
	go func() { got, err := b.Do(context.Background(), 1); answers <- answer{1, got, err} }()
	<-g.began
	call(b, answers, 2, 3)
	g.let <- nil
	<-g.began
	away := &pgconn.PgError{Code: "57P01"}
	g.let <- away
	for range 3 {
		if a := <-answers; (a.item == 1) != (a.err == nil) || a.item > 1 && !errors.Is(a.err, away) {
			t.Errorf("%+v", a)
		}
	}
	if len(g.taken) != 2 {
		t.Errorf("%v", g.taken)
	}
}

// Who has gone away is not handled any more.
func TestWhoIsGoneIsLeftOut(t *testing.T) {
	g := newGate()
	b := batch.New(options(), g.handle)
	answers := make(chan answer, 10)
	go func() { got, err := b.Do(context.Background(), 1); answers <- answer{1, got, err} }()
	<-g.began
	ctx, leave := context.WithCancel(context.Background())
	left := make(chan error, 1)
	go func() { _, err := b.Do(ctx, 2); left <- err }()
	for b.Waiting() == 0 {
		runtime.Gosched()
	}
	leave()
	if err := <-left; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	call(b, answers, 3)
	g.let <- nil
	if n := <-g.began; n != 1 {
		t.Errorf("a batch of %d", n)
	}
	g.let <- nil
	<-answers
	<-answers
	if fmt.Sprint(g.taken) != "[[1] [3]]" {
		t.Errorf("%v", g.taken)
	}
}

// A second batch begins beside the first only once enough wait, and the first goes on alone.
func TestBatchesBesideOthersAreLarge(t *testing.T) {
	g := newGate()
	o := options()
	o.Parallel, o.Beside = 2, 2
	b := batch.New(o, g.handle)
	answers := make(chan answer, 10)
	go func() { got, err := b.Do(context.Background(), 1); answers <- answer{1, got, err} }()
	<-g.began
	call(b, answers, 2)
	go func() { got, err := b.Do(context.Background(), 3); answers <- answer{3, got, err} }()
	if n := <-g.began; n != 2 {
		t.Errorf("a batch of %d beside the first", n)
	}
	call(b, answers, 4)
	g.let <- nil
	<-answers
	g.let <- nil
	if n := <-g.began; n != 1 {
		t.Errorf("a batch of %d at last", n)
	}
	g.let <- nil
	for range 3 {
		if a := <-answers; a.err != nil || a.got != 2*a.item {
			t.Errorf("%+v", a)
		}
	}
}

func TestAnItemThatPanicsFailsAlone(t *testing.T) {
	b := batch.New(
		batch.Options{Limit: 8, Size: 8, Parallel: 1, Timeout: time.Minute},
		func(_ context.Context, items []int) ([]batch.Result[int], error) {
			if slices.Contains(items, 2) {
				panic("two")
			}
			return make([]batch.Result[int], len(items)), nil
		},
	)
	answers := make(chan answer, 4)
	for item := range 4 {
		go func() {
			_, err := b.Do(context.Background(), item)
			answers <- answer{item: item, err: err}
		}()
	}
	for range 4 {
		if a := <-answers; (a.err != nil) != (a.item == 2) {
			t.Errorf("item %d: %v", a.item, a.err)
		}
	}
}

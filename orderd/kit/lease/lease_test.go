package lease

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"pgregory.net/rapid"

	"github.com/orderd-dev/orderd/test/kit/testdb"
)

func TestShare(t *testing.T) {
	for workers, want := range map[int]int{0: 16, 1: 16, 2: 8, 3: 6, 5: 4, 16: 1, 40: 1} {
		if got := share(workers); got != want {
			t.Errorf("share(%d) = %d, want %d", workers, got, want)
		}
	}
}

func TestBucketIsInRange(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		raw := rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "id")
		if b := Bucket(uuid.UUID(raw)); b < 0 || b >= Buckets {
			t.Fatalf("bucket %d", b)
		}
	})
}

func TestWanted(t *testing.T) {
	now := time.Unix(1000, 0)
	rows := []row{}
	for b := range int64(Buckets) {
		switch {
		case b < 4:
			rows = append(rows, row{Bucket: b, Owner: "other", ExpiresAt: now.Add(time.Second)})
		case b < 8:
			rows = append(rows, row{Bucket: b, Owner: "dead", ExpiresAt: now})
		case b < 10:
			rows = append(rows, row{Bucket: b, Owner: "me", ExpiresAt: now.Add(time.Second)})
		}
	}
	// 9 is what a process of the same name held before.
	got := wanted(rows, "me", []int64{8}, now, Buckets)
	slices.Sort(got)
	if diff := cmp.Diff([]int64{4, 5, 6, 7, 9, 10, 11, 12, 13, 14, 15}, got); diff != "" {
		t.Error(diff)
	}
	if got := wanted(rows, "me", []int64{8}, now, 3); len(got) != 3 {
		t.Errorf("%d buckets, want 3", len(got))
	}
}

// fakeClock moves when it is told to.
type fakeClock struct {
	mu sync.Mutex
	t  time.Time
}

func (c *fakeClock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

func (c *fakeClock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
}

const ttl = 9 * time.Second

func newLoop(t *testing.T, pool *pgxpool.Pool, worker string, clock *fakeClock, work Work) *Loop {
	t.Helper()
	l, err := NewLoop(Options{
		Pool: pool, Kind: "test", Worker: worker, Work: work, TTL: ttl, Clock: clock.now,
		Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func beat(t *testing.T, loops ...*Loop) {
	t.Helper()
	for _, l := range loops {
		if err := l.holder.beat(context.Background()); err != nil {
			t.Fatal(err)
		}
	}
}

// exclusive fails if two loops believe in the same bucket, and returns how many each has.
func exclusive(t *testing.T, loops ...*Loop) []int {
	t.Helper()
	owner := map[int64]int{}
	var counts []int
	for i, l := range loops {
		held := l.Held()
		for _, b := range held {
			if j, twice := owner[b]; twice {
				t.Errorf("bucket %d is held by %d and %d", b, j, i)
			}
			owner[b] = i
		}
		counts = append(counts, len(held))
	}
	return counts
}

func TestBucketsAreSpreadOverLiveWorkers(t *testing.T) {
	pool, clock := testdb.NewPool(t), &fakeClock{t: time.Unix(1000, 0)}
	none := func(context.Context, int64) (bool, error) { return false, nil }
	a, b, c := newLoop(t, pool, "a", clock, none), newLoop(t, pool, "b", clock, none), newLoop(t, pool, "c", clock, none)

	beat(t, a)
	if diff := cmp.Diff([]int{16, 0, 0}, exclusive(t, a, b, c)); diff != "" {
		t.Fatalf("alone: %s", diff)
	}
	// The newcomers announce themselves, a gives up what is too much, they take it.
	beat(t, b, c, a, b, c)
	if diff := cmp.Diff([]int{6, 6, 4}, sorted(exclusive(t, a, b, c))); diff != "" {
		t.Fatalf("three: %s", diff)
	}
	// c dies: while its leases last nobody has its buckets, after that the others do.
	clock.advance(ttl / 2)
	beat(t, a, b)
	exclusive(t, a, b, c)
	clock.advance(ttl/2 + time.Second)
	beat(t, a, b)
	if diff := cmp.Diff([]int{8, 8, 0}, exclusive(t, a, b, c)); diff != "" {
		t.Fatalf("one died: %s", diff)
	}
	// b leaves in order: a has all at once.
	if err := b.holder.leave(context.Background(), clock.now()); err != nil {
		t.Fatal(err)
	}
	beat(t, a)
	if got := len(a.Held()); got != Buckets {
		t.Fatalf("after b left a has %d buckets", got)
	}
	// A worker that cannot renew stops believing before the table lets others in.
	clock.advance(ttl - ttl/renewals)
	if got := a.Held(); len(got) != 0 {
		t.Fatalf("a still believes in %v", got)
	}
}

func sorted(counts []int) []int {
	slices.SortFunc(counts, func(a, b int) int { return b - a })
	return counts
}

func TestABusyBucketIsNotGivenUp(t *testing.T) {
	pool, clock := testdb.NewPool(t), &fakeClock{t: time.Unix(1000, 0)}
	none := func(context.Context, int64) (bool, error) { return false, nil }
	a, b := newLoop(t, pool, "a", clock, none), newLoop(t, pool, "b", clock, none)
	beat(t, a)
	for bucket := range int64(Buckets) {
		if !a.holder.enter(bucket) {
			t.Fatalf("bucket %d is not a's", bucket)
		}
		if a.holder.enter(bucket) {
			t.Fatalf("bucket %d is worked on twice", bucket)
		}
	}
	beat(t, b, a, b)
	if diff := cmp.Diff([]int{16, 0}, exclusive(t, a, b)); diff != "" {
		t.Fatal(diff)
	}
	for bucket := range int64(Buckets) {
		a.holder.exit(bucket)
	}
	beat(t, a, b)
	if diff := cmp.Diff([]int{8, 8}, exclusive(t, a, b)); diff != "" {
		t.Fatal(diff)
	}
}

func TestABucketWithMoreIsVisitedAgainButNotForEver(t *testing.T) {
	pool, clock := testdb.NewPool(t), &fakeClock{t: time.Unix(1000, 0)}
	var mu sync.Mutex
	visits := map[int64]int{}
	l := newLoop(t, pool, "a", clock, func(_ context.Context, b int64) (bool, error) {
		mu.Lock()
		defer mu.Unlock()
		visits[b]++
		switch b {
		case 1:
			return visits[b] < 3, nil
		case 2:
			return true, nil
		case 3:
			return true, fmt.Errorf("broken: %w", context.DeadlineExceeded)
		}
		return false, nil
	})
	beat(t, l)
	if err := l.round(context.Background()); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("round: %v", err)
	}
	for bucket, want := range map[int64]int{0: 1, 1: 3, 2: maxRounds, 3: 1, 15: 1} {
		if visits[bucket] != want {
			t.Errorf("bucket %d: %d visits, want %d", bucket, visits[bucket], want)
		}
	}
}

func TestAHolderLeasesUntilItsEnd(t *testing.T) {
	pool, clock := testdb.NewPool(t), &fakeClock{t: time.Unix(1000, 0)}
	holder := func(worker string) *Holder {
		h, err := NewHolder(HolderOptions{
			Pool: pool, Kind: "test", Worker: worker, TTL: ttl, Clock: clock.now, Logger: slog.New(slog.DiscardHandler),
		})
		if err != nil {
			t.Fatal(err)
		}
		return h
	}
	first, second := holder("a"), holder("b")
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- first.Run(ctx) }()
	late := time.After(time.Minute)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for len(first.Held()) < Buckets {
		select {
		case <-tick.C:
		case <-late:
			t.Fatalf("alone it holds %v", first.Held())
		}
	}
	if err := second.beat(context.Background()); err != nil {
		t.Fatal(err)
	}
	if held := second.Held(); len(held) != 0 {
		t.Errorf("both hold %v", held)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if held := first.Held(); len(held) != 0 {
		t.Errorf("at its end it still believes in %v", held)
	}
	// The clock has not moved: the leases were given up and have not expired.
	if err := second.beat(context.Background()); err != nil {
		t.Fatal(err)
	}
	if held := second.Held(); len(held) != Buckets {
		t.Errorf("the other one holds %v, want all", held)
	}
}

func TestWorkersHaveTheirOptionsOrTheWorksOwn(t *testing.T) {
	job := Job{Kind: "test", Interval: time.Minute}
	for _, tt := range []struct{ interval, want time.Duration }{{0, time.Minute}, {time.Second, time.Second}} {
		o := WorkerOptions{Worker: "a", Interval: tt.interval, Logger: slog.New(slog.DiscardHandler)}
		l, err := o.NewLoop(nil, time.Now, job)
		if err != nil {
			t.Fatal(err)
		}
		if l.interval != tt.want || l.holder.ttl != DefaultTTL || l.holder.kind != "test" || l.holder.worker != "a" {
			t.Errorf("asked for %s: %s of %s by %s every %s",
				tt.interval, l.holder.ttl, l.holder.kind, l.holder.worker, l.interval)
		}
	}
}

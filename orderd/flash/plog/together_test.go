package plog_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	flashv1 "github.com/orderd-dev/orderd/api/gen/orderd/flash/v1"
	"github.com/orderd-dev/orderd/orderd/flash/plog"
)

// slowLog takes a millisecond for an append, and refuses writers who are behind.
type slowLog struct {
	plog.Log
	mu       sync.Mutex
	sequence uint64
	last     map[int32]uint64
	// sizes of the appends and batches that landed; lost says that the answer of the next batch is.
	sizes []int
	lost  bool
	under map[int32]int
}

var errLost = errors.New("lost")

func (l *slowLog) Append(ctx context.Context, entry plog.Entry) (uint64, error) {
	return l.AppendBatch(ctx, []plog.Entry{entry})
}

func (l *slowLog) AppendBatch(ctx context.Context, entries []plog.Entry) (uint64, error) {
	l.mu.Lock()
	for _, e := range entries {
		if l.under[e.Partition]++; l.under[e.Partition] > 1 {
			panic(fmt.Sprint("two appends to partition ", e.Partition, " at once"))
		}
	}
	l.mu.Unlock()
	select {
	case <-ctx.Done():
		return 0, ctx.Err()
	case <-time.After(time.Millisecond):
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range entries {
		l.under[e.Partition]--
	}
	for _, e := range entries {
		if l.last[e.Partition] != e.Expected {
			return 0, plog.ErrRefused
		}
	}
	for _, e := range entries {
		l.sequence++
		l.last[e.Partition] = l.sequence
	}
	l.sizes = append(l.sizes, len(entries))
	if l.lost && len(entries) > 1 {
		l.lost = false
		return 0, errLost
	}
	return l.sequence, nil
}

func newSlowLog() *slowLog { return &slowLog{last: map[int32]uint64{}, under: map[int32]int{}} }

// appendAll appends to partitions 0 to n-1 at once, after the last record of each.
func appendAll(log plog.Log, l *slowLog, n int32, stale int32) ([]uint64, []error) {
	sequences, errs := make([]uint64, n), make([]error, n)
	var group sync.WaitGroup
	for p := range n {
		l.mu.Lock()
		expected := l.last[p]
		l.mu.Unlock()
		if p == stale {
			expected += 1000
		}
		group.Go(func() {
			entry := plog.Entry{Partition: p, Expected: expected, Record: &flashv1.Record{}}
			sequences[p], errs[p] = log.Append(context.Background(), entry)
		})
	}
	group.Wait()
	return sequences, errs
}

func TestAppendsThatWaitGoTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newSlowLog()
		log := plog.Together(l)
		for range 3 {
			sequences, errs := appendAll(log, l, 16, -1)
			for p, err := range errs {
				if err != nil || sequences[p] != l.last[int32(p)] {
					t.Errorf("partition %d: sequence %d (%v), the log has %d", p, sequences[p], err, l.last[int32(p)])
				}
			}
		}
		if len(l.sizes) > 12 {
			t.Errorf("48 appends went as %v, want few", l.sizes)
		}
	})
}

func TestAMemberWhoIsBehindStopsNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newSlowLog()
		sequences, errs := appendAll(plog.Together(l), l, 16, 9)
		for p, err := range errs {
			switch {
			case p == 9:
				if !errors.Is(err, plog.ErrRefused) || l.last[9] != 0 {
					t.Errorf("the one that is behind got %v, and its log ends at %d", err, l.last[9])
				}
			case err != nil || sequences[p] != l.last[int32(p)]:
				t.Errorf("partition %d: sequence %d (%v), the log has %d", p, sequences[p], err, l.last[int32(p)])
			}
		}
	})
}

func TestAnUnknownOutcomeIsUnknownToAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newSlowLog()
		l.lost = true
		_, errs := appendAll(plog.Together(l), l, 16, -1)
		unknown := 0
		for p, err := range errs {
			switch {
			case errors.Is(err, plog.ErrRefused):
				t.Errorf("partition %d was refused", p)
			case err != nil:
				unknown++
			}
		}
		if unknown < 2 {
			t.Errorf("%d members of a lost batch have an unknown outcome", unknown)
		}
	})
}

func TestOneWhoLeavesHoldsNobodyUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newSlowLog()
		log := plog.Together(l)
		var group sync.WaitGroup
		for p := range int32(32) {
			ctx, cancel := context.WithTimeout(context.Background(), time.Duration(p)*100*time.Microsecond+time.Microsecond)
			defer cancel()
			group.Go(func() { _, _ = log.Append(ctx, plog.Entry{Partition: 100 + p, Record: &flashv1.Record{}}) })
		}
		group.Wait()
		l.under = map[int32]int{}
		if _, errs := appendAll(log, l, 4, -1); errors.Join(errs...) != nil {
			t.Error(errs)
		}
	})
}

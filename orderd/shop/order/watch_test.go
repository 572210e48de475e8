package order

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"connectrpc.com/connect/v2"
	"github.com/google/go-cmp/cmp"

	orderv1 "github.com/orderd-dev/orderd/api/gen/orderd/order/v1"
	"github.com/orderd-dev/orderd/orderd/kit/rpcerr"
)

// told tells of an order what a test wants it to.
type told struct {
	entries chan struct{}
	version atomic.Int64
}

func (w *told) Told() <-chan struct{} { return w.entries }
func (w *told) Take(has int64) bool   { return w.version.Load() > has }
func (w *told) Sent()                 {}

// sent is a message as a test compares it: a version and a state, or a sign of life.
type sent struct {
	Version int64
	State   orderv1.OrderState
	Life    bool
}

// followed is a follower in virtual time, of an order that a test changes.
type followed struct {
	follower

	told *told
	// mu guards what follows: virtual time that passes is no synchronisation.
	mu    sync.Mutex
	order *Order
	err   error
	sent  []sent
	ended error
}

// follow an order, from what the watcher has on, if it has a version.
func follow(t *testing.T, o *Order, has *shown) *followed {
	f := &followed{told: &told{entries: make(chan struct{}, 1)}, order: o}
	f.follower = follower{
		watcher: f.told, jitter: func(d time.Duration) time.Duration { return d }, has: has,
		read: func(context.Context) (*Order, error) {
			f.mu.Lock()
			defer f.mu.Unlock()
			return f.order, f.err
		},
		send: func(o *orderv1.Order) error {
			f.mu.Lock()
			defer f.mu.Unlock()
			f.sent = append(f.sent, sent{Version: o.GetVersion(), State: o.GetState(), Life: o == nil})
			return nil
		},
	}
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		err := f.run(ctx)
		f.mu.Lock()
		defer f.mu.Unlock()
		f.ended = err
	}()
	t.Cleanup(func() { cancel(); synctest.Wait() })
	synctest.Wait()
	return f
}

// change the order, and tell of a version.
func (f *followed) change(o *Order, version int64) {
	f.is(o, nil)
	f.told.version.Store(version)
	f.told.entries <- struct{}{}
	synctest.Wait()
}

// is what a read finds from now on.
func (f *followed) is(o *Order, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.order, f.err = o, err
}

// live until the next sign of life.
func (f *followed) live() {
	time.Sleep(signOfLife)
	synctest.Wait()
}

func (f *followed) wants(t *testing.T, want ...sent) {
	t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	if diff := cmp.Diff(want, f.sent); diff != "" {
		t.Errorf("sent (-want +got):\n%s", diff)
	}
	f.sent = nil
}

// fails the reads, and wants it to end so.
func (f *followed) fails(t *testing.T, err error) {
	t.Helper()
	f.is(nil, err)
	f.told.version.Store(1 << 50)
	f.told.entries <- struct{}{}
	synctest.Wait()
	f.mu.Lock()
	defer f.mu.Unlock()
	if !errors.Is(f.ended, err) {
		t.Errorf("ended with %v, want %v", f.ended, err)
	}
}

const (
	protoAccepted  = orderv1.OrderState_ORDER_STATE_ACCEPTED
	protoPending   = orderv1.OrderState_ORDER_STATE_PENDING_PAYMENT
	protoPaid      = orderv1.OrderState_ORDER_STATE_PAID
	protoCancelled = orderv1.OrderState_ORDER_STATE_CANCELLED
)

var life = sent{Life: true}

func TestFollowing(t *testing.T) {
	for _, test := range []struct {
		name  string
		has   *shown
		order *Order
		want  sent
	}{
		{"who has nothing", nil, &Order{Version: 3, State: Paid}, sent{Version: 3, State: protoPaid}},
		{"who has an older one", &shown{version: 2}, &Order{Version: 3, State: Paid}, sent{Version: 3, State: protoPaid}},
		{"who has it", &shown{version: 3}, &Order{Version: 3, State: Paid}, life},
		{
			"who has one of before a restore", &shown{version: 4}, &Order{Version: 3, State: Paid},
			sent{Version: 3, State: protoPaid},
		},
		{"who has nothing of an accepted one", nil, &Order{State: InFlashLane}, sent{State: protoAccepted}},
		{"who has it as accepted", &shown{}, &Order{State: InFlashLane}, life},
		{"who has it as accepted, and it is gone", &shown{}, &Order{State: Cancelled}, sent{State: protoCancelled}},
		{
			"who has it as accepted, and it is written", &shown{}, &Order{Version: 1, State: PendingPayment},
			sent{Version: 1, State: protoPending},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { follow(t, test.order, test.has).wants(t, test.want) })
		})
	}
}

func TestFollowingChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := follow(t, &Order{Version: 1, State: PendingPayment}, nil)
		f.wants(t, sent{Version: 1, State: protoPending})
		// The event of what was read already.
		f.change(f.order, 1)
		f.wants(t)
		// Two changes, of which the first is told.
		f.change(&Order{Version: 3, State: Cancelled}, 2)
		f.wants(t, sent{Version: 3, State: protoCancelled})
		f.change(f.order, 3)
		// Somebody tells of what is not so, and a database answers with what was before.
		f.change(f.order, 1<<40)
		f.change(&Order{Version: 2, State: Paid}, 1<<40)
		f.wants(t)
		f.live()
		f.wants(t, life)
		f.fails(t, errors.New("away"))
	})
}

// No event tells that an accepted order could not be written.
func TestFollowingAnOrderThatIsNeverWritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := follow(t, &Order{State: InFlashLane}, nil)
		f.wants(t, sent{State: protoAccepted})
		f.live()
		f.wants(t, life)
		f.is(nil, rpcerr.New(connect.CodeUnavailable, rpcerr.ReasonLaneUnavailable, "the lane is away"))
		f.live()
		f.wants(t, life)
		f.is(&Order{State: Cancelled}, nil)
		f.live()
		f.wants(t, life, sent{State: protoCancelled})
		f.live()
		f.wants(t, life)
	})
}

// An accepted order that is told of is read while the lane is away, and is its buyer's as soon as it can be.
func TestFollowingAnOrderIntoTheDatabase(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := follow(t, &Order{State: InFlashLane}, nil)
		f.change(&Order{Version: 1, State: PendingPayment}, 1)
		f.change(&Order{Version: 2, State: Cancelled}, 2)
		f.wants(t, sent{State: protoAccepted}, sent{Version: 1, State: protoPending},
			sent{Version: 2, State: protoCancelled})
	})
}

package route

import (
	"context"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	flashv1 "github.com/orderd-dev/orderd/api/gen/orderd/flash/v1"
	"github.com/orderd-dev/orderd/orderd/flash/client"
	"github.com/orderd-dev/orderd/orderd/flash/members"
	"github.com/orderd-dev/orderd/orderd/flash/owner"
	"github.com/orderd-dev/orderd/orderd/flash/placement"
	"github.com/orderd-dev/orderd/orderd/flash/plog"
	"github.com/orderd-dev/orderd/orderd/flash/promotion"
	"github.com/orderd-dev/orderd/orderd/kit/rpcerr"
)

func TestPatienceEndsSecondsLaterForAllWhoCameInASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var w waits
		for range 5 {
			came := time.Now()
			first := w.end(came)
			time.Sleep(waitStep - time.Millisecond)
			if w.end(time.Now()) != first {
				t.Error("two who came within a second do not share")
			}
			<-first
			if waited := time.Since(came); waited < client.Timeout || waited > client.Timeout+waitStep {
				t.Errorf("waited for %s", waited)
			}
		}
	})
}

// deafLog never says what it has, so that its owner answers nobody.
type deafLog struct{ plog.Log }

func (deafLog) Last(ctx context.Context, _ int32) (uint64, error) {
	<-ctx.Done()
	return 0, ctx.Err()
}

func (deafLog) Append(ctx context.Context, _ plog.Entry) (uint64, error) {
	<-ctx.Done()
	return 0, ctx.Err()
}

// deafTarget is a partition of a router's own pod whose owner answers nobody while ctx lasts.
func deafTarget(ctx context.Context, t *testing.T) (*Router, Target) {
	t.Helper()
	promo := promotion.New(&flashv1.Promotion{Uid: "uid", Name: "sale", Partitions: 1, Open: true})
	pods := []members.Member{{Name: "self", Address: "self:1"}}
	placed := NewPlaced(promo, pods, placement.NewMembers([]string{"self"}))
	same := func(d time.Duration) time.Duration { return d }
	yes := func() bool { return true }
	metrics, err := owner.NewMetrics(nil)
	if err != nil {
		t.Fatal(err)
	}
	o := owner.New(owner.Options{
		Name: "self", Log: deafLog{}, Promotion: func() *promotion.Promotion { return promo }, Owned: yes, Lease: yes,
		Clock: time.Now, Jitter: same, Logger: slog.New(slog.DiscardHandler), Metrics: metrics,
	})
	go o.Run(ctx)
	r, err := New(Options{
		Name: "self", Current: func(string) *Placed { return placed }, Local: func(Target) *owner.Owner { return o },
		Clock: time.Now, Jitter: same, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	return r, Target{Placed: placed}
}

// Whoever waits does so until the own context ends, and never for long.
func TestAPatientCallerIsGoneForWhoeverAsks(t *testing.T) {
	tests := []struct {
		name string
		// leaves is when the caller does; 0: never.
		leaves time.Duration
		// least and most that the caller waits.
		least, most time.Duration
	}{
		{"a caller who leaves", time.Second, time.Second, time.Second},
		{"a caller who had left before", -time.Second, 0, 0},
		{"a caller who stays", time.Hour, client.Timeout, client.Timeout + waitStep},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				running, stop := context.WithCancel(t.Context())
				r, target := deafTarget(running, t)
				ctx, cancel := context.WithTimeout(t.Context(), test.leaves)
				came := time.Now()
				_, err := r.PlaceOne(ctx, target, &flashv1.PlaceFlashOrderRequest{
					Promotion: "sale", BuyerId: "ann", RequestId: "r",
				})
				if waited := time.Since(came); waited < test.least || waited > test.most {
					t.Errorf("waited for %s, want %s to %s", waited, test.least, test.most)
				}
				if reason := rpcerr.Reason(err); reason != rpcerr.ReasonPartitionMoving {
					t.Errorf("answered %v, want %s", err, rpcerr.ReasonPartitionMoving)
				}
				cancel()
				stop()
				synctest.Wait()
				r.Close()
				// The timer that all share ends.
				time.Sleep(client.Timeout + waitStep)
			})
		})
	}
}

package owner_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	flashv1 "github.com/orderd-dev/orderd/api/gen/orderd/flash/v1"
	"github.com/orderd-dev/orderd/orderd/flash/owner"
	"github.com/orderd-dev/orderd/orderd/flash/plog"
	"github.com/orderd-dev/orderd/orderd/flash/promotion"
	"github.com/orderd-dev/orderd/orderd/kit/orderid"
	"github.com/orderd-dev/orderd/orderd/kit/rpcerr"
)

// muteLog has one partition that was opened. Once it is mute, it says nothing about its last
// record.
type muteLog struct {
	mu      sync.Mutex
	records []*flashv1.Record
	mute    atomic.Bool
	asked   atomic.Int64
}

func (l *muteLog) Append(_ context.Context, entry plog.Entry) (uint64, error) {
	record, err := entry.Decode()
	if err != nil {
		return 0, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if uint64(len(l.records)) != entry.Expected {
		return 0, plog.ErrRefused
	}
	l.records = append(l.records, record)
	return uint64(len(l.records)), nil
}

func (l *muteLog) AppendBatch(context.Context, []plog.Entry) (uint64, error) {
	return 0, plog.ErrRefused
}

func (l *muteLog) Last(ctx context.Context, _ int32) (uint64, error) {
	if l.mute.Load() {
		l.asked.Add(1)
		<-ctx.Done()
		return 0, ctx.Err()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return uint64(len(l.records)), nil
}

func (l *muteLog) Read(_ context.Context, _ int32, after, upTo uint64, each func(uint64, *flashv1.Record) error) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := after; i < upTo; i++ {
		if err := each(i+1, l.records[i]); err != nil {
			return err
		}
	}
	return nil
}

// While NATS is away, whoever asks for an order that there is not costs the owner's time. It is
// spent once for all who ask.
func TestQuestionsDoNotWaitForProofsOneAfterTheOther(t *testing.T) {
	ids, err := orderid.NewGenerator(make([]byte, orderid.MinKeyBytes), time.Now, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	log := &muteLog{records: []*flashv1.Record{{Kind: &flashv1.Record_Opened{Opened: &flashv1.Opened{
		Items: []*flashv1.ItemQuantity{{Sku: "a", Quantity: 10}},
	}}}}}
	current := promotion.New(&flashv1.Promotion{
		Uid: "uid", Name: "sale", Streams: []string{"s"}, Partitions: 1, Open: true, EndUnixMs: 1 << 60,
		Items: []*flashv1.PromotedItem{{Sku: "a", UnitPrice: 1}},
	})
	yes := func() bool { return true }
	o := owner.New(owner.Options{
		Name: "pod", Log: log, Promotion: func() *promotion.Promotion { return current }, Owned: yes, Lease: yes,
		Peers: nobody{}, OrderIDs: ids, Clock: time.Now, Jitter: func(d time.Duration) time.Duration { return d },
		Logger: slog.New(slog.DiscardHandler),
	})
	running, stop := context.WithCancel(t.Context())
	go o.Run(running)
	defer func() {
		stop()
		<-o.Done()
	}()
	lookup := func(i int) string {
		_, err := o.Lookup(t.Context(), &flashv1.GetFlashOrderRequest{BuyerId: fmt.Sprint("buyer-", i), RequestId: "r"})
		return rpcerr.Reason(err)
	}
	if reason := lookup(0); reason != rpcerr.ReasonOrderNotFound {
		t.Fatalf("%q, want %s", reason, rpcerr.ReasonOrderNotFound)
	}
	log.mute.Store(true)
	var asking sync.WaitGroup
	for i := range 64 {
		asking.Go(func() {
			if reason := lookup(i); reason != rpcerr.ReasonPartitionMoving {
				t.Errorf("%q, want %s", reason, rpcerr.ReasonPartitionMoving)
			}
		})
	}
	asking.Wait()
	// The first for itself, and those who came meanwhile together; a busy machine may bring them in
	// a few more turns.
	if asked := log.asked.Load(); asked > 8 {
		t.Errorf("the log was asked %d times for 64 questions", asked)
	}
	log.mute.Store(false)
	if reason := lookup(1); reason != rpcerr.ReasonOrderNotFound {
		t.Errorf("%q once the log answers, want %s", reason, rpcerr.ReasonOrderNotFound)
	}
}

package flash_test

import (
	"context"
	"crypto/rand"
	"errors"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	flashv1 "github.com/orderd-dev/orderd/api/gen/orderd/flash/v1"
	"github.com/orderd-dev/orderd/orderd/flash/owner"
	"github.com/orderd-dev/orderd/orderd/flash/plog"
	"github.com/orderd-dev/orderd/orderd/flash/promotion"
	"github.com/orderd-dev/orderd/orderd/flash/refusal"
	"github.com/orderd-dev/orderd/orderd/kit/orderid"
	"github.com/orderd-dev/orderd/orderd/kit/rpcerr"
)

// alone has no other shards to ask.
type alone struct{}

func (alone) Transfer(context.Context, *flashv1.TransferRequest) (*flashv1.TransferResponse, error) {
	return nil, refusal.NotOwner()
}

func yes() bool { return true }

func newOrderIDs() *orderid.Generator {
	GinkgoHelper()
	ids, err := orderid.NewGenerator([]byte("0123456789abcdef"), time.Now, rand.Reader)
	Expect(err).NotTo(HaveOccurred())
	return ids
}

// newOwner of partition 0 of a promotion, which believes for ever that the partition is its own.
func newOwner(js jetstream.JetStream, p *flashv1.Promotion, name string, wrap func(plog.Log) plog.Log) *owner.Owner {
	GinkgoHelper()
	options := ownerOptions(js, p, name)
	if wrap != nil {
		options.Log = wrap(options.Log)
	}
	return owner.New(options)
}

func ownerOptions(js jetstream.JetStream, p *flashv1.Promotion, name string) owner.Options {
	GinkgoHelper()
	current := promotion.New(p)
	return owner.Options{
		Name:      name,
		Partition: 0,
		Log:       plog.New(js, p),
		Promotion: func() *promotion.Promotion { return current },
		Owned:     yes,
		Lease:     yes,
		Peers:     alone{},
		OrderIDs:  newOrderIDs(),
		Clock:     time.Now,
		Jitter:    func(d time.Duration) time.Duration { return d },
		Logger:    logger().With("pod", name),
	}
}

// run an owner until the test ends.
func run(o *owner.Owner) *owner.Owner {
	ctx, cancel := context.WithCancel(context.Background())
	go o.Run(ctx)
	DeferCleanup(func() {
		cancel()
		<-o.Done()
	})
	return o
}

// insistOn is insist with owners in place of pods.
func insistOn(ctx context.Context, owners []*owner.Owner, first int, r *flashv1.PlaceFlashOrderRequest) outcome {
	for attempt := first; ; attempt++ {
		try, cancel := context.WithTimeout(ctx, 3*time.Second)
		response, err := owners[attempt%len(owners)].Reserve(try, r)
		cancel()
		if err == nil {
			return outcome{order: response.GetOrderId()}
		}
		if reason := rpcerr.Reason(err); reason != rpcerr.ReasonPartitionMoving && reason != rpcerr.ReasonOverloaded ||
			ctx.Err() != nil {
			return outcome{reason: reason}
		}
	}
}

// wrappedLog changes what one append does.
type wrappedLog struct {
	plog.Log
	append func(ctx context.Context, log plog.Log, entry plog.Entry) (uint64, error)
}

func (l *wrappedLog) Append(ctx context.Context, entry plog.Entry) (uint64, error) {
	return l.append(ctx, l.Log, entry)
}

var errLostAck = errors.New("the acknowledgement was lost")

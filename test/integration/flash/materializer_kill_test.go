package flash_test

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"os"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"google.golang.org/protobuf/proto"

	flashv1 "github.com/orderd-dev/orderd/api/gen/orderd/flash/v1"
	"github.com/orderd-dev/orderd/orderd/flash/client"
	"github.com/orderd-dev/orderd/orderd/flash/prepare"
	"github.com/orderd-dev/orderd/orderd/kit/database"
	"github.com/orderd-dev/orderd/orderd/kit/lease"
	"github.com/orderd-dev/orderd/orderd/shop/order"
)

// childStore is on the database that the child was told.
func childStore(ctx context.Context, log *slog.Logger) (*order.Store, *pgxpool.Pool, error) {
	pool, err := database.Open(ctx, os.Getenv(databaseVariable), 4)
	if err != nil {
		return nil, nil, err
	}
	store, err := order.NewStore(order.Options{Pool: pool, Clock: time.Now, Logger: log})
	return store, pool, err
}

// dyingRefuser dies as soon as it is decided that orders are not written.
type dyingRefuser struct{ *order.Store }

func (w dyingRefuser) Refuse(ctx context.Context, unwritable []order.Unwritable) (map[uuid.UUID]bool, error) {
	refused, err := w.Store.Refuse(ctx, unwritable)
	if err == nil {
		die()
	}
	return refused, err
}

// dyingPublisher dies as soon as something is published.
type dyingPublisher struct{ jetstream.JetStream }

func (p dyingPublisher) PublishMsg(
	ctx context.Context, msg *nats.Msg, options ...jetstream.PublishOpt,
) (*jetstream.PubAck, error) {
	ack, err := p.JetStream.PublishMsg(ctx, msg, options...)
	if err == nil {
		die()
	}
	return ack, err
}

func refuseThenDie(ctx context.Context, js jetstream.JetStream, part string, log *slog.Logger) error {
	store, pool, err := childStore(ctx, log)
	if err != nil {
		return err
	}
	defer pool.Close()
	if part == childLetter {
		return newMaterializer(dyingPublisher{js}, store, log)(ctx)
	}
	return newMaterializer(js, dyingRefuser{store}, log)(ctx)
}

// dyingClient dies when a release has landed and nobody knows.
type dyingClient struct{ order.FlashReleaser }

func (c dyingClient) Release(
	ctx context.Context, promotionUID, buyerID string, orderID uuid.UUID, reason flashv1.ReleaseReason,
) (flashv1.ReleaseOutcome, error) {
	outcome, err := c.FlashReleaser.Release(ctx, promotionUID, buyerID, orderID, reason)
	if err == nil {
		die()
	}
	return outcome, err
}

// releaseThenDie asks the one pod there is.
func releaseThenDie(ctx context.Context, js jetstream.JetStream, log *slog.Logger) error {
	store, pool, err := childStore(ctx, log)
	if err != nil {
		return err
	}
	defer pool.Close()
	address, err := memberAddress(ctx, js)
	if err != nil {
		return err
	}
	r, err := order.NewReleaser(order.ReleaserOptions{
		Worker: order.WorkerOptions{
			Store:         store,
			WorkerOptions: lease.WorkerOptions{Worker: "child", Interval: 20 * time.Millisecond, TTL: time.Second, Logger: log},
		},
		Flash: dyingClient{client.NewReleaser("http://" + address)},
	})
	if err != nil {
		return err
	}
	return r.Run(ctx)
}

func memberAddress(ctx context.Context, js jetstream.JetStream) (string, error) {
	members, err := js.KeyValue(ctx, prepare.MembersBucket)
	if err != nil {
		return "", err
	}
	names, err := members.Keys(ctx)
	if err != nil {
		return "", err
	}
	if len(names) != 1 {
		return "", errors.New("there is more than one pod")
	}
	entry, err := members.Get(ctx, names[0])
	if err != nil {
		return "", err
	}
	member := &flashv1.Member{}
	if err := proto.Unmarshal(entry.Value(), member); err != nil {
		return "", err
	}
	return member.GetAddress(), nil
}

// impatient has the server give a dead worker's records to another one soon.
func (l *lane) impatient(ctx context.Context) {
	GinkgoHelper()
	stream, err := l.js.Stream(ctx, l.p.Streams[0])
	Expect(err).NotTo(HaveOccurred())
	consumer, err := stream.Consumer(ctx, prepare.MaterializerConsumer)
	Expect(err).NotTo(HaveOccurred())
	config := consumer.CachedInfo().Config
	config.AckWait = time.Second
	_, err = stream.UpdateConsumer(ctx, config)
	Expect(err).NotTo(HaveOccurred())
}

// expire cancels orders as the expirer does, whose time to pay is made to be over.
func (l *lane) expire(ctx context.Context, ids ...uuid.UUID) {
	GinkgoHelper()
	_, err := l.pool.Exec(ctx, "UPDATE orders SET expires_at = now() - interval '1 second' WHERE order_id = ANY ($1)", ids)
	Expect(err).NotTo(HaveOccurred())
	Expect(l.store.Expire(ctx, ids, time.Now())).To(Succeed())
}

var _ = DescribeTable("A worker that is killed while it takes orders out",
	func(ctx SpecContext, part string, closed bool) {
		l := newLane(ctx, 1, 0, prepare.Item{SKU: "a", Quantity: 100}, prepare.Item{SKU: "b", Quantity: 50})
		l.sell(ctx, 60, everyThird)
		_, err := l.pool.Exec(ctx, "DELETE FROM skus WHERE sku = 'b'")
		Expect(err).NotTo(HaveOccurred())
		if closed {
			l.close(ctx)
		}
		l.impatient(ctx)
		if part == childReleaser {
			stop := l.materialize(l.store)
			l.drained(ctx)
			stop()
		}
		p := startPod(l.js, "pod-b", nil)
		ready(p)
		runChild(ctx, part, l.server.URL(), l.p, l.url)
		if part != childReleaser {
			Expect(prepare.Drained(ctx, l.js, l.p)).To(BeFalse())
		}
		Expect(order.PendingReleases(ctx, l.pool, l.p.Uid)).To(BeNumerically(">", 0), "nobody knows of a release yet")

		l.catalogue(ctx, "b")
		l.materialize(l.store)
		l.drained(ctx)
		l.release(p)
		l.released(ctx)
		l.expectProved(ctx)
		written, letters := l.written(ctx), l.dead(ctx)
		for _, id := range l.inLog(ctx)["a"] {
			Expect(written).To(HaveKey(id))
		}
		refused := 0
		for _, id := range l.inLog(ctx)["b"] {
			_, there := written[id]
			_, dead := letters[id.String()]
			Expect(there).NotTo(Equal(dead), "an order is in the database or a dead letter")
			if dead {
				refused++
			}
		}
		Expect(refused).To(BeNumerically(">", 0))
		Expect(len(letters)).To(Equal(refused))
		l.expectStockOf(ctx, "b", 50, int64(20-refused))
	},
	Entry("when they are marked, in a live sale", childRefuser, false),
	Entry("when they are marked, after the sale", childRefuser, true),
	Entry("when the first dead letter is published, in a live sale", childLetter, false),
	Entry("when the first dead letter is published, after the sale", childLetter, true),
	Entry("when the first release landed, in a live sale", childReleaser, false),
	Entry("when the first release was answered, after the sale", childReleaser, true),
)

// expectStockOf settles the sale and compares what is left on the shelf with what is really sold.
func (l *lane) expectStockOf(ctx context.Context, sku string, allocated, sold int64) {
	GinkgoHelper()
	Expect(l.sale().ReturnUnsold(ctx, l.close(ctx))).To(Succeed())
	l.expectLevels(ctx, sku, allocated-sold, sold)
}

var _ = Describe(
	"A worker that is killed when cancelled orders are released in the log and not in the database",
	func() {
		It("has them released once by another worker", func(ctx SpecContext) {
			l := newLane(ctx, 1, 0, prepare.Item{SKU: "a", Quantity: 100})
			l.sell(ctx, 40, onlyA)
			l.materialize(l.store)
			l.drained(ctx)
			l.expire(ctx, slices.Collect(maps.Keys(l.written(ctx)))...)
			p := startPod(l.js, "pod-b", nil)
			ready(p)
			runChild(ctx, childReleaser, l.server.URL(), l.p, l.url)
			Expect(order.PendingReleases(ctx, l.pool, l.p.Uid)).To(BeEquivalentTo(40), "the database knows of none")
			Expect(sales(ctx, l.js, l.p)["a"].Sold).To(BeNumerically("<", 40), "the log knows of some")
			l.release(p)
			l.released(ctx)
			l.expectProved(ctx)
			l.expectStockOf(ctx, "a", 100, 0)
		})
	},
)

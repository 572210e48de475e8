package flash_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"connectrpc.com/connect/v2"
	"github.com/google/uuid"
	"github.com/nats-io/nats.go/jetstream"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	deadletterv1 "github.com/orderd-dev/orderd/api/gen/orderd/deadletter/v1"
	flashv1 "github.com/orderd-dev/orderd/api/gen/orderd/flash/v1"
	"github.com/orderd-dev/orderd/orderd/flash/plog"
	"github.com/orderd-dev/orderd/orderd/flash/prepare"
	"github.com/orderd-dev/orderd/orderd/kit/rpcerr"
	"github.com/orderd-dev/orderd/orderd/shop/order"
	"github.com/orderd-dev/orderd/orderd/shop/stock"
)

// everyThird is b, the others a.
func everyThird(i int) string {
	if i%3 == 0 {
		return "b"
	}
	return "a"
}

func onlyA(int) string { return "a" }

var _ = Describe("Orders that the database refuses for good", func() {
	It("are taken out alone, become dead letters and give their stock and limits back to the sale", func(ctx SpecContext) {
		l := newLane(ctx, 1, 1, prepare.Item{SKU: "a", Quantity: 100}, prepare.Item{SKU: "b", Quantity: 50})
		l.sell(ctx, 90, everyThird)
		_, err := l.pool.Exec(ctx, "DELETE FROM skus WHERE sku = 'b'")
		Expect(err).NotTo(HaveOccurred())
		l.materialize(l.store)
		l.drained(ctx)

		ids := l.inLog(ctx)
		written := l.written(ctx)
		Expect(written).To(HaveLen(60))
		for _, id := range ids["a"] {
			Expect(written).To(HaveKeyWithValue(id, "a"))
		}
		letters := l.dead(ctx)
		Expect(letters).To(HaveLen(30))
		for _, id := range ids["b"] {
			letter := letters[id.String()]
			Expect(letter.GetOrderId()).To(Equal(id.String()))
			Expect(letter.GetEventType()).To(Equal("orderd.flash.v1.Reservation"))
			Expect(letter.GetReason()).To(Equal("SKU b is not in the catalog"))
		}
		l.expectProved(ctx)

		By("releasing them, so that another buyer and the same one can have them")
		p := startPod(l.js, "pod-b", nil)
		ready(p)
		l.release(p)
		l.released(ctx)
		l.expectProved(ctx)
		Expect(sales(ctx, l.js, l.p)["b"]).To(Equal(prepare.Total{SKU: "b", Allocated: 50, Unsold: 50}))
		status, err := p.GetFlashOrder(ctx,
			&flashv1.GetFlashOrderRequest{Promotion: l.p.Name, BuyerId: "buyer-3", RequestId: "r"})
		Expect(err).NotTo(HaveOccurred())
		Expect(status.GetState()).To(Equal(flashv1.FlashOrderState_FLASH_ORDER_STATE_RELEASED))
		again, err := p.PlaceFlashOrder(ctx, request(l.p, "buyer-3", "r2", "b", 1))
		Expect(err).NotTo(HaveOccurred())
		Expect(again.GetOrderId()).NotTo(BeEmpty())
	})

	It("are shown, not replayed, and can be discarded", func(ctx SpecContext) {
		l := newLane(ctx, 1, 0, prepare.Item{SKU: "a", Quantity: 10})
		l.sell(ctx, 1, onlyA)
		_, err := l.pool.Exec(ctx, "DELETE FROM skus")
		Expect(err).NotTo(HaveOccurred())
		l.materialize(l.store)
		l.drained(ctx)
		id := l.inLog(ctx)["a"][0].String()
		letter := l.dead(ctx)[id]
		shown, err := l.letters.GetDeadLetter(ctx, &deadletterv1.GetDeadLetterRequest{DeadLetterId: letter.GetDeadLetterId()})
		Expect(err).NotTo(HaveOccurred())
		Expect(shown.GetEventJson()).To(ContainSubstring(`"buyerId":"buyer-0"`))
		_, err = l.letters.ReplayDeadLetter(ctx,
			&deadletterv1.ReplayDeadLetterRequest{RequestId: "q", DeadLetterId: letter.GetDeadLetterId()})
		Expect(connect.CodeOf(err)).To(Equal(connect.CodeFailedPrecondition))
		Expect(rpcerr.Reason(err)).To(Equal("NOT_REPLAYABLE"))
		_, err = l.letters.DiscardDeadLetter(ctx,
			&deadletterv1.DiscardDeadLetterRequest{RequestId: "d", DeadLetterId: letter.GetDeadLetterId()})
		Expect(err).NotTo(HaveOccurred())
		Expect(l.dead(ctx)).To(BeEmpty())
	})

	It("are found among hundreds of others whatever constraint they break", func(ctx SpecContext) {
		l := newLane(ctx, 1, 0, prepare.Item{SKU: "a", Quantity: 1000})
		_, err := l.pool.Exec(ctx, `ALTER TABLE orders ADD CONSTRAINT odd
			CHECK (buyer_id NOT IN ('buyer-7', 'buyer-8', 'buyer-299') AND char_length(buyer_id) <> 4)`)
		Expect(err).NotTo(HaveOccurred())
		l.sell(ctx, 300, onlyA)
		By("having one that PostgreSQL's text takes in no column; CockroachDB's does, and the constraint refuses it there")
		log := plog.New(l.js, l.p)
		last, err := log.Last(ctx, 0)
		Expect(err).NotTo(HaveOccurred())
		odd := uuid.New()
		_, err = log.Append(ctx, plog.Entry{
			Partition: 0,
			Expected:  last,
			Record: &flashv1.Record{Kind: &flashv1.Record_Reserved{Reserved: &flashv1.Reserved{
				Reservations: []*flashv1.Reservation{
					{
						OrderId:          odd[:],
						BuyerId:          "nu\x00l",
						RequestId:        "r",
						Currency:         "EUR",
						AcceptedAtUnixMs: time.Now().UnixMilli(),
						ExpiresAtUnixMs:  time.Now().Add(time.Hour).UnixMilli(),
						Items:            []*flashv1.ReservedItem{{Sku: "a", Quantity: 2, UnitPrice: 100}},
					},
				},
			}}},
		})
		Expect(err).NotTo(HaveOccurred())
		l.materialize(l.store)
		l.drained(ctx)
		Expect(l.written(ctx)).To(HaveLen(297))
		Expect(l.dead(ctx)).To(HaveLen(4))
		Expect(l.dead(ctx)[odd.String()].GetReason()).To(ContainSubstring("the database refuses it"))
		p := startPod(l.js, "pod-b", nil)
		ready(p)
		l.release(p)
		l.released(ctx)
		l.expectProved(ctx)
		Expect(sales(ctx, l.js, l.p)["a"].Sold).To(BeEquivalentTo(297))
	})

	It("are credited to stock once, where there is some, if the sale was closed before", func(ctx SpecContext) {
		l := newLane(ctx, 1, 0, prepare.Item{SKU: "a", Quantity: 100}, prepare.Item{SKU: "b", Quantity: 50})
		l.sell(ctx, 30, everyThird)
		l.close(ctx)
		_, err := l.pool.Exec(ctx, "DELETE FROM skus WHERE sku = 'b'")
		Expect(err).NotTo(HaveOccurred())
		l.materialize(l.store)
		l.drained(ctx)
		l.expectProved(ctx)
		p := startPod(l.js, "pod-b", nil)
		ready(p)
		for range 2 {
			l.release(p)
		}
		l.released(ctx)
		By("proving the same before and after, since a closed log does not change")
		l.expectProved(ctx)
		Expect(
			stock.ReturnUnsold(ctx, l.pool, l.p.Uid, []stock.Quantity{{SKU: "a", Quantity: 80}, {SKU: "b", Quantity: 40}}),
		).To(Succeed())
		Expect(stock.Get(ctx, l.pool, "b")).To(Equal(stock.Levels{Available: 50}))
		Expect(stock.Get(ctx, l.pool, "a")).To(Equal(stock.Levels{Available: 80, Reserved: 20}))
	})

	It("keep no others waiting where their stock cannot be credited", func(ctx SpecContext) {
		l := newLane(ctx, 1, 0, prepare.Item{SKU: "a", Quantity: 100}, prepare.Item{SKU: "b", Quantity: 50})
		l.sell(ctx, 30, everyThird)
		l.close(ctx)
		_, err := l.pool.Exec(ctx, "DELETE FROM skus")
		Expect(err).NotTo(HaveOccurred())
		l.materialize(l.store)
		l.drained(ctx)
		By("having more of b in stock than a column can hold one more of")
		var had int64
		Expect(l.pool.QueryRow(ctx, "SELECT available FROM stock WHERE sku = 'b'").Scan(&had)).To(Succeed())
		_, err = l.pool.Exec(ctx, "UPDATE stock SET available = 9223372036854775807 WHERE sku = 'b'")
		Expect(err).NotTo(HaveOccurred())
		p := startPod(l.js, "pod-b", nil)
		ready(p)
		l.release(p)
		putOff := func() (n int, err error) {
			err = l.pool.QueryRow(ctx, "SELECT count(*) FROM flash_releases WHERE outcome = 'PENDING' AND attempts > 0").Scan(&n)
			return n, err
		}
		Eventually(order.PendingReleases).WithArguments(ctx, l.pool, l.p.Uid).Should(BeEquivalentTo(10))
		Eventually(putOff).Should(Equal(10))
		_, err = l.pool.Exec(ctx, "UPDATE stock SET available = $1 WHERE sku = 'b'", had)
		Expect(err).NotTo(HaveOccurred())
		l.released(ctx)
		Expect(stock.Get(ctx, l.pool, "b")).To(HaveField("Available", had+10))
	})

	It("are never written afterwards, also if the SKU comes back", func(ctx SpecContext) {
		l := newLane(ctx, 1, 0, prepare.Item{SKU: "a", Quantity: 10})
		l.sell(ctx, 3, onlyA)
		_, err := l.pool.Exec(ctx, "DELETE FROM skus")
		Expect(err).NotTo(HaveOccurred())
		l.impatient(ctx)
		By("losing every acknowledgement, as a worker does that dies before it")
		deaf := background(newMaterializer(deafStream{l.js}, l.store, logger()))
		Eventually(l.dead).WithArguments(ctx).Should(HaveLen(3))
		deaf()
		Expect(prepare.Drained(ctx, l.js, l.p)).To(BeFalse())
		l.catalogue(ctx, "a")
		l.materialize(l.store)
		l.drained(ctx)
		Expect(l.written(ctx)).To(BeEmpty())
		Expect(l.dead(ctx)).To(HaveLen(3))
		for _, letter := range l.dead(ctx) {
			Expect(letter.GetReason()).To(Equal("SKU a is not in the catalog"))
		}
	})

	It("are refused or written, never both, when two workers decide at the same moment", func(ctx SpecContext) {
		l := newLane(ctx, 1, 0, prepare.Item{SKU: "a", Quantity: 1000})
		refusedOnes, writtenOnes := 0, 0
		for round := range 40 {
			var batch []order.Accepted
			for i := range 5 {
				batch = append(batch, order.Accepted{
					OrderID:      uuid.New(),
					BuyerID:      fmt.Sprint("b", i),
					RequestID:    "r",
					Currency:     "EUR",
					PromotionUID: l.p.Uid,
					Promotion:    l.p.Name,
					Items: []order.AcceptedItem{
						{SKU: "a", Quantity: 1, UnitPrice: 100},
					},
					AcceptedAt: time.Now(),
					ExpiresAt:  time.Now().Add(time.Hour),
				})
			}
			victim := batch[round%5]
			var group sync.WaitGroup
			var refused map[uuid.UUID]bool
			var wrote, failed error
			group.Go(func() { refused, failed = l.store.Refuse(ctx, []order.Unwritable{{Order: victim, Reason: "a test"}}) })
			group.Go(func() { wrote = l.store.Materialize(ctx, batch) })
			group.Wait()
			Expect(failed).NotTo(HaveOccurred())
			_, there := l.written(ctx)[victim.OrderID]
			Expect(there).To(Equal(wrote == nil))
			Expect(refused[victim.OrderID]).To(Equal(!there))
			if there {
				writtenOnes++
				continue
			}
			refusedOnes++
			var unwritable *order.UnwritableError
			Expect(errors.As(wrote, &unwritable)).To(BeTrue(), "%v", wrote)
			Expect(unwritable.Orders).To(HaveLen(1))
			Expect(unwritable.Orders).To(HaveKeyWithValue(victim.OrderID, "a test"))
		}
		GinkgoWriter.Println("refused", refusedOnes, "written", writtenOnes)
	})
})

var _ = Describe("A record of the log that cannot be read", func() {
	It("becomes a dead letter with its bytes, and the others are written", func(ctx SpecContext) {
		l := newLane(ctx, 1, 0, prepare.Item{SKU: "a", Quantity: 100})
		l.sell(ctx, 5, onlyA)
		garbage := []byte("\xff\xfe no record \x00")
		_, err := l.js.Publish(ctx, plog.Subject(l.p.Uid, 0), garbage)
		Expect(err).NotTo(HaveOccurred())
		l.materialize(l.store)
		l.drained(ctx)
		Expect(l.written(ctx)).To(HaveLen(5))
		letters := l.dead(ctx)
		Expect(letters).To(HaveLen(1))
		for id, letter := range letters {
			Expect(id).To(HavePrefix(l.p.Streams[0] + "-"))
			shown, err := l.letters.GetDeadLetter(ctx,
				&deadletterv1.GetDeadLetterRequest{DeadLetterId: letter.GetDeadLetterId()})
			Expect(err).NotTo(HaveOccurred())
			Expect(shown.GetData()).To(Equal(garbage))
			Expect(shown.GetEventJson()).To(BeEmpty())
		}
	})
})

// deafStream drops what a worker says to the server about its records.
type deafStream struct{ jetstream.JetStream }

func (d deafStream) Consumer(ctx context.Context, stream, name string) (jetstream.Consumer, error) {
	consumer, err := d.JetStream.Consumer(ctx, stream, name)
	return deafConsumer{consumer}, err
}

type deafConsumer struct{ jetstream.Consumer }

func (d deafConsumer) Next(options ...jetstream.FetchOpt) (jetstream.Msg, error) {
	msg, err := d.Consumer.Next(options...)
	return deafMsg{msg}, err
}

func (d deafConsumer) Fetch(int, ...jetstream.FetchOpt) (jetstream.MessageBatch, error) {
	return nil, errors.New("one record at a time")
}

type deafMsg struct{ jetstream.Msg }

func (deafMsg) Ack() error { return nil }

var _ = Describe("A closed promotion", func() {
	It("is followed until it is drained, and no longer", func(ctx SpecContext) {
		l := newLane(ctx, 1, 0, prepare.Item{SKU: "a", Quantity: 100})
		l.sell(ctx, 20, onlyA)
		l.close(ctx)
		Expect(l.sale().PublishClosed(ctx)).To(Succeed())
		l.materialize(l.store)
		l.drained(ctx)
		Expect(l.written(ctx)).To(HaveLen(20))
		Eventually(func() (int, error) {
			consumer, err := l.js.Consumer(ctx, l.p.Streams[0], prepare.MaterializerConsumer)
			if err != nil {
				return 0, err
			}
			return consumer.CachedInfo().NumWaiting, nil
		}).Should(BeZero())
	})
})

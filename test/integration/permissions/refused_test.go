package permissions_test

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/orderd-dev/orderd/orderd/kit/messaging"
	"github.com/orderd-dev/orderd/orderd/kit/outbox"
	"github.com/orderd-dev/orderd/orderd/sale"
	"github.com/orderd-dev/orderd/orderd/shop/reward"
)

const (
	flash    = messaging.RoleFlash
	worker   = messaging.RoleWorker
	standard = messaging.RoleStandard
	operator = messaging.RoleOperator
	reader   = messaging.RoleReader
)

// patience is how long a refusal may take to be handed on, on a busy machine.
const patience = 10 * time.Second

// errUnrefused says that the server took what it should have refused.
var errUnrefused = errors.New("the server did not refuse it")

// publish a message, and return the server's refusal.
func (a *account) publish(role messaging.Role, subject string) error {
	conn, refused := a.listen(role)
	if err := errors.Join(conn.PublishRequest(subject, role.InboxPrefix()+".x", nil), conn.Flush()); err != nil {
		return err
	}
	return first(refused)
}

// subscribe to a subject, and return the server's refusal.
func (a *account) subscribe(role messaging.Role, subject string) error {
	conn, refused := a.listen(role)
	if _, err := conn.SubscribeSync(subject); err != nil {
		return err
	}
	if err := conn.Flush(); err != nil {
		return err
	}
	return first(refused)
}

// listen connects with a role's credentials, and brings what the server refuses.
func (a *account) listen(role messaging.Role) (*nats.Conn, <-chan error) {
	GinkgoHelper()
	refused := make(chan error, 16)
	credentials, err := nats.NkeyOptionFromSeed(a.credentials(role))
	Expect(err).NotTo(HaveOccurred())
	conn, err := nats.Connect(a.URL, credentials, nats.CustomInboxPrefix(role.InboxPrefix()),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { refused <- err }))
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(conn.Close)
	return conn, refused
}

// first is the first refusal. It came before the answer to the flush, and may be handed on a little later.
func first(refused <-chan error) error {
	select {
	case err := <-refused:
		return err
	case <-time.After(patience):
		return errUnrefused
	}
}

var _ = Describe("Credentials of one role", Ordered, func() {
	var a *account

	BeforeAll(func(ctx SpecContext) {
		a = newAccount("")
		_, js := a.connect(operator)
		Expect(sale.EnsureAccount(ctx, js, 1)).To(BeEmpty())
	})

	DescribeTable("may not publish", func(role messaging.Role, subject string) {
		Expect(a.publish(role, subject)).To(MatchError(nats.ErrPermissionViolation))
	},
		Entry("flash: an event", flash, "order.events.paid.x"),
		Entry("flash: a replay", flash, "order.replays.reward.x"),
		Entry("flash: a dead letter", flash, "order.deadletters.reward.x"),
		Entry("flash: a promotion's definition", flash, "$KV.orderd_promotions.x"),
		Entry("flash: whose account it is", flash, "$KV.orderd_account.owner"),
		Entry("flash: purging a log", flash, "$JS.API.STREAM.PURGE.PROMO_x_0"),
		Entry("flash: removing a log", flash, "$JS.API.STREAM.DELETE.PROMO_x_0"),
		Entry("flash: changing a log", flash, "$JS.API.STREAM.UPDATE.PROMO_x_0"),
		Entry("flash: changing the promotions' bucket", flash, "$JS.API.STREAM.UPDATE.KV_orderd_promotions"),
		Entry("flash: reading an event", flash, "$JS.API.STREAM.MSG.GET.ORDER_EVENTS"),
		Entry("flash: reading events by a consumer's name", flash, "$JS.API.CONSUMER.MSG.NEXT.ORDER_EVENTS.reward"),
		Entry("flash: a consumer of events that looks like one of a log", flash,
			"$JS.API.CONSUMER.CREATE.ORDER_EVENTS.x.promo.a.0"),
		Entry("flash: taking the materializer's records", flash, "$JS.API.CONSUMER.MSG.NEXT.PROMO_x_0.materializer"),
		Entry("flash: changing the materializer's consumer", flash,
			"$JS.API.CONSUMER.CREATE.PROMO_x_0.materializer.promo.x.0"),
		Entry("flash: removing the materializer's consumer", flash, "$JS.API.CONSUMER.DELETE.PROMO_x_0.materializer"),
		Entry("flash: acknowledging the materializer's records", flash, "$JS.ACK.PROMO_x_0.materializer.1.1.1.1.1"),
		Entry("worker: a promotion's definition", worker, "$KV.orderd_promotions.x"),
		Entry("worker: a record", worker, "promo.x.0"),
		Entry("worker: being a flash pod", worker, "$KV.orderd_members.x"),
		Entry("worker: removing the events", worker, "$JS.API.STREAM.DELETE.ORDER_EVENTS"),
		Entry("worker: purging the events", worker, "$JS.API.STREAM.PURGE.ORDER_EVENTS"),
		Entry("worker: a level", worker, "orderd.levels.x"),
		Entry("standard: a record", standard, "promo.x.0"),
		Entry("standard: an event", standard, "order.events.paid.x"),
		Entry("standard: a promotion's definition", standard, "$KV.orderd_promotions.x"),
		Entry("standard: reading events", standard, "$JS.API.CONSUMER.MSG.NEXT.ORDER_EVENTS.reward"),
		Entry("standard: changing a worker's consumer", standard,
			"$JS.API.CONSUMER.CREATE.ORDER_EVENTS.reward.order.events.>"),
		Entry("standard: a consumer that lasts", standard, "$JS.API.CONSUMER.DURABLE.CREATE.ORDER_EVENTS.x"),
		Entry("standard: removing a worker's consumer", standard, "$JS.API.CONSUMER.DELETE.ORDER_EVENTS.reward"),
		Entry("standard: reading a log", standard, "$JS.API.STREAM.MSG.GET.PROMO_x_0"),
		Entry("operator: an event", operator, "order.events.paid.x"),
		Entry("operator: reading events", operator, "$JS.API.CONSUMER.MSG.NEXT.ORDER_EVENTS.reward"),
		Entry("operator: removing the events", operator, "$JS.API.STREAM.DELETE.ORDER_EVENTS"),
		Entry("operator: being a flash pod", operator, "$KV.orderd_members.x"),
		Entry("reader: an event", reader, "order.events.paid.x"),
		Entry("reader: a replay", reader, "order.replays.reward.x"),
		Entry("reader: a dead letter", reader, "order.deadletters.reward.x"),
		Entry("reader: a record", reader, "promo.x.0"),
		Entry("reader: a promotion's definition", reader, "$KV.orderd_promotions.x"),
		Entry("reader: whatever else", reader, "x"),
		Entry("reader: purging the events", reader, "$JS.API.STREAM.PURGE.ORDER_EVENTS"),
		Entry("reader: reading dead letters", reader, "$JS.API.CONSUMER.CREATE.ORDER_DEADLETTERS.x"),
		Entry("reader: taking another consumer's events", reader, "$JS.API.CONSUMER.MSG.NEXT.ORDER_EVENTS.reward"),
		Entry("reader: removing another consumer", reader, "$JS.API.CONSUMER.DELETE.ORDER_EVENTS.shipment"),
		Entry("reader: acknowledging another consumer's events", reader, "$JS.ACK.ORDER_EVENTS.push.1.1.1.1.1"),
		Entry("reader: the same, in the newer form", reader, "$JS.ACK._.hash.ORDER_EVENTS.push.1.1.1.1.1"),
	)

	DescribeTable("may not listen", func(role messaging.Role, subject string) {
		Expect(a.subscribe(role, subject)).To(MatchError(nats.ErrPermissionViolation))
	},
		Entry("flash: to records without a consumer", flash, "promo.*.*"),
		Entry("flash: to what workers are answered", flash, "_INBOX_worker.>"),
		Entry("worker: to levels", worker, "orderd.levels.*"),
		Entry("standard: to events", standard, "order.events.>"),
		Entry("operator: to members", operator, "$KV.orderd_members.>"),
		Entry("reader: to everything", reader, ">"),
		Entry("reader: to events without a consumer", reader, "order.events.>"),
		Entry("reader: to what others are answered", reader, "_INBOX_operator.>"),
		Entry("reader: to what others without a prefix of their own are answered", reader, "_INBOX.>"),
	)

	It("of a reader cannot change what a worker's consumer gets", func(ctx SpecContext) {
		_, js := a.connect(reader)
		ctx2, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		_, err := js.CreateOrUpdateConsumer(ctx2, outbox.Stream, jetstream.ConsumerConfig{
			Durable: reward.ConsumerName, FilterSubject: "order.events.none.*",
		})
		Expect(err).To(HaveOccurred())
		Eventually(func() string { return strings.Join(a.Violations(), "\n") }).
			Should(ContainSubstring("$JS.API.CONSUMER.CREATE.ORDER_EVENTS.reward"))
	})
})

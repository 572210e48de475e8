package permissions_test

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"time"

	"connectrpc.com/connect/v2"
	"connectrpc.com/connect/v2/connecthttp"
	"github.com/google/uuid"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	catalogv1 "github.com/orderd-dev/orderd/api/gen/orderd/catalog/v1"
	deadletterv1 "github.com/orderd-dev/orderd/api/gen/orderd/deadletter/v1"
	"github.com/orderd-dev/orderd/api/gen/orderd/deadletter/v1/deadletterv1connect"
	flashv1 "github.com/orderd-dev/orderd/api/gen/orderd/flash/v1"
	"github.com/orderd-dev/orderd/api/gen/orderd/flash/v1/flashv1connect"
	moneyv1 "github.com/orderd-dev/orderd/api/gen/orderd/money/v1"
	orderv1 "github.com/orderd-dev/orderd/api/gen/orderd/order/v1"
	"github.com/orderd-dev/orderd/api/gen/orderd/order/v1/orderv1connect"
	"github.com/orderd-dev/orderd/orderd/flash/plog"
	"github.com/orderd-dev/orderd/orderd/kit/config"
	"github.com/orderd-dev/orderd/orderd/kit/database"
	"github.com/orderd-dev/orderd/orderd/kit/messaging"
	"github.com/orderd-dev/orderd/orderd/kit/outbox"
	"github.com/orderd-dev/orderd/orderd/kit/rpcerr"
	"github.com/orderd-dev/orderd/orderd/sale"
	"github.com/orderd-dev/orderd/orderd/shop/catalog"
	"github.com/orderd-dev/orderd/orderd/shop/desk"
	"github.com/orderd-dev/orderd/orderd/shop/invoice"
	"github.com/orderd-dev/orderd/orderd/shop/push"
	"github.com/orderd-dev/orderd/orderd/shop/reward"
	"github.com/orderd-dev/orderd/orderd/shop/shipment"
	"github.com/orderd-dev/orderd/orderd/sim/issuer"
	"github.com/orderd-dev/orderd/orderd/sim/pushgateway"
	"github.com/orderd-dev/orderd/test/kit/testshop"
)

const (
	buyers  = 40
	stocked = 200
	offered = 100
)

// world is a shop whose pods have their own credentials each, and an operator with its own.
type world struct {
	*testshop.Shop
	*account
	operator jetstream.JetStream
	gateway  *pushgateway.Gateway
	// flash and standard are pods' URLs, and peers where flash pods reach each other.
	flash, standard, peers string
}

func newWorld(more string) *world {
	GinkgoHelper()
	w := &world{account: newAccount(more)}
	w.Shop = testshop.New(GinkgoTB(), &w.log)
	w.gateway, _ = w.PushGateway(nil)
	_, w.operator = w.connect(messaging.RoleOperator)
	return w
}

// start the pods of a role, and return the last one's URL.
func (w *world) start(role config.Role, pods int) string {
	GinkgoHelper()
	var url string
	for i := range pods {
		c := w.Pod()
		c.Messaging = w.settings(messaging.Role(role))
		if role == config.RoleFlash {
			w.peers = "http://" + c.HTTP.PeerAddress
		}
		c.Flash.PeerURL = w.peers
		url = w.Ready(role, fmt.Sprintf("%s-%d", role, i), c).URL
	}
	return url
}

func (w *world) client(url, subject, role string) *connect.Client {
	token := issuer.Bearer(w.Issuer.Token(subject, role))
	return connect.NewClient(connecthttp.NewTransport(http.DefaultClient, url), token)
}

// promotion of two items, in streams of their own.
func promotion() *flashv1.Promotion {
	uid, now := uuid.NewString(), time.Now()
	return &flashv1.Promotion{
		Uid: uid, Name: "sale", Streams: plog.StreamNames(uid, 2), Partitions: 4, Open: true, Currency: "CNY",
		StartUnixMs: now.Add(-time.Minute).UnixMilli(), EndUnixMs: now.Add(time.Hour).UnixMilli(),
		PaymentTimeoutMs: time.Hour.Milliseconds(),
		Items: []*flashv1.PromotedItem{
			{Sku: "phone", UnitPrice: 100, Stream: 0, LimitPerBuyer: 2}, {Sku: "case", UnitPrice: 10, Stream: 1},
		},
	}
}

var _ = Describe("Credentials a role", func() {
	DescribeTable("are enough for a whole sale, and nobody is refused anything", func(ctx SpecContext, more string) {
		w := newWorld(more)
		pool, err := database.Open(context.WithoutCancel(ctx), w.DatabaseURL, 4)
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(pool.Close)
		for _, sku := range []string{"phone", "case"} {
			c := catalog.NewService(catalog.Options{Pool: pool, Clock: time.Now})
			_, err := c.UpsertSku(ctx, &catalogv1.UpsertSkuRequest{Sku: &catalogv1.Sku{
				Sku: sku, Title: sku, OnSale: true, Price: &moneyv1.Money{Amount: 100, Currency: "CNY"},
			}})
			Expect(err).NotTo(HaveOccurred())
			_, err = c.AdjustStock(ctx, &catalogv1.AdjustStockRequest{RequestId: uuid.NewString(), Sku: sku, Delta: stocked})
			Expect(err).NotTo(HaveOccurred())
		}

		By("preparing it as the operator does")
		owner := sale.Owner{Namespace: "shop", Name: "test", UID: "uid"}
		Expect(sale.ClaimAccount(ctx, w.operator, owner, 1)).To(Succeed())
		Expect(sale.EnsureAccount(ctx, w.operator, 1)).To(BeEmpty())
		runner := func(items int64, clock func() time.Time, promo *flashv1.Promotion) sale.Runner {
			return sale.Runner{Clock: clock, Sale: sale.New(sale.Options{
				Promotion: promo, Items: []sale.Quantity{{SKU: "phone", Quantity: items}, {SKU: "case", Quantity: items}},
				Database: sale.Opened(pool), JetStream: sale.Opened(w.operator), Replicas: 1, Actor: "test",
			})}
		}
		promo := promotion()
		prepared := runner(offered, time.Now, promo)
		Expect(prepared.Prepare(ctx)).To(Succeed())
		Expect(prepared.Publish(ctx)).To(Succeed())

		By("selling with flash pods, and writing the orders with workers")
		w.flash = w.start(config.RoleFlash, 2)
		w.start(config.RoleWorker, 2)
		w.standard = w.start(config.RoleStandard, 1)
		orders := w.sell(ctx, promo)
		seen := w.watch(ctx, "buyer-0", orders[0])
		topped := runner(offered+20, time.Now, promo)
		Expect(topped.TopUp(ctx)).To(Succeed())
		Expect(topped.Publish(ctx)).To(Succeed())

		By("cancelling an order, whose unit goes back to its partition, and of which nobody can be told")
		w.gateway.SetFault(func(n pushgateway.Notification) pushgateway.Fault {
			if n.Data.Event == "cancelled" {
				return pushgateway.Fault{Status: http.StatusUnprocessableEntity}
			}
			return pushgateway.Fault{}
		})
		buyer := orderv1connect.NewOrderServiceClient(w.client(w.standard, "buyer-0", "buyer"))
		Eventually(func() error {
			_, err := buyer.CancelOrder(ctx, &orderv1.CancelOrderRequest{
				RequestId: "cancel", BuyerId: "buyer-0", OrderId: orders[0],
			})
			return err
		}).Should(Succeed())
		Eventually(seen).Should(BeClosed())

		By("reading the events as a reader, by a consumer that lasts and by one that does not")
		w.read(ctx, 2*buyers+1)

		By("having dead letters replayed and discarded")
		w.replay(ctx)
		w.discard(ctx)

		By("closing it, and proving that nothing was lost")
		later := func() time.Time { return time.Now().Add(2 * time.Hour) }
		closing := runner(offered+20, later, promo)
		totals, err := closing.Settle(ctx)
		Expect(err).NotTo(HaveOccurred())
		var sold int64
		for _, t := range totals {
			sold += t.Sold
		}
		Expect(sold).To(BeEquivalentTo(2*buyers - 1))
		Expect(closing.Remove(ctx)).To(Succeed())
		Expect(sale.ReleaseAccount(ctx, w.operator, owner)).To(Succeed())

		By("looking for an order where no flash pod answers")
		w.peers = "http://127.0.0.1:1"
		lonely := orderv1connect.NewOrderServiceClient(w.client(w.start(config.RoleStandard, 1), "buyer-0", "buyer"))
		unknown := uuid.MustParse(orders[0])
		unknown[15]++
		Eventually(func() string {
			_, err := lonely.GetOrder(ctx, &orderv1.GetOrderRequest{BuyerId: "buyer-0", OrderId: unknown.String()})
			return rpcerr.Reason(err)
		}).Should(Equal(rpcerr.ReasonOrderNotFound))

		Expect(w.Violations()).To(BeEmpty())
		Expect(w.account.log.all()).To(BeEmpty())
	},
		Entry("with the acknowledgements that servers ask for", ""),
		Entry("with those that they will ask for", "feature_flags: {js_ack_fc_v2: true}\n"),
	)
})

// sell each buyer a phone and a case, in an order each; the ids are those of the phones.
func (w *world) sell(ctx context.Context, promo *flashv1.Promotion) []string {
	GinkgoHelper()
	ids := make([]string, buyers)
	var group sync.WaitGroup
	for i := range buyers {
		group.Go(func() {
			defer GinkgoRecover()
			name := fmt.Sprintf("buyer-%d", i)
			flash := flashv1connect.NewFlashServiceClient(w.client(w.flash, name, "buyer"))
			for _, sku := range []string{"case", "phone"} {
				Eventually(func() error {
					answer, err := flash.PlaceFlashOrder(ctx, &flashv1.PlaceFlashOrderRequest{
						Promotion: promo.Name, BuyerId: name, RequestId: sku, Items: []*flashv1.FlashOrderItem{{Sku: sku, Quantity: 1}},
					})
					ids[i] = answer.GetOrderId()
					return err
				}).Should(Succeed())
			}
		})
	}
	group.Wait()
	return ids
}

// watch all orders of the buyer's, and one of them until it is seen to be cancelled, which closes the
// channel.
func (w *world) watch(ctx context.Context, buyer, id string) <-chan struct{} {
	GinkgoHelper()
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	transport := &http.Transport{Protocols: protocols}
	DeferCleanup(transport.CloseIdleConnections)
	watching := orderv1connect.NewOrderServiceClient(connect.NewClient(
		connecthttp.NewTransport(&http.Client{Transport: transport}, w.standard),
		issuer.Bearer(w.Issuer.Token(buyer, "buyer"))))
	// This begins once the pod reads the events.
	Eventually(func() error {
		all, err := watching.WatchOrders(ctx, &orderv1.WatchOrdersRequest{})
		if err == nil {
			_, err = all.Receive()
		}
		return err
	}).Should(Succeed())
	seen := make(chan struct{})
	go func() {
		defer close(seen)
		// Streams end with their connection.
		for ctx.Err() == nil {
			stream, err := watching.WatchOrder(ctx, &orderv1.WatchOrderRequest{OrderId: id})
			for err == nil {
				var answer *orderv1.WatchOrderResponse
				answer, err = stream.Receive()
				if answer.GetOrder().GetState() == orderv1.OrderState_ORDER_STATE_CANCELLED {
					return
				}
			}
		}
	}()
	return seen
}

// read so many events, at least, twice.
func (w *world) read(ctx context.Context, events int) {
	GinkgoHelper()
	_, js := w.connect(messaging.RoleReader)
	durable, err := js.CreateOrUpdateConsumer(ctx, outbox.Stream, jetstream.ConsumerConfig{
		Durable: "data-team", AckPolicy: jetstream.AckExplicitPolicy, FilterSubject: outbox.EventSubjects,
	})
	Expect(err).NotTo(HaveOccurred())
	passing, err := js.OrderedConsumer(ctx, outbox.Stream, jetstream.OrderedConsumerConfig{})
	Expect(err).NotTo(HaveOccurred())
	for _, consumer := range []jetstream.Consumer{durable, passing} {
		got := 0
		Eventually(func() int {
			batch, err := consumer.Fetch(events, jetstream.FetchMaxWait(time.Second))
			Expect(err).NotTo(HaveOccurred())
			for msg := range batch.Messages() {
				_ = msg.Ack() // An ordered consumer asks for none.
				got++
			}
			return got
		}).Should(BeNumerically(">=", events))
	}
	Expect(js.DeleteConsumer(ctx, outbox.Stream, "data-team")).To(Succeed())
}

// letters of a consumer, or of all.
func (w *world) letters(ctx context.Context, consumer string) ([]*deadletterv1.DeadLetter, error) {
	answer, err := w.staff().ListDeadLetters(ctx, &deadletterv1.ListDeadLettersRequest{Consumer: consumer})
	return answer.GetDeadLetters(), err
}

func (w *world) staff() deadletterv1connect.DeadLetterServiceClient {
	return deadletterv1connect.NewDeadLetterServiceClient(w.client(w.standard, "staff", "operations"))
}

// replay what the gateway would not take, and now does.
func (w *world) replay(ctx context.Context) {
	GinkgoHelper()
	Eventually(w.letters).WithArguments(ctx, push.ConsumerName).Should(HaveLen(1))
	letters, err := w.letters(ctx, push.ConsumerName)
	Expect(err).NotTo(HaveOccurred())
	w.gateway.SetFault(nil)
	_, err = w.staff().ReplayDeadLetter(ctx, &deadletterv1.ReplayDeadLetterRequest{
		RequestId: "replay", DeadLetterId: letters[0].GetDeadLetterId(),
	})
	Expect(err).NotTo(HaveOccurred())
	Eventually(func() (events []string) {
		for _, n := range w.gateway.Taken() {
			events = append(events, n.Data.Event)
		}
		return events
	}).Should(ContainElement("cancelled"))
	Eventually(w.letters).WithArguments(ctx, push.ConsumerName).Should(BeEmpty())
}

// discard what no consumer can read: something that a worker's credentials published.
func (w *world) discard(ctx context.Context) {
	GinkgoHelper()
	_, worker := w.connect(messaging.RoleWorker)
	_, err := worker.PublishMsg(ctx, &nats.Msg{Subject: "order.events.paid." + uuid.NewString(), Data: []byte("none")})
	Expect(err).NotTo(HaveOccurred())
	// Of those that take OrderPaid each has one.
	for _, consumer := range []string{
		desk.ConsumerName, invoice.ConsumerName, reward.ConsumerName, shipment.ConsumerName, push.ConsumerName,
	} {
		Eventually(w.letters).WithArguments(ctx, consumer).Should(HaveLen(1))
		letters, err := w.letters(ctx, consumer)
		Expect(err).NotTo(HaveOccurred())
		_, err = w.staff().DiscardDeadLetter(ctx, &deadletterv1.DiscardDeadLetterRequest{
			RequestId: uuid.NewString(), DeadLetterId: letters[0].GetDeadLetterId(),
		})
		Expect(err).NotTo(HaveOccurred())
	}
	Expect(w.letters(ctx, "")).To(BeEmpty())
}

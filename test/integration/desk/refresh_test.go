package desk_test

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	deskv1 "github.com/orderd-dev/orderd/api/gen/orderd/desk/v1"
	"github.com/orderd-dev/orderd/orderd/kit/consume"
	"github.com/orderd-dev/orderd/orderd/kit/database"
	"github.com/orderd-dev/orderd/orderd/kit/lease"
	"github.com/orderd-dev/orderd/orderd/shop/desk"
)

var _ = Describe("The desk's index", func() {
	var (
		w       *world
		r       *rand.Rand
		samples []*sample
	)
	BeforeEach(func(ctx SpecContext) {
		w = newWorld(ctx)
		r = rand.New(rand.NewPCG(uint64(GinkgoRandomSeed()), 2))
		samples = nil
		for n := range 60 {
			samples = append(samples, randomSample(r, n, time.Now().UTC().Truncate(time.Minute)))
		}
		w.store(ctx, samples...)
	})

	// tell follows events of orders, in one transaction.
	tell := func(ctx context.Context, ids ...uuid.UUID) error {
		events := make([]consume.Event, len(ids))
		for i, id := range ids {
			events[i].OrderID = id
		}
		return w.tx(ctx, func(tx *database.Tx) error { return desk.Follow(ctx, tx, events) })
	}

	It("is the same after events in any order, repeated, and about orders that are not there", func(ctx SpecContext) {
		before := w.index(ctx)
		for range 5 {
			ids := []uuid.UUID{uuid.New(), uuid.New()}
			for _, n := range r.Perm(len(samples))[:40] {
				ids = append(ids, samples[n].id)
			}
			Expect(tell(ctx, append(ids, ids[:10]...)...)).To(Succeed())
			Expect(w.index(ctx)).To(Equal(before))
		}
		Expect(tell(ctx)).To(Succeed())
		Expect(tell(ctx, uuid.New())).To(Succeed())
		Expect(w.index(ctx)).To(Equal(before))
		w.anew(ctx)
		Expect(w.index(ctx)).To(Equal(before))
	})

	It("forgets what an order no longer has, and orders that are gone", func(ctx SpecContext) {
		full, gone := samples[0], samples[1]
		for _, statement := range []string{
			`UPDATE orders SET tags = '{}', attributes = NULL, address = NULL, channel = '', coupon_ids = '{}'
				WHERE order_id = $1`,
			"DELETE FROM payments WHERE order_id = $1", "DELETE FROM shipments WHERE order_id = $1",
			"DELETE FROM returns WHERE order_id = $1", "DELETE FROM order_notes WHERE order_id = $1",
			"DELETE FROM order_lines WHERE order_id = $1",
		} {
			w.exec(ctx, statement, full.id)
		}
		w.exec(ctx, "DELETE FROM orders WHERE order_id = $1", gone.id)
		w.follow(ctx, full.id, gone.id)
		left := w.texts(ctx, "SELECT kind FROM desk_terms WHERE order_id = $1 OR order_id = $2", full.id, gone.id)
		Expect(left).To(BeEmpty())
		Expect(w.texts(ctx, "SELECT number FROM desk_orders WHERE order_id = $1", gone.id)).To(BeEmpty())
		Expect(w.texts(ctx, `SELECT phone || recipient || return_state || channel || provider || method FROM desk_orders
			WHERE order_id = $1 AND NOT has_note`, full.id)).To(Equal([]string{""}))
		after := w.index(ctx)
		w.anew(ctx)
		Expect(w.index(ctx)).To(Equal(after))
	})

	It("has the provider of the payment that counts", func(ctx SpecContext) {
		var s *sample
		for _, s = range samples {
			if s.paidAt != nil {
				break
			}
		}
		for i, at := range []time.Duration{-time.Hour, time.Hour} {
			w.exec(ctx, `INSERT INTO payments (payment_id, order_id, buyer_id, provider, method, reference, state, version,
					amount, currency, redirect_url, transaction_id, bucket, created_at, expires_at)
				VALUES ($1, $2, 'ann', 'wechatpay', 'native', '', 'SUCCEEDED', 1, 1, 'CNY', '', $3, 0, $4, $4)`,
				uuid.New(), s.id, fmt.Sprintf("second-%d", i), s.created.Add(at))
		}
		w.follow(ctx, s.id)
		Expect(w.texts(ctx, "SELECT provider || ' ' || method FROM desk_orders WHERE order_id = $1", s.id)).
			To(Equal([]string{s.provider + " " + s.method}))
		Expect(w.texts(ctx, "SELECT term FROM desk_terms WHERE order_id = $1 AND kind = 'transaction' ORDER BY term", s.id)).
			To(ConsistOf("second-0", "second-1", s.transactions[0]))
	})

	It("has transactions that go back and parcels that came back, however they are written", func(ctx SpecContext) {
		s := samples[0]
		w.exec(ctx, `INSERT INTO refunds (refund_id, payment_id, order_id, provider, transaction_id, order_key, paid_by, reason,
				state, version, amount, currency, seq, left_after, bucket, created_at)
			VALUES ($1, $2, $3, 'sandbox', 'twice', '', 'twice', 'DUPLICATE', 'PENDING', 1, 1, 'CNY', 1, 0, 0, now())`,
			uuid.New(), uuid.New(), s.id)
		w.exec(ctx, `INSERT INTO returns (return_id, order_id, buyer_id, kind, unshipped, state, version, reason, description,
				pictures, rejection, carrier, tracking_number, currency, created_at, updated_at)
			VALUES ($1, $2, 'ann', 'RETURN', false, 'IN_TRANSIT', 1, 'DAMAGED', '', '{}', '', 'swift', 'back-1 z', 'CNY', now(), now())`,
			uuid.New(), s.id)
		w.follow(ctx, s.id)
		for _, key := range []*deskv1.FindOrderRequest{
			{Key: &deskv1.FindOrderRequest_TransactionId{TransactionId: "twice"}},
			{Key: &deskv1.FindOrderRequest_TrackingNumber{TrackingNumber: "BACK1Z"}},
			{Key: &deskv1.FindOrderRequest_TrackingNumber{TrackingNumber: " back 1-z"}},
		} {
			found, err := w.service.FindOrder(support(ctx), key)
			Expect(err).NotTo(HaveOccurred(), "%v", key)
			Expect(found.GetOrder().GetOrderId()).To(Equal(s.id.String()))
		}
	})

	// run starts a follower.
	run := func(ctx context.Context) {
		GinkgoHelper()
		follower, err := desk.NewFollower(desk.FollowerOptions{
			WorkerOptions: lease.WorkerOptions{
				Worker: "w", Interval: 10 * time.Millisecond, Logger: slog.New(slog.DiscardHandler),
			},
			Pool: w.pool, Clock: time.Now,
		})
		Expect(err).NotTo(HaveOccurred())
		running, stop := context.WithCancel(ctx)
		done := make(chan struct{})
		go func() { defer close(done); _ = follower.Run(running) }()
		DeferCleanup(func() { stop(); <-done })
	}

	It("goes on though one order cannot be in it", func(ctx SpecContext) {
		if strings.Contains(w.texts(ctx, "SELECT version()")[0], "CockroachDB") {
			Skip("it has no triggers")
		}
		bad := samples[7].id
		w.exec(ctx, `CREATE FUNCTION refuse() RETURNS trigger AS $$ BEGIN
			IF NEW.order_id = '`+bad.String()+`' THEN RAISE EXCEPTION 'no'; END IF; RETURN NEW; END $$ LANGUAGE plpgsql`)
		w.exec(ctx, "CREATE TRIGGER refuse BEFORE INSERT OR UPDATE ON desk_orders FOR EACH ROW EXECUTE FUNCTION refuse()")
		w.exec(ctx, "DELETE FROM desk_orders")
		ids := []uuid.UUID{bad}
		for _, s := range samples {
			ids = append(ids, s.id)
		}
		Expect(w.tx(ctx, func(tx *database.Tx) error { return desk.MarkStale(ctx, tx, ids) })).To(Succeed())
		run(ctx)
		rows := func() []string { return w.texts(ctx, "SELECT order_id::text FROM desk_orders") }
		Eventually(rows).WithTimeout(time.Minute).Should(HaveLen(len(samples) - 1))
		Eventually(func() []string { return w.texts(ctx, "SELECT order_id::text FROM desk_stale") }).
			WithTimeout(time.Minute).Should(BeEmpty())
		Eventually(func() []string { return w.texts(ctx, "SELECT name FROM desk_walk WHERE next_at > now()") }).
			WithTimeout(time.Minute).Should(Equal([]string{"orders"}))
	})

	It("is made anew of orders that were marked, that no row is of, and whose rows are old", func(ctx SpecContext) {
		want := w.index(ctx)
		w.exec(ctx, "DELETE FROM desk_orders WHERE order_id = $1", samples[0].id)
		w.exec(ctx, "DELETE FROM desk_terms WHERE order_id = $1", samples[0].id)
		w.exec(ctx, "UPDATE desk_orders SET version = version - 1, buyer_id = 'x' WHERE order_id = $1", samples[1].id)
		w.exec(ctx, "UPDATE desk_orders SET made = 0, phone = 'x' WHERE order_id = $1", samples[2].id)
		run(ctx)
		Eventually(func() []map[string]any { return w.index(ctx) }).WithTimeout(time.Minute).Should(Equal(want))

		By("marking one more, which the walk that has ended does not look at")
		w.exec(ctx, "UPDATE desk_orders SET recipient = 'x' WHERE order_id = $1", samples[3].id)
		Expect(w.tx(ctx, func(tx *database.Tx) error {
			return desk.MarkStale(ctx, tx, []uuid.UUID{samples[3].id, samples[3].id, uuid.New()})
		})).To(Succeed())
		Eventually(func() []map[string]any { return w.index(ctx) }).WithTimeout(time.Minute).Should(Equal(want))
		Eventually(func() []string { return w.texts(ctx, "SELECT order_id::text FROM desk_stale") }).Should(BeEmpty())
	})

	It("is the truth after followers and changes that were at work at once", func(ctx SpecContext) {
		ids := []uuid.UUID{samples[0].id, samples[1].id, uuid.New()}
		// What a later follower puts right would hide what an earlier one did wrong: so the last ones are many.
		for round := range 40 {
			var wg sync.WaitGroup
			for n := range 6 {
				wg.Go(func() {
					defer GinkgoRecover()
					own := rand.New(rand.NewPCG(uint64(GinkgoRandomSeed()), uint64(6*round+n)))
					for range 2 {
						id, tag := ids[own.IntN(2)], fmt.Sprintf("t%d", own.IntN(6))
						w.exec(ctx, "UPDATE orders SET channel = $2, version = version + 1 WHERE order_id = $1",
							id, fmt.Sprintf("c%d", own.IntN(1000)))
						req := &deskv1.TagOrderRequest{RequestId: uuid.NewString(), OrderId: id.String(), Add: []string{tag}}
						if own.IntN(2) == 0 {
							req.Add, req.Remove = nil, []string{tag}
						}
						_, err := w.service.TagOrder(support(ctx), req)
						Expect(err).NotTo(HaveOccurred())
						told := append([]uuid.UUID{id, id}, some(own, ids)...)
						own.Shuffle(len(told), func(i, j int) { told[i], told[j] = told[j], told[i] })
						Expect(tell(ctx, told...)).To(Succeed())
					}
				})
			}
			wg.Wait()
			after := w.index(ctx)
			w.follow(ctx, ids...)
			Expect(after).To(Equal(w.index(ctx)))
		}
	})
})

package journeys

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderd-dev/orderd/orderd/kit/consume"
	"github.com/orderd-dev/orderd/orderd/kit/lifecycle"
	"github.com/orderd-dev/orderd/orderd/kit/outbox"
	couponlife "github.com/orderd-dev/orderd/orderd/shop/coupon"
	"github.com/orderd-dev/orderd/orderd/shop/desk"
	"github.com/orderd-dev/orderd/orderd/shop/invoice"
	orderlife "github.com/orderd-dev/orderd/orderd/shop/order"
	paymentlife "github.com/orderd-dev/orderd/orderd/shop/payment"
	"github.com/orderd-dev/orderd/orderd/shop/push"
	"github.com/orderd-dev/orderd/orderd/shop/returns"
	"github.com/orderd-dev/orderd/orderd/shop/reward"
	"github.com/orderd-dev/orderd/orderd/shop/shipment"
)

// unrest is what is still to be done by itself, as queries that find it.
var unrest = map[string]string{
	"events wait to be relayed":         `SELECT order_id::text FROM outbox`,
	"refunds are under way":             `SELECT refund_id::text || ' ' || state || ' ' || failure FROM refunds WHERE state <> 'SUCCEEDED'`,
	"granted refunds are not recorded":  `SELECT order_id::text || ' ' || key FROM order_refunds WHERE refund_id IS NULL AND amount > 0`,
	"payments of ended orders are open": `SELECT p.payment_id::text || ' ' || p.state FROM payments p JOIN orders o USING (order_id) WHERE p.state IN ('CREATED', 'PENDING') AND o.state <> 'PENDING_PAYMENT'`,
	"parcels wait for their carrier":    `SELECT shipment_id::text || ' ' || work FROM shipments WHERE state = 'REQUESTED' AND tracking_number = ''`,
	"paid goods are in no parcel": `SELECT o.order_id::text FROM orders o JOIN order_lines l USING (order_id)
		WHERE o.state = 'PAID' AND l.quantity - l.withdrawn - l.shipped - l.shipping > 0`,
	"the desk is told of orders":                `SELECT order_id::text FROM desk_stale`,
	"parcels of cancelled orders are requested": `SELECT s.shipment_id::text FROM shipments s JOIN orders o USING (order_id) WHERE o.state = 'CANCELLED' AND s.state = 'REQUESTED'`,
}

// laws hold when all is quiet: each query finds what breaks one. CockroachDB 22.1 has no
// place for a subquery below CASE that asks about the row outside of it, nor for a function
// in a join that does.
var laws = map[string]string{
	"stock is the sum of its movements": `SELECT m.sku || ' ' || m.a || ' ' || m.r || ' ' || m.d || ', stock ' || s.a || ' ' || s.r || ' ' || s.d FROM
		(SELECT sku, sum(available) a, sum(reserved) r, sum(deducted) d FROM stock_movements GROUP BY sku) m
		LEFT JOIN (SELECT sku, sum(available) a, sum(reserved) r, sum(deducted) d FROM stock GROUP BY sku) s USING (sku)
		WHERE s.a IS NULL OR m.a <> s.a OR m.r <> s.r OR m.d <> s.d`,
	"all stock was put in": `SELECT s.sku FROM (SELECT sku, sum(available + reserved + deducted) n FROM stock GROUP BY sku) s
		JOIN (SELECT sku, sum(available) n FROM stock_movements WHERE kind = 'ADD' GROUP BY sku) m USING (sku) WHERE s.n <> m.n`,
	"what is reserved is unpaid orders'": `SELECT s.sku || ' ' || s.n || ' ' || coalesce(o.n, 0) FROM (SELECT sku, sum(reserved) n FROM stock GROUP BY sku) s
		LEFT JOIN (SELECT l.sku, sum(l.quantity) n FROM order_lines l JOIN orders USING (order_id) WHERE state = 'PENDING_PAYMENT' GROUP BY l.sku) o USING (sku)
		WHERE s.n <> coalesce(o.n, 0)`,
	"an order's total is its lines'": `SELECT o.order_id::text FROM orders o JOIN (SELECT order_id, sum(unit_price * quantity - discount + freight) total,
		sum(discount) discount, sum(freight) freight FROM order_lines GROUP BY order_id) l USING (order_id)
		WHERE o.total <> l.total OR o.discount <> l.discount OR o.freight <> l.freight`,
	"a line's money is kept or refunded, and its units are in one place": `SELECT order_id::text || ' ' || line FROM order_lines
		WHERE refunded <> refund_granted OR refund_granted > unit_price * quantity - discount + freight OR returned > quantity OR withdrawn > returned
		OR shipped + withdrawn + shipping > quantity OR delivered > shipped OR returned = 0 AND refund_granted > 0`,
	"units that were returned had left or never will, while the order lives": `SELECT l.order_id::text || ' ' || l.line FROM order_lines l JOIN orders o USING (order_id)
		WHERE l.returned - l.withdrawn > l.shipped AND o.state <> 'CANCELLED'`,
	"a line's refunds are its grants": `SELECT l.order_id::text || ' ' || l.line FROM order_lines l LEFT JOIN
		(SELECT order_id, line, sum(amount) amount, sum(quantity) quantity FROM order_refunds GROUP BY order_id, line) r USING (order_id, line)
		WHERE l.refund_granted <> coalesce(r.amount, 0) OR l.returned <> coalesce(r.quantity, 0)`,
	"a grant is one refund of its sum": `SELECT g.order_id::text || ' ' || g.key FROM (SELECT order_id, key, sum(amount) amount FROM order_refunds GROUP BY order_id, key) g
		LEFT JOIN refunds r ON r.order_id = g.order_id AND r.order_key = g.key WHERE g.amount <> coalesce(r.amount, 0)`,
	"refunds of an order are granted": `SELECT r.refund_id::text FROM refunds r WHERE r.order_key <> '' AND NOT EXISTS
		(SELECT 1 FROM order_refunds g WHERE g.order_id = r.order_id AND g.key = r.order_key)`,
	"a cancelled order that was paid is refunded": `SELECT o.order_id::text FROM orders o JOIN order_lines l USING (order_id)
		WHERE o.state = 'CANCELLED' AND o.paid_at IS NOT NULL AND l.returned <> l.quantity`,
	"one payment counts for a paid order and none for another": `SELECT o.order_id::text FROM orders o LEFT JOIN payments p ON p.payment_id = o.payment_id
		WHERE (o.paid_at IS NOT NULL AND o.total > 0) <> (p.payment_id IS NOT NULL) OR p.state <> 'SUCCEEDED' OR p.amount <> o.total OR p.order_id <> o.order_id`,
	"refunds never exceed their payment": `SELECT p.payment_id::text FROM payments p JOIN (SELECT payment_id, sum(amount) amount FROM refunds GROUP BY payment_id) r USING (payment_id)
		WHERE r.amount > p.amount OR p.state <> 'SUCCEEDED'`,
	"the provider keeps of each payment what the order keeps": `SELECT p.payment_id::text || ' ' || s.kept FROM payments p JOIN orders o ON o.order_id = p.order_id
		JOIN (SELECT payment_id, sum(CASE state WHEN 'PAID' THEN amount WHEN 'REFUNDED' THEN -amount ELSE 0 END) kept FROM sandbox_transactions GROUP BY payment_id) s ON s.payment_id = p.payment_id
		LEFT JOIN (SELECT order_id, sum(refunded) refunded FROM order_lines GROUP BY order_id) l ON l.order_id = o.order_id
		WHERE s.kept <> CASE WHEN o.payment_id = p.payment_id THEN o.total - coalesce(l.refunded, 0) ELSE 0 END`,
	"what the provider has taken is known": `SELECT s.payment_id::text FROM sandbox_transactions s LEFT JOIN payments p USING (payment_id)
		WHERE s.state = 'PAID' AND p.state IS DISTINCT FROM 'SUCCEEDED'`,
	"a coupon's state fits its order": `SELECT c.coupon_id::text || ' ' || c.state || ' ' || coalesce(o.state, '') FROM coupons c LEFT JOIN orders o USING (order_id)
		WHERE CASE c.state WHEN 'LOCKED' THEN o.state IS DISTINCT FROM 'PENDING_PAYMENT' OR NOT c.coupon_id = ANY (o.coupon_ids)
		WHEN 'USED' THEN o.paid_at IS NULL OR NOT c.coupon_id = ANY (o.coupon_ids) ELSE c.order_id IS NOT NULL END`,
	"the coupon of a living order is its own": `SELECT o.order_id::text FROM orders o JOIN coupons c ON c.coupon_id = ANY (o.coupon_ids)
		WHERE o.state = 'PENDING_PAYMENT' AND (c.state <> 'LOCKED' OR c.order_id <> o.order_id)`,
	"a template's budget is what its coupons leave": `SELECT b.owner || ' ' || b.left_over || ' ' || b.capacity FROM
		(SELECT owner, sum(remaining) left_over, sum(capacity) capacity FROM budgets WHERE owner LIKE 'coupon:%' GROUP BY owner) b
		LEFT JOIN (SELECT template, count(*) n FROM coupons GROUP BY template) c ON b.owner = 'coupon:' || c.template WHERE b.capacity - b.left_over <> coalesce(c.n, 0)`,
	"claims are counted": `SELECT c.buyer_id FROM coupon_claims c LEFT JOIN (SELECT buyer_id, template, count(*) n FROM coupons GROUP BY buyer_id, template) n USING (buyer_id, template)
		WHERE c.claimed <> coalesce(n.n, 0)`,
	"a campaign rewards as many orders as it may": `SELECT campaign || ' ' || count(*) FROM reward_grants WHERE outcome IN ('GRANTED', 'REVOKED') GROUP BY campaign HAVING count(*) > 3`,
	"an order that lives is rewarded once": `SELECT o.order_id::text FROM orders o LEFT JOIN reward_grants g USING (order_id)
		WHERE o.state IN ('PAID', 'SHIPPED', 'DELIVERED', 'COMPLETED') AND NOT EXISTS (SELECT 1 FROM reward_orders w WHERE w.order_id = o.order_id AND w.withdrawn)
		GROUP BY o.order_id HAVING count(g.campaign) <> 1`,
	"only what was paid is rewarded": `SELECT g.order_id::text FROM reward_grants g LEFT JOIN orders o USING (order_id) WHERE o.paid_at IS NULL`,
	"gifts are what was granted": `SELECT coupon_id::text FROM coupons WHERE template LIKE '%-gift' AND NOT EXISTS
		(SELECT 1 FROM reward_grants g WHERE coupon_id = ANY (g.coupon_ids) AND g.buyer_id = coupons.buyer_id)`,
	"parcels hold what their order's lines say": `SELECT l.order_id::text || ' ' || l.line FROM order_lines l LEFT JOIN
		(SELECT s.order_id, i.line, sum(CASE WHEN s.state = 'REQUESTED' THEN i.quantity ELSE 0 END) requested,
		sum(CASE WHEN s.state IN ('IN_TRANSIT', 'DELIVERED') THEN i.quantity ELSE 0 END) gone FROM shipments s JOIN shipment_lines i USING (shipment_id) GROUP BY s.order_id, i.line) s
		USING (order_id, line) WHERE l.shipping <> coalesce(s.requested, 0) OR l.shipped <> coalesce(s.gone, 0)`,
	"units are in one open return": `SELECT l.order_id::text || ' ' || l.line FROM order_lines l JOIN (SELECT r.order_id, i.line, r.unshipped, sum(i.quantity) n FROM returns r JOIN return_lines i USING (return_id)
		WHERE r.state IN ('REQUESTED', 'APPROVED', 'IN_TRANSIT', 'RECEIVED') AND NOT r.unshipped GROUP BY r.order_id, i.line, r.unshipped) r USING (order_id, line)
		WHERE r.n > l.shipped - (l.returned - l.withdrawn)`,
	"a refunded return has its grant": `SELECT r.return_id::text FROM returns r LEFT JOIN (SELECT order_id, key, sum(amount) amount FROM order_refunds GROUP BY order_id, key) g
		ON g.order_id = r.order_id AND g.key = 'return:' || r.return_id::text
		WHERE (r.state = 'REFUNDED') <> (g.key IS NOT NULL) OR r.state = 'REFUNDED' AND r.refund IS DISTINCT FROM g.amount`,
	"every consumer is done with every event once": `SELECT consumer || ' ' || event_id || ' ' || outcome FROM consumed_events WHERE outcome <> 'DONE'`,
}

// audit waits until all is quiet and then reads the database and the streams.
func (w *world) audit(journeys []*journey) {
	w.Helper()
	begun := time.Now()
	// Work makes work: all of it has to be done at the same time.
	last := ""
	err := until("all is quiet", func() (bool, error) {
		stirs, err := w.stirs()
		if stirs != "" {
			last = stirs
		}
		return stirs == "", err
	})
	if err != nil {
		w.Fatalf("%v: %s", err, last)
	}
	w.Logf("all is quiet after %v; last: %s", time.Since(begun).Round(time.Millisecond), last)
	var broken []error
	for law, query := range laws {
		found, err := w.find(query)
		w.must(err)
		if len(found) > 0 {
			broken = append(broken, fmt.Errorf("not so: %s: %v", law, found))
		}
	}
	broken = append(broken,
		history(w, orderlife.Transitions(), "order_history", "orders", "order_id"),
		history(w, paymentlife.Transitions(), "payment_history", "payments", "payment_id"),
		history(w, paymentlife.RefundTransitions(), "refund_history", "refunds", "refund_id"),
		history(w, shipment.Transitions(), "shipment_history", "shipments", "shipment_id"),
		history(w, returns.Transitions(), "return_history", "returns", "return_id"),
		history(w, couponlife.Transitions(), "coupon_history", "coupons", "coupon_id"),
		w.events(),
		deskFollowed(context.Background(), w.pool),
	)
	for _, j := range journeys {
		broken = append(broken, j.audited())
	}
	if err := errors.Join(broken...); err != nil {
		for _, j := range journeys {
			w.Logf("%s:\n%s", j.name, strings.Join(j.trace, "\n"))
		}
		w.Fatal(err)
	}
	w.counts()
}

// stirs says what is not quiet; nothing if all is.
func (w *world) stirs() (string, error) {
	for range 2 {
		for what, query := range unrest {
			if found, err := w.find(query); err != nil || len(found) > 0 {
				return fmt.Sprintf("%s: %v", what, found), err
			}
		}
		if busy, err := w.behind(); err != nil || busy != "" {
			return busy, err
		}
	}
	return "", nil
}

func (w *world) find(query string) ([]string, error) {
	rows, err := w.pool.Query(context.Background(), query)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", query, err)
	}
	found, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, fmt.Errorf("%s: %w", query, err)
	}
	return found, nil
}

// behind says which consumer has events to handle; nothing if none has.
func (w *world) behind() (string, error) {
	for _, name := range consumers() {
		c, err := w.js.Consumer(context.Background(), outbox.Stream, name)
		if err != nil {
			return "", fmt.Errorf("consumer %s: %w", name, err)
		}
		if info := c.CachedInfo(); info.NumPending > 0 || info.NumAckPending > 0 {
			return fmt.Sprintf("consumer %s has %d events to come and %d in its hands", name, info.NumPending,
				info.NumAckPending), nil
		}
	}
	return "", nil
}

// step is a row of a history.
type step struct {
	ID              string
	Version         int64
	Event, From, To string
	State           *string
	Last            *int64
}

// history walks the histories by the life cycle's table: from nothing to the state that is
// stored, without gaps.
func history[S, E ~string](w *world, table lifecycle.Table[S, E], histories, things, id string) error {
	// An order's announcements have versions without a change of state; events tell of them.
	rows, err := w.pool.Query(
		context.Background(),
		fmt.Sprintf(
			`SELECT coalesce(h.%[3]s, t.%[3]s)::text, coalesce(h.version, 0), coalesce(h.event, ''), coalesce(h.from_state, ''),
		coalesce(h.to_state, ''), t.state, t.version FROM %[1]s h FULL JOIN %[2]s t USING (%[3]s) ORDER BY 1, 2`,
			histories,
			things,
			id,
		),
	)
	if err != nil {
		return err
	}
	steps, err := pgx.CollectRows(rows, pgx.RowToStructByPos[step])
	if err != nil {
		return err
	}
	var wrong []error
	for i, s := range steps {
		first, last := i == 0 || steps[i-1].ID != s.ID, i == len(steps)-1 || steps[i+1].ID != s.ID
		from, version := "", int64(0)
		if !first {
			from, version = steps[i-1].To, steps[i-1].Version
		}
		to, err := table.Next(S(s.From), E(s.Event))
		gap := s.Version != version+1 && things != "orders"
		if err != nil || string(to) != s.To || s.From != from || gap || s.State == nil ||
			last && (*s.State != s.To || *s.Last != s.Version && things != "orders") {
			wrong = append(
				wrong,
				fmt.Errorf("%s %s: %s from %q to %q at %d after %q at %d, now %v at %v: %w", things, s.ID, s.Event, s.From, s.To,
					s.Version, from, version, deref(s.State), deref(s.Last), err),
			)
		}
	}
	return errors.Join(wrong...)
}

func deref[T any](p *T) any {
	if p == nil {
		return nil
	}
	return *p
}

// events compares the stream with the orders' versions: each but a grant's, whose refund has
// an event of its own, is an event there, once; and each event was handled by each consumer
// that wants it, once.
func (w *world) events() error {
	types, wrong := w.published()
	orders, err := w.find("SELECT order_id::text || ' ' || version FROM orders")
	w.must(err)
	silent, err := w.find("SELECT order_id::text || '.' || version FROM order_history WHERE event = 'grant_refund'")
	w.must(err)
	loud, err := w.find("SELECT order_id::text || '.' || version FROM order_history WHERE event <> 'grant_refund'")
	w.must(err)
	want := map[string]bool{}
	for _, o := range orders {
		id, versions, _ := strings.Cut(o, " ")
		var last int64
		_, err := fmt.Sscan(versions, &last)
		w.must(err)
		for v := int64(1); v <= last; v++ {
			want[fmt.Sprintf("%s.%d", id, v)] = true
		}
	}
	for _, id := range silent {
		delete(want, id)
	}
	changes := map[string]bool{}
	for _, id := range loud {
		changes[id] = true
	}
	for id, name := range types {
		if !want[id] {
			wrong = append(wrong, fmt.Errorf("event %s, %s, is no order's", id, name))
		}
		delete(want, id)
		if (name == "orderd.order.v1.OrderReturnChanged") == changes[id] {
			wrong = append(wrong, fmt.Errorf("event %s is %s, and a change of state: %v", id, name, changes[id]))
		}
	}
	for id := range want {
		wrong = append(wrong, fmt.Errorf("version %s is no event in the stream", id))
	}
	return errors.Join(append(wrong, w.handled(types))...)
}

// published are the events of the stream, by their ids.
func (w *world) published() (types map[string]string, wrong []error) {
	ctx := context.Background()
	stream, err := w.js.Stream(ctx, outbox.Stream)
	w.must(err)
	c, err := stream.OrderedConsumer(ctx, jetstream.OrderedConsumerConfig{FilterSubjects: []string{"order.events.>"}})
	w.must(err)
	info, err := stream.Info(ctx)
	w.must(err)
	types = map[string]string{}
	for range info.State.Msgs {
		m, err := c.Next(jetstream.FetchMaxWait(5 * time.Second))
		w.must(err)
		id := m.Headers().Get("ce-id")
		if types[id] != "" {
			wrong = append(wrong, fmt.Errorf("event %s is twice in the stream", id))
		}
		types[id] = m.Headers().Get("ce-type")
	}
	return types, wrong
}

func (w *world) handled(types map[string]string) error {
	var wrong []error
	wanted := map[string][]string{
		"reward": reward.Types(), "push": push.Types(), "desk": desk.Types(), "invoice": invoice.Types(),
		"payment":  {"orderd.order.v1.OrderCancelled"},
		"shipment": {"orderd.order.v1.OrderPaid", "orderd.order.v1.OrderDeliverySet", "orderd.order.v1.OrderCancelled"},
	}
	done, err := w.find("SELECT consumer || ' ' || event_id FROM consumed_events WHERE outcome = 'DONE'")
	w.must(err)
	left := map[string]bool{}
	for _, d := range done {
		left[d] = true
	}
	taken := map[string]bool{}
	for _, n := range w.gateway.Taken() {
		if taken[n.ID] {
			wrong = append(wrong, fmt.Errorf("event %s was taken by the gateway as two", n.ID))
		}
		taken[n.ID] = true
	}
	for id, name := range types {
		for consumer, names := range maps.All(wanted) {
			for _, t := range names {
				if t == name && !left[consumer+" "+id] {
					wrong = append(wrong, fmt.Errorf("consumer %s has not handled %s, %s", consumer, id, name))
				}
				if t == name && consumer == "push" && !taken[id] {
					wrong = append(wrong, fmt.Errorf("nobody was told of %s, %s", id, name))
				}
			}
		}
	}
	letters, err := w.js.Stream(context.Background(), consume.DeadLetters)
	if err == nil && letters.CachedInfo().State.Msgs > 0 {
		wrong = append(wrong, fmt.Errorf("%d dead letters", letters.CachedInfo().State.Msgs))
	}
	return errors.Join(wrong...)
}

// audited tells whether what staff changed in a journey has its audit entry, and its goods are as
// its model says to the end.
func (j *journey) audited() error {
	var wrong []error
	rows, err := j.w.find(
		fmt.Sprintf("SELECT request_id || ' ' || procedure FROM audit_entries WHERE request_id LIKE '%s-%%'", j.name),
	)
	if err != nil {
		return err
	}
	found := map[string]string{}
	for _, r := range rows {
		id, procedure, _ := strings.Cut(r, " ")
		found[id] = procedure
	}
	for id, procedure := range j.staffRequests {
		if !strings.HasSuffix(found[id], "/"+procedure) {
			wrong = append(wrong, fmt.Errorf("staff's %s %s has no audit entry", procedure, id))
		}
	}
	return errors.Join(wrong...)
}

// counts say how far the journeys came.
func (w *world) counts() {
	for _, table := range []string{"orders", "payments", "refunds", "shipments", "returns", "coupons"} {
		found, err := w.find("SELECT state || ' ' || count(*) FROM " + table + " GROUP BY state ORDER BY state")
		w.must(err)
		w.Logf("%s: %s", table, strings.Join(found, ", "))
	}
	for _, q := range []string{
		"SELECT 'order ' || event || ' ' || count(*) FROM order_history GROUP BY event", "SELECT 'grants ' || outcome || ' ' || count(*) FROM reward_grants GROUP BY outcome",
		"SELECT 'refunds ' || reason || ' ' || count(*) FROM refunds GROUP BY reason",
	} {
		found, err := w.find(q)
		w.must(err)
		w.Log(strings.Join(found, ", "))
	}
}

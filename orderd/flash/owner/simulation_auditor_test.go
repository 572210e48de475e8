package owner_test

import (
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	flashv1 "github.com/orderd-dev/orderd/api/gen/orderd/flash/v1"
	"github.com/orderd-dev/orderd/orderd/flash/partition"
	"github.com/orderd-dev/orderd/orderd/kit/rpcerr"
)

// auditor folds the log in its own way, and compares it with what buyers were told.
type auditor struct {
	w      *world
	orders map[[2]string]*audited
	byID   map[uuid.UUID]*audited
	// shards are available and reserved by partition and SKU.
	shards map[int32]map[string]*[2]int64
	opened map[string]int64
	bought map[[2]string]int64
	closed map[int32]time.Time
	// toppedUp is the sum of the shares of each top-up.
	toppedUp map[string]int64
	shares   map[share]bool
	// available is what all shards had together over time, purchases what a buyer had.
	available map[string]timeline
	purchases map[[2]string]timeline
}

// share of a top-up that a partition has.
type share struct {
	partition int32
	topUp     string
}

type audited struct {
	id         uuid.UUID
	partition  int32
	items      []*flashv1.ReservedItem
	at         time.Time
	releasedAt time.Time
}

// timeline is a quantity over time.
type timeline []moment

type moment struct {
	from     time.Time
	quantity int64
}

// within says whether the quantity was one that fits at some moment of a span, ends included.
func (l timeline) within(from, to time.Time, fits func(int64) bool) bool {
	for i, at := range l {
		if (i+1 == len(l) || !l[i+1].from.Before(from)) && !at.from.After(to) && fits(at.quantity) {
			return true
		}
	}
	return false
}

func (w *world) audit() *auditor {
	a := &auditor{
		w: w, orders: map[[2]string]*audited{}, byID: map[uuid.UUID]*audited{}, shards: map[int32]map[string]*[2]int64{},
		opened: map[string]int64{}, bought: map[[2]string]int64{}, closed: map[int32]time.Time{},
		toppedUp: map[string]int64{}, shares: map[share]bool{},
		available: map[string]timeline{}, purchases: map[[2]string]timeline{},
	}
	records := w.log.all()
	for i, r := range records {
		a.fold(r)
		if i+1 == len(records) || records[i+1].step != r.step {
			a.balance(r)
		}
	}
	for _, e := range w.history.exchanges {
		a.check(e)
		a.checkFinal(e)
	}
	return a
}

// checkTopUps wants that all that was added is in the closed log.
func (a *auditor) checkTopUps() {
	for _, topUp := range a.w.promo.Load().GetTopUps() {
		if got := a.toppedUp[topUp.GetId()]; got != topUp.GetQuantity() {
			a.w.fail("top-up %v: the partitions have %d", topUp, got)
		}
	}
}

// checkFinal wants that who was told no, be it because there is no room, with no other attempt
// under way, does not get an order after all.
func (a *auditor) checkFinal(e exchange) {
	order := a.orders[[2]string{e.buyer, e.request}]
	if e.reason == "" || e.reason == rpcerr.ReasonPartitionMoving || order == nil || order.at.Before(e.answered) {
		return
	}
	for _, other := range a.w.history.exchanges {
		same := other.kind == placing && other.buyer == e.buyer && other.request == e.request
		if same && other.id != e.id && other.answered.After(e.called) {
			return
		}
	}
	a.wrong(e, fmt.Sprintf("the order landed at %s", a.w.since(order.at)))
}

func (a *auditor) shard(n int32, sku string) *[2]int64 {
	if a.shards[n] == nil {
		a.shards[n] = map[string]*[2]int64{}
	}
	if a.shards[n][sku] == nil {
		a.shards[n][sku] = &[2]int64{}
	}
	return a.shards[n][sku]
}

func (a *auditor) fold(r landed) {
	if _, ended := a.closed[r.partition]; ended {
		a.w.fail("%d follows Closed in partition %d", r.sequence, r.partition)
	}
	switch kind := r.record.GetKind().(type) {
	case *flashv1.Record_Opened:
		for _, item := range kind.Opened.GetItems() {
			a.shard(r.partition, item.GetSku())[0] += item.GetQuantity()
			a.opened[item.GetSku()] += item.GetQuantity()
		}
	case *flashv1.Record_Reserved:
		for _, reservation := range kind.Reserved.GetReservations() {
			a.reserve(r, reservation)
		}
	case *flashv1.Record_Released:
		for _, released := range kind.Released.GetOrders() {
			a.release(r, uuid.UUID(released.GetOrderId()))
		}
	case *flashv1.Record_ToppedUp:
		s := share{r.partition, kind.ToppedUp.GetTopUpId()}
		if a.shares[s] {
			a.w.fail("%d: partition %d has its share of top-up %s twice", r.sequence, s.partition, s.topUp)
		}
		a.shares[s] = true
		for _, item := range kind.ToppedUp.GetItems() {
			a.shard(r.partition, item.GetSku())[0] += item.GetQuantity()
			a.opened[item.GetSku()] += item.GetQuantity()
			a.toppedUp[s.topUp] += item.GetQuantity()
		}
	case *flashv1.Record_TransferredOut:
		a.shard(r.partition, kind.TransferredOut.GetSku())[0] -= kind.TransferredOut.GetQuantity()
	case *flashv1.Record_TransferredIn:
		a.shard(r.partition, kind.TransferredIn.GetSku())[0] += kind.TransferredIn.GetQuantity()
	case *flashv1.Record_Closed:
		a.closed[r.partition] = r.at
		for _, total := range kind.Closed.GetItems() {
			if got := *a.shard(r.partition, total.GetSku()); got != [2]int64{total.GetUnsold(), total.GetSold()} {
				a.w.fail("partition %d closed with %v, it has %v", r.partition, total, got)
			}
		}
	case *flashv1.Record_Fenced:
	default:
		a.w.fail("%d is of a kind that nobody writes: %v", r.sequence, r.record)
	}
}

func (a *auditor) reserve(r landed, reservation *flashv1.Reservation) {
	key := [2]string{reservation.GetBuyerId(), reservation.GetRequestId()}
	order := &audited{
		id: uuid.UUID(reservation.GetOrderId()), partition: r.partition, items: reservation.GetItems(), at: r.at,
	}
	if a.orders[key] != nil || a.byID[order.id] != nil {
		a.w.fail("%d: order %s of %v is in the log twice", r.sequence, order.id, key)
	}
	a.orders[key], a.byID[order.id] = order, order
	a.move(r, reservation.GetBuyerId(), order, 1)
}

func (a *auditor) release(r landed, id uuid.UUID) {
	order := a.byID[id]
	if order == nil || order.partition != r.partition || !order.releasedAt.IsZero() {
		a.w.fail("%d: order %s was released twice, or was not there", r.sequence, id)
		return
	}
	order.releasedAt = r.at
	for key, other := range a.orders {
		if other == order {
			a.move(r, key[0], order, -1)
		}
	}
}

func (a *auditor) move(r landed, buyer string, order *audited, direction int64) {
	for _, item := range order.items {
		q := direction * item.GetQuantity()
		shard, key := a.shard(r.partition, item.GetSku()), [2]string{buyer, item.GetSku()}
		shard[0] -= q
		shard[1] += q
		a.bought[key] += q
		a.purchases[key] = append(a.purchases[key], moment{r.at, a.bought[key]})
		if a.bought[key] > a.w.limit {
			a.w.fail("%d: %s has %d of %s, over the limit of %d", r.sequence, buyer, a.bought[key], item.GetSku(), a.w.limit)
		}
	}
}

// balance is checked after every step of the log.
func (a *auditor) balance(r landed) {
	for _, sku := range a.w.skus {
		var available, reserved int64
		for n := range a.w.partitions {
			shard := a.shard(n, sku)
			if shard[0] < 0 || shard[1] < 0 {
				a.w.fail("%d: partition %d has %d of %s available, %d reserved", r.sequence, n, shard[0], sku, shard[1])
			}
			available += shard[0]
			reserved += shard[1]
		}
		if available+reserved != a.opened[sku] {
			a.w.fail("%d: %s: available %d and reserved %d, opened with %d", r.sequence, sku, available, reserved, a.opened[sku])
		}
		a.available[sku] = append(a.available[sku], moment{r.at, available})
	}
}

// check compares one answer with the log.
func (a *auditor) check(e exchange) {
	switch {
	case e.unknown():
	case e.reason == "" && e.kind == releasing:
		a.checkReleased(e)
	case e.reason == "":
		a.checkOrder(e)
	case e.kind == placing:
		a.checkRefusal(e)
	case e.reason == rpcerr.ReasonOrderNotFound:
		order := a.orders[[2]string{e.buyer, e.request}]
		if e.kind == releasing {
			order = a.byID[uuid.MustParse(e.order)]
		}
		if order != nil && order.at.Before(e.called) {
			a.wrong(e, "the order was in the log")
		}
	default:
		a.wrong(e, "nobody may be told that")
	}
}

func (a *auditor) wrong(e exchange, why string) {
	a.w.fail("%s %s %s %s%v, called %s, answered %s: order %q, refusal %q %s left %d: %s",
		e.buyer, e.kind, e.request, e.order, e.items,
		a.w.since(e.called), a.w.since(e.answered), e.order, e.reason, e.sku, e.left, why)
}

func (a *auditor) checkOrder(e exchange) {
	order := a.orders[[2]string{e.buyer, e.request}]
	switch {
	case order == nil || order.id.String() != e.order:
		a.wrong(e, "the log has another order or none")
	case order.at.After(e.answered):
		a.wrong(e, "it was not in the log yet")
	case e.kind == placing && !sameItems(e.items, order.items):
		a.wrong(e, "the order has other items")
	case e.released && (order.releasedAt.IsZero() || order.releasedAt.After(e.answered)):
		a.wrong(e, "the order was not released")
	}
}

func sameItems(want []*flashv1.FlashOrderItem, have []*flashv1.ReservedItem) bool {
	return slices.EqualFunc(want, have, func(w *flashv1.FlashOrderItem, h *flashv1.ReservedItem) bool {
		return w.GetSku() == h.GetSku() && w.GetQuantity() == h.GetQuantity()
	})
}

func (a *auditor) checkReleased(e exchange) {
	order := a.byID[uuid.MustParse(e.order)]
	switch closedAt, closed := a.closed[order.partition]; {
	case e.outcome == flashv1.ReleaseOutcome_RELEASE_OUTCOME_RELEASED:
		if order.releasedAt.IsZero() || order.releasedAt.After(e.answered) {
			a.wrong(e, "it was not released in the log")
		}
	case !closed || closedAt.After(e.answered) || !order.releasedAt.IsZero():
		a.wrong(e, "the partition was not closed with the order in it")
	}
}

// checkRefusal wants that a refusal was true at some moment between call and answer. Two
// concessions: what was sold out may be said to be so for a second, and an owner may be a little
// behind another one.
func (a *auditor) checkRefusal(e exchange) {
	since := e.called.Add(-staleMax)
	var wanted int64
	for _, item := range e.items {
		if item.GetSku() == e.sku {
			wanted = item.GetQuantity()
		}
	}
	switch e.reason {
	case rpcerr.ReasonSoldOut:
		noMore := func(all int64) bool { return all <= e.left }
		if wanted <= e.left || !a.available[e.sku].within(since.Add(-soldOutTTL), e.answered, noMore) {
			a.wrong(e, "it was not sold out")
		}
	case rpcerr.ReasonLimitPerBuyer:
		bought := append(timeline{{}}, a.purchases[[2]string{e.buyer, e.sku}]...)
		if !bought.within(since, e.answered, func(had int64) bool { return had+wanted > a.w.limit }) {
			a.wrong(e, "the buyer was not over the limit")
		}
	case rpcerr.ReasonRequestIDReused:
		order := a.orders[[2]string{e.buyer, e.request}]
		if order == nil || order.at.After(e.answered) || sameItems(e.items, order.items) {
			a.wrong(e, "the request id was not used with other items")
		}
	case rpcerr.ReasonEnded:
		if ended := a.ended(e); ended.IsZero() || ended.After(e.answered) {
			a.wrong(e, "the sale went on")
		}
	default:
		a.wrong(e, "nobody may be told that")
	}
}

// ended is when the sale ended for a buyer: at the end of its window, or with the buyer's
// partition. Zero: not at all.
func (a *auditor) ended(e exchange) time.Time {
	at := a.closed[partition.ForBuyer(e.buyer, a.w.partitions)]
	if ms := a.w.promo.Load().GetEndUnixMs(); ms < 1<<60 && (at.IsZero() || time.UnixMilli(ms).Before(at)) {
		at = time.UnixMilli(ms)
	}
	return at
}

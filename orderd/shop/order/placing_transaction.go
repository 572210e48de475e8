package order

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"connectrpc.com/connect/v2"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	orderv1 "github.com/orderd-dev/orderd/api/gen/orderd/order/v1"
	"github.com/orderd-dev/orderd/orderd/kit/database"
	"github.com/orderd-dev/orderd/orderd/kit/idempotency"
	"github.com/orderd-dev/orderd/orderd/kit/rpcerr"
	"github.com/orderd-dev/orderd/orderd/shop/cart"
	"github.com/orderd-dev/orderd/orderd/shop/coupon"
	"github.com/orderd-dev/orderd/orderd/shop/quote"
	"github.com/orderd-dev/orderd/orderd/shop/stock"
)

// actorBuyer is who acts in the history; which buyer is in the order.
const actorBuyer = "buyer"

// errPartial asks for the transaction to be run again with every bucket of stock locked.
var errPartial = errors.New("other buckets may have the stock")

// nonePlacedError undoes a transaction in which no order was placed, and says why none was.
type nonePlacedError struct{ results []placeResult }

func (e *nonePlacedError) Error() string {
	return fmt.Sprintf("none of %d orders can be placed", len(e.results))
}

// placeResult is what became of a candidate: it is placed if neither is set.
type placeResult struct {
	// refused is why the order cannot be placed.
	refused error
	// again says that somebody else has stored the same request meanwhile.
	again bool
}

// placingTransaction places many orders in one transaction: it claims their request ids, locks
// their buyers, their coupons and their stock, decides in memory by the order of arrival, and writes those
// that can be had. Nothing in it changes once it was made; what one run of the transaction finds
// is in a [placingRun].
type placingTransaction struct {
	store  *Store
	at     time.Time
	orders []*candidate
}

// run returns what became of the orders, in their order.
func (p *placingTransaction) run(ctx context.Context) ([]placeResult, error) {
	run := func(allBuckets bool) ([]placeResult, error) {
		return database.QueryTx(ctx, p.store.pool, func(tx *database.Tx) ([]placeResult, error) {
			r := &placingRun{
				placingTransaction: p, tx: tx, results: make([]placeResult, len(p.orders)),
				asked: unpaid{}, before: unpaid{}, counted: unpaid{}, rivals: map[int]*coupon.UnusableError{},
			}
			return r.results, r.run(ctx, allBuckets)
		})
	}
	results, err := run(false)
	if errors.Is(err, errPartial) {
		results, err = run(true)
	}
	var none *nonePlacedError
	if errors.As(err, &none) {
		return none.results, nil
	}
	if err != nil {
		return nil, fmt.Errorf("placing %d orders: %w", len(p.orders), err)
	}
	return results, nil
}

// placingRun is one run of a placingTransaction.
type placingRun struct {
	*placingTransaction

	tx   *database.Tx
	hold *stock.Hold
	// asked is what the orders add to what their buyers have not paid if all of them are placed; before
	// is what that was, and counted what those add that are placed.
	asked, before, counted unpaid
	// results are those of the orders, in their order.
	results []placeResult
	placed  []*candidate
	// rivals are refused, by their place, for a coupon that another of the orders has locked.
	rivals map[int]*coupon.UnusableError
	// undone are refused after their request id was claimed, or coupons were locked for them.
	undone []*candidate
}

func (r *placingRun) run(ctx context.Context, allBuckets bool) error {
	if err := r.lock(ctx, allBuckets); err != nil {
		return err
	}
	for i, c := range r.orders {
		if r.results[i].again || r.results[i].refused != nil {
			continue
		}
		buyer := c.order.BuyerID
		if err := r.before[buyer].plus(r.counted[buyer]).refuse(c.order, c.limits); err != nil {
			r.refuse(i, err)
			continue
		}
		if short := r.hold.Reserve(c.order.ID.String(), c.order.stocked()); short != nil {
			r.refuse(i, insufficient(short, c.exact))
			continue
		}
		r.placed = append(r.placed, c)
		r.counted.add(c.order)
	}
	r.forget()
	switch {
	case r.hold.Partial():
		return errPartial
	case len(r.placed) == 0:
		return &nonePlacedError{results: r.results}
	}
	r.tx.AfterCommit(r.hold.Remember)
	return r.write(ctx)
}

func (r *placingRun) refuse(i int, why error) {
	r.results[i].refused = why
	r.undone = append(r.undone, r.orders[i])
}

// lock claims the request ids and locks buyers, coupons and stock, in this order.
func (r *placingRun) lock(ctx context.Context, allBuckets bool) error {
	requests, responses := make([]idempotency.Request, len(r.orders)), make([][]byte, len(r.orders))
	wanted := stock.Wanted{}
	withCoupons := false
	for i, c := range r.orders {
		requests[i], responses[i] = c.request, c.response
		r.asked.add(c.order)
		for _, l := range c.order.Lines {
			wanted[l.SKU] += l.Quantity
		}
		withCoupons = withCoupons || len(c.order.CouponIDs) > 0
	}
	var b pgx.Batch
	claimed := make(map[idempotency.Key]bool, len(r.orders))
	idempotency.ClaimAll(&b, r.at, requests, responses, claimed)
	queueUnpaid(&b, r.asked, r.before)
	if withCoupons {
		if err := r.tx.SendBatch(ctx, &b).Close(); err != nil {
			return fmt.Errorf("claiming requests: %w", err)
		}
		b = pgx.Batch{}
		if err := r.lockCoupons(ctx, claimed); err != nil {
			return err
		}
	}
	r.hold = r.store.shelves.Lock(&b, wanted, r.orders[0].order.ID.String(), allBuckets)
	if err := r.tx.SendBatch(ctx, &b).Close(); err != nil {
		return fmt.Errorf("locking stock: %w", err)
	}
	for i, c := range r.orders {
		r.results[i].again = !claimed[c.request.Key()]
	}
	return nil
}

// lockCoupons locks the coupons of the orders whose request ids are claimed.
func (r *placingRun) lockCoupons(ctx context.Context, claimed map[idempotency.Key]bool) error {
	places := make(map[uuid.UUID]int, len(r.orders))
	var wanted []coupon.Wish
	for i, c := range r.orders {
		if len(c.order.CouponIDs) > 0 && claimed[c.request.Key()] {
			places[c.order.ID] = i
			wanted = append(wanted, coupon.Wish{OrderID: c.order.ID, BuyerID: c.order.BuyerID, CouponIDs: c.order.CouponIDs})
		}
	}
	failed, err := coupon.LockFor(ctx, r.tx, wanted, r.at)
	if err != nil {
		return err
	}
	for orderID, unusable := range failed {
		r.refuse(places[orderID], quote.CouponUnusable(unusable))
		if _, beside := places[unusable.LockedBy]; beside {
			r.rivals[places[orderID]] = unusable
		}
	}
	return nil
}

// forget takes out of the refusals the orders that would have had a coupon and are not placed.
func (r *placingRun) forget() {
	for i, unusable := range r.rivals {
		if !slices.ContainsFunc(r.placed, func(c *candidate) bool { return c.order.ID == unusable.LockedBy }) {
			r.results[i].refused = quote.CouponUnusable(
				&coupon.UnusableError{CouponID: unusable.CouponID, Why: unusable.Why})
		}
	}
}

// write writes the orders that are placed; the claims and coupons of those that are not are undone.
func (r *placingRun) write(ctx context.Context) error {
	if err := r.undo(ctx); err != nil {
		return err
	}
	orders, changes := make([]*Order, len(r.placed)), make([]change, len(r.placed))
	for i, c := range r.placed {
		orders[i], changes[i] = c.order, c.change
	}
	var b pgx.Batch
	args, err := insertArgs(orders)
	if err != nil {
		return err
	}
	b.Queue(insertSQL, args...).Exec(database.MustChange(len(orders)))
	queueLines(&b, orders)
	if err := queueRecords(&b, changes); err != nil {
		return err
	}
	cart.RemoveOrdered(&b, ordered(orders))
	queueLess(&b, r.asked.less(r.counted))
	r.hold.Write(&b)
	if err := r.tx.SendBatch(ctx, &b).Close(); err != nil {
		return fmt.Errorf("writing orders: %w", err)
	}
	r.tx.AfterCommit(func() { r.store.metrics.count(changes) })
	return r.payFree(ctx, orders)
}

// undo takes back the claims and the coupons of orders that are not placed.
func (r *placingRun) undo(ctx context.Context) error {
	if len(r.undone) == 0 {
		return nil
	}
	var requests []idempotency.Request
	var locked []uuid.UUID
	for _, c := range r.undone {
		requests = append(requests, c.request)
		if len(c.order.CouponIDs) > 0 {
			locked = append(locked, c.order.ID)
		}
	}
	var b pgx.Batch
	idempotency.Unclaim(&b, requests)
	if err := r.tx.SendBatch(ctx, &b).Close(); err != nil {
		return fmt.Errorf("taking back claims: %w", err)
	}
	if len(locked) == 0 {
		return nil
	}
	return coupon.ReturnFor(ctx, r.tx, locked, r.at, coupon.Unpaid)
}

// payFree makes the orders paid that there is nothing to pay for.
func (r *placingRun) payFree(ctx context.Context, orders []*Order) error {
	var payments []Payment
	for _, o := range orders {
		if o.free() {
			payments = append(payments, Payment{OrderID: o.ID, Actor: actorBuyer})
		}
	}
	if len(payments) == 0 {
		return nil
	}
	_, err := r.store.MarkPaid(ctx, r.tx, r.at, payments)
	return err
}

func ordered(orders []*Order) []cart.Ordered {
	out := make([]cart.Ordered, len(orders))
	for i, o := range orders {
		out[i].BuyerID = o.BuyerID
		for _, l := range o.Lines {
			out[i].SKUs = append(out[i].SKUs, l.SKU)
		}
	}
	return out
}

// insufficient is what the caller sees of an order that there is too little stock for. One who may
// not know how much there is hears of a few units only.
func insufficient(short []stock.Shortage, exact bool) error {
	detail := &orderv1.StockShortage{}
	for _, s := range short {
		left := s.Left
		if !exact {
			left = min(left, stock.Few)
		}
		detail.Lines = append(detail.Lines, &orderv1.ShortLine{Sku: s.SKU, Wanted: s.Wanted, Left: left})
	}
	refused := rpcerr.New(connect.CodeResourceExhausted, rpcerr.ReasonInsufficientStock, "there is not enough stock",
		"sku", short[0].SKU)
	return rpcerr.WithDetail(refused, detail)
}

// stocked are the order's units by SKU.
func (o *Order) stocked() []stock.Quantity {
	out := make([]stock.Quantity, len(o.Lines))
	for i, l := range o.Lines {
		out[i] = l.stocked()
	}
	return out
}

// movements makes one movement a line of the orders.
func movements(orders []*Order, of func(string, stock.Quantity) stock.Movement) []stock.Movement {
	var out []stock.Movement
	for _, o := range orders {
		for _, l := range o.Lines {
			out = append(out, of(o.ID.String(), l.stocked()))
		}
	}
	return out
}

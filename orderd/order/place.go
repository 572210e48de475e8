package order

import (
	"context"
	"errors"
	"fmt"
	"time"

	"connectrpc.com/connect/v2"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	orderv1 "github.com/orderd-dev/orderd/api/gen/orderd/order/v1"
	"github.com/orderd-dev/orderd/orderd/cart"
	"github.com/orderd-dev/orderd/orderd/coupon"
	"github.com/orderd-dev/orderd/orderd/database"
	"github.com/orderd-dev/orderd/orderd/idempotency"
	"github.com/orderd-dev/orderd/orderd/rpcerr"
	"github.com/orderd-dev/orderd/orderd/stock"
)

// actorBuyer is who acts in the history; which buyer is in the order.
const actorBuyer = "buyer"

var (
	// errPartial asks for the transaction to be run again with every bucket of stock locked.
	errPartial = errors.New("other buckets may have the stock")
	// errNobody undoes a transaction in which no order was placed.
	errNobody = errors.New("no order can be placed")
)

// placement places many orders in one transaction: it claims their request ids, locks their coupons and their stock, decides in
// memory by the order of arrival, and writes those that can be had.
type placement struct {
	store  *Store
	at     time.Time
	orders []*candidate

	hold   *stock.Hold
	placed []*candidate
	losers []*candidate
}

func (p *placement) run(ctx context.Context) error {
	err := database.ExecuteTx(ctx, p.store.pool, func(tx *database.Tx) error { return p.try(ctx, tx, false) })
	if errors.Is(err, errPartial) {
		err = database.ExecuteTx(ctx, p.store.pool, func(tx *database.Tx) error { return p.try(ctx, tx, true) })
	}
	if errors.Is(err, errNobody) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("placing %d orders: %w", len(p.orders), err)
	}
	return nil
}

// try is the transaction's work. It may run several times, and sets what it finds anew each time.
func (p *placement) try(ctx context.Context, tx *database.Tx, all bool) error {
	p.placed, p.losers = nil, nil
	for _, c := range p.orders {
		c.err, c.again = nil, false
	}
	if err := p.lock(ctx, tx, all); err != nil {
		return err
	}
	for _, c := range p.orders {
		if c.again || c.err != nil {
			continue
		}
		if short := p.hold.Reserve(c.order.ID.String(), c.order.stocked()); short != nil {
			c.err = insufficient(short)
			p.losers = append(p.losers, c)
			continue
		}
		p.placed = append(p.placed, c)
	}
	switch {
	case p.hold.Partial():
		return errPartial
	case len(p.placed) == 0:
		return errNobody
	}
	tx.AfterCommit(p.hold.Remember)
	return p.write(ctx, tx)
}

// lock claims the request ids and locks coupons and stock, in this order.
func (p *placement) lock(ctx context.Context, tx pgx.Tx, all bool) error {
	requests, responses := make([]idempotency.Request, len(p.orders)), make([][]byte, len(p.orders))
	wanted := stock.Wanted{}
	var wishes []coupon.Wish
	for i, c := range p.orders {
		requests[i], responses[i] = c.request, c.response
		for _, l := range c.order.Lines {
			wanted[l.SKU] += l.Quantity
		}
		if len(c.order.CouponIDs) > 0 {
			wishes = append(wishes, coupon.Wish{OrderID: c.order.ID, BuyerID: c.order.BuyerID, CouponIDs: c.order.CouponIDs})
		}
	}
	var b pgx.Batch
	claimed := make(map[idempotency.Key]bool, len(p.orders))
	idempotency.ClaimAll(&b, p.at, requests, responses, claimed)
	if len(wishes) > 0 {
		if err := tx.SendBatch(ctx, &b).Close(); err != nil {
			return fmt.Errorf("claiming requests: %w", err)
		}
		b = pgx.Batch{}
		if err := p.lockCoupons(ctx, tx, wishes, claimed); err != nil {
			return err
		}
	}
	p.hold = p.store.shelves.Lock(&b, wanted, p.orders[0].order.ID.String(), all)
	if err := tx.SendBatch(ctx, &b).Close(); err != nil {
		return fmt.Errorf("locking stock: %w", err)
	}
	for _, c := range p.orders {
		c.again = !claimed[c.request.Key()]
	}
	return nil
}

// lockCoupons locks the coupons of the orders whose request ids are claimed.
func (p *placement) lockCoupons(ctx context.Context, tx pgx.Tx, wishes []coupon.Wish, claimed map[idempotency.Key]bool) error {
	ours := make(map[uuid.UUID]*candidate, len(p.orders))
	for _, c := range p.orders {
		if claimed[c.request.Key()] {
			ours[c.order.ID] = c
		}
	}
	var wanted []coupon.Wish
	for _, w := range wishes {
		if ours[w.OrderID] != nil {
			wanted = append(wanted, w)
		}
	}
	failed, err := coupon.LockFor(ctx, tx, wanted, p.at)
	if err != nil {
		return err
	}
	for orderID, couponID := range failed {
		c := ours[orderID]
		c.err = rpcerr.New(connect.CodeFailedPrecondition, "COUPON_UNUSABLE", "another order has the coupon, or its time is over",
			"coupon_id", couponID.String(), "why", string(coupon.IsLocked))
		p.losers = append(p.losers, c)
	}
	return nil
}

// write writes the orders that are placed; the claims and coupons of the others are undone.
func (p *placement) write(ctx context.Context, tx *database.Tx) error {
	if err := p.undoLosers(ctx, tx); err != nil {
		return err
	}
	orders, changes := make([]*Order, len(p.placed)), make([]change, len(p.placed))
	for i, c := range p.placed {
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
	p.hold.Write(&b)
	if err := tx.SendBatch(ctx, &b).Close(); err != nil {
		return fmt.Errorf("writing orders: %w", err)
	}
	tx.AfterCommit(func() { p.store.metrics.count(changes) })
	return p.payFree(ctx, tx, orders)
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

// payFree makes the orders paid that there is nothing to pay for.
func (p *placement) payFree(ctx context.Context, tx *database.Tx, orders []*Order) error {
	var payments []Payment
	for _, o := range orders {
		if o.free() {
			payments = append(payments, Payment{OrderID: o.ID, Actor: actorBuyer})
		}
	}
	if len(payments) == 0 {
		return nil
	}
	_, err := p.store.MarkPaid(ctx, tx, p.at, payments)
	return err
}

func (p *placement) undoLosers(ctx context.Context, tx pgx.Tx) error {
	if len(p.losers) == 0 {
		return nil
	}
	var requests []idempotency.Request
	var locked []uuid.UUID
	for _, c := range p.losers {
		requests = append(requests, c.request)
		if len(c.order.CouponIDs) > 0 {
			locked = append(locked, c.order.ID)
		}
	}
	var b pgx.Batch
	idempotency.Unclaim(&b, requests)
	if err := tx.SendBatch(ctx, &b).Close(); err != nil {
		return fmt.Errorf("giving up claims: %w", err)
	}
	if len(locked) == 0 {
		return nil
	}
	return coupon.ReturnFor(ctx, tx, locked, p.at, coupon.Unpaid)
}

// insufficient is what the buyer sees of an order that there is too little stock for.
func insufficient(short []stock.Shortage) error {
	detail := &orderv1.StockShortage{}
	for _, s := range short {
		detail.Lines = append(detail.Lines, &orderv1.ShortLine{Sku: s.SKU, Wanted: s.Wanted, Left: s.Left})
	}
	refused := rpcerr.New(connect.CodeResourceExhausted, "INSUFFICIENT_STOCK", "there is not enough stock", "sku", short[0].SKU)
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

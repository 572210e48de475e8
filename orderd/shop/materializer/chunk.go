package materializer

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"

	"github.com/orderd-dev/orderd/orderd/flash/prepare"
	"github.com/orderd-dev/orderd/orderd/kit/database"
	"github.com/orderd-dev/orderd/orderd/shop/order"
)

const (
	// writeTimeout bounds one transaction.
	writeTimeout = 10 * time.Second
	// patience is how often a chunk is tried that fails for no reason that is known to pass, before
	// its orders are tried by parts.
	patience = 5
)

// chunk is orders for one transaction, and each one's record.
type chunk struct {
	*stream
	orders  []order.Accepted
	records []*record
}

// write writes the chunk, however long the database is away, and takes out what it refuses and what
// does not fit the promotion. It returns when every order is written, refused or put back, or ctx ended.
func (c *chunk) write(ctx context.Context, misfits []*prepare.MisfitError) {
	rest, bad := &chunk{stream: c.stream}, &chunk{stream: c.stream}
	var unfit []order.Unwritable
	for i, o := range c.orders {
		part := rest
		if misfit := misfits[i]; misfit != nil {
			part = bad
			unfit = append(unfit, order.Unwritable{Order: o, Reason: misfit.Error()})
			c.misfit.WithLabelValues(misfit.Field).Inc()
		}
		part.orders, part.records = append(part.orders, o), append(part.records, c.records[i])
	}
	if len(unfit) > 0 {
		bad.takeOut(ctx, unfit, func(order.Unwritable, map[uuid.UUID]bool) bool { return true })
	}
	rest.insist(ctx, 0)
}

func (c *chunk) insist(ctx context.Context, attempt int) {
	for ; len(c.orders) > 0 && ctx.Err() == nil; attempt++ {
		err := c.try(ctx, attempt > 0)
		var refused *order.UnwritableError
		switch {
		case err == nil:
			c.written()
			return
		case ctx.Err() != nil:
			return
		case errors.As(err, &refused) && len(refused.Orders) > 0:
			c = c.without(ctx, refused.Orders)
		case errors.As(err, &refused):
			c.byParts(ctx, 1, err)
			return
		case attempt >= patience && database.ClassOf(err) == database.Final:
			// Something is wrong with the database, or with one of the orders: those
			// that can be written are.
			c.byParts(ctx, attempt, err)
			return
		default:
			c.failures.Inc()
			c.log.Warn("orders were not written", "orders", len(c.orders), "attempt", attempt, "error", err)
			c.pause(ctx, attempt)
		}
	}
}

// try makes one transaction. Chunks that failed before take turns, one a promotion.
func (c *chunk) try(ctx context.Context, again bool) error {
	if again {
		if err := enter(ctx, c.again); err != nil {
			return err
		}
		defer func() { <-c.again }()
	}
	return c.transact(ctx, func(ctx context.Context) error { return c.options.Writer.Materialize(ctx, c.orders) })
}

// transact waits for one of the transactions that may be open at once.
func (c *chunk) transact(ctx context.Context, do func(context.Context) error) error {
	if err := c.open.Acquire(ctx, 1); err != nil {
		return err
	}
	defer c.open.Release(1)
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	return do(ctx)
}

// byParts writes each half by itself. A single order that fails is put back.
func (c *chunk) byParts(ctx context.Context, attempt int, cause error) {
	half := len(c.orders) / 2
	if half == 0 {
		c.log.Error("an order cannot be written and is tried again later", "order", c.orders[0].OrderID, "error", cause)
		c.putBack()
		return
	}
	for _, part := range []*chunk{c.part(0, half), c.part(half, len(c.orders))} {
		part.insist(ctx, attempt)
	}
}

func (c *chunk) part(from, to int) *chunk {
	return &chunk{stream: c.stream, orders: c.orders[from:to:to], records: c.records[from:to:to]}
}

// without makes dead letters of the orders that are refused, and returns the others.
func (c *chunk) without(ctx context.Context, reasons map[uuid.UUID]string) *chunk {
	rest, bad := &chunk{stream: c.stream}, &chunk{stream: c.stream}
	for i, o := range c.orders {
		part := rest
		if _, refused := reasons[o.OrderID]; refused {
			part = bad
		}
		part.orders, part.records = append(part.orders, o), append(part.records, c.records[i])
	}
	bad.bury(ctx, reasons)
	return rest
}

// written counts the chunk and finishes its records.
func (c *chunk) written() {
	c.metrics.written.Add(float64(len(c.orders)))
	now := c.options.Clock()
	for _, o := range c.orders {
		c.delay.Observe(now.Sub(o.AcceptedAt).Seconds())
	}
	c.finish()
}

// finish tells the records that the chunk's orders are written or refused.
func (c *chunk) finish() {
	for from := 0; from < len(c.records); {
		to := from + 1
		for to < len(c.records) && c.records[to] == c.records[from] {
			to++
		}
		c.records[from].done(int64(to - from))
		from = to
	}
}

// putBack has the records of the chunk's orders looked at again later.
func (c *chunk) putBack() {
	for _, r := range c.records {
		r.back.Store(true)
	}
	c.finish()
}

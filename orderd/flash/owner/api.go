package owner

import (
	"context"

	"github.com/google/uuid"

	flashv1 "github.com/orderd-dev/orderd/api/gen/orderd/flash/v1"
	"github.com/orderd-dev/orderd/orderd/flash/refusal"
)

// single is a call of one request, whose caller waits for the answer. It is used again.
type single struct {
	reserveCall
	request [1]request
	// reply has room for the one answer, so that the owner's goroutine never waits for a caller.
	reply chan result[*flashv1.PlaceFlashOrderResponse]
}

// newSingle is for the pool of one owner.
func newSingle() any {
	s := &single{reply: make(chan result[*flashv1.PlaceFlashOrderResponse], 1)}
	s.kind = &s.reserveCall
	s.answer = func(_ int, response *flashv1.PlaceFlashOrderResponse, err error) {
		s.reply <- result[*flashv1.PlaceFlashOrderResponse]{value: response, err: err}
	}
	return s
}

// reuse puts the call back into the pool. Nobody else may have it any more.
func (o *Owner) reuse(s *single) {
	s.ctx, s.request[0] = nil, request{}
	o.singles.Put(s)
}

// Reserve decides on a buyer's request. The answer is durable. Errors as
// FlashService.PlaceFlashOrder, and [refusal.NotOwner] when the owner has ended.
func (o *Owner) Reserve(
	ctx context.Context, message *flashv1.PlaceFlashOrderRequest,
) (*flashv1.PlaceFlashOrderResponse, error) {
	s := o.singles.Get().(*single)
	s.ctx = ctx
	s.request[0] = request{message: message, call: &s.reserveCall}
	s.requests = s.request[:]
	if err := o.enqueue(&s.call); err != nil {
		o.metrics.refuse(err, 1)
		o.reuse(s)
		return nil, err
	}
	select {
	case r := <-s.reply:
		o.reuse(s)
		return r.value, r.err
	case <-ctx.Done():
		return nil, o.moving()
	}
}

// ReserveMany is Reserve for many requests at once, at the price of one. It does not wait: answer
// is called exactly once for each request, by its index, from the owner's goroutine or before
// ReserveMany returns. It must not block or call the owner. Responses may share memory, and must
// not be changed; the requests must not be before they are answered. A batch for which the queue
// has no room is refused as a whole. Once ctx ends, what was not decided on is answered with
// [refusal.PartitionMoving].
func (o *Owner) ReserveMany(ctx context.Context, messages []*flashv1.PlaceFlashOrderRequest,
	answer func(i int, response *flashv1.PlaceFlashOrderResponse, err error),
) {
	if len(messages) == 0 {
		return
	}
	c := &reserveCall{call: call{ctx: ctx}, answer: answer, requests: make([]request, len(messages))}
	c.kind = c
	for i, message := range messages {
		c.requests[i] = request{message: message, call: c, index: i}
	}
	if err := o.enqueue(&c.call); err != nil {
		o.metrics.refuse(err, len(messages))
		for i := range messages {
			answer(i, nil, err)
		}
	}
}

// Lookup says what became of a buyer's request. Errors as FlashService.GetFlashOrder, and
// [refusal.NotOwner].
func (o *Owner) Lookup(
	ctx context.Context, request *flashv1.GetFlashOrderRequest,
) (*flashv1.GetFlashOrderResponse, error) {
	c := &lookupCall{callFor: newCallFor[*flashv1.GetFlashOrderResponse](ctx), request: request}
	return ask(o, c, &c.callFor)
}

// Find is a buyer's order by its id. Errors: [refusal.OrderNotFound], only when the log is known
// not to have it, or as another buyer's; PartitionMoving, Overloaded, NotOwner.
func (o *Owner) Find(
	ctx context.Context, buyerID string, orderID uuid.UUID,
) (*flashv1.Reservation, flashv1.FlashOrderState, error) {
	c := &findCall{callFor: newCallFor[foundOrder](ctx), buyer: buyerID, order: orderID}
	found, err := ask(o, c, &c.callFor)
	return found.reservation, found.state, err
}

// Release gives an order's stock back to the sale, once. Errors: [refusal.OrderNotFound],
// PartitionMoving, Overloaded, NotOwner.
func (o *Owner) Release(
	ctx context.Context, order uuid.UUID, reason flashv1.ReleaseReason,
) (flashv1.ReleaseOutcome, error) {
	c := &releaseCall{callFor: newCallFor[flashv1.ReleaseOutcome](ctx), order: order, reason: reason}
	return ask(o, c, &c.callFor)
}

// Transfer gives stock to another partition. Errors: see [Peers].
func (o *Owner) Transfer(
	ctx context.Context, request *flashv1.TransferRequest,
) (*flashv1.TransferResponse, error) {
	if o.asking.Load() {
		// Two owners that ask each other would wait for each other.
		return &flashv1.TransferResponse{Outcome: flashv1.TransferOutcome_TRANSFER_OUTCOME_BUSY}, nil
	}
	c := &transferCall{callFor: newCallFor[*flashv1.TransferResponse](ctx), request: request}
	return ask(o, c, &c.callFor)
}

// ask puts a call into the queue, c of kind k, and waits for the answer until the call's ctx ends.
func ask[T any](o *Owner, k kind, c *callFor[T]) (T, error) {
	c.kind = k
	var none T
	if err := o.enqueue(&c.call); err != nil {
		return none, err
	}
	select {
	case r := <-c.reply:
		return r.value, r.err
	case <-c.ctx.Done():
		return none, o.moving()
	}
}

// enqueue hands the call to the owner, which answers it. An error says that it does not, and that
// nothing happened.
func (o *Owner) enqueue(c *call) error {
	if o.stopping.Load() {
		return refusal.NotOwner()
	}
	c.came = o.clock()
	if !c.housekeeping {
		o.used.Store(c.came.UnixNano())
	}
	size := c.kind.size()
	if o.queued.Add(size) > queueLength {
		o.queued.Add(-size)
		return refusal.Overloaded(o.jitter(retryDelay))
	}
	o.entrance.RLock()
	defer o.entrance.RUnlock()
	if o.ended {
		o.queued.Add(-size)
		return refusal.NotOwner()
	}
	// There is room: every call in the queue counts at least once.
	o.queue <- c
	return nil
}

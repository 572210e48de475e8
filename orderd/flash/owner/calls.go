package owner

import (
	"context"
	"time"

	"github.com/google/uuid"

	flashv1 "github.com/orderd-dev/orderd/api/gen/orderd/flash/v1"
	"github.com/orderd-dev/orderd/orderd/flash/refusal"
)

// call is one entry of the owner's queue: placements, or one question.
type call struct {
	ctx context.Context
	// came is when the owner was called.
	came time.Time
	// placements came together. each answers them, if it is set; else there is one, and reply answers it.
	placements []placement
	each       func(i int, response *flashv1.PlaceFlashOrderResponse, err error)

	get      *flashv1.GetFlashOrderRequest
	find     *finding
	levels   bool
	transfer *flashv1.TransferRequest
	order    uuid.UUID
	reason   flashv1.ReleaseReason
	// reply has room for the one answer, so that the goroutine never waits for a caller.
	reply chan reply
}

// placement is one buyer's request, by its place in its call.
type placement struct {
	request *flashv1.PlaceFlashOrderRequest
	call    *call
	index   int
}

// finding is a question for an order by its id.
type finding struct {
	buyer string
	order uuid.UUID
}

type reply struct {
	placed   *flashv1.PlaceFlashOrderResponse
	got      *flashv1.GetFlashOrderResponse
	found    *flashv1.Reservation
	state    flashv1.FlashOrderState
	levels   Levels
	moved    *flashv1.TransferResponse
	released flashv1.ReleaseOutcome
	err      error
}

func (c *call) answer(r reply)   { c.reply <- r }
func (c *call) refuse(err error) { c.reply <- reply{err: err} }

// calls is how many requests the call counts as in the queue.
func (c *call) calls() int64 { return int64(max(1, len(c.placements))) }

// answer the placement, once.
func (p placement) answer(response *flashv1.PlaceFlashOrderResponse, err error) {
	if p.call.each != nil {
		p.call.each(p.index, response, err)
		return
	}
	p.call.reply <- reply{placed: response, err: err}
}

// single is the call of one placement, to be used again.
type single struct {
	call
	placement [1]placement
}

// newSingle is for the pool of one owner.
func newSingle() any {
	s := &single{}
	s.reply = make(chan reply, 1)
	return s
}

// Reserve takes a buyer's request. The answer is durable. Errors as FlashService.PlaceFlashOrder, and
// refusal.NotOwner when the owner has ended.
func (o *Owner) Reserve(ctx context.Context, request *flashv1.PlaceFlashOrderRequest) (*flashv1.PlaceFlashOrderResponse, error) {
	s := o.singles.Get().(*single)
	s.ctx = ctx
	s.placement[0] = placement{request: request, call: &s.call}
	s.placements = s.placement[:]
	r, answered := o.do(&s.call)
	if answered {
		// Nobody else has it any more.
		s.ctx, s.placement[0] = nil, placement{}
		o.singles.Put(s)
	}
	return r.placed, r.err
}

// ReserveMany is Reserve for many requests at once, at the price of one. It does not wait: answer is called exactly once
// for each request, by its index, from the owner's goroutine or before ReserveMany returns. It must not block or call the
// owner. Responses may share memory, and must not be changed; the requests must not be before they are answered. A batch
// for which the queue has no room is refused as a whole. Once ctx ends, what was not decided on is answered with
// refusal.PartitionMoving.
func (o *Owner) ReserveMany(ctx context.Context, requests []*flashv1.PlaceFlashOrderRequest,
	answer func(i int, response *flashv1.PlaceFlashOrderResponse, err error),
) {
	if len(requests) == 0 {
		return
	}
	c := &call{ctx: ctx, each: answer, placements: make([]placement, len(requests))}
	for i, request := range requests {
		c.placements[i] = placement{request: request, call: c, index: i}
	}
	if err := o.enqueue(c); err != nil {
		o.Metrics.refuse(err, len(requests))
		for i := range requests {
			answer(i, nil, err)
		}
	}
}

// Lookup tells what became of a buyer's request. Errors as FlashService.GetFlashOrder, and refusal.NotOwner.
func (o *Owner) Lookup(ctx context.Context, request *flashv1.GetFlashOrderRequest) (*flashv1.GetFlashOrderResponse, error) {
	r := o.question(&call{ctx: ctx, get: request})
	return r.got, r.err
}

// Find is a buyer's order by its id. Errors: refusal.OrderNotFound, only when the log is known not to have it, or as another
// buyer's; PartitionMoving, Overloaded, NotOwner.
func (o *Owner) Find(ctx context.Context, buyerID string, orderID uuid.UUID) (*flashv1.Reservation, flashv1.FlashOrderState, error) {
	r := o.question(&call{ctx: ctx, find: &finding{buyer: buyerID, order: orderID}})
	return r.found, r.state, r.err
}

// Release gives an order's stock back to the sale, once. Errors: refusal.OrderNotFound, PartitionMoving,
// Overloaded, NotOwner.
func (o *Owner) Release(ctx context.Context, order uuid.UUID, reason flashv1.ReleaseReason) (flashv1.ReleaseOutcome, error) {
	r := o.question(&call{ctx: ctx, order: order, reason: reason})
	return r.released, r.err
}

// Transfer gives stock to another partition. Errors: see Peers.
func (o *Owner) Transfer(ctx context.Context, request *flashv1.TransferRequest) (*flashv1.TransferResponse, error) {
	if o.asking.Load() {
		// Two owners that ask each other would wait for each other.
		return &flashv1.TransferResponse{Outcome: flashv1.TransferOutcome_TRANSFER_OUTCOME_BUSY}, nil
	}
	r := o.question(&call{ctx: ctx, transfer: request})
	return r.moved, r.err
}

func (o *Owner) question(c *call) reply {
	c.reply = make(chan reply, 1)
	r, _ := o.do(c)
	return r
}

// do returns the reply, and whether the owner is done with the call.
func (o *Owner) do(c *call) (r reply, answered bool) {
	if err := o.enqueue(c); err != nil {
		if c.placements != nil {
			o.Metrics.refuse(err, 1)
		}
		return reply{err: err}, true
	}
	select {
	case r := <-c.reply:
		return r, true
	case <-c.ctx.Done():
		return reply{err: o.moving()}, false
	}
}

// enqueue hands the call to the owner, which answers it. An error says that it does not, and that nothing happened.
func (o *Owner) enqueue(c *call) error {
	if o.stopping.Load() {
		return refusal.NotOwner()
	}
	c.came = o.Clock()
	if !c.levels {
		o.used.Store(c.came.UnixNano())
	}
	calls := c.calls()
	if o.queued.Add(calls) > queueLength {
		o.queued.Add(-calls)
		return refusal.Overloaded(o.Jitter(retryDelay))
	}
	o.entrance.RLock()
	defer o.entrance.RUnlock()
	if o.ended {
		o.queued.Add(-calls)
		return refusal.NotOwner()
	}
	// There is room: every call in the queue counts at least once.
	o.queue <- c
	return nil
}

package owner

import (
	"context"
	"time"

	"github.com/google/uuid"

	flashv1 "github.com/orderd-dev/orderd/api/gen/orderd/flash/v1"
)

// call is one entry of the owner's queue.
type call struct {
	ctx context.Context
	// came is when the owner was called.
	came time.Time
	// kind is the call itself, as the kind that it is. The queue holds pointers to calls and not
	// kinds because it is long, and a kind takes twice the room of a pointer.
	kind kind
	// housekeeping says that the pod asks for its own sake: an owner whom nobody else asks counts
	// as unused.
	housekeeping bool
}

// kind is what a call wants. Each has a type of its own: [reserveCall], [lookupCall], [findCall],
// [levelsCall], [releaseCall], [transferCall]. What is none of them cannot be queued.
type kind interface {
	// size is how many requests the call counts as in the queue, at least 1.
	size() int64
	// dispatch puts the call among those of its kind that the owner's next turn works off, unless
	// nobody waits for the answer any more.
	dispatch(o *Owner)
}

// reserveCall is one or more buyers' requests to reserve, that came together.
type reserveCall struct {
	call
	requests []request
	// answer is called once for each request, by its index.
	answer func(index int, response *flashv1.PlaceFlashOrderResponse, err error)
}

// request is one buyer's request, by its index in its call.
type request struct {
	message *flashv1.PlaceFlashOrderRequest
	call    *reserveCall
	index   int
}

// answer the request, once.
func (r request) answer(response *flashv1.PlaceFlashOrderResponse, err error) {
	r.call.answer(r.index, response, err)
}

func (c *reserveCall) size() int64 { return int64(len(c.requests)) }

// dispatch also keeps requests for which nobody waits: each is answered once, whatever happens.
func (c *reserveCall) dispatch(o *Owner) {
	if len(o.pending) == 0 {
		o.pending = o.pendingRoom[:0]
	}
	o.pending = append(o.pending, c.requests...)
	if cap(o.pending) > cap(o.pendingRoom) {
		o.pendingRoom = o.pending[:0]
	}
}

// callFor is a call whose one caller waits for a T.
type callFor[T any] struct {
	call
	// reply has room for the one answer, so that the owner's goroutine never waits for a caller.
	reply chan result[T]
}

type result[T any] struct {
	value T
	err   error
}

func newCallFor[T any](ctx context.Context) callFor[T] {
	return callFor[T]{call: call{ctx: ctx}, reply: make(chan result[T], 1)}
}

func (c *callFor[T]) size() int64 { return 1 }

func (c *callFor[T]) answer(value T)   { c.reply <- result[T]{value: value} }
func (c *callFor[T]) refuse(err error) { c.reply <- result[T]{err: err} }

// abandoned says that nobody waits for the answer any more.
func (c *callFor[T]) abandoned() bool { return c.ctx.Err() != nil }

// question is a call for something that the state has.
type question interface {
	kind
	// answerFrom the owner's state.
	answerFrom(ctx context.Context, o *Owner)
	refuse(err error)
}

// lookupCall asks what became of a buyer's request.
type lookupCall struct {
	callFor[*flashv1.GetFlashOrderResponse]
	request *flashv1.GetFlashOrderRequest
}

func (c *lookupCall) dispatch(o *Owner) {
	if !c.abandoned() {
		o.questions = append(o.questions, c)
	}
}

// findCall asks for a buyer's order by its id.
type findCall struct {
	callFor[foundOrder]
	buyer string
	order uuid.UUID
}

type foundOrder struct {
	reservation *flashv1.Reservation
	state       flashv1.FlashOrderState
}

func (c *findCall) dispatch(o *Owner) {
	if !c.abandoned() {
		o.questions = append(o.questions, c)
	}
}

// levelsCall asks for the stock shards.
type levelsCall struct{ callFor[Levels] }

func (c *levelsCall) dispatch(o *Owner) {
	if !c.abandoned() {
		o.questions = append(o.questions, c)
	}
}

// releaseCall gives an order's stock back.
type releaseCall struct {
	callFor[flashv1.ReleaseOutcome]
	order  uuid.UUID
	reason flashv1.ReleaseReason
}

func (c *releaseCall) dispatch(o *Owner) {
	if !c.abandoned() {
		o.releases = append(o.releases, c)
	}
}

// transferCall asks for stock for another partition's shard.
type transferCall struct {
	callFor[*flashv1.TransferResponse]
	request *flashv1.TransferRequest
}

func (c *transferCall) dispatch(o *Owner) {
	if !c.abandoned() {
		o.donations = append(o.donations, c)
	}
}

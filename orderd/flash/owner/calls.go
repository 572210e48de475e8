package owner

import (
	"context"
	"time"

	"github.com/google/uuid"

	flashv1 "github.com/orderd-dev/orderd/api/gen/orderd/flash/v1"
	"github.com/orderd-dev/orderd/orderd/flash/sale"
)

// call is one request to the owner's goroutine: one of place, get, transfer, or a release.
type call struct {
	ctx      context.Context
	place    *flashv1.PlaceFlashOrderRequest
	get      *flashv1.GetFlashOrderRequest
	transfer *flashv1.TransferRequest
	order    uuid.UUID
	reason   flashv1.ReleaseReason
	// came is when the owner was called.
	came time.Time
	// reply has room for the one answer, so that the goroutine never waits for a caller.
	reply chan reply
}

type reply struct {
	placed   *flashv1.PlaceFlashOrderResponse
	got      *flashv1.GetFlashOrderResponse
	moved    *flashv1.TransferResponse
	released flashv1.ReleaseOutcome
	err      error
}

func (c *call) answer(r reply)   { c.reply <- r }
func (c *call) refuse(err error) { c.reply <- reply{err: err} }

// Reserve takes a buyer's request. The answer is durable. Errors as FlashService.PlaceFlashOrder, and
// sale.NotOwner when the owner has ended.
func (o *Owner) Reserve(ctx context.Context, request *flashv1.PlaceFlashOrderRequest) (*flashv1.PlaceFlashOrderResponse, error) {
	r := o.do(&call{ctx: ctx, place: request})
	o.Metrics.placed(r.err)
	return r.placed, r.err
}

// Lookup tells what became of a buyer's request. Errors as FlashService.GetFlashOrder, and sale.NotOwner.
func (o *Owner) Lookup(ctx context.Context, request *flashv1.GetFlashOrderRequest) (*flashv1.GetFlashOrderResponse, error) {
	r := o.do(&call{ctx: ctx, get: request})
	return r.got, r.err
}

// Release gives an order's stock back to the sale, once. Errors: sale.OrderNotFound, PartitionMoving,
// Overloaded, NotOwner.
func (o *Owner) Release(ctx context.Context, order uuid.UUID, reason flashv1.ReleaseReason) (flashv1.ReleaseOutcome, error) {
	r := o.do(&call{ctx: ctx, order: order, reason: reason})
	return r.released, r.err
}

// Transfer gives stock to another partition. Errors: see Peers.
func (o *Owner) Transfer(ctx context.Context, request *flashv1.TransferRequest) (*flashv1.TransferResponse, error) {
	if o.asking.Load() {
		// Two owners that ask each other would wait for each other.
		return &flashv1.TransferResponse{Outcome: flashv1.TransferOutcome_TRANSFER_OUTCOME_BUSY}, nil
	}
	r := o.do(&call{ctx: ctx, transfer: request})
	return r.moved, r.err
}

func (o *Owner) do(c *call) reply {
	if o.stopping.Load() {
		return reply{err: sale.NotOwner()}
	}
	c.came = o.Clock()
	o.used.Store(c.came.UnixNano())
	c.reply = make(chan reply, 1)
	select {
	case o.queue <- c:
	default:
		return reply{err: sale.Overloaded(o.Jitter(retryDelay))}
	}
	select {
	case r := <-c.reply:
		return r
	case <-c.ctx.Done():
	case <-o.done:
		select {
		case r := <-c.reply:
			return r
		default:
		}
	}
	return reply{err: o.moving()}
}

package flash

import (
	"context"
	"errors"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"connectrpc.com/connect/v2"

	flashv1 "github.com/orderd-dev/orderd/api/gen/orderd/flash/v1"
	"github.com/orderd-dev/orderd/api/gen/orderd/flash/v1/flashv1connect"
	"github.com/orderd-dev/orderd/orderd/flash/refusal"
	"github.com/orderd-dev/orderd/orderd/flash/streamclient"
	"github.com/orderd-dev/orderd/orderd/rpcerr"
)

// streamsMax is how many streams of backends, and how many of other pods, a pod has at most.
const streamsMax = 256

// streams count those that are open.
type streams struct {
	orders, forwards atomic.Int32
}

// PlaceFlashOrders implements FlashService.
func (s Service) PlaceFlashOrders(ctx context.Context, stream flashv1connect.FlashServicePlaceFlashOrdersServerStream) error {
	p := s.pool
	r := &ordersReader{pool: p, ctx: ctx, first: !triedBefore(ctx), receive: stream.Receive}
	var message flashv1.PlaceFlashOrdersResponse
	return p.serveStream(ctx, &p.peers.streams.orders, func(list []*flashv1.FlashOrderAnswer) error {
		message.Answers = list
		return stream.Send(&message)
	}, r.read)
}

// Forward implements PeerService.
func (s PeerService) Forward(ctx context.Context, stream flashv1connect.PeerServiceForwardServerStream) error {
	p := s.pool
	r := &forwardsReader{pool: p, ctx: ctx, receive: stream.Receive}
	var message flashv1.ForwardResponse
	return p.serveStream(ctx, &p.peers.streams.forwards, func(list []*flashv1.FlashOrderAnswer) error {
		message.Answers = list
		return stream.Send(&message)
	}, r.read)
}

// serveStream reads messages until that fails, and ends with why once everything that was read is answered.
func (p *Pool) serveStream(ctx context.Context, open *atomic.Int32, send func([]*flashv1.FlashOrderAnswer) error, read func(*answers) error) error {
	if open.Add(1) > streamsMax {
		open.Add(-1)
		return refusal.Overloaded(p.jitter(retryDelay))
	}
	defer open.Add(-1)
	a := newAnswers(send)
	var sending sync.WaitGroup
	sending.Go(func() { a.run(ctx) })
	var err error
	for err == nil {
		err = read(a)
	}
	a.close()
	// Nothing may be sent once the handler has returned.
	sending.Wait()
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// errOver ends the reading of a stream whose answers nobody takes any more.
var errOver = connect.NewError(connect.CodeCanceled, "the caller went away")

// ordersReader takes the messages of a backend's stream.
type ordersReader struct {
	pool    *Pool
	ctx     context.Context
	receive func() (*flashv1.PlaceFlashOrdersRequest, error)
	// first says that the backend's word on first attempts counts.
	first    bool
	position uint64
	batches  batches
}

// read takes one message and has its requests answered.
func (r *ordersReader) read(a *answers) error {
	message, err := r.receive()
	if err != nil {
		return err
	}
	requests := message.GetRequests()
	if len(requests) > streamclient.MessageRequests {
		return rpcerr.New(connect.CodeInvalidArgument, "INVALID_REQUEST", "requests: a message has no more than 1,024")
	}
	if !a.enter(r.ctx, len(requests)) {
		return errOver
	}
	e := r.pool.entrance()
	r.batches.reset()
	for _, request := range requests {
		position := r.position
		r.position++
		s, n, err := e.check(request, r.first)
		if err != nil {
			a.give(position, nil, err)
			continue
		}
		r.batches.add(batchKey{s, n}, request, position)
	}
	r.batches.each(func(key batchKey, requests []*flashv1.PlaceFlashOrderRequest, positions []uint64) {
		r.pool.place(r.ctx, key.promotion, key.partition, requests, func(i int, response *flashv1.PlaceFlashOrderResponse, err error) {
			a.give(positions[i], response, err)
		})
	})
	return nil
}

// entrance is what a message's requests are checked by.
type entrance struct {
	pool  *Pool
	view  *view
	now   time.Time
	known bool
	// last is the promotion that was named last.
	last *placed
}

func (p *Pool) entrance() entrance {
	now, known := p.now()
	return entrance{pool: p, view: p.view.Load(), now: now, known: known}
}

// check is where a stream's request goes, or why it goes nowhere.
func (e *entrance) check(request *flashv1.PlaceFlashOrderRequest, first bool) (*placed, int32, error) {
	if err := validate(request); err != nil {
		return nil, 0, err
	}
	if e.last == nil || e.last.sale.GetName() != request.GetPromotion() {
		e.last = e.view.byName[request.GetPromotion()]
	}
	n, err := e.pool.enter(e.last, request, e.now, e.known, first && request.GetFirstAttempt())
	return e.last, n, err
}

// forwardsReader takes the messages of another pod's stream.
type forwardsReader struct {
	pool    *Pool
	ctx     context.Context
	receive func() (*flashv1.ForwardRequest, error)
	batches batches
}

// read takes one message and has its requests answered.
func (r *forwardsReader) read(a *answers) error {
	message, err := r.receive()
	if err != nil {
		return err
	}
	if !a.enter(r.ctx, len(message.GetRequests())) {
		return errOver
	}
	byUID := r.pool.view.Load().byUID
	var last *placed
	r.batches.reset()
	for _, f := range message.GetRequests() {
		if last == nil || last.sale.GetUid() != f.GetPromotionUid() {
			last = byUID[f.GetPromotionUid()]
		}
		if last == nil || f.GetPartition() < 0 || f.GetPartition() >= last.sale.GetPartitions() {
			a.give(f.GetId(), nil, refusal.NotOwner())
			continue
		}
		r.batches.add(batchKey{last, f.GetPartition()}, f.GetRequest(), f.GetId())
	}
	r.batches.each(func(key batchKey, requests []*flashv1.PlaceFlashOrderRequest, ids []uint64) {
		answer := func(i int, response *flashv1.PlaceFlashOrderResponse, err error) { a.give(ids[i], response, err) }
		o := r.pool.local(key.promotion, key.partition)
		if o == nil {
			refuseAll(len(requests), answer, refusal.NotOwner())
			return
		}
		o.ReserveMany(r.ctx, requests, answer)
	})
	return nil
}

package pod

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"

	"connectrpc.com/connect/v2"

	flashv1 "github.com/orderd-dev/orderd/api/gen/orderd/flash/v1"
	"github.com/orderd-dev/orderd/api/gen/orderd/flash/v1/flashv1connect"
	"github.com/orderd-dev/orderd/orderd/flash/refusal"
	"github.com/orderd-dev/orderd/orderd/flash/route"
	"github.com/orderd-dev/orderd/orderd/flash/streamclient"
)

// callStreamsMax is how many call streams of backends, and how many of other pods, a pod has at most.
const callStreamsMax = 256

// PlaceFlashOrders implements FlashService.
func (s *Service) PlaceFlashOrders(
	ctx context.Context, stream flashv1connect.FlashServicePlaceFlashOrdersServerStream,
) error {
	r := &ordersReader{
		check: s.check, views: s.views, router: s.router, ctx: ctx, first: !triedBefore(ctx), receive: stream.Receive,
	}
	var message flashv1.PlaceFlashOrdersResponse
	return s.streams.serve(ctx, func(list []*flashv1.FlashOrderAnswer) error {
		message.Answers = list
		return stream.Send(&message)
	}, r.read)
}

// Forward implements PeerService.
func (s *PeerService) Forward(
	ctx context.Context, stream flashv1connect.PeerServiceForwardServerStream,
) error {
	r := &forwardsReader{views: s.views, owners: s.owners, ctx: ctx, receive: stream.Receive}
	var message flashv1.ForwardResponse
	return s.streams.serve(ctx, func(list []*flashv1.FlashOrderAnswer) error {
		message.Answers = list
		return stream.Send(&message)
	}, r.read)
}

// callStreams serves the call streams of one kind.
type callStreams struct {
	// overloaded refuses one too many.
	overloaded func() error
	open       atomic.Int32
}

// serve reads messages until that fails, and ends with why once everything that was read is answered.
func (c *callStreams) serve(
	ctx context.Context, send func([]*flashv1.FlashOrderAnswer) error, read func(*answers) error,
) error {
	if c.open.Add(1) > callStreamsMax {
		c.open.Add(-1)
		return c.overloaded()
	}
	defer c.open.Add(-1)
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

// errOver ends the reading of a call stream whose answers nobody takes any more.
var errOver = connect.NewError(connect.CodeCanceled, "the caller went away")

// ordersReader takes the messages of a backend's call stream.
type ordersReader struct {
	check   *precheck
	views   *views
	router  *route.Router
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
		return invalid("requests", fmt.Sprintf("a message has no more than %d", streamclient.MessageRequests))
	}
	if !a.enter(r.ctx, len(requests)) {
		return errOver
	}
	checks := messageChecks{check: r.check, view: r.views.load(), at: r.check.time(), first: r.first}
	r.batches.reset()
	for _, request := range requests {
		position := r.position
		r.position++
		target, err := checks.target(request)
		if err != nil {
			a.give(position, nil, err)
			continue
		}
		r.batches.add(target, request, position)
	}
	r.batches.each(func(target route.Target, requests []*flashv1.PlaceFlashOrderRequest, positions []uint64) {
		r.router.Place(r.ctx, target, requests, func(i int, response *flashv1.PlaceFlashOrderResponse, err error) {
			a.give(positions[i], response, err)
		})
	})
	return nil
}

// messageChecks are what the requests of one message are checked by.
type messageChecks struct {
	check *precheck
	view  *view
	at    checkTime
	// first says that the backend's word on first attempts counts.
	first bool
	// last is the promotion that was named last.
	last *route.Placed
}

// target is where a request goes, or why it goes nowhere.
func (m *messageChecks) target(request *flashv1.PlaceFlashOrderRequest) (route.Target, error) {
	if err := validateRequest(request); err != nil {
		return route.Target{}, err
	}
	if m.last == nil || m.last.GetName() != request.GetPromotion() {
		m.last = m.view.byName[request.GetPromotion()]
	}
	return m.check.target(m.last, request, m.at, m.first && request.GetFirstAttempt())
}

// forwardsReader takes the messages of another pod's call stream.
type forwardsReader struct {
	views   *views
	owners  *ownerSet
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
	byUID := r.views.load().byUID
	var last *route.Placed
	r.batches.reset()
	for _, f := range message.GetRequests() {
		if last == nil || last.GetUid() != f.GetPromotionUid() {
			last = byUID[f.GetPromotionUid()]
		}
		if last != nil {
			if target, ok := last.Target(f.GetPartition()); ok {
				r.batches.add(target, f.GetRequest(), f.GetId())
				continue
			}
		}
		a.give(f.GetId(), nil, refusal.NotOwner())
	}
	r.batches.each(func(target route.Target, requests []*flashv1.PlaceFlashOrderRequest, ids []uint64) {
		answer := func(i int, response *flashv1.PlaceFlashOrderResponse, err error) { a.give(ids[i], response, err) }
		o := r.owners.local(target)
		if o == nil {
			route.RefuseAll(len(requests), answer, refusal.NotOwner())
			return
		}
		o.ReserveMany(r.ctx, requests, answer)
	})
	return nil
}

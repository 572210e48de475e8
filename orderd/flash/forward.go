package flash

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	flashv1 "github.com/orderd-dev/orderd/api/gen/orderd/flash/v1"
	"github.com/orderd-dev/orderd/api/gen/orderd/flash/v1/flashv1connect"
	"github.com/orderd-dev/orderd/orderd/flash/refusal"
	"github.com/orderd-dev/orderd/orderd/flash/streamclient"
	"github.com/orderd-dev/orderd/orderd/rpcerr"
)

const (
	// forwardedMax is how many requests are forwarded and unanswered at most, forwardedPerPeer how many of them to one pod.
	forwardedMax     = 65536
	forwardedPerPeer = streamWindow
	// forwardIdle is how long a stream to another pod is kept without a request.
	forwardIdle = time.Minute
	// forwardedBytes is about what a Forwarded has beside its request: the promotion's uid and numbers.
	forwardedBytes = 64
)

type forwardMux = streamclient.Mux[*flashv1.Forwarded]

// forwards are the streams of requests to other pods, one each.
type forwards struct {
	peers    *peers
	inFlight atomic.Int64

	mu     sync.RWMutex
	muxes  map[string]*forwardMux
	closed bool
}

func newForwards(p *peers) *forwards {
	return &forwards{peers: p, muxes: map[string]*forwardMux{}}
}

// to is the stream to a pod; nil once closed.
func (f *forwards) to(address string) *forwardMux {
	f.mu.RLock()
	mux := f.muxes[address]
	f.mu.RUnlock()
	if mux != nil {
		return mux
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed || f.muxes[address] != nil {
		return f.muxes[address]
	}
	if len(f.muxes) >= clientsMax {
		f.forget()
	}
	client := f.peers.at(address)
	mux = streamclient.NewMux(streamclient.MuxOptions[*flashv1.Forwarded]{
		Open: func(ctx context.Context) (streamclient.Wire[*flashv1.Forwarded], error) {
			stream, err := client.Forward(ctx)
			return forwarding{stream}, err
		},
		Size:     func(r *flashv1.Forwarded) int { return forwardedBytes + streamclient.Size(r.GetRequest()) },
		InFlight: forwardedPerPeer, Timeout: forwardTimeout, Idle: forwardIdle, Backoff: streamclient.Backoff,
	})
	f.muxes[address] = mux
	return mux
}

// forget closes the streams to pods that nothing was forwarded to for a while.
func (f *forwards) forget() {
	for address, mux := range f.muxes {
		if busy, since := mux.InUse(); !busy && time.Since(since) > forwardIdle {
			delete(f.muxes, address)
			// Nothing is on it: it answers nobody.
			go mux.Close()
		}
	}
}

func (f *forwards) close() {
	f.mu.Lock()
	f.closed = true
	muxes := f.muxes
	f.muxes = nil
	f.mu.Unlock()
	for _, mux := range muxes {
		mux.Close()
	}
}

type forwarding struct {
	stream flashv1connect.PeerServiceForwardClientStream
}

func (w forwarding) Send(first uint64, requests []*flashv1.Forwarded) error {
	for i, r := range requests {
		r.Id = first + uint64(i)
	}
	return w.stream.Send(&flashv1.ForwardRequest{Requests: requests})
}

func (w forwarding) Receive() ([]*flashv1.FlashOrderAnswer, error) {
	message, err := w.stream.Receive()
	return message.GetAnswers(), err
}

func (w forwarding) CloseSend() error { return w.stream.CloseSend() }

func (w forwarding) Close() error { return w.stream.Close() }

// forward sends requests of one partition to the pod at an address. NOT_OWNER: the guess was wrong or the pod is not there, and
// nothing happened. PARTITION_MOVING: what happened is unknown. After an error nothing was sent, and answer is not called.
func (p *Pool) forward(address string, s *placed, n int32, requests []*flashv1.PlaceFlashOrderRequest, answer answerFunc) error {
	f := p.peers.forwards
	count := int64(len(requests))
	if f.inFlight.Add(count) > forwardedMax {
		f.inFlight.Add(-count)
		return refusal.Overloaded(p.jitter(retryDelay))
	}
	slab, forwarded := make([]flashv1.Forwarded, len(requests)), make([]*flashv1.Forwarded, len(requests))
	for i, request := range requests {
		forwarded[i] = &slab[i]
		slab[i].PromotionUid, slab[i].Partition, slab[i].Request = s.sale.GetUid(), n, request
	}
	err := streamclient.ErrNotSent
	if mux := f.to(address); mux != nil {
		err = mux.TrySend(forwarded, func(i int, message *flashv1.FlashOrderAnswer, err error) {
			f.inFlight.Add(-1)
			answer(i, message.GetAccepted(), p.forwardedError(message, err))
		})
	}
	if err != nil {
		f.inFlight.Add(-count)
		return p.forwardedError(nil, err)
	}
	p.metrics.forwards.Add(float64(count))
	return nil
}

// forwardedError makes what came back of a forwarded request this pod's answer. What has no reason did not come from a pod's domain:
// whether the request had an effect is unknown.
func (p *Pool) forwardedError(message *flashv1.FlashOrderAnswer, err error) error {
	switch {
	case errors.Is(err, streamclient.ErrNotSent):
		return refusal.NotOwner()
	case errors.Is(err, streamclient.ErrFull):
		return refusal.Overloaded(p.jitter(retryDelay))
	case err != nil:
		p.Logger.Debug("forwarded request is unanswered", "error", err)
		return refusal.PartitionMoving(p.jitter(retryDelay))
	case message.GetAccepted() != nil:
		return nil
	}
	refused := message.GetRefused()
	if refused.GetReason() == "" || refused.GetReason() == reasonInternal {
		return refusal.PartitionMoving(p.jitter(retryDelay))
	}
	return errorOf(refused)
}

const reasonInternal = "INTERNAL"

// place puts requests of one partition to its owner, here or on another pod, and once more where the guess was wrong.
func (p *Pool) place(ctx context.Context, s *placed, n int32, requests []*flashv1.PlaceFlashOrderRequest, answer answerFunc) {
	err := p.placeOnce(ctx, s, n, requests, func(i int, response *flashv1.PlaceFlashOrderResponse, err error) {
		if !notOwner(err) {
			answer(i, response, err)
			return
		}
		// Who answers must not be called by its answer; and this is rare.
		go p.placeAgain(ctx, s.sale.GetUid(), n, requests[i:i+1], func(_ int, response *flashv1.PlaceFlashOrderResponse, err error) {
			answer(i, response, err)
		})
	})
	switch {
	case notOwner(err):
		p.placeAgain(ctx, s.sale.GetUid(), n, requests, answer)
	case err != nil:
		refuseAll(len(requests), answer, err)
	}
}

func notOwner(err error) bool { return err != nil && rpcerr.Reason(err) == refusal.ReasonNotOwner }

// placeAgain is for those that were refused by a pod that is not the owner.
func (p *Pool) placeAgain(ctx context.Context, uid string, n int32, requests []*flashv1.PlaceFlashOrderRequest, answer answerFunc) {
	last := func(err error) error {
		if notOwner(err) {
			return refusal.PartitionMoving(p.jitter(retryDelay))
		}
		return err
	}
	var err error = refusal.NotOwner()
	if s := p.view.Load().byUID[uid]; s != nil {
		err = p.placeOnce(ctx, s, n, requests, func(i int, response *flashv1.PlaceFlashOrderResponse, err error) {
			answer(i, response, last(err))
		})
	}
	if err != nil {
		refuseAll(len(requests), answer, last(err))
	}
}

// placeOnce puts requests to the pod that is believed to own their partition. It does not wait. After an error nothing happened to any,
// and answer is not called.
func (p *Pool) placeOnce(ctx context.Context, s *placed, n int32, requests []*flashv1.PlaceFlashOrderRequest, answer answerFunc) error {
	switch target := s.owners[n]; target.Name {
	case "":
		return refusal.NotOwner()
	case p.Name:
		o := p.local(s, n)
		if o == nil {
			return refusal.NotOwner()
		}
		o.ReserveMany(ctx, requests, answer)
		return nil
	default:
		return p.forward(target.Address, s, n, requests, answer)
	}
}

// placeOne is place for a caller who waits.
func (p *Pool) placeOne(ctx context.Context, s *placed, n int32, request *flashv1.PlaceFlashOrderRequest) (*flashv1.PlaceFlashOrderResponse, error) {
	if s.owners[n].Name == p.Name {
		if o := p.local(s, n); o != nil {
			response, err := o.Reserve(&patient{ctx, p.peers.patience.over(p.Clock())}, request)
			if !notOwner(err) {
				return response, err
			}
		}
	}
	type reply struct {
		response *flashv1.PlaceFlashOrderResponse
		err      error
	}
	replies := make(chan reply, 1)
	p.place(ctx, s, n, []*flashv1.PlaceFlashOrderRequest{request}, func(_ int, response *flashv1.PlaceFlashOrderResponse, err error) {
		replies <- reply{response, err}
	})
	select {
	case r := <-replies:
		return r.response, r.err
	case <-ctx.Done():
		return nil, refusal.PartitionMoving(p.jitter(retryDelay))
	}
}

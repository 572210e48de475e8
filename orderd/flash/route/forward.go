package route

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	flashv1 "github.com/orderd-dev/orderd/api/gen/orderd/flash/v1"
	"github.com/orderd-dev/orderd/api/gen/orderd/flash/v1/flashv1connect"
	"github.com/orderd-dev/orderd/orderd/flash/client"
	"github.com/orderd-dev/orderd/orderd/flash/refusal"
	"github.com/orderd-dev/orderd/orderd/flash/streamclient"
)

const (
	// CallStreamWindow is how many requests of a call stream are read and not answered at most.
	CallStreamWindow = 16384
	// forwardedMax is how many requests are forwarded and unanswered at most, forwardedPerPeer how
	// many of them to one pod.
	forwardedMax     = 65536
	forwardedPerPeer = CallStreamWindow
	// forwardIdle is how long a call stream to another pod is kept without a request.
	forwardIdle = time.Minute
	// forwardedBytes is about what a Forwarded has beside its request: the
	// promotion's uid and numbers.
	forwardedBytes = 64
)

type forwardMux = streamclient.Mux[*flashv1.Forwarded]

// forwardStreams are the call streams of requests to other pods, one each. Safe for concurrent use.
type forwardStreams struct {
	peerAt   func(address string) flashv1connect.PeerServiceClient
	clock    func() time.Time
	jitter   func(time.Duration) time.Duration
	inFlight atomic.Int64

	// mu guards what follows.
	mu     sync.RWMutex
	muxes  map[string]*forwardMux
	closed bool
}

func newForwardStreams(
	peerAt func(address string) flashv1connect.PeerServiceClient, clock func() time.Time,
	jitter func(time.Duration) time.Duration,
) *forwardStreams {
	return &forwardStreams{peerAt: peerAt, clock: clock, jitter: jitter, muxes: map[string]*forwardMux{}}
}

// to is the call stream to a pod; nil once closed.
func (f *forwardStreams) to(address string) *forwardMux {
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
	if len(f.muxes) >= addressesMax {
		f.forgetIdle()
	}
	mux = f.open(f.peerAt(address))
	f.muxes[address] = mux
	return mux
}

func (f *forwardStreams) open(peer flashv1connect.PeerServiceClient) *forwardMux {
	return streamclient.NewMux(streamclient.MuxOptions[*flashv1.Forwarded]{
		Open: func(ctx context.Context) (streamclient.Wire[*flashv1.Forwarded], error) {
			stream, err := peer.Forward(ctx)
			return forwardWire{stream}, err
		},
		Size: func(forwarded *flashv1.Forwarded) int {
			return forwardedBytes + streamclient.Size(forwarded.GetRequest())
		},
		InFlight: forwardedPerPeer, Timeout: client.Timeout, Idle: forwardIdle,
		Backoff: streamclient.NewBackoff(f.jitter), Clock: f.clock,
	})
}

// forgetIdle closes the call streams to pods that nothing was forwarded to for a while.
// The caller holds mu.
func (f *forwardStreams) forgetIdle() {
	for address, mux := range f.muxes {
		if busy, since := mux.InUse(); !busy && f.clock().Sub(since) > forwardIdle {
			delete(f.muxes, address)
			// Nothing is on it: it answers nobody.
			go mux.Close()
		}
	}
}

func (f *forwardStreams) close() {
	f.mu.Lock()
	f.closed = true
	muxes := f.muxes
	f.muxes = nil
	f.mu.Unlock()
	for _, mux := range muxes {
		mux.Close()
	}
}

// forwardWire is a call of PeerService.Forward.
type forwardWire struct {
	stream flashv1connect.PeerServiceForwardClientStream
}

func (w forwardWire) Send(first uint64, requests []*flashv1.Forwarded) error {
	for i, r := range requests {
		r.Id = first + uint64(i)
	}
	return w.stream.Send(&flashv1.ForwardRequest{Requests: requests})
}

func (w forwardWire) Receive() ([]*flashv1.FlashOrderAnswer, error) {
	message, err := w.stream.Receive()
	return message.GetAnswers(), err
}

func (w forwardWire) CloseSend() error { return w.stream.CloseSend() }

func (w forwardWire) Close() error { return w.stream.Close() }

// forward sends requests of one partition to the pod at an address. After an error nothing was
// sent, and answer is not called.
func (r *Router) forward(
	address string, target Target, requests []*flashv1.PlaceFlashOrderRequest, answer Answer,
) error {
	count := int64(len(requests))
	if r.streams.inFlight.Add(count) > forwardedMax {
		r.streams.inFlight.Add(-count)
		return r.Overloaded()
	}
	slab, forwarded := make([]flashv1.Forwarded, len(requests)), make([]*flashv1.Forwarded, len(requests))
	for i, request := range requests {
		forwarded[i] = &slab[i]
		slab[i].PromotionUid, slab[i].Partition = target.Placed.GetUid(), target.Partition
		slab[i].Request = request
	}
	err := streamclient.ErrNotSent
	if mux := r.streams.to(address); mux != nil {
		err = mux.TrySend(forwarded, func(i int, message *flashv1.FlashOrderAnswer, err error) {
			r.streams.inFlight.Add(-1)
			if err == nil && message.GetAccepted() == nil {
				err = refusal.FromMessage(message.GetRefused())
			}
			answer(i, message.GetAccepted(), r.fromPeer(err))
		})
	}
	if err != nil {
		r.streams.inFlight.Add(-count)
		return r.fromPeer(err)
	}
	r.forwards.Add(float64(count))
	return nil
}

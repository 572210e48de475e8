// Package route sends a question or a request to the owner of its partition, in this
// pod or in another one.
//
// What holds, whichever way it goes:
//   - Who owns a partition is a guess from what the pod knows. Where it was wrong nothing happened,
//     and the pod looks again, once; after that the caller is asked to come back
//     ([rpcerr.ReasonPartitionMoving]).
//   - What another pod refuses is refused in its words. What did not come from a pod's domain leaves
//     open whether it had an effect, and is [rpcerr.ReasonPartitionMoving] as well.
//   - Nobody waits for longer than client.Timeout and a second.
package route

import (
	"context"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"connectrpc.com/connect/v2"
	"github.com/prometheus/client_golang/prometheus"

	flashv1 "github.com/orderd-dev/orderd/api/gen/orderd/flash/v1"
	"github.com/orderd-dev/orderd/api/gen/orderd/flash/v1/flashv1connect"
	"github.com/orderd-dev/orderd/orderd/flash/client"
	"github.com/orderd-dev/orderd/orderd/flash/owner"
	"github.com/orderd-dev/orderd/orderd/flash/refusal"
	"github.com/orderd-dev/orderd/orderd/kit/metric"
	"github.com/orderd-dev/orderd/orderd/kit/rpcerr"
)

const (
	// callsMax is how many calls to other pods are in flight at most, beside the
	// requests on call streams.
	callsMax = 4096
	// retryDelay is what callers are told to wait, before jitter.
	retryDelay = 200 * time.Millisecond
)

// Options of [New]. What is not said to be optional is needed.
type Options struct {
	// Name of the pod.
	Name string
	// Current is the promotion with a uid as the pod knows it now; nil if it knows none.
	Current func(uid string) *Placed
	// Local is the owner that this pod runs of a partition; nil if it runs none.
	Local func(Target) *owner.Owner
	// Clock tells how long another pod was not called.
	Clock func() time.Time
	// Jitter spreads a delay at random around itself; safe for concurrent use.
	Jitter func(time.Duration) time.Duration
	// Known is what makes the pod known to those that it calls; optional.
	Known  []connect.ClientInterceptor
	Logger *slog.Logger
	// Registerer of the metrics; optional.
	Registerer prometheus.Registerer
}

// Router of a pod. Make it with [New], and Close it; safe for concurrent use. It is the
// owners' [owner.Peers].
type Router struct {
	name     string
	current  func(uid string) *Placed
	local    func(Target) *owner.Owner
	clock    func() time.Time
	jitter   func(time.Duration) time.Duration
	log      *slog.Logger
	forwards prometheus.Counter
	http     *http.Client
	peers    *peers
	// slots has a token for each call in flight.
	slots   chan struct{}
	streams *forwardStreams
	waits   waits
	waiters sync.Pool
}

var _ owner.Peers = (*Router)(nil)

// New connects to other pods when there is something for them. It fails if the registerer has a
// router's metrics already.
func New(options Options) (*Router, error) {
	r := &Router{
		name: options.Name, current: options.Current, local: options.Local, clock: options.Clock, jitter: options.Jitter,
		log: options.Logger, http: client.NewHTTP(), slots: make(chan struct{}, callsMax),
		waiters: sync.Pool{New: newWaiter},
		forwards: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "orderd_flash_forwards_total", Help: "Calls to other pods.",
		}),
	}
	r.peers = newPeers(r.http, options.Known)
	r.streams = newForwardStreams(r.peers.at, r.clock, r.jitter)
	return r, metric.Register(options.Registerer, "the router", r.forwards)
}

// Close ends the connections to other pods. What is on the way to them is answered before it returns.
func (r *Router) Close() {
	r.streams.close()
	r.http.CloseIdleConnections()
}

// Moving asks the caller to come back, and leaves open whether the request was taken.
func (r *Router) Moving() error { return refusal.PartitionMoving(r.jitter(retryDelay)) }

// Overloaded refuses what exceeds a limit. Nothing was taken.
func (r *Router) Overloaded() error { return refusal.Overloaded(r.jitter(retryDelay)) }

// destination is who is taken for the owner of a partition: an owner of this pod, or else
// the pod at an address.
type destination struct {
	owner   *owner.Owner
	address string
}

// find fails with [refusal.NotOwner] if the pod knows nobody.
func (r *Router) find(target Target) (destination, error) {
	switch pod := target.Owner(); pod.Name {
	case "":
		return destination{}, refusal.NotOwner()
	case r.name:
		if o := r.local(target); o != nil {
			return destination{owner: o}, nil
		}
		return destination{}, refusal.NotOwner()
	default:
		return destination{address: pod.Address}, nil
	}
}

// Question is for the owner of a partition.
type Question[T any] struct {
	// ToOwner puts it to an owner of this pod.
	ToOwner func(context.Context, *owner.Owner) (T, error)
	// ToPeer puts it to another pod.
	ToPeer func(context.Context, flashv1connect.PeerServiceClient) (T, error)
}

// Ask puts a question to the owner of a partition, and once more if the guess who that is was wrong.
func Ask[T any](ctx context.Context, r *Router, target Target, question Question[T]) (T, error) {
	return twice(r, target, func(target Target) (T, error) { return askOnce(ctx, r, target, question) })
}

// askOnce fails with [rpcerr.ReasonNotOwner] where the guess was wrong, and nothing happened.
func askOnce[T any](ctx context.Context, r *Router, target Target, question Question[T]) (T, error) {
	var none T
	to, err := r.find(target)
	if err != nil {
		return none, err
	}
	if to.owner != nil {
		return question.ToOwner(ctx, to.owner)
	}
	select {
	case r.slots <- struct{}{}:
		defer func() { <-r.slots }()
	default:
		return none, r.Overloaded()
	}
	ctx, cancel := context.WithTimeout(ctx, client.Timeout)
	defer cancel()
	r.forwards.Inc()
	answer, err := question.ToPeer(ctx, r.peers.at(to.address))
	return answer, r.fromPeer(err)
}

// twice tries, and tries again by what the pod knows then if the guess who owns the
// partition was wrong.
func twice[T any](r *Router, target Target, try func(Target) (T, error)) (T, error) {
	answer, err := try(target)
	if !isNotOwner(err) {
		return answer, err
	}
	if target, known := r.lookAgain(target); known {
		answer, err = try(target)
	}
	return answer, r.givenUp(err)
}

// lookAgain is a target as the pod knows it now, and false if it knows the promotion no more.
func (r *Router) lookAgain(target Target) (Target, bool) {
	placed := r.current(target.Placed.GetUid())
	return Target{placed, target.Partition}, placed != nil
}

// givenUp is the answer to who was tried for the last time.
func (r *Router) givenUp(err error) error {
	if isNotOwner(err) {
		return r.Moving()
	}
	return err
}

func isNotOwner(err error) bool { return err != nil && rpcerr.Reason(err) == rpcerr.ReasonNotOwner }

// Transfer implements [owner.Peers].
func (r *Router) Transfer(ctx context.Context, request *flashv1.TransferRequest) (*flashv1.TransferResponse, error) {
	placed := r.current(request.GetPromotionUid())
	if placed == nil {
		return nil, refusal.NotOwner()
	}
	target, ok := placed.Target(request.GetFromPartition())
	if !ok {
		return nil, refusal.NotOwner()
	}
	return askOnce(ctx, r, target, Question[*flashv1.TransferResponse]{
		ToOwner: func(ctx context.Context, o *owner.Owner) (*flashv1.TransferResponse, error) {
			return o.Transfer(ctx, request)
		},
		ToPeer: func(ctx context.Context, peer flashv1connect.PeerServiceClient) (*flashv1.TransferResponse, error) {
			return peer.Transfer(ctx, request)
		},
	})
}

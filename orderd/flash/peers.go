package flash

import (
	"context"
	"errors"
	"net"
	"net/http"
	"sync"
	"time"

	"connectrpc.com/connect/v2"
	"connectrpc.com/connect/v2/connecthttp"

	flashv1 "github.com/orderd-dev/orderd/api/gen/orderd/flash/v1"
	"github.com/orderd-dev/orderd/api/gen/orderd/flash/v1/flashv1connect"
	"github.com/orderd-dev/orderd/orderd/flash/owner"
	"github.com/orderd-dev/orderd/orderd/flash/refusal"
	"github.com/orderd-dev/orderd/orderd/rpcerr"
)

const (
	// forwardsMax is how many calls to other pods are in flight at most, beside the requests on streams.
	forwardsMax = 4096
	// forwardTimeout bounds a call to another pod.
	forwardTimeout = 5 * time.Second
	// dialTimeout bounds connecting to another pod.
	dialTimeout = 2 * time.Second
	// clientsMax is how many addresses are remembered; pods come and go.
	clientsMax = 256
	// peerResponseBytes bounds a peer's answer: a message of a stream has up to 1,024.
	peerResponseBytes = 2 << 20
	// peerFrameBytes is what a frame of a peer may have: a message of a stream in a few.
	peerFrameBytes = 256 << 10
)

// peers are the connections to other pods, one HTTP/2 connection each unless it is full.
type peers struct {
	client   *http.Client
	slots    chan struct{}
	forwards *forwards
	// streams that other pods and backends have to this pod.
	streams  streams
	patience patience
	// promotionNotFound is what everybody hears who asks for a promotion that there is not.
	promotionNotFound error

	mu      sync.RWMutex
	clients map[string]flashv1connect.PeerServiceClient
}

func newPeers() *peers {
	p := &peers{
		client: newPeerHTTPClient(), slots: make(chan struct{}, forwardsMax), clients: map[string]flashv1connect.PeerServiceClient{},
		promotionNotFound: refusal.PromotionNotFound(),
	}
	p.forwards = newForwards(p)
	return p
}

// newPeerHTTPClient speaks HTTP/2 without TLS and finds dead connections soon.
func newPeerHTTPClient() *http.Client {
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	return &http.Client{Transport: &http.Transport{
		// A dial goes on after its call was given up: without a limit, for as long as the kernel tries.
		DialContext: (&net.Dialer{Timeout: dialTimeout}).DialContext,
		Protocols:   protocols, MaxIdleConnsPerHost: 2, IdleConnTimeout: time.Minute,
		HTTP2: &http.HTTP2Config{SendPingTimeout: 2 * time.Second, PingTimeout: 2 * time.Second, MaxReadFrameSize: peerFrameBytes},
	}}
}

func (p *peers) close() {
	p.forwards.close()
	p.client.CloseIdleConnections()
}

func (p *peers) at(address string) flashv1connect.PeerServiceClient {
	p.mu.RLock()
	client := p.clients[address]
	p.mu.RUnlock()
	if client != nil {
		return client
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if client = p.clients[address]; client == nil {
		if len(p.clients) >= clientsMax {
			clear(p.clients)
		}
		transport := connecthttp.NewTransport(p.client, "http://"+address, connecthttp.WithReadMaxBytes(peerResponseBytes))
		client = flashv1connect.NewPeerServiceClient(connect.NewClient(transport))
		p.clients[address] = client
	}
	return client
}

// route puts a question to the owner of a partition, here or on another pod, once. The error
// refusal.ReasonNotOwner means that the guess was wrong and nothing happened.
func route[T any](ctx context.Context, p *Pool, s *placed, n int32,
	here func(context.Context, *owner.Owner) (T, error), there func(context.Context, flashv1connect.PeerServiceClient) (T, error)) (T, error) {
	var none T
	target := s.owners[n]
	switch target.Name {
	case "":
		return none, refusal.NotOwner()
	case p.Name:
		o := p.local(s, n)
		if o == nil {
			return none, refusal.NotOwner()
		}
		return here(ctx, o)
	}
	select {
	case p.peers.slots <- struct{}{}:
		defer func() { <-p.peers.slots }()
	default:
		return none, refusal.Overloaded(p.jitter(retryDelay))
	}
	ctx, cancel := context.WithTimeout(ctx, forwardTimeout)
	defer cancel()
	p.metrics.forwards.Inc()
	answer, err := there(ctx, p.peers.at(target.Address))
	return answer, p.relay(err)
}

// again is route, and once more if the guess was wrong and the pod knows better by then.
func again[T any](ctx context.Context, p *Pool, s *placed, n int32,
	here func(context.Context, *owner.Owner) (T, error), there func(context.Context, flashv1connect.PeerServiceClient) (T, error)) (T, error) {
	answer, err := route(ctx, p, s, n, here, there)
	if rpcerr.Reason(err) != refusal.ReasonNotOwner {
		return answer, err
	}
	if s = p.view.Load().byUID[s.sale.GetUid()]; s != nil {
		if answer, err = route(ctx, p, s, n, here, there); rpcerr.Reason(err) != refusal.ReasonNotOwner {
			return answer, err
		}
	}
	return answer, refusal.PartitionMoving(p.jitter(retryDelay))
}

// relay makes another pod's refusal this pod's own. What has no reason did not come from a pod's domain:
// whether the call had an effect is unknown.
func (p *Pool) relay(err error) error {
	if err == nil {
		return nil
	}
	var dial *net.OpError
	if errors.As(err, &dial) && dial.Op == "dial" {
		// The pod is gone, and never got the call.
		return refusal.NotOwner()
	}
	var remote *connect.Error
	if rpcerr.Reason(err) == "" || !errors.As(err, &remote) || remote.Code() == connect.CodeInternal {
		p.Logger.Debug("call to another pod failed", "error", err)
		return refusal.PartitionMoving(p.jitter(retryDelay))
	}
	own := connect.NewError(remote.Code(), remote.Message())
	for _, d := range remote.Details() {
		own = own.WithDetail(d)
	}
	return own
}

// Transfer implements owner.Peers.
func (p *Pool) Transfer(ctx context.Context, request *flashv1.TransferRequest) (*flashv1.TransferResponse, error) {
	s := p.view.Load().byUID[request.GetPromotionUid()]
	if s == nil || request.GetFromPartition() < 0 || request.GetFromPartition() >= s.sale.GetPartitions() {
		return nil, refusal.NotOwner()
	}
	return route(ctx, p, s, request.GetFromPartition(),
		func(ctx context.Context, o *owner.Owner) (*flashv1.TransferResponse, error) {
			return o.Transfer(ctx, request)
		},
		func(ctx context.Context, client flashv1connect.PeerServiceClient) (*flashv1.TransferResponse, error) {
			return client.Transfer(ctx, request)
		})
}

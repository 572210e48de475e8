package route

import (
	"errors"
	"net"
	"net/http"
	"sync"

	"connectrpc.com/connect/v2"

	"github.com/orderd-dev/orderd/api/gen/orderd/flash/v1/flashv1connect"
	"github.com/orderd-dev/orderd/orderd/flash/client"
	"github.com/orderd-dev/orderd/orderd/flash/refusal"
	"github.com/orderd-dev/orderd/orderd/flash/streamclient"
	"github.com/orderd-dev/orderd/orderd/kit/peerauth"
	"github.com/orderd-dev/orderd/orderd/kit/rpcerr"
)

// addressesMax is how many addresses are remembered; pods come and go.
const addressesMax = 256

// peers are the clients of other pods, by address. Safe for concurrent use.
type peers struct {
	http  *http.Client
	known []connect.ClientInterceptor

	// mu guards clients.
	mu      sync.RWMutex
	clients map[string]flashv1connect.PeerServiceClient
}

func newPeers(http *http.Client, known []connect.ClientInterceptor) *peers {
	return &peers{http: http, known: known, clients: map[string]flashv1connect.PeerServiceClient{}}
}

func (p *peers) at(address string) flashv1connect.PeerServiceClient {
	p.mu.RLock()
	known := p.clients[address]
	p.mu.RUnlock()
	if known != nil {
		return known
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if known = p.clients[address]; known == nil {
		if len(p.clients) >= addressesMax {
			clear(p.clients)
		}
		known = client.NewPeerService(p.http, "http://"+address, p.known...)
		p.clients[address] = known
	}
	return known
}

// fromPeer is this pod's answer to what came back from another pod, by a call or on a call stream:
//
//	what came back                                 what it means                   the answer
//	nil                                            it is done                      nil
//	a refusal with a reason, but for INTERNAL      the pod decided so              the same refusal
//	and peerauth.ReasonUnknown
//	no connection, or streamclient.ErrNotSent      the pod is gone, nothing left   NotOwner
//	streamclient.ErrFull                           too much waits for the pod      Overloaded
//	anything else                                  nobody knows what happened      PartitionMoving
func (r *Router) fromPeer(err error) error {
	if err == nil {
		return nil
	}
	// Of a refusal that is one already no error is made, which would cost more than all the rest.
	var refused *refusal.Error
	if !errors.As(err, &refused) {
		var dial *net.OpError
		switch {
		case errors.Is(err, streamclient.ErrNotSent), errors.As(err, &dial) && dial.Op == "dial":
			return refusal.NotOwner()
		case errors.Is(err, streamclient.ErrFull):
			return r.Overloaded()
		}
		refused = refusal.FromError(err)
	}
	switch refused.Reason() {
	case "", rpcerr.ReasonInternal, peerauth.ReasonUnknown:
	default:
		return refused
	}
	r.log.Debug("another pod's answer is not known", "error", err)
	return r.Moving()
}

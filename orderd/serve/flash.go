package serve

import (
	"math/rand/v2"
	"net"
	"time"

	"connectrpc.com/connect/v2"

	"github.com/orderd-dev/orderd/api/gen/orderd/flash/v1/flashv1connect"
	flashpod "github.com/orderd-dev/orderd/orderd/flash/pod"
	"github.com/orderd-dev/orderd/orderd/kit/messaging"
)

// flash serves the flash lane. It has no database connection, so that a sale goes on without one.
func (p *pod) flash() (*role, error) {
	advertise, err := advertised(p.advertise, p.advertiseHost, p.config.HTTP.PeerAddress)
	if err != nil {
		return nil, err
	}
	key, err := p.readIDKey()
	if err != nil {
		return nil, err
	}
	ids, err := key.orderIDs(p.now)
	if err != nil {
		return nil, err
	}
	signer, err := key.admission()
	if err != nil {
		return nil, err
	}
	peers, err := key.peers(p.now)
	if err != nil {
		return nil, err
	}
	verifier, guard, err := p.access()
	if err != nil {
		return nil, err
	}
	conn, js, err := messaging.Connect(p.config.Messaging, messaging.RoleFlash, p.name, p.log)
	if err != nil {
		return nil, err
	}
	pool, err := flashpod.New(flashpod.Options{
		JetStream: js, Replicas: p.config.Messaging.Replicas, Name: p.name, Advertise: advertise,
		Clock: p.now, Random: random(), OrderIDs: ids,
		ServiceAddress: p.serviceAddress(advertise), MaxSkew: time.Duration(p.config.Flash.MaxClockSkew), Admission: signer,
		Known: []connect.ClientInterceptor{peers.Ask()}, Logger: p.log, Registerer: p.registerer,
	})
	if err != nil {
		conn.Close()
		return nil, err
	}
	var service flashv1connect.FlashServiceHandler = pool.FlashService()
	if p.flashService != nil {
		service = p.flashService
	}
	return &role{
		services: func(s *connect.Server) { flashv1connect.RegisterFlashServiceHandler(s, service) },
		guard:    guard,
		peers:    func(s *connect.Server) { flashv1connect.RegisterPeerServiceHandler(s, pool.PeerService()) },
		known:    peers.Answer(),
		loops:    []loop{pool.Run, verifier.Run},
		ready:    allReady(pool.Ready, verifier.Ready),
		drain:    pool.Drain,
		close:    conn.Close,
	}, nil
}

// serviceAddress is where gateways reach the pod's FlashService: at the host that other pods reach
// it at. Empty, if the port is known only once the pod listens.
func (p *pod) serviceAddress(advertise string) string {
	host, _, err := net.SplitHostPort(advertise)
	_, port, portErr := net.SplitHostPort(p.config.HTTP.Address)
	if err != nil || portErr != nil || port == "0" {
		return ""
	}
	return net.JoinHostPort(host, port)
}

// random spreads retries; nothing secret comes from it.
func random() *rand.Rand { return rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64())) }

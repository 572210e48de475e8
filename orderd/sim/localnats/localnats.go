// Package localnats runs a real NATS server with JetStream inside this process, for tests and for
// development. Every write is fsynced before it is acknowledged, as in production.
package localnats

import (
	"crypto/tls"
	"fmt"
	"net"
	"strconv"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// startTimeout bounds how long a server may take until it answers.
const startTimeout = 10 * time.Second

// Options of a Server. What is not said to be optional has to be set.
type Options struct {
	// Name of the server.
	Name string
	// Port on the loopback address.
	Port int
	// Store is the folder of its streams, which it uses if there are any, and makes if there is none.
	Store string
	// TLS that clients have to speak; optional: without it they come in clear text.
	TLS *tls.Config
}

// Server is one that runs.
type Server struct{ server *server.Server }

// Start returns once the server takes connections.
func Start(o Options) (*Server, error) {
	s, err := server.NewServer(&server.Options{
		ServerName: o.Name, Host: "127.0.0.1", Port: o.Port,
		JetStream: true, StoreDir: o.Store, SyncAlways: true,
		TLSConfig: o.TLS, TLSVerify: o.TLS != nil && o.TLS.ClientAuth == tls.RequireAndVerifyClientCert,
		NoSigs: true, NoLog: true,
	})
	if err != nil {
		return nil, fmt.Errorf("configuring NATS: %w", err)
	}
	s.Start()
	if !s.ReadyForConnections(startTimeout) {
		s.Shutdown()
		return nil, fmt.Errorf("NATS did not come up within %s", startTimeout)
	}
	return &Server{s}, nil
}

// URL of the server at a port.
func URL(port int) string { return "nats://" + net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }

// Stop ends the server, and returns when it has ended.
func (s *Server) Stop() {
	s.server.Shutdown()
	s.server.WaitForShutdown()
}

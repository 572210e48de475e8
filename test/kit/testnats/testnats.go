// Package testnats runs a real NATS server with JetStream inside the test's process. Every write is
// fsynced before it is acknowledged, as in production.
package testnats

import (
	"net"
	"os"
	"strconv"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderd-dev/orderd/test/kit/testport"
)

// TB is what a test gives: *testing.T, *testing.B or ginkgo's GinkgoTB().
type TB interface {
	Helper()
	Cleanup(func())
	Fatalf(format string, args ...any)
	Errorf(format string, args ...any)
}

// startTimeout bounds how long a server may take until it answers.
const startTimeout = 10 * time.Second

// Server is one NATS server on a loopback port of its own.
type Server struct {
	tb    TB
	store string
	port  int
	srv   *server.Server
}

// Run starts a server that is stopped, and its store removed, when the test ends.
func Run(tb TB) *Server {
	tb.Helper()
	store, err := os.MkdirTemp("", "orderd-nats-")
	if err != nil {
		tb.Fatalf("making the NATS store's folder: %v", err)
	}
	port, err := testport.New()
	if err != nil {
		tb.Fatalf("finding a port for NATS: %v", err)
	}
	s := &Server{tb: tb, store: store, port: port}
	s.start()
	tb.Cleanup(func() {
		s.Stop()
		if err := os.RemoveAll(store); err != nil {
			tb.Errorf("removing the NATS store: %v", err)
		}
	})
	return s
}

// URL is the server's address; it stays the same over restarts.
func (s *Server) URL() string { return "nats://" + net.JoinHostPort("127.0.0.1", strconv.Itoa(s.port)) }

// Connect opens a connection that reconnects for ever and is closed when the test ends.
func (s *Server) Connect(tb TB, options ...nats.Option) *nats.Conn {
	tb.Helper()
	options = append([]nats.Option{nats.MaxReconnects(-1), nats.ReconnectWait(20 * time.Millisecond),
		nats.ReconnectJitter(0, 0)}, options...)
	conn, err := nats.Connect(s.URL(), options...)
	if err != nil {
		tb.Fatalf("connecting to NATS: %v", err)
	}
	tb.Cleanup(conn.Close)
	return conn
}

// JetStream is Connect with a JetStream context over the connection.
func (s *Server) JetStream(tb TB) jetstream.JetStream {
	tb.Helper()
	js, err := jetstream.New(s.Connect(tb))
	if err != nil {
		tb.Fatalf("opening JetStream: %v", err)
	}
	return js
}

// Stop shuts the server down; its store and its port stay its own.
func (s *Server) Stop() {
	if s.srv == nil {
		return
	}
	s.srv.Shutdown()
	s.srv.WaitForShutdown()
	s.srv = nil
}

// Restart stops the server if it runs, and starts it on the same port and store.
func (s *Server) Restart() {
	s.tb.Helper()
	s.Stop()
	s.start()
}

func (s *Server) start() {
	s.tb.Helper()
	srv, err := server.NewServer(&server.Options{
		ServerName: "orderd-test", Host: "127.0.0.1", Port: s.port,
		JetStream: true, StoreDir: s.store, SyncAlways: true,
		NoSigs: true, NoLog: true,
	})
	if err != nil {
		s.tb.Fatalf("configuring NATS: %v", err)
	}
	srv.Start()
	if !srv.ReadyForConnections(startTimeout) {
		srv.Shutdown()
		s.tb.Fatalf("NATS did not come up within %s", startTimeout)
	}
	s.srv = srv
}

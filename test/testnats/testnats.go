// Package testnats runs a real NATS server with JetStream inside the test's process. Every write is
// fsynced before it is acknowledged, as in production.
package testnats

import (
	"fmt"
	"net"
	"os"
	"strconv"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/sys/unix"
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
	// held is a socket that keeps the port while no server does; 0: none.
	held int
}

// Run starts a server that is stopped, and its store removed, when the test ends.
func Run(tb TB) *Server {
	tb.Helper()
	store, err := os.MkdirTemp("", "orderd-nats-")
	if err != nil {
		tb.Fatalf("making the NATS store's folder: %v", err)
	}
	s := &Server{tb: tb, store: store, port: server.RANDOM_PORT}
	s.start()
	tb.Cleanup(func() {
		s.Stop()
		s.letGo()
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
	options = append([]nats.Option{nats.MaxReconnects(-1), nats.ReconnectWait(20 * time.Millisecond), nats.ReconnectJitter(0, 0)}, options...)
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

// Stop shuts the server down; its store stays, and its port is kept from others.
func (s *Server) Stop() {
	s.tb.Helper()
	if s.srv == nil {
		return
	}
	s.srv.Shutdown()
	s.srv.WaitForShutdown()
	s.srv = nil
	if err := s.hold(); err != nil {
		s.tb.Errorf("keeping the port of NATS: %v", err)
	}
}

// hold binds the port and does not listen: clients are refused, and nobody is given the port as a free one.
func (s *Server) hold() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("making a socket: %w", err)
	}
	s.held = fd
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1); err != nil {
		return fmt.Errorf("setting SO_REUSEADDR: %w", err)
	}
	if err := unix.Bind(fd, &unix.SockaddrInet4{Port: s.port, Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		return fmt.Errorf("binding port %d: %w", s.port, err)
	}
	return nil
}

func (s *Server) letGo() {
	if s.held != 0 {
		_ = unix.Close(s.held)
		s.held = 0
	}
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
	s.letGo()
	srv.Start()
	if !srv.ReadyForConnections(startTimeout) {
		srv.Shutdown()
		s.tb.Fatalf("NATS did not come up within %s", startTimeout)
	}
	addr, ok := srv.Addr().(*net.TCPAddr)
	if !ok {
		s.tb.Fatalf("NATS listens on %v, want a TCP address", srv.Addr())
	}
	s.port, s.srv = addr.Port, srv
}

// Package testnats runs a real NATS server with JetStream inside the test's process. Every write is
// fsynced before it is acknowledged, as in production.
package testnats

import (
	"crypto/tls"
	"os"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderd-dev/orderd/orderd/sim/localnats"
	"github.com/orderd-dev/orderd/test/kit/testport"
)

// TB is what a test gives: *testing.T, *testing.B or ginkgo's GinkgoTB().
type TB interface {
	Helper()
	Cleanup(func())
	Fatalf(format string, args ...any)
	Errorf(format string, args ...any)
}

// Server is one NATS server on a loopback port of its own.
type Server struct {
	tb    TB
	store string
	port  int
	tls   *tls.Config
	srv   *localnats.Server
}

// Run starts a server that is stopped, and its store removed, when the test ends.
func Run(tb TB) *Server { return RunTLS(tb, nil) }

// RunTLS is Run with clients that have to speak TLS.
func RunTLS(tb TB, config *tls.Config) *Server {
	tb.Helper()
	store, err := os.MkdirTemp("", "orderd-nats-")
	if err != nil {
		tb.Fatalf("making the NATS store's folder: %v", err)
	}
	port, err := testport.New()
	if err != nil {
		tb.Fatalf("finding a port for NATS: %v", err)
	}
	s := &Server{tb: tb, store: store, port: port, tls: config}
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
func (s *Server) URL() string {
	url := localnats.URL(s.port)
	if s.tls != nil {
		url = strings.Replace(url, "nats://", "tls://", 1)
	}
	return url
}

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
	s.srv.Stop()
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
	srv, err := localnats.Start(localnats.Options{Name: "orderd-test", Port: s.port, Store: s.store, TLS: s.tls})
	if err != nil {
		s.tb.Fatalf("starting NATS: %v", err)
	}
	s.srv = srv
}

package scaler

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"time"

	"connectrpc.com/connect/v2"
	"connectrpc.com/connect/v2/connecthttp"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/orderd-dev/orderd/api/gen/externalscaler/externalscalerconnect"
	"github.com/orderd-dev/orderd/api/v1alpha1"
	"github.com/orderd-dev/orderd/orderd/kit/certs"
)

const (
	maxRequestBytes = 64 << 10
	maxHeaderBytes  = 16 << 10
	requestTimeout  = 10 * time.Second
	idleTimeout     = 2 * time.Minute
	// A connection that nothing came from for pingAfter is asked whether it lives.
	pingAfter    = 15 * time.Second
	drainTimeout = 5 * time.Second
)

// Options of a [Server]. Address, Reader, ServerTime and Logger have to be set.
type Options struct {
	// Address is the host:port to listen at.
	Address string
	// CertificateDir has tls.crt and tls.key, which may be renewed at any time; empty: it speaks in clear text.
	CertificateDir string
	// Reader of OrderClusters and PromotionEvents, which is asked once a second for each stream; Indexed, if it is a
	// cache that listing.Index was called for.
	Reader  client.Reader
	Indexed bool
	// ServerTime is what the clock of an OrderCluster's JetStream says, by which its sales go. It is asked as often.
	ServerTime func(context.Context, *v1alpha1.OrderCluster) (time.Time, error)
	// MaxConnections and MaxStreams are how many there may be at once, over all connections; 0: 64 and 1,000. What is
	// more is answered RESOURCE_EXHAUSTED.
	MaxConnections, MaxStreams int
	Logger                     *slog.Logger
}

// Server serves the scaler.
type Server struct {
	options Options
}

// NewServer makes a server; Start listens.
func NewServer(o Options) *Server { return &Server{options: o} }

// NeedLeaderElection is controller-runtime's manager.LeaderElectionRunnable: every replica serves.
func (s *Server) NeedLeaderElection() bool { return false }

// Start is controller-runtime's manager.Runnable: it serves until ctx ends.
func (s *Server) Start(ctx context.Context) error {
	var lc net.ListenConfig
	socket, err := lc.Listen(ctx, "tcp", s.options.Address)
	if err != nil {
		return fmt.Errorf("listening for KEDA: %w", err)
	}
	return s.Serve(ctx, socket)
}

// Serve is Start on a socket that is there already, which is closed at the end.
func (s *Server) Serve(ctx context.Context, socket net.Listener) error {
	limits := newBounds(s.options.MaxConnections, s.options.MaxStreams)
	service := connect.NewServer(limits.admit)
	externalscalerconnect.RegisterExternalScalerHandler(service, newService(s.options, ctx.Done()))
	mux := http.NewServeMux()
	connecthttp.Mount(mux, service, connecthttp.WithReadMaxBytes(maxRequestBytes))
	protocols := new(http.Protocols)
	server := &http.Server{
		Handler: ending(http.MaxBytesHandler(mux, maxRequestBytes)), Protocols: protocols, ConnContext: mark,
		HTTP2: &http.HTTP2Config{
			MaxConcurrentStreams: int(limits.mostStreams) + spareStreams, SendPingTimeout: pingAfter, PingTimeout: pingAfter,
		},
		MaxHeaderBytes: maxHeaderBytes, ReadHeaderTimeout: requestTimeout, ReadTimeout: requestTimeout,
		IdleTimeout: idleTimeout, ErrorLog: slog.NewLogLogger(s.options.Logger.Handler(), slog.LevelDebug),
	}
	serve := server.Serve
	if dir := s.options.CertificateDir; dir != "" {
		pair, err := certs.Load(filepath.Join(dir, corev1.TLSCertKey), filepath.Join(dir, corev1.TLSPrivateKeyKey))
		if err != nil {
			return errors.Join(fmt.Errorf("the certificate for KEDA: %w", err), socket.Close())
		}
		server.TLSConfig = &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: pair.Server}
		protocols.SetHTTP2(true)
		serve = func(l net.Listener) error { return server.ServeTLS(l, "", "") }
	} else {
		protocols.SetUnencryptedHTTP2(true)
	}
	ended := make(chan error, 1)
	go func() { ended <- serve(listener{socket, limits}) }()
	s.options.Logger.Info("serving KEDA", "address", socket.Addr())
	select {
	case err := <-ended:
		return fmt.Errorf("serving KEDA: %w", err)
	case <-ctx.Done():
	}
	draining, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTimeout)
	defer cancel()
	if err := server.Shutdown(draining); err != nil {
		return errors.Join(fmt.Errorf("ending what KEDA asks: %w", err), server.Close())
	}
	return nil
}

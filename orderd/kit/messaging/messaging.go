// Package messaging connects to the NATS system that an OrderCluster names.
package messaging

import (
	"fmt"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderd-dev/orderd/orderd/kit/config"
)

const (
	// A lost server is tried again this often, for ever: a pod outlives an outage of its messaging.
	reconnectWait = 250 * time.Millisecond
	// A server that answers no ping for about twice this long is taken for lost.
	pingInterval = 2 * time.Second
	// JetStream calls without a deadline of their own are given up after this time.
	apiTimeout = 5 * time.Second
)

// Connect returns at once, also while no server answers: the connection is made as soon as one does.
func Connect(
	c config.Messaging, role Role, name string, log *slog.Logger,
) (*nats.Conn, jetstream.JetStream, error) {
	options := []nats.Option{
		nats.Name(name),
		nats.CustomInboxPrefix(role.InboxPrefix()),
		nats.RetryOnFailedConnect(true),
		nats.MaxReconnects(-1),
		nats.ReconnectWait(reconnectWait),
		nats.PingInterval(pingInterval),
		nats.MaxPingsOutstanding(2),
		// What was published while disconnected fails at once instead of being sent much later.
		nats.ReconnectBufSize(-1),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
			// There is no error if the pod itself closed the connection.
			if err != nil {
				log.Warn("messaging disconnected", "error", err)
			}
		}),
		nats.ReconnectHandler(func(*nats.Conn) { log.Info("messaging reconnected") }),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { log.Warn("messaging error", "error", err) }),
	}
	if c.CredentialsFile != "" {
		credentials, err := fileCredentials(c.CredentialsFile)
		if err != nil {
			return nil, nil, err
		}
		options = append(options, credentials)
	}
	// Both are read again for each connection, so that renewed files count.
	if c.CAFile != "" {
		options = append(options, nats.RootCAs(c.CAFile))
	}
	if c.CertificateFile != "" {
		options = append(options, nats.ClientCert(c.CertificateFile, c.KeyFile))
	}
	conn, err := nats.Connect(c.URL, options...)
	if err != nil {
		return nil, nil, fmt.Errorf("connecting to messaging: %w", err)
	}
	js, err := jetstream.New(conn, jetstream.WithDefaultTimeout(apiTimeout))
	if err != nil {
		conn.Close()
		return nil, nil, fmt.Errorf("opening JetStream: %w", err)
	}
	return conn, js, nil
}

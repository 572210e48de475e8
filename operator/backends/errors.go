package backends

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/nats-io/nats.go"

	"github.com/orderd-dev/orderd/api/v1alpha1"
	"github.com/orderd-dev/orderd/orderd/kit/messaging"
)

func trim(value []byte) string { return strings.TrimSpace(string(value)) }

// addressOf the server, an IPv6 address in brackets.
func addressOf(config *pgx.ConnConfig) string {
	return net.JoinHostPort(config.Host, strconv.Itoa(int(config.Port)))
}

// databaseError puts a failed login into a condition's words. Only what is known to hold no secret
// goes into the message: the address, and what the server itself said.
func databaseError(config *pgx.ConnConfig, err error) *Error {
	address := addressOf(config)
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		switch {
		// 28: invalid authorization; 3D000: no such database; 42501: insufficient privilege.
		case strings.HasPrefix(pg.Code, "28"), pg.Code == "3D000", pg.Code == "42501":
			return &Error{
				Reason: v1alpha1.ReasonAccessDenied,
				Message: redact(config,
					fmt.Sprintf("the database at %s refused the login: %s (SQLSTATE %s)", address, pg.Message, pg.Code)),
			}
		}
		return &Error{
			Reason:  v1alpha1.ReasonUnreachable,
			Message: redact(config, fmt.Sprintf("the database at %s answered: %s (SQLSTATE %s)", address, pg.Message, pg.Code)),
		}
	}
	return &Error{
		Reason:  v1alpha1.ReasonUnreachable,
		Message: redact(config, fmt.Sprintf("the database at %s cannot be reached: %s", address, networkCause(err))),
	}
}

// networkCause names what went wrong on the way to a server.
func networkCause(err error) string {
	var unverified *tls.CertificateVerificationError
	if errors.As(err, &unverified) {
		return "its certificate is not believed: " + unverified.Err.Error()
	}
	var dns *net.DNSError
	if errors.As(err, &dns) {
		return "no such host " + dns.Name
	}
	var op *net.OpError
	if errors.As(err, &op) {
		return op.Err.Error()
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return "no answer in time"
	}
	if errors.Is(err, nats.ErrSecureConnWanted) || strings.Contains(err.Error(), "server refused TLS connection") {
		return "it does not speak TLS"
	}
	if errors.Is(err, nats.ErrSecureConnRequired) {
		return "it speaks TLS alone"
	}
	if errors.Is(err, errConnecting) {
		return errConnecting.Error()
	}
	return "the connection could not be made"
}

// redact guards against a server that repeats what it was sent.
func redact(config *pgx.ConnConfig, message string) string {
	if config.Password == "" {
		return message
	}
	return strings.ReplaceAll(message, config.Password, "***")
}

// credentials checks them before they are used, because the NATS client would retry broken ones.
func credentials(c *v1alpha1.OrderCluster, creds string) (nats.Option, error) {
	option, err := messaging.Credentials([]byte(creds))
	if err != nil {
		ref := c.MessagingCredentials(v1alpha1.RoleOperator)
		return nil, &Error{
			Reason:  v1alpha1.ReasonInvalidCredentials,
			Message: fmt.Sprintf("Secret %s: the value of key %s %v", ref.Name, ref.Key, err),
		}
	}
	return option, nil
}

// messagingError puts a failed connection into a condition's words. The URL holds no password: the
// CRD refuses one.
func messagingError(c *v1alpha1.OrderCluster, err error) *Error {
	if errors.Is(err, nats.ErrAuthorization) || errors.Is(err, nats.ErrAuthExpired) ||
		errors.Is(err, nats.ErrAuthRevoked) {
		return &Error{
			Reason:  v1alpha1.ReasonAccessDenied,
			Message: fmt.Sprintf("NATS at %s refused the login", c.Spec.Messaging.URL),
		}
	}
	cause := networkCause(err)
	if errors.Is(err, nats.ErrNoServers) {
		cause = "no server answers"
	}
	return &Error{
		Reason:  v1alpha1.ReasonUnreachable,
		Message: fmt.Sprintf("NATS at %s cannot be reached: %s", c.Spec.Messaging.URL, cause),
	}
}

// jetStreamError puts into a condition's words that NATS answers, and its JetStream does not.
func jetStreamError(c *v1alpha1.OrderCluster, err error) *Error {
	return &Error{
		Reason:  v1alpha1.ReasonJetStreamUnavailable,
		Message: fmt.Sprintf("NATS at %s answers, but its JetStream does not: %v", c.Spec.Messaging.URL, err),
	}
}

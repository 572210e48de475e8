// Package backends keeps the operator's own connections to the databases and NATS systems of the
// OrderClusters, one of each an OrderCluster, made from the Secrets it names.
package backends

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/orderd-dev/orderd/api/v1alpha1"
	"github.com/orderd-dev/orderd/orderd/kit/database"
)

const (
	// maxConnections to one database: the operator runs a few short transactions a promotion.
	maxConnections = 4
	// checkTimeout bounds a check, so that one OrderCluster's dead server does not hold up
	// the others' for long.
	checkTimeout = 5 * time.Second
	// apiTimeout bounds a JetStream call that has no deadline of its own.
	apiTimeout = 5 * time.Second
)

// Error says why a backend cannot be used, as a condition's reason and message. It holds no secrets.
type Error struct {
	Reason  string
	Message string
}

// Error is the message.
func (e *Error) Error() string { return e.Message }

// Registry hands out connections. It is safe for concurrent use.
type Registry struct {
	secrets client.Reader
	log     *slog.Logger

	mu      sync.Mutex
	entries map[types.NamespacedName]*entry
}

// entry has an OrderCluster's connections. Its lock is held while they are made or replaced.
type entry struct {
	mu          sync.Mutex
	databaseURL string
	pool        *pgxpool.Pool
	natsURL     string
	creds       string
	conn        *nats.Conn
	js          jetstream.JetStream
}

// NewRegistry returns a Registry that reads Secrets through the given reader, which should not cache
// them: the operator keeps no Secrets but those in use.
func NewRegistry(secrets client.Reader, log *slog.Logger) *Registry {
	return &Registry{secrets: secrets, log: log, entries: map[types.NamespacedName]*entry{}}
}

func (r *Registry) entry(key types.NamespacedName) *entry {
	r.mu.Lock()
	defer r.mu.Unlock()
	e := r.entries[key]
	if e == nil {
		e = &entry{}
		r.entries[key] = e
	}
	return e
}

// Forget closes an OrderCluster's connections.
func (r *Registry) Forget(key types.NamespacedName) {
	r.mu.Lock()
	e := r.entries[key]
	delete(r.entries, key)
	r.mu.Unlock()
	if e == nil {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.closeDatabase()
	e.closeMessaging()
}

// Close ends all connections.
func (r *Registry) Close() {
	r.mu.Lock()
	keys := make([]types.NamespacedName, 0, len(r.entries))
	for key := range r.entries {
		keys = append(keys, key)
	}
	r.mu.Unlock()
	for _, key := range keys {
		r.Forget(key)
	}
}

func (e *entry) closeDatabase() {
	if e.pool != nil {
		e.pool.Close()
	}
	e.pool, e.databaseURL = nil, ""
}

func (e *entry) closeMessaging() {
	if e.conn != nil {
		e.conn.Close()
	}
	e.conn, e.js, e.natsURL, e.creds = nil, nil, "", ""
}

// Database returns a pool for the OrderCluster's database, made from its Secret as it is now. It does
// not check that the database answers. Errors are *Error, or of the Kubernetes API.
func (r *Registry) Database(ctx context.Context, c *v1alpha1.OrderCluster) (*pgxpool.Pool, error) {
	url, err := r.secret(ctx, c.Namespace, c.Spec.Database.URLSecretRef)
	if err != nil {
		return nil, err
	}
	e := r.entry(client.ObjectKeyFromObject(c))
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.pool != nil && e.databaseURL == url {
		return e.pool, nil
	}
	e.closeDatabase()
	// The pool outlives this call, so it must not end with the call's context.
	pool, err := database.Open(context.WithoutCancel(ctx), url, maxConnections)
	if err != nil {
		return nil, &Error{
			Reason: v1alpha1.ReasonInvalidURL,
			Message: fmt.Sprintf("Secret %s: the value of key %s is not a postgres:// URL",
				c.Spec.Database.URLSecretRef.Name, c.Spec.Database.URLSecretRef.Key),
		}
	}
	e.pool, e.databaseURL = pool, url
	return pool, nil
}

// CheckDatabase logs in to the OrderCluster's database. Errors are as of Database.
func (r *Registry) CheckDatabase(ctx context.Context, c *v1alpha1.OrderCluster) error {
	pool, err := r.Database(ctx, c)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	config := pool.Config().ConnConfig
	found, err := databaseThere(ctx, pool)
	if err != nil {
		return databaseError(config, err)
	}
	if !found {
		return &Error{
			Reason:  v1alpha1.ReasonAccessDenied,
			Message: fmt.Sprintf("the server at %s:%d has no database %s", config.Host, config.Port, config.Database),
		}
	}
	return nil
}

// JetStream returns the OrderCluster's JetStream over a connection that was made once and reconnects
// by itself. Errors are *Error, or of the Kubernetes API.
func (r *Registry) JetStream(ctx context.Context, c *v1alpha1.OrderCluster) (jetstream.JetStream, error) {
	var creds string
	if ref := c.Spec.Messaging.CredentialsSecretRef; ref != nil {
		var err error
		if creds, err = r.secret(ctx, c.Namespace, *ref); err != nil {
			return nil, err
		}
	}
	e := r.entry(client.ObjectKeyFromObject(c))
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.conn != nil && !e.conn.IsClosed() && e.natsURL == c.Spec.Messaging.URL && e.creds == creds {
		return e.js, nil
	}
	e.closeMessaging()
	conn, js, err := r.connect(c, creds)
	if err != nil {
		return nil, err
	}
	e.conn, e.js, e.natsURL, e.creds = conn, js, c.Spec.Messaging.URL, creds
	return js, nil
}

func (r *Registry) connect(c *v1alpha1.OrderCluster, creds string) (*nats.Conn, jetstream.JetStream, error) {
	log := r.log.With("namespace", c.Namespace, "ordercluster", c.Name)
	options := []nats.Option{
		nats.Name("orderd-operator " + c.Namespace + "/" + c.Name),
		nats.Timeout(checkTimeout),
		nats.MaxReconnects(-1),
		nats.ReconnectWait(time.Second),
		nats.ReconnectBufSize(-1),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
			// There is no error if the operator itself closed the connection.
			if err != nil {
				log.Warn("messaging disconnected", "error", err)
			}
		}),
		nats.ReconnectHandler(func(*nats.Conn) { log.Info("messaging reconnected") }),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { log.Warn("messaging error", "error", err) }),
	}
	if creds != "" {
		option, err := credentials(c, creds)
		if err != nil {
			return nil, nil, err
		}
		options = append(options, option)
	}
	conn, err := nats.Connect(c.Spec.Messaging.URL, options...)
	if err != nil {
		return nil, nil, messagingError(c, err)
	}
	js, err := jetstream.New(conn, jetstream.WithDefaultTimeout(apiTimeout))
	if err != nil {
		conn.Close()
		return nil, nil, fmt.Errorf("opening JetStream: %w", err)
	}
	return conn, js, nil
}

// CheckMessaging asks the OrderCluster's JetStream about its account. Errors are as of JetStream.
func (r *Registry) CheckMessaging(ctx context.Context, c *v1alpha1.OrderCluster) error {
	js, err := r.JetStream(ctx, c)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	if _, err := js.AccountInfo(ctx); err != nil {
		if !js.Conn().IsConnected() {
			return messagingError(c, errors.Join(nats.ErrNoServers, js.Conn().LastError()))
		}
		return &Error{
			Reason:  v1alpha1.ReasonJetStreamUnavailable,
			Message: fmt.Sprintf("NATS at %s answers, but its JetStream does not: %v", c.Spec.Messaging.URL, err),
		}
	}
	return nil
}

func (r *Registry) secret(ctx context.Context, namespace string, ref v1alpha1.SecretKeyReference) (string, error) {
	var secret corev1.Secret
	err := r.secrets.Get(ctx, types.NamespacedName{Namespace: namespace, Name: ref.Name}, &secret)
	if apierrors.IsNotFound(err) {
		return "", &Error{Reason: v1alpha1.ReasonSecretNotFound, Message: fmt.Sprintf("Secret %s does not exist", ref.Name)}
	}
	if err != nil {
		return "", fmt.Errorf("reading Secret %s: %w", ref.Name, err)
	}
	value := trim(secret.Data[ref.Key])
	if value == "" {
		return "", &Error{
			Reason:  v1alpha1.ReasonSecretKeyMissing,
			Message: fmt.Sprintf("Secret %s has no key %s, or it is empty", ref.Name, ref.Key),
		}
	}
	return value, nil
}

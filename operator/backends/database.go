package backends

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/orderd-dev/orderd/api/v1alpha1"
	"github.com/orderd-dev/orderd/orderd/kit/database"
)

// maxConnections to one database: the operator runs a few short transactions a promotion.
const maxConnections = 4

// store is one OrderCluster's database, by one URL and TLS. It is never changed.
type store struct {
	url  string
	tls  [sha256.Size]byte
	pool *pgxpool.Pool
	gate *gate
}

// Database returns a pool for the OrderCluster's database, made from its Secret as it is now. It does
// not check that the database answers, but if it is known not to the error says so. Errors are *Error,
// or of the Kubernetes API.
func (r *Registry) Database(ctx context.Context, c *v1alpha1.OrderCluster) (*pgxpool.Pool, error) {
	s, err := r.store(ctx, c)
	if err != nil {
		return nil, err
	}
	if err := s.gate.enter(time.Now()); err != nil {
		return nil, err
	}
	return s.pool, nil
}

// store of the OrderCluster by its Secrets as they are now.
func (r *Registry) store(ctx context.Context, c *v1alpha1.OrderCluster) (*store, error) {
	spec := c.Spec.Database
	url, err := r.secret(ctx, c.Namespace, spec.URLSecretRef)
	if err != nil {
		return nil, err
	}
	tls, err := r.secured(ctx, c, spec.CASecretRef, spec.ClientCertificateSecretRef)
	if err != nil {
		return nil, err
	}
	e := r.entry(client.ObjectKeyFromObject(c))
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.store != nil && e.store.url == url && e.store.tls == tls.sum {
		return e.store, nil
	}
	if e.store != nil {
		// A pool closes once its connections are given back, for which nobody here waits.
		go e.store.pool.Close()
		e.store = nil
	}
	insecure := database.Verified(url)
	if insecure != nil && (!errors.Is(insecure, database.ErrInsecure) || !c.AllowsInsecureDatabase()) {
		return nil, badURL(spec.URLSecretRef, insecure)
	}
	s := &store{url: url, tls: tls.sum, gate: &gate{patience: r.limits.statement}}
	b := &bounds{gate: s.gate, limits: r.limits}
	// To open a pool connects to nothing. It outlives this call, so it must not end with the call's context.
	s.pool, err = database.Open(context.WithoutCancel(ctx), url, maxConnections, database.WithTracer(b),
		database.WithTLS(database.TLS{Authorities: tls.authorities, Certificate: tls.client()}))
	if err != nil {
		return nil, badURL(spec.URLSecretRef, err)
	}
	b.config = s.pool.Config().ConnConfig
	e.store = s
	return s, nil
}

// badURL says what is wrong with a database's URL, and nothing of what is in it.
func badURL(ref v1alpha1.SecretKeyReference, err error) *Error {
	if errors.Is(err, database.ErrInsecure) {
		return &Error{
			Reason: v1alpha1.ReasonInsecure,
			Message: fmt.Sprintf("Secret %s: the URL in key %s: %v (spec.database.insecure: true allows others)",
				ref.Name, ref.Key, err),
		}
	}
	return &Error{
		Reason: v1alpha1.ReasonInvalidURL,
		Message: fmt.Sprintf("Secret %s: the value of key %s is not a postgres:// URL that can be used",
			ref.Name, ref.Key),
	}
}

// CheckDatabase logs in to the OrderCluster's database. Errors are as of Database.
func (r *Registry) CheckDatabase(ctx context.Context, c *v1alpha1.OrderCluster) error {
	s, err := r.store(Fresh(ctx), c)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, r.limits.check)
	defer cancel()
	config := s.pool.Config().ConnConfig
	found, err := databaseThere(ctx, s.pool)
	if err != nil {
		return databaseError(config, err)
	}
	if !found {
		return &Error{
			Reason:  v1alpha1.ReasonAccessDenied,
			Message: fmt.Sprintf("the server at %s has no database %s", addressOf(config), config.Database),
		}
	}
	return nil
}

// bounds gives each use of a pool a deadline, and tells the gate what came of it. It is the pool's tracer:
// pgx goes on with the context that a tracer returns.
type bounds struct {
	gate   *gate
	limits limits
	// config is the pool's, set before the pool is used.
	config *pgx.ConnConfig
}

type cancelKey struct{}

func bound(ctx context.Context, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(ctx, d)
	return context.WithValue(ctx, cancelKey{}, cancel)
}

func unbound(ctx context.Context) {
	if cancel, ok := ctx.Value(cancelKey{}).(context.CancelFunc); ok {
		cancel()
	}
}

// outcome of a statement. One that the caller gave up says nothing of the server, and neither does one that
// failed before its time: if the connection broke, the next one tells.
func (b *bounds) outcome(err error) {
	switch {
	case err == nil, answer(err):
		b.gate.answered()
	case errors.Is(err, context.DeadlineExceeded), pgconn.Timeout(err) && !errors.Is(err, context.Canceled):
		b.gate.failed(time.Now(), databaseError(b.config, err))
	}
}

// answer tells whether an error is the server's own.
func answer(err error) bool {
	var refused *pgconn.PgError
	return errors.As(err, &refused)
}

// TraceAcquireStart is pgx's hook before the wait for a connection.
func (b *bounds) TraceAcquireStart(ctx context.Context, _ *pgxpool.Pool, _ pgxpool.TraceAcquireStartData,
) context.Context {
	return bound(ctx, b.limits.connect)
}

// TraceAcquireEnd is pgx's hook after it. That all connections are used says nothing of the server.
func (b *bounds) TraceAcquireEnd(ctx context.Context, _ *pgxpool.Pool, _ pgxpool.TraceAcquireEndData) {
	unbound(ctx)
}

// TraceConnectStart is pgx's hook before a connection is made. The pool bounds it.
func (b *bounds) TraceConnectStart(ctx context.Context, _ pgx.TraceConnectStartData) context.Context {
	return ctx
}

// TraceConnectEnd is pgx's hook after a connection was made.
func (b *bounds) TraceConnectEnd(_ context.Context, data pgx.TraceConnectEndData) {
	switch {
	case data.Err == nil, answer(data.Err):
		b.gate.answered()
	case !errors.Is(data.Err, context.Canceled):
		b.gate.failed(time.Now(), databaseError(b.config, data.Err))
	}
}

// TraceQueryStart is pgx's hook before a statement.
func (b *bounds) TraceQueryStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryStartData) context.Context {
	return bound(ctx, b.limits.statement)
}

// TraceQueryEnd is pgx's hook after a statement and its rows.
func (b *bounds) TraceQueryEnd(ctx context.Context, _ *pgx.Conn, data pgx.TraceQueryEndData) {
	unbound(ctx)
	b.outcome(data.Err)
}

// TraceBatchStart is pgx's hook before statements that are sent together.
func (b *bounds) TraceBatchStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceBatchStartData) context.Context {
	return bound(ctx, b.limits.statement)
}

// TraceBatchQuery is pgx's hook after each of them.
func (b *bounds) TraceBatchQuery(context.Context, *pgx.Conn, pgx.TraceBatchQueryData) {}

// TraceBatchEnd is pgx's hook after the last of them.
func (b *bounds) TraceBatchEnd(ctx context.Context, _ *pgx.Conn, data pgx.TraceBatchEndData) {
	unbound(ctx)
	b.outcome(data.Err)
}

// Package database is orderd's way to its SQL database, CockroachDB or PostgreSQL: the pool, the
// transactions, the migrations and what their errors mean.
package database

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
	pgxuuid "github.com/vgarvardt/pgx-google-uuid/v5"
)

const (
	connectTimeout = 5 * time.Second
	// maxIdle and maxLifetime spread a pool's connections over a cluster's nodes again after
	// some of them were away.
	maxIdle     = 5 * time.Minute
	maxLifetime = 30 * time.Minute
)

// Option changes how a pool is opened.
type Option func(*options)

type options struct {
	registerer prometheus.Registerer
	tls        TLS
	tracer     pgx.QueryTracer
}

// WithRegisterer registers the pool's metrics: transaction retries, failed statements by class, the
// length of statements and the connections in use. One pool a registerer.
func WithRegisterer(r prometheus.Registerer) Option {
	return func(o *options) { o.registerer = r }
}

// WithTracer has all that the pool does seen, and bounded, by a tracer in place of the one that counts
// for the metrics: it may be a pgx.BatchTracer, pgx.ConnectTracer and pgxpool.AcquireTracer as well.
// What follows is done with the context that its Start functions return.
func WithTracer(t pgx.QueryTracer) Option {
	return func(o *options) { o.tracer = t }
}

// Open makes a pool of at most maxConns connections to a postgres:// URL. It does not connect yet, so
// that a pod starts while its database is away; an error means that the URL cannot be used.
func Open(ctx context.Context, url string, maxConns int32, opts ...Option) (*pgxpool.Pool, error) {
	var o options
	for _, opt := range opts {
		opt(&o)
	}
	config, err := pgxpool.ParseConfig(url)
	if err != nil {
		// The parser's error holds the URL, and that the password.
		return nil, errBadURL
	}
	o.tls.apply(config.ConnConfig)
	config.MaxConns = maxConns
	config.MaxConnIdleTime, config.MaxConnLifetime = maxIdle, maxLifetime
	config.ConnConfig.ConnectTimeout = connectTimeout
	config.AfterConnect = func(_ context.Context, conn *pgx.Conn) error {
		// As it is, pgx takes a UUID for a driver.Valuer: it makes text of it and parses that
		// again, for each of thousands in an array.
		pgxuuid.Register(conn.TypeMap())
		return nil
	}
	m := newMetrics()
	config.ConnConfig.Tracer = m
	if o.tracer != nil {
		config.ConnConfig.Tracer = o.tracer
	}
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("opening the database: %w", err)
	}
	if o.registerer != nil {
		if err := m.register(o.registerer, pool); err != nil {
			pool.Close()
			return nil, err
		}
	}
	return pool, nil
}

package database

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/orderd-dev/orderd/orderd/kit/metric"
)

// metrics hang on the pool as its tracer, which sees every statement.
type metrics struct {
	retries    prometheus.Counter
	errors     *prometheus.CounterVec
	statements prometheus.Histogram
}

type startKey struct{}

func newMetrics() *metrics {
	return &metrics{
		retries: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "orderd_database_transaction_retries_total",
			Help: "Transactions that were run again after a conflict with another.",
		}),
		errors: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "orderd_database_errors_total", Help: "Statements that failed, by class: retry, reset, unknown, final.",
		}, []string{"class"}),
		statements: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "orderd_database_statement_seconds", Help: "How long statements take.",
			Buckets: prometheus.ExponentialBuckets(0.0005, 3, 9),
		}),
	}
}

func (m *metrics) register(r prometheus.Registerer, pool *pgxpool.Pool) error {
	gauge := func(name, help string, value func(*pgxpool.Stat) int32) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help},
			func() float64 { return float64(value(pool.Stat())) })
	}
	return metric.Register(r, "the database",
		m.retries, m.errors, m.statements,
		gauge("orderd_database_connections_used", "Connections that are in use.", (*pgxpool.Stat).AcquiredConns),
		gauge("orderd_database_connections_open", "Connections that are open.", (*pgxpool.Stat).TotalConns),
		gauge("orderd_database_connections_max", "Connections that may be open.", (*pgxpool.Stat).MaxConns),
	)
}

// TraceQueryStart is pgx's hook before a statement.
func (m *metrics) TraceQueryStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryStartData) context.Context {
	return context.WithValue(ctx, startKey{}, time.Now()) //nolint:forbidigo // It only measures.
}

// TraceQueryEnd is pgx's hook after a statement.
func (m *metrics) TraceQueryEnd(ctx context.Context, _ *pgx.Conn, data pgx.TraceQueryEndData) {
	if start, ok := ctx.Value(startKey{}).(time.Time); ok {
		m.statements.Observe(time.Since(start).Seconds()) //nolint:forbidigo // It only measures.
	}
	if data.Err != nil && !errors.Is(data.Err, pgx.ErrNoRows) {
		m.errors.WithLabelValues(ClassOf(data.Err).String()).Inc()
	}
}

func countRetry(pool *pgxpool.Pool) {
	if m, ok := pool.Config().ConnConfig.Tracer.(*metrics); ok {
		m.retries.Inc()
	}
}

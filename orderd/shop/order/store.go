package order

import (
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/orderd-dev/orderd/orderd/shop/stock"
)

// Options of a Store. Pool, Clock and Logger have to be set.
type Options struct {
	Pool   *pgxpool.Pool
	Clock  func() time.Time
	Logger *slog.Logger
	// Refunder takes the refunds that are granted: payment's. Without it none can be
	// granted that has an amount.
	Refunder Refunder
	// Registerer of the metrics, unless nil.
	Registerer prometheus.Registerer
}

// Store keeps orders. Its methods are safe for concurrent use.
type Store struct {
	pool     *pgxpool.Pool
	now      func() time.Time
	log      *slog.Logger
	refunder Refunder
	shelves  *stock.Shelves
	metrics  *metrics
}

// NewStore makes a store; an error is the registerer's.
func NewStore(o Options) (*Store, error) {
	m, err := newMetrics(o.Registerer)
	if err != nil {
		return nil, err
	}
	return &Store{
		pool:     o.Pool,
		now:      o.Clock,
		log:      o.Logger,
		refunder: o.Refunder,
		shelves:  stock.NewShelves(),
		metrics:  m,
	}, nil
}

package promotionevent

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/nats-io/nats.go/jetstream"

	flashv1 "github.com/orderd-dev/orderd/api/gen/orderd/flash/v1"
	"github.com/orderd-dev/orderd/api/v1alpha1"
	"github.com/orderd-dev/orderd/operator/backends"
	"github.com/orderd-dev/orderd/orderd/flash/provision"
	"github.com/orderd-dev/orderd/orderd/order"
	"github.com/orderd-dev/orderd/orderd/stock"
)

// closer names the operator in the logs that it closes.
const closer = "orderd-operator"

// databaseTimeout bounds a call to the database, so that one that hangs does not keep the operator from
// the promotion's other needs. JetStream's calls have time-outs of their own.
const databaseTimeout = 10 * time.Second

// Backends opens what a promotion is provisioned in, by its OrderCluster.
type Backends interface {
	// Stock is the promotion's stock in the database.
	Stock(ctx context.Context, c *v1alpha1.OrderCluster) (Stock, error)
	// Log is the promotion's streams and its key in the promotions bucket.
	Log(ctx context.Context, c *v1alpha1.OrderCluster) (Log, error)
}

// Stock is a promotion's stock in the database. Every call may be repeated; see package stock.
type Stock interface {
	Allocate(ctx context.Context, uid string, items []stock.Quantity) error
	Allocated(ctx context.Context, uid string) ([]stock.Quantity, error)
	AddTopUps(ctx context.Context, uid string, targets []stock.Quantity) ([]stock.TopUp, error)
	EndTopUps(ctx context.Context, uid string) ([]stock.TopUp, error)
	// Sold is what orders in the database hold; see order.SoldInPromotion.
	Sold(ctx context.Context, uid string) ([]stock.Quantity, error)
	// Releasing is how many cancelled or expired orders still have to give their stock back.
	Releasing(ctx context.Context, uid string) (int64, error)
	ReturnUnsold(ctx context.Context, uid string, items []stock.Quantity) error
	Returned(ctx context.Context, uid string) ([]stock.Quantity, error)
}

// Log is a promotion's streams and its key in the promotions bucket. Every call may be repeated; see
// package provision.
type Log interface {
	// Ensure makes the streams.
	Ensure(ctx context.Context, promo *flashv1.Promotion) error
	// Open gives every partition its stock shards.
	Open(ctx context.Context, promo *flashv1.Promotion, items []provision.Item) error
	// Publish tells the pods, and returns what they were told before; nil: nothing.
	Publish(ctx context.Context, promo *flashv1.Promotion) (*flashv1.Promotion, error)
	// Totals is what the partitions hold.
	Totals(ctx context.Context, promo *flashv1.Promotion) ([]provision.Total, error)
	// Close ends every partition and returns what they held.
	Close(ctx context.Context, promo *flashv1.Promotion) ([]provision.Total, error)
	// Drained reports whether every accepted order is in the database.
	Drained(ctx context.Context, promo *flashv1.Promotion) (bool, error)
	// Remove deletes key and streams.
	Remove(ctx context.Context, promo *flashv1.Promotion) error
}

// Connections are the Backends over a Registry's connections. They keep what was counted of the promotions' logs.
type Connections struct {
	Registry *backends.Registry
	counts   counts
}

// Stock implements Backends.
func (b *Connections) Stock(ctx context.Context, c *v1alpha1.OrderCluster) (Stock, error) {
	pool, err := b.Registry.Database(ctx, c)
	if err != nil {
		return nil, err
	}
	return databaseStock{pool}, nil
}

// Log implements Backends.
func (b *Connections) Log(ctx context.Context, c *v1alpha1.OrderCluster) (Log, error) {
	js, err := b.Registry.JetStream(ctx, c)
	if err != nil {
		return nil, err
	}
	return streamLog{js, c.MessagingReplicas(), &b.counts}, nil
}

type databaseStock struct{ db *pgxpool.Pool }

func (s databaseStock) Allocate(ctx context.Context, uid string, items []stock.Quantity) error {
	ctx, cancel := context.WithTimeout(ctx, databaseTimeout)
	defer cancel()
	return stock.Allocate(ctx, s.db, uid, items)
}

func (s databaseStock) Allocated(ctx context.Context, uid string) ([]stock.Quantity, error) {
	ctx, cancel := context.WithTimeout(ctx, databaseTimeout)
	defer cancel()
	return stock.Allocated(ctx, s.db, uid)
}

func (s databaseStock) AddTopUps(ctx context.Context, uid string, targets []stock.Quantity) ([]stock.TopUp, error) {
	ctx, cancel := context.WithTimeout(ctx, databaseTimeout)
	defer cancel()
	return stock.AddTopUps(ctx, s.db, uid, targets)
}

func (s databaseStock) EndTopUps(ctx context.Context, uid string) ([]stock.TopUp, error) {
	ctx, cancel := context.WithTimeout(ctx, databaseTimeout)
	defer cancel()
	return stock.EndTopUps(ctx, s.db, uid)
}

func (s databaseStock) Sold(ctx context.Context, uid string) ([]stock.Quantity, error) {
	ctx, cancel := context.WithTimeout(ctx, databaseTimeout)
	defer cancel()
	return order.SoldInPromotion(ctx, s.db, uid)
}

func (s databaseStock) Releasing(ctx context.Context, uid string) (int64, error) {
	ctx, cancel := context.WithTimeout(ctx, databaseTimeout)
	defer cancel()
	return order.PendingReleases(ctx, s.db, uid)
}

func (s databaseStock) ReturnUnsold(ctx context.Context, uid string, items []stock.Quantity) error {
	ctx, cancel := context.WithTimeout(ctx, databaseTimeout)
	defer cancel()
	return stock.ReturnUnsold(ctx, s.db, uid, items)
}

func (s databaseStock) Returned(ctx context.Context, uid string) ([]stock.Quantity, error) {
	ctx, cancel := context.WithTimeout(ctx, databaseTimeout)
	defer cancel()
	return stock.Returned(ctx, s.db, uid)
}

type streamLog struct {
	js       jetstream.JetStream
	replicas int
	counts   *counts
}

func (l streamLog) Ensure(ctx context.Context, promo *flashv1.Promotion) error {
	if err := provision.EnsureBuckets(ctx, l.js, l.replicas); err != nil {
		return err
	}
	return provision.EnsureStreams(ctx, l.js, promo, l.replicas)
}

func (l streamLog) Open(ctx context.Context, promo *flashv1.Promotion, items []provision.Item) error {
	return provision.OpenPartitions(ctx, l.js, promo, promo.GetUid(), items)
}

func (l streamLog) Publish(ctx context.Context, promo *flashv1.Promotion) (*flashv1.Promotion, error) {
	return provision.Publish(ctx, l.js, promo)
}

func (l streamLog) Totals(ctx context.Context, promo *flashv1.Promotion) ([]provision.Total, error) {
	defer l.counts.trim(promo.GetUid())
	return l.counts.of(promo.GetUid()).counter.Totals(ctx, l.js, promo)
}

func (l streamLog) Close(ctx context.Context, promo *flashv1.Promotion) ([]provision.Total, error) {
	// What is closed never changes, and to settle takes several looks at it.
	if totals := l.counts.of(promo.GetUid()).closed.Load(); totals != nil {
		return *totals, nil
	}
	totals, err := provision.ClosePartitions(ctx, l.js, promo, closer)
	if err != nil {
		return nil, err
	}
	l.counts.closed(promo.GetUid(), totals)
	return totals, nil
}

func (l streamLog) Drained(ctx context.Context, promo *flashv1.Promotion) (bool, error) {
	return provision.Drained(ctx, l.js, promo)
}

func (l streamLog) Remove(ctx context.Context, promo *flashv1.Promotion) error {
	l.counts.drop(promo.GetUid())
	// The pods let go of the promotion before its streams go.
	if err := provision.DeletePromotion(ctx, l.js, promo.GetUid()); err != nil {
		return err
	}
	return provision.DeleteStreams(ctx, l.js, promo)
}

package promotionevent

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/orderd-dev/orderd/api/v1alpha1"
	"github.com/orderd-dev/orderd/orderd/sale"
	"github.com/orderd-dev/orderd/orderd/sale/resource"
)

// actor names the operator in the logs that it closes.
const actor = "orderd-operator"

// Backends opens what a sale is prepared in, by its OrderCluster.
type Backends interface {
	// Database has the shop's stock and its orders.
	Database(ctx context.Context, c *v1alpha1.OrderCluster) (*pgxpool.Pool, error)
	// JetStream has the promotions' streams and the bucket that the pods watch.
	JetStream(ctx context.Context, c *v1alpha1.OrderCluster) (jetstream.JetStream, error)
	// ServerTime is what JetStream's clock says.
	ServerTime(ctx context.Context, c *v1alpha1.OrderCluster) (time.Time, error)
}

// openSale makes the promotion's sale as it is now. It connects to nothing.
func (r *Reconciler) openSale(_ context.Context, s *scope) (bool, error) {
	s.sale = r.saleOf(s, s.promotion)
	return false, nil
}

func (r *Reconciler) saleOf(s *scope, p *v1alpha1.PromotionEvent) *sale.Sale {
	return sale.New(sale.Options{
		Promotion: resource.Definition(p),
		Items:     resource.Items(p),
		Name:      sale.PromotionName{Namespace: p.Namespace, Name: p.Name},
		Database:  func(ctx context.Context) (*pgxpool.Pool, error) { return r.Backends.Database(ctx, s.cluster) },
		JetStream: func(ctx context.Context) (jetstream.JetStream, error) { return r.Backends.JetStream(ctx, s.cluster) },
		Replicas:  s.cluster.MessagingReplicas(),
		Actor:     actor,
		Counts:    &r.counts,
		After:     r.AfterStep,
	})
}

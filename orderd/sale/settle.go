package sale

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"google.golang.org/protobuf/proto"

	"github.com/orderd-dev/orderd/orderd/flash/partition"
	"github.com/orderd-dev/orderd/orderd/flash/prepare"
	"github.com/orderd-dev/orderd/orderd/shop/order"
	"github.com/orderd-dev/orderd/orderd/shop/stock"
)

// ReleasingError says that a sale cannot be proved yet: a release may have landed in the log, and
// the database does not know of it.
type ReleasingError struct {
	// Orders that still have to give their stock back.
	Orders int64
}

// Error counts the orders.
func (e *ReleasingError) Error() string {
	return fmt.Sprintf("%d cancelled or expired orders are being released", e.Orders)
}

// EndTopUps lets no more stock be added, and learns what has to be in the log before the
// partitions are closed.
func (s *Sale) EndTopUps(ctx context.Context) error {
	if s.database == nil {
		return nil
	}
	all, err := ask(ctx, s, stock.EndTopUps)
	if err == nil {
		s.setTopUps(all)
	}
	return s.done(StepEndTopUps, err)
}

// ServerTime is what the clock of the server says that leads the sale's first stream: the clock by which pods open and
// close it. It is behind by the time the answer takes.
func (s *Sale) ServerTime(ctx context.Context) (time.Time, error) {
	ctx, js, err := s.jetStream(ctx)
	if err != nil {
		return time.Time{}, err
	}
	stream, err := js.Stream(ctx, s.promo.GetStreams()[0])
	if err != nil {
		return time.Time{}, fmt.Errorf("asking JetStream for the time: %w", err)
	}
	now := stream.CachedInfo().TimeStamp
	if now.IsZero() {
		return time.Time{}, errNoTime
	}
	return now, nil
}

// ClosePartitions ends every partition and returns what they hold, by SKU. A partition that lacks a
// share of the promotion's top-ups gets it first: EndTopUps comes before. A log that does not add
// up is a *ViolationError.
func (s *Sale) ClosePartitions(ctx context.Context) ([]Total, error) {
	totals, err := s.closePartitions(ctx)
	if errors.Is(err, partition.ErrCorrupt) {
		err = &ViolationError{Where: LogMismatch, Message: err.Error()}
	}
	return totals, s.done(StepClosePartitions, err)
}

func (s *Sale) closePartitions(ctx context.Context) ([]Total, error) {
	ctx, js, err := s.jetStream(ctx)
	if err != nil {
		return nil, err
	}
	// What is closed never changes, and to settle a sale takes several looks at it.
	if totals := s.counts.of(s.promo.GetUid()).closed.Load(); totals != nil {
		return *totals, nil
	}
	totals, err := prepare.ClosePartitions(ctx, js, s.promo, s.actor)
	if err != nil {
		return nil, err
	}
	s.counts.closed(s.promo.GetUid(), totals)
	return totals, nil
}

// Drained reports whether every accepted order is in the database.
func (s *Sale) Drained(ctx context.Context) (bool, error) {
	if s.database == nil {
		return true, nil
	}
	ctx, js, err := s.jetStream(ctx)
	var drained bool
	if err == nil {
		drained, err = prepare.Drained(ctx, js, s.promo)
	}
	if err != nil || !drained {
		return false, err
	}
	return true, s.done(StepDrain, nil)
}

// PublishClosed tells pods and workers that every partition is closed and every order written: from
// now on a release credits the stock in the database.
func (s *Sale) PublishClosed(ctx context.Context) error {
	ctx, js, err := s.jetStream(ctx)
	if err == nil {
		closed := proto.CloneOf(s.promo)
		closed.Closed = true
		if _, err = prepare.Publish(ctx, js, closed); err == nil {
			s.promo = closed
		}
	}
	return s.done(StepPublishClosed, err)
}

// Prove checks what the closed partitions hold against the database: nil if no unit was lost or
// sold twice, a *ViolationError if one was, a *ReleasingError if that cannot be told yet. Every
// order has to be in the database.
func (s *Sale) Prove(ctx context.Context, totals []Total) error {
	if s.database == nil {
		violation := proveLog(s.items, s.topUps(), totals)
		return s.proved(violation)
	}
	allocated, err := ask(ctx, s, stock.Allocated)
	if err != nil {
		return err
	}
	topUps, err := ask(ctx, s, stock.TopUps)
	if err != nil {
		return err
	}
	// Read before sold: a release that begins after this comes too late for the log,
	// and stays sold in both.
	releasing, err := ask(ctx, s, order.PendingReleases)
	if err != nil {
		return err
	}
	sold, err := ask(ctx, s, order.SoldInPromotion)
	if err != nil {
		return err
	}
	violation := prove(allocated, topUps, sold, totals)
	if violation != nil && violation.Where == DatabaseMismatch && releasing > 0 {
		return &ReleasingError{Orders: releasing}
	}
	return s.proved(violation)
}

// topUps are those that the promotion has.
func (s *Sale) topUps() []TopUp {
	var all []TopUp
	for _, t := range s.promo.GetTopUps() {
		all = append(all, TopUp{SKU: t.GetSku(), Quantity: t.GetQuantity()})
	}
	return all
}

func (s *Sale) proved(violation *ViolationError) error {
	if violation != nil {
		return violation
	}
	return s.done(StepProve, nil)
}

// ReturnUnsold gives what the closed partitions have as unsold back to the shop's stock, once, and
// checks that this is what came back: if not, it is a *ViolationError. Prove comes before: with an
// invariant violated nobody knows how much is unsold.
func (s *Sale) ReturnUnsold(ctx context.Context, totals []Total) error {
	if s.database == nil {
		return nil
	}
	unsold := make([]Quantity, len(totals))
	for i, t := range totals {
		unsold[i] = Quantity{SKU: t.SKU, Quantity: t.Unsold}
	}
	err := tell(ctx, s, func(ctx context.Context, db *pgxpool.Pool, uid string) error {
		return stock.ReturnUnsold(ctx, db, uid, unsold)
	})
	if err != nil {
		return err
	}
	returned, err := ask(ctx, s, stock.Returned)
	if err != nil {
		return err
	}
	if violation := proveReturned(returned, totals); violation != nil {
		return violation
	}
	return s.done(StepReturnUnsold, nil)
}

// Remove deletes what the pods know of the promotion, and then its streams with all that is in them.
func (s *Sale) Remove(ctx context.Context) error {
	s.counts.drop(s.promo.GetUid())
	ctx, js, err := s.jetStream(ctx)
	if err == nil {
		// The pods let go of the promotion before its streams go.
		err = prepare.DeletePromotion(ctx, js, s.promo.GetUid())
	}
	if err == nil {
		err = prepare.DeleteStreams(ctx, js, s.promo)
	}
	return s.done(StepRemove, err)
}

package sale

import (
	"context"
	"errors"
	"slices"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/nats-io/nats.go/jetstream"

	flashv1 "github.com/orderd-dev/orderd/api/gen/orderd/flash/v1"
	"github.com/orderd-dev/orderd/orderd/flash/prepare"
	"github.com/orderd-dev/orderd/orderd/kit/messaging"
	"github.com/orderd-dev/orderd/orderd/shop/stock"
)

// Allocation is what a sale took from the shop's stock at first. Only Allocate and Allocated make
// one, so that partitions are opened with what was taken and not with what somebody asks for now.
type Allocation struct{ items []Quantity }

// Items are the quantities, by SKU.
func (a Allocation) Items() []Quantity { return slices.Clone(a.items) }

// Empty tells whether nothing was taken.
func (a Allocation) Empty() bool { return len(a.items) == 0 }

// Allocated is what the sale took before; empty: nothing yet.
func (s *Sale) Allocated(ctx context.Context) (Allocation, error) {
	if s.database == nil {
		return Allocation{s.items}, nil
	}
	items, err := ask(ctx, s, stock.Allocated)
	return Allocation{items}, err
}

// Allocate takes the sale's items from the shop's stock in one transaction: all of them, or
// an *InsufficientError or *UnknownSKUError and nothing. A sale that took stock before takes none,
// also if its Items are others now. A *HeldError, and nothing, while another promotion of its Name has stock.
func (s *Sale) Allocate(ctx context.Context) (Allocation, error) {
	allocation, err := s.Allocated(ctx)
	if err == nil && allocation.Empty() && s.database != nil {
		allocation = Allocation{s.items}
		err = tell(ctx, s, func(ctx context.Context, db *pgxpool.Pool, uid string) error {
			if s.name == (PromotionName{}) {
				return stock.Allocate(ctx, db, uid, s.items)
			}
			return stock.AllocateAs(ctx, db, s.name, uid, s.items)
		})
	}
	if err := s.done(StepAllocate, err); err != nil {
		return Allocation{}, err
	}
	return allocation, nil
}

// EnsureBuckets makes the key-value buckets that an order platform's pods watch, and changes what they
// cannot do without. Each of its calls is bounded by the JetStream's default time-out.
func EnsureBuckets(ctx context.Context, js jetstream.JetStream, replicas int) error {
	_, err := prepare.EnsureBuckets(messaging.PerCall(ctx), js, replicas)
	return err
}

// EnsureStreams makes the promotion's streams, and the buckets, unless they are there.
func (s *Sale) EnsureStreams(ctx context.Context) error {
	ctx, js, err := s.jetStream(ctx)
	if err == nil {
		_, err = prepare.EnsureBuckets(ctx, js, s.replicas)
	}
	if err == nil {
		err = prepare.EnsureStreams(ctx, js, s.promo, s.replicas)
	}
	return s.done(StepEnsureStreams, err)
}

// OpenPartitions gives every partition its share of what was allocated, once however often it is
// called.
func (s *Sale) OpenPartitions(ctx context.Context, allocation Allocation) error {
	ctx, js, err := s.jetStream(ctx)
	if err == nil {
		items := make([]prepare.Item, len(allocation.items))
		for i, item := range allocation.items {
			items[i] = prepare.Item{SKU: item.SKU, Quantity: item.Quantity}
		}
		err = prepare.OpenPartitions(ctx, js, s.promo, s.promo.GetUid(), items)
	}
	return s.done(StepOpenPartitions, err)
}

// TopUp adds what the sale lacks of its Items in the database; Publish tells the pods. Of an item
// of which the shop has too little nothing is added, and an *InsufficientError or *UnknownSKUError
// says so after the others were added. [stock.ErrTopUpsEnded] or ErrTooManyTopUps: nothing was
// added. A sale that has what its Items say gets nothing.
func (s *Sale) TopUp(ctx context.Context) error {
	if s.database == nil {
		return nil
	}
	all, err := s.addTopUps(ctx, s.items)
	short := shortOf(err)
	if err != nil && len(short) == 0 {
		return err
	}
	if len(short) > 0 {
		enough := func(q Quantity) bool { return !slices.Contains(short, q.SKU) }
		var again error
		if all, again = s.addTopUps(ctx, filter(s.items, enough)); again != nil {
			return again
		}
	}
	s.setTopUps(all)
	return errors.Join(s.done(StepTopUp, nil), err)
}

func (s *Sale) addTopUps(ctx context.Context, targets []Quantity) ([]TopUp, error) {
	return ask(ctx, s, func(ctx context.Context, db *pgxpool.Pool, uid string) ([]TopUp, error) {
		return stock.AddTopUps(ctx, db, uid, targets)
	})
}

// shortOf are the SKUs that an error says there is too little of.
func shortOf(err error) []string {
	var insufficient *InsufficientError
	var unknown *UnknownSKUError
	switch {
	case errors.As(err, &insufficient):
		var short []string
		for _, m := range insufficient.Missing {
			short = append(short, m.SKU)
		}
		return short
	case errors.As(err, &unknown):
		return unknown.SKUs
	default:
		return nil
	}
}

func filter(list []Quantity, keep func(Quantity) bool) []Quantity {
	return slices.DeleteFunc(slices.Clone(list), func(q Quantity) bool { return !keep(q) })
}

// setTopUps puts into the promotion all that it ever got.
func (s *Sale) setTopUps(all []TopUp) {
	s.promo.TopUps = make([]*flashv1.TopUp, len(all))
	for i, t := range all {
		s.promo.TopUps[i] = &flashv1.TopUp{Id: t.Name(), Sku: t.SKU, Quantity: t.Quantity}
	}
}

// Publish tells the pods what the promotion is now, and returns what they were told before; nil:
// nothing. Top-ups that they were told of stay, also if this Sale does not know them, and so does that the promotion is
// closed. If they were told of a later generation already, they keep it, and the error is an *OlderError.
func (s *Sale) Publish(ctx context.Context) (*flashv1.Promotion, error) {
	ctx, js, err := s.jetStream(ctx)
	var before *flashv1.Promotion
	if err == nil {
		before, err = prepare.Publish(ctx, js, s.promo)
	}
	return before, s.done(StepPublish, err)
}

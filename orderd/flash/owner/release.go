package owner

import (
	"context"

	flashv1 "github.com/orderd-dev/orderd/api/gen/orderd/flash/v1"
	"github.com/orderd-dev/orderd/orderd/flash/partition"
)

// release appends the releases that were asked for, in one record.
func (o *Owner) release(ctx context.Context) error {
	for len(o.releases) > 0 {
		if released := o.toRelease(); len(released.GetOrders()) > 0 {
			record := &flashv1.Record{Kind: &flashv1.Record_Released{Released: released}}
			sequence, err := o.append(ctx, record)
			if err == nil {
				err = o.state.Fold(sequence, record)
				o.redecide = true
			}
			if err != nil {
				if err := o.recover(ctx, err); err != nil {
					return err
				}
			}
			// The loop looks at them again: now the state says that they are released.
			continue
		}
		for _, c := range o.releases {
			o.answerRelease(ctx, c)
		}
		o.releases = nil
	}
	return nil
}

// toRelease has the orders that are not released yet, each once.
func (o *Owner) toRelease() *flashv1.Released {
	released := &flashv1.Released{}
	seen := make(map[[16]byte]struct{}, len(o.releases))
	for _, c := range o.releases {
		if _, twice := seen[c.order]; twice || o.state.DecideRelease(c.order) != partition.MayRelease {
			continue
		}
		if len(released.GetOrders()) == recordOrders {
			break
		}
		seen[c.order] = struct{}{}
		released.Orders = append(released.Orders, &flashv1.ReleasedOrder{OrderId: c.order[:], Reason: c.reason})
	}
	return released
}

func (o *Owner) answerRelease(ctx context.Context, c *releaseCall) {
	switch o.state.DecideRelease(c.order) {
	case partition.AlreadyReleased:
		c.answer(flashv1.ReleaseOutcome_RELEASE_OUTCOME_RELEASED)
	case partition.ClosedUnreleased:
		c.answer(flashv1.ReleaseOutcome_RELEASE_OUTCOME_CLOSED)
	case partition.UnknownOrder:
		c.refuse(o.orderNotFound(ctx, c.came))
	case partition.MayRelease:
		c.refuse(o.moving())
	}
}
